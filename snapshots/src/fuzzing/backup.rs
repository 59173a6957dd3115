//! Backups with anything in them, and what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::LazyLock;

use super::image::{self, change};
use crate::backup::{self, Begin, End, Part, Parts};
use crate::journal::Records;
use crate::{
    DiskJournal, DiskStore, EntityKey, Identity, Journal, JournalOptions, Sequence, SnapshotRecord,
    SnapshotStore, StoreOptions,
};

const VAULT: &str = "vault";

/// A backup of 50 events, of which 10 are not kept and 20 are in the archive, two snapshots and a file in two pieces.
pub(super) static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let identity = Identity { journal_id: [0x5a; 16], created_ms: 1, shop_secret: [7; 32] };
    let begin = Begin { identity, taken_ms: 2, oldest: 11, live: 31, sled_segment_bytes: 64 << 10 };
    let parts = [
        Part::Begin(begin),
        Part::Snapshots(vec![snapshot(1, 20, 100), snapshot(2, 50, 10)]),
        events(11, 12),
        events(23, 8),
        events(31, 15),
        events(46, 5),
        Part::File { name: VAULT.to_owned(), bytes: b"wrapped ".to_vec() },
        Part::File { name: VAULT.to_owned(), bytes: b"keys".to_vec() },
        Part::End(End { position: 50, events: 40, snapshots: 2 }),
    ];
    parts.iter().flat_map(|part| part.encode().expect("a frame")).collect()
});

fn snapshot(number: u8, covers: Sequence, length: usize) -> SnapshotRecord {
    SnapshotRecord { key: [number; 17], covers, index: vec![number; 4], state: vec![number; length] }
}

fn events(first: Sequence, count: usize) -> Part {
    let mut records = Vec::new();
    for event in (first..).map(image::event).take(count) {
        records.extend_from_slice(&(event.len() as u32).to_le_bytes());
        records.extend_from_slice(&event);
    }
    Part::Events { first, records }
}

/// How an input becomes a backup. Bit 4 of the number says whether what is known to be damaged is restored, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// A good one with changes, four bytes each.
    Changed,
    /// With checksums that fit the changes.
    Forged,
    /// The input itself, with checksums that fit.
    Stream,
    /// Parts `[kind u8][length u16][payload]`, of which snapshots and events are not compressed yet.
    Parts,
}

impl How {
    fn of(number: u8) -> Self {
        [Self::Changed, Self::Forged, Self::Stream, Self::Parts][usize::from(number % 4)]
    }

    fn stream(self, input: &[u8]) -> Vec<u8> {
        let mut stream = match self {
            Self::Changed | Self::Forged => WHOLE.clone(),
            Self::Stream => input.to_vec(),
            Self::Parts => return framed(input),
        };
        if self != Self::Stream {
            change(&mut stream, input);
        }
        if self != Self::Changed {
            seal(&mut stream);
        }
        stream
    }
}

/// Makes the checksums fit, as far as there are whole frames.
fn seal(mut stream: &mut [u8]) {
    while let Some((header, rest)) = stream.split_first_chunk_mut::<{ backup::HEADER_BYTES }>() {
        let [kind, l0, l1, l2, l3, ..] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some((payload, next)) = rest.split_at_mut_checked(length) else { return };
        header.copy_from_slice(&backup::frame(kind, payload)[..backup::HEADER_BYTES]);
        stream = next;
    }
}

fn framed(mut input: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((&[kind, l0, l1], rest)) = input.split_first_chunk() {
        let (payload, next) = rest.split_at(rest.len().min(u16::from_le_bytes([l0, l1]).into()));
        let plain = match kind {
            backup::SNAPSHOTS => 0,
            backup::EVENTS => payload.len().min(size_of::<Sequence>()),
            _ => payload.len(),
        };
        let mut packed = payload[..plain].to_vec();
        if plain < payload.len() {
            packed.extend(backup::packed::pack(&payload[plain..]).expect("memory"));
        }
        stream.extend(backup::frame(kind, &packed));
        input = next;
    }
    stream
}

/// A backup with anything in it. The first byte of the input says how the rest becomes one. What is restored is what the
/// backup holds, no more and no less, and both journal and store open; a backup that only decayed is never another one.
pub fn backup(input: &[u8]) {
    let [number, input @ ..] = input else { return };
    let how = How::of(*number);
    let stream = how.stream(input);
    let verified = backup::verify(&stream[..]);
    if verified.is_err() && number & 4 == 0 {
        return;
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let Ok(restored) = backup::restore(scratch.path(), &stream[..], &[VAULT]) else {
        assert!(!matches!(Identity::read(scratch.path()), Ok(Some(_))), "a node would start on it");
        return;
    };
    verified.expect("what is restored is whole");
    let holds = Contents::of_backup(&stream);
    if how == How::Changed {
        assert!(holds == Contents::of_backup(&WHOLE), "decay made another backup");
    }
    assert_eq!(restored.position + 1, restored.begin.oldest + holds.events.len() as u64);
    let found = Contents::of_folder(scratch.path(), &restored.begin, restored.position);
    assert!(found == holds, "other things were restored than were backed up");
}

/// What a shop consists of.
#[derive(Default, PartialEq, Eq)]
struct Contents {
    events: Vec<Vec<u8>>,
    /// The newest of each entity: what it covers, and its state.
    snapshots: BTreeMap<EntityKey, (Sequence, Vec<u8>)>,
    file: Vec<u8>,
}

impl Contents {
    fn of_backup(stream: &[u8]) -> Self {
        let mut contents = Self::default();
        for part in Parts::new(stream) {
            match part.expect("it was verified") {
                Part::Begin(_) => {}
                Part::Snapshots(records) => records.into_iter().for_each(|record| contents.keep(record)),
                Part::Events { records, .. } => {
                    let mut records = Records::new(&records);
                    contents.events.extend(records.by_ref().map(<[u8]>::to_vec));
                    assert!(records.is_at_end(), "a part of an event was left out");
                }
                Part::End(end) => {
                    let covers_more = contents.snapshots.values().any(|(covers, _)| *covers > end.position);
                    assert!(!covers_more, "a snapshot without its events");
                }
                Part::File { bytes, .. } => contents.file.extend(bytes),
            }
        }
        contents
    }

    fn keep(&mut self, SnapshotRecord { key, covers, state, .. }: SnapshotRecord) {
        let newest = self.snapshots.entry(key).or_default();
        if covers >= newest.0 {
            *newest = (covers, state);
        }
    }

    fn of_folder(dir: &Path, begin: &Begin, position: Sequence) -> Self {
        let sled_segment_bytes = begin.sled_segment_bytes as usize;
        let options = JournalOptions {
            journal_id: begin.identity.journal_id,
            sled_segment_bytes,
            ..image::options(dir)
        };
        let cache_bytes = options.cache_bytes;
        let (journal, report) = DiskJournal::open(options).expect("the journal opens");
        assert_eq!(report.last, position);
        let mut events = Vec::new();
        let replayed = journal.replay(begin.oldest, &mut |sequence, record| {
            assert_eq!(sequence, begin.oldest + events.len() as u64);
            events.push(record.to_vec());
            ControlFlow::Continue(())
        });
        replayed.expect("every event is read");
        journal.close().expect("the journal closes");

        let options = StoreOptions { dir: dir.to_owned(), sled_segment_bytes, cache_bytes };
        let store = DiskStore::open(options).expect("the store opens");
        let mut known = Vec::new();
        store.scan(&mut |key, _, _| known.push(*key)).expect("the store is read");
        let states = known.into_iter().map(|key| {
            let found = store.get(&key).expect("a snapshot is read").expect("it is there");
            (key, (found.covers, found.state))
        });
        let snapshots = states.collect();
        store.close().expect("the store closes");
        Self { events, snapshots, file: fs::read(dir.join(VAULT)).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed that is refused at its first byte would show nothing.
    #[test]
    fn a_good_backup_is_one_however_it_is_put() {
        for seed in ["unchanged", "stream", "stream_restored", "parts", "parts_empty_records"] {
            let path = format!("{}/../tests/fuzz/seeds/backup/{seed}", env!("CARGO_MANIFEST_DIR"));
            let input = fs::read(path).expect("a seed");
            let stream = How::of(input[0]).stream(&input[1..]);
            let (begin, end) = backup::verify(&stream[..]).expect(seed);
            let scratch = tempfile::tempdir().expect("a folder");
            backup::restore(scratch.path(), &stream[..], &[VAULT]).expect(seed);
            let found = Contents::of_folder(scratch.path(), &begin, end.position);
            assert!(found == Contents::of_backup(&stream), "{seed}");
            assert_eq!(found.events.len() as u64, end.events, "{seed}");
        }
    }
}
