//! Successful answers: body and headers, built once.

use std::fmt::Display;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LINK, LOCATION, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use relampago_engine::{Answered, Commit};
use serde::Serialize;

use crate::error::{Kind, Problem};
use crate::etag::{ETag, none_match};
use crate::text::Text;

/// The position in the journal that an answer reflects.
pub(crate) const COMMIT: HeaderName = HeaderName::from_static("relampago-commit");
/// Says that an answer was given before under the same idempotency key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The position that a list reflects.
const VIEW_POSITION: HeaderName = HeaderName::from_static("relampago-view-position");
/// Most answers about one entity fit, bytes.
const USUAL_BYTES: usize = 1024;
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What answers with labels depend on.
pub(crate) const BY_LANGUAGE: HeaderValue = HeaderValue::from_static("accept-language");

/// The value of a header that says yes.
pub(crate) const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Where the headers of an answer are put, each once.
pub(crate) trait Head {
    /// Puts one.
    fn put(&mut self, name: HeaderName, value: HeaderValue);

    /// Puts one of something that is written in visible ASCII, which all our positions, tags and paths are.
    fn show(&mut self, name: HeaderName, value: impl Display);
}

impl Head for HeaderMap {
    fn put(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }

    fn show(&mut self, name: HeaderName, value: impl Display) {
        if let Ok(value) = HeaderValue::from_bytes(Text::of(value).as_bytes()) {
            self.insert(name, value);
        }
    }
}

/// What an answer about an entity reflects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) commit: Commit,
    pub(crate) replayed: bool,
}

impl From<&Answered> for Stamp {
    fn from(answered: &Answered) -> Self {
        Self { commit: answered.commit, replayed: answered.replayed }
    }
}

/// An answer about one entity.
pub(crate) fn entity(
    status: StatusCode,
    body: &impl Serialize,
    etag: ETag,
    stamp: Stamp,
) -> Result<Response, Problem> {
    let mut response = json(status, body)?;
    describe(response.headers_mut(), stamp, Some(etag));
    Ok(response)
}

/// As [`entity`] with 200, or 304 if the caller has this very state.
pub(crate) fn shown(
    request: &HeaderMap,
    body: &impl Serialize,
    etag: ETag,
    stamp: Stamp,
) -> Result<Response, Problem> {
    if !none_match(request.get_all(IF_NONE_MATCH), etag) {
        return entity(StatusCode::OK, body, etag, stamp);
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    describe(response.headers_mut(), stamp, Some(etag));
    Ok(response)
}

/// Done, and nothing to show: 204.
pub(crate) fn gone(stamp: Stamp) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    describe(response.headers_mut(), stamp, None);
    response
}

/// An answer about an entity that has no version of its own, such as a history.
pub(crate) fn report(body: &impl Serialize, stamp: Stamp) -> Result<Response, Problem> {
    unversioned(StatusCode::OK, body, stamp)
}

/// As [`report`] with another status: about a part of an entity, whose version is the whole's.
pub(crate) fn unversioned(
    status: StatusCode,
    body: &impl Serialize,
    stamp: Stamp,
) -> Result<Response, Problem> {
    let mut response = json(status, body)?;
    describe(response.headers_mut(), stamp, None);
    Ok(response)
}

/// An answer with secrets in it, which nobody on the way may keep.
pub(crate) fn private(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page of a list, with the link to the next one.
pub(crate) fn page(
    body: &impl Serialize,
    position: Commit,
    next: Option<String>,
) -> Result<Response, Problem> {
    let mut response = json(StatusCode::OK, body)?;
    let headers = response.headers_mut();
    headers.show(VIEW_POSITION, position);
    if let Some(path) = next {
        headers.show(LINK, format_args!("<{path}>; rel=\"next\""));
    }
    headers.put(VARY, BY_LANGUAGE);
    Ok(response)
}

/// Writes a body.
pub(crate) fn write(into: &mut Vec<u8>, body: &impl Serialize) -> Result<(), Problem> {
    serde_json::to_writer(into, body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::new(Kind::INTERNAL, "The server made a mistake.")
    })
}

/// Any JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    let mut written = Vec::with_capacity(USUAL_BYTES);
    write(&mut written, body)?;
    let mut response = Response::new(written.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}

/// Says where the thing that was made is.
pub(crate) fn located(mut response: Response, path: impl Display) -> Response {
    response.headers_mut().show(LOCATION, path);
    response
}

/// The headers of an answer about an entity.
pub(crate) fn describe(head: &mut impl Head, stamp: Stamp, etag: Option<ETag>) {
    head.show(COMMIT, stamp.commit);
    if let Some(etag) = etag {
        head.show(ETAG, etag);
    }
    if stamp.replayed {
        head.put(REPLAYED, TRUE);
    }
    head.put(VARY, BY_LANGUAGE);
}
