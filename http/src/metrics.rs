//! Metrics: the recorder, and the handles of each route.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use axum::http::StatusCode;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::error::Kind;

const REQUESTS: &str = "http_requests_total";
const DURATION: &str = "http_request_duration_seconds";
const REFUSED: &str = "http_requests_refused_total";
const IN_FLIGHT: &str = "http_requests_in_flight";
const LIMIT: &str = "http_requests_in_flight_limit";
const ARRIVING: &str = "http_bodies_arriving";
const CONNECTIONS: &str = "http_connections";
const MOST_CONNECTIONS: &str = "http_connections_limit";
const PANICKED: &str = "http_connections_panicked_total";
const PASSWORDS: &str = "http_passwords_waiting";

/// Upper bounds of the buckets of every histogram of seconds: 250 µs to 10 s.
const SECONDS: [f64; 15] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const SUCCESSES: [StatusCode; 4] =
    [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];

/// Installs the process's recorder; call it before anything registers a metric. Later calls give the same.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let seconds = Matcher::Suffix("_seconds".to_owned());
            let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS);
            // It fails only for an empty list of buckets; then there are summaries instead of histograms.
            let recorder = builder.unwrap_or_default().build_recorder();
            let handle = recorder.handle();
            if ::metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed: /metrics stays empty");
            }
            describe();
            handle
        })
        .clone()
}

fn describe() {
    describe_counter!(REQUESTS, "Requests answered, by method, route and status.");
    describe_histogram!(
        DURATION,
        "Time from a request's headers to its answer, seconds, by method and route."
    );
    describe_counter!(REFUSED, "Requests refused before any work of the engine, by reason.");
    describe_gauge!(IN_FLIGHT, "Requests being worked on.");
    describe_gauge!(LIMIT, "Requests that may be worked on now; fewer while they take long.");
    describe_gauge!(ARRIVING, "Requests whose body is arriving.");
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_gauge!(MOST_CONNECTIONS, "Connections that may be open; more wait in the listen queue.");
    describe_counter!(PANICKED, "Connections that ended in a panic.");
    describe_gauge!(PASSWORDS, "Passwords that wait to be hashed.");
    describe_gauge!("relampago_ready", "1 while the server takes work.");
    describe_gauge!("relampago_disk_free_bytes", "Room left on the data folder's file system.");
}

/// The handles of one route: looked up once, when the route is made.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    method: &'static str,
    template: &'static str,
    duration: Histogram,
    /// A counter a status, registered when it is first met.
    answers: Vec<(StatusCode, OnceLock<Counter>)>,
}

impl RouteMetrics {
    pub(crate) fn new(method: &'static str, template: &'static str) -> Self {
        let mut statuses: Vec<StatusCode> = SUCCESSES.to_vec();
        statuses.extend(Kind::ALL.iter().map(|kind| kind.status));
        statuses.sort_unstable();
        statuses.dedup();
        Self {
            duration: histogram!(DURATION, "method" => method, "route" => template),
            answers: statuses.into_iter().map(|status| (status, OnceLock::new())).collect(),
            method,
            template,
        }
    }

    /// Counts one answer.
    pub(crate) fn record(&self, status: StatusCode, took: Duration) {
        self.duration.record(took);
        let counter = || {
            counter!(
                REQUESTS,
                "method" => self.method,
                "route" => self.template,
                "status" => status.as_str().to_owned(),
            )
        };
        match self.answers.iter().find(|(known, _)| *known == status) {
            Some((_, known)) => known.get_or_init(counter).increment(1),
            None => counter().increment(1),
        }
    }
}

/// Why a request is refused before the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many are worked on.
    Overloaded,
    /// Too many bodies are arriving.
    Bodies,
    /// The server goes away.
    ShuttingDown,
    /// Its head took too long to arrive.
    HeadTimeout,
    /// Its body did.
    BodyTimeout,
    /// The caller failed to sign in too often.
    Attempts,
    /// Too many passwords wait to be hashed.
    Passwords,
}

impl Refusal {
    /// In their order of declaration, with their labels.
    const ALL: [(Self, &'static str); 7] = [
        (Self::Overloaded, Kind::OVERLOADED.code),
        (Self::Bodies, "bodies"),
        (Self::ShuttingDown, Kind::SHUTTING_DOWN.code),
        (Self::HeadTimeout, "head_timeout"),
        (Self::BodyTimeout, "body_timeout"),
        (Self::Attempts, Kind::TOO_MANY_ATTEMPTS.code),
        (Self::Passwords, "passwords"),
    ];
}

/// The handles of admission.
#[derive(Debug)]
pub(crate) struct FrontMetrics {
    /// Requests being worked on.
    pub(crate) in_flight: Gauge,
    /// Requests that may be worked on now.
    pub(crate) limit: Gauge,
    /// Requests whose body is arriving.
    pub(crate) arriving: Gauge,
    refused: [Counter; Refusal::ALL.len()],
}

impl FrontMetrics {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: gauge!(IN_FLIGHT),
            limit: gauge!(LIMIT),
            arriving: gauge!(ARRIVING),
            refused: Refusal::ALL.map(|(_, reason)| counter!(REFUSED, "reason" => reason)),
        }
    }

    /// Counts one refusal.
    pub(crate) fn refuse(&self, why: Refusal) {
        self.refused[why as usize].increment(1);
    }
}

/// The handles of the listener.
#[derive(Debug)]
pub(crate) struct ListenerMetrics {
    /// Open connections.
    pub(crate) open: Gauge,
    /// Connections that ended in a panic.
    pub(crate) panicked: Counter,
}

impl ListenerMetrics {
    /// For at most so many connections.
    pub(crate) fn new(most: usize) -> Self {
        gauge!(MOST_CONNECTIONS).set(most as f64);
        Self { open: gauge!(CONNECTIONS), panicked: counter!(PANICKED) }
    }
}

/// Passwords that wait to be hashed.
pub(crate) fn passwords_waiting() -> Gauge {
    gauge!(PASSWORDS)
}

/// Brings those metrics up to date that are read rather than counted.
pub(crate) fn publish(is_ready: bool, disk_free: Option<u64>) {
    gauge!("relampago_ready").set(f64::from(u8::from(is_ready)));
    if let Some(free) = disk_free {
        gauge!("relampago_disk_free_bytes").set(free as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_as_they_are_listed() {
        for (index, (reason, _)) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
