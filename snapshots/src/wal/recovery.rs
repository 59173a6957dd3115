//! Reads the log back: what is whole, what was torn, what is missing.
//!
//! Only generations above the mark's `sealed` count; everything below is durable in sled. They must be
//! consecutive and reach at least the mark's `begun`, since a generation is begun in the mark before its first
//! record is written. Every record was made durable before the next one was begun, so at most the last record
//! can be torn. An invalid record with a whole one of its generation behind it, or with a later generation that
//! does not go on right there, is damage; so is a last record that lacks nothing but one right bit.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    BLOCK, flipped,
    record::{RECORD_HEADER_BYTES, RecordHeader},
    segment::{SegmentHeader, parse_header, segment_paths},
};
use crate::{
    StorageError,
    disk::Disk,
    error::{JournalId, Place},
    journal::{Batch, Sequence},
    mark::Reached,
    sled_db::read_from_disk,
};

/// No torn write leaves that: every record was durable before the next one was begun.
const FOLLOWED: &str = "a record is invalid, and later ones are not";

/// What the log holds beyond sled.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Batches with events that sled does not hold, in order. The first may begin with some that it does.
    pub(crate) batches: Vec<Batch>,
    /// A torn last record was dropped.
    pub(crate) dropped_torn: bool,
    /// Newest generation seen or begun.
    pub(crate) generation: u64,
}

struct Live {
    path: PathBuf,
    header: SegmentHeader,
    bytes: Vec<u8>,
}

/// Where a segment's records end.
struct End {
    offset: usize,
    /// The sequence that would come next.
    next: Sequence,
}

/// Reads the log in `dir`, of which sled holds everything up to `fed`.
pub(crate) fn recover(
    disk: &Disk,
    dir: &Path,
    journal_id: [u8; 16],
    mark: Reached,
    fed: Sequence,
) -> Result<Recovered, StorageError> {
    let segments = live_segments(disk, dir, journal_id, mark)?;
    let newest = segments.last().map_or(mark.sealed, |segment| segment.header.generation);
    if newest < mark.begun {
        return Err(StorageError::MissingSegment {
            dir: dir.to_owned(),
            found: newest,
            expected: mark.begun,
        });
    }
    let mut recovered = Recovered { generation: newest, ..Recovered::default() };
    let mut next = fed + 1;
    for (position, segment) in segments.iter().enumerate() {
        if segment.header.first > next {
            let (from, to) = (next, segment.header.first - 1);
            return Err(StorageError::MissingEvents { file: dir.to_owned(), from, to });
        }
        let end = read_records(segment, fed, &mut recovered.batches)?;
        match segments.get(position + 1) {
            Some(follower) => check_follower(segment, &end, follower, fed)?,
            None => recovered.dropped_torn = check_tail(segment, &end, fed)?,
        }
        next = next.max(end.next);
    }
    Ok(recovered)
}

/// The segments that count, in order of their generations.
fn live_segments(
    disk: &Disk,
    dir: &Path,
    journal_id: [u8; 16],
    mark: Reached,
) -> Result<Vec<Live>, StorageError> {
    let mut segments = Vec::new();
    for (_, path) in segment_paths(dir)? {
        read_from_disk(disk, &path)?;
        let Some(header) = read_header(&path)? else { continue };
        refuse_foreign(&path, header.journal_id, journal_id)?;
        if header.generation > mark.sealed {
            let bytes = fs::read(&path).map_err(StorageError::io("read", &path))?;
            if header.segment_bytes.is_some_and(|made| made != bytes.len() as u64) {
                let problem = "it is not as long as it was made";
                return Err(StorageError::Damaged { file: path, place: Place::File, problem });
            }
            segments.push(Live { path, header, bytes });
        }
    }
    segments.sort_by_key(|segment| segment.header.generation);
    for pair in segments.windows(2) {
        let (before, after) = (&pair[0].header, &pair[1].header);
        if after.generation - before.generation != 1 {
            return Err(StorageError::MissingSegment {
                dir: dir.to_owned(),
                found: before.generation,
                expected: after.generation - 1,
            });
        }
    }
    Ok(segments)
}

fn read_header(path: &Path) -> Result<Option<SegmentHeader>, StorageError> {
    let mut block = Vec::with_capacity(BLOCK);
    File::open(path)
        .and_then(|file| file.take(BLOCK as u64).read_to_end(&mut block))
        .map_err(StorageError::io("read", path))?;
    Ok(parse_header(&block))
}

fn refuse_foreign(path: &Path, found: [u8; 16], expected: [u8; 16]) -> Result<(), StorageError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (JournalId(found), JournalId(expected));
    Err(StorageError::Foreign { file: path.to_owned(), found, expected })
}

/// Collects the records of a segment that hold something above `fed`, up to the first that does not continue
/// the sequence.
fn read_records(segment: &Live, fed: Sequence, batches: &mut Vec<Batch>) -> Result<End, StorageError> {
    let mut end = End { offset: BLOCK, next: segment.header.first };
    while let Some((record, payload)) = segment.bytes.get(end.offset..).and_then(RecordHeader::parse) {
        if record.generation != segment.header.generation {
            break;
        }
        refuse_foreign(&segment.path, record.journal_id, segment.header.journal_id)?;
        if record.first != end.next {
            break;
        }
        let batch = record.batch(payload);
        if batch.check(usize::MAX).is_err() {
            return Err(damaged(segment, &end, "a record is not the number of events that it names"));
        }
        end.offset += (RECORD_HEADER_BYTES + payload.len()).next_multiple_of(BLOCK);
        end.next = batch.last() + 1;
        if batch.last() > fed {
            batches.push(batch);
        }
    }
    Ok(end)
}

/// A later generation must go on where this one ends, or sled must hold what lies between.
fn check_follower(segment: &Live, end: &End, follower: &Live, fed: Sequence) -> Result<(), StorageError> {
    if end.next == follower.header.first || follower.header.first <= fed + 1 {
        return Ok(());
    }
    Err(damaged(segment, end, FOLLOWED))
}

/// Whether the last segment ends with a torn record. Damage if a whole record of its generation follows, or if one
/// flipped bit is all that keeps the last record from being whole: no torn write leaves that.
fn check_tail(segment: &Live, end: &End, fed: Sequence) -> Result<bool, StorageError> {
    let rest = segment.bytes.get(end.offset..).unwrap_or_default();
    if let Some((record, payload)) = flipped::mended(rest) {
        let batch = record.batch(&payload);
        let expected = record.generation == segment.header.generation
            && record.journal_id == segment.header.journal_id
            && record.first == end.next;
        if expected && batch.check(usize::MAX).is_ok() && batch.last() > fed {
            return Err(damaged(segment, end, "a bit of its last record has flipped"));
        }
    }
    let later =
        rest.chunks(BLOCK).enumerate().filter_map(|(block, _)| RecordHeader::parse(&rest[block * BLOCK..]));
    for (record, _) in later {
        let same =
            record.generation == segment.header.generation && record.journal_id == segment.header.journal_id;
        if same && record.first > fed {
            return Err(damaged(segment, end, FOLLOWED));
        }
    }
    Ok(RecordHeader::begun_in(rest) == Some(segment.header.generation))
}

fn damaged(segment: &Live, end: &End, problem: &'static str) -> StorageError {
    let place = Place::Offset(end.offset as u64, end.next);
    StorageError::Damaged { file: segment.path.clone(), place, problem }
}
