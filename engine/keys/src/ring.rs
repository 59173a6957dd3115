//! The key ring: a small file of master keys and signing keys.
//!
//! JSON, for its owner alone (mode 0600), and to be kept apart from the data folder's backups: who has both
//! can read all personal data. Never shown, not even in the error about a malformed one.

use std::{collections::BTreeSet, fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use relampago_actors::Millis;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{KeysError, files, secret::Secret, signing};

/// Bytes in which any entry finds room as JSON, so that writing never moves keys to a larger buffer.
const ENTRY_ROOM: usize = 512;
/// The longest key id of a signing key, bytes.
const MAX_KID: usize = 64;
/// Larger files are no key rings, bytes.
const MAX_FILE: u64 = 1 << 20;
/// How the text of a ring ends, behind its last field.
const END: &[u8] = b"\n}\n";

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ring {
    /// At least one. The one with the highest id wraps what is new; the others unwrap.
    #[serde(rename = "master")]
    pub(crate) masters: Vec<MasterEntry>,
    /// At least one that is not retired. The last of those signs; all verify.
    pub(crate) signing: Vec<SigningEntry>,
    /// What the keys of MACs are derived from. It does not rotate, so that what was mailed or may be repeated stays
    /// good; replacing it by hand ends all of that at once.
    #[serde(with = "as_base64")]
    pub(crate) mac: Secret,
    /// Over all other bytes of the file, so that a flipped bit is noticed. Older files have none, and who changes a
    /// ring by hand leaves it out.
    #[serde(skip_serializing)]
    checksum: Option<String>,
}

/// A master key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MasterEntry {
    pub(crate) id: u32,
    pub(crate) created_ms: Millis,
    #[serde(with = "as_base64")]
    pub(crate) key: Secret,
}

/// An Ed25519 signing key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningEntry {
    pub(crate) kid: String,
    pub(crate) created_ms: Millis,
    /// Since when it only verifies.
    pub(crate) retired_ms: Option<Millis>,
    #[serde(with = "as_base64")]
    pub(crate) seed: Secret,
}

impl Ring {
    /// A new ring with one key of each sort.
    pub(crate) fn new(now: Millis) -> Result<Self, KeysError> {
        let mut ring =
            Self { masters: Vec::new(), signing: Vec::new(), mac: Secret::random()?, checksum: None };
        ring.add_master(now)?;
        ring.add_signing(now)?;
        Ok(ring)
    }

    /// Reads the ring from `path`; `None` if there is no file.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, KeysError> {
        let Some(file) = files::found(File::open(path)).map_err(KeysError::io("open", path))? else {
            return Ok(None);
        };
        let text = read_private(&file, path)?;
        let ring: Self = serde_json::from_slice(&text).map_err(|error| malformed(path, &error))?;
        let problem = if ring.checksum.as_ref().is_none_or(|checksum| is_whole(&text, checksum)) {
            ring.problem()
        } else {
            Some("its checksum does not match (whoever changes it by hand takes that out)")
        };
        match problem {
            None => Ok(Some(ring)),
            Some(problem) => Err(KeysError::RingMalformed { ring: path.to_owned(), problem, line: 0 }),
        }
    }

    /// Stores the ring durably under `path`, and overwrites what stood there.
    pub(crate) fn store(&self, path: &Path) -> Result<(), KeysError> {
        let text = self.text().map_err(|error| KeysError::io("write", path)(error.into()))?;
        let field = checksum_field(blake3::hash(&text).to_hex().as_str());
        let (fields, end) = text.split_at(text.len() - END.len());
        files::replace(path, &Zeroizing::new([fields, field.as_bytes(), end].concat()))
    }

    /// The ring without its checksum, as JSON with a field a line.
    fn text(&self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let entries = self.masters.len() + self.signing.len();
        let mut text = Zeroizing::new(Vec::with_capacity((entries + 1) * ENTRY_ROOM));
        serde_json::to_writer_pretty(&mut *text, self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Adds a master key; answers its id.
    pub(crate) fn add_master(&mut self, now: Millis) -> Result<u32, KeysError> {
        let id = self.newest_master() + 1;
        self.masters.push(MasterEntry { id, created_ms: now, key: Secret::random()? });
        Ok(id)
    }

    /// Adds a signing key and retires the others; answers its id.
    pub(crate) fn add_signing(&mut self, now: Millis) -> Result<String, KeysError> {
        let seed = Secret::random()?;
        let kid = signing::kid(&signing::public_key(&seed)?);
        for entry in &mut self.signing {
            entry.retired_ms.get_or_insert(now);
        }
        self.signing.push(SigningEntry { kid: kid.clone(), created_ms: now, retired_ms: None, seed });
        Ok(kid)
    }

    /// What the keys of MACs are derived from.
    pub(crate) fn mac_root(&self) -> Secret {
        self.mac.derive("relampago 2026-11 root of token macs")
    }

    /// The highest id of a master key, 0 if there is none.
    pub(crate) fn newest_master(&self) -> u32 {
        self.masters.iter().map(|master| master.id).max().unwrap_or(0)
    }

    /// The signing key that signs.
    #[expect(clippy::expect_used, reason = "a ring without one does not load")]
    pub(crate) fn active_signing(&self) -> &SigningEntry {
        let active = self.signing.iter().rfind(|entry| entry.retired_ms.is_none());
        active.expect("the ring has a signing key in use")
    }

    /// What makes it unusable though its form is right.
    fn problem(&self) -> Option<&'static str> {
        let ids: BTreeSet<u32> = self.masters.iter().map(|master| master.id).collect();
        let kids: BTreeSet<&str> = self.signing.iter().map(|key| key.kid.as_str()).collect();
        // The highest id is left out so that there is always a next one.
        if ids.is_empty() || ids.len() < self.masters.len() || ids.contains(&0) || ids.contains(&u32::MAX) {
            Some("master keys need ids of their own, from 1 on")
        } else if kids.len() < self.signing.len()
            || kids.iter().any(|kid| kid.is_empty() || kid.len() > MAX_KID)
        {
            Some("signing keys need kids of their own, of at most 64 bytes")
        } else if self.signing.iter().all(|key| key.retired_ms.is_some()) {
            Some("no signing key is in use")
        } else {
            None
        }
    }
}

/// How a checksum stands in a ring: as its last field.
fn checksum_field(checksum: &str) -> String {
    format!(",\n  \"checksum\": \"{checksum}\"")
}

/// Whether `checksum` is that of the text without its field. It is the text as it stands, and not what it says, that
/// counts: another version of the program may say the same in other words.
fn is_whole(text: &[u8], checksum: &str) -> bool {
    let field = checksum_field(checksum);
    let Some(at) = text.windows(field.len()).rposition(|window| window == field.as_bytes()) else {
        return false;
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&text[..at]).update(&text[at + field.len()..]);
    hasher.finalize().to_hex().as_str() == checksum
}

/// The text of a ring that nobody else can read.
fn read_private(file: &File, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let metadata = file.metadata().map_err(KeysError::io("look at", path))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeysError::RingExposed { ring: path.to_owned(), mode });
    }
    if metadata.len() > MAX_FILE {
        let problem = "it is larger than 1 MiB";
        return Err(KeysError::RingMalformed { ring: path.to_owned(), problem, line: 0 });
    }
    // One byte more than there is, or reading to the end would move keys to a larger buffer.
    let mut text = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(MAX_FILE).read_to_end(&mut text).map_err(KeysError::io("read", path))?;
    Ok(text)
}

/// The message of the parser is left out: it quotes what it did not expect, which may be a key.
fn malformed(path: &Path, error: &serde_json::Error) -> KeysError {
    let problem = if error.is_data() {
        "an entry is missing, unknown or of another form; keys are 32 bytes in base64"
    } else {
        "it is not JSON"
    };
    KeysError::RingMalformed { ring: path.to_owned(), problem, line: error.line() }
}

/// Secrets as base64 text, without leaving copies of it.
mod as_base64 {
    use serde::{Deserializer, Serializer, de::Error as _, ser::Error as _};

    use super::{Deserialize, Engine, STANDARD, Secret, Zeroizing};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Zeroizing::new([0; 44]);
        STANDARD.encode_slice(secret.expose(), &mut text[..]).map_err(S::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text[..]).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        // base64 wants room for an estimate that may be more than there is.
        let mut decoded = Zeroizing::new([0; 48]);
        match STANDARD.decode_slice(text, &mut decoded[..]) {
            Ok(32) => Secret::filled_by(|bytes| {
                bytes.copy_from_slice(&decoded[..32]);
                Ok(())
            }),
            _ => Err(D::Error::custom("not 32 bytes in base64")),
        }
    }
}
