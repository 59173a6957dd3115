#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use super::support::{ID, NEVER, batch, expect, key, open, open_store, snapshot, store_options};
use crate::{
    Identity, Journal, SnapshotStore,
    backup::{BackupError, Begin, End, Part, restore, verify},
};

const FILES: [&str; 1] = ["vault"];

fn begin(oldest: u64, live: u64) -> Part {
    let identity = Identity { journal_id: ID, created_ms: 1, shop_secret: [7; 32] };
    let sled_segment_bytes = store_options(Path::new("")).sled_segment_bytes as u64;
    Part::Begin(Begin { identity, taken_ms: 2, oldest, live, sled_segment_bytes })
}

fn events(first: u64, count: u32) -> Part {
    Part::Events { first, records: batch(first, count).bytes }
}

fn file(bytes: &[u8]) -> Part {
    Part::File { name: "vault".to_owned(), bytes: bytes.to_vec() }
}

fn frames(parts: &[Part]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| part.encode().unwrap()).collect()
}

/// Events 11 to 150, those from 101 on live; two snapshots; a file in two pieces.
fn whole() -> Vec<Part> {
    vec![
        begin(11, 101),
        Part::Snapshots(vec![snapshot(1, 90, 500), snapshot(2, 140, 20)]),
        events(11, 40),
        events(51, 50),
        events(101, 30),
        events(131, 20),
        file(b"wrapped "),
        file(b"keys"),
        Part::End(End { position: 150, events: 140, snapshots: 2 }),
    ]
}

fn restored(stream: &[u8]) -> Result<tempfile::TempDir, BackupError> {
    let scratch = tempfile::tempdir().unwrap();
    restore(&scratch.path().join("data"), stream, &FILES)?;
    Ok(scratch)
}

#[test]
fn what_is_restored_goes_on_where_the_backup_ends() {
    let stream = frames(&whole()).concat();
    let (said, end) = verify(&stream[..]).unwrap();
    assert_eq!((said.oldest, said.live, end.position), (11, 101, 150));
    let scratch = restored(&stream).unwrap();
    let dir = scratch.path().join("data");
    assert_eq!(fs::read(dir.join("vault")).unwrap(), b"wrapped keys");
    assert_eq!(Identity::read(&dir).unwrap().unwrap().shop_secret, [7; 32]);
    for last in [150, 170] {
        let (journal, report) = open(&dir, NEVER);
        assert_eq!((report.first, report.last), (101, last));
        expect(&journal, 11..=last);
        journal.append(batch(last + 1, 20)).unwrap();
        let store = open_store(&dir);
        assert_eq!(store.get(&key(1)).unwrap().unwrap().state, snapshot(1, 90, 500).state);
        assert_eq!(store.get(&key(2)).unwrap().unwrap().covers, 140);
        assert_eq!(store.stats().entities, 2);
    }
}

#[test]
fn an_empty_shop_is_restored_too() {
    let parts = [begin(1, 1), Part::End(End { position: 0, events: 0, snapshots: 0 })];
    let scratch = restored(&frames(&parts).concat()).unwrap();
    let (journal, report) = open(&scratch.path().join("data"), NEVER);
    assert_eq!(report.last, 0);
    journal.append(batch(1, 3)).unwrap();
    expect(&journal, 1..=3);
}

#[test]
fn a_part_is_not_taken_for_the_whole() {
    let frames = frames(&whole());
    let stream = frames.concat();
    for length in 0..stream.len() {
        let error = verify(&stream[..length]).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{length}: {error}");
    }
    // All but the files, which are not counted, and the snapshots of which there is one frame.
    for missing in [0, 1, 2, 3, 4, 5, 8] {
        let rest = frames.iter().enumerate().filter(|(number, _)| *number != missing);
        let rest: Vec<u8> = rest.flat_map(|(_, frame)| frame.clone()).collect();
        assert!(restored(&rest).is_err(), "without part {missing}");
        assert!(verify(&rest[..]).is_err(), "without part {missing}");
    }
}

#[test]
fn a_flipped_bit_is_found_and_no_node_starts_on_what_is_left() {
    let stream = frames(&whole()).concat();
    for at in 0..stream.len() {
        let mut hurt = stream.clone();
        hurt[at] ^= 1 << (at % 8);
        assert!(verify(&hurt[..]).is_err(), "byte {at}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut hurt = stream.clone();
    let last = hurt.len() - 1;
    hurt[last] ^= 1;
    restore(scratch.path(), &hurt[..], &FILES).unwrap_err();
    assert!(Identity::read(scratch.path()).is_err(), "an identity was written");
}

#[test]
fn only_an_empty_folder_is_filled_and_only_with_what_belongs_there() {
    let stream = frames(&whole()).concat();
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("something"), b"").unwrap();
    let error = restore(scratch.path(), &stream[..], &FILES).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    let elsewhere = Part::File { name: "../elsewhere".to_owned(), bytes: Vec::new() };
    let parts = [begin(1, 1), elsewhere, Part::End(End { position: 0, events: 0, snapshots: 0 })];
    let error = restored(&frames(&parts).concat()).unwrap_err().to_string();
    assert!(error.contains("no place here"), "{error}");
}

fn end(position: u64, events: u64, snapshots: u64) -> Part {
    Part::End(End { position, events, snapshots })
}

/// What a backup that both ways of reading refuse is said to be.
fn refusal(parts: &[Part]) -> String {
    let stream = frames(parts).concat();
    let error = restored(&stream).unwrap_err().to_string();
    assert_eq!(verify(&stream[..]).unwrap_err().to_string(), error);
    error
}

#[test]
fn what_no_journal_looks_like_is_not_restored() {
    const LAST: u64 = u64::MAX;
    let six_bytes = 1 << 48;
    for (oldest, live) in [(0, 0), (0, 1), (5, 4), (5, 5), (1, six_bytes), (LAST - 1, LAST), (LAST, LAST)] {
        let parts = [begin(oldest, live), events(oldest.min(7), 1), end(oldest, 1, 0)];
        let error = refusal(&parts);
        assert!(error.contains("begins where no journal does"), "{oldest} {live}: {error}");
    }
    for position in [2, 4, LAST] {
        let error = refusal(&[begin(1, 1), events(1, 3), end(position, 3, 0)]);
        assert!(error.contains("holds less than it says"), "{position}: {error}");
    }
    let error = refusal(&[begin(11, 31), events(11, 20), end(30, 20, 0)]);
    assert!(error.contains("ends before its live journal"), "{error}");
    let error = refusal(&[begin(1, 1), Part::Snapshots(vec![snapshot(1, 4, 9)]), events(1, 3), end(3, 3, 1)]);
    assert!(error.contains("events that come after its end"), "{error}");
}

#[test]
fn an_event_that_is_cut_off_is_not_left_out() {
    let mut records = batch(1, 3).bytes;
    records.pop();
    let error = refusal(&[begin(1, 1), Part::Events { first: 1, records }, end(2, 2, 0)]);
    assert!(error.contains("an event is cut off"), "{error}");
}

#[test]
fn a_frame_that_unpacks_to_more_than_an_archive_file_is_refused() {
    let records = vec![0; (64 << 20) + 4];
    let error = refusal(&[begin(1, 1), Part::Events { first: 1, records }, end(0, 0, 0)]);
    assert!(error.contains("larger than it can be"), "{error}");
}
