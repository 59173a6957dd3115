//! What operators see of the engine: counters as it works, gauges when they are asked for.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use relampago_actors::{Address, Kind};

use crate::crosscheck::Faults;
use crate::node::Node;

/// Counters of one kind of entity.
struct OfKind {
    activated: Counter,
    passivated: Counter,
    restarted: Counter,
    faulted: Counter,
    live: Gauge,
}

/// What became of reservations.
pub(crate) struct Reservations {
    pub(crate) reserved: Counter,
    pub(crate) released: Counter,
    pub(crate) sold: Counter,
    pub(crate) restocked: Counter,
}

/// What became of orders.
pub(crate) struct Outcomes {
    pub(crate) placed: Counter,
    pub(crate) refused: Counter,
    pub(crate) paid: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) expired: Counter,
}

/// The engine's metrics.
pub(crate) struct Figures {
    kinds: [OfKind; Kind::ALL.len()],
    pub(crate) reservations: Reservations,
    pub(crate) orders: Outcomes,
    pub(crate) refused_early: Counter,
    pub(crate) quarantined: Counter,
    /// Panics that an entity survived.
    pub(crate) panics: Counter,
    pub(crate) calls_failed: Counter,
}

impl Figures {
    /// Registers every metric with the process's recorder.
    pub(crate) fn register() -> Self {
        describe();
        let of_kind = |kind: Kind| OfKind {
            activated: counter!("relampago_actors_activated_total", "kind" => kind.name()),
            passivated: counter!("relampago_actors_passivated_total", "kind" => kind.name()),
            restarted: counter!("relampago_actors_restarted_total", "kind" => kind.name()),
            faulted: counter!("relampago_commands_faulted_total", "kind" => kind.name()),
            live: gauge!("relampago_actors_live", "kind" => kind.name()),
        };
        let reservation =
            |outcome: &'static str| counter!("relampago_reservations_total", "outcome" => outcome);
        let order = |outcome: &'static str| counter!("relampago_orders_total", "outcome" => outcome);
        Self {
            kinds: Kind::ALL.map(of_kind),
            reservations: Reservations {
                reserved: reservation("reserved"),
                released: reservation("released"),
                sold: reservation("sold"),
                restocked: reservation("restocked"),
            },
            orders: Outcomes {
                placed: order("placed"),
                refused: order("refused"),
                paid: order("paid"),
                cancelled: order("cancelled"),
                expired: order("expired"),
            },
            refused_early: counter!("relampago_admission_refused_total"),
            quarantined: counter!("relampago_quarantine_refused_total"),
            panics: counter!("relampago_panics_caught_total"),
            calls_failed: counter!("relampago_outbox_panics_total"),
        }
    }

    fn of(&self, kind: Kind) -> &OfKind {
        // The numbers of the kinds begin at 1 and have no gaps.
        &self.kinds[kind as usize - 1]
    }

    pub(crate) fn activated(&self, kind: Kind) {
        self.of(kind).activated.increment(1);
    }

    pub(crate) fn passivated(&self, kind: Kind) {
        self.of(kind).passivated.increment(1);
    }

    pub(crate) fn restarted(&self, kind: Kind) {
        self.of(kind).restarted.increment(1);
    }

    /// A command made its entity's code fail.
    pub(crate) fn faulted(&self, at: Address) {
        self.of(at.kind).faulted.increment(1);
    }

    /// Brings the gauges up to date.
    pub(crate) fn publish(&self, node: &Node) {
        for (kind, live) in node.region.live_by_kind() {
            self.of(kind).live.set(live as f64);
        }
        let journal = node.journal.stats();
        counter!("relampago_journal_batches_total").absolute(journal.batches);
        counter!("relampago_journal_events_total").absolute(journal.events);
        counter!("relampago_journal_written_bytes_total").absolute(journal.written_bytes);
        counter!("relampago_journal_syncs_total").absolute(journal.fsyncs);
        gauge!("relampago_journal_sync_max_seconds").set(journal.fsync_nanos_max as f64 / 1e9);
        gauge!("relampago_journal_feeder_lag_events").set(journal.feeder_lag as f64);
        counter!("relampago_journal_archived_events_total").absolute(journal.archived_events);
        gauge!("relampago_journal_durable_sequence").set(node.committer.durable() as f64);
        gauge!("relampago_journal_live_events")
            .set((node.journal.last() + 1).saturating_sub(node.journal.first()) as f64);
        let store = node.store.stats();
        gauge!("relampago_snapshots_entities").set(store.entities as f64);
        counter!("relampago_snapshots_puts_total").absolute(store.puts);
        counter!("relampago_snapshots_written_bytes_total").absolute(store.written_bytes);
        gauge!("relampago_deadlines_waiting").set(node.deadlines.len() as f64);
        gauge!("relampago_quarantine_commands").set(node.quarantine.len() as f64);
        gauge!("relampago_admitted_commands").set(node.admitted.count() as f64);
        gauge!("relampago_products_listed").set(node.catalogue.len() as f64);
        gauge!("relampago_orders_listed").set(node.orders.len() as f64);
        gauge!("relampago_recovery_seconds").set(node.recovery.as_secs_f64());
        gauge!("relampago_failed").set(f64::from(u8::from(node.failure.has_come())));
        publish_queues(node);
        publish_crosscheck(node);
    }
}

/// How much waits where, and for how long.
fn publish_queues(node: &Node) {
    let now = node.clock.now();
    let queued = node.committer.queued();
    gauge!("relampago_commit_queue_events").set(queued.events as f64);
    gauge!("relampago_commit_queue_answers").set(queued.answers as f64);
    gauge!("relampago_commit_queue_age_seconds").set(queued.age.as_secs_f64());
    let resting = node.region.resting_count();
    let age = if resting == 0 { 0 } else { node.debt.age(now) };
    gauge!("relampago_snapshots_waiting").set(resting as f64);
    gauge!("relampago_snapshots_waiting_age_seconds").set(seconds(age));
    gauge!("relampago_snapshots_lag_events").set(node.debt.lag(node.committer.durable()) as f64);
    let (calls, oldest) = node.outbox.under_way();
    gauge!("relampago_outbox_calls").set(calls as f64);
    gauge!("relampago_outbox_age_seconds")
        .set(oldest.map_or(0.0, |oldest| seconds(now.saturating_sub(oldest))));
    gauge!("relampago_deadlines_late_seconds").set(seconds(node.deadlines.late(now)));
}

/// Whether orders and inventories agree.
fn publish_crosscheck(node: &Node) {
    let Faults { oversold, stranded, difference } = node.crosscheck.faults();
    gauge!("relampago_oversold_units").set(oversold as f64);
    gauge!("relampago_stranded_units").set(stranded as f64);
    gauge!("relampago_conservation_difference_units").set(difference as f64);
    gauge!("relampago_crosscheck_orders").set(node.crosscheck.claims() as f64);
    let lag = node.committer.durable().saturating_sub(node.crosscheck.position());
    gauge!("relampago_crosscheck_lag_events").set(lag as f64);
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

fn describe() {
    describe_counter!("relampago_actors_activated_total", "Entities that became live, by kind.");
    describe_counter!("relampago_actors_passivated_total", "Entities that left memory, by kind.");
    describe_counter!(
        "relampago_actors_restarted_total",
        "Entities whose actor died and was rebuilt, by kind."
    );
    describe_counter!(
        "relampago_commands_faulted_total",
        "Commands that made their entity's code fail, by kind."
    );
    describe_gauge!("relampago_actors_live", "Entities in memory, by kind.");
    describe_counter!("relampago_reservations_total", "Moves of reserved stock, by what became of it.");
    describe_counter!("relampago_orders_total", "Orders, by what became of them.");
    describe_counter!("relampago_admission_refused_total", "Commands refused before any work.");
    describe_counter!("relampago_journal_batches_total", "Batches appended since the start.");
    describe_counter!("relampago_journal_events_total", "Events appended since the start.");
    describe_counter!(
        "relampago_journal_written_bytes_total",
        "Bytes written to the commit log, padding included."
    );
    describe_counter!("relampago_journal_syncs_total", "Waits for the disk.");
    describe_histogram!("relampago_journal_commit_seconds", "Time from a batch closed to a batch durable.");
    describe_gauge!("relampago_journal_sync_max_seconds", "The longest wait for the disk since the start.");
    describe_gauge!(
        "relampago_journal_feeder_lag_events",
        "Events in the commit log and not yet in the store behind it."
    );
    describe_counter!(
        "relampago_journal_archived_events_total",
        "Events moved to the archive since the start."
    );
    describe_gauge!("relampago_journal_durable_sequence", "The highest durable sequence.");
    describe_gauge!("relampago_journal_live_events", "Events in the live journal.");
    describe_gauge!("relampago_snapshots_entities", "Entities in the snapshot store.");
    describe_counter!("relampago_snapshots_puts_total", "Writes to the snapshot store.");
    describe_counter!("relampago_snapshots_written_bytes_total", "Bytes of snapshots written.");
    describe_gauge!("relampago_snapshots_waiting", "States that wait to be stored.");
    describe_gauge!("relampago_deadlines_waiting", "Deadlines that have not passed.");
    describe_gauge!("relampago_outbox_calls", "Calls on the outside world under way.");
    describe_counter!(
        "relampago_outbox_panics_total",
        "Calls on the outside world whose code panicked; they are made again."
    );
    describe_gauge!("relampago_quarantine_commands", "Commands that failed and are remembered.");
    describe_counter!(
        "relampago_quarantine_refused_total",
        "Commands that were not tried again because they had just failed on the same state."
    );
    describe_gauge!("relampago_admitted_commands", "Client commands under way.");
    describe_gauge!("relampago_products_listed", "Products in the catalogue.");
    describe_gauge!("relampago_orders_listed", "Orders in the lists.");
    describe_gauge!("relampago_recovery_seconds", "How long the last recovery took.");
    describe_gauge!("relampago_failed", "1 once the engine cannot go on, mostly because of its disk.");
    describe_counter!(
        "relampago_panics_caught_total",
        "Panics in decisions and answers, which changed nothing."
    );
    describe_queues();
    describe_crosscheck();
}

fn describe_queues() {
    describe_gauge!("relampago_commit_queue_events", "Events that are not durable yet.");
    describe_gauge!("relampago_commit_queue_answers", "Answers that wait for the disk.");
    describe_gauge!(
        "relampago_commit_queue_age_seconds",
        "For how long the oldest event has waited for the disk."
    );
    describe_gauge!(
        "relampago_snapshots_waiting_age_seconds",
        "For how long at most the oldest state has waited to be stored."
    );
    describe_gauge!(
        "relampago_snapshots_lag_events",
        "Durable events that may be in no snapshot: what a start has to carry out again."
    );
    describe_gauge!("relampago_outbox_age_seconds", "How long ago the oldest call under way began.");
    describe_gauge!(
        "relampago_deadlines_late_seconds",
        "How long ago the first deadline passed whose entity was not woken."
    );
}

fn describe_crosscheck() {
    describe_gauge!(
        "relampago_oversold_units",
        "Units of placed and paid orders that no stock stands behind; anything but 0 is a fault."
    );
    describe_gauge!(
        "relampago_stranded_units",
        "Units that inventories keep for orders which do not claim them; anything but 0 is a fault."
    );
    describe_gauge!(
        "relampago_conservation_difference_units",
        "Units by which stock put in differs from what can be sold and what orders claim; anything but 0 is a fault."
    );
    describe_gauge!(
        "relampago_crosscheck_orders",
        "Orders whose stock may still move, watched by the cross-check."
    );
    describe_gauge!(
        "relampago_crosscheck_lag_events",
        "Durable events that the cross-check of orders and inventories has not read yet."
    );
}
