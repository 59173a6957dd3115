//! A server as its machine sees it: memory, files, and the figures that it publishes.

use std::fmt;
use std::fs;
use std::path::Path;

use relampago_load::{Client, Request};

use crate::api::send;

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// In use now.
    pub(crate) resident: u64,
    /// The most that ever was.
    pub(crate) peak: u64,
    /// In use now, without what is read of files.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// As proc(5) tells it.
    pub(crate) fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
            let kib = value.trim().strip_suffix(" kB").expect("a number of KiB");
            kib.parse::<u64>().expect("a number") << 10
        };
        Self { resident: bytes("VmRSS:"), peak: bytes("VmHWM:"), anonymous: bytes("RssAnon:") }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB resident, {} MiB at most", self.resident >> 20, self.peak >> 20)
    }
}

/// Bytes that the files below a folder take on the disk; what goes away meanwhile counts as nothing.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// A figure at `/metrics`, by its name with its labels; 0 if it is not there.
pub(crate) async fn metric(client: &mut Client, name: &str) -> f64 {
    let page = page(client).await;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
}

/// The sum of a figure over all its labels.
pub(crate) async fn sum(client: &mut Client, name: &str) -> f64 {
    let labelled = format!("{name}{{");
    let page = page(client).await;
    let values = page.lines().filter(|line| line.starts_with(&labelled));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

async fn page(client: &mut Client) -> String {
    let answer = send(client, Request::get("/metrics")).await;
    String::from_utf8(answer.body.to_vec()).expect("text")
}
