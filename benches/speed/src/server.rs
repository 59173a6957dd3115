//! The servers under comparison, behind the same two routes.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::answer::scan;
use crate::postgres::Postgres;
use crate::process::{Process, binary, tied};
use crate::template::{ADMIN_KEY, Template, Unit};
use crate::usage::Usage;
use crate::{SpeedError, pause};

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// JSON in, JSON out, nothing kept.
    Noop,
    /// One call of a PostgreSQL function a checkout.
    PgProc,
    /// PostgreSQL, batched in the server.
    PgBatch,
    /// The engine.
    Relampago,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Noop => "noop",
            Self::PgProc => "pg-proc",
            Self::PgBatch => "pg-batch",
            Self::Relampago => "relampago",
        })
    }
}

/// Where the programs are and where the servers may write.
#[derive(Debug)]
pub struct Stage {
    relampago: PathBuf,
    noop: PathBuf,
    pg: PathBuf,
    scratch: PathBuf,
}

impl Stage {
    /// Builds what is compared. `RELAMPAGO_BINARY` names a server that is built already.
    ///
    /// # Errors
    /// If something does not build.
    pub fn set(scratch: &Path) -> Result<Self, SpeedError> {
        let relampago = engine()?;
        let noop = binary("relampago-baselines", "noop")?;
        let pg = binary("relampago-baselines", "pg")?;
        Ok(Self { relampago, noop, pg, scratch: scratch.to_owned() })
    }

    /// Builds the engine alone, as [`Self::set`] does; nothing else can be started then.
    ///
    /// # Errors
    /// If it does not build.
    pub fn of_engine(scratch: &Path) -> Result<Self, SpeedError> {
        let none = PathBuf::new;
        Ok(Self { relampago: engine()?, noop: none(), pg: none(), scratch: scratch.to_owned() })
    }

    /// Where the servers write.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Starts a server on an empty folder.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn start(&self, contender: Contender) -> Result<Server, SpeedError> {
        match contender {
            Contender::Noop => Ok(Server::of(Process::start(tied(&self.noop, &[]))?)),
            Contender::PgProc => self.start_pg("proc"),
            Contender::PgBatch => self.start_pg("batch"),
            Contender::Relampago => self.start_relampago(&[]),
        }
    }

    /// Starts the engine on an empty folder, with settings by the names of their environment variables.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn start_relampago(&self, settings: &[(&str, &str)]) -> Result<Server, SpeedError> {
        let folder = tempfile::tempdir_in(&self.scratch)?;
        let process = self.relampago_on(folder.path(), settings)?;
        Ok(Server { process, folder: Some(folder), postgres: None })
    }

    /// Kills the engine with SIGKILL and starts it again on what it left.
    ///
    /// # Errors
    /// If it does not get ready again.
    pub fn restart_relampago(&self, server: Server) -> Result<Server, SpeedError> {
        let Server { process, folder, postgres } = server;
        drop(process);
        let process = self.relampago_on(folder.as_ref().map_or(&self.scratch, TempDir::path), &[])?;
        Ok(Server { process, folder, postgres })
    }

    fn relampago_on(&self, folder: &Path, settings: &[(&str, &str)]) -> Result<Process, SpeedError> {
        let mut command = tied(&self.relampago, &[]);
        command.args(["serve", "--addr", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAMPAGO_")) {
            command.env_remove(name);
        }
        command.env("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", ADMIN_KEY).envs(settings.iter().copied());
        command.stderr(File::options().create(true).append(true).open(folder.join("server.log"))?);
        Process::start(command)
    }

    fn start_pg(&self, mode: &str) -> Result<Server, SpeedError> {
        let postgres = Postgres::start(&self.scratch)?;
        let mut command = tied(&self.pg, &[]);
        command.args(["--mode", mode, "--socket"]).arg(postgres.socket());
        Ok(Server { process: Process::start(command)?, folder: None, postgres: Some(postgres) })
    }
}

fn engine() -> Result<PathBuf, SpeedError> {
    match std::env::var_os("RELAMPAGO_BINARY") {
        Some(given) => Ok(given.into()),
        None => binary("relampago-http", "relampago"),
    }
}

/// A running server; ended and forgotten when dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    folder: Option<TempDir>,
    postgres: Option<Postgres>,
}

impl Server {
    fn of(process: Process) -> Self {
        Self { process, folder: None, postgres: None }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// From its start to its being ready.
    pub fn ready_after(&self) -> Duration {
        self.process.ready_after
    }

    /// Its database, if it has one.
    pub fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }

    /// What it has used, its database included.
    pub fn usage(&self) -> Usage {
        let database = self.postgres.as_ref().map(Postgres::id);
        Usage::of(&[Some(self.process.id()), database].into_iter().flatten().collect::<Vec<u32>>())
    }

    /// A figure that the engine publishes at `/metrics`, by its name with its labels.
    ///
    /// # Errors
    /// If it is not there.
    pub fn metric(&self, name: &str) -> Result<f64, SpeedError> {
        let page = self.get("/metrics")?;
        metric(&page, name).ok_or_else(|| SpeedError::NoMetric(name.to_owned()))
    }

    /// Waits until a figure is at most this.
    ///
    /// # Errors
    /// If it is not within the time.
    pub fn wait_for(&self, name: &str, most: f64, within: Duration) -> Result<(), SpeedError> {
        let end = Instant::now() + within;
        while self.metric(name)? > most {
            if Instant::now() > end {
                return Err(SpeedError::NotSettled(name.to_owned()));
            }
            pause(Duration::from_millis(200));
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String, SpeedError> {
        let mut connection = TcpStream::connect(self.address())?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        connection.write_all(Template::get(path).fill(&Unit::default()))?;
        let mut bytes = Vec::new();
        let mut part = [0; 16 * 1024];
        loop {
            let read = connection.read(&mut part)?;
            bytes.extend_from_slice(&part[..read]);
            if let Some(answer) = scan(&bytes).map_err(io::Error::other)? {
                return Ok(String::from_utf8_lossy(&bytes[answer.body]).into_owned());
            }
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// The value of a figure in the Prometheus text form.
fn metric(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_whole_name() {
        let page = "# TYPE live gauge\nlive_total 9\nlive{kind=\"order\"} 3\nlive 12.5\n";
        assert_eq!(metric(page, "live"), Some(12.5));
        assert_eq!(metric(page, "live{kind=\"order\"}"), Some(3.0));
        assert_eq!(metric(page, "dead"), None);
    }
}
