//! `relampago backup` and `relampago restore`.
//!
//! A backup is a folder: `data` is the stream as the node sent it, `manifest.json` says what it is, and is written
//! last, so that a folder without one is not a backup; `keys.json` is the key ring, if it was asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::net::ToSocketAddrs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use relampago_engine::{restore, verify_backup};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::print;

const STREAM: &str = "data";
const MANIFEST: &str = "manifest.json";
const RING: &str = "keys.json";
const PATH: &str = "/api/v1/admin/backup";
/// The manifest's own form.
const FORMAT: u32 = 1;
/// Nobody but the owner may read a backup: it holds the shop's secret.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// What is read of an answer that refuses.
const MOST_OF_A_REFUSAL: usize = 64 << 10;
const READ_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where the shop listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// File with an API key that has the scope backup:take
    #[arg(long, value_name = "FILE")]
    api_key_file: PathBuf,
    /// The backup's folder, new or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Copy this key ring into the backup too. Without the ring, personal data in the backup cannot be read; with it,
    /// whoever has the backup can read it
    #[arg(long, value_name = "FILE")]
    key_ring: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup's folder
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder, new or empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// What a backup is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The program that took it.
    version: String,
    /// The journal's id in hexadecimal digits.
    journal: String,
    /// Milliseconds since 1970.
    taken_ms: u64,
    /// The oldest event in it.
    first: u64,
    /// The last: everything that was acknowledged up to here is in it.
    position: u64,
    events: u64,
    snapshots: u64,
    /// Size of the stream.
    bytes: u64,
    /// BLAKE3 of the stream in hexadecimal digits.
    blake3: String,
    /// Whether the key ring is in it.
    key_ring: bool,
}

/// Takes a backup of a running shop.
pub(super) fn take(options: &Backup) -> Result<ExitCode> {
    let to = &options.to;
    ensure!(!is_occupied(to), "{} is not empty: name a new folder", to.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(to)
        .with_context(|| format!("cannot create {}", to.display()))?;
    let key = fs::read_to_string(&options.api_key_file)
        .with_context(|| format!("cannot read {}", options.api_key_file.display()))?;
    let stream = to.join(STREAM);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (bytes, blake3) = runtime.block_on(download(&options.url, key.trim(), &stream))?;
    let (begin, end) = verify_backup(open(&stream)?).context("what was received is not whole")?;
    if let Some(ring) = &options.key_ring {
        let content = fs::read(ring).with_context(|| format!("cannot read {}", ring.display()))?;
        write_private(&to.join(RING), &content)?;
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        journal: begin.identity.journal_id.iter().map(|byte| format!("{byte:02x}")).collect(),
        taken_ms: begin.taken_ms,
        first: begin.oldest,
        position: end.position,
        events: end.events,
        snapshots: end.snapshots,
        bytes,
        blake3,
        key_ring: options.key_ring.is_some(),
    };
    write_private(&to.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    sync_folder(to)?;
    print(&format!("backed up to event {} ({bytes} bytes)\n", manifest.position))?;
    if !manifest.key_ring {
        eprintln!("relampago: the key ring is not in it; without the ring, personal data cannot be read");
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a data folder of a backup.
pub(super) fn put_back(options: &Restore) -> Result<ExitCode> {
    let (from, data) = (&options.from, &options.data);
    let path = from.join(MANIFEST);
    let text = fs::read(&path)
        .with_context(|| format!("{} is missing: this is no backup, or not a whole one", path.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    ensure!(manifest.format == FORMAT, "a newer program has taken this backup: restore it with that one");
    let stream = from.join(STREAM);
    let (bytes, found) = digest(&stream)?;
    if (bytes, found.as_str()) != (manifest.bytes, &manifest.blake3) {
        bail!(
            "{} is damaged: its checksum is not that of the manifest; use another backup",
            stream.display()
        );
    }
    let restored =
        restore(data, open(&stream)?).with_context(|| format!("cannot restore into {}", data.display()))?;
    if manifest.key_ring {
        let ring = from.join(RING);
        let content = fs::read(&ring).with_context(|| format!("cannot read {}", ring.display()))?;
        write_private(&data.join(RING), &content)?;
        sync_folder(data)?;
    }
    print(&format!("restored up to event {}\n", restored.position))?;
    if !manifest.key_ring {
        eprintln!("relampago: put the shop's key ring in its place before the shop starts on it");
    }
    Ok(ExitCode::SUCCESS)
}

fn is_occupied(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// Receives the stream into a file; its size and checksum.
async fn download(url: &str, key: &str, path: &Path) -> Result<(u64, String)> {
    let mut driver = JoinSet::new();
    let response = ask(url, key, &mut driver).await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        let text = Limited::new(body, MOST_OF_A_REFUSAL).collect().await;
        let text = text.map(|text| text.to_bytes()).unwrap_or_default();
        bail!("{url} answers {status}: {}", String::from_utf8_lossy(&text));
    }
    let mut file = create(path)?;
    let (mut bytes, mut hasher) = (0, blake3::Hasher::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the shop has ended the backup before it was whole; its log says why")?;
        let Some(data) = frame.data_ref() else { continue };
        bytes += data.len() as u64;
        hasher.update(data);
        file.write_all(data).with_context(|| format!("cannot write {}", path.display()))?;
    }
    file.sync_all().with_context(|| format!("cannot make {} durable", path.display()))?;
    Ok((bytes, hasher.finalize().to_string()))
}

async fn ask(url: &str, key: &str, driver: &mut JoinSet<()>) -> Result<Response<Incoming>> {
    let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let host = host
        .filter(|host| !host.contains('/'))
        .ok_or_else(|| anyhow!("{url} is not of the form http://host:port; a shop itself speaks no TLS"))?;
    let address = host.to_socket_addrs().with_context(|| format!("cannot find {host}"))?.next();
    let address = address.ok_or_else(|| anyhow!("cannot find {host}"))?;
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    driver.spawn(async move {
        // Its error reaches whoever reads the body.
        let _ = connection.await;
    });
    let request = Request::get(PATH).header("host", host).header("x-api-key", key);
    let request = request.body(Empty::<Bytes>::new()).context("the API key cannot stand in a header")?;
    sender.send_request(request).await.with_context(|| format!("no answer from {address}"))
}

/// Size and checksum of a file.
fn digest(path: &Path) -> Result<(u64, String)> {
    let (mut file, mut hasher) = (open(path)?, blake3::Hasher::new());
    let bytes =
        io::copy(&mut file, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((bytes, hasher.finalize().to_string()))
}

fn open(path: &Path) -> Result<impl Read> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(BufReader::with_capacity(READ_BYTES, file))
}

fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(PRIVATE_FILE).open(path);
    created.with_context(|| format!("cannot create {}", path.display()))
}

fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = create(path)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("cannot make {} durable", path.display()))
}
