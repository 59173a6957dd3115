//! Who has an account stays unknown to who asks: neither what is answered tells it, nor how long that takes.

use std::time::{Duration, Instant};

use relampago_load::{Answer, Client, Request, Rng};
use serde_json::json;

use super::{stranger, told};
use crate::api::{post, send};
use crate::people_support::{PASSWORD, login, register};
use crate::support::{Shop, seed};

const RESET: &str = "/api/v1/auth/password/reset";
/// Two distributions are told apart by who guesses right this often; chance is 0.5. A sign-in that compared no
/// password for some of them would be at 1. So few samples keep chance itself within.
const TELLING: f64 = 0.85;

/// Somebody at a place of their own whose connection is open: what opening it costs would be the first sample's.
async fn connected(shop: &Shop, number: usize) -> Client {
    let mut client = stranger(shop, number);
    assert_eq!(send(&mut client, Request::get("/livez")).await.code(), 200);
    client
}

/// In another order each time: a fixed one would make who comes first look different.
fn shuffled<const N: usize>(rng: &mut Rng) -> [usize; N] {
    let mut order = std::array::from_fn(|index| index);
    for last in (1..N).rev() {
        let other = rng.below(last as u64 + 1);
        order.swap(last, usize::try_from(other).expect("an index"));
    }
    order
}

async fn reset(client: &mut Client, email: &str) -> Answer {
    post(client, RESET, json!({ "email": email })).await
}

#[tokio::test]
async fn answers_do_not_tell_who_has_an_account() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    register(&mut guest, "Ana", "ana@example.com", Some(PASSWORD)).await;
    register(&mut guest, "Juan", "juan@example.com", None).await;
    let unknown = login(&mut guest, "nobody@example.com", "wrong horse 9").await;
    assert_eq!(unknown.code(), 401);
    for known in ["ana@example.com", "juan@example.com", "ANA@EXAMPLE.COM"] {
        assert_eq!(told(&login(&mut guest, known, "wrong horse 9").await), told(&unknown), "{known}");
    }
    let unknown = reset(&mut guest, "nobody@example.com").await;
    assert_eq!(unknown.code(), 202);
    // Twice: the second time the mail was just sent.
    for known in ["ana@example.com", "juan@example.com", "ana@example.com"] {
        assert_eq!(told(&reset(&mut guest, known).await), told(&unknown), "{known}");
    }
}

#[tokio::test]
async fn times_of_sign_ins_do_not_tell_who_has_an_account() {
    const SAMPLES: usize = 40;
    let shop = Shop::open_alone(&[]).await;
    let mut guest = shop.guest();
    register(&mut guest, "Ana", "ana@example.com", Some(PASSWORD)).await;
    register(&mut guest, "Juan", "juan@example.com", None).await;
    let mut rng = Rng::new(seed());
    let mut times = [const { Vec::new() }; 3];
    for number in 0..SAMPLES {
        // Each from a place that has not failed before.
        let mut client = connected(&shop, number).await;
        let nobody = format!("nobody{number}@example.com");
        let emails = ["ana@example.com", &nobody, "juan@example.com"];
        for who in shuffled::<3>(&mut rng) {
            let began = Instant::now();
            let answer = login(&mut client, emails[who], "wrong horse 9").await;
            times[who].push(began.elapsed());
            assert_eq!(answer.code(), 401, "{}", answer.problem());
        }
    }
    let [known, unknown, profile] = &mut times;
    assert_alike("sign-in: an account and nobody", known, unknown);
    assert_alike("sign-in: a guest profile and nobody", profile, unknown);
}

#[tokio::test]
async fn times_of_resets_do_not_tell_who_has_an_account() {
    const SAMPLES: usize = 24;
    let shop = Shop::open_alone(&[]).await;
    let mut guest = shop.guest();
    for number in 0..SAMPLES {
        register(&mut guest, "Juan", &format!("juan{number}@example.com"), None).await;
    }
    let mut rng = Rng::new(seed());
    let mut times = [const { Vec::new() }; 2];
    for number in 0..SAMPLES {
        let mut client = connected(&shop, number).await;
        for who in shuffled::<2>(&mut rng) {
            let name = ["juan", "nobody"][who];
            let began = Instant::now();
            let answer = reset(&mut client, &format!("{name}{number}@example.com")).await;
            times[who].push(began.elapsed());
            assert_eq!(answer.code(), 202, "{}", answer.problem());
        }
    }
    let [known, unknown] = &mut times;
    assert_alike("reset: an account and nobody", known, unknown);
}

/// Neither the medians nor the ranks tell one from the other.
fn assert_alike(what: &str, one: &mut [Duration], other: &mut [Duration]) {
    let auc = chance_to_tell(one, other);
    one.sort();
    other.sort();
    let (median, others) = (one[one.len() / 2], other[other.len() / 2]);
    println!("{what}: medians {median:?} and {others:?}, AUC {auc:.2} ({} samples each)", one.len());
    assert!((1.0 - TELLING..=TELLING).contains(&auc), "{what}: AUC {auc:.2}, {one:?} against {other:?}");
    let ratio = median.as_secs_f64() / others.as_secs_f64();
    assert!((0.5..=2.0).contains(&ratio), "{what}: medians {median:?} and {others:?}");
}

/// How often one of the first took longer than one of the others: the area under the curve of who guesses by time.
fn chance_to_tell(one: &[Duration], other: &[Duration]) -> f64 {
    let wins = |a: &Duration, b: &Duration| match a.cmp(b) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let total: f64 = one.iter().flat_map(|a| other.iter().map(move |b| wins(a, b))).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand pairs")]
    let pairs = (one.len() * other.len()) as f64;
    total / pairs
}
