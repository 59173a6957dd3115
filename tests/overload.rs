//! More than the server can serve, without a clock: `cargo bench -p relampago-benches --bench overload` has the figures.

use std::fs;

use relampago_load::Request;
use tokio::task::JoinSet;

use crate::api::{expect, key, problem, product, purchase, send, units};
use crate::failing_disk::Faults;
use crate::support::{Shop, eventually};

/// Requests that are worked on at once.
const PLACES: &str = "8";
const SHOPPERS: i64 = 64;
const ROUNDS: usize = 5;

/// On a slow disk a few fill the server. The rest is told at once, and when to come again; whoever does is served.
#[tokio::test]
async fn who_finds_no_place_is_told_to_come_again_and_is_served_then() {
    let mut shop = Shop::open(&[("SERVER__MAX_IN_FLIGHT", PLACES)]).await;
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    product(&mut shop.staff(), "BOLT", "1.00", SHOPPERS).await;
    faults.begin("fdatasync / delay 300");
    let mut shopping = JoinSet::new();
    for _ in 0..SHOPPERS {
        let mut guest = shop.guest();
        shopping.spawn(async move {
            let request = purchase("BOLT", 1).key(&key());
            let (mut refused, mut bought) = (0, false);
            for _ in 0..ROUNDS {
                let answer = send(&mut guest, request.clone()).await;
                if answer.code() == 201 {
                    bought = true;
                    break;
                }
                let body = problem(&answer, 503, "overloaded");
                let seconds = answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
                assert!(seconds.is_some_and(|seconds| seconds > 0) && body["retryable"] == true, "{body}");
                refused += 1;
            }
            (request, refused, bought)
        });
    }
    // Whoever only asks whether it lives has a place.
    for _ in 0..ROUNDS {
        expect(&send(&mut shop.guest(), Request::get("/health")).await, 200);
    }
    let shopped = shopping.join_all().await;
    let refused: usize = shopped.iter().map(|(_, refused, _)| refused).sum();
    println!("{refused} refusals, {} bought at once", shopped.iter().filter(|(.., bought)| *bought).count());
    assert!(refused > 0, "everybody found a place");
    eventually("the log tells of the refusals together", async || {
        let log = fs::read_to_string(shop.log()).expect("the server's log");
        log.contains("overloaded: requests were refused").then_some(())
    })
    .await;

    faults.end();
    for (request, ..) in shopped {
        expect(&send(&mut shop.guest(), request).await, 201);
    }
    assert_eq!(units(&mut shop.staff(), "BOLT").await, (0, SHOPPERS, 0));
}
