//! Problems: every answer outside 2xx and 304, as RFC 9457 has it.
//!
//! [`Kind`] is the one table of codes and statuses; [`refusal`] says which rejection of the domain is which.

mod kind;
mod refusal;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use axum::response::Response;
use relampago_actors::cart::PriceChange;
use relampago_actors::line::Shortage;
use relampago_actors::{Id, payment};
use relampago_config::Locale;
use relampago_engine::{AskError, Commit};
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

pub(crate) use kind::Kind;

use crate::answer::{BY_LANGUAGE, COMMIT, Head, REPLAYED, TRUE};
use crate::etag::ETag;
use crate::json::{IdText, Money, Payment};
use crate::trace::TraceId;

/// Fields at fault that are named; a body has room for a hundred thousand.
const MOST_ERRORS: usize = 100;
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"relampago\"");
const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"relampago\", error=\"invalid_token\"");

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Its name, from the body's root or the query: `items[0].quantity`.
    #[schema(example = "items[0].quantity")]
    pub(crate) field: Cow<'static, str>,
    /// What is wrong with it.
    #[schema(example = "must be a whole number from 1 to 999")]
    pub(crate) message: Cow<'static, str>,
}

/// Why a request was not carried out. Boxed, so that a `Result` stays small.
#[derive(Debug)]
pub(crate) struct Problem(Box<Content>);

#[derive(Debug)]
struct Content {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    extra: Extra,
    commit: Option<Commit>,
    retry_after_s: Option<u64>,
    replayed: bool,
    /// Whether it is told in the log together with others.
    told: bool,
}

/// What some problems tell beyond the common members.
#[derive(Debug)]
pub(crate) enum Extra {
    /// Nothing.
    None,
    /// `order_id`: the order that a cart was turned into.
    Order(Id),
    /// `items`: what is sold out.
    Shortages(Vec<Shortage>),
    /// `items`: prices that changed.
    Prices(Vec<PriceChange>),
    /// `payment`: the declined payment. A result rather than a refusal: it is replayed byte for byte and has the
    /// headers of an answer about the payment.
    Payment(Box<payment::View>, Locale),
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Content {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Extra::None,
            commit: None,
            retry_after_s: None,
            replayed: false,
            told: false,
        }))
    }

    /// Fields are missing, unknown, ill-typed or out of range.
    pub(crate) fn validation(mut errors: Vec<FieldError>) -> Self {
        errors.truncate(MOST_ERRORS);
        let mut problem = Self::new(Kind::VALIDATION_FAILED, "Some fields are not acceptable; see errors.");
        problem.0.errors = errors;
        problem
    }

    /// One field is not acceptable.
    pub(crate) fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::validation(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// The engine answered something that the question does not have as an answer: our mistake.
    pub(crate) fn unexpected_reply() -> Self {
        tracing::error!("the engine's reply does not fit the question");
        Self::new(Kind::INTERNAL, "The server made a mistake.")
    }

    pub(crate) fn with_extra(mut self, extra: Extra) -> Self {
        self.0.extra = extra;
        self
    }

    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The position in the journal that the refusal reflects.
    pub(crate) fn at(mut self, commit: Commit) -> Self {
        self.0.commit = Some(commit);
        self
    }

    pub(crate) fn retry_after_s(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// When to come back, rounded up to a second.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after_s(seconds.max(1))
    }

    /// Too many passwords wait to be compared.
    pub(crate) fn busy(wait: Duration) -> Self {
        Self::new(Kind::OVERLOADED, "Too many passwords wait to be looked at.").retry_after(wait)
    }

    /// Something of ours failed; the caller is not told what.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request cannot be carried out");
        Self::new(Kind::INTERNAL, "The server made a mistake.")
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.kind.status
    }

    pub(crate) fn replayed(mut self, replayed: bool) -> Self {
        self.0.replayed = replayed;
        self
    }

    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    #[cfg(test)]
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Writes the body of the answer.
    pub(crate) fn write(&self, trace: TraceId, into: &mut Vec<u8>) {
        // Writing to memory fails only where a `Serialize` does, and none of ours does.
        let _written = serde_json::to_writer(into, &Document { content: &self.0, trace: self.trace(trace) });
    }

    /// The trace that the answer names.
    fn trace(&self, trace: TraceId) -> TraceId {
        match &self.0.extra {
            Extra::Payment(view, _) => TraceId::of_entity(view.id),
            _ => trace,
        }
    }

    /// Puts the headers that are its own.
    pub(crate) fn head(&self, into: &mut impl Head) {
        let Content { kind, commit, retry_after_s, replayed, ref extra, .. } = *self.0;
        into.put(CONTENT_TYPE, PROBLEM_JSON);
        if kind.status == StatusCode::UNAUTHORIZED {
            let bad_token = kind == Kind::INVALID_TOKEN;
            into.put(WWW_AUTHENTICATE, if bad_token { INVALID_TOKEN } else { CHALLENGE });
        }
        if let Some(seconds) = retry_after_s {
            into.show(RETRY_AFTER, seconds);
        }
        if kind == Kind::BAD_REQUEST {
            // What is not well-formed may end elsewhere for whoever stands in between.
            into.put(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(commit) = commit {
            into.show(COMMIT, commit);
        }
        if replayed {
            into.put(REPLAYED, TRUE);
        }
        if let Extra::Payment(view, locale) = extra {
            into.show(ETAG, ETag::in_language(view.version, *locale));
            into.show(LOCATION, format_args!("/api/v1/payments/{}", view.id));
            into.put(VARY, BY_LANGUAGE);
        }
    }

    /// Tells the log of what is ours to see to.
    pub(crate) fn tell(&self, trace: TraceId) {
        let Content { kind, told, detail, .. } = &*self.0;
        if kind.status.is_server_error() && !told {
            let trace = self.trace(trace);
            tracing::warn!(code = kind.code, trace_id = %trace, detail = %detail, "request failed");
        }
    }

    /// The answer to send.
    pub(crate) fn into_response(self, trace: TraceId) -> Response {
        self.tell(trace);
        let mut body = Vec::new();
        self.write(trace, &mut body);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        self.head(response.headers_mut());
        response
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Rejected { rejection, commit } => Self::from(rejection).at(commit),
            AskError::Overloaded { retry_after } => Self::no_place().retry_after(retry_after),
            AskError::OutcomeUnknown | AskError::TimedOut => Self::outcome_unknown(),
            AskError::InFlight => {
                Self::new(Kind::KEY_IN_FLIGHT, "The first request under this key still runs. Ask again.")
            }
            AskError::Faulted => Self::new(Kind::INTERNAL, "The request could not be carried out."),
            AskError::Stopping => Self::shutting_down(),
        }
    }
}

impl Problem {
    /// Whether it says that there was no place.
    pub(crate) fn is_no_place(&self) -> bool {
        self.0.told
    }

    /// There is no place; told in the log together with others like it, see `admission::pressure`.
    pub(crate) fn no_place() -> Self {
        let mut problem = Self::overloaded();
        problem.0.told = true;
        problem
    }

    /// The server's limit is reached.
    pub(crate) fn overloaded() -> Self {
        let detail = "Too many requests are in flight; nothing was done. Try again.";
        Self::new(Kind::OVERLOADED, detail).retry_after_s(1)
    }

    /// It may have happened or not.
    pub(crate) fn outcome_unknown() -> Self {
        let detail = "The server cannot say whether it happened. Try again with the same idempotency key.";
        Self::new(Kind::OUTCOME_UNKNOWN, detail).retry_after_s(1)
    }

    /// The server is going away.
    pub(crate) fn shutting_down() -> Self {
        Self::new(Kind::SHUTTING_DOWN, "The server is shutting down. Try again.").retry_after_s(1)
    }

    /// Nothing is served under this path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(Kind::NOT_FOUND, "There is nothing under this path.")
    }

    /// The path is there, the method is not.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(Kind::METHOD_NOT_ALLOWED, "This path does not take this method; see Allow.")
    }
}

/// A problem as it is written.
struct Document<'a> {
    content: &'a Content,
    trace: TraceId,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Content { kind, detail, errors, extra, .. } = self.content;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &Urn(kind.code))?;
        map.serialize_entry("title", kind.title)?;
        map.serialize_entry("status", &kind.status.as_u16())?;
        map.serialize_entry("detail", detail)?;
        map.serialize_entry("code", kind.code)?;
        map.serialize_entry("retryable", &kind.retryable)?;
        if !errors.is_empty() {
            map.serialize_entry("errors", errors)?;
        }
        match extra {
            Extra::None => {}
            Extra::Order(order) => map.serialize_entry("order_id", &IdText(*order))?,
            Extra::Shortages(items) => {
                map.serialize_entry(
                    "items",
                    &Each(items, |item: &Shortage| ShortageItem {
                        sku: Arc::clone(&item.sku),
                        requested: item.requested,
                        available: item.available,
                    }),
                )?;
            }
            Extra::Prices(items) => {
                map.serialize_entry(
                    "items",
                    &Each(items, |item: &PriceChange| PriceItem {
                        sku: Arc::clone(&item.sku),
                        old: Money::new(item.old, item.currency),
                        new: Money::new(item.new, item.currency),
                    }),
                )?;
            }
            Extra::Payment(view, locale) => {
                map.serialize_entry("payment", &Payment::new(view, *locale))?;
            }
        }
        map.serialize_entry("trace_id", &self.trace)?;
        map.end()
    }
}

/// `urn:relampago:problem:<code>`.
struct Urn(&'static str);

impl Serialize for Urn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:relampago:problem:{}", self.0))
    }
}

/// A list, each entry written in another form.
struct Each<'a, T, F>(&'a [T], F);

impl<T, U: Serialize, F: Fn(&T) -> U> Serialize for Each<'_, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// A line that cannot be had in full.
#[derive(serde::Serialize, ToSchema)]
pub(crate) struct ShortageItem {
    /// Of which.
    #[schema(value_type = String, example = "LAMP-1")]
    sku: Arc<str>,
    /// Units wanted.
    requested: u32,
    /// Units that could be had.
    available: i64,
}

/// A price that is not any more what it was when the line was added.
#[derive(serde::Serialize, ToSchema)]
pub(crate) struct PriceItem {
    /// Of which.
    #[schema(value_type = String, example = "LAMP-1")]
    sku: Arc<str>,
    /// Then.
    old: Money,
    /// Now.
    new: Money,
}
