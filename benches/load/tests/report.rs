//! The document of a run: its schema stays what it was, its text says the verdict first, and parts add up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod story;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use relampago_load::record::{Clock, Kind, Outcome, Recorded, Recorder, StepId, Times};
use relampago_load::summary::document::{
    AuditCheck, AuditState, Event, Outage, PartLedger, Parts, PlannedRate, ServerSample, StepsLedger, Stock,
};
use relampago_load::summary::{Condition, Exit, Facts, MergeError, Missing, ReadError, Summary};

use story::{Plot, facts, told};

const EXAMPLE: &str = include_str!("documents/relampago-load-2.json");

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
    let mut facts = facts("example", 42, &[(0.0, 2.0), (3.0, 2.0)]);
    facts.run.description = "Small enough to read.".to_owned();
    facts.run.warm_up_s = 0.5;
    facts.stock = vec![Stock { second: 1.0, sku: "LAMP-1".to_owned(), available: 1 }];
    facts.events = vec![Event { second: 1.25, text: "server killed".to_owned() }];
    facts.outages = vec![Outage { from_s: 1.3, to_s: Some(2.1), requests: 2 }];
    facts.server =
        vec![ServerSample { second: 1.0, batch_size: Some(2.5), fsync_us: Some(310.0), queue_depth: None }];
    facts
}

/// What the first of two generators saw of the example.
fn first_part() -> Summary {
    let mut facts = example_facts();
    facts.run.parts = Parts { of: 2, present: vec![1] };
    facts.audit.state = AuditState::Part;
    facts.audit.checks[0].passed = None;
    facts.ledger = Some(PartLedger {
        stock: [("LAMP-1".to_owned(), 3)].into(),
        orders: vec!["order-1".to_owned()],
        unanswered: 0,
        patience_s: 60.0,
        steps: None,
    });
    Summary::new(&example().recorded().unwrap(), facts, &[])
}

fn second_part() -> Summary {
    let mut part = first_part();
    part.run.parts.present = vec![2];
    part.ledger = Some(PartLedger { orders: vec!["order-2".to_owned()], ..PartLedger::default() });
    part
}

/// The schema is a promise: a renamed field, another unit or a lost figure shows here. A new field is added to the
/// example with `RELAMPAGO_WRITE_EXAMPLE=1 cargo test -p relampago-load --test report`.
#[test]
fn the_schema_is_what_it_was() {
    let json = example().to_json();
    if std::env::var_os("RELAMPAGO_WRITE_EXAMPLE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents/relampago-load-2.json");
        std::fs::write(path, &json).unwrap();
        return;
    }
    assert!(json == EXAMPLE, "the document differs from tests/documents/relampago-load-2.json:\n{json}");
    assert_eq!(Summary::from_json(EXAMPLE).unwrap(), example());
}

/// Every name of a field in `json`.
fn fields(json: &serde_json::Value, names: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(own) => {
            for (name, value) in own {
                names.push(name.clone());
                // The names in these are those of the shop and of the scenario.
                if !matches!((name.as_str(), value), ("stock" | "tallies", serde_json::Value::Object(_))) {
                    fields(value, names);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_written() {
    let page = include_str!("../REPORT.md");
    let mut part = first_part();
    let tallies = [("count.buy".to_owned(), Some("3".to_owned()))].into();
    if let Some(ledger) = &mut part.ledger {
        ledger.steps = Some(StepsLedger { file: "0123456789abcdef".to_owned(), tallies });
    }
    let mut names = Vec::new();
    fields(&serde_json::from_str(EXAMPLE).unwrap(), &mut names);
    fields(&serde_json::from_str(&part.to_json()).unwrap(), &mut names);
    let is_told =
        |name: &String| page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}[]`"));
    let unknown: Vec<&String> = names.iter().filter(|name| !is_told(name)).collect();
    assert!(unknown.is_empty(), "not in REPORT.md: {unknown:?}");

    let (_, table) = page.split_once("| field | what it is |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let rows = table.lines().filter_map(|row| row.split('|').nth(1));
    let told: Vec<&str> = rows
        .flat_map(|row| row.split(['`', ',', '.', ' ', '[', ']']))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    let document: serde_json::Value = serde_json::from_str(&part.to_json()).unwrap();
    let untold: Vec<&String> =
        document.as_object().unwrap().keys().filter(|name| !told.contains(&name.as_str())).collect();
    assert!(untold.is_empty(), "without a row in REPORT.md: {untold:?}");
    let unwritten: Vec<&&str> = told.iter().filter(|name| !names.iter().any(|own| own == **name)).collect();
    assert!(unwritten.is_empty(), "in REPORT.md and not in a document: {unwritten:?}");
}

#[test]
fn a_document_says_again_what_was_recorded() {
    let summary = told(Plot::default());
    let read = Summary::from_json(&summary.to_json()).unwrap();
    assert!(read == summary, "the document read back differs");
    assert!(Summary::merge(&[read], Missing::Refuse).unwrap() == summary, "merging one document changes it");
}

#[test]
fn readers_skip_fields_that_they_do_not_know_and_do_without_those_that_came_later() {
    let mut json: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let document = json.as_object_mut().unwrap();
    document.insert("of_the_future".to_owned(), serde_json::json!({ "a": 1 }));
    for optional in ["stock", "events", "outages", "server", "audit", "thresholds"] {
        document.remove(optional);
    }
    let read = Summary::from_json(&json.to_string()).unwrap();
    assert!(read.audit.state == AuditState::None && read.events.is_empty());
}

#[test]
fn what_is_no_document_is_refused() {
    assert!(matches!(Summary::from_json("{"), Err(ReadError::Json(_))));
    assert!(matches!(Summary::from_json("{}"), Err(ReadError::Json(_))));
    let newer = EXAMPLE.replace("relampago-load/2", "relampago-load/3");
    let error = Summary::from_json(&newer).unwrap_err();
    assert_eq!(error.to_string(), "its schema is `relampago-load/3`; this program reads `relampago-load/2`");

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
    assert_eq!(buy.all.latency.max.unwrap() / 1_000, 1_000);
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
        passed: Some(false),
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
    let half = |seed, part| {
        let mut half = told(Plot { seed, crowd: 0.5, ..Plot::default() });
        half.run.seed = 42;
        half.run.parts = Parts { of: 2, present: vec![part] };
        half
    };
    let parts = [half(1, 1), half(2, 2)];
    let run = Summary::merge(&parts, Missing::Refuse).unwrap();
    assert_eq!(run.all.count, parts[0].all.count + parts[1].all.count);
    assert_eq!((run.run.generators, &run.run.parts.present), (2, &vec![1, 2]));
    assert_eq!(run.load.connections, 1024);
    assert_eq!((run.load.cost.cpu_s, run.load.cost.requests_per_core_s), (1.5, Some(8.0)));
    assert_eq!(run.run.machine, parts[0].run.machine, "both ran on one machine");
    assert_eq!(run.load.planned, told(Plot::default()).load.planned, "two halves of the curve are the curve");
    assert_eq!(run.events, parts[0].events);
    assert_eq!(run.audit, parts[0].audit);
    assert_eq!(run.stock, parts[0].stock);
    assert_eq!(run.outages.len(), 1);
    assert_eq!((run.outages[0].from_s, run.outages[0].requests), (22.3, 1_800), "both met it");
    assert_eq!(run.seconds[10].answered, parts[0].seconds[10].answered + parts[1].seconds[10].answered);
    let of = |part: &Summary| part.all.latency.p99.unwrap();
    assert!((of(&parts[0]).min(of(&parts[1]))..=of(&parts[0]).max(of(&parts[1]))).contains(&of(&run)));
    let reversed = Summary::merge(&[parts[1].clone(), parts[0].clone()], Missing::Refuse).unwrap();
    assert_eq!((&reversed.steps, &reversed.seconds), (&run.steps, &run.seconds));
}

#[test]
fn curves_of_generators_with_other_corners_add_up() {
    let with_curve = |mut part: Summary, points: &[(f64, f64)]| {
        part.load.planned = points.iter().map(|&(at_s, rate)| PlannedRate { at_s, rate }).collect();
        part
    };
    let sum = |a: &[(f64, f64)], b: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let parts = [with_curve(first_part(), a), with_curve(second_part(), b)];
        let merged = Summary::merge(&parts, Missing::Refuse).unwrap();
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
    assert!(matches!(Summary::merge(&[], Missing::Refuse), Err(MergeError::Nothing)));
    let refused = |change: &dyn Fn(&mut Summary)| {
        let mut other = second_part();
        change(&mut other);
        let error = Summary::merge(&[first_part(), other], Missing::Mark).unwrap_err();
        // With its cause, as whoever tells it does.
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    };
    let message = "not parts of one run: the seed is 42 in the first document and 7 in another";
    assert_eq!(refused(&|other| other.run.seed = 7), message);
    assert!(refused(&|other| other.run.scenario.push('2')).contains("the scenario is"));
    assert!(refused(&|other| other.run.id.push('2')).contains("the run is 5ca1ab1e0000"));
    assert!(refused(&|other| other.run.scenario_hash.clear()).contains("the digest of the scenario is"));
    assert!(refused(&|other| other.run.parts.of = 3).contains("the number of generators is 2"));
    assert!(refused(&|other| other.run.started = "2026-03-01T12:00:02Z".to_owned()).contains("the start"));
    assert!(refused(&|other| other.run.warm_up_s = 1.0).contains("warm-ups differ"));
    assert!(refused(&|other| other.steps[0].name = "get".to_owned()).contains("steps differ"));
    assert!(
        refused(&|other| other.thresholds = example().thresholds.clone()).contains("the list of thresholds")
    );
    let mut together = second_part();
    together.run.started = "2026-03-01T12:00:00.400Z".to_owned();
    assert!(Summary::merge(&[first_part(), together], Missing::Refuse).is_ok());
}

#[test]
fn a_part_that_is_there_twice_or_not_at_all_is_told() {
    let twice = Summary::merge(&[first_part(), first_part()], Missing::Mark).unwrap_err();
    assert_eq!(twice.to_string(), "part 1 of 2 is there twice");
    let alone = Summary::merge(&[second_part()], Missing::Refuse).unwrap_err();
    assert_eq!(alone.to_string(), "part 1 of 2 is missing");

    let of_three = |mut part: Summary, index| {
        part.run.parts = Parts { of: 3, present: vec![index] };
        part
    };
    let two = [of_three(first_part(), 1), of_three(second_part(), 3)];
    assert_eq!(Summary::merge(&two, Missing::Refuse).unwrap_err().to_string(), "part 2 of 3 is missing");
    let marked = Summary::merge(&two, Missing::Mark).unwrap();
    let reason = "part 2 of 3 is missing: rates and counts are too low";
    assert_eq!(
        (marked.load.valid, marked.load.invalid_reasons.as_slice()),
        (false, &[reason.to_owned()][..])
    );
    assert!(marked.to_string().contains(", part 1, 3 of 3, "), "{marked}");
    // Merged with what was missing, it is whole again, and what it knows is not lost.
    let whole = Summary::merge(&[marked, of_three(second_part(), 2)], Missing::Refuse).unwrap();
    assert_eq!(whole.run.parts.missing(), [0; 0]);
    assert_eq!(whole.ledger.unwrap().orders, ["order-1", "order-2", "order-2"]);
}

#[test]
fn the_books_of_several_generators_are_not_judged_by_one_of_them() {
    let part = first_part();
    assert_eq!(part.exit(), Exit::Passed);
    assert!(part.headline().contains("; part 1 of 2: what it knows is right, the whole is judged"), "{part}");
    assert!(part.to_string().contains("  ?       conservation"), "{part}");

    let merged = Summary::merge(&[part, second_part()], Missing::Refuse).unwrap();
    assert_eq!(merged.exit(), Exit::NotAudited);
    assert!(
        merged.headline().starts_with("NOT AUDITED: example: each part found right what it knows"),
        "{merged}"
    );
    let known = merged.ledger.as_ref().unwrap();
    assert_eq!(
        (known.orders.as_slice(), known.stock["LAMP-1"]),
        (&["order-1", "order-2"].map(str::to_owned)[..], 3)
    );

    // Of an audit by steps there is no ledger: what all parts judged is judged.
    let by_steps = |passed| {
        [first_part(), second_part()].map(|mut part| {
            part.ledger = None;
            part.audit.checks[0].passed = passed;
            part
        })
    };
    let judged = Summary::merge(&by_steps(Some(true)), Missing::Refuse).unwrap();
    assert!(judged.audit.balances() && judged.exit() == Exit::Passed, "{judged}");
    let open = Summary::merge(&by_steps(None), Missing::Refuse).unwrap();
    assert!(open.headline().contains("run this scenario on one"), "{open}");

    let mut failed = second_part();
    failed.audit.checks[1].passed = Some(false);
    let failed = Summary::merge(&[first_part(), failed], Missing::Refuse).unwrap();
    assert_eq!(failed.exit(), Exit::AuditFailed, "one is enough");
    let mut absent = second_part();
    absent.audit.state = AuditState::NotMade;
    absent.audit.reason = Some("the server does not answer: cannot connect".to_owned());
    let absent = Summary::merge(&[first_part(), absent], Missing::Refuse).unwrap();
    assert_eq!(
        absent.headline(),
        "NOT AUDITED: example: generator 2: the server does not answer: cannot connect"
    );
}

#[test]
fn a_run_that_its_user_ended_has_a_verdict_of_its_own() {
    let mut facts = example_facts();
    facts.run.interrupted = true;
    let recorded = example().recorded().unwrap();
    let met = [Condition::parse("count < 9", &["buy", "pay"]).unwrap()];
    let cut_short = Summary::new(&recorded, facts.clone(), &met);
    assert!(
        cut_short
            .headline()
            .starts_with("CUT SHORT: example: by the user, 3.0 s after its start: 2.0 requests/s"),
        "{cut_short}"
    );
    assert_eq!(cut_short.exit() as u8, 7);
    assert!(!cut_short.verdict.passed);

    // What was measured is judged, and told after it.
    let missed = [Condition::parse("count > 9", &["buy", "pay"]).unwrap()];
    let cut_short = Summary::new(&recorded, facts.clone(), &missed);
    assert_eq!(cut_short.exit(), Exit::CutShort);
    assert!(cut_short.to_string().contains("also: threshold missed: count > 9"), "{cut_short}");

    facts.run.interrupted = false;
    facts.audit.state = AuditState::CutShort;
    facts.audit.reason = Some("by the user, at acknowledged orders, 1 of 5".to_owned());
    let cut_short = Summary::new(&recorded, facts, &met);
    let headline = "CUT SHORT: example: the audit, by the user, at acknowledged orders, 1 of 5: ";
    assert!(cut_short.headline().starts_with(headline), "{cut_short}");
    assert!(cut_short.headline().ends_with("; the books are not known"), "{cut_short}");
}

#[test]
fn a_percentile_is_told_when_a_request_lies_beyond_it() {
    let latency = example().all.latency;
    assert_eq!((latency.p50.is_some(), latency.p90, latency.p99_99), (true, None, None));
    assert!(latency.max.is_some() && latency.mean.is_some());
    let many = told(Plot::default()).all;
    assert!(many.count > 10_000 && many.latency.p99_99.is_some());
    let text = example().to_string();
    assert!(!text.contains("p99 0"), "{text}");
}
