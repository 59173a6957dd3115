//! What is asked of the server while a run goes on: its stock and its metrics.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at};

use super::caller::Caller;
use super::prepared::Prepared;
use crate::scenario::answer::Place;
use crate::scenario::model::ServerWatch;
use crate::scenario::template::{Slot, Template, Values};
use crate::summary::document::{ServerSample, Stock};

const SERVER_EVERY: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug)]
pub(super) enum Seen {
    /// The stock, all skus at one moment.
    Stock(Vec<Stock>),
    /// The server's metrics.
    Server(ServerSample),
}

/// Asks for the stock of some skus.
#[derive(Debug)]
pub(super) struct StockWatcher {
    pub(super) step: Prepared,
    pub(super) sku: Template,
    pub(super) available: Place,
    pub(super) index: Slot,
    pub(super) values: Values,
}

impl StockWatcher {
    /// What is left now; skus that the server does not tell are left out.
    pub(super) async fn look(&mut self, caller: &mut Caller, second: f64) -> Vec<Stock> {
        let mut stock = Vec::new();
        for index in 0..self.step.step.repeat {
            self.values.set(self.index, index.to_string().as_bytes());
            let available = caller.figure(&self.step, &self.available, &self.values).await;
            let available = available.and_then(|text| text.parse().ok());
            if let (Some(available), Ok(sku)) = (available, self.sku.text(&self.values)) {
                stock.push(Stock { second, sku, available });
            }
        }
        stock
    }
}

/// Looks at the stock until it is dropped.
pub(super) async fn watch_stock(
    mut watcher: StockWatcher,
    mut caller: Caller,
    every: Duration,
    epoch: Instant,
    seen: mpsc::Sender<Seen>,
) {
    let mut ticks = interval_at(epoch.into(), every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let second = ticks.tick().await.into_std().saturating_duration_since(epoch).as_secs_f64();
        let base = watcher.values.clone();
        let stock = watcher.look(&mut caller, second).await;
        watcher.values = base;
        if seen.send(Seen::Stock(stock)).await.is_err() {
            return;
        }
    }
}

/// Looks at the server's metrics until it is dropped.
pub(super) async fn watch_server(
    step: Prepared,
    names: ServerWatch,
    mut caller: Caller,
    epoch: Instant,
    seen: mpsc::Sender<Seen>,
) {
    let mut ticks = interval_at(epoch.into(), SERVER_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut before: Option<String> = None;
    loop {
        let second = ticks.tick().await.into_std().saturating_duration_since(epoch).as_secs_f64();
        let done = caller.perform(&step, None, &mut Values::default()).await;
        let Ok(done) = done else {
            // A server that was away counts from nothing again.
            before = None;
            continue;
        };
        let page = String::from_utf8_lossy(&done.body).into_owned();
        if let Some(before) = &before
            && seen.send(Seen::Server(sample(&names, before, &page, second))).await.is_err()
        {
            return;
        }
        before = Some(page);
    }
}

fn sample(names: &ServerWatch, before: &str, now: &str, second: f64) -> ServerSample {
    let growth = |name: &str| Some(figure(now, name)? - figure(before, name)?);
    let mean = |pair: &Option<[String; 2]>| {
        let [sum, count] = pair.as_ref()?;
        let (sum, count) = (growth(sum)?, growth(count)?);
        (count > 0.0).then_some(sum / count)
    };
    ServerSample {
        second,
        batch_size: mean(&names.batch_size),
        fsync_us: mean(&names.fsync_seconds).map(|seconds| seconds * 1e6),
        queue_depth: names.queue_depth.as_ref().and_then(|name| figure(now, name)),
    }
}

/// A figure of Prometheus' text form by its name, summed over its labels.
fn figure(page: &str, name: &str) -> Option<f64> {
    let mut found = None;
    for line in page.lines().filter(|line| line.starts_with(name)) {
        let rest = &line[name.len()..];
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}').map(|(_, value)| value),
            None => rest.starts_with(' ').then_some(rest),
        };
        let value = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        if let Some(value) = value {
            found = Some(found.unwrap_or(0.0) + value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_with_and_without_labels() {
        let page = "# HELP a A.\na_total 3\nb{kind=\"x\"} 1.5\nb{kind=\"y\"} 2\nab 9\n";
        assert_eq!(figure(page, "a_total"), Some(3.0));
        assert_eq!(figure(page, "b"), Some(3.5));
        assert_eq!(figure(page, "a"), None);
    }

    #[test]
    fn means_are_of_what_happened_between_two_looks() {
        let names = ServerWatch {
            batch_size: Some(["events".into(), "batches".into()]),
            fsync_seconds: Some(["sum".into(), "count".into()]),
            queue_depth: Some("waiting".into()),
            ..ServerWatch::default()
        };
        let before = "events 100\nbatches 10\nsum 1\ncount 10\nwaiting 3\n";
        let now = "events 300\nbatches 15\nsum 1.01\ncount 15\nwaiting 7\n";
        let sample = sample(&names, before, now, 2.0);
        assert_eq!((sample.batch_size, sample.queue_depth), (Some(40.0), Some(7.0)));
        assert!(sample.fsync_us.is_some_and(|mean| (mean - 2_000.0).abs() < 1.0));
    }
}
