//! A segment file of the log and its header block.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{BLOCK, buffer::AlignedBuffer, record::PADDING_BYTES};
use crate::{StorageError, disk::Disk, journal::Sequence};

const MAGIC: &[u8; 8] = b"RLPSEGM2";
/// Magic, journal id, generation, first sequence, size of the file; the checksum follows.
const HEADER_BYTES: usize = 8 + 16 + 8 + 8 + 8;
/// The first form does not tell the size.
const MAGIC_V1: &[u8; 8] = b"RLPSEGM1";
const HEADER_BYTES_V1: usize = 8 + 16 + 8 + 8;
const PREFIX: &str = "segment-";

/// What all segments of a log share.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) disk: Disk,
    /// Folder of the log.
    pub(crate) dir: PathBuf,
    pub(crate) journal_id: [u8; 16],
    pub(crate) segment_bytes: u64,
    /// Writes bypass the page cache.
    pub(crate) direct_io: bool,
}

/// A segment file, open for writing.
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
}

impl Segment {
    /// Creates segment `number`, full of zeros and durable.
    pub(crate) fn create(layout: &Layout, number: u32) -> Result<Self, StorageError> {
        let path = layout.dir.join(format!("{PREFIX}{number:04}"));
        let scratch = path.with_extension("tmp");
        write_zeros(&scratch, layout.segment_bytes).map_err(StorageError::io("create", &scratch))?;
        let file = File::open(&scratch).map_err(StorageError::io("open", &scratch))?;
        layout.disk.sync(&file, &scratch)?;
        fs::rename(&scratch, &path).map_err(StorageError::io("rename", &scratch))?;
        layout.disk.sync_folder(&layout.dir)?;
        Self::open(layout, path)
    }

    /// Opens an existing segment for writing.
    pub(crate) fn open(layout: &Layout, path: PathBuf) -> Result<Self, StorageError> {
        let file = open_for_writing(&path, layout.direct_io).map_err(StorageError::io("open", &path))?;
        Ok(Self { path, file })
    }

    /// Writes whole blocks.
    pub(super) fn write(&self, layout: &Layout, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        layout.disk.write_at(&self.file, &self.path, bytes, offset)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self, layout: &Layout) -> Result<(), StorageError> {
        layout.disk.sync(&self.file, &self.path)
    }
}

/// The segment files in `dir`, in order of their numbers. Removes what an interrupted creation left.
pub(crate) fn segment_paths(dir: &Path) -> Result<Vec<(u32, PathBuf)>, StorageError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StorageError::io("read", dir))? {
        let path = entry.map_err(StorageError::io("read", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".tmp") {
            fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        } else if let Some(number) = name.strip_prefix(PREFIX).and_then(|digits| digits.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Finds out by a real write whether the folder takes writes that bypass the page cache.
pub(crate) fn probe_direct_io(disk: &Disk, dir: &Path) -> Result<bool, StorageError> {
    if disk.plain_writes {
        return Ok(false);
    }
    let path = dir.join("probe.tmp");
    write_zeros(&path, BLOCK as u64).map_err(StorageError::io("create", &path))?;
    let written = open_for_writing(&path, true).and_then(|file| {
        std::os::unix::fs::FileExt::write_all_at(
            &file,
            AlignedBuffer::default().fill(&[1; BLOCK], &[], [0; PADDING_BYTES]),
            0,
        )
    });
    fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
    Ok(written.is_ok())
}

fn open_for_writing(path: &Path, direct_io: bool) -> std::io::Result<File> {
    let flags = if direct_io { OFlags::DIRECT } else { OFlags::empty() };
    OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn write_zeros(path: &Path, bytes: u64) -> std::io::Result<()> {
    const STEP: usize = 1 << 20;
    let mut file = File::create(path)?;
    let zeros = vec![0; STEP.min(bytes as usize)];
    let mut left = bytes;
    while left > 0 {
        let step = left.min(STEP as u64);
        file.write_all(&zeros[..step as usize])?;
        left -= step;
    }
    Ok(())
}

/// What the first block of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) journal_id: [u8; 16],
    pub(super) generation: u64,
    pub(super) first: Sequence,
    /// Size of the file: a file that was cut off has lost records that nothing else tells of.
    pub(super) segment_bytes: Option<u64>,
}

/// The first block of a segment.
pub(super) fn encode_header(layout: &Layout, generation: u64, first: Sequence) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&layout.journal_id);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&layout.segment_bytes.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Reads a header block, `None` if it is torn, damaged or was never written.
pub(super) fn parse_header(segment: &[u8]) -> Option<SegmentHeader> {
    let tells_size = segment.starts_with(MAGIC);
    if !tells_size && !segment.starts_with(MAGIC_V1) {
        return None;
    }
    let (body, rest) = segment.split_at_checked(if tells_size { HEADER_BYTES } else { HEADER_BYTES_V1 })?;
    let checksum = rest.first_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    Some(SegmentHeader {
        journal_id: *body[8..].first_chunk()?,
        generation: u64::from_le_bytes(*body[24..].first_chunk()?),
        first: u64::from_le_bytes(*body[32..].first_chunk()?),
        segment_bytes: body[40..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
    })
}
