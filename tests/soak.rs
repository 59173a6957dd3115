//! A shop that is busy for a long time: what it takes of memory is what its orders are known to take, the journal stays
//! as large as it is, and the archive grows by what is cut.
//!
//! Orders are kept, so memory has to grow with them: not whether it grows is looked at, but by how much an order. All
//! else that goes on, refusals, changes of stock, lists, holds that end, has its share of a leak in that figure.

use std::env;
use std::fmt;
use std::time::{Duration, Instant};

use relampago_load::Client;
use relampago_speed::load::{Load, Pace, Scenario, Skus};
use relampago_speed::probe::buy;
use relampago_speed::template::{ADMIN_KEY, Template};
use tokio::task::{JoinSet, spawn_blocking};

use crate::process::{Memory, bytes_below, metric, sum};
use crate::support::{Shop, pass};

const SKUS: u64 = 100;
/// The sku that is sold out from the beginning.
const SOLD_OUT: u64 = 9_000_000;
/// Until everything has happened often enough: reservations end, states are stored, the journal is cut.
const WARM_UP_PART: u32 = 5;
/// Looks at the server after the warm-up.
const LOOKS: u32 = 32;
/// How often memory is looked at between two looks. It goes up and down with every storing of states; the least of it
/// is what stays.
const GLANCE: Duration = Duration::from_secs(1);
/// Fewer orders between the first look and the last say nothing: memory is given back by the page and the batch.
const ENOUGH_ORDERS: f64 = 400_000.0;
/// What an order may leave in memory, bytes: where its snapshot lies, its place in the lists and what its product
/// remembers of it. Between 120,000 and 600,000 orders that was seen to be 144.
const BYTES_AN_ORDER: f64 = 200.0;
/// What an order may leave in the journal's folders, bytes: nothing, but for where the looks fall between two cuts.
const JOURNAL_BYTES_AN_ORDER: f64 = 20.0;
/// What an event takes in the archive, bytes.
const ARCHIVED_BYTES_AN_EVENT: f64 = 60.0;

/// What a server takes at one time.
#[derive(Clone, Copy)]
struct Look {
    memory: Memory,
    /// The least memory of its own since the look before, bytes.
    least: u64,
    journal: u64,
    archive: u64,
    live_events: f64,
    archived_events: f64,
    durable: f64,
    live: f64,
    orders: f64,
}

impl Look {
    /// Watches the server until `moment`, and looks at all of it then.
    async fn at(moment: Instant, shop: &Shop, staff: &mut Client) -> Self {
        let mut least = u64::MAX;
        while Instant::now() < moment {
            least = least.min(Memory::of(shop.process()).anonymous);
            pass(moment.min(Instant::now() + GLANCE)).await;
        }
        let memory = Memory::of(shop.process());
        Self {
            memory,
            least: least.min(memory.anonymous),
            journal: bytes_below(&shop.data().join("journal")) + bytes_below(&shop.data().join("wal")),
            archive: bytes_below(&shop.data().join("archive")),
            live_events: metric(staff, "relampago_journal_live_events").await,
            archived_events: metric(staff, "relampago_journal_archived_events_total").await,
            durable: metric(staff, "relampago_journal_durable_sequence").await,
            live: sum(staff, "relampago_actors_live").await,
            orders: metric(staff, "relampago_orders_listed").await,
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, least, journal, archive, live_events, archived_events, live, orders, .. } = self;
        write!(
            f,
            "{memory}, {} KiB of its own at least; journal {} KiB with {live_events} events, archive {} KiB with \
            {archived_events}; {orders} orders, {live} entities live",
            least >> 10,
            journal >> 10,
            archive >> 10
        )
    }
}

/// What goes on all the time, each at its rate, `times` over: purchases that expire, refusals, changes of the stock,
/// looks.
fn business(times: f64) -> Vec<(Scenario, f64)> {
    let adjust = |delta: i64| {
        let body = format!(r#"{{"delta":{delta},"reason":"delivery"}}"#);
        Template::post_without_key("/api/v1/inventory/SKU-{sku}/adjustments", &body)
    };
    let any = Skus::RandomBelow(SKUS);
    let business = vec![
        (Scenario { steps: vec![buy()], skus: any }, 500.0),
        (Scenario { steps: vec![buy()], skus: Skus::One(SOLD_OUT) }, 200.0),
        (Scenario { steps: vec![adjust(1), adjust(-1)], skus: any }, 20.0),
        (Scenario { steps: vec![Template::get("/api/v1/products?limit=20")], skus: any }, 100.0),
    ];
    business.into_iter().map(|(scenario, rate)| (scenario, rate * times)).collect()
}

#[tokio::test]
async fn nothing_grows_but_what_is_kept() {
    let Ok(seconds) = env::var("RELAMPAGO_SOAK") else {
        println!("skipped: RELAMPAGO_SOAK=1200 soaks for twenty minutes");
        return;
    };
    let length = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let times = env::var("RELAMPAGO_SOAK_TIMES").map_or(1.0, |times| times.parse().expect("a number"));
    let settings = [("AUTH__BOOTSTRAP_API_KEY", ADMIN_KEY), ("ORDERS__RESERVATION_TTL", "20s")];
    let shop = Shop::open_alone(&settings).await;
    let mut staff = Client::staff(shop.target.clone(), ADMIN_KEY);
    stock(&shop).await;

    let began = Instant::now();
    let mut busy = JoinSet::new();
    for (scenario, rate) in business(times) {
        let address = shop.address();
        busy.spawn_blocking(move || {
            let mut load = Load::connect(address, &scenario, 8, Pace::PerSecond(rate))?;
            load.run_for(length)?;
            load.finish()
        });
    }
    let warm = length / WARM_UP_PART;
    let mut looks = Vec::new();
    pass(began + warm).await;
    for look in 1..=LOOKS {
        let moment = began + warm + (length - warm) * look / LOOKS;
        let now = Look::at(moment, &shop, &mut staff).await;
        println!("{:>5} s: {now}", began.elapsed().as_secs());
        looks.push(now);
    }
    for ended in busy.join_all().await {
        let outcome = ended.unwrap();
        assert_eq!(outcome.with_status(503), 0, "{:?}", outcome.statuses);
    }
    assert_level(&looks);
}

async fn stock(shop: &Shop) {
    for (first, count, units) in [(0, SKUS, 1_000_000_000), (SOLD_OUT, 1, 0)] {
        let body =
            format!(r#"{{"name":"Item","sku":"SKU-{{sku}}","price":"19.99","stock_quantity":{units}}}"#);
        let scenario =
            Scenario { steps: vec![Template::post("/api/v1/products", &body)], skus: Skus::From(first) };
        let address = shop.address();
        let stocked = spawn_blocking(move || Load::connect(address, &scenario, 1, Pace::Closed)?.run(count));
        assert_eq!(stocked.await.unwrap().unwrap().with_status(201), count);
    }
}

fn assert_level(looks: &[Look]) {
    let (first, last) = (looks[0], looks[looks.len() - 1]);
    let orders = last.orders - first.orders;
    let an_order = |figure: fn(&Look) -> u64| {
        slope(&looks.iter().map(|look| (look.orders, figure(look) as f64)).collect::<Vec<_>>())
    };
    let (memory, journal) = (an_order(|look| look.least), an_order(|look| look.journal));
    let events = last.archived_events - first.archived_events;
    let archived = (last.archive - first.archive) as f64 / events;
    println!(
        "at the start: {first}\nat the end:   {last}\n{orders} orders more: {memory:.0} bytes of memory an order (at most \
         {BYTES_AN_ORDER}), {journal:.1} of the journal (at most {JOURNAL_BYTES_AN_ORDER}); {events} events were \
         archived, {archived:.1} bytes each"
    );
    // What was cut is in the archive, and the rest in the journal: a few are on their way.
    let kept = last.archived_events + last.live_events;
    assert!((kept - last.durable).abs() <= last.durable / 100.0, "{kept} events of {}", last.durable);
    assert!(events > 0.0 && archived > 0.0 && archived <= ARCHIVED_BYTES_AN_EVENT, "{first}\n{last}");
    if orders < ENOUGH_ORDERS {
        println!("that is too short to tell what an order takes: {ENOUGH_ORDERS} orders are enough");
        return;
    }
    assert!(memory <= BYTES_AN_ORDER, "{memory} bytes of memory an order");
    assert!(journal <= JOURNAL_BYTES_AN_ORDER, "{journal} bytes of the journal an order");
}

/// How fast the second of each pair grows with the first: the median over every two points (Theil and Sen), which a
/// few that stick out do not move.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::new();
    for (number, (x, y)) in points.iter().enumerate() {
        slopes
            .extend(points[..number].iter().filter(|(before, _)| before < x).map(|(a, b)| (y - b) / (x - a)));
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or_default()
}

/// A hundred bytes an order more than there should be are noticed, whatever the allocator does meanwhile.
#[test]
fn a_hundred_bytes_an_order_are_noticed() {
    let looks = |an_order: f64| {
        let look = |number: u32| {
            let orders = f64::from(number) * 15_000.0;
            // Up and down by twelve megabytes, and once by thirty.
            let comes_and_goes = f64::from(number * 5 % 7) * 2e6 + f64::from(u32::from(number == 9)) * 30e6;
            (orders, 150e6 + orders * an_order + comes_and_goes)
        };
        (1..=LOOKS).map(look).collect::<Vec<_>>()
    };
    assert!(slope(&looks(144.0)) < BYTES_AN_ORDER, "{}", slope(&looks(144.0)));
    assert!(slope(&looks(244.0)) > BYTES_AN_ORDER, "{}", slope(&looks(244.0)));
    assert!(slope(&[(1.0, 1.0), (1.0, 2.0)]).abs() < f64::EPSILON);
}
