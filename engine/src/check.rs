//! Verifies a data folder that no node runs on: everything is read, replayed, and its books are balanced.
//!
//! * `history`: the events in order, and every snapshot beside the replay of its entity's events
//! * `replica`: an entity that is replayed, and what no event may do to it
//! * `books`: what inventories hold and sold beside what orders say of it
//! * `report`: what was found

mod books;
mod history;
mod replica;
mod report;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use relampago_actors::Sequence;
use relampago_keys::Keys;
use relampago_snapshots::{Journal, JournalId, Offline, SnapshotStore, StorageError};

pub use report::{CheckReport, Fault, OrderCounts, SnapshotCounts, StockTotals};

use crate::api::remedy_of;
use crate::start::{VAULT, refuse_older_vault};
use history::History;

/// Where the key ring is unless the settings name another place.
const RING: &str = "keys.json";

/// What to do about a file that is missing or damaged.
const RESTORE: &str = "restore the data folder as a whole from a backup";

/// Verifies the data folder `dir` on a private copy in `scratch`, or beside `dir`; nothing in `dir` is changed.
/// What is wrong with the data stands in the report. The key ring is read in place: `ring`, or the one in `dir` if
/// there is one.
///
/// # Errors
/// If it could not be checked: [`StorageError::NoData`], [`StorageError::InUse`], [`StorageError::NoRoom`], or a
/// file that cannot be copied.
pub fn check(dir: &Path, scratch: Option<&Path>, ring: Option<&Path>) -> Result<CheckReport, StorageError> {
    let mut report = CheckReport::default();
    let offline = match Offline::open(dir, scratch) {
        Ok(offline) => offline,
        Err(error) if is_fault(&error) => {
            report.found(Fault::in_storage(error.to_string()));
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.journal = JournalId(offline.identity().journal_id).to_string();
    for error in offline.archive_faults() {
        report.found(Fault::in_storage(offline.in_place(&error)));
    }
    let store = opened(&offline, offline.store(), &mut report)?;
    let journal = opened(&offline, offline.journal(), &mut report)?;
    if let Some((journal, opened)) = journal {
        report.torn_record = opened.dropped_torn;
        let store = store.as_ref().map(|store| store as &dyn SnapshotStore);
        check_keys(dir, ring, &offline, (journal.last(), store), &mut report)?;
        let oldest = if report.faults.is_empty() { offline.oldest_archived() } else { None };
        let oldest = oldest.unwrap_or(journal.first());
        check_content(&journal, store, oldest, &|error| offline.in_place(error), &mut report);
    }
    Ok(report)
}

/// Replays a journal from event `oldest` on, beside the snapshots of `store` if it could be opened.
fn check_content(
    journal: &dyn Journal,
    store: Option<&dyn SnapshotStore>,
    oldest: Sequence,
    in_place: &dyn Fn(&dyn std::fmt::Display) -> String,
    report: &mut CheckReport,
) {
    (report.first, report.last) = (oldest, journal.last());
    let mut history = History::new(store, oldest == 1);
    let read = history.index(journal.last(), report).and_then(|()| history.replay(journal, oldest, report));
    match read {
        // Without the snapshots, what lies below the oldest event is unknown: books would not balance.
        Ok(()) if store.is_some() || oldest == 1 => {
            let balanced = history.balance(report);
            if let Err(error) = balanced {
                report.found(Fault::in_storage(in_place(&error)));
            }
        }
        Ok(()) => {}
        Err(error) => report.found(Fault::in_storage(in_place(&error))),
    }
}

/// What was opened, or nothing and a fault.
fn opened<T>(
    offline: &Offline,
    outcome: Result<T, StorageError>,
    report: &mut CheckReport,
) -> Result<Option<T>, StorageError> {
    match outcome {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if is_fault(&error) => {
            report.found(Fault::in_storage(offline.in_place(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether an error tells of the data, and not of this look at it.
fn is_fault(error: &StorageError) -> bool {
    !matches!(
        error,
        StorageError::Io { .. }
            | StorageError::NoData { .. }
            | StorageError::NoRoom { .. }
            | StorageError::InUse { .. }
    )
}

/// Every slot of the vault is whole, none is missing, and the ring opens it: without them what the journal holds of
/// people cannot be read. The journal ends at `last`, and `store` knows how often keys were changed.
fn check_keys(
    dir: &Path,
    ring: Option<&Path>,
    offline: &Offline,
    (last, store): (Sequence, Option<&dyn SnapshotStore>),
    report: &mut CheckReport,
) -> Result<(), StorageError> {
    let vault = dir.join(VAULT);
    if !vault.exists() {
        if last > 0 {
            let what = "the wrapped keys of personal data are missing".to_owned();
            report.found(Fault { place: vault.display().to_string(), what, remedy: RESTORE });
        }
        return Ok(());
    }
    let copy = offline.scratch().join(VAULT);
    fs::copy(&vault, &copy).map_err(|source| StorageError::Io {
        action: "copy",
        path: vault.clone(),
        source: std::sync::Arc::new(source),
    })?;
    match Keys::count(&copy) {
        Ok(found) => {
            report.data_keys = found.keys;
            if let Some(Err(older)) = store.map(|store| refuse_older_vault(vault, found.changes, store)) {
                report.found(Fault::in_storage(older.to_string()));
            }
        }
        Err(error) => {
            report.found(Fault::in_storage(offline.in_place(&error)));
            return Ok(());
        }
    }
    check_ring(dir, ring, &copy, offline, report);
    Ok(())
}

/// The ring is whole and opens `vault`, which is a copy.
fn check_ring(dir: &Path, named: Option<&Path>, vault: &Path, offline: &Offline, report: &mut CheckReport) {
    let own = dir.join(RING);
    let ring = match named {
        Some(named) => named.to_owned(),
        None if own.exists() => own,
        None => return,
    };
    if let Err(error) = Keys::verify(&ring, vault) {
        let what = format!("{}{}", offline.in_place(&error), remedy_of(&error));
        report.found(Fault { place: "keys".to_owned(), what, remedy: "" });
    }
    report.key_ring = Some(ring);
}
