//! The figures of a run as tables.

use std::fmt::{self, Write};

use super::bins::Bin;
use super::escape::Text;
use crate::record::Kind;
use crate::summary::Summary;
use crate::summary::document::{Arrivals, AuditState, Cost, Mode, Percentiles};
use crate::summary::figures::{grouped, milliseconds, rate, share, told};

/// Percentiles by step and outcome.
pub(super) fn latencies(out: &mut String, summary: &Summary) -> fmt::Result {
    open(out, "Latency by step and outcome", "milliseconds from the intended start of a request")?;
    head(out, &["", "requests", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"])?;
    for step in &summary.steps {
        row(out, "", &Text(&step.name), step.all.count, &step.all.latency)?;
        for outcome in &step.outcomes {
            let name =
                format!(r#"<span class="swatch {}"></span>{}"#, outcome.kind.name(), Text(&outcome.outcome));
            row(out, "part", &name, outcome.count, &outcome.latency)?;
        }
    }
    if summary.steps.len() > 1 {
        row(out, "", &"all steps", summary.all.count, &summary.all.latency)?;
    }
    close(out)
}

fn row(out: &mut String, class: &str, name: &dyn fmt::Display, count: u64, at: &Percentiles) -> fmt::Result {
    write!(out, r#"<tr class="{class}"><th scope="row">{name}</th><td>{}</td>"#, grouped(count))?;
    for figure in [at.p50, at.p75, at.p90, at.p95, at.p99, at.p99_9, at.p99_99, at.max] {
        let figure = figure.map_or_else(|| "–".to_owned(), |figure| milliseconds(figure as f64));
        write!(out, "<td>{figure}</td>")?;
    }
    out.write_str("</tr>")
}

/// What requests came to, over all steps.
pub(super) fn answers(out: &mut String, summary: &Summary) -> fmt::Result {
    open_list(out, "bars", "Answers by kind", "what requests came to, over all steps")?;
    let all = summary.all.count;
    let most = Kind::ALL
        .iter()
        .flat_map(|&kind| summary.outcomes_of(kind))
        .map(|(_, count)| count)
        .max()
        .unwrap_or(1);
    for kind in Kind::ALL {
        for (outcome, count) in summary.outcomes_of(kind) {
            let width = count as f64 * 100.0 / most as f64;
            write!(
                out,
                r#"<tr><th scope="row" class="wrap">{}<small>{1}</small></th><td class="bar {1}"><i style="width:{width:.1}%"></i></td><td>{2}</td><td>{3}</td></tr>"#,
                Text(outcome),
                kind.name(),
                share(count, all),
                grouped(count),
            )?;
        }
    }
    close_list(out)
}

/// The conditions of the scenario.
pub(super) fn thresholds(out: &mut String, summary: &Summary) -> fmt::Result {
    if summary.thresholds.is_empty() {
        return Ok(());
    }
    open_list(out, "list", "Thresholds", "conditions that the run had to meet")?;
    for threshold in &summary.thresholds {
        let (class, word) = if threshold.passed { ("yes", "✓ met") } else { ("no", "✗ missed") };
        write!(
            out,
            r#"<tr><td class="text {class}">{word}</td><td class="text"><code>{}</code></td><td class="text wrap">{}</td></tr>"#,
            Text(&threshold.expression),
            Text(threshold.measured()),
        )?;
    }
    close_list(out)
}

/// What the audit looked at.
pub(super) fn audit(out: &mut String, summary: &Summary) -> fmt::Result {
    let note = match summary.audit.state {
        AuditState::None => "there was none",
        AuditState::Made => "what the shop acknowledged against what it shows now",
        AuditState::Part => {
            "what the shop acknowledged to this generator, one of several; the whole is not judged yet"
        }
        AuditState::CutShort => "cut short by the user",
        AuditState::NotMade => "could not be made",
    };
    open_list(out, "list", "Audit", note)?;
    for check in &summary.audit.checks {
        let (class, word) = match check.passed {
            Some(true) => ("yes", "✓ balances"),
            Some(false) => ("no", "✗ failed"),
            None => ("", "? not judged"),
        };
        write!(
            out,
            r#"<tr><td class="text {class}">{word}</td><th scope="row">{}</th><td class="text wrap">{}</td></tr>"#,
            Text(&check.name),
            Text(&check.detail),
        )?;
    }
    close_list(out)
}

/// What ran, where, and how the generator fared.
pub(super) fn run(out: &mut String, summary: &Summary) -> fmt::Result {
    let (run, load, machine) = (&summary.run, &summary.load, &summary.run.machine);
    let late = &load.lateness.percentiles;
    let arrivals = match (load.mode, load.arrivals) {
        (Mode::Closed, _) => "closed loop",
        (Mode::Open, Some(Arrivals::Poisson)) => "open loop, Poisson arrivals",
        (Mode::Open, _) => "open loop, constant arrivals",
    };
    let events = summary.events.iter().map(|event| format!("{:.1} s {}", event.second, event.text));
    let events = events.collect::<Vec<_>>().join("; ");
    let outages = summary.outages.iter().map(|outage| format!("{:.1} s {}", outage.from_s, outage.told()));
    let outages = outages.collect::<Vec<_>>().join("; ");
    let facts = [
        (
            "load",
            format!(
                "{arrivals}; {} connections on {} workers",
                grouped(load.connections.into()),
                load.workers
            ),
        ),
        ("warm-up", format!("{:.1} s, not counted", run.warm_up_s)),
        ("drain", format!("{:.1} s until the last request ended, in no rate", run.drain_s)),
        (
            "generators",
            format!(
                "{}{}, the busiest worker at {:.0} % of a core",
                run.generators,
                run.parts.told(),
                load.cpu_share * 100.0
            ),
        ),
        ("cost", cost(&load.cost)),
        (
            "sent late by",
            format!("p50 {}, p99 {}, at most {}", told(late.p50), told(late.p99), told(late.max)),
        ),
        ("outages", if outages.is_empty() { "none".to_owned() } else { outages }),
        ("events", if events.is_empty() { "none".to_owned() } else { events }),
        (
            "machine",
            format!(
                "{} × {}, {:.1} GiB, {}",
                machine.cpus,
                machine.cpu_model,
                machine.memory_bytes as f64 / f64::from(1 << 30),
                machine.kernel
            ),
        ),
        (
            "versions",
            format!(
                "generator {}, server {}",
                run.versions.generator,
                run.versions.server.as_deref().unwrap_or("unknown")
            ),
        ),
    ];
    out.write_str("<section class=\"card\"><h2>The run</h2><dl class=\"facts\">")?;
    facts.iter().try_for_each(|(name, fact)| write!(out, "<dt>{name}</dt><dd>{}</dd>", Text(fact)))?;
    out.write_str("</dl></section>\n")
}

/// What the load cost the generator.
fn cost(cost: &Cost) -> String {
    let each = cost.requests_per_core_s.map_or_else(|| "-".to_owned(), rate);
    let late = &cost.start_lateness;
    format!(
        "{:.1} s of CPU, {:.2} cores, {each} requests a second of a core; flows started late by p50 {}, p99 {}, at most {}",
        cost.cpu_s,
        cost.cores,
        told(late.p50),
        told(late.p99),
        told(late.max)
    )
}

/// The figures behind the pictures.
pub(super) fn series(out: &mut String, bins: &[Bin]) -> fmt::Result {
    out.write_str("<section class=\"card\"><details><summary>The figures behind the pictures</summary>")?;
    out.write_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Series\"><table>")?;
    head(
        out,
        &[
            "from (s)",
            "planned/s",
            "ok/s",
            "refused/s",
            "throttled/s",
            "failed/s",
            "p50 (ms)",
            "p99 (ms)",
            "in flight",
        ],
    )?;
    for bin in bins {
        write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td>",
            bin.from,
            bin.planned.map_or_else(String::new, rate)
        )?;
        bin.rates.iter().try_for_each(|figure| write!(out, "<td>{}</td>", rate(*figure)))?;
        for figure in [bin.p50, bin.p99] {
            write!(out, "<td>{}</td>", figure.map_or_else(String::new, milliseconds))?;
        }
        write!(out, "<td>{}</td></tr>", grouped(bin.in_flight))?;
    }
    out.write_str("</tbody></table></div></details></section>\n")
}

fn open(out: &mut String, heading: &str, note: &str) -> fmt::Result {
    write!(
        out,
        r#"<section class="card"><h2>{heading}</h2><p class="note">{note}</p><div class="scroll" tabindex="0" role="region" aria-label="{heading}"><table>"#
    )
}

/// A table without a head, whose cells a phone shows below each other.
fn open_list(out: &mut String, class: &str, heading: &str, note: &str) -> fmt::Result {
    write!(
        out,
        r#"<section class="card"><h2>{heading}</h2><p class="note">{note}</p><table class="{class}"><tbody>"#
    )
}

fn close(out: &mut String) -> fmt::Result {
    out.write_str("</tbody></table></div></section>\n")
}

fn close_list(out: &mut String) -> fmt::Result {
    out.write_str("</tbody></table></section>\n")
}

fn head(out: &mut String, names: &[&str]) -> fmt::Result {
    out.write_str("<thead><tr>")?;
    for (index, name) in names.iter().enumerate() {
        let class = if index == 0 { r#" class="text""# } else { "" };
        write!(out, r#"<th scope="col"{class}>{name}</th>"#)?;
    }
    out.write_str("</tr></thead><tbody>")
}
