use relampago_actors::order;
use relampago_actors::order::{Buyer, Command as C, Move, Order, Source, Standing, Stock};

use super::{after, assert_table, table};
use crate::support::drive::Driver;
use crate::support::samples::{cents, id, tag, wanted};

const UNTIL: u64 = 1_006_000;

fn place(key: u128, body: u64) -> C {
    let items = vec![wanted("shirt", 1), wanted("shoe", 2)];
    C::Place { source: Source::Items(items), buyer: Buyer::default(), tag: tag(key, body) }
}

fn answer(line: u8, stock: Stock) -> C {
    C::ReserveAnswer { attempt: 1, line, stock }
}

fn settled(line: u8, what: Move) -> C {
    C::StockSettled { attempt: 1, line, what }
}

fn begin(number: usize, until: u64, minor: i64) -> C {
    C::BeginPayment { payment: id("payment", number), amount: cents(minor), until }
}

fn cancel() -> C {
    C::Cancel { tag: Some(tag(2, 0)) }
}

fn refunded(cancellation: u32, refunded: bool) -> C {
    C::RefundSettled { payment: id("payment", 0), cancellation, refunded }
}

/// An order some steps along the path of every sale.
fn path(steps: usize, then: &[C]) -> Driver<Order> {
    let path = [
        place(1, 0),
        answer(0, Stock::Held),
        answer(1, Stock::Held),
        begin(0, UNTIL, 3000),
        C::PaymentApproved { payment: id("payment", 0) },
        settled(0, Move::Confirm),
        settled(1, Move::Confirm),
        cancel(),
        refunded(1, true),
        settled(0, Move::Restock),
        settled(1, Move::Restock),
    ];
    after(path.into_iter().take(steps).chain(then.iter().cloned()))
}

fn phases() -> Vec<(&'static str, Driver<Order>)> {
    let short = answer(1, Stock::Short { available: 1 });
    let failed = order::Command::PaymentFailed { payment: id("payment", 0) };
    let mut expired = path(3, &[]);
    expired.expire(&crate::properties::shelf());
    vec![
        ("blank", path(0, &[])),
        ("opening", path(1, &[])),
        ("half held", path(2, &[])),
        ("refusing", path(2, std::slice::from_ref(&short))),
        ("refused", path(2, &[short, settled(0, Move::Release), settled(1, Move::Release)])),
        ("created", path(3, &[])),
        ("paying", path(4, &[])),
        ("payment failed", path(4, &[failed])),
        ("confirming", path(5, &[])),
        ("half confirmed", path(6, &[])),
        ("paid", path(7, &[])),
        ("refunding", path(8, &[])),
        ("refund failed", path(8, &[refunded(1, false)])),
        ("refunding again", path(8, &[refunded(1, false), cancel()])),
        ("restocking", path(9, &[])),
        ("half restocked", path(10, &[])),
        ("refunded", path(11, &[])),
        ("releasing", path(3, &[cancel()])),
        ("cancelled", path(3, &[cancel(), settled(0, Move::Release), settled(1, Move::Release)])),
        ("expired", expired),
    ]
}

#[test]
fn order_table() {
    let payment = id("payment", 0);
    let commands = [
        ("place", place(1, 0)),
        ("place, other body", place(1, 1)),
        ("place, other key", place(9, 0)),
        ("held 0", answer(0, Stock::Held)),
        ("held 1", answer(1, Stock::Held)),
        ("short 1", answer(1, Stock::Short { available: 1 })),
        ("gone 1", answer(1, Stock::Gone)),
        ("held, old try", C::ReserveAnswer { attempt: 0, line: 1, stock: Stock::Held }),
        ("held, no such line", answer(9, Stock::Held)),
        ("released 0", settled(0, Move::Release)),
        ("confirmed 1", settled(1, Move::Confirm)),
        ("restocked 1", settled(1, Move::Restock)),
        ("cancel", cancel()),
        ("begin payment", begin(0, UNTIL, 3000)),
        ("begin payment, next try", begin(0, UNTIL + 1, 3000)),
        ("begin payment, wrong amount", begin(1, UNTIL, 3001)),
        ("begin payment, another", begin(1, UNTIL, 3000)),
        ("approved", C::PaymentApproved { payment }),
        ("approved, another", C::PaymentApproved { payment: id("payment", 1) }),
        ("failed", C::PaymentFailed { payment }),
        ("failed, another", C::PaymentFailed { payment: id("payment", 1) }),
        ("lapsed", C::PaymentLapsed { payment, until: UNTIL }),
        ("lapsed, old try", C::PaymentLapsed { payment, until: UNTIL - 1 }),
        ("refunded", refunded(1, true)),
        ("not refunded", refunded(1, false)),
        ("refunded, second", refunded(2, true)),
        ("get", C::Get),
        ("history", C::History),
        ("validate", C::Validate),
    ];
    assert_table(&table(&phases(), &commands), include_str!("order.txt"));
}

#[test]
fn a_line_that_was_short_may_be_held_until_it_is_released() {
    let standings = |stock| {
        let order = path(1, &[answer(1, stock)]).state;
        order.line_claims().map(|claim| claim.standing).collect::<Vec<_>>()
    };
    assert_eq!(standings(Stock::Short { available: 1 }), [Standing::MaybeHeld, Standing::MaybeHeld]);
    assert_eq!(standings(Stock::Held), [Standing::MaybeHeld, Standing::Held]);
    assert_eq!(standings(Stock::Gone), [Standing::MaybeHeld, Standing::Free]);
}
