//! The real server, on a scratch folder: started, watched, and gone when dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command as Build, Stdio};
use std::time::Duration;

use relampago_load::{Answer, Client, Request, Target};
use rustix::param::clock_ticks_per_second;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

pub(crate) const BOOTSTRAP_KEY: &str = "bench-admin-key";
/// The one hot sku, with more in stock than can be sold here.
pub(crate) const SKU: &str = "HOT";
pub(crate) const PASSWORD: &str = "correct horse 9";

const STOCK: u64 = 1_000_000_000;
const START_WITHIN: Duration = Duration::from_secs(60);
const READY_LINE: &str = "relampago listening on http://";
/// The name of the threads that hash passwords.
const HASHER: &str = "password-";
/// The hashers have settled once they have done nothing for so long.
const QUIET: Duration = Duration::from_millis(100);

pub(crate) struct Server {
    pub(crate) target: Target,
    process: u32,
    _child: Child,
    /// Kept open, so that the server never writes to a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
    _scratch: TempDir,
}

impl Server {
    /// A server with its default settings and one product in stock.
    pub(crate) async fn start() -> Self {
        let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--addr", "127.0.0.1:0", "--data"]).arg(scratch.path().join("data"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAMPAGO_")) {
            command.env_remove(name);
        }
        command.env("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", BOOTSTRAP_KEY);
        let log = File::create(scratch.path().join("server.log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let process = child.id().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = timeout(START_WITHIN, ready(&mut stdout)).await.expect("the server gets ready");
        let target = Target::new(address);
        let server = Self { target, process, _child: child, _stdout: stdout, _scratch: scratch };
        let product = json!({ "name": SKU, "sku": SKU, "price": "19.99", "stock_quantity": STOCK });
        server.made(&Request::post("/api/v1/products", &product)).await;
        server
    }

    /// Registers somebody with [`PASSWORD`].
    pub(crate) async fn register(&self, email: &str) {
        let user = json!({ "name": email, "email": email, "password": PASSWORD });
        self.made(&Request::post("/api/v1/users", &user)).await;
    }

    /// Signs somebody in; the access token.
    pub(crate) async fn sign_in(&self, email: &str) -> String {
        let answer = Client::guest(self.target.clone()).send(&login(email, PASSWORD)).await.unwrap();
        assert_eq!(answer.code(), 200, "{}", answer.kind());
        text(&answer, "access_token")
    }

    /// An API key that can do nothing but buy.
    pub(crate) async fn api_key(&self) -> String {
        let key = json!({ "name": "storefront", "scopes": ["orders:place"] });
        text(&self.made(&Request::post("/api/v1/api-keys", &key)).await, "key")
    }

    async fn made(&self, request: &Request) -> Answer {
        let answer = Client::staff(self.target.clone(), BOOTSTRAP_KEY).send(request).await.unwrap();
        assert_eq!(answer.code(), 201, "{}", answer.kind());
        answer
    }

    /// Time on a core of all its threads so far, in the kernel too, but for those that hash passwords.
    pub(crate) fn serving_cpu(&self) -> Duration {
        let (_, all) = cpu_of(&fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap());
        all.saturating_sub(self.hashing_cpu())
    }

    /// Time on a core of the threads that hash passwords so far.
    pub(crate) fn hashing_cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process)).unwrap();
        // A thread may end while the others are looked at.
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        stats
            .filter_map(|stat| Some(cpu_of(&stat)).filter(|(name, _)| name.starts_with(HASHER)))
            .map(|(_, cpu)| cpu)
            .sum()
    }

    /// Waits until no password is hashed any more.
    pub(crate) async fn settle(&self) {
        let mut before = None;
        loop {
            let now = self.hashing_cpu();
            if before == Some(now) {
                return;
            }
            before = Some(now);
            sleep(QUIET).await;
        }
    }
}

/// A sign-in.
pub(crate) fn login(email: &str, password: &str) -> Request {
    Request::post("/api/v1/auth/login", &json!({ "email": email, "password": password }))
}

fn text(answer: &Answer, field: &str) -> String {
    answer.json::<Value>().unwrap()[field].as_str().unwrap().to_owned()
}

/// Name and CPU time in a `stat` of proc(5). The name stands in parentheses and may hold some itself.
fn cpu_of(stat: &str) -> (String, Duration) {
    let (head, tail) = stat.rsplit_once(") ").unwrap();
    let name = head.split_once('(').unwrap().1.to_owned();
    // utime and stime are the fields 14 and 15; the tail begins with the third.
    let ticks: u64 = tail.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    (name, Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

async fn ready(stdout: &mut Lines<BufReader<ChildStdout>>) -> SocketAddr {
    while let Some(line) = stdout.next_line().await.unwrap() {
        if let Some(address) = line.strip_prefix(READY_LINE) {
            return address.trim_end_matches('/').parse().unwrap();
        }
    }
    panic!("the server ended instead of getting ready");
}

/// The server's binary in the release profile: that of `RELAMPAGO_BINARY`, or built here.
fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("RELAMPAGO_BINARY") {
        return given.into();
    }
    let mut build = Build::new(env!("CARGO"));
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    build.args(["build", "--release", "--package", "relampago-http", "--bin", "relampago"]);
    build.arg("--message-format=json-render-diagnostics");
    let output = build.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the server does not build");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let mut messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let executable = messages.find_map(|message| {
        let ours = message["target"]["name"] == "relampago";
        message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    });
    executable.expect("cargo names the binary")
}
