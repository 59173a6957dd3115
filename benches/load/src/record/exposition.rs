//! A run as Prometheus reads it: its counters and latencies so far in the text exposition format.

use std::fmt::{self, Write};

use super::histogram::Latencies;
use super::{Kind, Recorded};

/// Upper bounds of the buckets in microseconds, each with its `le` label in seconds.
const BUCKETS: [(u64, &str); 16] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
    (60_000_000, "60"),
];

/// The content type of [`exposition`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `recorded` in the Prometheus text format, version 0.0.4. Like the report, it leaves the warm-up out.
pub fn exposition(recorded: &Recorded) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_all(&mut text, recorded);
    text
}

fn write_all(out: &mut String, recorded: &Recorded) -> fmt::Result {
    head(out, "relampago_load_requests_total", "counter", "Requests that ended, by step and outcome.")?;
    for step in &recorded.steps {
        let name = Label(&step.name);
        for outcome in &step.outcomes {
            let (label, kind, count) = (Label(&outcome.label), outcome.kind.name(), outcome.count());
            writeln!(
                out,
                r#"relampago_load_requests_total{{step="{name}",outcome="{label}",kind="{kind}"}} {count}"#
            )?;
        }
    }
    let help = "Time from the intended start of a request to its end, of those that were waited for.";
    head(out, "relampago_load_request_duration_seconds", "histogram", help)?;
    for step in &recorded.steps {
        let labels = format!(r#"step="{}""#, Label(&step.name));
        histogram(out, "relampago_load_request_duration_seconds", &labels, &step.latency_us())?;
    }
    let help = "How much later than intended requests went out: the generator's own delay.";
    head(out, "relampago_load_request_lateness_seconds", "histogram", help)?;
    histogram(out, "relampago_load_request_lateness_seconds", "", &recorded.lateness_us)?;
    flows(out, recorded)
}

fn flows(out: &mut String, recorded: &Recorded) -> fmt::Result {
    let (mut started, mut flows_started, mut finished, mut flows_finished) = (0, 0, 0, 0);
    for second in recorded.seconds.values() {
        started += second.started();
        finished += Kind::ALL.iter().map(|&kind| second.finished(kind)).sum::<u64>();
        flows_started += second.flows_started;
        flows_finished += second.flows_finished;
    }
    let counters = [
        ("relampago_load_flows_started_total", "Shoppers that began.", flows_started),
        ("relampago_load_flows_finished_total", "Shoppers that came to an end.", flows_finished),
    ];
    for (name, help, count) in counters {
        head(out, name, "counter", help)?;
        writeln!(out, "{name} {count}")?;
    }
    let name = "relampago_load_requests_in_flight";
    head(out, name, "gauge", "Requests that went out and have not ended.")?;
    writeln!(out, "{name} {}", started.saturating_sub(finished))
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn histogram(out: &mut String, name: &str, labels: &str, latencies: &Latencies) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for (cumulative, (_, le)) in cumulative(latencies).into_iter().zip(BUCKETS) {
        writeln!(out, r#"{name}_bucket{{{labels}{comma}le="{le}"}} {cumulative}"#)?;
    }
    let count = latencies.len();
    let sum: f64 =
        latencies.iter_recorded().map(|at| at.value_iterated_to() as f64 * at.count_at_value() as f64).sum();
    writeln!(out, r#"{name}_bucket{{{labels}{comma}le="+Inf"}} {count}"#)?;
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(out, "{name}_sum{labels} {}\n{name}_count{labels} {count}", sum / 1e6)
}

/// How many latencies lie within each bucket's bound. A bound may cut through a slot of the histogram, which then
/// counts as beyond: at most 0.1 % of the bound.
fn cumulative(latencies: &Latencies) -> [u64; BUCKETS.len()] {
    let mut counts = [0; BUCKETS.len()];
    for at in latencies.iter_recorded() {
        let bucket = BUCKETS.partition_point(|&(bound, _)| bound < at.value_iterated_to());
        if let Some(count) = counts.get_mut(bucket) {
            *count += at.count_at_value();
        }
    }
    let mut sum = 0;
    counts.map(|count| {
        sum += count;
        sum
    })
}

/// A label value, escaped as the format wants it.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str(r"\\")?,
                '"' => f.write_str(r#"\""#)?,
                '\n' => f.write_str(r"\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::record::{Clock, Outcome, Recorder, StepId, Times};

    fn recorded() -> Recorded {
        let clock = Clock { epoch: Instant::now(), warm_up: Duration::ZERO };
        let mut recorder = Recorder::new(2, clock);
        recorder.flow_started(clock.epoch);
        for (step, milliseconds) in [(0, 1), (0, 3), (1, 70_000)] {
            let times = Times {
                intended: clock.epoch,
                due: clock.epoch,
                sent: clock.epoch,
                finished: clock.epoch + Duration::from_millis(milliseconds),
            };
            let outcome = Outcome::Status { status: 409, code: Some("odd \"code\" \\ of\na server") };
            recorder.started(StepId(step), clock.epoch);
            recorder.answered(StepId(step), &outcome, outcome.usual_kind(), times);
        }
        recorder.started(StepId(0), clock.epoch);
        let mut recorded = Recorded::new(["buy".to_owned(), "pay".to_owned()], Duration::ZERO);
        recorded.absorb(&recorder);
        recorded
    }

    #[test]
    fn counters_and_buckets_are_told() {
        let text = exposition(&recorded());
        let name = r#"step="buy",outcome="409 odd \"code\" \\ of\na server",kind="refused""#;
        for line in [
            format!("relampago_load_requests_total{{{name}}} 2"),
            r#"relampago_load_request_duration_seconds_bucket{step="buy",le="0.0005"} 0"#.to_owned(),
            r#"relampago_load_request_duration_seconds_bucket{step="buy",le="0.0025"} 1"#.to_owned(),
            r#"relampago_load_request_duration_seconds_bucket{step="buy",le="0.005"} 2"#.to_owned(),
            r#"relampago_load_request_duration_seconds_bucket{step="pay",le="60"} 0"#.to_owned(),
            r#"relampago_load_request_duration_seconds_bucket{step="pay",le="+Inf"} 1"#.to_owned(),
            r#"relampago_load_request_duration_seconds_count{step="buy"} 2"#.to_owned(),
            "relampago_load_request_lateness_seconds_count 3".to_owned(),
            "relampago_load_flows_started_total 1".to_owned(),
            "relampago_load_requests_in_flight 1".to_owned(),
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }

    #[test]
    fn promtool_has_nothing_to_say() {
        let child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("RELAMPAGO_CI").is_none(), "promtool is missing");
            eprintln!("SKIPPED the check of the exposition: promtool is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(exposition(&recorded()).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.trim().is_empty(), "{said}");
    }
}
