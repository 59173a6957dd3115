//! Programs under comparison: built, started, watched, and gone when dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::SpeedError;

/// What every server says once it is ready, before its address.
const READY: &str = "listening on http://";
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A server that takes requests.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to its being ready.
    pub ready_after: Duration,
}

impl Process {
    /// Starts a server and waits until it says where it listens.
    ///
    /// # Errors
    /// If it cannot be started, ends, or does not get ready within two minutes.
    pub fn start(mut command: Command) -> Result<Self, SpeedError> {
        let started = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let program = command.get_program().to_string_lossy().into_owned();
        match ready(&mut child) {
            Some(address) => Ok(Self { child, address, ready_after: started.elapsed() }),
            None => {
                end(&mut child);
                Err(SpeedError::NotReady(program))
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    /// Kills it with SIGKILL.
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A program that does not outlive this process, however that ends.
pub(crate) fn tied(program: &Path, options: &[&str]) -> Command {
    // Becomes the program itself, so that its process id is the child's.
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=INT").args(options).arg("--").arg(program);
    command
}

/// Kills a child and waits for its end.
pub(crate) fn end(child: &mut Child) {
    // A child that has ended by itself is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the line with the address.
fn ready(child: &mut Child) -> Option<SocketAddr> {
    let addresses = addresses(child)?;
    addresses.recv_timeout(READY_WITHIN).ok()
}

/// The addresses that a child writes to its standard output. All of it is read until its end, so that the child
/// never writes to a full or a closed pipe.
fn addresses(child: &mut Child) -> Option<Receiver<SocketAddr>> {
    let lines = BufReader::new(child.stdout.take()?).lines();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(address) = address(&line) {
                // Only the first is waited for.
                let _ = sender.send(address);
            }
        }
    });
    Some(receiver)
}

fn address(line: &str) -> Option<SocketAddr> {
    line.split_once(READY)?.1.trim_end_matches('/').parse().ok()
}

/// The binary of a package in the release profile, built if need be.
///
/// # Errors
/// If it does not build.
pub fn binary(package: &str, name: &str) -> Result<PathBuf, SpeedError> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    build.args(["build", "--release", "--package", package, "--bin", name]);
    build.arg("--message-format=json-render-diagnostics");
    let output = build.stderr(Stdio::inherit()).output()?;
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let mut messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let executable = messages.find_map(|message| {
        let ours = message["target"]["name"] == name;
        message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    });
    executable.ok_or_else(|| SpeedError::NotBuilt(name.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_read_from_the_ready_line() {
        let expected = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(address("relampago listening on http://127.0.0.1:8080"), Some(expected));
        assert_eq!(address("listening on http://127.0.0.1:8080/"), Some(expected));
        assert_eq!(address("recovering"), None);
    }
}
