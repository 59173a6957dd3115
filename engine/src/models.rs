//! Models: parts of the engine under a scheduler that tries many orders of their steps.
//!
//! What runs is the program's own code; [`crate::sync`] lets the model checker see its locks and atomics. A failure
//! prints the schedule. Every atomic counts as sequentially consistent: what weaker orderings allow is not tried.
//! `RELAMPAGO_LONG=1` tries a hundred times as many; `RELAMPAGO_SCHEDULE=...` replays one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod handoff;
mod living;
mod soldout;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Orders that are tried of each model by each scheduler.
const SCHEDULES: usize = 10_000;
/// The same when the long versions are asked for.
const SCHEDULES_LONG: usize = 1_000_000;
/// How often at most a scheduler with priorities (Burckhardt et al., 2010) takes a thread's turn away.
const DEPTH: usize = 4;

/// Tries many orders of a model's steps.
fn explore(model: fn()) {
    if let Ok(schedule) = std::env::var("RELAMPAGO_SCHEDULE") {
        return shuttle::replay(model, &schedule);
    }
    let long = std::env::var_os("RELAMPAGO_LONG").is_some_and(|value| value == "1");
    let schedules = if long { SCHEDULES_LONG } else { SCHEDULES };
    let began = std::time::Instant::now();
    let config = || {
        let mut config = Config::new();
        config.stack_size = 1 << 18;
        config
    };
    let tried = Runner::new(RandomScheduler::new(schedules), config()).run(model)
        + Runner::new(PctScheduler::new(DEPTH, schedules), config()).run(model);
    println!("{tried} schedules in {:?}", began.elapsed());
}
