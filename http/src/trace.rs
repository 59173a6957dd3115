//! What ties a request to its traces and logs: `traceparent` and `X-Request-Id`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use relampago_actors::Id;
use relampago_engine::Trace;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::app::Listed;

/// The caller's or our name for a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: &str = "traceparent";
const MAX_REQUEST_ID: usize = 128;

/// A trace id as W3C Trace Context has it: 16 bytes, not all zero, written as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

impl TraceId {
    /// The caller's trace id, if there is a valid `traceparent`.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(TRACEPARENT)?.as_bytes())
    }

    /// The trace id in a valid `traceparent`.
    pub(crate) fn read(traceparent: &[u8]) -> Option<Self> {
        parse(traceparent)
    }

    /// The one of an answer that is repeated: what is replayed must not name another trace each time.
    pub(crate) fn of_entity(id: Id) -> Self {
        Self(id.0)
    }

    /// A new one.
    pub(crate) fn fresh() -> Self {
        Self(Uuid::now_v7().as_u128())
    }
}

impl From<TraceId> for Trace {
    fn from(trace: TraceId) -> Self {
        Self(trace.0)
    }
}

/// What the log tells of a request: its trace, and how long it waited for the disk.
#[derive(Debug)]
pub(crate) struct Tale {
    trace: TraceId,
    waited_us: AtomicU64,
}

impl Tale {
    /// Of a request that belongs to a trace, or that is told of anyway.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Arc<Self>> {
        let trace = told(TraceId::of(headers))?;
        Some(Arc::new(Self { trace, waited_us: AtomicU64::new(0) }))
    }

    pub(crate) fn trace(&self) -> TraceId {
        self.trace
    }

    /// An answer of the engine's waited so long for the disk.
    pub(crate) fn has_waited(&self, waited: Duration) {
        self.waited_us.fetch_add(waited.as_micros() as u64, Relaxed);
    }

    /// Writes the request's line.
    pub(crate) fn tell(&self, route: Listed, status: StatusCode, took: Duration) {
        tell(self.trace, route, status, took, Duration::from_micros(self.waited_us.load(Relaxed)));
    }
}

/// The caller's trace, or a new one if a line will be written of the request.
pub(crate) fn told(given: Option<TraceId>) -> Option<TraceId> {
    given.or_else(|| tracing::enabled!(tracing::Level::DEBUG).then(TraceId::fresh))
}

/// The one line of a request. It names the route and not the path: who knows the id of a cart or of a guest's order
/// may do everything with it.
pub(crate) fn tell(trace: TraceId, route: Listed, status: StatusCode, took: Duration, waited: Duration) {
    tracing::debug!(
        method = route.method,
        route = route.template,
        status = status.as_u16(),
        trace_id = %trace,
        took_us = took.as_micros() as u64,
        waited_for_disk_us = waited.as_micros() as u64,
        "request"
    );
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `version-trace-parent-flags`, each in lower-case hex. Later versions may append fields.
fn parse(header: &[u8]) -> Option<TraceId> {
    let text = std::str::from_utf8(header).ok()?;
    let mut parts = text.split('-');
    let (version, trace) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
    let (parent, _flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let well_formed = version != 0xff && (version != 0 || parts.next().is_none());
    (well_formed && trace != 0 && parent != 0).then_some(TraceId(trace))
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let valid = text.len() == digits && text.bytes().all(is_digit);
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The caller's request id if it is sane (1 to 128 visible ASCII characters), or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|value| is_request_id(value.as_bytes()));
    given.cloned().unwrap_or_else(fresh_request_id)
}

/// Whether a caller's request id is taken over.
pub(crate) fn is_request_id(value: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

/// A request id of our own.
pub(crate) fn fresh_request_id() -> HeaderValue {
    request_id_of(TraceId::fresh())
}

/// A number, as a request id is written.
pub(crate) fn request_id_of(fresh: TraceId) -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::from_u128(fresh.0).hyphenated().encode_lower(&mut text);
    // Hex digits and dashes are always a header value.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_traceparent_is_taken_if_it_is_valid() {
        let table = [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false),
            ("", false),
        ];
        for (header, valid) in table {
            assert_eq!(parse(header.as_bytes()).is_some(), valid, "{header}");
        }
        let trace = parse(table[0].0.as_bytes()).unwrap();
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn a_sane_request_id_is_echoed_and_another_replaced() {
        let echoed = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
            request_id(&headers) == given
        };
        assert!(echoed("order-7/retry.2"));
        assert!(!echoed("two words"));
        assert!(!echoed(&"x".repeat(129)));
        assert!(!echoed(""));
    }
}
