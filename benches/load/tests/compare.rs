//! Two runs beside each other: what differs is found, what does not is not, and doubts are told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod story;

use relampago_load::compare::{Comparison, Figure, Verdict};
use relampago_load::summary::Summary;

use story::{Plot, told};

const SEED: u64 = 11;

fn quiet(seed: u64) -> Plot {
    Plot { seed, killed: false, ..Plot::default() }
}

fn figure<'a>(comparison: &'a Comparison, scope: &str, name: &str) -> &'a Figure {
    let scope = comparison.scopes.iter().find(|own| own.name == scope).unwrap();
    scope.figures.iter().find(|figure| figure.name == name).unwrap()
}

#[test]
fn runs_that_differ_by_chance_alone_do_not_differ() {
    // Each interval misses in one of twenty: of many pairs, few may.
    let runs: Vec<Summary> = (1..=5).map(|seed| told(quiet(seed))).collect();
    let (mut figures, mut differ) = (0, 0);
    for (index, a) in runs.iter().enumerate() {
        for b in &runs[index + 1..] {
            let comparison = Comparison::new(a, b, SEED);
            assert!(comparison.method.paired);
            let verdicts =
                comparison.scopes.iter().flat_map(|scope| &scope.figures).map(|figure| figure.verdict);
            for verdict in verdicts {
                figures += 1;
                differ += usize::from(verdict != Verdict::NoSignificantDifference);
            }
        }
    }
    assert!(differ * 7 <= figures, "{differ} of {figures} figures differ");
}

#[test]
fn a_slower_run_is_slower_and_by_how_much() {
    let (a, b) = (told(quiet(1)), told(Plot { slowness: 1.2, ..quiet(2) }));
    let comparison = Comparison::new(&a, &b, SEED);
    for (scope, name) in [("all", "p50"), ("all", "p99"), ("buy", "p50"), ("pay", "p50")] {
        let figure = figure(&comparison, scope, name);
        assert_eq!(figure.verdict, Verdict::Slower, "{scope} {name} {figure:?}");
        let (low, high) = (figure.low.unwrap(), figure.high.unwrap());
        assert!(low < 0.22 && high > 0.18, "{scope} {name} {figure:?}");
    }
    assert_eq!(figure(&comparison, "all", "rate").verdict, Verdict::NoSignificantDifference);
    let text = comparison.to_string();
    let doubt = text.find("warning: the seeds differ: 1 and 2").unwrap();
    assert!(doubt < text.find("B against A: p50 slower by ").unwrap(), "doubts come first: {text}");

    let back = Comparison::new(&b, &a, SEED);
    assert_eq!(figure(&back, "all", "p50").verdict, Verdict::Faster);
    assert_eq!(comparison, Comparison::new(&a, &b, SEED), "equal seeds, equal intervals");
}

#[test]
fn failures_and_rates_are_compared() {
    let (a, b) = (told(quiet(1)), told(Plot::default()));
    let comparison = Comparison::new(&a, &b, SEED);
    let failed = figure(&comparison, "all", "failed_ratio");
    assert_eq!(failed.a, Some(0.0));
    assert!(failed.b.unwrap() > 0.005);

    let busier = Comparison::new(&a, &told(Plot { crowd: 1.5, ..quiet(1) }), SEED);
    assert!(!busier.method.paired, "other plans have other seconds");
    assert!(
        busier.warnings.iter().any(|warning| warning.starts_with("the loads differ: ")),
        "{:?}",
        busier.warnings
    );
}

#[test]
fn doubts_are_told() {
    let a = told(quiet(1));
    let mut b = a.clone();
    b.load.valid = false;
    b.load.invalid_reasons = vec!["99 % of a core".to_owned()];
    b.audit.checks[0].passed = Some(false);
    b.run.interrupted = true;
    b.run.scenario = "steady".to_owned();
    b.run.target = "http://127.0.0.1:9090".to_owned();
    b.run.machine.cpus = 64;
    b.run.scenario_hash = "of another text".to_owned();
    b.run.versions.server = Some("0.2.0".to_owned());
    b.steps[1].name = "cancel".to_owned();
    b.seconds.truncate(9);
    let comparison = Comparison::new(&a, &b, SEED);
    let expected = [
        "run B is invalid, its generator was the limit: 99 % of a core",
        "the audit of run B failed",
        "run B was cut short by its user",
        "the scenarios differ: flash-sale and steady",
        "the texts of the scenarios differ, or what the command line changed in them",
        "the servers differ: 0.1.0 and 0.2.0",
        "the targets differ: http://127.0.0.1:8080 and http://127.0.0.1:9090",
        "the machines differ: 2 x ",
        "the steps differ: buy, pay and buy, cancel",
        "only 6 whole seconds after the warm-up",
    ];
    for start in expected {
        assert!(
            comparison.warnings.iter().any(|warning| warning.starts_with(start)),
            "{start}: {:?}",
            comparison.warnings
        );
    }
    let names: Vec<&str> = comparison.scopes.iter().map(|scope| scope.name.as_str()).collect();
    assert_eq!(names, ["all", "buy"]);
}

#[test]
fn runs_of_nothing_are_not_measured() {
    let mut nothing = told(quiet(1));
    nothing.seconds.clear();
    let comparison = Comparison::new(&nothing, &nothing, SEED);
    let verdicts = comparison.scopes.iter().flat_map(|scope| &scope.figures).map(|figure| figure.verdict);
    assert!(verdicts.into_iter().all(|verdict| verdict == Verdict::NotMeasured));
    let json: serde_json::Value = serde_json::from_str(&comparison.to_json()).unwrap();
    assert_eq!(json["schema"], "relampago-load-compare/1");
    assert_eq!(json["scopes"][0]["figures"][2]["verdict"], "not_measured");
}
