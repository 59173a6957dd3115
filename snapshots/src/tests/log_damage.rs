//! Torn, flipped, missing and foreign pieces of the commit log.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::support::{
    NEVER, batch, batch_of, copy, expect, fill, flip, open, options, refusal, wait_for_segments,
};
use crate::{DiskJournal, Journal, StorageError, disk::Disk};

const BLOCK: usize = 4096;

/// A data folder after a kill: nine batches of ten events and one of 150 in the log, nothing in sled. The big
/// one takes three blocks.
fn killed(disk: &Disk, dir: &Path) -> PathBuf {
    let image = dir.join("killed");
    let live = dir.join("live");
    let (journal, _) = DiskJournal::open_on(disk, &options(&live, NEVER)).unwrap();
    fill(&journal, 9, 10);
    fill(&journal, 1, 150);
    wait_for_segments(&journal, 2);
    copy(&live, &image);
    image
}

/// Where the last record of [`killed`] begins: behind the segment's header and nine records of one block.
const LAST_RECORD: usize = BLOCK * 10;

fn segment(dir: &Path) -> PathBuf {
    let headed = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"RLPSEGM2");
    let mut found: Vec<_> =
        fs::read_dir(dir.join("wal")).unwrap().map(|entry| entry.unwrap().path()).filter(headed).collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// What an image with these segment bytes recovers: the last event and whether a torn record was reported.
fn recovers(image: &Path, path: &Path, bytes: &[u8]) -> (u64, bool) {
    let scratch = tempfile::tempdir().unwrap();
    copy(image, scratch.path());
    fs::write(scratch.path().join("wal").join(path.file_name().unwrap()), bytes).unwrap();
    let (journal, report) = open(scratch.path(), NEVER);
    expect(&journal, 1..=report.last);
    fill(&journal, 2, 10);
    expect(&journal, 1..=report.last + 20);
    (report.last, report.dropped_torn)
}

#[test]
fn a_tail_torn_anywhere_is_dropped() {
    for disk in [Disk::default(), Disk::plain()] {
        let dir = tempfile::tempdir().unwrap();
        let image = killed(&disk, dir.path());
        let path = segment(&image);
        let whole = fs::read(&path).unwrap();
        assert_eq!(recovers(&image, &path, &whole), (240, false));
        let length = record_bytes(&whole[LAST_RECORD..]);
        assert!(length > 2 * BLOCK);
        for cut in (0..length).step_by(512) {
            let mut torn = whole.clone();
            torn[LAST_RECORD + cut..].fill(0);
            assert_eq!(recovers(&image, &path, &torn), (90, cut > 0), "cut at {cut}");
        }
    }
}

#[test]
fn any_combination_of_its_blocks_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let whole = fs::read(&path).unwrap();
    // What lies under a block that did not land: zeros, or the remains of an older use.
    let stale: Vec<u8> = (0..BLOCK).map(|at| whole[BLOCK + at] ^ u8::from(at == 32)).collect();
    for beneath in [vec![0; BLOCK], stale] {
        for landed in 0..8_usize {
            let mut torn = whole.clone();
            for block in (0..3).filter(|block| landed & (1 << block) == 0) {
                let start = LAST_RECORD + block * BLOCK;
                torn[start..start + BLOCK].copy_from_slice(&beneath);
            }
            let last = if landed == 7 { 240 } else { 90 };
            assert_eq!(recovers(&image, &path, &torn).0, last, "blocks {landed:03b}");
        }
    }
}

#[test]
fn a_record_of_another_generation_is_no_data() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let mut bytes = fs::read(&path).unwrap();
    bytes[LAST_RECORD + 32..][..8].copy_from_slice(&9_u64.to_le_bytes());
    seal(&mut bytes[LAST_RECORD..]);
    assert_eq!(recovers(&image, &path, &bytes), (90, false));
}

/// A journal that said it had more events than it has would be read for ever.
#[test]
fn a_record_is_the_number_of_events_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let whole = fs::read(&path).unwrap();
    // Its number of events, and the length of its first one.
    for (offset, changed) in [(24, 149), (24, 151), (64, 0), (65, 0xff)] {
        let mut bytes = whole.clone();
        bytes[LAST_RECORD + offset] = changed;
        seal(&mut bytes[LAST_RECORD..]);
        let scratch = tempfile::tempdir().unwrap();
        copy(&image, scratch.path());
        fs::write(scratch.path().join("wal").join(path.file_name().unwrap()), bytes).unwrap();
        let text = refusal(scratch.path()).to_string();
        assert!(text.contains("the number of events that it names"), "{offset}: {text}");
    }
}

/// An end that is gone looks like one that was torn: only the size tells.
#[test]
fn a_segment_that_was_cut_off_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let whole = fs::read(&path).unwrap();
    for length in [BLOCK, BLOCK * 3, BLOCK * 3 + 100, LAST_RECORD, whole.len() - 1] {
        let scratch = tempfile::tempdir().unwrap();
        copy(&image, scratch.path());
        fs::write(scratch.path().join("wal").join(path.file_name().unwrap()), &whole[..length]).unwrap();
        let text = refusal(scratch.path()).to_string();
        assert!(text.contains("not as long as it was made"), "{length}: {text}");
    }
}

#[test]
fn a_segment_of_the_first_form_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..8].copy_from_slice(b"RLPSEGM1");
    let checksum = crc32fast::hash(&bytes[..40]);
    bytes[40..52].fill(0);
    bytes[40..44].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(recovers(&image, &path, &bytes), (240, false));
}

/// Header and payload of the record that `bytes` begin with.
fn record_bytes(bytes: &[u8]) -> usize {
    64 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize
}

/// Makes the checksum of a record fit.
fn seal(record: &mut [u8]) {
    let checksum = crc32fast::hash(&record[12..record_bytes(record)]);
    record[8..12].copy_from_slice(&checksum.to_le_bytes());
}

/// Older builds filled the last block of a record with zeros.
#[test]
fn a_record_that_ends_in_zeros_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let mut bytes = fs::read(&path).unwrap();
    let ends = LAST_RECORD + record_bytes(&bytes[LAST_RECORD..]);
    assert!(bytes[ends..ends.next_multiple_of(BLOCK)].iter().any(|byte| *byte != 0));
    bytes[ends..ends.next_multiple_of(BLOCK)].fill(0);
    bytes[LAST_RECORD + 28] = 0;
    seal(&mut bytes[LAST_RECORD..]);
    assert_eq!(recovers(&image, &path, &bytes), (240, false));
}

/// One bit is all that the record lacks; whether its sector was written is what counts.
#[test]
fn a_sector_of_one_bit_that_was_not_written_was_torn() {
    const SECTOR: usize = 512;
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let (journal, _) = DiskJournal::open_on(&Disk::default(), &options(&live, NEVER)).unwrap();
    fill(&journal, 9, 10);
    // One event, whose last byte is the first of a sector.
    let mut event = vec![7; SECTOR - 64 - 4 + 1];
    *event.last_mut().unwrap() = 1;
    journal.append(batch_of(91, std::iter::once(event))).unwrap();
    wait_for_segments(&journal, 2);
    let image = dir.path().join("killed");
    copy(&live, &image);
    let path = segment(&image);
    let whole = fs::read(&path).unwrap();
    assert_eq!(record_bytes(&whole[LAST_RECORD..]), SECTOR + 1);

    let mut torn = whole.clone();
    torn[LAST_RECORD + SECTOR..][..SECTOR].fill(0);
    assert_eq!(recovers(&image, &path, &torn), (90, true));

    let mut rotten = whole;
    rotten[LAST_RECORD + SECTOR] = 0;
    fs::write(&path, rotten).unwrap();
    let text = refusal(&image).to_string();
    assert!(text.contains("a bit of its last record has flipped"), "{text}");
}

#[test]
fn a_flipped_bit_before_whole_records_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    // Magic, version, checksum, length, first, count, generation, journal id, payload of the third record.
    for offset in [0, 4, 8, 12, 16, 24, 32, 40, 64, 400] {
        let scratch = tempfile::tempdir().unwrap();
        copy(&image, scratch.path());
        flip(&scratch.path().join("wal").join(path.file_name().unwrap()), (BLOCK * 3 + offset) as u64);
        let error = refusal(scratch.path());
        let text = error.to_string();
        assert!(matches!(error, StorageError::Damaged { .. }), "{offset}: {text}");
        assert!(text.contains("offset 12288 (event 21)") && text.contains("restore"), "{text}");
        assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
    }
}

#[test]
fn a_flipped_bit_in_the_last_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let path = segment(&image);
    let whole = fs::read(&path).unwrap();
    let length = record_bytes(&whole[LAST_RECORD..]);
    // Magic, version, checksum, length, first, count, generation, journal id, and the payload to its end.
    for offset in [0, 4, 8, 12, 16, 24, 32, 40, 64, 5000, length - 1] {
        let scratch = tempfile::tempdir().unwrap();
        copy(&image, scratch.path());
        flip(&scratch.path().join("wal").join(path.file_name().unwrap()), (LAST_RECORD + offset) as u64);
        let text = refusal(scratch.path()).to_string();
        assert!(text.contains("offset 40960 (event 91): a bit of its last record has flipped"), "{text}");
    }
}

#[test]
fn a_flipped_bit_in_the_segment_header_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    for offset in [0, 8, 24, 32, 40] {
        let scratch = tempfile::tempdir().unwrap();
        copy(&image, scratch.path());
        flip(&segment(scratch.path()), offset);
        let error = refusal(scratch.path());
        assert!(matches!(error, StorageError::MissingSegment { expected: 1, .. }), "{offset}: {error}");
    }
}

/// A data folder after a kill with four segments in use and nothing in sled.
fn killed_with_segments(dir: &Path) -> PathBuf {
    let (image, live) = (dir.join("killed"), dir.join("live"));
    let mut wide = options(&live, NEVER);
    wide.segments = 6;
    let (journal, _) = DiskJournal::open(wide).unwrap();
    wait_for_segments(&journal, 6);
    fill(&journal, 4 * 15, 10);
    assert_eq!(journal.stats().wal_segments_used, 4);
    copy(&live, &image);
    image
}

fn segment_of_generation(dir: &Path, generation: u64) -> PathBuf {
    let of = |path: &PathBuf| fs::read(path).unwrap()[24..32] == generation.to_le_bytes();
    fs::read_dir(dir.join("wal")).unwrap().map(|entry| entry.unwrap().path()).find(of).unwrap()
}

#[test]
fn several_segments_are_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, report) = open(&killed_with_segments(dir.path()), NEVER);
    assert_eq!((report.last, report.from_log), (600, 600));
    expect(&journal, 1..=600);
}

#[test]
fn a_missing_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed_with_segments(dir.path());
    for generation in 1..=4 {
        let scratch = tempfile::tempdir().unwrap();
        copy(&image, scratch.path());
        fs::remove_file(segment_of_generation(scratch.path(), generation)).unwrap();
        let error = refusal(scratch.path());
        match generation {
            1 => assert!(matches!(error, StorageError::MissingEvents { from: 1, to: 150, .. }), "{error}"),
            _ => assert!(matches!(error, StorageError::MissingSegment { .. }), "{error}"),
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    copy(&image, scratch.path());
    fs::remove_dir_all(scratch.path().join("wal")).unwrap();
    assert!(matches!(refusal(scratch.path()), StorageError::MissingSegment { found: 0, expected: 4, .. }));
}

#[test]
fn a_damaged_end_of_a_segment_before_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed_with_segments(dir.path());
    flip(&segment_of_generation(&image, 2), (BLOCK * 15 + 100) as u64);
    assert!(matches!(refusal(&image), StorageError::Damaged { .. }));
}

#[test]
fn a_foreign_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let other_dir = tempfile::tempdir().unwrap();
    let mut other = options(other_dir.path(), NEVER);
    other.journal_id = [0xee; 16];
    let (journal, _) = DiskJournal::open(other).unwrap();
    journal.append(batch(1, 1)).unwrap();
    wait_for_segments(&journal, 2);
    fs::copy(segment(other_dir.path()), image.join("wal/segment-0009")).unwrap();
    let error = refusal(&image);
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains(&"ee".repeat(16)), "{error}");
}

#[test]
fn another_journal_id_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let mut other = options(&image, NEVER);
    other.journal_id = [1; 16];
    assert!(matches!(DiskJournal::open(other).err(), Some(StorageError::Foreign { .. })));
}

#[test]
fn a_torn_header_of_a_segment_that_never_held_a_record_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let image = killed(&Disk::default(), dir.path());
    let unused = fs::read_dir(image.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| *path != segment(&image));
    let unused = unused.unwrap_or_else(|| image.join("wal/segment-0009"));
    fs::write(unused, [b"RLPSEGM2".as_slice(), &[7; 8192]].concat()).unwrap();
    let (journal, report) = open(&image, NEVER);
    assert_eq!(report.last, 240);
    expect(&journal, 1..=240);
}
