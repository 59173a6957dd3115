//! The snapshot store on disk.

use parking_lot::{Mutex, RwLock};

use super::{
    EntityKey, ScanVisit, Snapshot, SnapshotRecord, SnapshotStore, StoreOptions, StoreStats,
    pack::{self, Entry, Index, PackBuilder},
    start::{self, Found},
    usage::{Location, Usage},
};
use crate::{
    StorageError,
    disk::Disk,
    error::Place,
    journal::Sequence,
    mark::{Mark, Reached},
    sled_db::{KeyValue, SledDb},
};

/// Key of what the last put left: its number, which the mark must not exceed, the number of the next pack, where the
/// journal was cut last, and how many changes of the keys are known. All little-endian, with their checksum.
const DONE_KEY: &[u8] = b"m";

/// The store knows no journal id: its keys are the caller's.
const NO_ID: [u8; 16] = [0; 16];

/// A put moves at most this many bytes of sparse packs, or as many as it stores itself.
const LEAST_MOVED_BYTES: u64 = 1 << 20;

/// A pack is this part of what a value may well be: one state is read with the leaf it lies in, up to 18 packs.
const PARTS_OF_TARGET: usize = 2;

/// How often a value that was written is looked at. sled takes note of what its cache holds only after 64 accesses
/// in each of 256 parts: without more of them it holds many times what it may.
const LOOKS: usize = 4;

/// Values that are handed to sled together, about: the last leaf is written anew for every lot, and a lot is kept in
/// memory, 32 KiB a value.
const VALUES_AT_ONCE: usize = 128;

/// A [`SnapshotStore`] on disk.
pub struct DiskStore {
    db: SledDb,
    usage: RwLock<Usage>,
    writer: Mutex<Writer>,
    /// The writer's figures when somebody last looked and no put was under way.
    seen: Mutex<StoreStats>,
}

struct Writer {
    mark: Mark,
    next_pack: u64,
    /// Puts since the store was created.
    puts: u64,
    /// The journal may begin here at the latest.
    cut: Sequence,
    /// The keys were changed at least so many times.
    keys: u64,
    poison: Option<StorageError>,
    stats: StoreStats,
}

/// The packs of a put.
#[derive(Default)]
struct Packing {
    /// Packed, and not yet handed to sled.
    values: Vec<KeyValue>,
    written: Vec<Written>,
}

/// A pack that sled has, or will before its put ends.
struct Written {
    pack: u64,
    parts: u32,
    bytes: u64,
    entries: Vec<(EntityKey, Location)>,
}

impl Writer {
    fn take_number(&mut self) -> u64 {
        let number = self.next_pack;
        self.next_pack += 1;
        number
    }

    fn done(&self) -> Vec<u8> {
        Done { puts: self.puts, next_pack: self.next_pack, cut: self.cut, keys: self.keys }.encode()
    }
}

impl Packing {
    fn add(&mut self, pack: u64, builder: PackBuilder, entries: Vec<(EntityKey, Location)>, db: &SledDb) {
        let (values, parts) = builder.finish(pack, db.max_value());
        self.values.extend(values);
        let bytes =
            entries.iter().map(|(_, location)| pack::BLOCK_HEADER as u64 + u64::from(location.length)).sum();
        self.written.push(Written { pack, parts, bytes, entries });
    }
}

impl DiskStore {
    /// Opens the store in the data folder, or begins one. Every index, part and checksum is checked.
    ///
    /// # Errors
    /// [`StorageError`] names the file, the place and the remedy.
    pub fn open(options: StoreOptions) -> Result<Self, StorageError> {
        Self::open_on(&Disk::default(), &options)
    }

    pub(crate) fn open_on(disk: &Disk, options: &StoreOptions) -> Result<Self, StorageError> {
        disk.create_folder(&options.dir)?;
        let (path, sled_dir) = (options.dir.join("snapshots.mark"), options.dir.join("snapshots"));
        let mark = match Mark::open(disk, &path, NO_ID)? {
            Some(mark) => mark,
            None if SledDb::exists(&sled_dir) => return Err(StorageError::MarkMissing { path }),
            None => Mark::create(disk, &path, NO_ID)?,
        };
        let reached = mark.now().reached;
        if reached > 0 && !SledDb::exists(&sled_dir) {
            return Err(StorageError::BehindMark { path: sled_dir, last: 0, mark: reached });
        }
        let db = SledDb::open(disk, &sled_dir, options.sled_segment_bytes, options.cache_bytes)?;
        let done = read_done(&db)?;
        if done.puts < reached {
            return Err(StorageError::BehindMark { path: sled_dir, last: done.puts, mark: reached });
        }
        let Found { usage, next_pack } = start::read(&db, done.next_pack)?;
        let Done { puts, cut, keys, .. } = done;
        let writer = Writer { mark, next_pack, puts, cut, keys, poison: None, stats: StoreStats::default() };
        let store =
            Self { db, usage: RwLock::new(usage), writer: Mutex::new(writer), seen: Mutex::default() };
        store.delete_dead()?;
        Ok(store)
    }

    /// Changes what the next start has to know, durably.
    fn note(&self, change: impl FnOnce(&mut Writer)) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        if let Some(poison) = &writer.poison {
            return Err(poison.clone());
        }
        change(&mut writer);
        let noted = self.db.insert(DONE_KEY, &writer.done()).and_then(|()| self.db.make_durable());
        noted.inspect_err(|error| writer.poison = Some(error.clone()))
    }

    fn put_checked(&self, writer: &mut Writer, records: &[SnapshotRecord]) -> Result<(), StorageError> {
        records.iter().try_for_each(SnapshotRecord::check)?;
        let moved = self.survivors(writer, records)?;
        let written = self.write_packs(writer, &moved, records)?;
        self.db.make_durable()?;
        writer.mark.advance(Reached { reached: writer.puts, ..Reached::default() })?;
        for Written { pack, parts, bytes, entries } in written {
            // Pack by pack: readers get in between.
            let mut usage = self.usage.write();
            usage.begin_pack(pack, parts, bytes);
            entries.into_iter().for_each(|(key, location)| usage.add(key, location));
            usage.end_pack(pack);
        }
        self.delete_dead()
    }

    /// The living states of sparse packs, which this put stores again so that the packs die.
    fn survivors(
        &self,
        writer: &mut Writer,
        records: &[SnapshotRecord],
    ) -> Result<Vec<SnapshotRecord>, StorageError> {
        let bytes: u64 = records.iter().map(|record| record.state.len() as u64).sum();
        let sparse = self.usage.read().sparse(bytes.max(LEAST_MOVED_BYTES));
        let mut survivors = Vec::new();
        for pack in sparse {
            writer.stats.compactions += 1;
            let value = self.read(&pack::index_key(pack), pack, 0)?;
            let index = Index::parse(&pack::index_key(pack), &value).map_err(self.damage(pack, 0))?;
            let parts = self.read_parts(pack, index.parts)?;
            let usage = self.usage.read();
            for entry in index.entries().filter(|entry| usage.is_newest(pack, entry)) {
                let state = pack::state_at(&parts, &entry).map_err(self.damage(pack, 0))?.to_vec();
                let Entry { key, covers, index, .. } = entry;
                survivors.push(SnapshotRecord { key, covers, index: index.to_vec(), state });
            }
        }
        Ok(survivors)
    }

    /// Packs what is moved and then `records`.
    fn write_packs(
        &self,
        writer: &mut Writer,
        moved: &[SnapshotRecord],
        records: &[SnapshotRecord],
    ) -> Result<Vec<Written>, StorageError> {
        let mut packing = Packing::default();
        let (mut builder, mut entries) = (PackBuilder::default(), Vec::new());
        let fresh = records.iter().filter(|record| !self.usage.read().is_stale(&record.key, record.covers));
        for record in moved.iter().chain(fresh) {
            if !builder.takes(record, self.db.target_value() / PARTS_OF_TARGET) {
                packing.add(
                    writer.take_number(),
                    std::mem::take(&mut builder),
                    std::mem::take(&mut entries),
                    &self.db,
                );
                if packing.values.len() >= VALUES_AT_ONCE {
                    self.write_values(writer, &mut packing)?;
                }
            }
            let location = Location {
                pack: writer.next_pack,
                covers: record.covers,
                offset: builder.push(record),
                length: record.state.len() as u32,
            };
            entries.push((record.key, location));
        }
        if !builder.is_empty() {
            packing.add(writer.take_number(), builder, entries, &self.db);
        }
        self.write_values(writer, &mut packing)?;
        writer.puts += 1;
        writer.stats.puts += 1;
        self.db.insert(DONE_KEY, &writer.done())?;
        Ok(packing.written)
    }

    fn write_values(&self, writer: &mut Writer, packing: &mut Packing) -> Result<(), StorageError> {
        let values = std::mem::take(&mut packing.values);
        writer.stats.written_bytes += values.iter().map(|(_, value)| value.len() as u64).sum::<u64>();
        self.db.insert_new(&values)?;
        for (key, _) in &values {
            for _ in 0..LOOKS {
                self.db.get(key)?;
            }
        }
        Ok(())
    }

    /// Removes packs without a living state. What replaced them is durable; the removal need not be, since a
    /// start finds them dead again.
    fn delete_dead(&self) -> Result<(), StorageError> {
        let dead = self.usage.write().take_dead();
        for (pack, parts) in dead {
            self.db.insert(&pack::index_key(pack), &pack::dead_index(pack, parts))?;
            for part in 0..parts {
                self.db.remove(&pack::part_key(pack, part))?;
            }
            self.db.remove(&pack::index_key(pack))?;
        }
        Ok(())
    }

    fn read_state(&self, key: &EntityKey, location: Location, parts: u32) -> Result<Vec<u8>, StorageError> {
        let Location { pack, covers, offset, length } = location;
        let entry = Entry { key: *key, covers, offset, length, index: &[] };
        let state = if parts == 1 {
            let value = self.read(&pack::part_key(pack, 0), pack, 0)?;
            pack::part_bytes(&value).and_then(|bytes| pack::state_at(&bytes, &entry).map(<[u8]>::to_vec))
        } else {
            pack::state_at(&self.read_parts(pack, parts)?, &entry).map(<[u8]>::to_vec)
        };
        state.map_err(self.damage(pack, 0))
    }

    /// The bytes of a pack.
    fn read_parts(&self, pack: u64, parts: u32) -> Result<Vec<u8>, StorageError> {
        let mut bytes = Vec::new();
        for part in 0..parts {
            let value = self.read(&pack::part_key(pack, part), pack, part)?;
            bytes.extend_from_slice(&pack::part_bytes(&value).map_err(self.damage(pack, part))?);
        }
        Ok(bytes)
    }

    fn read(&self, key: &[u8], pack: u64, part: u32) -> Result<sled::IVec, StorageError> {
        self.db.get(key)?.ok_or_else(|| self.damage(pack, part)("it is missing"))
    }

    fn damage(&self, pack: u64, part: u32) -> impl Fn(&'static str) -> StorageError {
        damage(&self.db, Place::Pack(pack, part))
    }
}

impl SnapshotStore for DiskStore {
    fn put(&self, records: Vec<SnapshotRecord>) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        if let Some(poison) = &writer.poison {
            return Err(poison.clone());
        }
        if records.is_empty() {
            return Ok(());
        }
        let outcome = self.put_checked(&mut writer, &records);
        outcome.inspect_err(|error| writer.poison = Some(error.clone()))
    }

    fn note_cut(&self, below: Sequence) -> Result<(), StorageError> {
        self.note(|writer| writer.cut = below)
    }

    fn check_cut(&self, first: Sequence) -> Result<(), StorageError> {
        let cut = self.writer.lock().cut;
        if first <= cut {
            return Ok(());
        }
        Err(StorageError::OlderThanCut { path: self.db.dir().to_owned(), first, cut })
    }

    fn note_keys(&self, changes: u64) -> Result<(), StorageError> {
        if changes <= self.keys_noted() { Ok(()) } else { self.note(|writer| writer.keys = changes) }
    }

    fn keys_noted(&self) -> u64 {
        self.writer.lock().keys
    }

    fn holds(&self, key: &EntityKey) -> bool {
        self.usage.read().get(key).is_some()
    }

    fn get(&self, key: &EntityKey) -> Result<Option<Snapshot>, StorageError> {
        loop {
            let (location, parts) = {
                let usage = self.usage.read();
                let Some(location) = usage.get(key) else { return Ok(None) };
                (location, usage.parts(location.pack))
            };
            match self.read_state(key, location, parts) {
                Ok(state) => return Ok(Some(Snapshot { covers: location.covers, state })),
                // A put may have moved the state and deleted the pack meanwhile.
                Err(_) if self.usage.read().get(key) != Some(location) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts wait while a scan runs, so `visit` must not call `put`.
    fn scan(&self, visit: ScanVisit<'_>) -> Result<(), StorageError> {
        let _no_puts = self.writer.lock();
        self.db.scan(pack::INDEX_PREFIX, |key, value| {
            let index = parse_index(&self.db, key, &value)?;
            let usage = self.usage.read();
            index
                .entries()
                .filter(|entry| usage.is_newest(index.pack, entry))
                .for_each(|entry| visit(&entry.key, entry.covers, entry.index));
            Ok(())
        })
    }

    fn stats(&self) -> StoreStats {
        // A put may take a while: then the figures are those of the look before.
        if let Some(writer) = self.writer.try_lock() {
            *self.seen.lock() = writer.stats;
        }
        let stats = *self.seen.lock();
        let usage = self.usage.read();
        StoreStats { entities: usage.entities() as u64, packs: usage.packs() as u64, ..stats }
    }

    fn close(&self) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        match &writer.poison {
            Some(StorageError::Closed) => Ok(()),
            Some(poison) => Err(poison.clone()),
            None => {
                writer.poison = Some(StorageError::Closed);
                self.db.make_durable()
            }
        }
    }
}

pub(super) fn damage(db: &SledDb, place: Place) -> impl Fn(&'static str) -> StorageError + use<> {
    let file = db.dir().to_owned();
    move |problem| StorageError::Damaged { file: file.clone(), place, problem }
}

pub(super) fn parse_index<'a>(db: &SledDb, key: &[u8], value: &'a [u8]) -> Result<Index<'a>, StorageError> {
    let pack = key.get(1..).and_then(<[u8]>::first_chunk).map_or(0, |pack| u64::from_be_bytes(*pack));
    Index::parse(key, value).map_err(damage(db, Place::Pack(pack, 0)))
}

/// What the last put left.
struct Done {
    puts: u64,
    next_pack: u64,
    cut: Sequence,
    keys: u64,
}

impl Done {
    /// Of a store that holds nothing: no event may be missing from the journal.
    const NOTHING: Self = Self { puts: 0, next_pack: 0, cut: 1, keys: 0 };

    fn encode(&self) -> Vec<u8> {
        let bytes = [self.puts, self.next_pack, self.cut, self.keys].map(u64::to_le_bytes).concat();
        [&bytes[..], &crc32fast::hash(&bytes).to_le_bytes()].concat()
    }

    /// Earlier programs did not note where the journal was cut: it may begin anywhere until the next cut. Nor did they
    /// note changes of the keys.
    fn parse(value: &[u8]) -> Option<Self> {
        let (bytes, checksum) = value.split_last_chunk::<4>()?;
        let (anywhere, none) = (&Sequence::MAX.to_le_bytes(), &0_u64.to_le_bytes());
        let numbers = match bytes.as_chunks::<8>() {
            ([puts, next_pack], []) => [puts, next_pack, anywhere, none],
            ([puts, next_pack, cut], []) => [puts, next_pack, cut, none],
            ([puts, next_pack, cut, keys], []) => [puts, next_pack, cut, keys],
            _ => return None,
        };
        let [puts, next_pack, cut, keys] = numbers.map(|number| u64::from_le_bytes(*number));
        (*checksum == crc32fast::hash(bytes).to_le_bytes()).then_some(Self { puts, next_pack, cut, keys })
    }
}

fn read_done(db: &SledDb) -> Result<Done, StorageError> {
    let Some(value) = db.get(DONE_KEY)? else { return Ok(Done::NOTHING) };
    Done::parse(&value).ok_or_else(|| damage(db, Place::File)("the checksum of the last put does not match"))
}
