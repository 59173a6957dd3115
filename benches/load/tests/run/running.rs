//! Runs a scenario from its text.

use std::cell::RefCell;
use std::net::SocketAddr;

use relampago_load::run::address::Url;
use relampago_load::run::id::RunId;
use relampago_load::run::{self, Options, Progress, Stop};
use relampago_load::scenario;
use relampago_load::scenario::generator::Part;
use relampago_load::summary::Summary;
use relampago_load::{Rng, Target};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

/// The credential of staff in all tests.
pub(crate) const STAFF: &str = "staff-key-of-the-tests";

/// A whole run against a server.
pub(crate) fn options(address: SocketAddr) -> Options {
    let seed = Rng::fresh_seed();
    println!("seed {seed}");
    Options {
        url: Url::parse(&format!("http://{address}")).unwrap(),
        target: Target::new(address),
        api_key: Some(STAFF.into()),
        seed,
        id: RunId::fresh(),
        part: Part { index: 0, of: 1 },
        threads: Some(1),
        start_at: None,
        metrics: None,
        version: "test".into(),
    }
}

/// Runs the scenario of this text against a server, to its end.
pub(crate) fn run_text(text: &str, address: SocketAddr) -> Summary {
    run_with(text, options(address), |_, _| {})
}

/// The same, with what it told meanwhile.
pub(crate) fn run_watched(text: &str, address: SocketAddr) -> (Summary, Vec<Progress>) {
    let told = RefCell::new(Vec::new());
    let summary = run_with(text, options(address), |now, _| told.borrow_mut().push(now.clone()));
    (summary, told.into_inner())
}

/// Runs the scenario of this text; `progress` may say that it is enough.
pub(crate) fn run_with(
    text: &str,
    options: Options,
    progress: impl Fn(&Progress, &watch::Sender<Stop>),
) -> Summary {
    let scenario = scenario::parse("scenario", text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let (stop, stopped) = watch::channel(Stop::No);
    let (_tell, told) = mpsc::channel(1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let running = run::run(&scenario, options, stopped, told, |now| progress(now, &stop));
    runtime.block_on(running).unwrap_or_else(|error| panic!("{error}"))
}
