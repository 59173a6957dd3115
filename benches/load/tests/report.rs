//! The document of a run: its schema stays what it was, its text says the verdict first, and parts add up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod story;

use std::path::Path;
use std::time::{Duration, Instant};

use relampago_load::record::{Clock, Kind, Outcome, Recorded, Recorder, StepId, Times};
use relampago_load::summary::document::{
    Arrivals, Audit, AuditCheck, Event, Load, Machine, Mode, PlannedRate, Run, ServerSample, Stock, Versions,
};
use relampago_load::summary::{Condition, Exit, Facts, MergeError, ReadError, Summary};

use story::{Plot, told};

const EXAMPLE: &str = include_str!("documents/relampago-load-1.json");

/// A run small enough to read: five purchases and a payment in three seconds.
fn example() -> Summary {
    let clock = Clock { epoch: Instant::now(), warm_up: Duration::from_millis(500) };
    let mut recorder = Recorder::new(2, clock);
    let created = Outcome::Status { status: 201, code: None };
    let sold_out = Outcome::Status { status: 409, code: Some("out_of_stock") };
    let declined = Outcome::Status { status: 402, code: Some("card_declined") };
    let requests = [
        (0, created, 100, 4),
        (0, created, 700, 3),
        (1, declined, 703, 9),
        (0, sold_out, 1_200, 2),
        (0, Outcome::Timeout, 1_300, 1_000),
        (0, Outcome::CheckFailed("total"), 2_100, 5),
    ];
    for (step, outcome, intended, latency) in requests {
        let at = |milliseconds| clock.epoch + Duration::from_millis(milliseconds);
        let times = Times {
            intended: at(intended),
            due: at(intended),
            sent: at(intended),
            finished: at(intended + latency),
        };
        recorder.flow_started(times.sent);
        recorder.started(StepId(step), times.sent);
        recorder.answered(StepId(step), &outcome, outcome.usual_kind(), times);
        recorder.flow_finished(times.finished);
    }
    let mut recorded = Recorded::new(["buy".to_owned(), "pay".to_owned()], clock.warm_up);
    recorded.absorb(&recorder);
    let conditions = ["buy.ok.p99 < 50ms", "failed_ratio < 1%", "throttled.p50 < 1s"];
    let conditions = conditions.map(|text| Condition::parse(text, &["buy", "pay"]).unwrap());
    Summary::new(&recorded, example_facts(), &conditions)
}

fn example_facts() -> Facts {
    let planned = [(0.0, 2.0), (3.0, 2.0)].map(|(at_s, rate)| PlannedRate { at_s, rate }).to_vec();
    Facts {
        run: Run {
            scenario: "example".to_owned(),
            description: "Small enough to read.".to_owned(),
            seed: 42,
            started: "2026-03-01T12:00:00Z".to_owned(),
            duration_s: 3.0,
            drain_s: 0.0,
            warm_up_s: 0.5,
            target: "http://127.0.0.1:8080".to_owned(),
            versions: Versions { generator: "0.1.0".to_owned(), server: Some("0.1.0".to_owned()) },
            machine: Machine {
                cpus: 2,
                cpu_model: "Example CPU @ 2.60GHz".to_owned(),
                kernel: "Linux 6.1.0".to_owned(),
                memory_bytes: 24 << 30,
            },
            generators: 1,
            interrupted: false,
        },
        load: Load {
            mode: Mode::Open,
            arrivals: Some(Arrivals::Poisson),
            planned,
            connections: 16,
            workers: 1,
            valid: true,
            invalid_reasons: Vec::new(),
            cpu_share: 0.25,
            lateness: Default::default(),
        },
        stock: vec![Stock { second: 1.0, sku: "LAMP-1".to_owned(), available: 1 }],
        events: vec![Event { second: 1.25, text: "server killed".to_owned() }],
        server: vec![ServerSample {
            second: 1.0,
            batch_size: Some(2.5),
            fsync_us: Some(310.0),
            queue_depth: None,
        }],
        audit: Audit {
            ran: true,
            checks: vec![AuditCheck {
                name: "conservation".to_owned(),
                passed: true,
                detail: "1 sku: stocked = available + reserved + sold".to_owned(),
            }],
        },
    }
}

/// The schema is a promise: a renamed field, another unit or a lost figure shows here. A new field is added to the
/// example with `RELAMPAGO_WRITE_EXAMPLE=1 cargo test -p relampago-load --test report`.
#[test]
fn the_schema_is_what_it_was() {
    let json = example().to_json();
    if std::env::var_os("RELAMPAGO_WRITE_EXAMPLE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents/relampago-load-1.json");
        std::fs::write(path, &json).unwrap();
        return;
    }
    assert!(json == EXAMPLE, "the document differs from tests/documents/relampago-load-1.json:\n{json}");
    assert_eq!(Summary::from_json(EXAMPLE).unwrap(), example());
}

/// Every name of a field in `json`.
fn fields(json: &serde_json::Value, names: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(own) => {
            for (name, value) in own {
                names.push(name.clone());
                fields(value, names);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented() {
    let mut names = Vec::new();
    fields(&serde_json::from_str(EXAMPLE).unwrap(), &mut names);
    let page = include_str!("../REPORT.md");
    names.retain(|name| !page.contains(&format!("`{name}")));
    assert!(names.is_empty(), "not in REPORT.md: {names:?}");
}

#[test]
fn a_document_says_again_what_was_recorded() {
    let summary = told(Plot::default());
    let read = Summary::from_json(&summary.to_json()).unwrap();
    assert!(read == summary, "the document read back differs");
    assert!(Summary::merge(&[read]).unwrap() == summary, "merging one document changes it");
}

#[test]
fn readers_skip_fields_that_they_do_not_know_and_do_without_those_that_came_later() {
    let mut json: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let document = json.as_object_mut().unwrap();
    document.insert("of_the_future".to_owned(), serde_json::json!({ "a": 1 }));
    for optional in ["stock", "events", "server", "audit", "thresholds"] {
        document.remove(optional);
    }
    let read = Summary::from_json(&json.to_string()).unwrap();
    assert!(!read.audit.ran && read.events.is_empty());
}

#[test]
fn what_is_no_document_is_refused() {
    assert!(matches!(Summary::from_json("{"), Err(ReadError::Json(_))));
    assert!(matches!(Summary::from_json("{}"), Err(ReadError::Json(_))));
    let newer = EXAMPLE.replace("relampago-load/1", "relampago-load/2");
    let error = Summary::from_json(&newer).unwrap_err();
    assert_eq!(error.to_string(), "its schema is `relampago-load/2`; this program reads `relampago-load/1`");

    let mut broken = example();
    broken.steps[0].outcomes[0].histogram = "AAAA".to_owned();
    let error = broken.recorded().unwrap_err().to_string();
    assert!(error.starts_with("buy: 201: not an HdrHistogram V2"), "{error}");
    let mut broken = example();
    broken.seconds[1].steps.pop();
    assert!(matches!(broken.recorded(), Err(ReadError::Series(1))));
}

#[test]
fn the_figures_are_those_of_the_requests() {
    let summary = example();
    let all = &summary.all;
    assert_eq!(
        (all.count, all.ok, all.refused, all.throttled, all.failed),
        (5, 1, 2, 0, 2),
        "the warm-up is left out"
    );
    assert_eq!((all.rate, all.ok_rate), (2.0, 0.4));
    let buy = &summary.steps[0];
    let outcomes: Vec<_> =
        buy.outcomes.iter().map(|own| (own.outcome.as_str(), own.kind, own.count)).collect();
    let expected = [
        ("201", Kind::Ok, 1),
        ("409 out_of_stock", Kind::Refused, 1),
        ("check total", Kind::Failed, 1),
        ("timeout", Kind::Failed, 1),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(buy.all.latency.max / 1_000, 1_000);
    let seconds: Vec<_> =
        summary.seconds.iter().map(|own| (own.started, own.answered, own.in_flight)).collect();
    assert_eq!(seconds, [(3, 3, 0), (2, 1, 1), (1, 2, 0)]);
    assert!(summary.seconds.iter().all(|second| second.planned == Some(2.0)));
}

#[test]
fn the_text_says_the_verdict_first() {
    let text = example().to_string();
    assert!(
        text.starts_with("FAILED: example: threshold missed: failed_ratio < 1%: it was 40 %\n"),
        "{text}"
    );
    for part in [
        "also: threshold missed: throttled.p50 < 1s: nothing was measured",
        "p99.99",
        "  409 out_of_stock",
        "timeout 1",
        "seed 42",
        "1.2 s  server killed",
        "Example CPU",
        "generator 0.1.0, server 0.1.0",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(example().exit(), Exit::ThresholdMissed);
    let passed = told(Plot { killed: false, ..Plot::default() });
    assert!(passed.to_string().starts_with("PASSED: flash-sale: "), "{passed}");
    assert_eq!(passed.exit(), Exit::Passed);
}

#[test]
fn an_audit_failure_is_the_first_word_and_an_invalid_run_says_so() {
    let mut facts = example_facts();
    facts.load.valid = false;
    facts.load.invalid_reasons = vec!["the generator used 99 % of a core".to_owned()];
    let recorded = example().recorded().unwrap();
    let conditions = [Condition::parse("failed_ratio < 1%", &["buy", "pay"]).unwrap()];

    let invalid = Summary::new(&recorded, facts.clone(), &conditions);
    assert!(
        invalid.to_string().starts_with("INVALID: example: the generator used 99 % of a core\n"),
        "{invalid}"
    );
    assert_eq!(invalid.exit(), Exit::Invalid);

    facts.audit.checks.push(AuditCheck {
        name: "orders".to_owned(),
        passed: false,
        detail: "order 7 is missing".to_owned(),
    });
    let unbalanced = Summary::new(&recorded, facts, &conditions);
    let text = unbalanced.to_string();
    assert!(text.starts_with("AUDIT FAILED: orders: order 7 is missing\n"), "{text}");
    assert_eq!(unbalanced.exit(), Exit::AuditFailed);
    let kinds: Vec<&str> =
        unbalanced.verdict.failures.iter().map(|failure| failure.split(':').next().unwrap()).collect();
    assert_eq!(kinds, ["audit failed", "invalid", "threshold missed"]);
}

#[test]
fn generators_of_one_run_are_one_run() {
    let half = |seed| {
        let mut part = told(Plot { seed, crowd: 0.5, ..Plot::default() });
        part.run.seed = 42;
        part
    };
    let parts = [half(1), half(2)];
    let run = Summary::merge(&parts).unwrap();
    assert_eq!(run.all.count, parts[0].all.count + parts[1].all.count);
    assert_eq!(run.run.generators, 2);
    assert_eq!(run.load.connections, 1024);
    assert_eq!(run.run.machine, parts[0].run.machine, "both ran on one machine");
    assert_eq!(run.load.planned, told(Plot::default()).load.planned, "two halves of the curve are the curve");
    assert_eq!(run.events, parts[0].events);
    assert_eq!(run.audit, parts[0].audit);
    assert_eq!(run.stock, parts[0].stock);
    assert_eq!(run.seconds[10].answered, parts[0].seconds[10].answered + parts[1].seconds[10].answered);
    let of = |part: &Summary| part.all.latency.p99;
    assert!((of(&parts[0]).min(of(&parts[1]))..=of(&parts[0]).max(of(&parts[1]))).contains(&of(&run)));
    let reversed = Summary::merge(&[parts[1].clone(), parts[0].clone()]).unwrap();
    assert_eq!((&reversed.steps, &reversed.seconds), (&run.steps, &run.seconds));
}

#[test]
fn curves_of_generators_with_other_corners_add_up() {
    let with_curve = |points: &[(f64, f64)]| {
        let mut part = example();
        part.load.planned = points.iter().map(|&(at_s, rate)| PlannedRate { at_s, rate }).collect();
        part
    };
    let sum = |a: &[(f64, f64)], b: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let merged = Summary::merge(&[with_curve(a), with_curve(b)]).unwrap();
        merged.load.planned.iter().map(|point| (point.at_s, point.rate)).collect()
    };
    assert_eq!(
        sum(&[(0.0, 10.0), (4.0, 10.0)], &[(0.0, 0.0), (2.0, 4.0), (4.0, 0.0)]),
        [(0.0, 10.0), (2.0, 14.0), (4.0, 10.0)]
    );
    // One that begins later makes a jump.
    assert_eq!(
        sum(&[(0.0, 1.0), (4.0, 1.0)], &[(2.0, 5.0), (4.0, 5.0)]),
        [(0.0, 1.0), (2.0, 1.0), (2.0, 6.0), (4.0, 6.0)]
    );
}

#[test]
fn parts_of_different_runs_are_not_merged() {
    assert!(matches!(Summary::merge(&[]), Err(MergeError::Nothing)));
    let refused = |change: &dyn Fn(&mut Summary)| {
        let mut other = example();
        change(&mut other);
        Summary::merge(&[example(), other]).unwrap_err().to_string()
    };
    let message = "not parts of one run: the seed is 42 in the first document and 7 in another";
    assert_eq!(refused(&|other| other.run.seed = 7), message);
    assert!(refused(&|other| other.run.scenario.push('2')).contains("the scenario"));
    assert!(refused(&|other| other.run.started = "2026-03-01T12:00:02Z".to_owned()).contains("the start"));
    assert!(refused(&|other| other.run.warm_up_s = 1.0).contains("warm-ups differ"));
    assert!(refused(&|other| other.steps[0].name = "get".to_owned()).contains("steps differ"));
    assert!(refused(&|other| drop(other.thresholds.pop())).contains("the list of thresholds"));
    let mut together = example();
    together.run.started = "2026-03-01T12:00:00.400Z".to_owned();
    assert!(Summary::merge(&[example(), together]).is_ok());
}
