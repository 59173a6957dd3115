//! A scratch folder with a ring and a vault, and what tests look for in it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use relampago_actors::Id;
use relampago_keys::{Keys, KeysError};
use serde_json::Value;

/// Bytes of a slot, and where its wrapped key stands.
pub(crate) const SLOT: usize = 128;
const WRAPPED: std::ops::Range<usize> = 44..92;

pub(crate) const ANA: Id = Id(0xa);
pub(crate) const BEA: Id = Id(0xb);
pub(crate) const CAL: Id = Id(0xc);

pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn ring(&self) -> PathBuf {
        self.0.path().join("keys.json")
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.0.path().join("vault")
    }

    /// Opens what is there, or makes it.
    pub(crate) fn open(&self) -> Keys {
        Keys::open(&self.ring(), &self.vault(), true, 1_000).unwrap()
    }

    /// Why it does not open.
    pub(crate) fn refusal(&self) -> KeysError {
        Keys::open(&self.ring(), &self.vault(), true, 1_000).expect_err("it should not open")
    }

    pub(crate) fn ring_json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.ring()).unwrap()).unwrap()
    }

    /// Writes a ring as somebody does who changes it by hand: without a checksum, as older ones are.
    pub(crate) fn write_ring(&self, json: &Value) {
        let mut json = json.clone();
        json.as_object_mut().unwrap().remove("checksum");
        write_private(&self.ring(), &serde_json::to_vec(&json).unwrap());
    }

    /// The ids of the ring's master keys.
    pub(crate) fn masters(&self) -> Vec<u64> {
        let ring = self.ring_json();
        ring["master"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
    }

    /// Changes bytes of the vault.
    pub(crate) fn edit_vault(&self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.vault()).unwrap();
        edit(&mut bytes);
        fs::write(self.vault(), bytes).unwrap();
    }

    /// The wrapped key in a slot.
    pub(crate) fn wrapped_key(&self, slot: usize) -> Vec<u8> {
        fs::read(self.vault()).unwrap()[slot * SLOT..][WRAPPED].to_vec()
    }

    /// The files of the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Whether any file of the folder holds these bytes.
    pub(crate) fn any_file_holds(&self, bytes: &[u8]) -> bool {
        self.files().iter().any(|name| holds(&fs::read(self.0.path().join(name)).unwrap(), bytes))
    }
}

pub(crate) fn holds(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

/// Where a replacement of `path` is prepared.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let name = format!("{}.aside", path.file_name().unwrap().to_str().unwrap());
    path.with_file_name(name)
}

/// Writes a file that its owner alone may use.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}
