//! The document as text for a terminal: the verdict first.

use std::fmt;

use super::document::{Arrivals, Audit, Mode, OutcomeCount, Percentiles, Summary};
use super::figures::{Printable, grouped, latency, milliseconds, rate, share};
use crate::record::Kind;

/// Width of the column of names.
const NAMES: usize = 26;
/// Width of a figure.
const FIGURE: usize = 9;

impl Summary {
    /// The verdict in one line: how the books look comes first, then whether the run says anything, then the rest.
    pub fn headline(&self) -> String {
        let (scenario, all) = (Printable(&self.run.scenario), &self.all);
        let first = || Printable(self.verdict.failures.first().map_or("", String::as_str)).to_string();
        if self.audit.failed() {
            let failed = self.audit.checks.iter().filter(|check| !check.passed).count();
            let first = first();
            let detail = first.strip_prefix("audit failed: ").unwrap_or(&first);
            let more = if failed > 1 { format!(" (and {} more)", failed - 1) } else { String::new() };
            return format!("AUDIT FAILED: {detail}{more}");
        }
        if !self.load.valid {
            let why = first();
            return format!("INVALID: {scenario}: {}", why.strip_prefix("invalid: ").unwrap_or(&why));
        }
        if !self.verdict.passed {
            return format!("FAILED: {scenario}: {}", first());
        }
        format!(
            "PASSED: {scenario}: {} requests/s, p99 {}, {} failed{}",
            rate(all.rate),
            latency(all.latency.p99 as f64),
            share(all.failed, all.count),
            if self.audit.ran { "; the books balance" } else { "; no audit" }
        )
    }
}

impl Audit {
    /// Whether a check found something wrong.
    pub fn failed(&self) -> bool {
        self.checks.iter().any(|check| !check.passed)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        let headlined = usize::from(!self.verdict.passed);
        for failure in self.verdict.failures.iter().skip(headlined) {
            writeln!(f, "  also: {}", Printable(failure))?;
        }
        self.write_run(f)?;
        self.write_latencies(f)?;
        self.write_answers(f)?;
        self.write_conditions(f)?;
        self.write_events(f)?;
        self.write_generator(f)
    }
}

impl Summary {
    fn write_run(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = &self.run;
        let interrupted = if run.interrupted { ", ended early" } else { "" };
        let warm_up = match run.warm_up_s {
            0.0 => String::new(),
            warm_up => format!(" of which {warm_up:.1} s warm-up do not count"),
        };
        let drain =
            if run.drain_s >= 0.05 { format!(" and {:.1} s drain", run.drain_s) } else { String::new() };
        writeln!(
            f,
            "\n{} against {}, {:.1} s{warm_up}{drain}, seed {}, started {}{interrupted}",
            Printable(&run.scenario),
            Printable(&run.target),
            run.duration_s,
            run.seed,
            Printable(&run.started),
        )
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{:<NAMES$}{:>12}", "latency (ms)", "requests")?;
        for name in ["p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"] {
            write!(f, "{name:>FIGURE$}")?;
        }
        writeln!(f)?;
        for step in &self.steps {
            write_row(f, &step.name, step.all.count, &step.all.latency)?;
            for outcome in &step.outcomes {
                write_row(f, &format!("  {}", outcome.outcome), outcome.count, &outcome.latency)?;
            }
        }
        if self.steps.len() > 1 {
            write_row(f, "all", self.all.count, &self.all.latency)?;
        }
        Ok(())
    }

    fn write_answers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nanswers{:>31}{:>11}{:>11}", "", "a second", "of all")?;
        let all = &self.all;
        let counted_s = self.run.duration_s - self.run.warm_up_s;
        let a_second = |count: u64| if counted_s > 0.0 { count as f64 / counted_s } else { 0.0 };
        for kind in Kind::ALL {
            let count = all.count_of(kind);
            write!(f, "  {:<24}{:>12}", kind.name(), grouped(count))?;
            write!(f, "{:>11}{:>11}", rate(a_second(self.in_window(kind))), share(count, all.count))?;
            let outcomes: Vec<String> =
                self.outcomes_of(kind).map(|(label, count)| format!("{label} {}", grouped(count))).collect();
            let listed = if kind == Kind::Ok { String::new() } else { outcomes.join(", ") };
            writeln!(f, "{}{}", if listed.is_empty() { "" } else { "   " }, Printable(&listed))?;
        }
        Ok(())
    }

    /// Requests of one kind that ended before the drain, over all steps.
    fn in_window(&self, kind: Kind) -> u64 {
        let outcomes = self.steps.iter().flat_map(|step| &step.outcomes);
        let of_kind = outcomes.filter(|outcome| outcome.kind == kind);
        of_kind.map(|outcome| outcome.count.saturating_sub(outcome.drained)).sum()
    }

    /// What requests of one kind came to, over all steps, most frequent first.
    pub(crate) fn outcomes_of(&self, kind: Kind) -> impl Iterator<Item = (&str, u64)> {
        let mut sums: Vec<(&str, u64)> = Vec::new();
        let of_kind = |outcome: &&OutcomeCount| outcome.kind == kind && outcome.count > 0;
        for outcome in self.steps.iter().flat_map(|step| &step.outcomes).filter(of_kind) {
            match sums.iter_mut().find(|(label, _)| *label == outcome.outcome) {
                Some((_, count)) => *count += outcome.count,
                None => sums.push((&outcome.outcome, outcome.count)),
            }
        }
        sums.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        sums.into_iter()
    }

    fn write_conditions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.thresholds.is_empty() {
            writeln!(f, "\nthresholds")?;
        }
        let wide =
            self.thresholds.iter().map(|threshold| threshold.expression.chars().count()).max().unwrap_or(0);
        for threshold in &self.thresholds {
            let mark = if threshold.passed { "met" } else { "MISSED" };
            writeln!(f, "  {mark:<8}{:<wide$}  {}", Printable(&threshold.expression), threshold.measured())?;
        }
        writeln!(f, "\naudit{}", if self.audit.ran { "" } else { ": none" })?;
        let wide = self.audit.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
        for check in &self.audit.checks {
            let mark = if check.passed { "ok" } else { "FAILED" };
            writeln!(f, "  {mark:<8}{:<wide$}  {}", Printable(&check.name), Printable(&check.detail))?;
        }
        Ok(())
    }

    fn write_events(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.events.is_empty() {
            writeln!(f, "\nevents")?;
        }
        for event in &self.events {
            writeln!(f, "  {:>7.1} s  {}", event.second, Printable(&event.text))?;
        }
        Ok(())
    }

    fn write_generator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (load, run, late) = (&self.load, &self.run, &self.load.lateness.percentiles);
        let arrivals = match (load.mode, load.arrivals) {
            (Mode::Closed, _) => "closed loop",
            (Mode::Open, Some(Arrivals::Poisson)) => "open loop, Poisson arrivals",
            (Mode::Open, _) => "open loop, constant arrivals",
        };
        writeln!(
            f,
            "\ngenerator  {arrivals}; {} connections, {} workers, the busiest at {:.0} % of a core; {}",
            grouped(load.connections.into()),
            load.workers,
            load.cpu_share * 100.0,
            if run.generators == 1 {
                "1 generator".to_owned()
            } else {
                format!("{} generators", run.generators)
            },
        )?;
        writeln!(
            f,
            "           sent later than intended by p50 {}, p99 {}, at most {}",
            latency(late.p50 as f64),
            latency(late.p99 as f64),
            latency(late.max as f64),
        )?;
        let machine = &run.machine;
        writeln!(
            f,
            "machine    {} x {}, {:.1} GiB, {}",
            machine.cpus,
            Printable(&machine.cpu_model),
            machine.memory_bytes as f64 / f64::from(1 << 30),
            Printable(&machine.kernel),
        )?;
        let server = run.versions.server.as_deref().unwrap_or("unknown");
        writeln!(
            f,
            "versions   generator {}, server {}",
            Printable(&run.versions.generator),
            Printable(server)
        )
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, name: &str, count: u64, at: &Percentiles) -> fmt::Result {
    write!(f, "{:<NAMES$}{:>12}", Printable(name), grouped(count))?;
    for latency in [at.p50, at.p75, at.p90, at.p95, at.p99, at.p99_9, at.p99_99, at.max] {
        write!(f, "{:>FIGURE$}", milliseconds(latency as f64))?;
    }
    writeln!(f)
}
