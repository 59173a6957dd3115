//! `relampago demo`: a real flash sale over loopback, with the server killed in the middle, and an audit.
//!
//! The server is this very program, started as a child on a temporary folder. What happens to it is what
//! would happen to any client: everything goes through the REST interface.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use relampago_load::run::address::Url;
use relampago_load::run::id::RunId;
use relampago_load::run::{Options as RunOptions, Stop, run as run_scenario};
use relampago_load::scenario::generator::Part;
use relampago_load::scenario::{self, Scenario};
use relampago_load::summary::Summary;
use relampago_load::{Client, Request, Rng, Target, html};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};

use crate::cli::load;
use crate::serve;

/// The flash sale, and what is on sale there: two products of 500 units.
const SALE: &str = include_str!("demo/sale.toml");
const ON_SALE: [&str; 2] = ["RELAMPAGO-0", "RELAMPAGO-1"];
const UNITS: i64 = 500;

/// The second act, which measures.
const PLENTY: &str = include_str!("demo/plenty.toml");

/// The server is killed once so many orders are placed.
const ORDERS_BEFORE_THE_CRASH: f64 = 120.0;

/// A server that takes longer to get ready has hung.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How large the demonstration is.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections of the flash sale
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u16).range(8..=10_000))]
    pub shoppers: u16,
    /// Seed of every choice, to repeat a run
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the page about the sale is left [default: a new file in the folder for temporary files]
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs the demonstration. `false` if a unit or an order is wrong.
///
/// # Errors
/// If the server cannot be run, or does not answer.
pub async fn run(options: &Options) -> anyhow::Result<bool> {
    serve::raise_file_limit();
    let data = tempfile::tempdir().context("a temporary folder")?;
    let seed = options.seed.unwrap_or_else(Rng::fresh_seed);
    say(&format!("relampago demo, seed {seed}, data in {}", data.path().display()));
    let key = format!("demo-{:016x}", Rng::fresh_seed());
    let server = Server::start(data.path(), &key).await?;
    let mut sale = scenario::parse("demo/sale.toml", SALE, &[])?;
    sale.load.connections = options.shoppers.into();
    say(&format!("1,000 units of {} products on sale, and a thousand visitors a second", ON_SALE.len()));
    let (server, told) = act_one(server, &sale, data.path(), &key, seed).await?;
    say(&format!("\nThe flash sale, with a crash in it\n{told}"));
    let findings = findings(&told, server.address, &key).await?;
    // What cannot be written takes nothing from the verdict.
    let page = leave_page(&told, options.html.as_deref());
    if let Ok(page) = &page {
        say(&format!("The report as a page: {}\n", page.display()));
    }
    let plenty = scenario::parse("demo/plenty.toml", PLENTY, &[])?;
    let measured = act_two(&server, &plenty, &key, seed.wrapping_add(1)).await?;
    say(&format!("\nOne-request purchases without end of stock\n{measured}"));
    server.stop().await?;
    let right = verdict(&findings);
    page.map(|_| right)
}

/// Leaves the page of the sale where it is asked for, or in a new file among the temporary ones; returns where.
fn leave_page(told: &Summary, path: Option<&Path>) -> anyhow::Result<PathBuf> {
    let page = html::page(told).context("the page")?;
    let Some(path) = path else {
        // A fixed name would be somebody else's to prepare, in a folder that everybody may write to.
        let mut file = tempfile::Builder::new()
            .prefix("relampago-demo-")
            .suffix(".html")
            .tempfile()
            .context("a temporary file for the page")?;
        file.write_all(page.as_bytes()).context("cannot write the page")?;
        return Ok(file.keep().context("cannot keep the page")?.1);
    };
    std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.to_owned())
}

/// A run of a scenario against the server that listens at `target` now.
fn plan(target: Target, address: SocketAddr, key: &str, seed: u64) -> anyhow::Result<RunOptions> {
    Ok(RunOptions {
        url: Url::parse(&format!("http://{address}"))?,
        target,
        api_key: Some(key.to_owned()),
        seed,
        id: RunId::fresh(),
        part: Part { index: 0, of: 1 },
        threads: None,
        start_at: None,
        metrics: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// The flash sale: sold out in spite of a SIGKILL.
async fn act_one(
    server: Server,
    sale: &Scenario,
    data: &Path,
    key: &str,
    seed: u64,
) -> anyhow::Result<(Server, Summary)> {
    let target = Target::new(server.address);
    let plan = plan(target.clone(), server.address, key, seed)?;
    let (_running, stop) = watch::channel(Stop::No);
    let (tell, events) = mpsc::channel(2);
    let crash = async {
        let placed = server.has_placed(ORDERS_BEFORE_THE_CRASH, key);
        timeout(READY_WITHIN, placed).await.context("the sale does not begin")??;
        let began = Instant::now();
        server.kill().await?;
        target.close();
        tell.send("server killed".to_owned()).await?;
        say("… SIGKILL: the server is gone in the middle of the sale");
        let server = Server::start(data, key).await?;
        tell.send("server ready".to_owned()).await?;
        say(&format!("… restarted and ready after {} ms", began.elapsed().as_millis()));
        target.open(server.address);
        anyhow::Ok(server)
    };
    let sale = async {
        let ran = run_scenario(sale, plan, stop, events, |progress| say(&load::line(progress))).await;
        anyhow::Ok(ran?)
    };
    let (summary, server) = tokio::try_join!(sale, crash)?;
    Ok((server, summary))
}

/// Plenty of stock, one-request purchases: what the machine can do.
async fn act_two(server: &Server, plenty: &Scenario, key: &str, seed: u64) -> anyhow::Result<Summary> {
    say("and now a product that does not sell out");
    let plan = plan(Target::new(server.address), server.address, key, seed)?;
    let (_running, stop) = watch::channel(Stop::No);
    let (_quiet, events) = mpsc::channel(1);
    Ok(run_scenario(plenty, plan, stop, events, |progress| say(&load::line(progress))).await?)
}

/// What is wrong with the books of the flash sale; empty if they balance.
async fn findings(told: &Summary, address: SocketAddr, key: &str) -> anyhow::Result<Vec<String>> {
    let mut findings: Vec<String> = Vec::new();
    if !told.audit.failed() && !told.audit.balances() {
        let why = told.audit.reason.as_deref().unwrap_or("nobody did");
        findings.push(format!("the books were not audited: {why}"));
    }
    let failed = told.audit.checks.iter().filter(|check| check.passed == Some(false));
    findings.extend(failed.map(|check| format!("{}: {}", check.name, check.detail)));
    let mut staff = Client::staff(Target::new(address), key);
    for sku in ON_SALE {
        let answer = staff.send(&Request::get(format!("/api/v1/inventory/{sku}"))).await?;
        let stock: serde_json::Value = answer.json()?;
        say(&format!(
            "{sku}: {} stocked, {} available, {} reserved, {} sold",
            stock["stocked"], stock["available"], stock["reserved"], stock["sold"]
        ));
        if stock["sold"].as_i64() != Some(UNITS) {
            findings.push(format!("{sku}: {UNITS} units were on sale and {} are sold", stock["sold"]));
        }
    }
    Ok(findings)
}

fn verdict(findings: &[String]) -> bool {
    for finding in findings {
        say(&format!("WRONG: {finding}"));
    }
    let right = findings.is_empty();
    say(if right {
        "VERDICT: exactly 1,000 of 1,000 units sold and paid, every acknowledged order is there."
    } else {
        "VERDICT: the books do not balance."
    });
    right
}

/// Writes a line of the demonstration. A reader who has gone away is no reason to leave a server behind.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// This program, serving as a child process.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Kept, so that the server never writes to a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    async fn start(data: &Path, key: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut child = Command::new(program)
            .args(["serve", "--addr", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", key)
            .env("RELAMPAGO_LOG__FILTER", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the server")?;
        let stdout = child.stdout.take().context("the server's output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = timeout(READY_WITHIN, lines.next_line()).await.context("the server is not ready")??;
        let Some(ready) = ready else { bail!("the server ended: {}", child.wait().await?) };
        let address =
            ready.strip_prefix("relampago listening on http://").context("the server's first line")?;
        Ok(Self { address: address.parse().context("the server's address")?, child, _stdout: lines })
    }

    /// Waits until so many orders are placed, as its metrics say.
    async fn has_placed(&self, orders: f64, key: &str) -> anyhow::Result<()> {
        let mut client = Client::staff(Target::new(self.address), key);
        let mut looks = interval(Duration::from_millis(5));
        loop {
            looks.tick().await;
            let answer = client.send(&Request::get("/metrics")).await?;
            let figures = String::from_utf8_lossy(&answer.body);
            let lines = figures.lines().filter(|line| line.starts_with("relampago_orders_total"));
            let placed: f64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            if placed >= orders {
                return Ok(());
            }
        }
    }

    /// SIGKILL, as a crash would have it.
    async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the server")
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.kill().await
    }
}
