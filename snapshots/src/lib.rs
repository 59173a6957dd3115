//! Durability: the ordered journal of events and the store of snapshots.
//!
//! This crate stores bytes and knows nothing of what they mean. It is the only user of sled.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`journal`] | [`Journal`], [`Batch`] and [`DiskJournal`]: commit log in front, sled behind it |
//! | `wal` | the commit log: preallocated segments, one write and one sync a batch |
//! | [`archive`] | what was cut from the live journal: compressed, checksummed files |
//! | [`store`] | [`SnapshotStore`] and [`DiskStore`]: many states packed into one sled value |
//! | [`memory`] | twins of both in memory, with failures on demand |
//! | [`codec`] | the form of every stored record, and the upcasting of old versions |
//! | [`identity`] | the record that says which journal a data folder belongs to |
//! | [`backup`] | everything up to one position as a stream, and back |
//! | [`offline`] | a data folder that no node runs on, read without changing it |
//! | `mark` | the high-water marks kept outside sled |
//! | `sled_db` | the one place that opens sled and makes it durable |
//! | `disk` | every write and sync of files, observable in tests |
//! | `fuzzing` | for fuzzing alone: changed data folders |
//!
//! Folders and files below the data folder: `LOCK`, `identity`, `wal/`, `journal/` and `journal.mark`,
//! `snapshots/` and `snapshots.mark`, `archive/`.

pub mod archive;
pub mod backup;
mod barrier;
pub mod codec;
mod compressed;
mod disk;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod journal;
mod mark;
pub mod memory;
pub mod offline;
mod sled_db;
pub mod store;
#[cfg(test)]
mod tests;
mod wal;

pub use error::{JournalId, Place, StorageError, remedy};
pub use identity::Identity;
pub use journal::{Batch, DiskJournal, Journal, JournalOptions, JournalStats, OpenReport, Sequence};
pub use memory::{MemoryJournal, MemoryStore};
pub use offline::Offline;
pub use store::{DiskStore, EntityKey, Snapshot, SnapshotRecord, SnapshotStore, StoreOptions, StoreStats};
