//! `relampago load` against a real server: a flash sale that is killed in the middle, several generators, Ctrl-C.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use relampago_load::summary::Summary;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::process::sum;
use crate::support::{API_KEY, Shop, binary, eventually, scratch};

/// A generator that takes longer has hung.
const WITHIN: Duration = Duration::from_secs(180);

/// `relampago load` with these arguments.
fn load(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("load").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

async fn ended(child: Child) -> Output {
    timeout(WITHIN, child.wait_with_output()).await.expect("the generator ends").expect("wait for it")
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n{out}\n{err}", output.status)
}

fn summary(path: &Path) -> Summary {
    Summary::from_json(&fs::read_to_string(path).expect("the report")).expect("a report")
}

/// An address that the system does not hand out to clients, so that it is free again after a crash.
fn free_address() -> SocketAddr {
    let first = 20_000 + (std::process::id() % 5_000) as u16;
    let addresses = (first..32_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.into_iter().find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}

#[tokio::test]
async fn a_flash_sale_with_a_crash_in_it_is_told_and_its_books_balance() {
    let mut shop = Shop::open_on(free_address(), &[]).await;
    let (json, html) = (shop.scratch().join("sale.json"), shop.scratch().join("sale.html"));
    let url = format!("http://{}", shop.address());
    let plan = ["run", "flash-sale", "--url", &url, "--api-key", API_KEY];
    let size = ["--stretch", "0.2", "--scale", "0.3", "--set", "units=200"];
    let generator = load(&plan).args(size).arg("--json").arg(&json).arg("--html").arg(&html).spawn().unwrap();

    let mut staff = shop.staff();
    eventually("orders are made", async || {
        (sum(&mut staff, "relampago_orders_total").await >= 50.0).then_some(())
    })
    .await;
    shop.crash().await;

    let output = ended(generator).await;
    let summary = summary(&json);
    assert!(summary.audit.ran && !summary.audit.failed(), "{}", text(&output));
    // A machine that is busy may make the run invalid; nothing else may be wrong.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", text(&output));
    let outcomes = summary.steps.iter().flat_map(|step| &step.outcomes);
    let lost =
        outcomes.filter(|outcome| matches!(outcome.outcome.as_str(), "no connection" | "connection lost"));
    assert!(
        lost.map(|outcome| outcome.count).sum::<u64>() > 0,
        "nobody noticed the crash: {}",
        text(&output)
    );
    let left = summary.stock.last().map(|stock| stock.available);
    assert!(left.is_some() && !summary.server.is_empty(), "{}", text(&output));
    assert!(fs::read_to_string(&html).unwrap().contains("<svg"));
}

#[tokio::test]
async fn several_generators_share_a_run() {
    let shop = Shop::open(&[]).await;
    let url = format!("http://{}", shop.address());
    #[expect(clippy::disallowed_methods, reason = "the generators agree on a moment of the day")]
    let start = humantime::format_rfc3339(SystemTime::now() + Duration::from_secs(4)).to_string();
    let parts: Vec<_> = ["1/2", "2/2"].map(|part| (part, shop.scratch().join(part.replace('/', "-")))).into();
    let plan = ["run", "steady", "--url", &url, "--api-key", API_KEY, "--seed", "7", "--start-at", &start];
    let size = ["--stretch", "0.05", "--scale", "0.2"];
    let generators: Vec<Child> = parts
        .iter()
        .map(|(part, json)| {
            load(&plan).args(size).args(["--part", part]).arg("--json").arg(json).spawn().unwrap()
        })
        .collect();
    for generator in generators {
        let output = ended(generator).await;
        assert!(matches!(output.status.code(), Some(0 | 4)), "{}", text(&output));
    }
    let whole = shop.scratch().join("whole.json");
    let merge = load(&["merge"]).args(parts.iter().map(|(_, json)| json)).arg("--json").arg(&whole).spawn();
    let output = ended(merge.unwrap()).await;
    let whole = summary(&whole);
    let parts: Vec<Summary> = parts.iter().map(|(_, json)| summary(json)).collect();
    assert_eq!(whole.run.generators, 2, "{}", text(&output));
    assert_eq!(whole.all.count, parts.iter().map(|part| part.all.count).sum::<u64>());
    // 200 a second for a second and a half, give or take what chance gives and takes.
    assert!((200..400).contains(&whole.all.count), "{}", text(&output));
}

#[tokio::test]
async fn ctrl_c_ends_with_a_report() {
    let shop = Shop::open(&[]).await;
    let json = shop.scratch().join("interrupted.json");
    let url = format!("http://{}", shop.address());
    let plan = ["run", "steady", "--url", &url, "--api-key", API_KEY, "--scale", "0.1"];
    let mut generator = load(&plan).arg("--json").arg(&json).spawn().unwrap();
    let mut lines = BufReader::new(generator.stderr.take().unwrap()).lines();
    let progress = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("ok/s") {
                return;
            }
        }
        panic!("no line of progress");
    };
    timeout(WITHIN, progress).await.expect("a line of progress");
    let process = generator.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("a process id");
    kill_process(process, Signal::INT).expect("signal the generator");
    let output = ended(generator).await;
    let summary = summary(&json);
    assert!(summary.run.interrupted && summary.run.duration_s < 20.0, "{}", text(&output));
    assert!(summary.audit.ran && !summary.audit.failed(), "{}", text(&output));
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let folder = scratch();
    let file = folder.path().join("shop.toml");
    fs::write(&file, "name = \"x\"\ndescription = \"x\"\nflows = []\n[load]\nmode = \"open\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, expected) in [
        (&["run", "steady", "--url", "http://192.0.2.1"][..], "--yes-this-is-mine"),
        (&["run", "steady", "--url", "https://127.0.0.1"], "TLS"),
        (&["run", "steady", "--url", "http://127.0.0.1:9", "--set", "x=1"], "no variable of that name"),
        (&["run", "nothing", "--url", "http://127.0.0.1:9"], "shipped are flash-sale"),
        (&["check", file], "shop.toml:4: mode `open` has either"),
        (&["show", "nothing"], "there are flash-sale"),
        (
            &["run", "steady", "--url", "http://127.0.0.1:9", "--part", "3/2"],
            "say 2/3 for the second of three",
        ),
    ] {
        let output = ended(load(arguments).env_remove("LOAD_API_KEY").spawn().unwrap()).await;
        assert!(
            !output.status.success() && text(&output).contains(expected),
            "{arguments:?}: {}",
            text(&output)
        );
    }
    let output = ended(load(&["list"]).spawn().unwrap()).await;
    assert!(output.status.success() && text(&output).contains("browse-to-buy"), "{}", text(&output));
}
