//! A shop that is busy for a long time: what it takes of memory and disk is what its orders are known to take, the
//! journal stays as large as it is, and the archive grows by what is cut.

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
const LOOKS: u32 = 16;
/// What an order may leave in memory, bytes: where its snapshot lies, its place in the lists and what its product
/// remembers of it, with the room that growing tables keep.
const BYTES_AN_ORDER: u64 = 500;
/// What may come and go with allocator and caches, bytes.
const SLACK: u64 = 48 << 20;

/// What a server takes at one time.
#[derive(Clone, Copy)]
struct Look {
    memory: Memory,
    journal: u64,
    archive: u64,
    live_events: f64,
    archived_events: f64,
    live: f64,
    orders: f64,
}

impl Look {
    async fn at(shop: &Shop, staff: &mut Client) -> Self {
        Self {
            memory: Memory::of(shop.process()),
            journal: bytes_below(&shop.data().join("journal")) + bytes_below(&shop.data().join("wal")),
            archive: bytes_below(&shop.data().join("archive")),
            live_events: metric(staff, "relampago_journal_live_events").await,
            archived_events: metric(staff, "relampago_journal_archived_events_total").await,
            live: sum(staff, "relampago_actors_live").await,
            orders: metric(staff, "relampago_orders_listed").await,
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, journal, archive, live_events, archived_events, live, orders } = self;
        write!(
            f,
            "{memory}; journal {} MiB with {live_events} events, archive {} KiB with {archived_events}; {orders} orders, \
            {live} entities live",
            journal >> 20,
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
        (Scenario { steps: vec![buy()], skus: any }, 100.0),
        (Scenario { steps: vec![buy()], skus: Skus::One(SOLD_OUT) }, 100.0),
        (Scenario { steps: vec![adjust(1), adjust(-1)], skus: any }, 10.0),
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
    for look in 0..=LOOKS {
        pass(began + warm + (length - warm) * look / LOOKS).await;
        let now = Look::at(&shop, &mut staff).await;
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
    let grown = last.memory.resident.saturating_sub(first.memory.resident);
    println!("memory: {} KiB more after {orders} orders more", grown >> 10);
    assert!(grown <= orders as u64 * BYTES_AN_ORDER + SLACK, "{first}\n{last}");

    let most = |looks: &[Look]| looks.iter().map(|look| look.journal).max().unwrap_or(0);
    let (early, late) = looks.split_at(looks.len() / 2);
    println!(
        "journal: {} MiB at most in the first half, {} MiB in the second",
        most(early) >> 20,
        most(late) >> 20
    );
    assert!(most(late) <= most(early) + most(early) / 2 + SLACK, "{first}\n{last}");
    assert!(last.archived_events > first.archived_events, "nothing was cut: {last}");
    assert!(last.archive > first.archive, "{first}\n{last}");
}
