//! Power cuts: the data lies on a file system of its own, which is shut down without flushing anything, unmounted
//! and mounted again. What `fdatasync` did not put on the disk is gone then, as it is when the power fails.
//!
//! Needs root, `mkfs.ext4`, loop devices and `python3` (for the one ioctl).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relampago_load::{Ledger, Rng, Sale};
use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::api::{adjust, commit, expect, product};
use crate::support::{Shop, eventually, eventually_within, is_ci, is_long, scratch, seed};

const SKUS: [&str; 2] = ["BOLT", "SPARK"];
const ROUNDS: u32 = 12;
/// Every third round is long.
const LONG_EVERY: u32 = 3;
const UNITS: i64 = 1_000_000;
const IMAGE_BYTES: &str = "1G";
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that a long round may take.
const LONG_ROUND: Duration = Duration::from_secs(300);
/// `XFS_IOC_GOINGDOWN`, which ext4 takes too (as `EXT4_IOC_SHUTDOWN`), with the flag that flushes neither data nor
/// the file system's journal.
const CUT: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
/// Small segments, so that log and store reuse theirs within a round. The log keeps 128 KiB.
const SETTINGS: [(&str, &str); 8] = [
    ("JOURNAL__SEGMENT_BYTES", "64KiB"),
    ("JOURNAL__SEGMENTS", "2"),
    ("JOURNAL__FEED_INTERVAL", "20ms"),
    ("JOURNAL__SLED_SEGMENT_BYTES", "512KiB"),
    ("ENGINE__SNAPSHOT_INTERVAL", "100ms"),
    ("ENGINE__SNAPSHOT_EVENTS", "1000"),
    ("ENGINE__IDLE_TIMEOUT", "500ms"),
    ("PAYMENTS__DEADLINE", "5s"),
];
/// An event takes more than 40 bytes, so that this many fill the log at least three times over.
const EVENTS_THAT_REUSE: u64 = 10_000;

/// An ext4 file system in a file, mounted while this lives.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new(size: &str) -> Result<Self> {
        ensure!(geteuid().is_root(), "not root");
        let disk = Self { folder: scratch() };
        std::fs::create_dir(disk.mount_point())?;
        run("truncate", &["-s", size, text(&disk.image())])?;
        run("mkfs.ext4", &["-q", "-F", text(&disk.image())])?;
        run("python3", &["-c", "import fcntl"])?;
        disk.mount()?;
        Ok(disk)
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    pub(crate) fn mount(&self) -> Result<()> {
        run("mount", &["-o", "loop,errors=remount-ro", text(&self.image()), text(&self.mount_point())])
    }

    pub(crate) fn unmount(&self) -> Result<()> {
        run("umount", &[text(&self.mount_point())])
    }

    /// Takes the power away: from here on nothing reaches the disk.
    fn cut(&self) -> Result<()> {
        run("python3", &["-c", CUT, text(&self.mount_point())])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the disk is kept: {}", self.image().display());
        }
        // Lazily: after a failure the server may still be on its way out.
        if let Err(error) = run("umount", &["--lazy", text(&self.mount_point())]) {
            eprintln!("{error:#}");
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {stderr}");
    Ok(())
}

/// A disk of this size, or `None` with a loud word where there can be none.
pub(crate) fn disk(size: &str) -> Option<Disk> {
    match Disk::new(size) {
        Ok(disk) => Some(disk),
        Err(reason) => {
            assert!(!is_ci(), "a file system of our own cannot be had here: {reason:#}");
            eprintln!("SKIPPED, for want of a file system of our own: {reason:#}");
            None
        }
    }
}

/// The journal's last event, from the answer to a small write.
async fn last_event(shop: &Shop, ledger: &Ledger) -> u64 {
    let answer = adjust(&mut shop.staff(), SKUS[0], 1).await;
    expect(&answer, 200);
    ledger.stocked(SKUS[0], 1);
    commit(&answer).1
}

/// Lets the shoppers work: a moment, or until log and store have reused their segments.
async fn work(shop: &Shop, ledger: &Ledger, sale: &Sale, round: u32, rng: &mut Rng) {
    if round.is_multiple_of(LONG_EVERY) {
        let events = if is_long() { 10 * EVENTS_THAT_REUSE } else { EVENTS_THAT_REUSE };
        let first = last_event(shop, ledger).await;
        eventually_within(LONG_ROUND, "log and store reuse their segments", async || {
            (last_event(shop, ledger).await >= first + events).then_some(())
        })
        .await;
        return;
    }
    let (before, more) = (sale.report().orders, 20 + rng.below(200));
    eventually("the sale goes on", async || (sale.report().orders >= before + more).then_some(())).await;
}

#[tokio::test]
async fn twelve_power_cuts_lose_nothing() {
    let Some(disk) = disk(IMAGE_BYTES) else { return };
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut shop = Shop::open_alone_at(&disk.mount_point().join("data"), &SETTINGS).await;
    let ledger = Ledger::default();
    for sku in SKUS {
        product(&mut shop.staff(), sku, "19.99", UNITS).await;
        ledger.stocked(sku, UNITS);
    }
    let sale = Sale::new(shop.sale(&SKUS, seed), ledger.clone());
    let mut running = JoinSet::new();
    let shoppers = sale.clone();
    running.spawn(async move { shoppers.run(|_| {}).await });

    for round in 1..=ROUNDS {
        work(&shop, &ledger, &sale, round, &mut rng).await;
        disk.cut().expect("cut the power");
        shop.kill().await;
        eventually("the file system is free", async || disk.unmount().ok()).await;
        disk.mount().expect("mount again");
        let took = shop.start_closed().await;
        let findings = shop.auditor().acknowledged(&ledger).await.unwrap();
        println!("cut {round}: ready in {took:?}, {} orders acknowledged", ledger.len());
        assert_eq!(findings, Vec::<String>::new(), "cut {round}");
        shop.target.open(shop.address());
    }
    sale.stop();
    let report = running.join_next().await.unwrap().unwrap();
    println!("{report}");
    assert!(report.lost > 0, "no cut met a request");
    assert_eq!(shop.auditor().books(&ledger, PATIENCE).await.unwrap(), Vec::<String>::new());
    shop.kill().await;
}
