//! The disk is shared with whatever else runs on the machine: a measurement begins when nobody else keeps it busy.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{fdatasync, major, minor};

use crate::pause;

/// Syncs that have to be fast, one after the other.
const SYNCS: usize = 5;
/// As fast as this.
const FAST: Duration = Duration::from_millis(2);
/// Not waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The unit of a block device's counters, whatever its real one, bytes.
const SECTOR: u64 = 512;

/// Waits until the disk below a folder answers quickly; the slowest of the last syncs.
///
/// # Errors
/// If the folder cannot be written to.
pub fn wait_until_quiet(folder: &Path) -> io::Result<Duration> {
    let mut file = tempfile::tempfile_in(folder)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let slowest = slowest_sync(&mut file)?;
        if slowest < FAST || Instant::now() > end {
            return Ok(slowest);
        }
        pause(Duration::from_millis(100));
    }
}

/// Bytes that have gone to the device below a folder, whoever wrote them. What a process is told of its own writes
/// counts a whole block of the page cache for every byte changed in it, which is up to a hundred times as much.
///
/// # Errors
/// If the system does not say.
pub fn device_written(folder: &Path) -> io::Result<u64> {
    let device = fs::metadata(folder)?.dev();
    let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    Ok(sectors_written(&fs::read_to_string(path)?) * SECTOR)
}

/// The seventh field of a block device's `stat`.
fn sectors_written(stat: &str) -> u64 {
    stat.split_whitespace().nth(6).and_then(|sectors| sectors.parse().ok()).unwrap_or_default()
}

fn slowest_sync(file: &mut File) -> io::Result<Duration> {
    let mut slowest = Duration::ZERO;
    for _ in 0..SYNCS {
        file.rewind()?;
        file.write_all(&[1; 4096])?;
        let started = Instant::now();
        fdatasync(&*file)?;
        slowest = slowest.max(started.elapsed());
    }
    Ok(slowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_written_are_the_seventh_figure() {
        assert_eq!(sectors_written("  1 2 3 4 5 6 77 8 9 10 11\n"), 77);
        assert_eq!(sectors_written(""), 0);
    }
}
