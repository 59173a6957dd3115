//! Why keys could not do what they were asked.

use std::{io, path::Path, path::PathBuf};

use relampago_actors::Id;

/// Why the key ring or the vault could not do what it was asked. What needs an operator names the file, the
/// place in it and the remedy; nothing shows key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There is no key ring, and none may be made.
    #[error("there is no key ring at {}; put it there, or allow it to be created", ring.display())]
    RingMissing {
        /// Where it should be.
        ring: PathBuf,
    },
    /// There is no key ring, but there are keys that only a lost one unwraps; a new one would not help.
    #[error(
        "there is no key ring at {}, but {} holds keys wrapped under master {master}; restore the key ring \
         that has it",
        ring.display(), vault.display()
    )]
    RingLost {
        /// Where the ring should be.
        ring: PathBuf,
        /// The vault that needs it.
        vault: PathBuf,
        /// A master key that the vault needs.
        master: u32,
    },
    /// Others than the owner may read or write the key ring.
    #[error(
        "the key ring {} has mode {mode:04o} and others may use it; run `chmod 600 {}`, and rotate its keys \
         if somebody may have read them",
        ring.display(), ring.display()
    )]
    RingExposed {
        /// The file.
        ring: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no key ring.
    #[error(
        "{} is not a key ring: {problem}{}; correct it or restore it from its backup",
        ring.display(), at(*line)
    )]
    RingMalformed {
        /// The file.
        ring: PathBuf,
        /// What is wrong; never a part of the file.
        problem: &'static str,
        /// The line, or 0 if it cannot be told.
        line: usize,
    },
    /// The ring lacks a master key that keys in the vault are wrapped under.
    #[error(
        "the key ring {} lacks master {master}, under which keys in {} are wrapped; restore the key ring \
         that has it",
        ring.display(), vault.display()
    )]
    MasterMissing {
        /// The ring.
        ring: PathBuf,
        /// The vault.
        vault: PathBuf,
        /// The master key's id.
        master: u32,
    },
    /// The ring's master key is not the one that the vault's keys are wrapped under.
    #[error(
        "master {master} of the key ring {} does not unwrap slot {slot} of {}; restore the key ring that \
         belongs to this vault",
        ring.display(), vault.display()
    )]
    MasterDiffers {
        /// The ring.
        ring: PathBuf,
        /// The vault.
        vault: PathBuf,
        /// The master key's id.
        master: u32,
        /// A slot that does not unwrap.
        slot: u32,
    },
    /// A slot that was durable once is wrong now.
    #[error(
        "{} is damaged in slot {slot} (byte {}): {problem}; restore the data folder as a whole from a backup",
        vault.display(), u64::from(*slot) * 128
    )]
    Damaged {
        /// The vault file.
        vault: PathBuf,
        /// The slot, counted from 0.
        slot: u32,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A rotation was cut off and the file that it left cannot be understood.
    #[error(
        "{} lies beside no {}; it may hold the only copy, so restore the one that is missing",
        aside.display(), missing.display()
    )]
    AsideAlone {
        /// The file that is there.
        aside: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// The owner's key was destroyed, and owners never get a second one.
    #[error("the key was destroyed")]
    Destroyed,
    /// The vault has no such key.
    #[error("there is no key {key} in the vault")]
    UnknownKey {
        /// The key's id.
        key: u32,
    },
    /// The vault has given out all its 2^32 - 1 key ids.
    #[error("the vault is full; the key for {owner} was not made")]
    Full {
        /// Who needed a key.
        owner: Id,
    },
    /// An earlier write failed, so it is unknown what the disk holds. A start reads it again.
    #[error("a write to the keys failed earlier; restart to read what is on the disk")]
    Stopped,
    /// The cryptographic library refused; it does so when it gets no randomness or memory.
    #[error("the cryptographic library could not {0}")]
    Cipher(&'static str),
}

/// Where in a file, unless that cannot be told.
fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(", in line {line}") }
}

impl KeysError {
    /// For `map_err` of file operations.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Why personal data cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its key was destroyed: it is erased for good.
    #[error("its key was destroyed")]
    Destroyed,
    /// The vault never had its key.
    #[error("its key is unknown")]
    UnknownKey,
    /// The bytes are not what was sealed.
    #[error("its bytes are damaged or were tampered with")]
    Tampered,
    /// The vault could not be read just now, or its slot is damaged; the data may be whole.
    #[error("its key cannot be read from the vault")]
    VaultFailed,
}
