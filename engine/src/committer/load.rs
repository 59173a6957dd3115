//! How busy the threads are that carry out commands, and so for how long a batch may wait for company.

use std::time::{Duration, Instant};

use tokio::runtime::RuntimeMetrics;

/// Where less than this share of the workers' time is used, a larger batch saves nothing that is needed.
const CALM: f64 = 0.3;

/// Where more than this is used, every commit that is saved is a checkout more.
const BUSY: f64 = 0.5;

/// Of the longest gathering, for who is calm.
const LEAST: f64 = 0.05;

/// Looked at no more often than this: workers tell how busy they were when they rest.
const INTERVAL: Duration = Duration::from_millis(5);

/// The share of a runtime's time that its workers were busy, of late.
pub(super) struct Load {
    workers: Option<RuntimeMetrics>,
    looked: Instant,
    busy: Duration,
    share: f64,
}

impl Load {
    /// Of a runtime; without one every batch is gathered for as long as it may be.
    pub(super) fn new(workers: Option<RuntimeMetrics>) -> Self {
        Self { looked: Instant::now(), busy: total(workers.as_ref()), workers, share: BUSY }
    }

    /// For how much of the longest gathering a batch may be gathered now, from 0.05 to 1.
    pub(super) fn patience(&mut self) -> f64 {
        self.patience_at(Instant::now())
    }

    fn patience_at(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.looked);
        if let Some(workers) = &self.workers
            && passed >= INTERVAL
        {
            let busy = total(Some(workers));
            let available = passed.as_secs_f64() * workers.num_workers() as f64;
            self.looked = now;
            self.note((busy.saturating_sub(self.busy)).as_secs_f64() / available);
            self.busy = busy;
        }
        patience(self.share)
    }

    /// The last look counts half, so that one pause makes nobody calm.
    fn note(&mut self, share: f64) {
        self.share = (self.share + share.min(1.0)) / 2.0;
    }
}

fn total(workers: Option<&RuntimeMetrics>) -> Duration {
    workers.map_or(Duration::ZERO, |workers| {
        (0..workers.num_workers()).map(|worker| workers.worker_total_busy_duration(worker)).sum()
    })
}

fn patience(share: f64) -> f64 {
    ((share - CALM) / (BUSY - CALM)).clamp(LEAST, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_load_between_two_bounds() {
        let at = [0.0, CALM, (CALM + BUSY) / 2.0, BUSY, 1.0].map(patience);
        assert_eq!(at[0], LEAST);
        assert_eq!(at[1], LEAST);
        assert!((at[2] - 0.5).abs() < 1e-9, "{at:?}");
        assert_eq!(at[3..], [1.0, 1.0]);
    }

    #[test]
    fn without_a_runtime_every_batch_has_all_the_time() {
        let mut load = Load::new(None);
        assert_eq!(load.patience_at(Instant::now() + Duration::from_secs(1)), 1.0);
    }

    #[test]
    fn the_last_look_counts_half() {
        let mut load = Load::new(None);
        load.note(0.0);
        assert_eq!(load.share, BUSY / 2.0);
        // A worker's time is added up when it rests: a long stretch may count as more than there was.
        load.note(7.0);
        assert_eq!(load.share, (BUSY / 2.0 + 1.0) / 2.0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_worker_that_rests_is_calm() {
        let began = Instant::now();
        let mut load = Load::new(Some(tokio::runtime::Handle::current().metrics()));
        let share = (1..=20).map(|look| load.patience_at(began + INTERVAL * 10 * look)).last();
        assert_eq!(share, Some(LEAST));
    }
}
