//! What fuzzing gets hold of: data folders, backups and stored values with anything in them, and what holds of whatever
//! is read from them. It is compiled for tests and under the feature `fuzzing` alone.
#![expect(clippy::expect_used, reason = "what does not hold ends a fuzzing run")]

mod backup;
mod image;

use std::ops::ControlFlow;
use std::sync::LazyLock;

pub use backup::backup;
use image::Image;

use crate::journal::chunk;
use crate::store::pack;
use crate::{DiskJournal, Journal, Sequence};

/// Journals as a crash and as an orderly end leave them. Their events tell their sequence.
static IMAGES: LazyLock<[Image; 2]> = LazyLock::new(|| [Image::killed(), Image::closed()]);

/// A data folder with one file changed. The first byte of the input says in which image and whether the checksums are
/// made to fit again, the second which file; then come changes, four bytes each. Nothing that was never written is ever
/// read, and nothing that was acknowledged is missing without an error; with forged checksums, nothing panics.
pub fn recovery(input: &[u8]) {
    let [how, which, changes @ ..] = input else { return };
    let image = &IMAGES[usize::from(how % 2)];
    let forged = how / 2 % 2 == 1;
    let folder = image.changed(usize::from(*which), changes, forged);
    let Ok((journal, report)) = DiskJournal::open(image::options(folder.path())) else { return };
    let first = image.first.min(report.first);
    let mut next = first;
    let replayed = journal.replay(first, &mut |sequence, record| {
        if !forged {
            assert_eq!((sequence, record), (next, &image::event(sequence)[..]), "an event that never was");
        }
        next += 1;
        ControlFlow::Continue(())
    });
    if !forged && replayed.is_ok() {
        assert_eq!(next, report.last + 1, "events that are said to be there are not");
        let acknowledged = image.last - image.torn_at_most..=image.last;
        assert!(acknowledged.contains(&report.last), "{report:?}");
    }
    let _closed = journal.close();
}

/// Values of journal and snapshots. The input is a value; and it is what follows the checksum of one, which then fits.
pub fn values(input: &[u8]) {
    value(input);
    if let [format, rest @ ..] = input {
        value(&[&[*format][..], &crc32fast::hash(rest).to_le_bytes(), rest].concat());
    }
}

fn value(value: &[u8]) {
    let Some(number) = value.get(5..).and_then(|rest| rest.first_chunk()) else { return };
    let number = Sequence::from_le_bytes(*number);
    if let Some(records) = chunk::whole(number, value) {
        assert!(records > 0, "a chunk without an event");
    }
    pack::try_all(number, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(target: &str, check: fn(&[u8])) {
        let seeds = format!("{}/../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut fed = 0;
        for entry in std::fs::read_dir(seeds).expect("the seeds") {
            check(&std::fs::read(entry.expect("a seed").path()).expect("a seed"));
            fed += 1;
        }
        assert!(fed > 2, "{target}: {fed}");
    }

    #[test]
    fn what_fuzzing_asserts_holds_for_its_seeds() {
        feed("backup", backup);
        feed("recovery", recovery);
        feed("values", values);
    }

    #[test]
    fn unchanged_folders_are_read_whole() {
        for image in &*IMAGES {
            let folder = image.changed(0, &[], false);
            let (journal, report) = DiskJournal::open(image::options(folder.path())).expect("it opens");
            assert_eq!(report.last, image.last);
            let mut count = 0;
            let counted = journal.replay(image.first, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            });
            counted.expect("it is read");
            assert_eq!(count, image.last);
        }
    }
}
