//! Answers of the short way, as bytes. They have the headers that the long way gives them.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, LOCATION, VARY};
use axum::http::{HeaderName, Response, StatusCode};
use httpdate::HttpDate;
use relampago_actors::Id;
use relampago_config::Locale;
use relampago_engine::Answered;

use crate::answer::{self, BY_LANGUAGE, COMMIT, JSON, REPLAYED, Stamp};
use crate::error::Problem;
use crate::etag::ETag;
use crate::json::Order;
use crate::routes::orders;
use crate::trace::{REQUEST_ID, fresh_request_id};

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
    let Stamp { commit, replayed } = Stamp::from(answered);
    begin(out, StatusCode::CREATED);
    header(out, &CONTENT_TYPE, JSON.as_bytes());
    shown(out, &COMMIT, commit);
    shown(out, &ETAG, ETag::in_language(view.version, locale));
    if replayed {
        header(out, &REPLAYED, b"true");
    }
    header(out, &VARY, BY_LANGUAGE.as_bytes());
    shown(out, &LOCATION, format_args!("{}/{id}", crate::routes::checkout::PLACE.template));
    end(out, tail, body);
    Ok(StatusCode::CREATED)
}

/// Writes an answer that is whole.
pub(super) fn whole(out: &mut Vec<u8>, response: &Response<Vec<u8>>, tail: &Tail<'_>) {
    begin(out, response.status());
    for (name, value) in response.headers() {
        header(out, name, value.as_bytes());
    }
    end(out, tail, response.body());
}

fn begin(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn end(out: &mut Vec<u8>, tail: &Tail<'_>, body: &[u8]) {
    match tail.request_id {
        Some(given) => header(out, &REQUEST_ID, given),
        None => header(out, &REQUEST_ID, fresh_request_id().as_bytes()),
    }
    shown(out, &CONTENT_LENGTH, body.len());
    if tail.is_last {
        header(out, &CONNECTION, b"close");
    }
    header(out, &DATE, &date(now()));
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn header(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn shown(out: &mut Vec<u8>, name: &HeaderName, value: impl Display) {
    out.extend_from_slice(name.as_str().as_bytes());
    // Writing to memory does not fail.
    let _written = write!(out, ": {value}\r\n");
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
    use crate::trace::TraceId;

    #[test]
    fn an_answer_is_written_with_all_its_headers() {
        let problem = Problem::overloaded().into_whole(TraceId::fresh());
        let mut out = Vec::new();
        whole(&mut out, &problem, &Tail { request_id: Some(b"mine"), is_last: true });
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
