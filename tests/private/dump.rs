//! What a thief of the data folder has.

use std::fs;
use std::io::Read;
use std::path::Path;

/// What every zstd frame begins with (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No frame here is larger unpacked.
const MOST_UNPACKED: u64 = 64 << 20;

/// Every file of a folder, and whatever zstd unpacks in them.
pub(super) struct Dump {
    files: Vec<(String, Vec<u8>)>,
    unpacked: Vec<(String, Vec<u8>)>,
}

impl Dump {
    /// Reads a file, or all files below a folder.
    pub(super) fn of(path: &Path) -> Self {
        let mut dump = Self { files: Vec::new(), unpacked: Vec::new() };
        dump.read(path);
        assert!(!dump.files.is_empty(), "nothing at {}", path.display());
        dump
    }

    fn read(&mut self, path: &Path) {
        if path.is_dir() {
            for entry in fs::read_dir(path).expect("read a folder") {
                self.read(&entry.expect("an entry").path());
            }
            return;
        }
        let (name, bytes) = (path.display().to_string(), fs::read(path).expect("read a file"));
        let frames = bytes.windows(ZSTD.len()).enumerate().filter(|(_, start)| *start == ZSTD);
        for (at, _) in frames {
            self.unpacked.push((format!("{name}, the frame at {at}"), unpack(&bytes[at..])));
        }
        self.files.push((name, bytes));
    }

    /// Everything: the files as they are, and what was unpacked.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().chain(&self.unpacked).map(|(_, bytes)| &**bytes)
    }

    /// What was unpacked.
    pub(super) fn unpacked(&self) -> impl Iterator<Item = &[u8]> {
        self.unpacked.iter().map(|(_, bytes)| &**bytes)
    }

    /// Where these bytes lie.
    pub(super) fn holding(&self, wanted: &[u8]) -> Vec<String> {
        let parts = self.files.iter().chain(&self.unpacked);
        parts.filter(|(_, bytes)| holds(bytes, wanted)).map(|(name, _)| name.clone()).collect()
    }
}

/// Whether `wanted` is somewhere in `bytes`.
pub(super) fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((first, rest)) = wanted.split_first() else { return true };
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.any(|(at, _)| bytes[at + 1..].starts_with(rest))
}

/// The frame at the start of `bytes`, as far as it can be unpacked: what looks like one may be none.
fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    if let Ok(frame) = zstd::stream::Decoder::new(bytes) {
        // What came before an error counts.
        let _whole = frame.single_frame().take(MOST_UNPACKED).read_to_end(&mut unpacked);
    }
    unpacked
}
