//! The admin key that a shop starts with: set, or made at the first start and shown once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use relampago_config::Secret;

/// Where the digest of the admin key that we made ourselves is kept, in the data folder.
const KEY_FILE: &str = "admin-key.blake3";
const KEY_PREFIX: &str = "rk_";
/// Characters of a made key behind its prefix: 258 bits.
const KEY_LENGTH: usize = 43;
/// Characters of a checksum.
const CHECKSUM_LENGTH: usize = 16;

/// How the admin key came to be.
#[derive(Debug)]
pub enum AdminKey {
    /// It was set, or made by an earlier start: its digest.
    Known(blake3::Hash),
    /// It was made now. Show it once: only its digest is kept.
    Made(blake3::Hash, Secret),
}

impl AdminKey {
    /// The admin key of the settings.
    pub fn set(key: &Secret) -> Self {
        Self::Known(digest(key))
    }

    /// The admin key whose digest is kept in the data folder; makes one if there is none.
    ///
    /// # Errors
    /// If the digest cannot be read or stored.
    pub fn kept_in(folder: &Path) -> io::Result<Self> {
        let path = folder.join(KEY_FILE);
        match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map(Self::Known).ok_or_else(|| damaged(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = fresh_key()?;
                let digest = digest(&key);
                store(folder, &digest)?;
                Ok(Self::Made(digest, key))
            }
            Err(error) => Err(error),
        }
    }

    /// By which the key is known.
    pub fn digest(&self) -> blake3::Hash {
        match self {
            Self::Known(digest) | Self::Made(digest, _) => *digest,
        }
    }
}

fn digest(key: &Secret) -> blake3::Hash {
    blake3::hash(key.expose().as_bytes())
}

fn fresh_key() -> io::Result<Secret> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; KEY_LENGTH];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    // 64 letters divide 256, so every letter is as likely as another.
    let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)]));
    Ok(Secret::new(KEY_PREFIX.chars().chain(letters).collect::<String>()))
}

/// The digest in a file: as hex, and behind it its checksum, which older files do not have.
fn parse(bytes: &[u8]) -> Option<blake3::Hash> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split_ascii_whitespace();
    let digest = blake3::Hash::from_hex(words.next()?).ok()?;
    let is_whole = words.next().is_none_or(|found| found == checksum(&digest));
    (is_whole && words.next().is_none()).then_some(digest)
}

/// Of a digest, as hex: a flipped bit in it would be another key's digest.
fn checksum(digest: &blake3::Hash) -> String {
    let mut text = blake3::hash(digest.as_bytes()).to_hex().to_string();
    text.truncate(CHECKSUM_LENGTH);
    text
}

fn damaged(path: &Path) -> io::Error {
    let problem = format!(
        "{} is damaged; restore it from its backup, or remove it: a new key is made then, and the old one is void",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Writes the digest aside, then puts it in its place: a crash leaves the whole of it or nothing.
fn store(folder: &Path, digest: &blake3::Hash) -> io::Result<()> {
    let aside = folder.join(format!("{KEY_FILE}.new"));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    writeln!(file, "{} {}", digest.to_hex(), checksum(digest))?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(KEY_FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_made_key_is_shown_once_and_kept_as_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        let AdminKey::Made(made, key) = AdminKey::kept_in(folder.path()).unwrap() else {
            panic!("a key was there")
        };
        assert!(key.expose().starts_with(KEY_PREFIX) && key.expose().len() == KEY_PREFIX.len() + KEY_LENGTH);
        let file = folder.path().join(KEY_FILE);
        assert!(!fs::read_to_string(&file).unwrap().contains(key.expose()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let AdminKey::Known(known) = AdminKey::kept_in(folder.path()).unwrap() else { panic!("made twice") };
        assert_eq!((known, AdminKey::set(&key).digest()), (made, made));
    }
    #[test]
    fn a_flipped_bit_is_named_and_older_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let made = AdminKey::kept_in(folder.path()).unwrap().digest();
        let path = folder.path().join(KEY_FILE);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            match AdminKey::kept_in(folder.path()) {
                // Another space, or a capital, says the same.
                Ok(key) => assert_eq!(key.digest(), made, "bit {bit}"),
                Err(error) => assert!(error.to_string().contains(KEY_FILE), "{error}"),
            }
        }
        fs::write(&path, format!("{}\n", made.to_hex())).unwrap();
        assert_eq!(AdminKey::kept_in(folder.path()).unwrap().digest(), made);
    }
}
