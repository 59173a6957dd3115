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
const ARRIVING: &str = "http_bodies_arriving";

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
    describe_counter!(REFUSED, "Requests refused before any work, by reason.");
    describe_gauge!(IN_FLIGHT, "Requests being worked on.");
    describe_gauge!(ARRIVING, "Requests whose body is arriving.");
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

/// The handles of admission.
#[derive(Debug)]
pub(crate) struct FrontMetrics {
    /// Requests being worked on.
    pub(crate) in_flight: Gauge,
    /// Requests whose body is arriving.
    pub(crate) arriving: Gauge,
    /// Refused because too many were.
    pub(crate) overloaded: Counter,
    /// Refused because the server goes away.
    pub(crate) shutting_down: Counter,
}

impl FrontMetrics {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: gauge!(IN_FLIGHT),
            arriving: gauge!(ARRIVING),
            overloaded: counter!(REFUSED, "reason" => Kind::OVERLOADED.code),
            shutting_down: counter!(REFUSED, "reason" => Kind::SHUTTING_DOWN.code),
        }
    }
}
