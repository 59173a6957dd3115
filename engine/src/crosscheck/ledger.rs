//! What orders and inventories have said of the same units, as far as the journal was read.
//!
//! At every position of the journal an inventory has for an order's line what the order's own events make its:
//! nothing or all while units move, all once it is placed, nothing once it has given them up and was told that this
//! is done. What differs at one position is a fault, however much is under way: no time has to pass to be sure.

use relampago_actors::order::{self, Stage};
use relampago_actors::{Address, Id, Sequence, inventory};
use relampago_compact::CompactMap;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use relampago_actors::inventory::Hold;

/// Faults that are told of in the log; the figures count them all.
const MOST_TOLD: u32 = 100;

/// An order's id in pieces, which need less padding.
type Key = [u64; 2];

fn key(order: Id) -> Key {
    [(order.0 >> 64) as u64, order.0 as u64]
}

/// The stock of one sku.
struct Shelf {
    inventory: Id,
    /// Units that can be sold, by the inventory's events.
    available: i64,
    /// The inventory's last event.
    last: Sequence,
    /// Units that it has for orders beyond what these say is theirs; negative for too few.
    deviation: i64,
    /// What the books lacked when they were last compared, and what of that is counted.
    lacked: i64,
    counted: u64,
}

impl Shelf {
    /// Units promised that are not there.
    fn beyond(&self) -> u64 {
        self.available.min(0).unsigned_abs()
    }
}

/// One line of an order.
#[derive(Clone, Copy)]
struct Line {
    /// Of which sku: an index.
    shelf: u32,
    /// Units, by the order.
    quantity: u32,
    /// Units that the inventory holds for it or has sold to it.
    have: u32,
}

/// An order that stock may yet move for. Settled orders have none, and those that are placed and have what they ask
/// for, as nearly all do, are kept as [`Quiet`].
struct Claim {
    lines: SmallVec<[Line; 1]>,
    attempt: u32,
    /// Lines that an inventory has not answered for.
    owed: u8,
    stage: Stage,
}

impl Claim {
    /// What the inventory has for a line beyond what it should; negative for too few.
    fn deviation(&self, line: Line) -> i64 {
        let (least, most) = match self.stage {
            Stage::Opening => (0, line.quantity),
            Stage::Placed | Stage::Paid | Stage::Refunding => (line.quantity, line.quantity),
            Stage::Over if self.owed > 0 => (0, line.quantity),
            Stage::Over => (0, 0),
        };
        i64::from(line.have) - i64::from(line.have.clamp(least, most))
    }

    /// Whether nothing more comes, and nothing is wrong.
    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Paid | Stage::Over)
            && self.owed == 0
            && self.lines.iter().all(|line| self.deviation(*line) == 0)
    }

    /// What an order's event changes.
    fn follow(&mut self, event: &order::Event) {
        use order::Event as E;
        let lines = self.lines.len() as u8;
        (self.stage, self.owed) = match event {
            E::Placed { .. } => (Stage::Placed, 0),
            E::Refused { release, .. } => (Stage::Over, release.len() as u8),
            E::Paid { .. } => (Stage::Paid, lines),
            E::CancelRequested { .. } => (Stage::Refunding, 0),
            E::CancelFailed => (Stage::Paid, 0),
            E::Cancelled { .. } => (Stage::Over, lines),
            E::LineSettled { .. } => (self.stage, self.owed.saturating_sub(1)),
            _ => (self.stage, self.owed),
        };
    }
}

/// An order that is placed, has one line, and has all of it: 16 bytes with its key, which is half of its id. Ids are
/// hashes: two of ten million have one half in common once in 400,000 shops.
#[derive(Clone, Copy)]
struct Quiet {
    shelf: u32,
    /// Units in the upper 24 bits, and the try.
    units_and_try: u32,
}

impl Quiet {
    fn of(claim: &Claim) -> Option<Self> {
        let [line] = claim.lines[..] else { return None };
        let is_quiet = claim.stage == Stage::Placed && claim.owed == 0 && line.have == line.quantity;
        (is_quiet && line.quantity < 1 << 24 && claim.attempt < 1 << 8)
            .then_some(Self { shelf: line.shelf, units_and_try: line.quantity << 8 | claim.attempt })
    }

    fn claim(self) -> Claim {
        let Self { shelf, units_and_try } = self;
        let units = units_and_try >> 8;
        let lines = SmallVec::from([Line { shelf, quantity: units, have: units }]);
        Claim { lines, attempt: units_and_try & 0xff, owed: 0, stage: Stage::Placed }
    }
}

/// The faults that stand, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Of orders, with no stock behind them.
    pub(crate) oversold: u64,
    /// Of stock, held or sold for no order.
    pub(crate) stranded: u64,
    /// By which the books of the skus differ: stock put in, less what can be sold and what orders say is theirs.
    pub(crate) difference: u64,
}

impl Faults {
    fn side(&mut self, deviation: i64) -> &mut u64 {
        if deviation < 0 { &mut self.oversold } else { &mut self.stranded }
    }

    fn add(&mut self, deviation: i64) {
        *self.side(deviation) += deviation.unsigned_abs();
    }

    fn take(&mut self, deviation: i64) {
        let side = self.side(deviation);
        *side = side.saturating_sub(deviation.unsigned_abs());
    }
}

/// Orders and inventories at one position of the journal.
#[derive(Default)]
pub(crate) struct Ledger {
    shelves: Vec<Shelf>,
    by_inventory: FxHashMap<Id, u32>,
    claims: FxHashMap<Key, Claim>,
    /// By half of the order's id. An order stands here or among the claims.
    quiet: CompactMap<u64, Quiet>,
    /// Units reserved that no order's try had asked for.
    strays: FxHashMap<(u32, Hold), u32>,
    /// What recovery found in the inventories, until [`Ledger::open`].
    found: Vec<(u32, Hold, u32)>,
    faults: Faults,
    /// The shelf to be compared next.
    next: usize,
    told: u32,
}

impl Ledger {
    /// At a start: an inventory as it was found.
    pub(crate) fn found_inventory(&mut self, id: Id, state: &inventory::Inventory, last: Sequence) {
        let Some(view) = state.view() else { return };
        let shelf = self.shelf(id);
        let known = &mut self.shelves[shelf as usize];
        (known.available, known.last) = (view.available, last);
        self.faults.oversold += known.beyond();
        self.found.extend(state.held().map(|(hold, units)| (shelf, hold, units)));
    }

    /// At a start: an order that was at work when the node stopped.
    pub(crate) fn found_order(&mut self, id: Id, order: &order::Order) {
        let Some(found) = order.claim() else { return };
        let claim = self.claim(found.opened, found.stage, found.owed);
        self.claims.insert(key(id), claim);
    }

    /// Ends the start. An order that is known only by what is held for it is taken to be placed: were it at work, it
    /// would have been found.
    pub(crate) fn open(&mut self) {
        let mut assumed: FxHashMap<Key, Claim> = FxHashMap::default();
        for (shelf, hold, units) in std::mem::take(&mut self.found) {
            let line = Line { shelf, quantity: units, have: units };
            match self.claims.get_mut(&key(hold.order)) {
                None => assumed.entry(key(hold.order)).or_insert_with(|| placed(hold)).lines.push(line),
                Some(claim) => match claim.lines.iter_mut().find(|known| known.shelf == shelf) {
                    Some(known) if claim.attempt == hold.attempt => known.have += units,
                    _ => self.stray(shelf, hold, units),
                },
            }
        }
        for claim in self.claims.values_mut() {
            if matches!(claim.stage, Stage::Paid | Stage::Refunding) {
                // What is not held any more is sold.
                claim
                    .lines
                    .iter_mut()
                    .filter(|line| line.have == 0)
                    .for_each(|line| line.have = line.quantity);
            }
        }
        self.claims.retain(|_, claim| !claim.is_done());
        for (order, claim) in assumed {
            match Quiet::of(&claim) {
                Some(quiet) => _ = self.quiet.insert(order[1], quiet),
                None => _ = self.claims.insert(order, claim),
            }
        }
        self.quiet
            .extend(self.claims.iter().filter_map(|(order, claim)| Some((order[1], Quiet::of(claim)?))));
        self.claims.retain(|_, claim| Quiet::of(claim).is_none());
        self.claims.shrink_to_fit();
        for (order, claim) in &self.claims {
            for line in &claim.lines {
                let deviation = claim.deviation(*line);
                self.faults.add(deviation);
                self.shelves[line.shelf as usize].deviation += deviation;
                if deviation != 0 {
                    tell(&mut self.told, order, self.shelves[line.shelf as usize].inventory, deviation, 0);
                }
            }
        }
    }

    /// Follows an inventory's event.
    pub(crate) fn inventory(&mut self, id: Id, event: &inventory::Event, sequence: Sequence) {
        use inventory::Event as E;
        let at = self.shelf(id);
        let before = self.shelves[at as usize].beyond();
        let delta = match event {
            E::Claimed { available, .. } | E::AvailableSet { available, .. } => {
                available - self.shelves[at as usize].available
            }
            E::Adjusted { delta, .. } => *delta,
            E::Reserved { hold, quantity, .. } => {
                self.reserved(at, *hold, *quantity, sequence);
                -i64::from(*quantity)
            }
            E::Released { hold, .. } => i64::from(self.gave_back(at, *hold, u32::MAX, sequence)),
            E::Restocked { hold, quantity } => {
                // An order that was settled long ago is not known; its stock is back all the same.
                self.gave_back(at, *hold, *quantity, sequence);
                i64::from(*quantity)
            }
            E::Sold { .. } | E::Forgotten { .. } => 0,
        };
        let shelf = &mut self.shelves[at as usize];
        (shelf.available, shelf.last) = (shelf.available + delta, sequence);
        self.faults.oversold = self.faults.oversold.saturating_sub(before) + shelf.beyond();
    }

    /// Follows an order's event. `stored` gives an order that was settled before, as it is stored.
    pub(crate) fn order(
        &mut self,
        id: Id,
        event: &order::Event,
        sequence: Sequence,
        stored: impl FnOnce() -> Option<order::Order>,
    ) {
        self.wake(id);
        if let order::Event::Opened(opened) = event {
            return self.opened(id, opened);
        }
        if matches!(event, order::Event::CancelRequested { .. }) && !self.claims.contains_key(&key(id)) {
            let Some(order) = stored() else { return };
            let Some(found) = order.claim() else { return };
            let mut claim = self.claim(found.opened, Stage::Paid, 0);
            claim.lines.iter_mut().for_each(|line| line.have = line.quantity);
            self.claims.insert(key(id), claim);
        }
        self.change(id, sequence, |claim| claim.follow(event));
    }

    fn opened(&mut self, id: Id, opened: &order::Opened) {
        let claim = self.claim(opened, Stage::Opening, 0);
        let Some(old) = self.claims.insert(key(id), claim) else { return };
        // A try that was not settled: what it has belongs to nobody now.
        for line in &old.lines {
            let deviation = old.deviation(*line);
            self.faults.take(deviation);
            self.shelves[line.shelf as usize].deviation -= deviation;
            if line.have > 0 {
                self.stray(line.shelf, Hold { order: id, attempt: old.attempt }, line.have);
            }
        }
    }

    /// Has an order among the claims, if it is known.
    fn wake(&mut self, order: Id) {
        if let Some(quiet) = self.quiet.remove(&key(order)[1]) {
            self.claims.insert(key(order), quiet.claim());
        }
    }

    fn reserved(&mut self, shelf: u32, hold: Hold, units: u32, sequence: Sequence) {
        self.wake(hold.order);
        let claim = self.claims.get(&key(hold.order)).filter(|claim| claim.attempt == hold.attempt);
        if claim.is_some_and(|claim| claim.lines.iter().any(|line| line.shelf == shelf)) {
            self.change(hold.order, sequence, |claim| {
                let line = claim.lines.iter_mut().find(|line| line.shelf == shelf);
                line.into_iter().for_each(|line| line.have += units);
            });
        } else {
            self.stray(shelf, hold, units);
        }
    }

    /// At most so many units of a hold are free again; gives how many it had.
    fn gave_back(&mut self, shelf: u32, hold: Hold, most: u32, sequence: Sequence) -> u32 {
        if let Some(units) = self.strays.remove(&(shelf, hold)) {
            self.faults.take(i64::from(units));
            self.shelves[shelf as usize].deviation -= i64::from(units);
            return units;
        }
        let mut had = 0;
        self.wake(hold.order);
        self.change(hold.order, sequence, |claim| {
            let of_try = claim.attempt == hold.attempt;
            let line = claim.lines.iter_mut().find(|line| of_try && line.shelf == shelf);
            line.into_iter().for_each(|line| {
                had = line.have.min(most);
                line.have -= had;
            });
        });
        had
    }

    fn stray(&mut self, shelf: u32, hold: Hold, units: u32) {
        *self.strays.entry((shelf, hold)).or_default() += units;
        self.faults.add(i64::from(units));
        let shelf = &mut self.shelves[shelf as usize];
        shelf.deviation += i64::from(units);
        tell(&mut self.told, &key(hold.order), shelf.inventory, units.into(), shelf.last);
    }

    /// Changes a claim, if it is known, and what is counted of it.
    fn change(&mut self, order: Id, sequence: Sequence, change: impl FnOnce(&mut Claim)) {
        let Some(claim) = self.claims.get_mut(&key(order)) else { return };
        let before: SmallVec<[i64; 1]> = claim.lines.iter().map(|line| claim.deviation(*line)).collect();
        change(claim);
        for (line, before) in claim.lines.iter().zip(before) {
            let now = claim.deviation(*line);
            if now == before {
                continue;
            }
            self.faults.take(before);
            self.faults.add(now);
            let shelf = &mut self.shelves[line.shelf as usize];
            shelf.deviation += now - before;
            if now != 0 {
                tell(&mut self.told, &key(order), shelf.inventory, now, sequence);
            }
        }
        let quiet = Quiet::of(claim);
        if claim.is_done() || quiet.is_some() {
            self.claims.remove(&key(order));
        }
        if let Some(quiet) = quiet {
            self.quiet.insert(key(order)[1], quiet);
        }
    }

    /// Compares the next `count` skus with what the shop sells of them: units and the inventory's last event, by its
    /// id. Only a sku that stands at the same event on both sides is judged, and counted when it lacked the same at
    /// the look before, since the shop's figure is written in two steps.
    pub(crate) fn compare(&mut self, count: usize, sells: impl Fn(Id) -> Option<(i64, Sequence)>) {
        for _ in 0..count.min(self.shelves.len()) {
            self.next = (self.next + 1) % self.shelves.len();
            let shelf = &mut self.shelves[self.next];
            let Some((sells, _)) = sells(shelf.inventory).filter(|(_, last)| *last == shelf.last) else {
                continue;
            };
            let lacks = shelf.available - sells + shelf.deviation;
            let counted = if lacks == shelf.lacked { lacks.unsigned_abs() } else { 0 };
            if counted > shelf.counted {
                tell_books(&mut self.told, shelf.inventory, lacks, shelf.last);
            }
            self.faults.difference = self.faults.difference.saturating_sub(shelf.counted) + counted;
            (shelf.lacked, shelf.counted) = (lacks, counted);
        }
    }

    /// The faults that stand.
    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }

    /// Orders that stock may yet move for.
    pub(crate) fn claims(&self) -> usize {
        self.claims.len() + self.quiet.len()
    }

    fn claim(&mut self, opened: &order::Opened, stage: Stage, owed: u32) -> Claim {
        let line = |line: &relampago_actors::line::Line| Line {
            shelf: self.shelf(Address::inventory(&line.sku).id),
            quantity: line.quantity,
            have: 0,
        };
        Claim {
            lines: opened.lines.iter().map(line).collect(),
            attempt: opened.attempt,
            owed: owed as u8,
            stage,
        }
    }

    fn shelf(&mut self, inventory: Id) -> u32 {
        *self.by_inventory.entry(inventory).or_insert_with(|| {
            let empty = Shelf { inventory, available: 0, last: 0, deviation: 0, lacked: 0, counted: 0 };
            self.shelves.push(empty);
            // There are far fewer skus.
            self.shelves.len() as u32 - 1
        })
    }
}

/// An order of which only its holds are known.
fn placed(hold: Hold) -> Claim {
    Claim { lines: SmallVec::new(), attempt: hold.attempt, owed: 0, stage: Stage::Placed }
}

fn tell(told: &mut u32, order: &Key, inventory: Id, deviation: i64, sequence: Sequence) {
    *told = told.saturating_add(1);
    if *told <= MOST_TOLD {
        // Of its id only what nobody can use: who knows a guest's may do everything with it.
        let order_end = format_args!("{:08x}", order[1] as u32);
        let what = if deviation < 0 { "oversold" } else { "stranded" };
        let units = deviation.unsigned_abs();
        tracing::error!(%order_end, %inventory, units, sequence, "{what} units: an order and an inventory disagree");
    }
}

fn tell_books(told: &mut u32, inventory: Id, lacks: i64, sequence: Sequence) {
    *told = told.saturating_add(1);
    if *told <= MOST_TOLD {
        tracing::error!(%inventory, units = lacks, sequence, "the books of a sku do not add up");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_open_order_takes_little_room() {
        assert_eq!(size_of::<(u64, Quiet)>(), 16);
    }

    #[test]
    fn a_quiet_order_is_what_it_was() {
        let claim = |quantity, attempt| {
            let lines = SmallVec::from([Line { shelf: 7, quantity, have: quantity }]);
            Claim { lines, attempt, owed: 0, stage: Stage::Placed }
        };
        for (quantity, attempt) in [(1, 1), ((1 << 24) - 1, 255), (3, 0)] {
            let again = Quiet::of(&claim(quantity, attempt)).unwrap().claim();
            let [line] = again.lines[..] else { panic!("one line") };
            assert_eq!((line.shelf, line.quantity, line.have), (7, quantity, quantity));
            assert_eq!((again.attempt, again.owed, again.stage), (attempt, 0, Stage::Placed));
        }
        let mut other =
            [claim(1 << 24, 1), claim(1, 256), claim(2, 1), claim(1, 1), claim(1, 1), claim(1, 1)];
        other[2].lines[0].have = 1;
        other[3].owed = 1;
        other[4].stage = Stage::Paid;
        other[5].lines.push(Line { shelf: 8, quantity: 1, have: 1 });
        assert!(other.iter().all(|claim| Quiet::of(claim).is_none()));
    }

    #[test]
    fn books_are_judged_at_one_event_and_at_the_second_look() {
        let mut ledger = Ledger::default();
        let claimed = inventory::Event::Claimed { product: Id(1), available: 10 };
        ledger.inventory(Id(7), &claimed, 3);
        let looks = [(Some((8, 2)), 0), (Some((8, 3)), 0), (Some((8, 3)), 2), (None, 2), (Some((10, 3)), 0)];
        for (sells, difference) in looks {
            ledger.compare(5, |_| sells);
            assert_eq!(ledger.faults().difference, difference, "{sells:?}");
        }
    }
}
