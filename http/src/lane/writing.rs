//! Answers of the short way, as bytes. They have the headers that the long way gives them.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, LOCATION};
use axum::http::{HeaderName, StatusCode};
use httpdate::HttpDate;
use relampago_actors::Id;
use relampago_config::Locale;
use relampago_engine::Answered;

use crate::answer::{self, Head, JSON, Stamp};
use crate::error::Problem;
use crate::etag::ETag;
use crate::json::Order;
use crate::routes::orders;
use crate::trace::{REQUEST_ID, TraceId, request_id_of};

/// What every answer ends its head with.
pub(super) struct Tail<'a> {
    /// The caller's, if there is one.
    pub(super) request_id: Option<&'a [u8]>,
    /// Whether the connection ends with this answer.
    pub(super) is_last: bool,
}

/// Writes the answer to a purchase; `body` is where its body is put together.
///
/// # Errors
/// If the engine's reply is none to a purchase; then `out` holds a part of an answer.
pub(super) fn created(
    out: &mut Vec<u8>,
    body: &mut Vec<u8>,
    id: Id,
    answered: &Answered,
    locale: Locale,
    tail: &Tail<'_>,
) -> Result<StatusCode, Problem> {
    let view = orders::order(&answered.reply)?;
    body.clear();
    answer::write(body, &Order::new(view, locale))?;
    begin(out, StatusCode::CREATED);
    let head = &mut Lines(out);
    head.put(CONTENT_TYPE, JSON);
    answer::describe(head, Stamp::from(answered), Some(ETag::in_language(view.version, locale)));
    head.show(LOCATION, format_args!("{}/{id}", crate::routes::checkout::PLACE.template));
    end(out, tail, TraceId::fresh, body);
    Ok(StatusCode::CREATED)
}

/// Writes why a purchase was not made; `body` is where its body is put together.
pub(super) fn refused(
    out: &mut Vec<u8>,
    body: &mut Vec<u8>,
    problem: &Problem,
    trace: Option<TraceId>,
    tail: &Tail<'_>,
) -> StatusCode {
    let fresh = TraceId::fresh();
    let trace = trace.unwrap_or(fresh);
    problem.tell(trace);
    body.clear();
    problem.write(trace, body);
    out.clear();
    begin(out, problem.status());
    problem.head(&mut Lines(out));
    end(out, tail, || fresh, body);
    problem.status()
}

fn begin(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `fresh` gives the number of a request that came without.
fn end(out: &mut Vec<u8>, tail: &Tail<'_>, fresh: impl FnOnce() -> TraceId, body: &[u8]) {
    let mut head = Lines(out);
    match tail.request_id {
        Some(given) => head.line(&REQUEST_ID, given),
        None => head.put(REQUEST_ID, request_id_of(fresh())),
    }
    head.show(CONTENT_LENGTH, body.len());
    if tail.is_last {
        head.line(&CONNECTION, b"close");
    }
    head.line(&DATE, &date(now()));
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Headers as the lines that are sent.
struct Lines<'a>(&'a mut Vec<u8>);

impl Lines<'_> {
    fn line(&mut self, name: &HeaderName, value: &[u8]) {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }
}

impl Head for Lines<'_> {
    fn put(&mut self, name: HeaderName, value: HeaderValue) {
        self.line(&name, value.as_bytes());
    }

    fn show(&mut self, name: HeaderName, value: impl Display) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        // Writing to memory does not fail.
        let _written = write!(self.0, ": {value}\r\n");
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
type Date = [u8; 29];

thread_local! {
    /// The second that was written last.
    static NOW: Cell<(u64, Date)> = const { Cell::new((u64::MAX, [b' '; 29])) };
}

#[expect(clippy::disallowed_methods, reason = "a message is dated by the wall clock, not by the shop's")]
fn now() -> Duration {
    // A clock before 1970 is written as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When a message was sent, since 1970.
fn date(now: Duration) -> Date {
    let second = now.as_secs();
    let (known, mut text) = NOW.get();
    if known != second {
        // Every date has the same length.
        let _written = write!(&mut text[..], "{}", HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)));
        NOW.set((second, text));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Kind;

    #[test]
    fn an_answer_is_written_with_all_its_headers() {
        let (mut out, mut scratch) = (b"HTTP/1.1 201 Cre".to_vec(), b"what was".to_vec());
        let tail = Tail { request_id: Some(b"mine"), is_last: true };
        let status = refused(&mut out, &mut scratch, &Problem::overloaded(), None, &tail);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        assert_eq!(lines.next(), Some("HTTP/1.1 503 Service Unavailable"));
        let mut headers: Vec<_> = lines.filter(|line| !line.starts_with("date: ")).collect();
        headers.sort_unstable();
        let length = format!("content-length: {}", body.len());
        let expected = [
            "connection: close",
            &length,
            "content-type: application/problem+json",
            "retry-after: 1",
            "x-request-id: mine",
        ];
        assert_eq!(headers, expected);
        assert!(body.contains(Kind::OVERLOADED.code));
    }

    #[test]
    fn the_date_is_that_of_the_second() {
        for _ in 0..2 {
            assert_eq!(&date(Duration::from_millis(784_111_777_999)), b"Sun, 06 Nov 1994 08:49:37 GMT");
            assert_eq!(&date(Duration::ZERO), b"Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }
}
