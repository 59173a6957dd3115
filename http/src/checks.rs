//! What is looked at before the server says that it takes work.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::app::App;

/// A disk that keeps an event waiting for so long is as good as none.
const STALLED: Duration = Duration::from_secs(5);
/// More events in no snapshot make the next start slow; the engine itself lets no more than this come about by size.
const FAR_BEHIND: u64 = 5_000_000;
/// Less room than this is soon gone, bytes.
const LITTLE_ROOM: u64 = 1 << 30;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Well,
    /// Work is taken all the same.
    LookAt,
    NotReady,
}

/// One check, as people read it.
#[derive(Debug)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    detail: String,
}

/// All checks.
#[derive(Debug)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Makes them.
    pub(crate) fn of(app: &App) -> Self {
        let health = app.engine.health();
        let (in_flight, most) = app.admission.in_flight();
        let unless = |well: bool, else_: Outcome| if well { Outcome::Well } else { else_ };
        let check = |name, outcome, detail| Check { name, outcome, detail };
        let free = disk_free(&app.data);
        Self(vec![
            check("recovery", Outcome::Well, format!("took {} ms", health.recovery.as_millis())),
            check(
                "engine",
                unless(health.ready, Outcome::NotReady),
                health.failure.unwrap_or_else(|| "runs".to_owned()),
            ),
            check(
                "journal",
                unless(health.waiting < STALLED, Outcome::NotReady),
                format!(
                    "durable up to {}; the oldest event has waited {} ms for the disk",
                    health.durable,
                    health.waiting.as_millis()
                ),
            ),
            check(
                "admission",
                unless(in_flight < most, Outcome::LookAt),
                format!("{in_flight} of {most} requests under way"),
            ),
            check(
                "snapshots",
                unless(health.snapshot_lag < FAR_BEHIND, Outcome::LookAt),
                format!("a start carries out {} events again", health.snapshot_lag),
            ),
            check(
                "stock",
                unless(health.units_at_fault == 0, Outcome::LookAt),
                format!("orders and inventories disagree about {} units", health.units_at_fault),
            ),
            check(
                "disk",
                unless(free.is_none_or(|free| free >= LITTLE_ROOM), Outcome::LookAt),
                free.map_or_else(|| "room unknown".to_owned(), |free| format!("{} MiB free", free >> 20)),
            ),
        ])
    }

    /// Whether the server takes work.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.iter().all(|check| check.outcome != Outcome::NotReady)
    }
}

/// A line each.
impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome, detail } in &self.0 {
            let sign = match outcome {
                Outcome::Well => '+',
                Outcome::LookAt => '!',
                Outcome::NotReady => '-',
            };
            writeln!(f, "[{sign}] {name}: {detail}")?;
        }
        Ok(())
    }
}

/// Room left for us on the file system of a folder, bytes.
pub(crate) fn disk_free(folder: &Path) -> Option<u64> {
    let room = rustix::fs::statvfs(folder).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}
