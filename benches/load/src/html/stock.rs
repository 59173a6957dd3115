//! The picture of the stock.

use std::collections::BTreeMap;

use super::bins::sampled;
use super::chart::{Series, Shape};
use super::panels::{LINES, MOST_LINES};
use crate::summary::document::{Outage, Stock};
use crate::summary::figures::grouped;

/// Stock that keeps this share of itself would be a straight line at the top; what is gone is shown instead.
const HARDLY_CHANGED: f64 = 0.9;

/// What the chart of the stock is made of.
pub(super) struct Picture {
    pub(super) series: Vec<Series>,
    pub(super) highest: f64,
    pub(super) note: String,
    pub(super) description: String,
}

/// One sku's samples in order.
struct Line<'a> {
    sku: &'a str,
    samples: Vec<&'a Stock>,
}

/// The skus with the most stock, each a line that breaks at `outages`; `None` without samples.
pub(super) fn picture(stock: &[Stock], outages: &[Outage]) -> Option<Picture> {
    let mut skus: BTreeMap<&str, Vec<&Stock>> = BTreeMap::new();
    for sample in stock {
        skus.entry(&sample.sku).or_default().push(sample);
    }
    let mut lines: Vec<Line<'_>> = skus.into_iter().map(|(sku, samples)| Line { sku, samples }).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.most()));
    let count = lines.len();
    lines.truncate(MOST_LINES);
    let (most, least) = (lines.first()?.most(), lines.iter().map(Line::least).min()?);
    let gone = most > 0 && least as f64 > most as f64 * HARDLY_CHANGED;
    let figure = |line: &Line<'_>, sample: &Stock| {
        let figure = if gone { line.most().saturating_sub(sample.available) } else { sample.available };
        figure as f64
    };
    let highest = lines.iter().flat_map(|line| line.samples.iter().map(|sample| figure(line, sample)));
    let series = lines.iter().zip(LINES).map(|(line, class)| {
        let points = line.samples.iter().map(|sample| (sample.second, Some(figure(line, sample))));
        Series { name: line.sku.to_owned(), class, shape: Shape::Line(sampled(points.collect(), outages)) }
    });
    let what =
        if gone { "units gone, of stock that hardly changes" } else { "units that could still be bought" };
    let which = if count > MOST_LINES { format!(", {MOST_LINES} of {count} skus") } else { String::new() };
    let ends =
        lines.iter().map(|line| format!("{} ends at {}", line.sku, grouped(line.last().unsigned_abs())));
    Some(Picture {
        highest: highest.fold(0.0, f64::max),
        series: series.collect(),
        note: format!("{what}{which}"),
        description: ends.collect::<Vec<_>>().join(", "),
    })
}

impl Line<'_> {
    fn most(&self) -> i64 {
        self.samples.iter().map(|sample| sample.available).max().unwrap_or(0)
    }

    fn least(&self) -> i64 {
        self.samples.iter().map(|sample| sample.available).min().unwrap_or(0)
    }

    fn last(&self) -> i64 {
        self.samples.last().map_or(0, |sample| sample.available)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn samples(sku: &str, available: &[i64]) -> Vec<Stock> {
        let samples = (0..).zip(available);
        samples
            .map(|(second, &available)| Stock { second: f64::from(second), sku: sku.to_owned(), available })
            .collect()
    }

    #[test]
    fn falling_stock_is_shown_as_it_is() {
        let stock = [samples("A", &[10, 4, 0]), samples("B", &[90, 90, 80])].concat();
        let picture = picture(&stock, &[]).unwrap();
        let names: Vec<&str> = picture.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["B", "A"], "the largest first");
        assert_eq!((picture.highest, picture.note.as_str()), (90.0, "units that could still be bought"));
        assert_eq!(picture.description, "B ends at 80, A ends at 0");
    }

    #[test]
    fn of_stock_without_end_what_is_gone_is_shown() {
        let stock: Vec<Stock> =
            (0..8).flat_map(|number| samples(&number.to_string(), &[1_000_000, 999_990, 999_700])).collect();
        let picture = picture(&stock, &[]).unwrap();
        assert_eq!((picture.highest, picture.series.len()), (300.0, 6));
        assert_eq!(picture.note, "units gone, of stock that hardly changes, 6 of 8 skus");
    }

    #[test]
    fn no_samples_no_picture() {
        assert!(picture(&[], &[]).is_none());
    }
}
