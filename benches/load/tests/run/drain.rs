//! What a run says of the time after its last arrival: it is told by itself, and no rate is of it.

use std::thread::sleep;
use std::time::Duration;

use relampago_load::run::Progress;
use serde_json::json;

use crate::running::run_watched;
use crate::serving::Server;

/// Answers every request after `pause`, one after the other.
fn slow(pause: Duration) -> Server {
    Server::open(move |_| {
        #[expect(clippy::disallowed_methods, reason = "the pause is what this server is for")]
        sleep(pause);
        (200, Vec::new(), json!({}))
    })
}

fn scenario(load: &str) -> String {
    format!(
        r#"
        name = "drain"
        description = "One small request."
        thresholds = ["ok_rate < 8", "count == 10"]
        [[flows]]
        name = "ask"
        [[flows.steps]]
        name = "ask"
        request = "GET /"
        [load]
        {load}
        "#
    )
}

#[test]
fn rates_are_of_the_time_in_which_flows_start() {
    let server = slow(Duration::from_millis(200));
    // Ten arrive in a second, and five are answered in it: the others take another second.
    let load = "mode = \"open\"\narrivals = \"constant\"\nrate = 10\nduration = \"1s\"";
    let (told, progress) = run_watched(&scenario(load), server.address);
    let (all, run) = (&told.all, &told.run);
    assert_eq!((run.duration_s, all.count, all.ok), (1.0, 10, 10), "{told}");
    assert!((0.8..10.0).contains(&run.drain_s), "{told}");
    let drained: u64 = told.steps[0].outcomes.iter().map(|outcome| outcome.drained).sum();
    assert!((4..10).contains(&drained), "{drained} of them ended in the drain: {told}");
    assert_eq!((all.rate, all.ok_rate), ((10 - drained) as f64, (10 - drained) as f64), "{told}");
    assert!(told.thresholds.iter().all(|threshold| threshold.passed), "{told}");
    assert!(told.to_string().contains(" s drain"), "{told}");
    let is_draining = |progress: &Progress| matches!(progress, Progress::Load(load) if load.draining.is_some_and(|flows| flows > 0));
    assert!(progress.iter().any(is_draining), "{progress:#?}");
}

#[test]
fn the_last_flows_of_a_closed_loop_are_drained_too() {
    let server = slow(Duration::from_millis(400));
    let load = "mode = \"closed\"\nclients = 1\nduration = \"1s\"\ndrain = \"50ms\"";
    let (told, _) = run_watched(&scenario(load), server.address);
    assert_eq!((told.run.duration_s, told.all.ok), (1.0, 2), "{told}");
    // The third was under way and had no more than 50 ms, however long its own time-out is.
    assert_eq!((told.all.count, told.all.failed), (3, 1), "{told}");
    assert_eq!(told.all.rate, 2.0, "{told}");
    assert!(told.run.drain_s < 1.0, "{told}");
}

#[test]
fn nothing_is_given_up_that_has_ended() {
    let server = slow(Duration::from_millis(2));
    // Forty at once, and then nobody for as long as they may take on a busy machine.
    let curve = r#"[{ at = "0s", rate = 4000 }, { at = "10ms", rate = 4000 }, { at = "10ms", rate = 0 }, { at = "3s", rate = 0 }]"#;
    let load = format!("mode = \"open\"\narrivals = \"constant\"\ncurve = {curve}\ndrain = \"0s\"");
    let (told, _) = run_watched(&scenario(&load), server.address);
    assert_eq!((told.all.ok, told.all.count), (40, 40), "{told}");
    let given_up = told.events.iter().find(|event| event.text.contains("given up"));
    assert!(given_up.is_none(), "{told}");
}
