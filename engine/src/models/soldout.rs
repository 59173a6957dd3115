//! "Sold out" from the catalogue's copy of the stock: it waits for the sale that it speaks of, and is never older than
//! a restock that somebody was told of.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use relampago_actors::catalogue::{Cell, StockIn};
use relampago_actors::{Reply, Sequence};
use shuttle::{future, thread};

use super::explore;
use super::handoff::{SlowJournal, Stage};
use crate::reply::{Asker, Verdict};
use crate::sync::{AtomicBool, AtomicI64, AtomicU64};

#[derive(Default)]
struct Count(AtomicI64);

impl Cell<i64> for Count {
    fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, value: i64) {
        self.0.store(value, Ordering::Release);
    }
}

#[derive(Default)]
struct Position(AtomicU64);

impl Cell<Sequence> for Position {
    fn get(&self) -> Sequence {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, value: Sequence) {
        self.0.store(value, Ordering::Release);
    }
}

struct Shop {
    stage: Arc<Stage>,
    stock: StockIn<Count, Position>,
    /// Whether somebody was told of the restock.
    restocked: AtomicBool,
}

/// The event that sells the last unit, which all others come before or after.
const SOLD_OUT: Sequence = 2;

impl Shop {
    /// What an inventory does with a command, in the order of `Live::handle`: submit, apply, show, answer.
    fn change(&self, available: i64, asker: Asker) {
        let sequence = self.stage.submit(&[available as u64]);
        self.stock.record(available, sequence);
        let yes = Verdict::Yes { reply: Reply::Done, replayed: false };
        self.stage.committer.release(sequence, asker, yes);
    }

    /// Sells the last unit, then gets one more; waits for every answer.
    fn trade(&self) {
        for available in [0, 1] {
            let (asker, asked) = self.stage.ask();
            self.change(available, asker);
            future::block_on(asked).unwrap();
            if self.stage.journal.durable() > SOLD_OUT {
                self.restocked.store(true, Ordering::Release);
            }
        }
    }

    /// Somebody wants the unit: told that there is none, if so, once that may be said.
    fn want(&self) {
        let restocked = self.restocked.load(Ordering::Acquire);
        let (available, sequence) = self.stock.available();
        if available > 0 {
            return;
        }
        assert!(!restocked, "sold out, and somebody knows of the restock");
        assert!(sequence >= SOLD_OUT, "sold out is said to follow from event {sequence}");
        let (asker, asked) = self.stage.ask();
        let sold_out = Verdict::Yes { reply: Reply::Done, replayed: false };
        self.stage.committer.release(sequence, asker, sold_out);
        let commit = future::block_on(asked).unwrap().commit;
        let durable = self.stage.journal.durable();
        assert!(durable >= SOLD_OUT && commit.sequence >= SOLD_OUT, "{commit:?} at {durable}");
    }
}

#[test]
fn sold_out_is_never_early_and_never_stale() {
    explore(|| {
        let stage = Stage::new(SlowJournal::new(None));
        let committing = stage.run();
        let shop = Arc::new(Shop {
            stage: Arc::clone(&stage),
            stock: StockIn::default(),
            restocked: AtomicBool::new(false),
        });
        shop.stock.record(1, stage.submit(&[1]));
        let trading = Arc::clone(&shop);
        let mut busy = vec![thread::spawn(move || trading.trade())];
        for _ in 0..2 {
            let wanting = Arc::clone(&shop);
            busy.push(thread::spawn(move || (0..3).for_each(|_| wanting.want())));
        }
        for thread in busy {
            thread.join().unwrap();
        }
        stage.committer.close();
        committing.join().unwrap();
    });
}
