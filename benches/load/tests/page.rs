//! The page of a run: it is whole, asks nothing of the network, and runs nothing that a server chose to say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod story;

use std::path::Path;

use relampago_load::html::page;
use relampago_load::summary::Summary;
use relampago_load::summary::document::{AuditCheck, Event, Mode, Stock};

use story::{Plot, told};

/// Leaves a page where a browser can be pointed at it.
fn keep(name: &str, page: &str) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), page).unwrap();
}

#[test]
fn the_page_shows_every_chart_and_the_verdict_on_top() {
    let mut summary = told(Plot::default());
    summary.events.push(Event { second: 60.2, text: "all is told".to_owned() });
    let page = page(&summary).unwrap();
    keep("sale.html", &page);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("sale.json"), summary.to_json()).unwrap();
    let body = page.split_once("<main>").unwrap().1.trim_start();
    assert!(body.starts_with(r#"<section class="verdict bad" aria-label="Verdict"><strong>✗ FAILED"#));
    let headings = [
        "Throughput",
        "Latency over time",
        "Latency by percentile",
        "Stock",
        "Requests in flight",
        "Batch size",
        "Disk",
        "Queue",
        "Latency by step and outcome",
        "Answers by kind",
        "Thresholds",
        "Audit",
        "The run",
    ];
    for heading in headings {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert_eq!(page.matches("<svg ").count(), page.matches("<desc>").count());
    assert!(
        page.contains("server ready") && !page.contains("<title>all is told"),
        "the end of the run has no mark"
    );
    // The mark itself, once in every drawing over time.
    assert!(page.matches("<title>server killed</title>").count() >= 14);
    // The outage as a band in every drawing over time, and in words.
    assert!(page.matches(r#"class="out""#).count() >= 14);
    assert!(page.contains("no answer for 1.6 s, until 23.9 s: 900 requests found no connection or lost it"));
    assert!(!page.contains("NaN") && !page.contains("inf "), "a figure has no place");
}

#[test]
fn the_page_asks_nothing_of_the_network() {
    let page = page(&told(Plot::default())).unwrap();
    assert!(page.contains(r#"content="default-src 'none'; style-src 'unsafe-inline'""#));
    for outside in ["<script", "<link", "<img", "<iframe", " src=", " href=", "url(", "@import", " on"] {
        let markup = page.split('<').map(|part| part.split('>').next().unwrap()).map(|tag| format!("<{tag}"));
        let found: Vec<String> = markup.filter(|tag| tag.contains(outside)).collect();
        assert!(found.is_empty(), "{outside}: {found:?}");
    }
}

#[test]
fn what_others_chose_is_text() {
    let evil = "</title></text></style><script>alert(1)</script><img src=x onerror='alert(2)'>\"";
    let mut summary = told(Plot::default());
    let run = &mut summary.run;
    for text in [&mut run.scenario, &mut run.description, &mut run.target, &mut run.started] {
        *text = evil.to_owned();
    }
    run.versions.server = Some(evil.to_owned());
    run.versions.generator = evil.to_owned();
    run.machine.cpu_model = evil.to_owned();
    summary.stock.push(Stock { second: 5.0, sku: evil.to_owned(), available: 99_999 });
    summary.events.push(Event { second: 5.0, text: evil.to_owned() });
    summary.steps[0].name = evil.to_owned();
    summary.steps[1].outcomes[0].outcome = evil.to_owned();
    summary.thresholds[0].expression = evil.to_owned();
    summary.audit.checks.push(AuditCheck {
        name: evil.to_owned(),
        passed: Some(false),
        detail: evil.to_owned(),
    });
    summary.verdict.failures = vec![evil.to_owned(); 2];
    summary.load.invalid_reasons = vec![evil.to_owned()];

    let page = page(&summary).unwrap();
    keep("evil.html", &page);
    for tag in ["<script", "<img", "</title></text>"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert!(page.matches("&lt;script&gt;").count() > 15);
}

#[test]
fn a_run_of_nothing_has_a_page() {
    let mut nothing = Summary::from_json(include_str!("documents/relampago-load-2.json")).unwrap();
    page(&nothing).unwrap();
    nothing.seconds.clear();
    nothing.steps.clear();
    nothing.stock.clear();
    nothing.server.clear();
    nothing.events.clear();
    nothing.load.mode = Mode::Closed;
    nothing.load.planned.clear();
    nothing.run.duration_s = 0.0;
    let page = page(&nothing).unwrap();
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn a_long_run_stays_a_page() {
    let mut long = told(Plot { killed: false, ..Plot::default() });
    let minute = long.seconds.clone();
    long.seconds = (0..3_600).map(|number| minute[number as usize % 60].clone()).collect();
    for (number, second) in (0..).zip(&mut long.seconds) {
        second.second = number;
    }
    long.run.duration_s = 3_600.0;
    let page = page(&long).unwrap();
    keep("long.html", &page);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}
