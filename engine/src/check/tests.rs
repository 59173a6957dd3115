#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use relampago_actors::inventory::{self, Hold, Inventory};
use relampago_actors::keys::KeyTag;
use relampago_actors::line::Line;
use relampago_actors::money::Currency;
use relampago_actors::order::{self, Buyer, Lines, Opened, Order};
use relampago_actors::{Address, Entity, Id, Stamp};
use relampago_snapshots::journal::Visit;
use relampago_snapshots::{
    Batch, JournalStats, MemoryJournal, MemoryStore, SnapshotRecord, SnapshotStore, codec,
};

use super::*;
use crate::hosting::{Hostable, Index};

const SKU: &str = "BOLT";
const NOW: u64 = 1_000;

/// Events of orders and of one sku's inventory, as a journal holds them.
#[derive(Default)]
struct Story(Vec<Vec<u8>>);

fn id(order: u128) -> Address {
    Address::order(Id(order))
}

fn hold(order: u128) -> Hold {
    Hold { order: Id(order), attempt: 1 }
}

impl Story {
    /// A sku with some units.
    fn with(available: i64) -> Self {
        Self::default().stock(inventory::Event::Claimed { product: Id(1), available })
    }

    fn record<E: Hostable>(mut self, at: Address, event: &E::Event) -> Self {
        let mut bytes = [&at.key()[..], &NOW.to_le_bytes()].concat();
        codec::encode(E::EVENT, event, &mut bytes).unwrap();
        self.0.push(bytes);
        self
    }

    fn stock(self, event: inventory::Event) -> Self {
        self.record::<Inventory>(Address::inventory(SKU), &event)
    }

    fn order(self, number: u128, event: order::Event) -> Self {
        self.record::<Order>(id(number), &event)
    }

    fn opened(self, number: u128) -> Self {
        let line = Line { product: Id(1), sku: SKU.into(), name: SKU.into(), quantity: 2, price: 100 };
        let opened = Opened {
            attempt: 1,
            tag: KeyTag { key: number, body: 0 },
            cart: None,
            buyer: Buyer::default(),
            currency: Currency::USD,
            lines: vec![line],
            total: 200,
            valid_until: NOW,
        };
        self.order(number, order::Event::Opened(Arc::new(opened)))
    }

    fn reserved(self, number: u128) -> Self {
        self.stock(inventory::Event::Reserved { hold: hold(number), quantity: 2, valid_until: NOW })
    }

    /// An order for two units, placed.
    fn placed(self, number: u128) -> Self {
        self.opened(number).reserved(number).order(number, order::Event::Placed { expires_at: NOW })
    }

    fn paid(self, number: u128) -> Self {
        self.order(number, order::Event::Paid { payment: Id(9) })
            .stock(inventory::Event::Sold { hold: hold(number) })
            .order(number, order::Event::LineSettled { line: 0 })
    }

    fn journal(&self) -> MemoryJournal {
        let journal = MemoryJournal::new();
        for (first, event) in (1..).zip(&self.0) {
            let bytes = [&(event.len() as u32).to_le_bytes()[..], event].concat();
            journal.append(Batch { first, count: 1, bytes }).unwrap();
        }
        journal
    }

    fn checked(&self) -> CheckReport {
        checked(&self.journal(), &MemoryStore::new(), 1)
    }
}

fn checked(journal: &dyn Journal, store: &MemoryStore, oldest: Sequence) -> CheckReport {
    let mut report = CheckReport::default();
    check_content(journal, Some(store), oldest, &|error| error.to_string(), &mut report);
    report
}

/// The faults and nothing else.
fn faults(report: &CheckReport) -> Vec<String> {
    report.faults.iter().map(|fault| format!("{}: {}", fault.place, fault.what)).collect()
}

fn totals(stock: StockTotals) -> (i64, i64, i64) {
    (stock.oversold, stock.stranded, stock.difference)
}

/// The snapshot of the order `number` after so many of its events, said to cover `covers`.
fn snapshot(story: &Story, number: u128, events: usize, covers: Sequence) -> SnapshotRecord {
    let mut order = Order::blank(Id(number));
    let own = (1..).zip(&story.0).filter_map(|(sequence, bytes)| {
        let parts = crate::record::parse(bytes).unwrap();
        (parts.at == id(number)).then(|| (sequence, Order::event(parts.event).unwrap()))
    });
    for (sequence, event) in own.take(events) {
        order.apply(event, Stamp { sequence, at: NOW });
    }
    let (mut index, mut state) = (Vec::new(), Vec::new());
    Index::of(&order).store(&mut index).unwrap();
    codec::encode(Order::STATE, &order, &mut state).unwrap();
    SnapshotRecord { key: id(number).key(), covers, index, state }
}

#[test]
fn a_sale_in_order_balances() {
    let report = Story::with(6).placed(1).placed(2).paid(2).opened(3).checked();
    assert_eq!(faults(&report), Vec::<String>::new());
    assert_eq!((report.events, report.last, report.first), (11, 11, 1));
    let OrderCounts { opening, created, paid, refused, cancelled } = report.orders;
    assert_eq!((opening, created, paid, refused, cancelled), (1, 1, 1, 0, 0));
    let stock = report.stock;
    assert_eq!((stock.available, stock.held, stock.sold), (2, 2, 2));
    assert_eq!((stock.held_by_orders, stock.sold_by_orders), (2, 2));
    assert_eq!(totals(stock), (0, 0, 0));
}

#[test]
fn what_is_under_way_is_no_fault() {
    let all = Lines::first(1);
    let out_of_stock = || order::Rejection::OutOfStock { items: Vec::new() };
    let refused = || order::Event::Refused { reason: out_of_stock(), release: all };
    let cancelled = || order::Event::Cancelled { cause: order::Cause::Requested, tag: None };
    let stories = [
        // Reserved and not yet placed; refused and not yet released; released and not yet noted.
        Story::with(2).opened(1).reserved(1),
        Story::with(2).opened(1).reserved(1).order(1, refused()),
        Story::with(2)
            .placed(1)
            .order(1, cancelled())
            .stock(inventory::Event::Released { hold: hold(1), valid_until: NOW }),
        // Paid and not yet sold; sold and not yet noted; on its way back.
        Story::with(2).placed(1).order(1, order::Event::Paid { payment: Id(9) }),
        Story::with(2)
            .placed(1)
            .order(1, order::Event::Paid { payment: Id(9) })
            .stock(inventory::Event::Sold { hold: hold(1) }),
        Story::with(2)
            .placed(1)
            .paid(1)
            .order(1, order::Event::CancelRequested { tag: None })
            .order(1, cancelled()),
        Story::with(2)
            .placed(1)
            .paid(1)
            .order(1, order::Event::CancelRequested { tag: None })
            .order(1, cancelled())
            .stock(inventory::Event::Restocked { hold: hold(1), quantity: 2 }),
    ];
    for (number, story) in stories.iter().enumerate() {
        let report = story.checked();
        assert_eq!((faults(&report), totals(report.stock)), (Vec::new(), (0, 0, 0)), "story {number}");
    }
}

#[test]
fn more_held_than_there_was_is_oversold() {
    let report = Story::with(3).placed(1).placed(2).checked();
    assert_eq!(totals(report.stock), (1, 0, 0));
    let found = faults(&report);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0],
        format!("event 6: inventory {}: oversold: -1 available, 4 held, 0 sold", Address::inventory(SKU).id)
    );
    assert!(found[1].contains("1 units oversold: -1 available"), "{found:?}");
}

#[test]
fn an_order_without_its_units_is_oversold() {
    let report = Story::with(3).opened(1).order(1, order::Event::Placed { expires_at: NOW }).checked();
    assert_eq!(totals(report.stock), (2, 0, 0));
    assert!(faults(&report)[0].contains("was placed without them"), "{report:?}");
    let paid = order::Event::Paid { payment: Id(9) };
    let unsold = Story::with(3).placed(1).order(1, paid).order(1, order::Event::LineSettled { line: 0 });
    let report = unsold.checked();
    assert_eq!(totals(report.stock), (2, 2, 0));
    assert!(faults(&report).iter().any(|fault| fault.contains("orders paid for 2, the inventory sold 0")));
}

#[test]
fn units_held_for_nobody_are_stranded() {
    let none = order::Rejection::Lapsed;
    let refused = order::Event::Refused { reason: none, release: Lines::default() };
    for story in [Story::with(3).reserved(1), Story::with(3).opened(1).reserved(1).order(1, refused)] {
        let report = story.checked();
        assert_eq!(totals(report.stock), (0, 2, 0));
        assert!(faults(&report)[0].contains("2 units stranded"), "{report:?}");
    }
}

#[test]
fn what_may_happen_once_is_found_when_it_happens_twice() {
    let placed = || order::Event::Placed { expires_at: NOW };
    for (story, expected) in [
        (Story::with(9).placed(1).reserved(1), "a reservation was recorded twice"),
        (Story::with(9).placed(1).paid(1).stock(inventory::Event::Sold { hold: hold(1) }), "not held"),
        (Story::with(9).stock(inventory::Event::Restocked { hold: hold(1), quantity: 1 }), "oversold"),
        (Story::with(9).placed(1).order(1, placed()), "placed twice"),
        (Story::with(9).placed(1).opened(1), "opened again"),
        (Story::with(9).placed(1).paid(1).order(1, order::Event::Paid { payment: Id(8) }), "paid twice"),
    ] {
        let found = faults(&story.checked());
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_snapshot_is_what_its_events_come_to() {
    let story = Story::with(9).placed(1).placed(2).paid(2);
    let journal = story.journal();
    let store = MemoryStore::new();
    store.put(vec![snapshot(&story, 1, 2, 4), snapshot(&story, 2, 4, 10)]).unwrap();
    let report = checked(&journal, &store, 1);
    assert_eq!(faults(&report), Vec::<String>::new());
    assert_eq!(report.snapshots, SnapshotCounts { stored: 2, compared: 2, older: 0 });

    // Of fewer events than it says; of an event that is another's; of one that is not there.
    for (record, expected) in [
        (snapshot(&story, 2, 3, 10), "differs from the replay"),
        (snapshot(&story, 2, 4, 9), "not one of its own"),
        (snapshot(&story, 2, 4, 11), "the journal ends at 10"),
    ] {
        let store = MemoryStore::new();
        store.put(vec![record]).unwrap();
        let found = faults(&checked(&journal, &store, 1));
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
        assert!(found[0].contains(&format!("order {}", Id(2))), "{found:?}");
    }
}

#[test]
fn a_snapshot_is_believed_where_its_first_events_are_no_longer_kept() {
    let story = Story::with(9).placed(1).placed(2).paid(2);
    let mut inventory = Inventory::blank(Address::inventory(SKU).id);
    for (sequence, bytes) in (1..).zip(&story.0).take(3) {
        let parts = crate::record::parse(bytes).unwrap();
        if parts.at == Address::inventory(SKU) {
            inventory.apply(Inventory::event(parts.event).unwrap(), Stamp { sequence, at: NOW });
        }
    }
    let (mut index, mut state) = (Vec::new(), Vec::new());
    Index::of(&inventory).store(&mut index).unwrap();
    codec::encode(Inventory::STATE, &inventory, &mut state).unwrap();
    let stock = SnapshotRecord { key: Address::inventory(SKU).key(), covers: 3, index, state };
    let store = MemoryStore::new();
    store.put(vec![stock, snapshot(&story, 1, 2, 4)]).unwrap();
    let report = checked(&story.journal(), &store, 3);
    assert_eq!(faults(&report), Vec::<String>::new());
    assert_eq!(report.snapshots, SnapshotCounts { stored: 2, compared: 0, older: 2 });
    assert_eq!((report.stock.available, report.stock.held, report.stock.sold), (5, 2, 2));
}

/// A journal that leaves one event out.
struct Gap(MemoryJournal, Sequence);

impl Journal for Gap {
    fn append(&self, batch: Batch) -> Result<(), StorageError> {
        self.0.append(batch)
    }

    fn check(&self) -> Result<(), StorageError> {
        self.0.check()
    }

    fn last(&self) -> Sequence {
        self.0.last()
    }

    fn first(&self) -> Sequence {
        self.0.first()
    }

    fn replay(&self, from: Sequence, visit: Visit<'_>) -> Result<(), StorageError> {
        self.0.replay(from, &mut |sequence, record| {
            if sequence == self.1 { ControlFlow::Continue(()) } else { visit(sequence, record) }
        })
    }

    fn truncate_some_before(&self, sequence: Sequence) -> Result<bool, StorageError> {
        self.0.truncate_some_before(sequence)
    }

    fn max_record_bytes(&self) -> usize {
        self.0.max_record_bytes()
    }

    fn stats(&self) -> JournalStats {
        self.0.stats()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.0.close()
    }
}

#[test]
fn a_gap_and_a_record_of_nothing_are_found() {
    let mut story = Story::with(9).placed(1);
    let found = faults(&checked(&Gap(story.journal(), 3), &MemoryStore::new(), 1));
    assert!(found.contains(&"event 4: event 3 should follow".to_owned()), "{found:?}");
    story.0[2] = vec![0xff; 40];
    let found = faults(&story.checked());
    assert!(found[0].starts_with("event 3: too short, or of an unknown kind"), "{found:?}");
}
