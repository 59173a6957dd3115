#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
const ANA: u128 = 1;

fn elsewhere(number: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn fail(throttle: &Throttle, account: u128, source: IpAddr, now_ms: u64) {
    let attempt = throttle.check(account, source, now_ms).unwrap();
    throttle.failed(attempt, now_ms);
}

fn wait_ms(throttle: &Throttle, account: u128, source: IpAddr, now_ms: u64) -> Option<u128> {
    match throttle.check(account, source, now_ms) {
        Ok(attempt) => {
            throttle.withdrawn(attempt);
            None
        }
        Err(wait) => Some(wait.retry_after.as_millis()),
    }
}

#[test]
fn waits_double_after_five_failures_up_to_a_quarter_of_an_hour() {
    let throttle = Throttle::new();
    let mut now_ms = 1_000_000;
    for _ in 0..5 {
        assert_eq!(wait_ms(&throttle, ANA, HERE, now_ms), None);
        fail(&throttle, ANA, HERE, now_ms);
    }
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        assert_eq!(wait_ms(&throttle, ANA, HERE, now_ms), Some(seconds * 1000));
        now_ms += seconds as u64 * 1000;
        assert_eq!(wait_ms(&throttle, ANA, HERE, now_ms - 1), Some(1));
        fail(&throttle, ANA, HERE, now_ms);
    }
}

#[test]
fn a_refused_try_does_not_lengthen_the_wait() {
    let throttle = Throttle::new();
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, 0));
    for now_ms in 0..1000 {
        assert_eq!(wait_ms(&throttle, ANA, HERE, now_ms), Some(1000 - u128::from(now_ms)));
    }
    assert_eq!(wait_ms(&throttle, ANA, HERE, 1000), None);
}

#[test]
fn the_wait_begins_when_the_answer_is_known() {
    let throttle = Throttle::new();
    (0..4).for_each(|_| fail(&throttle, ANA, HERE, 0));
    let slow = throttle.check(ANA, HERE, 0).unwrap();
    throttle.failed(slow, 700);
    assert_eq!(wait_ms(&throttle, ANA, HERE, 1000), Some(700));
}

#[test]
fn nobody_locks_others_out() {
    let throttle = Throttle::new();
    for number in 0..1000 {
        fail(&throttle, ANA, elsewhere(number), 0);
    }
    (0..4).for_each(|_| fail(&throttle, ANA, elsewhere(0), 0));
    assert!(wait_ms(&throttle, ANA, elsewhere(0), 0).is_some());
    assert_eq!(wait_ms(&throttle, ANA, HERE, 0), None);
    assert_eq!(wait_ms(&throttle, 2, elsewhere(0), 0), None);
}

#[test]
fn success_clears_the_pair_but_not_the_source() {
    let throttle = Throttle::new();
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, 0));
    throttle.succeeded(throttle.check(ANA, HERE, 1000).unwrap());
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, 1000));
    assert!(wait_ms(&throttle, ANA, HERE, 1000).is_some());
    for account in 100..190 {
        // An account of one's own between two guesses does not help.
        throttle.succeeded(throttle.check(99, HERE, 2000).unwrap());
        fail(&throttle, account, HERE, 2000);
    }
    assert_eq!(wait_ms(&throttle, 99, HERE, 2000), Some(u128::from(SOURCE_WINDOW_MS) - 2000));
}

#[test]
fn a_source_has_a_hundred_failures_in_a_quarter_of_an_hour() {
    let throttle = Throttle::new();
    for account in 0..100 {
        fail(&throttle, account, HERE, u64::try_from(account).unwrap() * 8000);
    }
    let now_ms = 800_000;
    assert_eq!(wait_ms(&throttle, 1000, HERE, now_ms), Some(100_000));
    assert_eq!(wait_ms(&throttle, 1000, elsewhere(1), now_ms), None);
    assert_eq!(wait_ms(&throttle, 1000, HERE, now_ms + 100_000), None);
}

#[test]
fn a_success_of_an_earlier_window_takes_nothing_from_this_one() {
    let throttle = Throttle::new();
    let slow = throttle.check(ANA, HERE, 0).unwrap();
    (0..100).for_each(|account| fail(&throttle, account, HERE, SOURCE_WINDOW_MS));
    throttle.succeeded(slow);
    assert!(wait_ms(&throttle, 1000, HERE, SOURCE_WINDOW_MS).is_some());
}

#[test]
fn a_storm_at_once_gets_no_further_than_one_by_one() {
    let throttle = Arc::new(Throttle::new());
    let passed = Arc::new(AtomicUsize::new(0));
    let storm: Vec<_> = (0..8)
        .map(|_| {
            let (throttle, passed) = (Arc::clone(&throttle), Arc::clone(&passed));
            thread::spawn(move || {
                for _ in 0..100 {
                    // Dropped, as by a client that hangs up: it counts.
                    if throttle.check(ANA, HERE, 0).is_ok() {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    storm.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(passed.load(Ordering::Relaxed), 5);
}

#[test]
fn what_we_withdraw_is_not_counted() {
    let throttle = Throttle::new();
    for _ in 0..1000 {
        throttle.withdrawn(throttle.check(ANA, HERE, 0).unwrap());
    }
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, 0));
    assert_eq!(wait_ms(&throttle, ANA, HERE, 0), Some(1000));
}

#[test]
fn a_network_of_ipv6_is_one_source() {
    let throttle = Throttle::new();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    for host in 1..=5 {
        fail(&throttle, ANA, address(&format!("2001:db8:0:1::{host}")), 0);
    }
    assert!(wait_ms(&throttle, ANA, address("2001:db8:0:1:ffff::1"), 0).is_some());
    assert_eq!(wait_ms(&throttle, ANA, address("2001:db8:0:2::1"), 0), None);
    assert_eq!(network(address("::ffff:203.0.113.7")), HERE);
}

#[test]
fn a_day_without_a_try_is_forgotten() {
    let throttle = Throttle::new();
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, 0));
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, FORGOTTEN_AFTER_MS));
    assert_eq!(wait_ms(&throttle, ANA, HERE, FORGOTTEN_AFTER_MS), Some(1000));
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let throttle = Throttle::with_capacity(100);
    (0..5).for_each(|_| fail(&throttle, ANA, HERE, 0));
    for number in 0..49 {
        fail(&throttle, ANA, elsewhere(number), 0);
    }
    assert!(wait_ms(&throttle, ANA, HERE, 0).is_some());
    for number in 0..10_000 {
        fail(&throttle, ANA, elsewhere(number), 0);
        let counts = throttle.counts.lock();
        assert!(counts.pairs.young.len() + counts.pairs.old.len() <= 100);
        assert!(counts.sources.young.len() + counts.sources.old.len() <= 100);
    }
    assert_eq!(wait_ms(&throttle, ANA, HERE, 0), None);
}
