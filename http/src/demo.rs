//! `relampago demo`: a real flash sale over loopback, with the server killed in the middle, and an audit.
//!
//! The server is this very program, started as a child on a temporary folder. What happens to it is what
//! would happen to any client: everything goes through the REST interface.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use relampago_load::audit::Auditor;
use relampago_load::{
    Client, Ledger, Mix, Progress, Report, Request, Rng, Sale, SalePlan, Target, Until, sale,
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{interval, timeout};

use crate::serve;

/// What is on sale: sku and units; 1,000 units in all.
const ON_SALE: [(&str, i64); 2] = [("RELAMPAGO-TV", 700), ("RELAMPAGO-PHONE", 300)];

/// Prices by the same order.
const PRICES: [&str; 2] = ["199.00", "89.90"];

/// The server is killed once so many orders are acknowledged.
const ORDERS_BEFORE_THE_CRASH: u64 = 120;

/// Purchases of the second act, which measures.
const MEASURED_ORDERS: u64 = 40_000;

/// The sku of the second act; its stock does not end.
const PLENTY: &str = "EVERYDAY-SOCKS";

/// A server that takes longer to get ready has hung.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a shopper tries one request.
const PATIENCE: Duration = Duration::from_secs(60);

/// How large the demonstration is.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Shoppers of the flash sale, one connection each
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u16).range(8..=10_000))]
    pub shoppers: u16,
    /// Seed of every choice, to repeat a run
    #[arg(long)]
    pub seed: Option<u64>,
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
    let target = Target::new(server.address);
    let ledger = Ledger::default();
    let mut staff = Client::staff(target.clone(), &key);
    for ((sku, units), price) in ON_SALE.iter().zip(PRICES) {
        sale::stock(&mut staff, &ledger, sku, price, *units).await.context("the catalogue")?;
    }
    let shoppers = usize::from(options.shoppers);
    say(&format!("1,000 units of {} products on sale, {shoppers} shoppers at the door", ON_SALE.len()));
    let plan = flash_sale(&target, &key, shoppers, seed);
    let (server, report) = act_one(server, plan, &ledger, data.path(), &key).await?;
    let findings = audit(&target, &key, &ledger, &mut staff).await?;
    let measured = act_two(&target, &key, &mut staff, seed).await?;
    server.stop().await?;
    Ok(verdict(&report, &measured, &findings))
}

fn flash_sale(target: &Target, key: &str, shoppers: usize, seed: u64) -> SalePlan {
    SalePlan {
        target: target.clone(),
        skus: ON_SALE.iter().map(|(sku, _)| (*sku).to_owned()).collect(),
        shoppers,
        adjusters: 0,
        api_key: key.to_owned(),
        mix: Mix { cart: 50, two_skus: 30, pay: 100, cancel: 0 },
        max_quantity: 3,
        tokens: vec!["tok_approve".to_owned()],
        until: Until::SoldOut,
        patience: PATIENCE,
        seed,
    }
}

/// The flash sale: sold out in spite of a SIGKILL.
async fn act_one(
    server: Server,
    plan: SalePlan,
    ledger: &Ledger,
    data: &Path,
    key: &str,
) -> anyhow::Result<(Server, Report)> {
    let target = plan.target.clone();
    let sale = Sale::new(plan, ledger.clone());
    let watched = sale.clone();
    let crash = async {
        let mut looks = interval(Duration::from_millis(1));
        while watched.report().orders < ORDERS_BEFORE_THE_CRASH {
            looks.tick().await;
        }
        let began = Instant::now();
        server.kill().await?;
        target.close();
        say("… SIGKILL: the server is gone in the middle of the sale");
        let server = Server::start(data, key).await?;
        say(&format!("… restarted and ready after {} ms", began.elapsed().as_millis()));
        target.open(server.address);
        anyhow::Ok(server)
    };
    let (report, server) = tokio::join!(sale.run(|progress| say(&line(&progress))), crash);
    Ok((server?, report))
}

/// Plenty of stock, one-request purchases: what the machine can do.
async fn act_two(target: &Target, key: &str, staff: &mut Client, seed: u64) -> anyhow::Result<Report> {
    let ledger = Ledger::default();
    sale::stock(staff, &ledger, PLENTY, "3.50", 1_000_000_000).await.context("the catalogue")?;
    say(&format!("and now {MEASURED_ORDERS} purchases of a product that does not sell out"));
    let plan = SalePlan {
        skus: vec![PLENTY.to_owned()],
        mix: Mix { cart: 0, two_skus: 0, pay: 0, cancel: 0 },
        max_quantity: 1,
        until: Until::Orders(MEASURED_ORDERS),
        ..flash_sale(target, key, 128, seed.wrapping_add(1))
    };
    Ok(Sale::new(plan, ledger).run(|progress| say(&line(&progress))).await)
}

/// What the books say of the flash sale; empty if they balance.
async fn audit(
    target: &Target,
    key: &str,
    ledger: &Ledger,
    staff: &mut Client,
) -> anyhow::Result<Vec<String>> {
    say("auditing every acknowledged order through the API");
    let auditor = Auditor { target: target.clone(), api_key: key.to_owned() };
    let mut findings = auditor.acknowledged(ledger).await?;
    findings.extend(auditor.books(ledger, PATIENCE).await?);
    for (sku, units) in ON_SALE {
        let answer = staff.send(&Request::get(format!("/api/v1/inventory/{sku}"))).await?;
        let stock: serde_json::Value = answer.json()?;
        let sold = stock["sold"].as_i64();
        say(&format!(
            "{sku}: {} stocked, {} available, {} reserved, {} sold",
            stock["stocked"], stock["available"], stock["reserved"], stock["sold"]
        ));
        if sold != Some(units) {
            findings.push(format!("{sku}: {units} units were on sale and {} are sold", stock["sold"]));
        }
    }
    Ok(findings)
}

fn verdict(report: &Report, measured: &Report, findings: &[String]) -> bool {
    let mut text = format!("\nThe flash sale, with a crash in it:\n{report}\n");
    // Writing to a string cannot fail.
    let _written = write!(text, "One-request purchases without end of stock:\n{measured}");
    say(&text);
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

fn line(progress: &Progress) -> String {
    format!(
        "{:6.2} s  {:6} orders  {:7.0}/s  {:6} refused  {:5} sent again  p99 {:.1} ms",
        progress.elapsed.as_secs_f64(),
        progress.orders,
        progress.orders_per_second,
        progress.refused,
        progress.lost,
        progress.p99.as_secs_f64() * 1000.0
    )
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

    /// SIGKILL, as a crash would have it.
    async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the server")
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.kill().await
    }
}
