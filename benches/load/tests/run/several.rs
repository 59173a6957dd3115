//! An audit by steps of a run that several generators shared: its totals are judged when their reports are merged.

use std::collections::HashMap;
use std::sync::Mutex;

use relampago_load::Target;
use relampago_load::run::{MergedRun, Options, Stop, audit_steps};
use relampago_load::scenario::generator::Part;
use relampago_load::scenario::{self, Scenario};
use relampago_load::summary::document::AuditState;
use relampago_load::summary::{Exit, Missing, Summary};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::running;
use crate::serving::Server;

const SCENARIO: &str = r#"
name = "several"
description = "Orders, whose number and worth the shop tells."

[variables]
cents = 250

[[setup]]
name = "open-session"
request = "POST /session"
capture = { session = "/session" }

[[flows]]
name = "buyer"

[[flows.steps]]
name = "buy"
request = "POST /orders"
json = { cents = "{{cents:json}}" }
capture = { number = "/number", worth = "/cents" }
keep = ["number", "worth"]

[load]
mode = "closed"
clients = 2
flows = 21
duration = "30s"

[audit]
kind = "steps"
patience = "100ms"

[[audit.steps]]
name = "orders-are-there"
each = "buy"
request = "GET /orders/{{number}}"
checks = [{ at = "/cents", equals = "{{worth}}" }]

[[audit.steps]]
name = "read-worth"
request = "GET /books"
capture = { whole = "/cents" }

[[audit.steps]]
name = "all-orders-are-counted"
request = "GET /books"
checks = [{ at = "/orders", equals = "{{count.buy}}" }, { sum = ["{{sum.buy.worth}}"], equals = "{{whole}}" }]
"#;

/// Needs what the set-up of the first generator captured.
const OF_SESSION: &str = "\n[[audit.steps]]\nname = \"session\"\nrequest = \"GET /books?{{session}}\"\n";

/// A shop that makes `invented` orders of its own.
fn shop(invented: usize) -> Server {
    let orders: Mutex<HashMap<String, i64>> = Mutex::default();
    Server::open(move |asked| {
        let mut orders = orders.lock().unwrap();
        let plain = |status, body| (status, Vec::new(), body);
        match (asked.method.as_str(), asked.path.split('?').next().unwrap()) {
            ("POST", "/session") => plain(200, json!({ "session": "open" })),
            ("POST", "/orders") => {
                let (number, cents) = (format!("n{}", orders.len()), asked.body["cents"].as_i64().unwrap());
                orders.insert(number.clone(), cents);
                plain(201, json!({ "number": number, "cents": cents }))
            }
            (_, "/books") => {
                let cents: i64 = orders.values().sum();
                plain(200, json!({ "orders": orders.len() + invented, "cents": cents }))
            }
            (_, path) => match orders.get(path.trim_start_matches("/orders/")) {
                Some(cents) => plain(200, json!({ "cents": cents })),
                None => plain(404, json!({})),
            },
        }
    })
}

/// The reports of two generators, one after the other.
fn parts(server: &Server, text: &str) -> [Summary; 2] {
    let both = Options { part: Part { index: 0, of: 2 }, ..running::options(server.address) };
    let first = running::run_with(text, both.clone(), |_, _| {});
    let mut second = running::run_with(text, Options { part: Part { index: 1, of: 2 }, ..both }, |_, _| {});
    second.run.started.clone_from(&first.run.started);
    [first, second]
}

fn read(text: &str) -> Scenario {
    scenario::parse("several", text, &[]).unwrap()
}

fn audited(server: &Server, merged: Summary, scenario: &Scenario) -> Result<Summary, String> {
    let (_stop, stopped) = watch::channel(Stop::No);
    let url = running::options(server.address).url;
    let run = MergedRun { scenario, url: &url, target: Target::new(server.address), api_key: None };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(audit_steps(merged, run, stopped, |_| {})).map_err(|error| error.to_string())
}

fn passed(summary: &Summary) -> Vec<(&str, Option<bool>)> {
    summary.audit.checks.iter().map(|check| (check.name.as_str(), check.passed)).collect()
}

#[test]
fn totals_of_several_generators_are_judged_when_they_are_merged() {
    for (invented, result, counted) in [(0, Exit::Passed, true), (1, Exit::AuditFailed, false)] {
        let server = shop(invented);
        let parts = parts(&server, SCENARIO);
        for part in &parts {
            assert_eq!((part.exit(), part.audit.state), (Exit::Passed, AuditState::Part), "{part}");
            let detail = &part.audit.checks[2].detail;
            assert!(detail.contains("it takes what all generators did"), "{part}");
        }
        let merged = Summary::merge(&parts, Missing::Refuse).unwrap();
        assert_eq!(merged.exit(), Exit::NotAudited, "{merged}");
        assert!(merged.headline().contains("merge with --url and --scenario"), "{merged}");
        let tallies = &merged.ledger.as_ref().unwrap().steps.as_ref().unwrap().tallies;
        assert_eq!(tallies["count.buy"].as_deref(), Some("21"), "{merged}");
        assert_eq!(tallies["sum.buy.worth"].as_deref(), Some("5250"), "{merged}");

        let whole = audited(&server, merged, &read(SCENARIO)).unwrap();
        assert_eq!((whole.exit(), whole.ledger.is_none()), (result, true), "{whole}");
        let names = [("orders-are-there", Some(true)), ("read-worth", Some(true))];
        assert_eq!(passed(&whole), [&names[..], &[("all-orders-are-counted", Some(counted))]].concat());
        if !counted {
            assert!(whole.headline().contains("found `22` against `21`"), "{whole}");
        }
    }
}

#[test]
fn what_a_merge_cannot_judge_is_told_and_does_not_pass() {
    let server = shop(0);
    let parts = parts(&server, &format!("{SCENARIO}{OF_SESSION}"));
    // The first generator knows the session.
    assert_eq!(passed(&parts[0])[3], ("session", Some(true)), "{}", parts[0]);
    assert_eq!(passed(&parts[1])[3], ("session", None), "{}", parts[1]);
    let scenario = read(&format!("{SCENARIO}{OF_SESSION}"));

    let whole = audited(&server, Summary::merge(&parts, Missing::Refuse).unwrap(), &scenario).unwrap();
    assert_eq!(whole.exit(), Exit::NotAudited, "{whole}");
    assert!(whole.headline().contains("nobody could judge session: run this scenario on one"), "{whole}");
    assert_eq!(passed(&whole)[2], ("all-orders-are-counted", Some(true)), "{whole}");

    let half = Summary::merge(&parts[..1], Missing::Mark).unwrap();
    let half = audited(&server, half, &scenario).unwrap();
    assert_eq!((half.exit(), half.ledger.is_some()), (Exit::Invalid, true), "{half}");
    let why = half.audit.reason.as_deref();
    assert_eq!(why, Some("parts of the run are missing, and what they did with them"), "{half}");
    assert_eq!(passed(&half)[2], ("all-orders-are-counted", None), "{half}");
}

#[test]
fn only_the_scenario_that_ran_says_what_is_audited() {
    let server = shop(0);
    let merged = Summary::merge(&parts(&server, SCENARIO), Missing::Refuse).unwrap();
    let other = read(&SCENARIO.replace("equals = \"{{count.buy}}\"", "exists = true"));
    let refused = audited(&server, merged.clone(), &other).unwrap_err();
    assert_eq!(refused, "--scenario is not what ran: it takes the same file, and the same --set");
    // How much load there was does not matter.
    let scaled = read(SCENARIO).scaled(0.5, 1.0).unwrap();
    assert_eq!(audited(&server, merged, &scaled).unwrap().exit(), Exit::Passed);
}
