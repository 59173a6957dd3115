//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use relampago_config::{Flags, Settings};

use crate::{demo, serve};

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
    Serve(Serve),
    /// Hold a flash sale in a temporary folder, crash in the middle of it, and audit the books
    Demo(demo::Options),
}

#[derive(Debug, Args)]
struct Serve {
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

/// Reads the command line and does what it says. Failures go to standard error.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(flags) => serve_with(flags).map(|()| true),
        Command::Demo(options) => demonstrate(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("relampago: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve_with(flags: Serve) -> Result<()> {
    let Serve { config, addr, data } = flags;
    // A variable that is not UTF-8 cannot be one of our settings.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = Settings::load(config.as_deref(), Flags { addr, data }, env)?;
    serve::run(&settings)
}

fn demonstrate(options: &demo::Options) -> Result<bool> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(demo::run(options))
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
