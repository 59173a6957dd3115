//! What holds after any sequence of commands, whatever their numbers and however often they come.

mod people;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use relampago_actors::inventory::{self, Hold, Inventory};
use relampago_actors::line::{LineError, MAX_QUANTITY, ProductRef, Wanted};
use relampago_actors::money::Currency;
use relampago_actors::order::{self, Buyer, Move, Order, Source, Stock};
use relampago_actors::payment::{self, Asked, GatewayAnswer, Method, Payment};
use relampago_actors::product::{self, Product};
use relampago_actors::{Address, Answer, Context, Entity, Id, Rejection, cart};

use crate::support::drive::Driver;
use crate::support::samples::{POLICY, cents, details, id, tag, wanted};
use crate::support::shelf::Shelf;

const NOW: u64 = 1_000_000;

/// Two products with stock.
pub fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    for (number, sku) in [(0, "shirt"), (1, "shoe")] {
        let mut product = Driver::<Product>::new(id("product", number), NOW);
        let create = product::Command::Create { details: details(sku, 1000), stock: 5, tag: None };
        product.ask(create, &shelf);
        product.ask(product::Command::Claimed { sku: sku.into(), granted: true }, &shelf);
        shelf.note_product(id("product", number), &product.state, 1);
        shelf.note_stock(Address::inventory(sku), 5, 1);
    }
    shelf
}

/// Drives an entity through commands: each is given twice, and time passes between them. The state is always
/// what its events come to, also through bytes; what `repeats` accepts records nothing the second time.
fn drive<E: Entity + PartialEq>(
    commands: Vec<(E::Command, u64)>,
    repeats: impl Fn(&E::Command) -> bool,
    check: impl Fn(&E),
) where
    E::Command: Clone,
{
    let shelf = shelf();
    let mut driver = Driver::<E>::new(id("entity", 0), NOW);
    for (command, pause) in commands {
        driver.now += pause;
        if driver.state.deadline().is_some_and(|deadline| deadline <= driver.now) {
            driver.expire(&shelf);
            assert!(driver.state.deadline().is_none_or(|deadline| deadline > driver.now), "still due");
        }
        driver.ask(command.clone(), &shelf);
        check(&driver.state);
        let before = driver.state.clone();
        let again = driver.ask(command.clone(), &shelf).events;
        check(&driver.state);
        assert!(!repeats(&command) || driver.state == before, "{command:?} again: {again:?}");
        assert_eq!(driver.replayed(), driver.state, "replayed after {command:?}");
        assert_eq!(driver.thawed(), driver.state, "thawed after {command:?}");
    }
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -5..20i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn hold() -> impl Strategy<Value = Hold> {
    (0..4usize, 1..3u32).prop_map(|(order, attempt)| Hold { order: id("order", order), attempt })
}

fn inventory_command() -> impl Strategy<Value = inventory::Command> {
    use inventory::Command as C;
    let units = prop_oneof![4 => 0..6u32, 1 => any::<u32>()];
    let until = prop_oneof![3 => Just(NOW + 60_000), 1 => NOW - 10..NOW + 100];
    let product = (0..2usize).prop_map(|number| id("product", number));
    prop_oneof![
        1 => (product.clone(), number())
            .prop_map(|(product, initial)| C::Claim { product, sku: "shirt".into(), initial }),
        1 => (product, 0..9u64, number())
            .prop_map(|(product, change, quantity)| C::SetAvailable { product, change, quantity }),
        2 => (number(), 0..9u128).prop_map(|(delta, key)| C::Adjust {
            delta,
            reason: String::new(),
            tag: Some(tag(key, 0)),
        }),
        6 => (hold(), units.clone(), until.clone())
            .prop_map(|(hold, quantity, valid_until)| C::Reserve { hold, quantity, line: 0, valid_until }),
        3 => (hold(), until).prop_map(|(hold, valid_until)| C::Release { hold, line: 0, valid_until }),
        3 => hold().prop_map(|hold| C::Confirm { hold, line: 0 }),
        2 => (hold(), units).prop_map(|(hold, quantity)| C::Restock { hold, quantity, line: 0 }),
        1 => hold().prop_map(|hold| C::Forget { hold }),
    ]
}

fn order_command() -> impl Strategy<Value = order::Command> {
    use order::Command as C;
    let stock = prop_oneof![
        6 => Just(Stock::Held),
        1 => Just(Stock::Short { available: 0 }),
        1 => Just(Stock::Gone)
    ];
    let what = prop_oneof![Just(Move::Release), Just(Move::Confirm), Just(Move::Restock)];
    let payment = (0..2usize).prop_map(|number| id("payment", number));
    let until = NOW..NOW + 20_000;
    prop_oneof![
        2 => (1..3u128).prop_map(|key| C::Place {
            source: Source::Items(vec![wanted("shirt", 1), wanted("shoe", 2)]),
            buyer: Buyer::default(),
            tag: tag(key, 0),
        }),
        6 => (1..3u32, 0..3u8, stock)
            .prop_map(|(attempt, line, stock)| C::ReserveAnswer { attempt, line, stock }),
        6 => (1..3u32, 0..3u8, what)
            .prop_map(|(attempt, line, what)| C::StockSettled { attempt, line, what }),
        1 => (0..3u128).prop_map(|key| C::Cancel { tag: Some(tag(key, 0)) }),
        3 => (payment.clone(), until.clone())
            .prop_map(|(payment, until)| C::BeginPayment { payment, amount: cents(3000), until }),
        2 => payment.clone().prop_map(|payment| C::PaymentApproved { payment }),
        1 => payment.clone().prop_map(|payment| C::PaymentFailed { payment }),
        1 => (payment.clone(), until).prop_map(|(payment, until)| C::PaymentLapsed { payment, until }),
        2 => (payment, 1..3u32, any::<bool>()).prop_map(|(payment, cancellation, refunded)| {
            C::RefundSettled { payment, cancellation, refunded }
        }),
    ]
}

fn payment_command() -> impl Strategy<Value = payment::Command> {
    use payment::Command as C;
    let asked = prop_oneof![
        Just(Asked::Charge),
        Just(Asked::Confirm),
        Just(Asked::Capture),
        Just(Asked::Void),
        (0..3u32).prop_map(Asked::Refund)
    ];
    let answer = prop_oneof![
        3 => Just(GatewayAnswer::Done),
        1 => Just(GatewayAnswer::Authorized),
        1 => Just(GatewayAnswer::ActionRequired),
        1 => Just(GatewayAnswer::Pending),
        1 => Just(GatewayAnswer::Declined { code: "no".into() }),
        1 => Just(GatewayAnswer::Unknown)
    ];
    let order = id("order", 0);
    let until = prop_oneof![3 => Just(NOW + 6_000), 1 => Just(NOW + 6_001)];
    prop_oneof![
        2 => (0..2u64).prop_map(move |body| C::Process {
            order,
            amount: cents(1000),
            method: Method::Paypal,
            token: None,
            manual: false,
            tag: tag(1, body),
        }),
        3 => until.clone()
            .prop_map(move |until| C::Cleared { order, amount: 1000, currency: Currency::USD, until }),
        1 => until.prop_map(|until| C::NotCleared { until, reason: order::Rejection::AlreadyPaid }),
        8 => (asked, answer).prop_map(|(asked, answer)| C::Gateway { asked, answer }),
        3 => any::<bool>().prop_map(|paid| C::OrderAnswer { paid }),
        1 => (10..12u128).prop_map(|key| C::Confirm { tag: tag(key, 0) }),
        1 => (20..22u128).prop_map(|key| C::Capture { tag: tag(key, 0) }),
        2 => (30..34u128, 0..600i64).prop_map(|(key, minor)| C::Refund {
            amount: Some(cents(minor)),
            reason: String::new(),
            tag: tag(key, 0),
        }),
        1 => (1..3u32).prop_map(move |cancellation| C::RefundOrder { order, cancellation }),
    ]
}

fn cart_command() -> impl Strategy<Value = cart::Command> {
    use cart::Command as C;
    let item = (1..4u128).prop_map(|number| Id(id("entity", 0).0 ^ number));
    let sku = prop_oneof![Just("shirt"), Just("shoe"), Just("nothing")];
    let units = prop_oneof![4 => 1..4u32, 1 => 990..=MAX_QUANTITY];
    let order = id("order", 0);
    prop_oneof![
        2 => (0..2u128).prop_map(|key| C::Create { user: None, currency: None, tag: Some(tag(key, 0)) }),
        6 => (sku, units.clone(), 10..30u128).prop_map(|(sku, units, key)| C::Add {
            wanted: wanted(sku, units),
            tag: Some(tag(key, 0)),
        }),
        2 => (item.clone(), units)
            .prop_map(|(item, quantity)| C::SetQuantity { item, quantity, if_version: None }),
        1 => item.prop_map(|item| C::Remove { item, if_version: None }),
        1 => Just(C::Clear { if_version: None }),
        1 => (40..42u128)
            .prop_map(move |key| C::Checkout { order, buyer: Buyer::default(), tag: tag(key, 0) }),
        1 => (1..3u32).prop_map(|attempt| C::CheckoutRefused { attempt }),
        1 => Just(C::CheckoutPlaced { order }),
    ]
}

fn product_command() -> impl Strategy<Value = product::Command> {
    use product::Command as C;
    prop_oneof![
        2 => (0..2u128).prop_map(|key| C::Create {
            details: details("shirt", 1000),
            stock: 1,
            tag: Some(tag(key, 0)),
        }),
        2 => any::<bool>().prop_map(|granted| C::Claimed { sku: "shirt".into(), granted }),
        3 => (0..3i64).prop_map(|price| C::Change(product::Patch {
            price: Some(cents(price)),
            ..product::Patch::default()
        })),
        2 => (0..5u64).prop_map(|change| C::StockSet { change }),
        1 => Just(C::Archive { if_version: None }),
    ]
}

fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..50u64, 1 => 0..20_000u64]
}

proptest! {
    #[test]
    fn stock_is_conserved_whatever_is_asked(commands in vec((inventory_command(), pause()), 1..60)) {
        let whole = |inventory: &Inventory| {
            let Some(view) = inventory.view() else { return };
            assert!(view.available >= 0 && view.reserved >= 0 && view.sold >= 0, "{view:?}");
            let stocked = i128::from(view.available) + i128::from(view.reserved) + i128::from(view.sold);
            assert!(stocked <= i128::from(i64::MAX), "{view:?}");
        };
        // A release is remembered only while a reservation may still come.
        let repeats = |command: &inventory::Command| !matches!(command, inventory::Command::Release { .. });
        drive::<Inventory>(commands, repeats, whole);
    }

    #[test]
    fn an_order_is_what_its_events_say(commands in vec((order_command(), pause()), 1..60)) {
        drive::<Order>(commands, |_| true, |order| {
            let total = order.view().map(|view| view.opened.total);
            assert!(total.is_none_or(|total| total == 3000));
        });
    }

    #[test]
    fn a_payment_gives_back_no_more_than_it_took(commands in vec((payment_command(), pause()), 1..60)) {
        drive::<Payment>(commands, |_| true, |payment| {
            let Some(view) = payment.view() else { return };
            let back: i64 = view.refunds.iter().map(|refund| refund.amount).sum();
            assert!(back <= view.amount && view.refunds.iter().all(|refund| refund.amount > 0));
        });
    }

    #[test]
    fn a_cart_stays_within_its_bounds(commands in vec((cart_command(), pause()), 1..60)) {
        drive::<cart::Cart>(commands, |_| true, |cart| {
            let Some(view) = cart.view() else { return };
            assert!(view.items.iter().all(|item| (1..=MAX_QUANTITY).contains(&item.line.quantity)));
        });
    }

    #[test]
    fn a_product_repeats_itself(commands in vec((product_command(), pause()), 1..60)) {
        drive::<Product>(commands, |_| true, |_| {});
    }

    #[test]
    fn lines_of_one_sku_are_merged_or_refused(units in vec(1..700u32, 1..5)) {
        let shelf = shelf();
        let cx = Context::new(NOW, &shelf, &POLICY);
        let items: Vec<_> = units.iter().map(|units| wanted("shirt", *units)).collect();
        let sum: u32 = units.iter().sum();
        match relampago_actors::line::resolve_all(&items, &cx) {
            Ok(resolved) => {
                prop_assert_eq!(resolved.lines.len(), 1);
                prop_assert_eq!(resolved.lines[0].quantity, sum);
            }
            Err(error) => {
                prop_assert!(sum > MAX_QUANTITY);
                prop_assert_eq!(error, LineError::TooMany { sku: "shirt".into() });
            }
        }
    }

    #[test]
    fn what_is_refused_at_a_glance_is_what_a_blank_order_refuses(
        items in vec((0..5usize, prop_oneof![3 => 1..8u32, 1 => 990..1000u32]), 1..4),
        stock in -1..8i64,
        command in order_command(),
    ) {
        let mut shelf = shelf();
        shelf.note_stock(Address::inventory("shirt"), stock, 7);
        let product = |named: usize| match ["shirt", "shoe", "no such"].get(named) {
            Some(sku) => ProductRef::Sku((*sku).into()),
            None => ProductRef::Id(id("product", named - 3)),
        };
        let wanted = items.iter().map(|(sku, units)| Wanted { product: product(*sku), quantity: *units }).collect();
        let place = order::Command::Place {
            source: Source::Items(wanted),
            buyer: Buyer::default(),
            tag: tag(1, 0),
        };
        for command in [place, command] {
            let context = || Context::new(NOW, &shelf, &POLICY);
            let (glance, whole) = (context(), context());
            let refused = Order::sold_out(&command, &glance);
            let decided = Order::blank(id("entity", 0)).decide(command, &whole);
            let short = matches!(
                decided.answer,
                Answer::Reject(Rejection::Order(order::Rejection::OutOfStock { .. }))
            );
            match refused {
                Some(rejection) => {
                    prop_assert_eq!(decided.answer, Answer::Reject(rejection.into()));
                    prop_assert!(decided.events.is_empty() && decided.effects.is_empty());
                    prop_assert!(glance.seen() >= whole.seen(), "waits for all that was looked at");
                }
                // Some merged lines are short though none of what they were merged of is.
                None => prop_assert!(!short || items.len() > 1),
            }
        }
    }
}
