//! What a request costs the generator, beside wrk: both ask the same server that does nothing for the same thing, in
//! turns. `cargo bench -p relampago-load --bench cost`; wrk is a package of Debian.
//!
//! Counted is the CPU time of the whole process, in the kernel too: on a machine that generator and server share, requests
//! a second say more of the server.
//!
//! wrk is a closed loop and has no rate. With many connections it finds several answers at each wake-up, which makes it
//! cheapest; with two it is woken for nearly every one, as an open loop is that sends when it is due. Both are shown.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use relampago_load::run::address::Url;
use relampago_load::run::id::RunId;
use relampago_load::run::{Options, Stop, run};
use relampago_load::scenario;
use relampago_load::scenario::generator::Part;
use relampago_load::{Rng, Target};
use rustix::param::clock_ticks_per_second;
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const SECONDS: u64 = 3;
const CONNECTIONS: usize = 64;
const FEW: usize = 2;
/// What the generator is held to: requests a second of CPU, as a share of wrk's.
const WANTED: f64 = 0.6;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures against a server.
type Measure = dyn Fn(SocketAddr) -> Result<Cost>;

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Cost {
    requests: f64,
    cpu: Duration,
    wall: Duration,
    /// How late requests left, microseconds: half of them, and one of a hundred. None of wrk.
    late: Option<[Option<u64>; 2]>,
}

impl Cost {
    fn per_cpu_second(self) -> f64 {
        self.requests / self.cpu.as_secs_f64()
    }
}

fn main() -> Result<()> {
    let mut server = Server::start()?;
    let kinds: [(&str, &Measure); 7] = [
        ("wrk, 64 connections", &|address| wrk(address, CONNECTIONS)),
        ("wrk, 2 connections", &|address| wrk(address, FEW)),
        ("closed loop, 64 clients", &|address| load(address, SAME, CLOSED)),
        ("closed loop, a key and a sku drawn", &|address| load(address, DRAWN, CLOSED)),
        ("open loop, 20,000/s Poisson", &|address| load(address, SAME, &open("poisson", 20_000))),
        ("open loop, 20,000/s constant", &|address| load(address, SAME, &open("constant", 20_000))),
        ("open loop, 60,000/s constant", &|address| load(address, SAME, &open("constant", 60_000))),
    ];
    let mut costs = kinds.map(|_| Vec::new());
    for round in 0..=ROUNDS {
        for ((_, measure), costs) in kinds.iter().zip(&mut costs) {
            let cost = measure(server.address)?;
            // The first round warms everything up.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    server.end();
    let [of_wrk, of_few] = [0, 1].map(|of| median(&costs[of], Cost::per_cpu_second));
    println!("{CONNECTIONS} connections, medians of {ROUNDS} rounds of {SECONDS} s, one thread each");
    println!(
        "{:36} {:>10} {:>14} {:>7} {:>8} {:>8} {:>14}",
        "", "requests/s", "per CPU second", "CPU µs", "of wrk's", "of few's", "late p50, p99"
    );
    for ((name, _), costs) in kinds.iter().zip(&costs) {
        let rate = median(costs, |cost| cost.requests / cost.wall.as_secs_f64());
        let each = median(costs, Cost::per_cpu_second);
        let late = [0, 1].map(|of| {
            median(costs, |cost| cost.late.and_then(|late| late[of]).map_or(f64::NAN, |late| late as f64))
        });
        let late =
            if late[0].is_nan() { String::new() } else { format!("{:.0}, {:.0} µs", late[0], late[1]) };
        let (of_wrk, of_few) = (each / of_wrk, each / of_few);
        println!(
            "{name:36} {rate:>10.0} {each:>14.0} {:>7.2} {of_wrk:>8.2} {of_few:>8.2} {late:>14}",
            1e6 / each
        );
    }
    let worst = costs[2..].iter().map(|costs| median(costs, Cost::per_cpu_second) / of_wrk);
    let worst = worst.fold(f64::INFINITY, f64::min);
    println!("target {WANTED} of wrk's best: {}", if worst >= WANTED { "reached" } else { "missed" });
    Ok(())
}

fn median(costs: &[Cost], figure: impl Fn(Cost) -> f64) -> f64 {
    let mut figures: Vec<f64> = costs.iter().map(|cost| figure(*cost)).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

const SAME: &str = r#"{ items = [{ sku = "SKU-1", quantity = 1 }] }"#;
const DRAWN: &str = r#"{ items = [{ sku = "SKU-{{sku}}", quantity = 1 }] }"#;
const CLOSED: &str = r#"mode = "closed"
clients = 64
duration = "3s""#;

fn open(arrivals: &str, rate: u32) -> String {
    format!(
        "mode = \"open\"\narrivals = \"{arrivals}\"\nrate = {rate}\nduration = \"{SECONDS}s\"\n\
         connections = {CONNECTIONS}"
    )
}

fn load(address: SocketAddr, body: &str, load: &str) -> Result<Cost> {
    let key = if body == SAME { "0123456789012345678901" } else { "{{key}}" };
    let text = format!(
        r#"
        name = "cost"
        description = "One request."
        [generate]
        key = {{ kind = "uuid" }}
        sku = {{ kind = "zipf", items = 1000, exponent = 1.0 }}
        [[flows]]
        name = "buy"
        [[flows.steps]]
        name = "buy"
        request = "POST /api/v1/orders"
        headers = {{ idempotency-key = "{key}" }}
        json = {body}
        [load]
        {load}
        "#
    );
    let scenario = scenario::parse("cost", &text, &[])?;
    let options = Options {
        url: Url::parse(&format!("http://{address}"))?,
        target: Target::new(address),
        api_key: None,
        seed: Rng::fresh_seed(),
        id: RunId::fresh(),
        part: Part { index: 0, of: 1 },
        threads: Some(1),
        start_at: None,
        metrics: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (_stop, stopped) = watch::channel(Stop::No);
    let (_tell, told) = mpsc::channel(1);
    let before = own_cpu()?;
    let summary = runtime.block_on(run(&scenario, options, stopped, told, |_| {}))?;
    let cpu = own_cpu()?.saturating_sub(before);
    if summary.all.ok != summary.all.count {
        return Err(format!("not every request succeeded: {summary}").into());
    }
    let wall = Duration::from_secs_f64(summary.run.duration_s);
    let late = &summary.load.lateness.percentiles;
    Ok(Cost { requests: summary.all.count as f64, cpu, wall, late: Some([late.p50, late.p99]) })
}

/// CPU time of this process, in ticks of the kernel: hundredths of a second.
fn own_cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // proc(5): the name may hold anything up to the last parenthesis; user and system time are the 12th and 13th after.
    let (_, fields) = stat.rsplit_once(')').ok_or("no process")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
    Ok(Duration::from_secs_f64(ticks.iter().sum::<u64>() as f64 / clock_ticks_per_second() as f64))
}

fn wrk(address: SocketAddr, connections: usize) -> Result<Cost> {
    let script = std::env::temp_dir().join(format!("cost-{}.lua", std::process::id()));
    fs::write(
        &script,
        concat!(
            "wrk.method = \"POST\"\n",
            "wrk.body = '{\"items\":[{\"quantity\":1,\"sku\":\"SKU-1\"}]}'\n",
            "wrk.headers[\"content-type\"] = \"application/json\"\n",
            "wrk.headers[\"idempotency-key\"] = \"0123456789012345678901\"\n",
        ),
    )?;
    // `times` of the shell: the second line is what its children used, user and system.
    let command = format!(
        "wrk -t1 -c{connections} -d{SECONDS}s -s {} http://{address}/api/v1/orders; times",
        script.display()
    );
    let output = Command::new("sh").arg("-c").arg(command).output()?;
    fs::remove_file(&script)?;
    let text = String::from_utf8(output.stdout)?;
    let summary =
        text.lines().find(|line| line.contains(" requests in ")).ok_or_else(|| format!("wrk: {text}"))?;
    let words: Vec<&str> = summary.split_whitespace().collect();
    let times = text.lines().last().unwrap_or_default();
    let cpu = times.split_whitespace().map(clock_time).sum::<Option<f64>>().ok_or("no times")?;
    let wall =
        words.get(3).and_then(|wall| wall.trim_end_matches([',', 's']).parse().ok()).ok_or("no seconds")?;
    let (cpu, wall) = (Duration::from_secs_f64(cpu), Duration::from_secs_f64(wall));
    Ok(Cost { requests: words.first().ok_or("no requests")?.parse()?, cpu, wall, late: None })
}

/// `1m2.34s`
fn clock_time(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.strip_suffix('s')?.parse::<f64>().ok()?)
}

/// The server that does nothing.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Result<Self> {
        let program = noop()?;
        let mut child = Command::new(program).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().rsplit("//").next().unwrap_or_default().parse()?;
        Ok(Self { child, address })
    }

    fn end(&mut self) {
        // A server that has ended by itself is what is wanted.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Builds it; `NOOP_BINARY` names one that is built already.
fn noop() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("NOOP_BINARY") {
        return Ok(given.into());
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--package", "relampago-baselines", "--bin", "noop"]);
    let output = build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit()).output()?;
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let mut executables = messages.filter_map(|line| {
        let message: Value = serde_json::from_slice(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next().ok_or_else(|| "the server does not build".into())
}
