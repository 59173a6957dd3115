use relampago_actors::money::Currency;
use relampago_actors::order;
use relampago_actors::payment::{Asked, Command as C, GatewayAnswer, Method, Payment};

use super::{after, assert_table, table};
use crate::support::drive::Driver;
use crate::support::samples::{cents, id, tag};

const UNTIL: u64 = 1_006_000;

fn process(body: u64) -> C {
    C::Process {
        order: id("order", 0),
        amount: cents(1000),
        method: Method::CreditCard,
        token: None,
        manual: false,
        tag: tag(1, body),
    }
}

fn cleared(until: u64) -> C {
    C::Cleared { order: id("order", 0), amount: 1000, currency: Currency::USD, until }
}

fn not_cleared(until: u64) -> C {
    C::NotCleared { until, reason: order::Rejection::AlreadyPaid }
}

fn says(asked: Asked, answer: GatewayAnswer) -> C {
    C::Gateway { asked, answer }
}

fn declined() -> GatewayAnswer {
    GatewayAnswer::Declined { code: "no".into() }
}

fn refund(key: u128, minor: Option<i64>) -> C {
    C::Refund { amount: minor.map(cents), reason: "kindness".into(), tag: tag(key, 0) }
}

fn refund_order(cancellation: u32) -> C {
    C::RefundOrder { order: id("order", 0), cancellation }
}

fn charging(then: &[C]) -> Driver<Payment> {
    after([process(0), cleared(UNTIL)].into_iter().chain(then.iter().cloned()))
}

fn phases() -> Vec<(&'static str, Driver<Payment>)> {
    let charge = |answer| says(Asked::Charge, answer);
    let approved = charge(GatewayAnswer::Done);
    let paid = C::OrderAnswer { paid: true };
    let action = charge(GatewayAnswer::ActionRequired);
    let authorized = charge(GatewayAnswer::Authorized);
    let settled = |then: &[C]| charging(&[&[approved.clone(), paid.clone()], then].concat());
    let mut timed_out = charging(&[]);
    timed_out.expire(&crate::properties::shelf());
    vec![
        ("blank", after([])),
        ("clearing", after([process(0)])),
        ("refused", after([process(0), not_cleared(UNTIL)])),
        ("charging", charging(&[])),
        ("unanswered", charging(&[charge(GatewayAnswer::Unknown)])),
        ("pending", charging(&[charge(GatewayAnswer::Pending)])),
        ("action", charging(std::slice::from_ref(&action))),
        ("confirming", charging(&[action, C::Confirm { tag: tag(2, 0) }])),
        ("authorized", charging(std::slice::from_ref(&authorized))),
        ("capturing", charging(&[authorized, C::Capture { tag: tag(3, 0) }])),
        ("approved", charging(std::slice::from_ref(&approved))),
        ("settled", settled(&[])),
        ("refunding", settled(&[refund(4, Some(400))])),
        ("part refunded", settled(&[refund(4, Some(400)), says(Asked::Refund(0), GatewayAnswer::Done)])),
        ("refunded", settled(&[refund(4, None), says(Asked::Refund(0), GatewayAnswer::Done)])),
        ("refunding for the order", settled(&[refund_order(1)])),
        ("order's refund failed", settled(&[refund_order(1), says(Asked::Refund(0), declined())])),
        ("declined", charging(&[charge(declined())])),
        ("declined, told", charging(&[charge(declined()), C::OrderAnswer { paid: false }])),
        ("too late", charging(&[approved.clone(), C::OrderAnswer { paid: false }])),
        ("timed out", timed_out),
        (
            "voided",
            charging(&[approved, C::OrderAnswer { paid: false }, says(Asked::Void, GatewayAnswer::Done)]),
        ),
    ]
}

#[test]
fn payment_table() {
    let commands = [
        ("process", process(0)),
        ("process, other body", process(1)),
        ("cleared", cleared(UNTIL)),
        ("cleared, old try", cleared(UNTIL - 1)),
        ("not cleared", not_cleared(UNTIL)),
        ("not cleared, old try", not_cleared(UNTIL - 1)),
        ("charge done", says(Asked::Charge, GatewayAnswer::Done)),
        ("charge authorized", says(Asked::Charge, GatewayAnswer::Authorized)),
        ("charge needs action", says(Asked::Charge, GatewayAnswer::ActionRequired)),
        ("charge pending", says(Asked::Charge, GatewayAnswer::Pending)),
        ("charge declined", says(Asked::Charge, declined())),
        ("charge unknown", says(Asked::Charge, GatewayAnswer::Unknown)),
        ("confirm done", says(Asked::Confirm, GatewayAnswer::Done)),
        ("confirm declined", says(Asked::Confirm, declined())),
        ("capture done", says(Asked::Capture, GatewayAnswer::Done)),
        ("capture declined", says(Asked::Capture, declined())),
        ("capture unknown", says(Asked::Capture, GatewayAnswer::Unknown)),
        ("void done", says(Asked::Void, GatewayAnswer::Done)),
        ("void unknown", says(Asked::Void, GatewayAnswer::Unknown)),
        ("refund done", says(Asked::Refund(0), GatewayAnswer::Done)),
        ("refund declined", says(Asked::Refund(0), declined())),
        ("refund done, other number", says(Asked::Refund(7), GatewayAnswer::Done)),
        ("order paid", C::OrderAnswer { paid: true }),
        ("order not paid", C::OrderAnswer { paid: false }),
        ("confirm", C::Confirm { tag: tag(2, 0) }),
        ("capture", C::Capture { tag: tag(3, 0) }),
        ("refund", refund(4, Some(400))),
        ("refund, other key", refund(5, Some(400))),
        ("refund nothing", refund(6, Some(0))),
        ("refund too much", refund(6, Some(1001))),
        ("refund order", refund_order(1)),
        ("refund order again", refund_order(2)),
        ("refund another order", C::RefundOrder { order: id("order", 1), cancellation: 1 }),
        ("get", C::Get),
    ];
    assert_table(&table(&phases(), &commands), include_str!("payment.txt"));
}
