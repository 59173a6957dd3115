//! A comparison for a terminal.

use std::fmt;

use super::{Comparison, Figure, Scope, Verdict};
use crate::summary::document::Unit;
use crate::summary::figures::{Printable, latency, rate};

impl Comparison {
    /// What all steps together come to, in one line.
    pub fn headline(&self) -> String {
        let figures = self.scopes.first().map_or(&[][..], |all| &all.figures);
        let differ = |figure: &&Figure| {
            !matches!(figure.verdict, Verdict::NoSignificantDifference | Verdict::NotMeasured)
        };
        let told: Vec<String> = figures.iter().filter(differ).map(Figure::told).collect();
        if told.is_empty() {
            return "B against A: no significant difference".to_owned();
        }
        format!("B against A: {}", told.join(", "))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever reads one line should know of the doubts.
        for warning in &self.warnings {
            writeln!(f, "warning: {}", Printable(warning))?;
        }
        writeln!(f, "{}", self.headline())?;
        for (name, side) in [("A", &self.a), ("B", &self.b)] {
            writeln!(
                f,
                "{}{name}  {} of {}, {} s, server {}",
                if name == "A" { "\n" } else { "" },
                Printable(&side.scenario),
                Printable(&side.started),
                side.seconds,
                Printable(side.server.as_deref().unwrap_or("unknown")),
            )?;
        }
        writeln!(f, "\n{:<16} {:>11} {:>11} {:>11}   {:<24}", "", "A", "B", "change", "95 % interval")?;
        self.scopes.iter().try_for_each(|scope| scope.fmt(f))?;
        writeln!(f, "\n{}; seed {}", self.method.description, self.method.seed)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Printable(&self.name))?;
        for figure in &self.figures {
            let value =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| figure.value(value));
            let change =
                |change: Option<f64>| change.map_or_else(|| "-".to_owned(), |change| figure.signed(change));
            let interval = match (figure.low, figure.high) {
                (Some(low), Some(high)) => format!("{} to {}", figure.signed(low), figure.signed(high)),
                _ => "-".to_owned(),
            };
            writeln!(
                f,
                "  {:<14} {:>11} {:>11} {:>11}   {interval:<24} {}",
                figure.name.replace('_', " "),
                value(figure.a),
                value(figure.b),
                change(figure.change),
                figure.verdict.words(),
            )?;
        }
        Ok(())
    }
}

impl Figure {
    /// `p99 slower by 12.3 %`.
    fn told(&self) -> String {
        let change = self.signed(self.change.unwrap_or(0.0).abs());
        format!(
            "{} {} by {}",
            self.name.replace('_', " "),
            self.verdict.words(),
            change.trim_start_matches('+')
        )
    }

    fn value(&self, value: f64) -> String {
        match self.unit {
            Unit::Microseconds => latency(value),
            Unit::Ratio => format!("{:.3} %", value * 100.0),
            Unit::PerSecond | Unit::Requests => format!("{}/s", rate(value)),
        }
    }

    /// A change with its sign: per cent, or percentage points of a ratio.
    fn signed(&self, change: f64) -> String {
        // Adding zero makes a negative zero a positive one.
        match self.unit {
            Unit::Ratio => format!("{:+.3} pp", (change * 1e5).round() / 1e3 + 0.0),
            _ => format!("{:+.1} %", (change * 1e3).round() / 10.0 + 0.0),
        }
    }
}
