//! `relampago load` against a real server: a flash sale that is killed in the middle, several generators, and how runs
//! end.

mod ends;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use relampago_load::summary::Summary;
use relampago_load::summary::document::AuditState;
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

/// Accepts connections and hangs up, until one came this long after the first. A quick start alone may go unnoticed: who
/// connects while the server recovers waits for its answer.
async fn hang_up(address: SocketAddr, long: Duration) {
    let listener = tokio::net::TcpListener::bind(address).await.expect("the port of the killed server");
    let accepted = async || drop(listener.accept().await.expect("a connection"));
    timeout(WITHIN, async {
        accepted().await;
        let first = Instant::now();
        while first.elapsed() < long {
            accepted().await;
        }
    })
    .await
    .expect("the generator goes on connecting");
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
    let address = shop.address();
    shop.kill().await;
    hang_up(address, Duration::from_millis(250)).await;
    shop.start().await;

    let output = ended(generator).await;
    let summary = summary(&json);
    assert!(summary.audit.balances(), "{}", text(&output));
    // The crash is told with its beginning and its end.
    let outage = summary.outages.first().unwrap_or_else(|| panic!("no outage: {}", text(&output)));
    assert!(outage.to_s.is_some_and(|to| to > outage.from_s) && outage.requests > 1, "{outage:?}");
    assert!(text(&output).contains("s  no answer for "), "{}", text(&output));
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
    assert!(fs::read_to_string(&html).unwrap().contains(r#"class="out""#));
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
    let files: Vec<&Path> = parts.iter().map(|(_, json)| json.as_path()).collect();
    let parts: Vec<Summary> = files.iter().map(|json| summary(json)).collect();
    assert!(parts.iter().all(|part| part.audit.state == AuditState::Part), "{:?}", parts[1].audit);

    let whole = shop.scratch().join("whole.json");
    let merge = async |more: &[&str], files: &[&Path]| {
        ended(load(&["merge", "--json"]).arg(&whole).args(more).args(files).spawn().unwrap()).await
    };
    for (files, expected) in
        [(&files[..1], "part 2 of 2 is missing"), (&[files[0], files[0]], "part 1 of 2 is there twice")]
    {
        let refused = merge(&[], files).await;
        assert!(!refused.status.success() && text(&refused).contains(expected), "{}", text(&refused));
    }
    let output = merge(&[], &files).await;
    assert!(text(&output).contains("NOT AUDITED: steady: each part found right"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(6));

    let output = merge(&["--url", &url, "--api-key", API_KEY], &files).await;
    let whole = summary(&whole);
    assert!(whole.audit.balances() && whole.audit.checks.len() == 7, "{}", text(&output));
    assert!(whole.audit.checks.iter().all(|check| check.passed == Some(true)), "{}", text(&output));
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", text(&output));
    assert_eq!(whole.run.generators, 2, "{}", text(&output));
    assert_eq!(whole.all.count, parts.iter().map(|part| part.all.count).sum::<u64>());
    // 200 a second for a second and a half, give or take what chance gives and takes.
    assert!((200..400).contains(&whole.all.count), "{}", text(&output));
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let folder = scratch();
    let file = folder.path().join("shop.toml");
    fs::write(&file, "name = \"x\"\ndescription = \"x\"\nflows = []\n[load]\nmode = \"open\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, expected) in [
        (&["run", "steady", "--url", "http://192.0.2.1"][..], "--yes-this-is-mine"),
        (
            &["run", "steady", "--url", "https://127.0.0.1:9", "--cacert", file],
            "shop.toml has no certificate; it takes PEM",
        ),
        (&["run", "steady", "--url", "http://127.0.0.1:9", "--cacert", file], "has none; say https://"),
        (&["run", "steady", "--url", "http://127.0.0.1:9", "--set", "x=1"], "no variable of that name"),
        (&["run", "nothing", "--url", "http://127.0.0.1:9"], "shipped are flash-sale"),
        (&["check", file], "shop.toml:4: mode `open` has either"),
        (&["show", "nothing"], "there are flash-sale"),
        (
            &["run", "steady", "--url", "http://127.0.0.1:9", "--set", "units=many"],
            "stands for a number or other JSON, and `units` is `many`",
        ),
        (
            &["run", "steady", "--url", "http://127.0.0.1:9", "--start-at", "2026-01-31T12:00:00Z"],
            "--start-at 2026-01-31T12:00:00.000Z: that has passed, now it is 2",
        ),
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
