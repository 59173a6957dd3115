//! Runs a scenario from its text.

use std::net::SocketAddr;

use relampago_load::run::address::Url;
use relampago_load::run::{self, Options, Progress};
use relampago_load::scenario;
use relampago_load::scenario::generator::Part;
use relampago_load::summary::Summary;
use relampago_load::{Rng, Target};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

/// The credential of staff in all tests.
pub(crate) const STAFF: &str = "staff-key-of-the-tests";

/// Runs the scenario of this text against a server, to its end.
pub(crate) fn run_text(text: &str, address: SocketAddr) -> Summary {
    run_watched(text, address).0
}

/// The same, with what it told meanwhile.
pub(crate) fn run_watched(text: &str, address: SocketAddr) -> (Summary, Vec<Progress>) {
    let scenario = scenario::parse("scenario", text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let seed = Rng::fresh_seed();
    println!("seed {seed}");
    let options = Options {
        url: Url::parse(&format!("http://{address}")).unwrap(),
        target: Target::new(address),
        api_key: Some(STAFF.into()),
        seed,
        part: Part { index: 0, of: 1 },
        threads: Some(1),
        start_at: None,
        metrics: None,
        version: "test".into(),
    };
    let (_stop, stopped) = watch::channel(false);
    let (_tell, told) = mpsc::channel(1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut progress = Vec::new();
    let running = run::run(&scenario, options, stopped, told, |now| progress.push(now.clone()));
    let summary = runtime.block_on(running).unwrap_or_else(|error| panic!("{error}"));
    (summary, progress)
}
