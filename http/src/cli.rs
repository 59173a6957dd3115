//! The command line.

mod backup;
mod check;
mod inspect;
pub(crate) mod load;
mod readable;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use relampago_config::{ConfigError, Configuration, Fault, Flags};
use tracing_subscriber::EnvFilter;

use crate::{demo, serve};

/// Exit code of `config` when the settings are refused, and of `check` and `inspect` when the data cannot be looked
/// at; clap's for a command line that is refused.
const REFUSED: u8 = 2;

/// The back end of a shop: products, stock, carts, orders and payments behind REST.
#[derive(Debug, Parser)]
#[command(name = "relampago", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the shop until SIGTERM
    Serve(Sources),
    /// Hold a flash sale in a temporary folder, crash in the middle of it, and audit the books
    Demo(demo::Options),
    /// Verify a data folder that no node runs on, without changing it: exit code 0 if it is in order, 1 if a fault
    /// was found, 2 if it could not be checked
    Check(check::Options),
    /// Show an entity of a data folder that no node runs on, with its events: exit code 1 if there is none, 2 if
    /// the folder could not be read
    Inspect(inspect::Options),
    /// Take a backup of a running shop, consistent at a position of its journal
    Backup(backup::Backup),
    /// Make a new data folder of a backup
    Restore(backup::Restore),
    /// Load a shop as its customers do, and audit its books afterwards
    #[command(subcommand)]
    Load(load::Load),
    /// Look at the settings without starting anything
    #[command(subcommand)]
    Config(Look),
}

#[derive(Debug, Subcommand)]
enum Look {
    /// Say whether the settings are acceptable: exit code 0, or 2 and every fault on a line of standard error
    Check(Sources),
    /// Print the settings in effect as TOML, each with where it comes from, secrets redacted
    Show(Sources),
}

/// Where settings come from, beside the environment.
#[derive(Debug, Args)]
struct Sources {
    /// TOML file with settings that differ from the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<SocketAddr>,
    /// Folder of the data
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Sources {
    fn load(&self) -> Result<Configuration, ConfigError> {
        let flags = Flags { addr: self.addr, data: self.data.clone() };
        // A variable that is not UTF-8 cannot be one of our settings.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let configuration = Configuration::load(self.config.as_deref(), flags, env)?;
        check_filter(&configuration)?;
        Ok(configuration)
    }
}

/// Reads the command line and does what it says. Failures go to standard error.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(sources) => serve_with(&sources),
        Command::Demo(options) => demonstrate(&options),
        Command::Check(options) => check::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Backup(options) => backup::take(&options),
        Command::Restore(options) => backup::put_back(&options),
        Command::Load(load) => load::execute(&load),
        Command::Config(look) => look_at_settings(&look),
    };
    done.unwrap_or_else(|error| {
        // Nobody may listen there.
        let _closed = writeln!(std::io::stderr(), "relampago: {error:#}");
        ExitCode::FAILURE
    })
}

fn serve_with(sources: &Sources) -> Result<ExitCode> {
    serve::run(&sources.load()?.settings)?;
    Ok(ExitCode::SUCCESS)
}

fn look_at_settings(look: &Look) -> Result<ExitCode> {
    let (Look::Check(sources) | Look::Show(sources)) = look;
    let configuration = match sources.load() {
        Ok(configuration) => configuration,
        Err(error) => {
            print_refusal(&error);
            return Ok(REFUSED.into());
        }
    };
    for warning in &configuration.warnings {
        eprintln!("warning: {warning}");
    }
    match look {
        Look::Check(_) => print("configuration is acceptable\n"),
        Look::Show(_) => print(&configuration.to_string()),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. A reader who has seen enough is no failure.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

fn print_refusal(error: &ConfigError) {
    match error {
        ConfigError::Faults(faults) => faults.iter().for_each(|fault| eprintln!("{fault}")),
        other => eprintln!("{other}"),
    }
}

/// Only the logs' own library can tell whether it understands a filter.
fn check_filter(configuration: &Configuration) -> Result<(), ConfigError> {
    const KEY: &str = "log.filter";
    let filter = &configuration.settings.log.filter;
    EnvFilter::try_new(filter).map(drop).map_err(|_| {
        let origin = configuration.origins.get(KEY);
        ConfigError::Faults(vec![Fault::Invalid {
            key: KEY.into(),
            given: format!("{filter:?}"),
            origin: origin.map_or("by default", String::as_str).into(),
            expected: "directives such as info,ractor=warn".into(),
        }])
    })
}

fn demonstrate(options: &demo::Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let books_balance = runtime.block_on(demo::run(options))?;
    Ok(if books_balance { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
