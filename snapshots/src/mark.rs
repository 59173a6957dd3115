//! High-water marks: how far a database was durable once, kept outside of it.
//!
//! sled takes a torn tail for the end of its log, so a damaged database can open empty without an error. The
//! mark says what must be there. It lies in two slots written in turn, each with its checksum: a torn write
//! spoils one slot and leaves the older one, which is never ahead of what is durable.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    StorageError,
    disk::Disk,
    error::{JournalId, Place},
};

/// One slot: a block, so that a write touches no other slot.
const SLOT_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"RLPMARK1";
/// Magic, id, serial, reached, begun, sealed.
const BODY_BYTES: usize = 8 + 16 + 4 * 8;

/// What a mark says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The database was durable up to this sequence, or this put.
    pub(crate) reached: u64,
    /// Newest log generation that was begun.
    pub(crate) begun: u64,
    /// Everything in log generations up to this one is durable in the database.
    pub(crate) sealed: u64,
}

/// An open mark file.
pub(crate) struct Mark {
    disk: Disk,
    file: File,
    path: PathBuf,
    id: [u8; 16],
    serial: u64,
    now: Reached,
    /// The error that ended it: a failed sync is never tried again.
    broken: Option<StorageError>,
}

impl Mark {
    /// Creates a mark at zero.
    pub(crate) fn create(disk: &Disk, path: &Path, id: [u8; 16]) -> Result<Self, StorageError> {
        let now = Reached::default();
        disk.write_whole(path, &[&slot(&id, 0, now), &[0; SLOT_BYTES]])?;
        let file = open_file(path)?;
        Ok(Self { disk: disk.clone(), file, path: path.to_owned(), id, serial: 0, now, broken: None })
    }

    /// Opens a mark, `None` if there is none.
    pub(crate) fn open(disk: &Disk, path: &Path, id: [u8; 16]) -> Result<Option<Self>, StorageError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("read", path)(error)),
        };
        let newest = bytes.chunks(SLOT_BYTES).filter_map(parse).max_by_key(|slot| slot.serial);
        let Some(Slot { id: found, serial, now }) = newest else {
            return Err(StorageError::Damaged {
                file: path.to_owned(),
                place: Place::File,
                problem: "neither of its two slots is whole",
            });
        };
        if found != id {
            return Err(StorageError::Foreign {
                file: path.to_owned(),
                found: JournalId(found),
                expected: JournalId(id),
            });
        }
        let file = open_file(path)?;
        Ok(Some(Self { disk: disk.clone(), file, path: path.to_owned(), id, serial, now, broken: None }))
    }

    /// What the mark says.
    pub(crate) fn now(&self) -> Reached {
        self.now
    }

    /// Moves the mark, durably. Call it only for what is durable already. An error is final.
    pub(crate) fn advance(&mut self, to: Reached) -> Result<(), StorageError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        if to == self.now {
            return Ok(());
        }
        self.write(to).inspect_err(|error| self.broken = Some(error.clone()))
    }

    fn write(&mut self, to: Reached) -> Result<(), StorageError> {
        self.serial += 1;
        let offset = (self.serial % 2) * SLOT_BYTES as u64;
        self.disk.write_at(&self.file, &self.path, &slot(&self.id, self.serial, to), offset)?;
        self.disk.sync(&self.file, &self.path)?;
        self.now = to;
        Ok(())
    }
}

fn open_file(path: &Path) -> Result<File, StorageError> {
    OpenOptions::new().write(true).open(path).map_err(StorageError::io("open", path))
}

fn slot(id: &[u8; 16], serial: u64, now: Reached) -> [u8; SLOT_BYTES] {
    let mut body = Vec::with_capacity(SLOT_BYTES);
    body.extend_from_slice(MAGIC);
    body.extend_from_slice(id);
    for number in [serial, now.reached, now.begun, now.sealed] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    body.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    let mut slot = [0; SLOT_BYTES];
    slot[..body.len()].copy_from_slice(&body);
    slot
}

struct Slot {
    id: [u8; 16],
    serial: u64,
    now: Reached,
}

/// Reads a slot, `None` if it is torn or was never written.
fn parse(slot: &[u8]) -> Option<Slot> {
    let body = slot.get(..BODY_BYTES)?;
    let checksum = slot[BODY_BYTES..].first_chunk::<4>()?;
    if !body.starts_with(MAGIC) || crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let id = *body[8..].first_chunk::<16>()?;
    let (numbers, _) = body[24..].as_chunks::<8>();
    let [serial, reached, begun, sealed] = *numbers.first_chunk::<4>()?;
    let now = Reached {
        reached: u64::from_le_bytes(reached),
        begun: u64::from_le_bytes(begun),
        sealed: u64::from_le_bytes(sealed),
    };
    Some(Slot { id, serial: u64::from_le_bytes(serial), now })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    };

    use super::*;
    use crate::disk::DiskOp;

    const ID: [u8; 16] = [7; 16];

    fn at(reached: u64) -> Reached {
        Reached { reached, begun: reached + 1, sealed: reached / 2 }
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.mark");
        let disk = Disk::default();
        let mut mark = Mark::create(&disk, &path, ID).unwrap();
        for reached in 1..=5 {
            mark.advance(at(reached)).unwrap();
            assert_eq!(Mark::open(&disk, &path, ID).unwrap().unwrap().now(), at(reached));
            let whole = fs::read(&path).unwrap();
            for offset in 0..BODY_BYTES + 4 {
                let mut torn = whole.clone();
                torn[(reached as usize % 2) * SLOT_BYTES + offset] ^= 1;
                fs::write(&path, torn).unwrap();
                let before = if reached == 1 { Reached::default() } else { at(reached - 1) };
                assert_eq!(Mark::open(&disk, &path, ID).unwrap().unwrap().now(), before);
            }
            fs::write(&path, whole).unwrap();
        }
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.mark");
        let syncs = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&syncs);
        let disk = Disk::observed(move |op| match op {
            DiskOp::Sync(path) if path.ends_with("journal.mark") && count.fetch_add(1, SeqCst) == 1 => {
                Err(std::io::Error::other("the disk is broken"))
            }
            _ => Ok(()),
        });
        let mut mark = Mark::create(&disk, &path, ID).unwrap();
        mark.advance(at(1)).unwrap();
        let error = mark.advance(at(2)).unwrap_err().to_string();
        for _ in 0..2 {
            assert_eq!(mark.advance(at(2)).unwrap_err().to_string(), error);
        }
        assert_eq!((syncs.load(SeqCst), mark.now()), (2, at(1)));
    }

    #[test]
    fn refuses_a_foreign_mark_and_one_without_a_whole_slot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.mark");
        let disk = Disk::default();
        assert!(Mark::open(&disk, &path, ID).unwrap().is_none());
        Mark::create(&disk, &path, ID).unwrap();
        assert!(matches!(Mark::open(&disk, &path, [8; 16]), Err(StorageError::Foreign { .. })));
        fs::write(&path, b"short").unwrap();
        assert!(matches!(Mark::open(&disk, &path, ID), Err(StorageError::Damaged { .. })));
    }
}
