//! File systems of the test's own, filled to the last block, or gone read-only, while shoppers buy.
//!
//! Needs root, loop devices and `mkfs.ext4`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use relampago_load::{Ledger, Sale};
use rustix::fs::statvfs;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::anywhere::{PATIENCE, SETTINGS, SKUS, UNITS, load};
use crate::api::product;
use crate::power_cut::{Disk, disk, run};
use crate::support::{Shop, eventually, is_ci, scratch, seed};

/// What shoppers may fill.
const ROOM: u64 = 1 << 20;
const BLOCK: usize = 4096;

/// A shop on `folder`, and shoppers in it.
struct Busy {
    shop: Shop,
    ledger: Ledger,
    sale: Sale,
    running: JoinSet<relampago_load::Report>,
}

impl Busy {
    async fn on(folder: &Path) -> Self {
        let mut shop = Shop::open(&SETTINGS).await;
        shop.kill().await;
        shop.move_to(&folder.join("data"));
        shop.start().await;
        let ledger = Ledger::default();
        for sku in SKUS {
            product(&mut shop.staff(), sku, "19.99", UNITS).await;
            ledger.stocked(sku, UNITS);
        }
        let sale = Sale::new(load(&shop, seed()), ledger.clone());
        let mut running = JoinSet::new();
        let shoppers = sale.clone();
        running.spawn(async move { shoppers.run(|_| {}).await });
        let busy = Self { shop, ledger, sale, running };
        busy.goes_on().await;
        busy
    }

    async fn goes_on(&self) {
        let before = self.sale.report().orders;
        eventually("the sale goes on", async || (self.sale.report().orders > before + 20).then_some(()))
            .await;
    }

    /// The server ends by itself and then refuses to start; both times its last words have one of `reasons` and all
    /// of `words`.
    async fn ends_and_stays_down(&mut self, prepare: impl FnOnce(), reasons: &[&str], words: &[&str]) {
        let check = |last: String| {
            println!("{last}");
            assert!(reasons.iter().any(|reason| last.contains(reason)), "{last}");
            assert!(words.iter().all(|word| last.contains(word)), "{last}");
        };
        assert!(!self.shop.ended().await.success());
        check(self.shop.last_words());
        prepare();
        assert!(!self.shop.refuses_to_start().await.success());
        check(self.shop.last_words());
    }

    /// The server starts again, all that was acknowledged is there, and the sale comes to its end.
    async fn ends_whole(mut self) {
        self.shop.start_closed().await;
        let findings = self.shop.auditor().acknowledged(&self.ledger).await.unwrap();
        assert_eq!(findings, Vec::<String>::new());
        self.shop.target.open(self.shop.address());
        self.goes_on().await;
        self.sale.stop();
        println!("{}", self.running.join_next().await.unwrap().unwrap());
        let findings = self.shop.auditor().books(&self.ledger, PATIENCE).await.unwrap();
        assert_eq!(findings, Vec::<String>::new());
        self.shop.kill().await;
    }
}

/// Takes all room of the file system but `left` bytes.
fn fill(ballast: &Path, left: u64) {
    let free = statvfs(ballast.parent().unwrap()).unwrap();
    let bytes = (free.f_bfree * free.f_frsize).saturating_sub(left);
    let mut file = File::options().create(true).append(true).open(ballast).unwrap();
    let block = [1; BLOCK];
    for _ in 0..bytes / BLOCK as u64 + u64::from(left == 0) {
        if file.write_all(&block).is_err() {
            break;
        }
    }
    file.sync_all().unwrap();
}

async fn fills_up(folder: &Path) {
    let mut busy = Busy::on(folder).await;
    let ballast = folder.join("ballast");
    fill(&ballast, ROOM);
    let last_block = || fill(&ballast, 0);
    busy.ends_and_stays_down(last_block, &["No space left on device"], &["data/", "make room"]).await;
    fs::remove_file(&ballast).unwrap();
    busy.ends_whole().await;
}

#[tokio::test]
async fn a_full_image_stops_the_server_and_room_lets_it_go_on() {
    let Some(disk) = disk("24M") else { return };
    fills_up(&disk.mount_point()).await;
}

/// A file system in memory, mounted while this lives.
struct Memory(TempDir);

impl Memory {
    fn new() -> Option<Self> {
        let memory = Self(scratch());
        let mounted =
            run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", memory.0.path().to_str().unwrap()]);
        if let Err(reason) = mounted {
            assert!(!is_ci(), "a full tmpfs cannot be shown here: {reason:#}");
            eprintln!("SKIPPED full tmpfs: {reason:#}");
            return None;
        }
        Some(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["--lazy", self.0.path().to_str().unwrap()]) {
            eprintln!("{error:#}");
        }
    }
}

#[tokio::test]
async fn a_full_tmpfs_stops_the_server_and_room_lets_it_go_on() {
    let Some(memory) = Memory::new() else { return };
    fills_up(memory.0.path()).await;
}

/// The switch by which the kernel takes an error of the file system for found: it goes read-only then.
fn error_switch(disk: &Disk) -> PathBuf {
    let image = disk.image();
    let listed = Command::new("losetup")
        .args(["--noheadings", "--output", "NAME", "--associated"])
        .arg(image)
        .output();
    let device = String::from_utf8(listed.expect("losetup").stdout).unwrap();
    Path::new("/sys/fs/ext4").join(device.trim().trim_start_matches("/dev/")).join("trigger_fs_error")
}

#[tokio::test]
async fn a_file_system_that_goes_read_only_stops_the_server_and_loses_nothing() {
    let Some(disk) = disk("64M") else { return };
    let mut busy = Busy::on(&disk.mount_point()).await;
    fs::write(error_switch(&disk), "a test").expect("make the kernel find an error");
    let reasons = ["Read-only file system", "Input/output error"];
    busy.ends_and_stays_down(|| (), &reasons, &["/data", "and start again"]).await;
    eventually("the file system is free", async || disk.unmount().ok()).await;
    let image = disk.image();
    // 1: errors were corrected, the one that was made up among them.
    let checked = Command::new("fsck.ext4").args(["-p", "-f"]).arg(image).output().expect("fsck.ext4");
    assert!(
        checked.status.code().is_some_and(|code| code <= 1),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    disk.mount().expect("mount again");
    busy.ends_whole().await;
}
