//! Runs the server: builds the binary once, starts, kills, drains and restarts it on data of the test's own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command as Build, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use relampago_load::audit::Auditor;
use relampago_load::{Client, Mix, Rng, SalePlan, Target, Until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{sleep, sleep_until, timeout};

/// The admin key that every server here is started with.
pub(crate) const API_KEY: &str = "blackbox-admin-key";
/// How long [`eventually`] waits before it calls a condition broken.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// A start that takes longer has hung.
const START_WITHIN: Duration = Duration::from_secs(60);
const READY_LINE: &str = "relampago listening on http://";

/// Tests that need the machine for themselves hold this for writing, the others for reading.
static MACHINE: RwLock<()> = RwLock::const_new(());

#[expect(dead_code, reason = "guards are held, not used")]
enum Turn {
    WithOthers(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// One running server process.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Kept open, so that the server never writes to a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// A shop under test: a data folder, settings, and the server on it. At most one a test, since a second one could
/// wait for a test that waits for the first.
pub(crate) struct Shop {
    /// Where shoppers find the server. Closed while it is down.
    pub(crate) target: Target,
    data: PathBuf,
    settings: Vec<(&'static str, String)>,
    environment: Vec<(&'static str, String)>,
    binary: PathBuf,
    server: Option<Server>,
    /// Where the server listens each time; port 0 is another one each time.
    listens: SocketAddr,
    scratch: TempDir,
    _turn: Turn,
}

impl Shop {
    /// A fresh shop. Settings are named without their prefix: `("ORDERS__RESERVATION_TTL", "6s")`.
    pub(crate) async fn open(settings: &[(&'static str, &str)]) -> Self {
        let turn = Turn::WithOthers(MACHINE.read().await);
        let mut shop = Self::prepare(turn, settings);
        shop.start().await;
        shop
    }

    /// A fresh shop whose server keeps its address from start to start.
    pub(crate) async fn open_on(listens: SocketAddr, settings: &[(&'static str, &str)]) -> Self {
        let turn = Turn::WithOthers(MACHINE.read().await);
        let mut shop = Self::prepare(turn, settings);
        shop.listens = listens;
        shop.start().await;
        shop
    }

    /// A fresh shop while no other test runs a server.
    pub(crate) async fn open_alone(settings: &[(&'static str, &str)]) -> Self {
        let turn = Turn::Alone(MACHINE.write().await);
        let mut shop = Self::prepare(turn, settings);
        shop.start().await;
        shop
    }

    /// A fresh shop while no other test runs a server, with its data in the folder `data`.
    pub(crate) async fn open_alone_at(data: &Path, settings: &[(&'static str, &str)]) -> Self {
        let turn = Turn::Alone(MACHINE.write().await);
        let mut shop = Self::prepare(turn, settings);
        shop.data = data.to_owned();
        shop.start().await;
        shop
    }

    fn prepare(turn: Turn, settings: &[(&'static str, &str)]) -> Self {
        let scratch = scratch();
        let listens = SocketAddr::from(([127, 0, 0, 1], 0));
        let target = Target::new(listens);
        target.close();
        Self {
            target,
            data: scratch.path().join("data"),
            settings: settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            environment: Vec::new(),
            binary: binary().to_owned(),
            server: None,
            listens,
            scratch,
            _turn: turn,
        }
    }

    /// Starts the server, waits until it is ready and sends shoppers to it. Returns how long it took.
    pub(crate) async fn start(&mut self) -> Duration {
        let took = self.start_closed().await;
        self.target.open(self.address());
        took
    }

    /// Starts the server and keeps shoppers out. Returns how long it took until it was ready.
    pub(crate) async fn start_closed(&mut self) -> Duration {
        let began = Instant::now();
        match self.spawn().await {
            Ok(server) => self.server = Some(server),
            Err(status) => panic!("the server ended with {status} instead of getting ready"),
        }
        began.elapsed()
    }

    /// Starts a server on data that it must refuse: another one runs on it, or it cannot be used. Returns the
    /// exit status.
    pub(crate) async fn refuses_to_start(&self) -> ExitStatus {
        match self.spawn().await {
            Ok(_) => panic!("the server starts"),
            Err(status) => status,
        }
    }

    /// Starts the server on data that it may refuse. Says whether it got ready.
    pub(crate) async fn starts(&mut self) -> bool {
        self.server = self.spawn().await.ok();
        if let Some(server) = &self.server {
            self.target.open(server.address);
        }
        self.server.is_some()
    }

    /// Goes on with another data folder from the next start on.
    pub(crate) fn move_to(&mut self, data: &Path) {
        self.data = data.to_owned();
    }

    /// Sets a variable of the environment in which the server runs from its next start on.
    pub(crate) fn run_with(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Runs another build of the server from its next start on.
    pub(crate) fn run_as(&mut self, binary: &Path) {
        binary.clone_into(&mut self.binary);
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("a running server");
        let status = timeout(START_WITHIN, server.child.wait()).await.expect("the server ends").unwrap();
        self.target.close();
        status
    }

    /// Kills the server with SIGKILL and waits until it is gone; then holds shoppers back.
    pub(crate) async fn kill(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.child.kill().await.expect("kill the server");
        self.target.close();
    }

    /// Kills the server and starts it again.
    pub(crate) async fn crash(&mut self) {
        self.kill().await;
        self.start().await;
    }

    /// Asks the server to drain with SIGTERM and waits for its end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("a running server");
        let pid = server.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("a process id");
        kill_process(pid, Signal::TERM).expect("signal the server");
        let status = timeout(START_WITHIN, server.child.wait()).await.expect("the server drains").unwrap();
        self.target.close();
        status
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("a running server").address
    }

    /// The server's process id.
    pub(crate) fn process(&self) -> u32 {
        self.server.as_ref().and_then(|server| server.child.id()).expect("a running server")
    }

    /// The folder that the server keeps everything in.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// A client without a credential.
    pub(crate) fn guest(&self) -> Client {
        Client::guest(self.target.clone())
    }

    /// A client with the admin's key.
    pub(crate) fn staff(&self) -> Client {
        Client::staff(self.target.clone(), API_KEY)
    }

    /// An auditor with a way in of its own, also while shoppers are kept out.
    pub(crate) fn auditor(&self) -> Auditor {
        Auditor { target: Target::new(self.address()), api_key: API_KEY.into() }
    }

    async fn spawn(&self) -> Result<Server, ExitStatus> {
        let log = File::options().create(true).append(true).open(self.log()).expect("open the server's log");
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--addr", &self.listens.to_string(), "--data"]).arg(&self.data);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAMPAGO_")) {
            command.env_remove(name);
        }
        command.env("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", API_KEY);
        command.envs(self.settings.iter().map(|(name, value)| (format!("RELAMPAGO_{name}"), value)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().expect("start the server");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        match timeout(START_WITHIN, ready_line(&mut stdout)).await.expect("the server gets ready or ends") {
            Some(address) => Ok(Server { child, address, _stdout: stdout }),
            None => Err(child.wait().await.expect("wait for the server")),
        }
    }

    /// Why the server ended: what it wrote last to standard error that is no line of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).expect("the server's log");
        log.lines().rfind(|line| line.starts_with("relampago: ")).unwrap_or_default().to_owned()
    }

    /// 64 shoppers who buy in every way, pay, are declined and cancel, and two who change the stock, until they are
    /// told to stop.
    pub(crate) fn sale(&self, skus: &[&str], seed: u64) -> SalePlan {
        SalePlan {
            target: self.target.clone(),
            skus: skus.iter().copied().map(String::from).collect(),
            shoppers: 64,
            adjusters: 2,
            api_key: API_KEY.into(),
            mix: Mix { cart: 30, two_skus: 33, pay: 40, cancel: 30 },
            max_quantity: 3,
            tokens: ["tok_approve", "tok_decline"].map(String::from).to_vec(),
            until: Until::Stopped,
            patience: Duration::from_secs(60),
            seed,
        }
    }

    /// A folder for whatever the test needs beside the data.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// What the server writes to standard error.
    pub(crate) fn log(&self) -> PathBuf {
        self.scratch.path().join("server.log")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.scratch.disable_cleanup(true);
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the server's log, last lines (whole: {}) ---", self.log().display());
            for line in &lines[lines.len().saturating_sub(100)..] {
                eprintln!("{line}");
            }
        }
    }
}

/// A scratch folder on the disk that cargo builds on, not in memory.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder")
}

async fn ready_line(stdout: &mut Lines<BufReader<ChildStdout>>) -> Option<SocketAddr> {
    while let Some(line) = stdout.next_line().await.expect("read the server's output") {
        if let Some(address) = line.strip_prefix(READY_LINE) {
            return Some(address.trim_end_matches('/').parse().expect("an address in the ready line"));
        }
    }
    None
}

/// The server's binary, built once in the profile of this test.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // Another build than the usual one, such as one that must fail a test.
        if let Some(given) = std::env::var_os("RELAMPAGO_BINARY") {
            return given.into();
        }
        build("relampago", &[])
    })
}

/// Builds a binary of the server's package in the profile of this test.
pub(crate) fn build(name: &str, features: &[&str]) -> PathBuf {
    let mut build = Build::new(env!("CARGO"));
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    build.args(["build", "--package", "relampago-http", "--bin", name, "--features", &features.join(",")]);
    build.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let output = build.stderr(Stdio::inherit()).output().expect("run cargo");
    assert!(output.status.success(), "the server does not build");
    executable(&output.stdout, name).expect("cargo names the binary")
}

fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n');
    let mut artifacts = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    artifacts.find_map(|message| {
        let ours = message["target"]["name"] == name;
        message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    })
}

/// Waits until `check` gives a value; panics with `what` if it has not within half a minute.
pub(crate) async fn eventually<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(DEADLINE, what, check).await
}

/// [`eventually`] with a patience of its own.
pub(crate) async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "still not so after {patience:?}: {what}");
        sleep(POLL_EVERY).await;
    }
}

/// Runs `check` again and again until `moment`: for what must stay as it is while a deadline passes.
pub(crate) async fn until(moment: Instant, mut check: impl AsyncFnMut()) {
    while Instant::now() < moment {
        check().await;
        sleep(POLL_EVERY).await;
    }
    check().await;
}

/// Lets a deadline of the server pass while nobody can be asked about it.
pub(crate) async fn pass(moment: Instant) {
    sleep_until(moment.into()).await;
}

/// The seed of a randomised test: `RELAMPAGO_SEED`, or a new one. Printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("RELAMPAGO_SEED").ok();
    let seed = given.map_or_else(Rng::fresh_seed, |text| text.parse().expect("RELAMPAGO_SEED is a number"));
    println!("RELAMPAGO_SEED={seed}");
    seed
}

/// Whether the long versions were asked for with `RELAMPAGO_LONG=1`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("RELAMPAGO_LONG").is_some_and(|value| value == "1")
}

/// Whether this is the project's own pipeline, where nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("RELAMPAGO_CI").is_some_and(|value| value == "1")
}
