//! Coordinated omission: a server that stands still for a second is found out by the open loop, and hidden by the
//! closed one.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use relampago_load::summary::Summary;
use serde_json::json;

use crate::running;
use crate::serving::Server;

const STALL: Duration = Duration::from_secs(1);

/// Stands still once, as a server does whose disk hangs: it answers on one thread.
fn stalling() -> Server {
    let began = Mutex::new(None::<Instant>);
    let stalled = Mutex::new(false);
    Server::open(move |_| {
        let now = Instant::now();
        let began = *began.lock().unwrap().get_or_insert(now);
        let mut stalled = stalled.lock().unwrap();
        if !*stalled && now - began >= Duration::from_secs(1) {
            *stalled = true;
            #[expect(clippy::disallowed_methods, reason = "the stall is what this server is for")]
            std::thread::sleep(STALL);
        }
        (200, Vec::new(), json!({}))
    })
}

fn loaded(server: &Server, load: &str) -> Summary {
    asked(server, "", load)
}

/// `rules` are added to the step.
fn asked(server: &Server, rules: &str, load: &str) -> Summary {
    let text = format!(
        r#"
        name = "stall"
        description = "One small request."
        [[flows]]
        name = "ask"
        [[flows.steps]]
        name = "ask"
        request = "GET /"
        {rules}
        [load]
        {load}
        "#
    );
    running::run_text(&text, server.address)
}

#[test]
fn the_open_loop_shows_a_stall_that_the_closed_loop_hides() {
    let server = stalling();
    let open = loaded(
        &server,
        "mode = \"open\"\narrivals = \"constant\"\nrate = 200\nduration = \"3s\"\nconnections = 64",
    );
    let all = &open.steps[0].all;
    assert_eq!((all.count, all.failed), (600, 0), "{open}");
    // Of 600 requests, the 200 of the stalled second waited: half of them half a second or more. So p99 is close to
    // the whole stall, and so is what wrk2 would say: the k-th of n that wait T is answered after T·(1 - k/n).
    let expected = STALL.as_micros() as u64;
    assert!(all.latency.p99.unwrap() >= expected * 90 / 100, "p99: {:?}\n{open}", all.latency.p99);
    assert!(all.latency.p90.unwrap() >= expected / 2, "p90: {:?}", all.latency.p90);
    assert!(all.latency.p50.unwrap() < expected / 4, "p50: {:?}", all.latency.p50);

    let server = stalling();
    let closed = loaded(&server, "mode = \"closed\"\nclients = 4\nduration = \"2s\"");
    let all = &closed.steps[0].all;
    // The same stall: four requests met it, however many it kept from being sent.
    assert!(all.latency.max.unwrap() >= expected * 90 / 100, "max: {:?}\n{closed}", all.latency.max);
    assert!(all.latency.p99.unwrap() < expected / 4, "p99: {:?}\n{closed}", all.latency.p99);
}

#[test]
fn who_is_turned_away_and_comes_again_has_waited_since_the_first_try() {
    let turned_away = Mutex::new(2);
    let server = Server::open(move |_| {
        let mut turned_away = turned_away.lock().unwrap();
        let status = if *turned_away > 0 { 503 } else { 200 };
        *turned_away -= i32::from(status == 503);
        (status, Vec::new(), json!({}))
    });
    let rules = "retry = { on = [\"503\"], most = 5, wait = \"100ms\" }";
    let told = asked(&server, rules, "mode = \"closed\"\nclients = 1\nduration = \"5s\"\nflows = 1");
    let outcome = |name: &str| told.steps[0].outcomes.iter().find(|known| known.outcome == name).unwrap();
    assert_eq!((outcome("503").count, outcome("200").count), (2, 1), "{told}");
    assert!(outcome("200").latency.max.unwrap() >= 200_000, "{told}");
    assert!(told.load.lateness.percentiles.max.unwrap() < 100_000, "the generator was on time: {told}");
}

#[test]
fn a_run_in_which_nothing_succeeds_has_not_passed() {
    let server = Server::open(|_| (422, Vec::new(), json!({})));
    let told = loaded(&server, "mode = \"closed\"\nclients = 1\nduration = \"5s\"\nflows = 3");
    assert_eq!(told.headline(), "FAILED: stall: none of 3 requests was a success", "{told}");
    assert_eq!(told.exit() as u8, 5);
}
