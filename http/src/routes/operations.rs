//! For operators: is it alive, does it take work, how is it, what does it count.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::checks::{self, Checks};
use crate::error::{Kind, Problem};
use crate::extract::Call;
use crate::metrics as figures;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// How the server is, for people.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthReport<'a> {
    /// `ready`, `draining` or `failed`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What made it stop, if it did.
    failure: Option<&'a str>,
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Since the start, ms.
    uptime_ms: u64,
    /// How long recovery took at the start, ms.
    recovery_ms: u64,
    journal: JournalReport,
    /// Entities in memory, by kind.
    actors: BTreeMap<&'static str, u64>,
    /// Entities that are known, in memory or not.
    entities: u64,
}

/// How the journal is.
#[derive(Serialize, ToSchema)]
pub(crate) struct JournalReport {
    /// The highest sequence that is durable.
    durable_sequence: u64,
}

/// Says that the process runs.
#[utoipa::path(
    get, path = "/livez", tag = "operations",
    responses((status = 200, description = "It runs.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn livez(_: Call) -> Result<Response, Problem> {
    Ok(text("ok\n".to_owned(), TEXT))
}

/// Says whether the server takes work.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    params(("verbose" = Option<String>, Query, description = "List the checks: `[+] name: detail` for what is well, \
        `[!]` for what an operator should look at, and in the detail of a refusal `[-]` for what keeps the server \
        from taking work.")),
    responses(
        (status = 200, description = "It does: `ok`, behind the checks if they were asked for.", body = String,
            content_type = "text/plain"),
        (status = 503, description = "`not_ready`, `shutting_down`"),
    ),
)]
pub(crate) async fn readyz(call: Call) -> Result<Response, Problem> {
    if call.app.admission.is_draining() {
        return Err(Problem::shutting_down());
    }
    let checks = Checks::of(&call.app);
    let verbose = call
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("verbose")));
    match (checks.is_ready(), verbose) {
        (true, true) => Ok(text(format!("{checks}ok\n"), TEXT)),
        (true, false) => Ok(text("ok\n".to_owned(), TEXT)),
        (false, true) => Err(Problem::new(Kind::NOT_READY, checks.to_string().trim_end().to_owned())),
        (false, false) => Err(Problem::new(Kind::NOT_READY, "The engine takes no work.")),
    }
}

/// Shows how the server is.
#[utoipa::path(
    get, path = "/health", tag = "operations",
    responses((status = 200, description = "How it is.", body = HealthReport<'_>)),
)]
pub(crate) async fn health(call: Call) -> Result<Response, Problem> {
    let health = call.engine().health();
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let report = HealthReport {
        status: match (&health.failure, call.app.admission.is_draining() || !health.ready) {
            (Some(_), _) => "failed",
            (None, true) => "draining",
            (None, false) => "ready",
        },
        failure: health.failure.as_deref(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_ms: millis(call.app.started.elapsed()),
        recovery_ms: millis(health.recovery),
        journal: JournalReport { durable_sequence: health.durable },
        actors: health.live.iter().copied().collect(),
        entities: health.known,
    };
    answer::json(StatusCode::OK, &report)
}

/// Shows the metrics in Prometheus' text form.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "All metrics.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(call: Call) -> Result<Response, Problem> {
    let ready = !call.app.admission.is_draining() && Checks::of(&call.app).is_ready();
    figures::publish(ready, checks::disk_free(&call.app.data));
    call.app.admission.publish();
    call.engine().publish_metrics();
    Ok(text(call.app.metrics.render(), PROMETHEUS))
}

fn text(text: String, kind: HeaderValue) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
