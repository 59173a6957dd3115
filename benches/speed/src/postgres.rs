//! A PostgreSQL of its own for every comparison: a fresh private cluster behind a unix socket.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::process::{end, tied};
use crate::{SpeedError, pause};

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
const READY_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(30);

/// What a production server would be given here, beside durability, which is PostgreSQL's default and named all the
/// same. Checkpoints are spread over far longer than a measurement takes.
const SETTINGS: [&str; 13] = [
    "listen_addresses=",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "wal_compression=on",
    "shared_buffers=256MB",
    "max_wal_size=8GB",
    "min_wal_size=1GB",
    "checkpoint_timeout=15min",
    "max_connections=64",
    "autovacuum_naptime=10s",
    "random_page_cost=1.1",
    "logging_collector=off",
];

/// Fills a gigabyte of log and gives it back, so that the log's files are used again, as those of a cluster that has
/// run for a while are: to make new ones in a measurement would cost PostgreSQL dearly.
const SEASONING: [&str; 2] = [
    "DO $$ BEGIN FOR i IN 1..60 LOOP PERFORM pg_logical_emit_message(false, '', ''); PERFORM pg_switch_wal(); \
     END LOOP; END $$",
    "CHECKPOINT",
];

/// A running cluster; shut down and deleted when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    socket: TempDir,
    _data: TempDir,
}

impl Postgres {
    /// The folder of the installed programs, if there are any.
    pub fn installed() -> Option<PathBuf> {
        let versions =
            fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|version| version.path().join("bin"));
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
        // The newest version of Debian's comes before what stands on the path.
        let mut folders: Vec<PathBuf> = versions.collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
        folders.into_iter().chain(on_path).find(|folder| {
            ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
        })
    }

    /// Makes a cluster in the scratch folder and starts it.
    ///
    /// # Errors
    /// If the programs fail, most likely because the account `postgres` cannot reach the scratch folder.
    pub fn start(scratch: &Path) -> Result<Self, SpeedError> {
        let programs = Self::installed().ok_or_else(|| SpeedError::Database("not installed".into()))?;
        let data = owned(tempfile::tempdir_in(scratch)?)?;
        // The path of a socket has to be short.
        let socket = owned(tempfile::tempdir()?)?;
        let cluster = data.path().join("cluster");
        let log = || File::create(data.path().join("log"));
        let mut initdb = as_postgres(&programs.join("initdb"));
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ]);
        let made = initdb.arg(&cluster).stdin(Stdio::null()).stdout(log()?).stderr(log()?).status()?;
        if !made.success() {
            return Err(SpeedError::Database(format!("initdb fails in {}", data.path().display())));
        }
        let mut server = as_postgres(&programs.join("postgres"));
        server.arg("-D").arg(&cluster).arg("-k").arg(socket.path());
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        let server = server.stdin(Stdio::null()).stdout(log()?).stderr(log()?).spawn()?;
        let cluster = Self { server, programs, socket, _data: data };
        cluster.wait_until_ready()?;
        for statement in SEASONING {
            cluster.run(statement)?;
        }
        Ok(cluster)
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// The process above all of its processes.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Runs some SQL as the superuser; its output, a row a line.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, sql: &str) -> Result<String, SpeedError> {
        let mut psql = as_postgres(&self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-U", "postgres", "-h"]);
        let output = psql.arg(self.socket()).args(["-c", sql]).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(SpeedError::Database(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn wait_until_ready(&self) -> Result<(), SpeedError> {
        let end = Instant::now() + READY_WITHIN;
        loop {
            match self.run("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => pause(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Postgres {
    /// A fast shutdown; killed if that takes too long.
    fn drop(&mut self) {
        let end_by = Instant::now() + END_WITHIN;
        if let Ok(id) = i32::try_from(self.server.id()) {
            let told = Pid::from_raw(id).map(|id| kill_process(id, Signal::INT));
            while told.is_some() && Instant::now() < end_by && matches!(self.server.try_wait(), Ok(None)) {
                pause(Duration::from_millis(20));
            }
        }
        end(&mut self.server);
    }
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !geteuid().is_root() {
        return tied(program, &[]);
    }
    let mut command = tied(program, &["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    // Where it stands may be closed to that account.
    command.current_dir("/");
    command
}

/// Gives a folder to the account that PostgreSQL runs as.
fn owned(folder: TempDir) -> Result<TempDir, SpeedError> {
    if geteuid().is_root() {
        let ids = Command::new("id").args(["-u", "postgres"]).output()?;
        let id = String::from_utf8_lossy(&ids.stdout).trim().parse().ok();
        let id = id.ok_or_else(|| SpeedError::Database("there is no account called postgres".into()))?;
        chown(folder.path(), Some(id), None)?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

/// The number in `/usr/lib/postgresql/NUMBER/bin`.
fn version(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}
