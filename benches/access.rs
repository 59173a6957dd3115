//! What it costs a checkout to say who one is, and what a login storm costs a sale beside it:
//! `cargo bench -p relampago-benches --bench access`.
//!
//! The real server in the release profile, 64 connections that buy one unit of one hot sku again and again. What is
//! compared runs in turns, in short rounds whose order rotates; a round's ratios are taken within the round, and what
//! is shown is the median over the rounds, of ratios with their quartiles: a busy neighbour spoils a round, not the
//! outcome.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "access/sale.rs"]
mod sale;
#[path = "access/server.rs"]
mod server;
#[path = "access/storm.rs"]
mod storm;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sale::{Credential, Sale, sell};
use server::{BOOTSTRAP_KEY, Server};
use storm::{Logins, Sources, Storm};
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(3);
/// Rounds with each credential: a multiple of their number, so that each has every turn equally often.
const CREDENTIAL_ROUNDS: usize = 48;
const CREDENTIAL_TURN: Duration = Duration::from_millis(500);
/// Rounds without and with a storm: an even number, for the same reason.
const STORM_ROUNDS: usize = 8;
const STORM_TURN: Duration = Duration::from_secs(3);
/// Accounts that a storm signs in to.
const ACCOUNTS: usize = 128;

/// What a credential may cost, percent.
const MOST_FOR_CREDENTIAL: f64 = 10.0;
/// What a storm may cost, percent.
const MOST_FOR_STORM: f64 = 20.0;

#[tokio::main]
async fn main() {
    let server = Server::start().await;
    let accounts: Arc<[String]> = (0..ACCOUNTS).map(|number| format!("p{number}@example.com")).collect();
    for account in accounts.iter() {
        server.register(account).await;
    }
    let guests = vec![None; CONNECTIONS];
    sell(&server, &guests, WARM_UP).await;
    credentials(&server, &accounts).await;
    storm(&server, &guests, accounts).await;
}

/// Checkouts with each credential.
async fn credentials(server: &Server, accounts: &[String]) {
    let kinds = kinds(server, accounts).await;
    let mut sales: Vec<Vec<Sale>> = vec![Vec::new(); kinds.len()];
    for (_, buyers) in &kinds {
        sell(server, buyers, CREDENTIAL_TURN).await;
    }
    for round in 0..CREDENTIAL_ROUNDS {
        for turn in 0..kinds.len() {
            let kind = (round + turn) % kinds.len();
            sales[kind].push(sell(server, &kinds[kind].1, CREDENTIAL_TURN).await);
        }
    }
    println!("\nCheckouts by credential, {CREDENTIAL_ROUNDS} rounds of {CREDENTIAL_TURN:?}, medians:\n");
    println!(
        "| credential | checkouts a second | of none | server CPU a checkout | of none | median | p99 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for ((name, _), ours) in kinds.iter().zip(&sales) {
        println!(
            "| {name} | {:.0} | {} | {:.2} µs | {} | {:.2} ms | {:.2} ms |",
            median(ours, |sale| sale.per_second),
            ratio(ours, &sales[0], |sale| sale.per_second),
            median(ours, |sale| sale.cpu_us),
            ratio(ours, &sales[0], |sale| sale.cpu_us),
            median(ours, |sale| sale.median_ms),
            median(ours, |sale| sale.p99_ms),
        );
    }
    println!();
    for ((name, _), ours) in kinds.iter().zip(&sales).skip(1) {
        verdict(name, ratio(ours, &sales[0], |sale| sale.per_second), MOST_FOR_CREDENTIAL);
    }
}

/// Who buys: the first kind is what the others are compared with.
async fn kinds(server: &Server, accounts: &[String]) -> Vec<(&'static str, Vec<Credential>)> {
    let mut customers = Vec::new();
    for account in &accounts[..CONNECTIONS] {
        customers.push(Some(("authorization", format!("Bearer {}", server.sign_in(account).await))));
    }
    let key = |key: &str| vec![Some(("x-api-key", key.to_owned())); CONNECTIONS];
    vec![
        ("none", vec![None; CONNECTIONS]),
        ("customer's token", customers),
        ("scoped API key", key(&server.api_key().await)),
        ("bootstrap key", key(BOOTSTRAP_KEY)),
    ]
}

/// Checkouts of guests with and without a storm beside them.
async fn storm(server: &Server, guests: &[Credential], accounts: Arc<[String]>) {
    let sources = Arc::new(Sources::new());
    let (mut calm, mut stormy, mut logins) = (Vec::new(), Vec::new(), Vec::new());
    let alone = {
        let storm = Storm::raise(server, &accounts, &sources).await;
        let mark = storm.mark();
        sleep(STORM_TURN).await;
        let alone = storm.since(&mark);
        storm.calm().await;
        alone
    };
    for round in 0..STORM_ROUNDS {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                calm.push(sell(server, guests, STORM_TURN).await);
                continue;
            }
            let storm = Storm::raise(server, &accounts, &sources).await;
            let mark = storm.mark();
            stormy.push(sell(server, guests, STORM_TURN).await);
            logins.push(storm.since(&mark));
            storm.calm().await;
        }
    }
    println!("\nCheckouts and sign-ins, {STORM_ROUNDS} rounds of {STORM_TURN:?}, medians; a second:\n");
    println!(
        "| | checkouts | server CPU a checkout | median | p99 | signed in | 401 | 503 | 429 | cores hashing |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    println!("| sale alone | {} | | | | | |", sale_cells(&calm));
    println!("| sale and storm | {} | {} |", sale_cells(&stormy), login_cells(&logins));
    println!("| storm alone | | | | | {} |\n", login_cells(&[alone]));
    verdict("a storm", ratio(&stormy, &calm, |sale| sale.per_second), MOST_FOR_STORM);
}

fn sale_cells(sales: &[Sale]) -> String {
    format!(
        "{:.0} | {:.2} µs | {:.2} ms | {:.2} ms",
        median(sales, |sale| sale.per_second),
        median(sales, |sale| sale.cpu_us),
        median(sales, |sale| sale.median_ms),
        median(sales, |sale| sale.p99_ms),
    )
}

fn login_cells(logins: &[Logins]) -> String {
    format!(
        "{:.1} | {:.1} | {:.1} | {:.1} | {:.2}",
        median(logins, |logins| logins.signed_in),
        median(logins, |logins| logins.wrong),
        median(logins, |logins| logins.full),
        median(logins, |logins| logins.throttled),
        median(logins, |logins| logins.cores),
    )
}

fn verdict(what: &str, ratio: Spread, most: f64) {
    let cost = (1.0 - ratio.median) * 100.0;
    let kept = if cost <= most { "kept" } else { "BROKEN" };
    println!(
        "{what} costs {cost:.1} % of the checkouts, {ratio} of them stay; the limit of {most} % is {kept}"
    );
}

/// The median of a figure over the rounds.
fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    Spread::of(rounds.iter().map(figure).collect()).median
}

/// The ratio of a figure within each round.
fn ratio<T>(ours: &[T], theirs: &[T], figure: impl Fn(&T) -> f64) -> Spread {
    Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
}

/// The middle of some figures, and the quarters beside it: half of them lie between.
#[derive(Debug, Clone, Copy)]
struct Spread {
    lower: f64,
    median: f64,
    upper: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |share: f64| figures[((figures.len() - 1) as f64 * share).round() as usize];
        Self { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.2} to {:.2})", self.median, self.lower, self.upper)
    }
}
