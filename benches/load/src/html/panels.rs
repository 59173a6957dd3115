//! Which charts a run has.

use super::bins::{Bin, sampled};
use super::chart::{Axis, Chart, Series, Shape, Width};
use super::scale::{Scale, time_step};
use super::stock;
use crate::record::{Kind, Latencies, Recorded};
use crate::summary::Summary;
use crate::summary::document::ServerSample;
use crate::summary::figures::{grouped, latency, rate, told};

/// Lines that can be told apart; the rest of many skus or steps goes without.
pub(super) const MOST_LINES: usize = 6;
/// The classes of lines without a meaning of their own.
pub(super) const LINES: [&str; MOST_LINES] = ["c1", "c2", "c3", "c4", "c5", "c6"];

/// One chart with what stands above it.
pub(super) struct Panel {
    pub(super) heading: &'static str,
    /// The unit of the figures, and what they are.
    pub(super) note: String,
    pub(super) chart: Chart,
    pub(super) width: Width,
}

/// What the charts over time have in common.
pub(super) struct Time<'a> {
    pub(super) summary: &'a Summary,
    pub(super) bins: &'a [Bin],
}

impl Time<'_> {
    /// The charts of a run, in the order of the page.
    pub(super) fn panels(&self, recorded: &Recorded) -> Vec<Panel> {
        let over_time = [self.throughput(), self.latency()].into_iter().flatten();
        let others = [distribution(recorded), self.stock(), self.in_flight()].into_iter().flatten();
        let mut others: Vec<Panel> = others.chain(self.server()).collect();
        if others.len() % 2 == 1
            && let Some(first) = others.first_mut()
        {
            // The others come in pairs.
            first.width = Width::Full;
        }
        over_time.chain(others).collect()
    }

    fn chart(&self, heading: &str, description: String, y: Axis, series: Vec<Series>) -> Chart {
        let end = self.bins.last().map_or(1.0, |bin| bin.to);
        let events = self.summary.events.iter().map(|event| (event.second, event.text.clone()));
        let outages = self.outages(end);
        let words = |(from, to, _): &(f64, f64, String)| (*from, format!("no answer for {:.1} s", to - from));
        let mut marks: Vec<(f64, String)> = events.chain(outages.iter().map(words)).collect();
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        Chart {
            title: heading.to_owned(),
            description,
            x: Axis { scale: Scale::Linear { low: 0.0, high: end }, ticks: time_ticks },
            y,
            series,
            // What is told at the end is told of the whole run.
            marks: marks.into_iter().filter(|mark| mark.0 < end).collect(),
            outages,
            warm_up: self.summary.run.warm_up_s,
            hints: Vec::new(),
        }
    }

    /// When nobody could reach the server, up to the end of the chart.
    fn outages(&self, end: f64) -> Vec<(f64, f64, String)> {
        let outages = self.summary.outages.iter().filter(|outage| outage.from_s < end);
        outages
            .map(|outage| (outage.from_s, outage.to_s.map_or(end, |to| to.min(end)), outage.told()))
            .collect()
    }

    /// Areas by kind on each other, and the plan as a line.
    fn throughput(&self) -> Option<Panel> {
        let mut base = vec![0.0; self.bins.len()];
        let mut series = Vec::new();
        for kind in Kind::ALL {
            let rates: Vec<f64> = self.bins.iter().map(|bin| bin.rates[kind.index()]).collect();
            if rates.iter().all(|rate| *rate == 0.0) {
                continue;
            }
            let points = self.bins.iter().zip(&base).zip(&rates);
            let points = points.map(|((bin, low), rate)| (bin.middle(), *low, low + rate)).collect();
            base.iter_mut().zip(rates).for_each(|(base, rate)| *base += rate);
            series.push(Series {
                name: kind.name().to_owned(),
                class: kind.name(),
                shape: Shape::Area(points),
            });
        }
        let planned: Vec<_> = self.bins.iter().map(|bin| (bin.middle(), bin.planned)).collect();
        let is_planned = planned.iter().any(|point| point.1.is_some());
        let highest = planned.iter().filter_map(|point| point.1).chain(base).fold(0.0, f64::max);
        if is_planned {
            series.push(Series { name: "planned".to_owned(), class: "planned", shape: Shape::Line(planned) });
        }
        let peak = self.bins.iter().map(Bin::rate).fold(0.0, f64::max);
        let description = format!(
            "On average {} requests a second ended, at most {}.",
            rate(self.summary.all.rate),
            rate(peak)
        );
        let mut note = "requests a second that ended, by kind".to_owned();
        if is_planned {
            note.push_str(&self.planned_note());
        }
        if self.summary.run.warm_up_s > 0.0 {
            note.push_str("; shaded: warm-up, not counted");
        }
        if !self.summary.outages.is_empty() {
            note.push_str("; red: nobody could reach the server");
        }
        let mut chart = self.chart("Throughput", description, Axis::count(highest), series);
        chart.hints = self.hints(|bin| {
            let kinds = Kind::ALL.iter().filter(|kind| bin.rates[kind.index()] > 0.0);
            let kinds = kinds.map(|kind| format!("{} {}/s", kind.name(), rate(bin.rates[kind.index()])));
            let planned = bin.planned.map(|planned| format!("planned {}/s", rate(planned)));
            kinds.chain(planned).collect::<Vec<_>>().join(", ")
        });
        Some(Panel { heading: "Throughput", note, chart, width: Width::Full })
    }

    /// Says why the requests may rise above the plan: one arrival can take several.
    fn planned_note(&self) -> String {
        let seconds = || self.summary.seconds.iter();
        let flows: u64 = seconds().map(|second| second.flows_started).sum();
        let requests: u64 = seconds().map(|second| second.started).sum();
        let each = requests as f64 / flows.max(1) as f64;
        let several = if each > 1.02 { format!(", of {each:.2} requests each") } else { String::new() };
        format!("; dashed: planned arrivals a second{several}")
    }

    fn latency(&self) -> Option<Panel> {
        let figures = || self.bins.iter().flat_map(|bin| [bin.p50, bin.p99]).flatten();
        let lowest = figures().min_by(f64::total_cmp)?;
        let highest = figures().fold(0.0, f64::max);
        let line = |name: &str, class, figure: fn(&Bin) -> Option<f64>| Series {
            name: name.to_owned(),
            class,
            shape: Shape::Line(self.bins.iter().map(|bin| (bin.middle(), figure(bin))).collect()),
        };
        let series = vec![line("p50", "c1", |bin| bin.p50), line("p99", "c2", |bin| bin.p99)];
        let all = &self.summary.all.latency;
        let description = format!(
            "Median {}, 99th percentile {} over the run; the worst second had a p99 of {}.",
            told(all.p50),
            told(all.p99),
            latency(highest)
        );
        let mut chart = self.chart("Latency over time", description, Axis::latency(lowest, highest), series);
        chart.hints = self.hints(|bin| {
            let [p50, p99] = [bin.p50, bin.p99].map(|figure| figure.map_or("none".to_owned(), latency));
            format!("p50 {p50}, p99 {p99}")
        });
        let note = "from the intended start of a request to its end, all steps; logarithmic".to_owned();
        Some(Panel { heading: "Latency over time", note, chart, width: Width::Full })
    }

    fn in_flight(&self) -> Option<Panel> {
        let points: Vec<_> = self.bins.iter().map(|bin| (bin.middle(), Some(bin.in_flight as f64))).collect();
        let most = self.bins.iter().map(|bin| bin.in_flight).max()?;
        let series = vec![Series { name: String::new(), class: "c1", shape: Shape::Line(points) }];
        let description = format!("At most {} requests were on the way at once.", grouped(most));
        let chart = self.chart("Requests in flight", description, Axis::count(most as f64), series);
        let note = "sent and not ended, at the end of a second".to_owned();
        Some(Panel { heading: "Requests in flight", note, chart, width: Width::Half })
    }

    fn stock(&self) -> Option<Panel> {
        let picture = stock::picture(&self.summary.stock, &self.summary.outages)?;
        let chart = self.chart("Stock", picture.description, Axis::count(picture.highest), picture.series);
        Some(Panel { heading: "Stock", note: picture.note, chart, width: Width::Half })
    }

    /// What the server said of itself, one chart a figure.
    fn server(&self) -> Vec<Panel> {
        type Figure = fn(&ServerSample) -> Option<f64>;
        type Figures = [(&'static str, &'static str, Figure, fn(f64) -> Axis); 3];
        let figures: Figures = [
            ("Batch size", "submissions that share one write, mean", |sample| sample.batch_size, Axis::count),
            ("Disk", "time to make a write durable, mean", |sample| sample.fsync_us, Axis::duration),
            ("Queue", "requests waiting in the server", |sample| sample.queue_depth, Axis::count),
        ];
        let samples = &self.summary.server;
        let panels = figures.into_iter().filter_map(|(heading, note, figure, axis)| {
            let highest = samples.iter().filter_map(figure).max_by(f64::total_cmp)?;
            let points = samples.iter().map(|sample| (sample.second, figure(sample))).collect();
            let series = vec![Series {
                name: String::new(),
                class: "c1",
                shape: Shape::Line(sampled(points, &self.summary.outages)),
            }];
            let y = axis(highest);
            let top = (y.ticks)(Scale::Linear { low: highest, high: highest + 1e-9 }, 1.0);
            let description =
                format!("{note}, at most {}", top.first().map_or(String::new(), |tick| tick.1.clone()));
            let chart = self.chart(heading, description, y, series);
            Some(Panel { heading, note: note.to_owned(), chart, width: Width::Half })
        });
        panels.collect()
    }

    fn hints(&self, text: impl Fn(&Bin) -> String) -> Vec<(f64, f64, String)> {
        let hint = |bin: &Bin| (bin.from, bin.to, format!("{} s: {}", bin.from, text(bin)));
        self.bins.iter().map(hint).collect()
    }
}

/// Latency by percentile: each step that got an answer is a line from its fastest request to its slowest.
fn distribution(recorded: &Recorded) -> Option<Panel> {
    let steps: Vec<(&str, Latencies)> =
        recorded.steps.iter().map(|step| (step.name.as_str(), step.latency_us())).collect();
    let steps: Vec<_> = steps.iter().filter(|(_, latencies)| !latencies.is_empty()).collect();
    let lowest = steps.iter().map(|(_, latencies)| latencies.min_nz()).min()?;
    let highest = steps.iter().map(|(_, latencies)| latencies.max()).max()?;
    let nines =
        steps.iter().map(|(_, latencies)| (latencies.len() as f64).log10()).fold(1.0, f64::max).min(5.0);
    let lone = steps.len() == 1;
    let series = steps.iter().zip(LINES).map(|((name, latencies), class)| Series {
        name: if lone { String::new() } else { (*name).to_owned() },
        class,
        shape: Shape::Line(percentiles(latencies, nines)),
    });
    let told = steps.iter().take(MOST_LINES).map(|(name, latencies)| {
        let at = |quantile| latency(latencies.value_at_quantile(quantile) as f64);
        format!("{name}: p50 {}, p99 {}, p99.99 {}", at(0.5), at(0.99), at(0.9999))
    });
    let chart = Chart {
        title: "Latency by percentile".to_owned(),
        description: told.collect::<Vec<_>>().join("; "),
        x: Axis { scale: Scale::Linear { low: 0.0, high: nines }, ticks: percentile_ticks },
        y: Axis::latency(lowest as f64, highest as f64),
        series: series.collect(),
        marks: Vec::new(),
        outages: Vec::new(),
        warm_up: 0.0,
        hints: Vec::new(),
    };
    let note = "so many of the requests of a step took no longer; logarithmic both ways".to_owned();
    Some(Panel { heading: "Latency by percentile", note, chart, width: Width::Half })
}

/// Latencies at evenly spread "nines" (1 is 90 %, 2 is 99 %), as far as there are requests to tell them.
fn percentiles(latencies: &Latencies, nines: f64) -> Vec<(f64, Option<f64>)> {
    let own = (latencies.len() as f64).log10().clamp(0.3, nines);
    let at = |share: f64| {
        let place = own * share;
        (place, Some(latencies.value_at_quantile(1.0 - 10_f64.powf(-place)) as f64))
    };
    (0..=120).map(|number| at(f64::from(number) / 120.0)).collect()
}

impl Axis {
    /// From zero, in whole numbers where they are large.
    fn count(highest: f64) -> Self {
        Self { scale: Scale::from_zero(highest), ticks: count_ticks }
    }

    /// Microseconds, logarithmic.
    fn latency(lowest: f64, highest: f64) -> Self {
        Self { scale: Scale::log(lowest, highest), ticks: latency_ticks }
    }

    /// Microseconds, from zero.
    fn duration(highest: f64) -> Self {
        Self { scale: Scale::from_zero(highest), ticks: latency_ticks }
    }
}

fn count_ticks(scale: Scale, count: f64) -> Vec<(f64, String)> {
    let label = |figure: f64| {
        if figure.fract().abs() < 1e-6 { grouped(figure.round() as u64) } else { format!("{figure:.1}") }
    };
    scale.ticks(count).into_iter().map(|figure| (figure, label(figure))).collect()
}

fn latency_ticks(scale: Scale, count: f64) -> Vec<(f64, String)> {
    let label = |figure: f64| match figure {
        ..0.5 => "0".to_owned(),
        ..1e3 => format!("{figure:.0} µs"),
        ..1e6 => format!("{} ms", round(figure / 1e3)),
        _ => format!("{} s", round(figure / 1e6)),
    };
    scale.ticks(count).into_iter().map(|figure| (figure, label(figure))).collect()
}

/// At most one decimal, and none that says nothing.
fn round(figure: f64) -> String {
    let text = format!("{figure:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Seconds, or minutes of a long run; the last tick says which.
fn time_ticks(scale: Scale, count: f64) -> Vec<(f64, String)> {
    let Scale::Linear { high, .. } = scale else { return Vec::new() };
    let step = time_step(high, count);
    let (unit, divisor) = if step >= 60.0 { ("min", 60.0) } else { ("s", 1.0) };
    let last = (high / step + 1e-6).floor() as u32;
    let label = |number: u32| {
        let at = f64::from(number) * step;
        let unit = if number == last { format!(" {unit}") } else { String::new() };
        (at, format!("{}{unit}", round(at / divisor)))
    };
    (0..=last).map(label).collect()
}

fn percentile_ticks(scale: Scale, _: f64) -> Vec<(f64, String)> {
    const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
    let Scale::Linear { high, .. } = scale else { return Vec::new() };
    let places = PERCENTILES.map(|percent| (-(1.0 - percent / 100.0).log10(), percent.to_string()));
    let mut ticks: Vec<_> = places.into_iter().filter(|(place, _)| *place <= high + 1e-6).collect();
    if let Some((_, last)) = ticks.last_mut() {
        last.push_str(" %");
    }
    ticks
}
