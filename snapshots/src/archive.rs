//! The archive: events that were cut from the live journal, in compressed files.
//!
//! A file is named after its first and last sequence. It begins with a header of 72 bytes, little-endian:
//! `magic 8, journal id 16, first 8, last 8, raw bytes 8, compressed bytes 8, checksum of the body 4, zeros 4,
//! zeros 4, checksum of the header 4`. The body is one zstd frame of the records, each
//! `[length u32][record]`. Files follow each other without a gap; where two overlap after a crash, the later
//! one repeats what the earlier one holds.

use std::{
    fs::{self, File},
    io::Read,
    ops::{ControlFlow, RangeInclusive},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{
    StorageError,
    disk::Disk,
    error::{JournalId, Place},
    journal::{Records, Sequence, Visit},
};

const MAGIC: &[u8; 8] = b"RLPARCH1";
const HEADER_BYTES: usize = 72;
const SUFFIX: &str = "zst";

/// No file is made out of more: one holds about 16 MiB, and whole chunks.
pub(crate) const MOST_RAW_BYTES: u64 = 64 << 20;

/// Fast, and already a third of the size.
const ZSTD_LEVEL: i32 = 1;

/// The archive of one journal.
pub struct Archive {
    disk: Disk,
    dir: PathBuf,
    journal_id: [u8; 16],
    /// Compressed bytes kept.
    retention_bytes: Option<u64>,
    files: Mutex<Vec<ArchiveFile>>,
}

#[derive(Debug, Clone)]
struct ArchiveFile {
    path: PathBuf,
    header: Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    journal_id: [u8; 16],
    first: Sequence,
    last: Sequence,
    raw_bytes: u64,
    compressed_bytes: u64,
    checksum: u32,
}

impl Archive {
    /// Opens the archive below the data folder `dir`, to read it beside a running node or after one.
    ///
    /// # Errors
    /// [`StorageError::Foreign`], [`StorageError::Damaged`] or [`StorageError::MissingEvents`] with the file.
    pub fn open(dir: &Path, journal_id: [u8; 16]) -> Result<Self, StorageError> {
        Self::with_retention(&Disk::default(), dir, journal_id, None)
    }

    pub(crate) fn with_retention(
        disk: &Disk,
        dir: &Path,
        journal_id: [u8; 16],
        retention_bytes: Option<u64>,
    ) -> Result<Self, StorageError> {
        let dir = dir.join("archive");
        disk.create_folder(&dir)?;
        let files = list(&dir, journal_id)?;
        Ok(Self { disk: disk.clone(), dir, journal_id, retention_bytes, files: Mutex::new(files) })
    }

    /// First and last archived sequence, `None` if the archive is empty.
    pub fn bounds(&self) -> Option<RangeInclusive<Sequence>> {
        let files = self.files.lock();
        Some(files.first()?.header.first..=files.last()?.header.last)
    }

    /// The folder, for messages.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Archived events and their compressed bytes.
    pub fn size(&self) -> (u64, u64) {
        let events = self.bounds().map_or(0, |bounds| bounds.end() - bounds.start() + 1);
        (events, self.files.lock().iter().map(|file| file.header.compressed_bytes).sum())
    }

    /// Visits the archived events of `range` in order. Returns the sequence to go on with, or `None` when
    /// `visit` ended the replay.
    ///
    /// # Errors
    /// [`StorageError::NotKept`] if the archive no longer holds the start of the range,
    /// [`StorageError::Damaged`] with the file.
    pub fn replay(
        &self,
        range: RangeInclusive<Sequence>,
        visit: Visit<'_>,
    ) -> Result<Option<Sequence>, StorageError> {
        let mut next = *range.start();
        while next <= *range.end() {
            let Some(file) = self.find(next)? else { break };
            let records = read(&file)?;
            for (sequence, record) in (file.header.first..).zip(Records::new(&records)) {
                if sequence < next {
                    continue;
                }
                if sequence > *range.end() {
                    break;
                }
                if visit(sequence, record) == ControlFlow::Break(()) {
                    return Ok(None);
                }
                next = sequence + 1;
            }
        }
        Ok(Some(next))
    }

    /// The file that holds `sequence`; `None` if the archive ends before it.
    fn find(&self, sequence: Sequence) -> Result<Option<ArchiveFile>, StorageError> {
        let files = self.files.lock();
        let position = files.partition_point(|file| file.header.last < sequence);
        match files.get(position) {
            Some(file) if file.header.first > sequence => {
                Err(StorageError::NotKept { from: sequence, oldest: file.header.first })
            }
            found => Ok(found.cloned()),
        }
    }

    /// Adds the records of `range`, durably, and deletes the oldest files above the retention limit.
    pub(crate) fn append(
        &self,
        range: &RangeInclusive<Sequence>,
        records: &[u8],
    ) -> Result<(), StorageError> {
        let (first, last) = (*range.start(), *range.end());
        let path = self.dir.join(format!("{first:020}-{last:020}.{SUFFIX}"));
        let body = zstd::bulk::compress(records, ZSTD_LEVEL).map_err(StorageError::io("compress", &path))?;
        let header = Header {
            journal_id: self.journal_id,
            first,
            last,
            raw_bytes: records.len() as u64,
            compressed_bytes: body.len() as u64,
            checksum: crc32fast::hash(&body),
        };
        self.disk.write_whole(&path, &[&header.encode(), &body])?;
        let mut files = self.files.lock();
        // A crash may have left the same events in both places; they are archived once more under the same name.
        files.retain(|file| file.path != path);
        files.push(ArchiveFile { path, header });
        drop(files);
        self.delete_oldest()
    }

    fn delete_oldest(&self) -> Result<(), StorageError> {
        let Some(limit) = self.retention_bytes else { return Ok(()) };
        let mut files = self.files.lock();
        let mut kept: u64 = files.iter().map(|file| file.header.compressed_bytes).sum();
        while kept > limit && files.len() > 1 {
            let oldest = files.remove(0);
            fs::remove_file(&oldest.path).map_err(StorageError::io("remove", &oldest.path))?;
            kept -= oldest.header.compressed_bytes;
        }
        Ok(())
    }
}

/// Everything that is wrong with the archive in `dir`: every file is read to its end, and none is missing.
pub(crate) fn faults(dir: &Path, journal_id: [u8; 16]) -> Vec<StorageError> {
    let entries = match fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return vec![StorageError::io("read", dir)(error)],
    };
    let paths = entries.into_iter().map(|entry| entry.path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == SUFFIX));
    let found = files.map(|path| {
        let file = open_file(path, journal_id)?;
        read(&file).map(drop)
    });
    let mut faults: Vec<StorageError> = found.filter_map(Result::err).collect();
    if faults.is_empty() {
        faults.extend(list(dir, journal_id).err());
    }
    faults
}

/// The archive files in `dir` in order, with their headers checked and no gap between them.
fn list(dir: &Path, journal_id: [u8; 16]) -> Result<Vec<ArchiveFile>, StorageError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(StorageError::io("read", dir))? {
        let path = entry.map_err(StorageError::io("read", dir))?.path();
        if path.extension().is_some_and(|extension| extension == SUFFIX) {
            files.push(open_file(path, journal_id)?);
        }
    }
    files.sort_by_key(|file| file.header.first);
    for pair in files.windows(2) {
        let (from, to) = (pair[0].header.last + 1, pair[1].header.first);
        if from < to {
            return Err(StorageError::MissingEvents { file: dir.to_owned(), from, to: to - 1 });
        }
    }
    Ok(files)
}

fn open_file(path: PathBuf, journal_id: [u8; 16]) -> Result<ArchiveFile, StorageError> {
    let mut bytes = [0; HEADER_BYTES];
    let mut file = File::open(&path).map_err(StorageError::io("open", &path))?;
    let whole = file.read_exact(&mut bytes).is_ok();
    let Some(header) = Header::parse(&bytes).filter(|_| whole) else {
        return Err(damaged(&path, "its header is not whole"));
    };
    if header.journal_id != journal_id {
        let (found, expected) = (JournalId(header.journal_id), JournalId(journal_id));
        return Err(StorageError::Foreign { file: path, found, expected });
    }
    Ok(ArchiveFile { path, header })
}

/// The checked records of a file.
fn read(file: &ArchiveFile) -> Result<Vec<u8>, StorageError> {
    let bytes = fs::read(&file.path).map_err(StorageError::io("read", &file.path))?;
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if body.len() as u64 != file.header.compressed_bytes || crc32fast::hash(body) != file.header.checksum {
        return Err(damaged(&file.path, "its checksum does not match"));
    }
    let records = zstd::bulk::decompress(body, file.header.raw_bytes as usize)
        .map_err(StorageError::io("decompress", &file.path))?;
    let events = file.header.last - file.header.first + 1;
    if Records::new(&records).count() as u64 != events {
        return Err(damaged(&file.path, "it holds another number of records than it says"));
    }
    Ok(records)
}

fn damaged(path: &Path, problem: &'static str) -> StorageError {
    StorageError::Damaged { file: path.to_owned(), place: Place::File, problem }
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.journal_id);
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.last.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.compressed_bytes.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..68]);
        bytes[68..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let checksum = u32::from_le_bytes(*bytes[68..].first_chunk()?);
        if !bytes.starts_with(MAGIC) || crc32fast::hash(&bytes[..68]) != checksum {
            return None;
        }
        let header = Self {
            journal_id: *bytes[8..].first_chunk()?,
            first: u64::from_le_bytes(*bytes[24..].first_chunk()?),
            last: u64::from_le_bytes(*bytes[32..].first_chunk()?),
            raw_bytes: u64::from_le_bytes(*bytes[40..].first_chunk()?),
            compressed_bytes: u64::from_le_bytes(*bytes[48..].first_chunk()?),
            checksum: u32::from_le_bytes(*bytes[56..].first_chunk()?),
        };
        // So much memory is asked for before a byte is unpacked.
        let is_possible = header.first <= header.last && header.raw_bytes <= MOST_RAW_BYTES;
        is_possible.then_some(header)
    }
}
