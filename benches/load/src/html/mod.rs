//! The document of a run as one page: the verdict, pictures, and every figure again as a table.
//!
//! The page asks nothing of the network and runs no script (its content security policy forbids both), and whatever
//! a server or a scenario chose to call things is written as text. It follows the reader's light or dark setting and
//! fits a phone.

mod bins;
mod chart;
mod escape;
mod panels;
mod scale;
mod stock;
mod tables;

use std::fmt::{self, Write};

use escape::Text;
use panels::{Panel, Time};

use crate::record::Recorded;
use crate::summary::document::AuditState;
use crate::summary::figures::{duration, rate, share, told};
use crate::summary::{Exit, ReadError, Summary};

const STYLE: &str = include_str!("style.css");

/// The page of one run.
///
/// # Errors
/// When a histogram in the document cannot be read.
pub fn page(summary: &Summary) -> Result<String, ReadError> {
    let recorded = summary.recorded()?;
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = write_page(&mut page, summary, &recorded);
    Ok(page)
}

fn write_page(out: &mut String, summary: &Summary, recorded: &Recorded) -> fmt::Result {
    write!(
        out,
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{}</title>
<style>{STYLE}</style></head><body><main>
"#,
        Text(summary.headline())
    )?;
    write_verdict(out, summary)?;
    write_head(out, summary)?;
    let bins = bins::bins(summary);
    out.write_str("<div class=\"grid\">\n")?;
    for panel in (Time { summary, bins: &bins }).panels(recorded) {
        write_panel(out, &panel)?;
    }
    tables::latencies(out, summary)?;
    tables::answers(out, summary)?;
    tables::thresholds(out, summary)?;
    tables::audit(out, summary)?;
    tables::run(out, summary)?;
    tables::series(out, &bins)?;
    let version = Text(&summary.run.versions.generator);
    write!(
        out,
        "</div>\n<footer>Written by relampago load {version}. The figures are those of its JSON document.</footer>\n</main></body></html>\n"
    )
}

fn write_verdict(out: &mut String, summary: &Summary) -> fmt::Result {
    let (tone, sign) = match summary.exit() {
        Exit::Passed => ("good", "✓"),
        Exit::Invalid | Exit::NotAudited | Exit::CutShort => ("warn", "!"),
        Exit::AuditFailed | Exit::ThresholdMissed => ("bad", "✗"),
    };
    let headline = summary.headline();
    let (word, rest) = headline.split_once(": ").unwrap_or((&headline, ""));
    write!(
        out,
        r#"<section class="verdict {tone}" aria-label="Verdict"><strong>{sign} {}</strong><p>{}</p>"#,
        Text(word),
        Text(rest)
    )?;
    let others = summary.verdict.failures.get(1..).unwrap_or_default();
    if !others.is_empty() {
        out.write_str("<ul>")?;
        others.iter().try_for_each(|failure| write!(out, "<li>{}</li>", Text(failure)))?;
        out.write_str("</ul>")?;
    }
    out.write_str("</section>\n")
}

fn write_head(out: &mut String, summary: &Summary) -> fmt::Result {
    let (run, all) = (&summary.run, &summary.all);
    write!(out, "<header><h1>{}</h1>", Text(&run.scenario))?;
    if !run.description.is_empty() {
        write!(out, "<p>{}</p>", Text(&run.description))?;
    }
    let early = if run.interrupted { ", cut short by the user" } else { "" };
    write!(
        out,
        "<p>{} against {}, started {}{early}, run {}{}, seed {}</p></header>",
        duration(run.duration_s),
        Text(&run.target),
        Text(&run.started),
        Text(&run.id),
        run.parts.told(),
        run.seed
    )?;
    let audit = match summary.audit.state {
        _ if summary.audit.failed() => "differ",
        AuditState::None => "no audit",
        AuditState::Made => "balance",
        AuditState::Part => "a part",
        AuditState::CutShort | AuditState::NotMade => "not known",
    };
    let at = &all.latency;
    let tiles = [
        ("requests a second", rate(all.rate)),
        ("of them ok", rate(all.ok_rate)),
        ("p50", told(at.p50)),
        ("p99", told(at.p99)),
        ("p99.99", told(at.p99_99)),
        ("failed", share(all.failed, all.count)),
        ("the books", audit.to_owned()),
    ];
    out.write_str("<dl class=\"tiles\">")?;
    tiles.iter().try_for_each(|(name, figure)| write!(out, "<div><dt>{name}</dt><dd>{figure}</dd></div>"))?;
    out.write_str("</dl>\n")
}

fn write_panel(out: &mut String, panel: &Panel) -> fmt::Result {
    write!(
        out,
        r#"<figure class="card {}"><figcaption><h2>{}</h2><p class="note">{}</p></figcaption>"#,
        panel.width.class(),
        panel.heading,
        Text(&panel.note)
    )?;
    panel.width.sizes().iter().try_for_each(|size| panel.chart.draw(out, *size))?;
    out.write_str("</figure>\n")
}
