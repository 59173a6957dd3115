//! The stored form of every entity's events, byte for byte. A failure here means that journals written before
//! cannot be read any more: give the changed struct its next version and an upcaster instead.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use relampago_actors::access::{Permission, Role};
use relampago_actors::inventory::Hold;
use relampago_actors::keys::KeyTag;
use relampago_actors::line::{Line, Shortage};
use relampago_actors::money::Currency;
use relampago_actors::personal::Personal;
use relampago_actors::secret::{Password, SecretHash};
use relampago_actors::{Id, api_keys, audit, cart, email, inventory, order, payment, product, user};
use relampago_snapshots::codec;

use crate::hosting::Hostable;

const TAG: KeyTag = KeyTag { key: 7, body: 8 };

fn line() -> Line {
    Line { product: Id(1), sku: "S".into(), name: "N".into(), quantity: 2, price: 1999 }
}

fn stored<E: Hostable>(events: Vec<E::Event>) -> String {
    let mut text = String::new();
    for event in events {
        let mut record = Vec::new();
        codec::encode(E::EVENT, &event, &mut record).unwrap();
        assert_eq!(E::event(&record).unwrap(), event, "read back");
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{hex}").unwrap();
    }
    text
}

/// Compares with `golden/<name>.txt`; `RELAMPAGO_WRITE_GOLDEN=1` writes the file of a new form.
fn check<E: Hostable>(name: &str, events: Vec<E::Event>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/golden/{name}.txt"));
    let now = stored::<E>(events);
    if std::env::var_os("RELAMPAGO_WRITE_GOLDEN").is_some() {
        fs::write(&file, &now).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap();
    assert_eq!(now, golden, "the stored form of {name} events has changed");
}

#[test]
fn products_are_stored_as_ever() {
    use product::Event::{Activated, Archived, Changed, Drafted, Refused, StockSettled};
    let details = product::Details {
        sku: "S".into(),
        name: "N".into(),
        description: "D".into(),
        category: Some("C".into()),
        price: 1999,
        currency: Currency::USD,
    };
    let events = vec![
        Drafted { details: details.clone(), stock: 5, tag: Some(TAG) },
        Activated,
        Refused,
        Changed { details, stock: None },
        StockSettled { change: 3 },
        Archived,
    ];
    check::<product::Product>("product", events);
}

#[test]
fn inventories_are_stored_as_ever() {
    use inventory::Event::{Adjusted, AvailableSet, Claimed, Forgotten, Released, Reserved, Restocked, Sold};
    let hold = Hold { order: Id(9), attempt: 1 };
    let events = vec![
        Claimed { product: Id(1), available: 5 },
        AvailableSet { change: 2, available: 6 },
        Adjusted { delta: -1, reason: "broken".into(), tag: Some(TAG) },
        Reserved { hold, quantity: 2, valid_until: 1000 },
        Released { hold, valid_until: 1000 },
        Sold { hold },
        Restocked { hold, quantity: 2 },
        Forgotten { hold },
    ];
    check::<inventory::Inventory>("inventory", events);
}

#[test]
fn carts_are_stored_as_ever() {
    use cart::Event::{
        Added, CheckedOut, CheckoutFailed, CheckoutStarted, Cleared, Created, Deleted, Expired, QuantitySet,
        Removed,
    };
    let buyer = order::Buyer {
        user: Some(Id(3)),
        email: Some(Personal::clear("a@b.c")),
        shipping_address: None,
        payment_method: Some(payment::Method::Paypal),
    };
    let events = vec![
        Created { user: None, currency: None, tag: None, ttl_ms: 1000 },
        Added { line: line(), currency: Currency::USD, tag: Some(TAG) },
        QuantitySet { item: Id(5), line: line() },
        Removed { item: Id(5) },
        Cleared,
        Deleted,
        CheckoutStarted(Box::new(cart::Checkout { attempt: 1, order: Id(9), buyer, tag: TAG })),
        CheckoutFailed,
        CheckedOut { order: Id(9) },
        Expired,
    ];
    check::<cart::Cart>("cart", events);
}

#[test]
fn orders_are_stored_as_ever() {
    use order::Event::{
        CancelFailed, CancelRequested, Cancelled, LineAnswered, LineSettled, Opened, Paid, PaymentFailed,
        PaymentStarted, Placed, Refused,
    };
    let opened = order::Opened {
        attempt: 1,
        tag: TAG,
        cart: Some(Id(4)),
        buyer: order::Buyer::default(),
        currency: Currency::USD,
        lines: vec![line()],
        total: 3998,
        valid_until: 60_000,
    };
    let short = Shortage { sku: "S".into(), requested: 2, available: 1 };
    let reason = order::Rejection::OutOfStock { items: vec![short] };
    let events = vec![
        Opened(Arc::new(opened)),
        LineAnswered { line: 0, stock: order::Stock::Short { available: 1 } },
        Placed { expires_at: 900_000 },
        Refused { reason, release: order::Lines::first(1) },
        PaymentStarted { payment: Id(6), until: 60_000 },
        PaymentFailed { payment: Id(6) },
        Paid { payment: Id(6) },
        CancelRequested { tag: None },
        CancelFailed,
        Cancelled { cause: order::Cause::Expired, tag: None },
        LineSettled { line: 0 },
    ];
    check::<order::Order>("order", events);
}

#[test]
fn payments_are_stored_as_ever() {
    use payment::Event::{
        Approved, CaptureRequested, Cleared, ConfirmRequested, NotCleared, OrderTold, RefundFailed,
        RefundRequested, Refunded, Rejected, Requested, Settled, Voided, Waiting,
    };
    let requested = payment::Requested {
        order: Id(9),
        amount: "39.98".parse().unwrap(),
        method: payment::Method::CreditCard,
        token: Some("tok".to_owned()),
        manual: false,
        tag: TAG,
        until: 60_000,
    };
    let refund = |tag, cancellation| RefundRequested { amount: 5, reason: "r".into(), tag, cancellation };
    let events = vec![
        Requested(Box::new(requested)),
        Cleared { amount: 3998, currency: Currency::USD },
        NotCleared { reason: order::Rejection::AlreadyPaid },
        Waiting(payment::Waiting::Unanswered),
        Waiting(payment::Waiting::Provider),
        Waiting(payment::Waiting::Action),
        Waiting(payment::Waiting::Capture),
        ConfirmRequested { tag: TAG },
        CaptureRequested { tag: TAG },
        Approved,
        Settled,
        Rejected { code: "c".into(), void: true, told: false },
        OrderTold,
        Voided,
        refund(Some(TAG), None),
        refund(None, Some(1)),
        Refunded,
        RefundFailed { code: "c".into() },
    ];
    check::<payment::Payment>("payment", events);
}

fn sealed(text: &str) -> Personal {
    Personal::sealed(std::num::NonZeroU32::MIN, text.as_bytes())
}

fn new_email() -> user::NewEmail {
    user::NewEmail { claim: Id(5), address: sealed("e") }
}

fn owed_mail() -> user::OwedMail {
    let token = user::MailToken { epoch: 1, claim: 2, expires_at: 3000 };
    user::OwedMail { number: 1, purpose: user::Purpose::Verify, to: sealed("e"), token }
}

#[test]
fn the_beginnings_of_users_are_stored_as_ever() {
    use user::Event::{
        Changed, EmailChangeBegun, EmailChangeRefused, EmailChanged, EmailReleased, EmailVerified, Erased,
        KeyDestroyed, Registered, RegistrationBegun, RegistrationRefused,
    };
    let registration = user::Registration {
        profile: user::Profile { name: sealed("n"), phone: Some(sealed("p")) },
        email: new_email(),
        password: Some(Password::new("$argon2id$")),
        role: Role::Staff,
        locale: 1,
        tag: Some(TAG),
    };
    let change = user::Change {
        name: Some(sealed("m")),
        phone: Some(None),
        email: Some(new_email()),
        role: Some(Role::Admin),
    };
    let changing = user::EmailChange { number: 2, email: new_email(), change: change.clone(), tag: None };
    let events = vec![
        RegistrationBegun { number: 1, registration: Box::new(registration) },
        RegistrationRefused,
        Registered { mail: Some(Box::new(owed_mail())) },
        Changed { change: Box::new(change), tag: Some(TAG) },
        EmailChangeBegun(Box::new(changing)),
        EmailChangeRefused,
        EmailChanged { mails: vec![owed_mail()] },
        EmailReleased { email: Id(5), number: 1 },
        EmailVerified,
        Erased,
        KeyDestroyed,
    ];
    check::<user::User>("user", events);
}

#[test]
fn what_users_have_is_stored_as_ever() {
    use user::Event::{
        AddressAdded, AddressRemoved, AddressSet, MailLapsed, MailOwed, MailSent, PasswordReset, PasswordSet,
        SessionEnded, SessionOpened, SessionRefreshed, SessionsEnded,
    };
    let password = || Password::new("$argon2id$");
    let open = user::OpenSession {
        session: Id(6),
        secret: SecretHash([4; 32]),
        epoch: 1,
        rehashed: None,
        ttl_ms: 1000,
        tag: Some(TAG),
    };
    let events = vec![
        MailOwed(Box::new(owed_mail())),
        MailSent { number: 1 },
        MailLapsed { number: 1 },
        AddressAdded { address: sealed("a"), tag: Some(TAG) },
        AddressSet { id: Id(7), address: sealed("b") },
        AddressRemoved { id: Id(7) },
        SessionOpened(Box::new(open)),
        SessionRefreshed { session: Id(6), secret: SecretHash([5; 32]), tag: None },
        SessionEnded { session: Id(6), why: user::Ended::Reused },
        SessionEnded { session: Id(6), why: user::Ended::SignedOut },
        SessionsEnded,
        PasswordSet { password: password(), keep: Some(Id(6)), tag: Some(TAG) },
        PasswordReset { password: password(), tag: None },
    ];
    check::<user::User>("user-has", events);
}

#[test]
fn claims_on_addresses_are_stored_as_ever() {
    use email::Event::{Claimed, Kept, Released};
    check::<email::Email>("email", vec![Claimed { user: Id(1), number: 2 }, Kept, Released]);
}

#[test]
fn api_keys_are_stored_as_ever() {
    use api_keys::Event::{Created, Revoked, Used};
    let new = api_keys::NewKey {
        id: Id(1),
        name: "storefront".into(),
        permissions: [Permission::OrdersPlace].into_iter().collect(),
        digest: SecretHash([6; 32]),
        expires_at: Some(1000),
        by: Some(Id(2)),
        tag: Some(TAG),
    };
    let events = vec![Created(Box::new(new)), Revoked { id: Id(1) }, Used { id: Id(1) }];
    check::<api_keys::ApiKeys>("api-keys", events);
}

#[test]
fn records_of_who_did_what_are_stored_as_ever() {
    let entry = |actor| audit::Entry {
        at: 1000,
        actor,
        role: Some(Role::Staff),
        method: "PATCH".into(),
        route: "/a/{id}".into(),
        path: "/a/1".into(),
        status: 200,
        from: "192.0.2.7".into(),
        request_id: "r".into(),
    };
    let actors =
        [audit::Actor::User(Id(1)), audit::Actor::Key(Id(2)), audit::Actor::Bootstrap, audit::Actor::Guest];
    let events = actors.map(|actor| audit::Event::Recorded(Box::new(entry(actor))));
    check::<audit::Audit>("audit", events.to_vec());
}
