//! How runs end: by a signal, without a server, without a reader, with keys that were there before.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use relampago_load::summary::document::AuditState;
use relampago_load::summary::{Exit, Summary};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

use super::{WITHIN, ended, load, summary, text};
use crate::support::{API_KEY, Shop};

/// Purchases of one product that does not sell out.
const TINY: &str = r#"
name = "tiny"
description = "A few purchases."
thresholds = ["ok_ratio >= 0%"]
[generate]
key = { kind = "uuid" }
[answers]
code = "/code"
[identity.staff]
headers = { x-api-key = "{{api_key}}" }
[[setup]]
name = "create-product"
as = "staff"
request = "POST /api/v1/products"
headers = { idempotency-key = "{{run}}-product" }
json = { name = "Sock", sku = "{{run}}-sock", price = "3.50", stock_quantity = 1000000 }
expect = ["201"]
record = "stock"
[[flows]]
name = "buyer"
[[flows.steps]]
name = "buy"
request = "POST /api/v1/orders"
headers = { idempotency-key = "{{key}}" }
json = { items = [{ sku = "{{run}}-sock", quantity = 1 }] }
expect = ["201"]
record = "order"
[load]
mode = "open"
rate = 50
duration = "1s"
connections = 8
[audit]
kind = "relampago"
patience = "1s"
"#;

/// A scenario in a file, and where its report goes.
struct Stage {
    shop: Shop,
    file: PathBuf,
    json: PathBuf,
}

impl Stage {
    /// `edits` are made to the text of the scenario.
    async fn open(edits: &[(&str, &str)]) -> Self {
        let shop = Shop::open(&[]).await;
        let mut text = TINY.to_owned();
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let (file, json) = (shop.scratch().join("tiny.toml"), shop.scratch().join("tiny.json"));
        fs::write(&file, text).expect("write the scenario");
        Self { shop, file, json }
    }

    fn start(&self, more: &[&str]) -> Child {
        let url = format!("http://{}", self.shop.address());
        let mut command = load(&["run"]);
        command.arg(&self.file).args(["--url", &url, "--api-key", API_KEY]).args(more);
        command.arg("--json").arg(&self.json).spawn().expect("start the generator")
    }

    async fn run(&self, more: &[&str]) -> (Output, Summary) {
        let output = ended(self.start(more)).await;
        (output, summary(&self.json))
    }
}

type Progress = Lines<BufReader<ChildStderr>>;

fn progress_of(generator: &mut Child) -> Progress {
    BufReader::new(generator.stderr.take().expect("its progress")).lines()
}

/// Reads progress up to a line with `part` in it.
async fn told(progress: &mut Progress, part: &str) {
    let reading = async {
        while let Some(line) = progress.next_line().await.expect("read its progress") {
            if line.contains(part) {
                return;
            }
        }
        panic!("it never said {part}");
    };
    timeout(WITHIN, reading).await.unwrap_or_else(|_| panic!("it does not say {part}"));
}

fn send(generator: &Child, signal: Signal) {
    let process = generator.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("a process id");
    kill_process(process, signal).expect("signal the generator");
}

#[tokio::test]
async fn a_run_that_is_cut_short_says_so_and_is_audited() {
    let stage = Stage::open(&[("\"1s\"\nconnections", "\"60s\"\nconnections")]).await;
    for signal in [Signal::INT, Signal::TERM] {
        let mut generator = stage.start(&[]);
        let mut progress = progress_of(&mut generator);
        told(&mut progress, "ok/s").await;
        send(&generator, signal);
        let output = ended(generator).await;
        let summary = summary(&stage.json);
        assert_eq!(output.status.code(), Some(7), "{}", text(&output));
        assert!(text(&output).contains("CUT SHORT: tiny: by the user, "), "{}", text(&output));
        assert!(summary.run.interrupted && summary.run.duration_s < 30.0, "{}", text(&output));
        assert!(summary.audit.balances() && summary.all.ok > 0, "{}", text(&output));
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once_with_a_report() {
    // The flow under way would think for an hour.
    let slow = [
        ("name = \"buy\"\n", "name = \"buy\"\nthink = \"1h\"\n"),
        ("patience = \"1s\"", "patience = \"1h\""),
    ];
    let stage = Stage::open(&slow).await;
    let mut generator = stage.start(&[]);
    let mut progress = progress_of(&mut generator);
    told(&mut progress, "ok/s").await;
    send(&generator, Signal::INT);
    told(&mut progress, "once more ends at once").await;
    send(&generator, Signal::INT);
    let output = ended(generator).await;
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(summary(&stage.json).run.interrupted);
}

#[tokio::test]
async fn a_server_that_is_gone_is_not_audited_which_is_no_verdict_on_its_books() {
    let mut stage = Stage::open(&[("\"1s\"\nconnections", "\"3s\"\nconnections")]).await;
    let mut generator = stage.start(&[]);
    let mut progress = progress_of(&mut generator);
    told(&mut progress, "ok/s").await;
    stage.shop.kill().await;
    told(&mut progress, "audit: ").await;
    let output = ended(generator).await;
    let summary = summary(&stage.json);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output));
    let expected = "NOT AUDITED: tiny: the server does not answer: cannot connect to ";
    assert!(text(&output).contains(expected), "{}", text(&output));
    assert_eq!(summary.audit.state, AuditState::NotMade);
    // What came from the answers alone is known; the rest is neither right nor wrong.
    let judged = summary.audit.checks.iter().filter(|check| check.passed.is_some());
    assert_eq!(judged.map(|check| check.name.as_str()).collect::<Vec<_>>(), ["no key has two orders"]);
    assert_eq!(summary.outages.last().map(|outage| outage.to_s), Some(None), "{}", text(&output));
}

#[tokio::test]
async fn an_audit_that_takes_too_long_for_its_user_is_cut_short() {
    let long = [("\"1s\"\nconnections", "\"3s\"\nconnections"), ("patience = \"1s\"", "patience = \"1h\"")];
    let mut stage = Stage::open(&long).await;
    let mut generator = stage.start(&[]);
    let mut progress = progress_of(&mut generator);
    told(&mut progress, "ok/s").await;
    stage.shop.kill().await;
    told(&mut progress, "audit: ").await;
    send(&generator, Signal::INT);
    let output = ended(generator).await;
    let summary = summary(&stage.json);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(text(&output).contains("CUT SHORT: tiny: the audit, by the user, at "), "{}", text(&output));
    assert!(summary.audit.state == AuditState::CutShort && !summary.run.interrupted, "{}", text(&output));
}

#[tokio::test]
async fn the_same_seed_has_keys_of_its_own_and_the_same_run_is_told_as_replays() {
    let stage = Stage::open(&[]).await;
    for _ in 0..2 {
        let (output, summary) = stage.run(&["--seed", "7"]).await;
        assert!(summary.audit.balances(), "{}", text(&output));
        assert!(!text(&output).contains("replay"), "{}", text(&output));
    }
    let named = ["--seed", "7", "--run-id", "again"];
    let (output, first) = stage.run(&named).await;
    assert!(first.audit.balances() && !text(&output).contains("replay"), "{}", text(&output));
    let (output, second) = stage.run(&named).await;
    assert_eq!(second.exit(), Exit::Invalid, "{}", text(&output));
    assert!(text(&output).contains("answers were given before, to another run"), "{}", text(&output));
    let outcomes: Vec<&str> = second.steps[0].outcomes.iter().map(|own| own.outcome.as_str()).collect();
    assert_eq!(outcomes, ["201 replayed"], "{}", text(&output));
}

#[tokio::test]
async fn a_report_that_cannot_be_written_hides_no_verdict() {
    for (edits, verdict, codes) in [
        // A machine that is busy may make the run invalid.
        (&[][..], "PASSED: tiny", [1, 4]),
        (&[("ok_ratio >= 0%", "count > 1000000")], "FAILED: tiny", [5, 4]),
    ] {
        let mut stage = Stage::open(edits).await;
        stage.json = "/dev/full".into();
        let page = stage.shop.scratch().join("tiny.html");
        let output = ended(stage.start(&["--html", page.to_str().expect("a path")])).await;
        let told = text(&output);
        let code = output.status.code().expect("a code");
        assert!(codes.contains(&code), "{told}");
        assert!(told.contains(verdict) || told.contains("INVALID: tiny"), "{told}");
        assert!(told.contains("cannot write /dev/full"), "{told}");
        assert!(page.exists(), "what can be written is: {told}");
    }
}

#[tokio::test]
async fn a_reader_who_goes_away_ends_nothing() {
    let stage = Stage::open(&[]).await;
    let mut generator = stage.start(&[]);
    drop((generator.stdout.take(), generator.stderr.take()));
    let code = ended(generator).await.status.code();
    assert!(matches!(code, Some(0 | 4)), "{code:?}");
    assert!(summary(&stage.json).audit.balances());
    // These write more than a pipe holds, or fail, with nobody there.
    for arguments in [&["show", "soak"][..], &["list"], &["check", "nothing"], &["compare", "a", "b"]] {
        let mut command = load(arguments).spawn().expect("start it");
        drop((command.stdout.take(), command.stderr.take()));
        let code = ended(command).await.status.code();
        assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {code:?}");
    }
}
