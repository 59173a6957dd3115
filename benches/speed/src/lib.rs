//! The speed comparison: what a durable checkout costs here, and what it would cost elsewhere.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`template`], [`answer`] | requests that are only filled in, answers that are only looked at |
//! | [`load`], [`outcome`] | the load generator, one thread; what it was answered |
//! | [`process`], [`postgres`], [`server`] | what is compared: built, started, ended |
//! | [`usage`], [`disk`] | cores, memory and disk, as the kernel counts them |
//! | [`cores`] | who may use which core |
//! | [`probe`] | one measurement of one server |
//! | [`rounds`], [`spread`] | many of them side by side, and what they amount to |
//! | [`long`] | what takes a shop with many orders to see |
//! | [`targets`], [`compare`] | `--bench speed`: all figures against their targets |
//! | [`overload`] | `--bench overload`: more than can be served, and clients that only hold connections |
//! | [`curves`], [`chart`] | `--bench curves`: one axis at a time, as tables and pictures |
//!
//! The servers under comparison are known by their HTTP interface and nothing else.

pub mod answer;
pub mod chart;
pub mod compare;
pub mod cores;
pub mod curves;
pub mod disk;
pub mod load;
pub mod long;
pub mod outcome;
pub mod overload;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod rounds;
pub mod server;
pub mod spread;
pub mod targets;
pub mod template;
pub mod usage;

use std::time::Duration;

/// Why a comparison cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    /// A file, a socket or a process failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A server ended or said nothing instead of getting ready.
    #[error("{0} does not get ready")]
    NotReady(String),
    /// A program does not build.
    #[error("{0} does not build")]
    NotBuilt(String),
    /// PostgreSQL failed.
    #[error("PostgreSQL: {0}")]
    Database(String),
    /// The engine does not publish this figure.
    #[error("/metrics does not show {0}")]
    NoMetric(String),
    /// A figure stayed too high.
    #[error("{0} does not go down")]
    NotSettled(String),
    /// A server answered what it must not.
    #[error("{0}")]
    Wrong(String),
    /// A picture cannot be drawn.
    #[error("a picture cannot be drawn: {0}")]
    Picture(String),
}

/// Waits for something outside of this process that cannot tell.
pub(crate) fn pause(length: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "other processes are watched from outside, by looking again"
    )]
    std::thread::sleep(length);
}
