//! The engine's clockwork: deadlines that come due, effects sent again, entities that leave memory, and
//! states that are due for a snapshot.

use std::sync::Weak;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;
use crate::region::{Envelope, Input, Seen};
use crate::shell::ShellMessage;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(20);

/// Entities woken by their deadline in one tick: what expires at once is spread over time.
const WOKEN_A_TICK: usize = 1024;

/// The same when far more entities are in memory than may stay.
const WOKEN_WHEN_CROWDED: usize = 64;

/// States are stored again at the earliest after as many events as this part of their size in bytes, of all together
/// that are live and have changed: to cut the journal all of these must be stored, and what that costs stays in
/// proportion to what happens, be it one large state or a thousand of moderate size.
const BYTES_AN_EVENT: u64 = 12;

/// Events that size alone lets wait, however large the states are: a start has to read them again.
const TAIL_EVENTS: u64 = 2_500_000;

/// What an entity waits for may need so many turns of tasks of the runtime, one behind the other. While all of them
/// wait long for theirs, to send again what is merely on its way would make all of it longer.
const TURNS: u32 = 4;

/// So many entities are looked after before whoever else wants a turn has one: tens of thousands may have to leave memory
/// in one sweep, which takes a core longer than a request should wait.
const AT_ONCE: usize = 256;

/// Wakes what is due until the node is gone.
pub(crate) async fn wake(node: Weak<Node>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else { return };
        if node.is_stopping() {
            return;
        }
        // What is woken needs memory, if only for a moment.
        let crowded = node.region.live_count() > 2 * node.limits.resident;
        let room = if crowded { WOKEN_WHEN_CROWDED } else { WOKEN_A_TICK };
        for to in node.deadlines.due(node.clock.now(), room) {
            #[cfg(any(test, feature = "injection"))]
            crate::injection::fall(crate::injection::At::Waking, to);
            node.region.deliver(Envelope::own(to, Input::Deadline), &node);
        }
    }
}

/// Looks after live entities until the node is gone.
pub(crate) async fn sweep(node: Weak<Node>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let turn = ticks.tick().await.elapsed();
        let Some(node) = node.upgrade() else { return };
        if node.is_stopping() {
            return;
        }
        node.orders.fold();
        node.watches.sweep();
        let live = node.region.look(node.clock.now());
        let still_ms = still_limit(node.limits.redrive, turn);
        let idle_ms = idle_limit(&live, &node);
        let changed = live.iter().filter(|seen| seen.gate.uncovered().is_some());
        let size: u64 = changed.map(|seen| seen.size as u64).sum();
        let due = node.limits.snapshot_events.max((size / BYTES_AN_EVENT).min(TAIL_EVENTS));
        let bounds = Bounds { still_ms, idle_ms, due };
        for some in live.chunks(AT_ONCE) {
            if node.is_stopping() {
                return;
            }
            for seen in some {
                look_after(seen, bounds, &node);
            }
            // What they do now, they do before who came later: let those in between.
            yield_now().await;
        }
    }
}

/// How long an entity may stand still with something owed, ms, if a task waits so long for its turn.
fn still_limit(redrive: Duration, turn: Duration) -> u64 {
    (redrive + turn * TURNS).as_millis() as u64
}

/// How long an entity may be idle: shorter when there are more than may stay.
fn idle_limit(live: &[Seen], node: &Node) -> u64 {
    let configured = node.limits.idle.as_millis() as u64;
    let excess = live.len().saturating_sub(node.limits.resident);
    if excess == 0 {
        return configured;
    }
    let mut idle: Vec<u64> = live.iter().map(|seen| seen.idle_ms).collect();
    let (_, limit, _) = idle.select_nth_unstable_by(excess - 1, |a, b| b.cmp(a));
    configured.min(*limit)
}

/// What an entity may be before something is done about it.
#[derive(Clone, Copy)]
struct Bounds {
    /// Still for so long, with something owed.
    still_ms: u64,
    /// Idle for so long.
    idle_ms: u64,
    /// Changed so many events ago, counted from the first that its snapshot lacks.
    due: u64,
}

/// Does what has come due for one entity.
fn look_after(seen: &Seen, Bounds { still_ms, idle_ms, due }: Bounds, node: &Node) {
    let at = seen.gate.at;
    #[cfg(any(test, feature = "injection"))]
    crate::injection::fall(crate::injection::At::Sweeping, at);
    if !seen.quiet && seen.idle_ms >= still_ms {
        let redrive = Envelope::own(at, Input::Redrive);
        node.region.nudge(at, ShellMessage::Deliver(Box::new(redrive)));
    }
    if seen.idle_ms >= idle_ms {
        return node.region.nudge(at, ShellMessage::Retire);
    }
    if seen.gate.uncovered().is_some_and(|first| node.committer.next().saturating_sub(first) >= due) {
        node.region.nudge(at, ShellMessage::Snapshot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_turn_does_not_stand_still() {
        let limit = |turn| still_limit(Duration::from_secs(1), Duration::from_millis(turn));
        assert_eq!([0, 1, 250, 2_000].map(limit), [1_000, 1_004, 2_000, 9_000]);
    }
}
