//! The comparison side by side: in every round each server runs once, on an empty folder, in an order that rotates.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::probe::{Kind, Probe, Sample, measure, stock};
use crate::server::{Contender, Stage};
use crate::spread::{Spread, grouped};
use crate::{SpeedError, long};

/// How a comparison is run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often every server runs.
    pub rounds: usize,
    /// How long a measurement takes.
    pub length: Duration,
    /// Whether the engine may store what it owes before each measurement.
    pub settle: bool,
}

/// Everything measured in rounds: the samples of each probe of each server, one a round.
#[derive(Debug, Default)]
pub struct Rounds(BTreeMap<(Probe, Contender), Vec<Sample>>);

impl Rounds {
    /// Runs these measurements, of servers that are not missing. From round to round another server comes first, and
    /// another measurement of it: what one leaves to be done in the background is not always the same one's burden.
    ///
    /// # Errors
    /// If a server fails or does not sell exactly what there is.
    pub fn run(
        stage: &Stage,
        wanted: &BTreeSet<(Contender, Probe)>,
        missing: &[Contender],
        plan: Plan,
    ) -> Result<Self, SpeedError> {
        let mut samples =
            Self(wanted.iter().map(|(contender, probe)| ((*probe, *contender), Vec::new())).collect());
        let mut contenders: Vec<Contender> = wanted.iter().map(|(contender, _)| *contender).collect();
        contenders.dedup();
        contenders.retain(|contender| !missing.contains(contender));
        for round in 0..plan.rounds {
            for turn in 0..contenders.len() {
                let contender = contenders[(round + turn) % contenders.len()];
                let probes = wanted.iter().filter(|(of, _)| *of == contender).map(|(_, probe)| *probe);
                let mut probes: Vec<Probe> = probes.collect();
                let first = round * probes.len() / plan.rounds;
                probes.rotate_left(first);
                eprintln!("round {} of {}: {contender}", round + 1, plan.rounds);
                samples.add(stage, contender, &probes, plan)?;
            }
        }
        Ok(samples)
    }

    fn add(
        &mut self,
        stage: &Stage,
        contender: Contender,
        probes: &[Probe],
        plan: Plan,
    ) -> Result<(), SpeedError> {
        let server = stage.start(contender)?;
        if contender != Contender::Noop {
            stock(&server).map_err(|error| SpeedError::Wrong(format!("{contender}: {error}")))?;
        }
        for probe in probes {
            if plan.settle && contender == Contender::Relampago {
                long::settle(&server)?;
            }
            let sample = measure(stage, &server, *probe, plan.length)?;
            self.0.entry((*probe, contender)).or_default().push(sample);
        }
        Ok(())
    }

    /// A figure of one probe of one server, round by round.
    pub fn figures(&self, contender: Contender, probe: Probe, figure: fn(&Sample) -> f64) -> Vec<f64> {
        self.0.get(&(probe, contender)).into_iter().flatten().map(figure).collect()
    }

    /// The ratio of a figure of the engine to one of a server's, within each round.
    pub fn ratio(
        &self,
        ours: Probe,
        (contender, theirs): (Contender, Probe),
        figure: fn(&Sample) -> f64,
    ) -> Option<Spread> {
        let over = self.figures(Contender::Relampago, ours, figure);
        Spread::of_ratios(over, self.figures(contender, theirs, figure))
    }

    /// All samples as a table in Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| scenario | connections | server | requests/s | of noop | p50 ms | p99 ms | server CPU µs/request | \
             generator CPU µs/request | disk bytes/request | other answers | CPU elsewhere % |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for ((probe, contender), samples) in &self.0 {
            let cells = if samples.is_empty() { " - |".repeat(9) } else { self.cells(*probe, samples) };
            table += &format!("| {probe} | {} | {contender} |{cells}\n", probe.connections);
        }
        table
    }

    fn cells(&self, probe: Probe, samples: &[Sample]) -> String {
        let cell = |decimals: usize, figure: fn(&Sample) -> f64| {
            let spread = Spread::of(samples.iter().map(figure));
            spread.map_or("-".into(), |spread| format!("{spread:.decimals$}"))
        };
        let median = |decimals: usize, figures: &mut dyn Iterator<Item = f64>| {
            Spread::of(figures).map_or("-".into(), |spread| grouped(spread.median, decimals))
        };
        let ceiling = self.figures(Contender::Noop, ceiling(probe), |sample| sample.per_second);
        let share = Spread::of_ratios(samples.iter().map(|sample| sample.per_second), ceiling);
        let share = share.filter(|_| probe.rate == 0);
        format!(
            " {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(0, |sample| sample.per_second),
            share.map_or("-".into(), |share| format!("{:.2}", share.median)),
            cell(2, |sample| sample.p50_ms),
            cell(2, |sample| sample.p99_ms),
            cell(1, |sample| sample.server_us),
            median(1, &mut samples.iter().map(|sample| sample.generator_us)),
            median(0, &mut samples.iter().filter_map(|sample| sample.written)),
            median(0, &mut samples.iter().map(|sample| sample.others)),
            median(0, &mut samples.iter().map(|sample| sample.elsewhere * 100.0)),
        )
    }
}

/// What a probe's throughput is measured against: the least that a server can do with as many connections.
pub fn ceiling(probe: Probe) -> Probe {
    Probe::closed(Kind::Hot, probe.connections)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample(per_second: f64) -> Sample {
        let (p50_ms, p99_ms, server_us, generator_us) = (1.0, 2.0, 3.0, 4.0);
        Sample {
            per_second,
            p50_ms,
            p99_ms,
            server_us,
            generator_us,
            written: None,
            others: 0.0,
            elsewhere: 0.0,
        }
    }

    #[test]
    fn the_table_shows_shares_of_the_ceiling_and_dashes_for_who_did_not_run() {
        let (hot, cart) = (Probe::closed(Kind::Hot, 64), Probe::closed(Kind::Cart, 64));
        let rounds = Rounds(BTreeMap::from([
            ((hot, Contender::Noop), vec![sample(100_000.0), sample(80_000.0)]),
            ((cart, Contender::Relampago), vec![sample(50_000.0), sample(60_000.0)]),
            ((hot, Contender::PgBatch), Vec::new()),
        ]));
        let table = rounds.table();
        assert!(
            table.contains("| cart flow, 1,000 skus | 64 | relampago | 55,000 (50,000 to 60,000) | 0.62 |"),
            "{table}"
        );
        assert!(table.contains("| checkout, one hot sku | 64 | pg-batch | - | - |"), "{table}");
        let width = table.lines().next().unwrap().matches('|').count();
        assert!(table.lines().all(|line| line.matches('|').count() == width), "{table}");
    }
}
