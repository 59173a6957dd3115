//! A key ring and a vault in a scratch folder; in memory, if `TMPDIR` says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use relampago_keys::{Keys, KeysError};
use tempfile::TempDir;

/// A ring that is always the same: an input that fails today has to fail tomorrow.
#[allow(dead_code, reason = "one target brings rings of its own")]
pub const RING: &str = r#"{
    "master": [{"id": 1, "created_ms": 1, "key": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}],
    "signing": [{"kid": "a", "created_ms": 1, "retired_ms": null, "seed": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}],
    "mac": "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU="
}"#;

pub struct Shop {
    folder: TempDir,
}

impl Shop {
    /// One without a vault.
    pub fn new(ring: &[u8]) -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(shop.path("ring"), ring).unwrap();
        fs::set_permissions(shop.path("ring"), fs::Permissions::from_mode(0o600)).unwrap();
        shop
    }

    pub fn open(&self) -> Result<Keys, KeysError> {
        Keys::open(&self.path("ring"), &self.path("vault"), false, 2)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
