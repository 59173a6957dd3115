//! `relampago load`: load from a scenario file, and what is made of its reports.

use std::fs;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use relampago_load::audit::Auditor;
use relampago_load::compare::Comparison;
use relampago_load::run::address::Url;
use relampago_load::run::id::RunId;
use relampago_load::run::{LoadProgress, MergedRun, Options, Progress, Stop, audit_steps, audit_whole, run};
use relampago_load::scenario::generator::Part;
use relampago_load::scenario::model::FACTORS;
use relampago_load::scenario::{self, Scenario, shipped};
use relampago_load::summary::{Missing, Summary};
use relampago_load::{Rng, html};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::print;
use crate::serve;

/// More threads than any machine has processors.
const MOST_THREADS: usize = 1024;
/// Skus whose stock the line of progress has room for.
const MOST_SKUS_SHOWN: usize = 3;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Load {
    /// Run a scenario against a server: exit code 0 if it passed, 3 if the books do not balance, 4 if the figures say
    /// nothing of the server, 5 if a threshold was missed, 6 if the audit could not be made, 7 if it was cut short
    Run(Box<RunArgs>),
    /// List the scenarios that come along
    List,
    /// Print one of them, to begin a file of one's own with
    Show {
        /// Its name
        name: String,
    },
    /// Read a file and say whether it is a scenario
    Check {
        /// The file
        file: String,
    },
    /// Say what differs between two reports by more than chance
    Compare {
        /// The report to compare with, JSON
        a: PathBuf,
        /// The report that is judged, JSON
        b: PathBuf,
        /// Write the comparison as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Make one report of those that several generators wrote of one run; with --url, and --api-key or --scenario, the books
    /// of the whole are audited, which no part could do
    Merge(Box<MergeArgs>),
}

/// How to merge.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// The reports, JSON
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Merge what there is, and say in the report what is missing
    #[arg(long)]
    allow_missing: bool,
    /// The shop whose books are audited: http://HOST:PORT or https://HOST[:PORT]
    #[arg(long)]
    url: Option<String>,
    /// Trust these certificates of https:// too, PEM, besides those that the system trusts
    #[arg(long, value_name = "FILE", requires = "url")]
    cacert: Option<PathBuf>,
    /// The credential of staff that the audit reads with
    #[arg(long, env = "LOAD_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// What ran, a file or a name, where its audit is of kind `steps`
    #[arg(long, value_name = "FILE|NAME", requires = "url")]
    scenario: Option<String>,
    /// What its variables were set to
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, requires = "scenario")]
    set: Vec<(String, String)>,
    /// Audit a server that is neither on this machine nor in a private network
    #[arg(long)]
    yes_this_is_mine: bool,
    #[command(flatten)]
    out: Out,
}

/// How to run a scenario.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A scenario file, or the name of one that comes along
    #[arg(value_name = "FILE|NAME")]
    scenario: String,
    /// The shop: http://HOST:PORT or https://HOST[:PORT]
    #[arg(long)]
    url: String,
    /// Trust these certificates of https:// too, PEM, besides those that the system trusts
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// What {{api_key}} stands for; the audit reads with it
    #[arg(long, env = "LOAD_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Seed of every choice, to have people do the same again [default: another one for each run]
    #[arg(long)]
    seed: Option<u64>,
    /// What the names and keys of this run have in them, so that they are those of no other run, whatever its seed; the
    /// same one again asks for what was answered before [default: another one for each run; generators with --part
    /// agree on theirs by --seed and --start-at]
    #[arg(long, value_name = "NAME")]
    run_id: Option<RunId>,
    /// Another value for a variable of the file
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Every rate, or the number of clients, times this; connections, stock and the limit of flows stay
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    scale: f64,
    /// Every moment of the plan times this: duration or curve, and warm-up. People stay as fast as they are: think
    /// times, time-outs, waits before a retry and the drain do not change
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    stretch: f64,
    /// Threads of the generator [default: half of the processors]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// Second zero of the run, as several generators agree on it: 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339)]
    start_at: Option<SystemTime>,
    /// Which of several generators this is, such as 2/3; all of them have the same --seed and --start-at, and the
    /// first one sets up and must be ready before the start
    #[arg(long, value_name = "I/N", value_parser = part, requires = "seed", requires = "start_at")]
    part: Option<Part>,
    /// Offer the run's own metrics to Prometheus there
    #[arg(long, value_name = "HOST:PORT")]
    metrics_addr: Option<SocketAddr>,
    /// Load a server that is neither on this machine nor in a private network
    #[arg(long)]
    yes_this_is_mine: bool,
    #[command(flatten)]
    out: Out,
}

/// Where a report goes besides the terminal.
#[derive(Debug, Args)]
pub(super) struct Out {
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Out {
    /// Finds out before the work what could not be written after it.
    fn check(&self) -> Result<()> {
        for path in [&self.json, &self.html].into_iter().flatten() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if path.is_dir() || !folder.is_none_or(Path::is_dir) {
                bail!("cannot write {}: a report is a file in a folder that exists", path.display());
            }
        }
        if self.json.is_some() && self.json == self.html {
            bail!("--json and --html name the same file: one report would be written over the other");
        }
        Ok(())
    }
}

/// Does it.
pub(super) fn execute(load: &Load) -> Result<ExitCode> {
    match load {
        Load::Run(arguments) => return run_scenario(arguments),
        Load::Merge(arguments) => return merge(arguments),
        Load::List => list(),
        Load::Show { name } => show(name),
        Load::Check { file } => {
            let scenario = scenario::load(file, &[])?;
            print(&format!("{}: {} flows, all right\n", scenario.name, scenario.flows.len()))
        }
        Load::Compare { a, b, json } => compare(&read(a)?, &read(b)?, json.as_deref()),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn list() -> Result<()> {
    let mut text = String::new();
    for name in shipped::names() {
        let scenario = scenario::load(name, &[])?;
        let first = scenario.description.split_inclusive('.').next().unwrap_or_default().replace('\n', " ");
        text.push_str(&format!("{name:20} {first}\n"));
    }
    print(&text)
}

fn show(name: &str) -> Result<()> {
    let known = || shipped::names().collect::<Vec<_>>().join(", ");
    let text = shipped::text(name).with_context(|| format!("no scenario {name}; there are {}", known()))?;
    print(text)
}

/// Says something on the way. A reader who has gone away is no reason to stop.
fn say(line: &str) {
    let _closed = writeln!(std::io::stderr(), "{line}");
}

fn read(path: &Path) -> Result<Summary> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Summary::from_json(&text).with_context(|| path.display().to_string())
}

fn compare(a: &Summary, b: &Summary, json: Option<&Path>) -> Result<()> {
    // The same two reports are always compared alike.
    let comparison = Comparison::new(a, b, a.run.seed ^ b.run.seed);
    if let Some(path) = json {
        write(path, &comparison.to_json())?;
    }
    print(&comparison.to_string())
}

fn merge(arguments: &MergeArgs) -> Result<ExitCode> {
    arguments.out.check()?;
    let parts: Vec<Summary> = arguments.parts.iter().map(|path| read(path)).collect::<Result<_>>()?;
    let missing = if arguments.allow_missing { Missing::Mark } else { Missing::Refuse };
    let merged = Summary::merge(&parts, missing)?;
    let merged = match &arguments.url {
        Some(url) => audited(merged, &Url::parse(url)?, arguments)?,
        None => merged,
    };
    hand_out(&merged, &arguments.out)
}

/// Audits the books of a run whose parts were merged.
fn audited(merged: Summary, url: &Url, arguments: &MergeArgs) -> Result<Summary> {
    let Some(ledger) = &merged.ledger else {
        bail!(
            "there is nothing to audit: the scenario has no audit that takes all parts, or it was made already"
        );
    };
    let by_steps = ledger.steps.is_some();
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(Stop::No);
        let audit = async {
            let target = url.target(arguments.yes_this_is_mine, arguments.cacert.as_deref()).await?;
            let api_key = arguments.api_key.clone();
            if by_steps {
                let why = "the audit is of kind `steps`, and these are in the file that ran: give --scenario";
                let scenario = scenario::load(arguments.scenario.as_deref().context(why)?, &arguments.set)?;
                let run = MergedRun { scenario: &scenario, url, target, api_key };
                return Ok(audit_steps(merged, run, stopped, teller()).await?);
            }
            let api_key = api_key.context("the audit reads all orders: give --api-key")?;
            Ok(audit_whole(merged, Auditor { target, api_key }, stopped, teller()).await)
        };
        tokio::select! {
            summary = audit => summary,
            given_up = interrupted(stop) => Err(given_up),
        }
    })
}

fn run_scenario(arguments: &RunArgs) -> Result<ExitCode> {
    serve::raise_file_limit();
    arguments.out.check()?;
    let scenario = scenario::load(&arguments.scenario, &arguments.set)?;
    let scenario = scenario.scaled(arguments.scale, arguments.stretch).map_err(anyhow::Error::msg)?;
    let url = Url::parse(&arguments.url)?;
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let summary = runtime.block_on(async {
        let target = url.target(arguments.yes_this_is_mine, arguments.cacert.as_deref()).await?;
        let seed = arguments.seed.unwrap_or_else(Rng::fresh_seed);
        let options = Options {
            url,
            target,
            api_key: arguments.api_key.clone(),
            seed,
            id: arguments.run_id.clone().unwrap_or_else(|| match (arguments.part, arguments.start_at) {
                (Some(_), Some(start)) => RunId::of(seed, start),
                _ => RunId::fresh(),
            }),
            part: arguments.part.unwrap_or(Part { index: 0, of: 1 }),
            threads: arguments.threads,
            start_at: arguments.start_at,
            metrics: arguments.metrics_addr,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        watched(&scenario, options).await
    })?;
    hand_out(&summary, &arguments.out)
}

/// Runs a scenario with a line of progress, until its end or a signal.
async fn watched(scenario: &Scenario, options: Options) -> Result<Summary> {
    say(&format!("{}: {} (seed {}, run {})", scenario.name, options.url, options.seed, options.id));
    let (stop, stopped) = watch::channel(Stop::No);
    let (_events, told) = mpsc::channel(1);
    tokio::select! {
        summary = run(scenario, options, stopped, told, teller()) => Ok(summary?),
        given_up = interrupted(stop) => Err(given_up),
    }
}

/// Ends a run when SIGINT or SIGTERM asks for it: the first one lets it come to its end, the second one ends it at
/// once, both with a report. Returns at the third.
async fn interrupted(stop: watch::Sender<Stop>) -> anyhow::Error {
    let asked = async || -> std::io::Result<()> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        for (how, line) in [
            (Stop::Soon, "\ncut short: no more starts; once more ends at once"),
            (Stop::Now, "\nending at once"),
        ] {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            stop.send_replace(how);
            say(line);
        }
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        Ok(())
    };
    match asked().await {
        Ok(()) => anyhow::anyhow!("given up without a report"),
        Err(error) => anyhow::Error::new(error).context("cannot listen to signals"),
    }
}

/// Tells progress: on a terminal a line takes the place of the last.
fn teller() -> impl FnMut(&Progress) {
    let in_place = std::io::stderr().is_terminal();
    move |progress| tell(progress, in_place)
}

/// Progress in a line.
pub(crate) fn line(progress: &Progress) -> String {
    match progress {
        Progress::Load(load) => load_line(load),
        Progress::Audit(audit) => format!("audit: {audit}"),
    }
}

fn load_line(progress: &LoadProgress) -> String {
    let [ok, refused, throttled, failed] = progress.answered;
    let p99 = progress.p99_us.map_or("-".to_owned(), |p99| format!("{:.1} ms", p99 as f64 / 1000.0));
    let stands = match progress.draining {
        None => format!("{:4} of {} s", progress.elapsed.as_secs(), progress.whole.as_secs()),
        Some(flows) => format!("{:4} s, draining {flows} flows", progress.elapsed.as_secs()),
    };
    let mut line = format!(
        "{stands}  {ok:6} ok/s  {refused:6} refused  {throttled:4} throttled  {failed:4} failed  p99 {p99}",
    );
    for (sku, left) in progress.stock.iter().take(MOST_SKUS_SHOWN) {
        line.push_str(&format!("  {sku}: {left} left"));
    }
    line
}

/// Says how a run stands; on a terminal a line takes the place of the last.
fn tell(progress: &Progress, in_place: bool) {
    let line = line(progress);
    let mut out = std::io::stderr().lock();
    // A reader of progress who has gone away is no reason to stop.
    let _closed = if in_place {
        write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush())
    } else {
        writeln!(out, "{line}")
    };
}

/// Prints a report, writes it where it is asked for, and makes its verdict the exit code.
fn hand_out(summary: &Summary, out: &Out) -> Result<ExitCode> {
    if std::io::stderr().is_terminal() {
        say("");
    }
    // What cannot be written takes nothing from the rest, nor from the verdict.
    let page = || html::page(summary).context("the page");
    let results = [
        print(&summary.to_string()),
        out.json.as_deref().map_or(Ok(()), |path| write(path, &summary.to_json())),
        out.html.as_deref().map_or(Ok(()), |path| write(path, &page()?)),
    ];
    let mut failed = false;
    for error in results.into_iter().filter_map(Result::err) {
        say(&format!("relampago: {error:#}"));
        failed = true;
    }
    let verdict = summary.exit() as u8;
    Ok(ExitCode::from(if failed && verdict == 0 { 1 } else { verdict }))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn threads(text: &str) -> Result<usize, String> {
    let read = text.parse().ok().filter(|threads| (1..=MOST_THREADS).contains(threads));
    read.ok_or_else(|| format!("threads are a whole number from 1 to {MOST_THREADS}"))
}

fn factor(text: &str) -> Result<f64, String> {
    let read = text.parse().ok().filter(|factor| FACTORS.contains(factor));
    read.ok_or_else(|| format!("a factor is a number from {} to {}", FACTORS.start(), FACTORS.end()))
}

fn part(text: &str) -> Result<Part, String> {
    let read = || {
        let (index, of) = text.split_once('/')?;
        let (index, of): (u32, u32) = (index.parse().ok()?, of.parse().ok()?);
        (index >= 1 && index <= of && of <= 1000).then(|| Part { index: index - 1, of })
    };
    read().ok_or_else(|| format!("`{text}` is no part; say 2/3 for the second of three"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn progress_says_when_the_load_is_over() {
        let mut progress = LoadProgress {
            elapsed: Duration::from_secs(30),
            whole: Duration::from_secs(30),
            draining: None,
            answered: [5, 0, 0, 0],
            p99_us: None,
            stock: BTreeMap::new(),
        };
        assert!(load_line(&progress).starts_with("  30 of 30 s       5 ok/s"), "{}", load_line(&progress));
        progress.elapsed = Duration::from_secs(31);
        progress.draining = Some(12);
        assert!(
            load_line(&progress).starts_with("  31 s, draining 12 flows       5 ok/s"),
            "{}",
            load_line(&progress)
        );
    }

    #[test]
    fn numbers_that_make_no_load_are_refused() {
        assert_eq!((threads("2"), factor("0.5")), (Ok(2), Ok(0.5)));
        for text in ["0", "-1", "1.5", "many", "", "100000"] {
            assert!(threads(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "nan", "inf", "1e9", "half", ""] {
            assert!(factor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!(part("2/3"), Ok(Part { index: 1, of: 3 }));
        for text in ["0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(part(text).is_err(), "{text}");
        }
    }
}
