//! The short way of the hot route: a purchase goes from its bytes to the engine, and from the engine's answer to
//! bytes, in the connection's own task and without a copy on the heap of what the client sent.
//!
//! Who finds no place is refused here, and nobody else that was not asked of the engine: whatever is out of the
//! ordinary, wrong or not here as a whole is left, with the bytes that were read, to the long way through hyper and the
//! router, which knows what to make of it. What both do is one code: who calls, what a purchase is, which order a key makes.

pub(crate) mod head;
mod writing;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use relampago_actors::{Address, Id, Message};
use relampago_config::Locale;
use relampago_engine::{Answered, AskError, Asked};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout};

use crate::admission::Place;
use crate::app::App;
use crate::audited;
use crate::auth::permit;
use crate::error::Problem;
use crate::extract::is_json;
use crate::metrics::RouteMetrics;
use crate::pace::Pace;
use crate::routes::checkout::{self, PLACE};
use crate::trace::{self, TraceId, is_request_id};
use crate::{idempotency, locale};

pub(crate) use head::BEGINNING;
use head::Simple;

/// A longer request goes the long way, bytes.
pub(crate) const LONGEST: usize = 8 * 1024;
/// What the longest usual answer takes; room for a longer one is given back.
const ANSWER_BYTES: usize = 64 * 1024;

/// What a thread reads into and writes into, for one connection after the other: never held while waiting.
struct Scratch {
    input: Box<[u8]>,
    body: Vec<u8>,
    answer: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; LONGEST].into(),
        body: Vec::new(),
        answer: Vec::new(),
    });
}

/// What all connections share of the short way.
pub(crate) struct Short {
    app: Arc<App>,
    metrics: RouteMetrics,
}

impl std::fmt::Debug for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Short").finish_non_exhaustive()
    }
}

/// What a request's answer needs of it.
struct Taken {
    id: Id,
    locale: Locale,
    /// The caller's, if there is one.
    request_id: Option<Box<[u8]>>,
    trace: Option<TraceId>,
    began: Instant,
    /// For how long its answer waited for the disk, where that is measured.
    waited: Duration,
}

impl Short {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app, metrics: RouteMetrics::new(PLACE.method, PLACE.template) }
    }

    /// Takes the request that `bytes` begin with and sends it on its way; gives its length as well. `None` if it has
    /// to go the long way.
    fn take(&self, bytes: &[u8]) -> Option<(Begun, Taken, usize)> {
        let began = Instant::now();
        let app = &self.app;
        let simple = head::read(bytes)?;
        let trace = trace::told(simple.traceparent.and_then(TraceId::read));
        // Before a place is asked for, as on the long way: what staff ask for is on record though there be none.
        let caller = app.auth.known(simple.authorization, simple.api_key, &app.engine);
        let is_recorded = caller.map_or_else(
            || simple.authorization.is_some_and(audited::may_be_recorded),
            |caller| audited::is_recorded(caller, PLACE),
        );
        if is_recorded {
            return None;
        }
        // Whoever else finds none costs no more than that.
        let place = match app.admission.admit() {
            Ok(place) => place,
            Err(full) => {
                let length = simple.length;
                return Some((Err(full), self.taken(&simple, Id(0), trace, began), length));
            }
        };
        let caller = caller?;
        permit(caller, PLACE.access).ok()?;
        let key = simple.idempotency_key.filter(|key| idempotency::is_good(key, caller))?;
        if simple.body.len() > app.body_limit || !simple.content_type.is_some_and(is_json) {
            return None;
        }
        let (id, command) = checkout::at_once(&app.engine, caller, key, simple.body)?;
        let (to, by, command) = (Address::order(id), caller.party(), Message::Order(command));
        let asked = app.engine.begin_traced(to, by, command, trace.map(Into::into).unwrap_or_default());
        let begun = asked.map(|asked| (asked, place)).map_err(Problem::from);
        let length = simple.length;
        Some((begun, self.taken(&simple, id, trace, began), length))
    }

    /// What the answer needs of a request.
    fn taken(&self, simple: &Simple<'_>, id: Id, trace: Option<TraceId>, began: Instant) -> Taken {
        Taken {
            id,
            locale: locale::preferred_of(simple.accept_language.into_iter(), self.app.locale),
            request_id: simple.request_id.filter(|given| is_request_id(given)).map(Into::into),
            trace,
            began,
            waited: Duration::ZERO,
        }
    }

    /// Writes the answer to what was taken.
    fn answer(&self, taken: Taken, answer: Result<Answered, Problem>, is_last: bool, scratch: &mut Scratch) {
        let Taken { id, locale, request_id, trace, began, waited } = taken;
        let (body, out) = (&mut scratch.body, &mut scratch.answer);
        out.clear();
        let tail = writing::Tail { request_id: request_id.as_deref(), is_last };
        let created = answer.and_then(|answered| writing::created(out, body, id, &answered, locale, &tail));
        let status = created.unwrap_or_else(|problem| writing::refused(out, body, &problem, trace, &tail));
        let took = began.elapsed();
        self.metrics.record(status, took);
        if let Some(trace) = trace {
            trace::tell(trace, PLACE, status, took, waited);
        }
    }
}

/// Why a connection left the short way.
pub(crate) enum Left {
    /// There is nothing more to do on it.
    Closed,
    /// What begins with these bytes goes the long way.
    Bytes(Vec<u8>),
}

/// A command on its way, with its place among those, or why it is not.
type Begun = Result<(Asked, Place), Problem>;

/// What comes of waiting for a client.
enum Next {
    Request(Begun, Taken),
    Left(Left),
}

/// A connection on the short way.
pub(crate) struct Lane<'a> {
    stream: &'a mut TcpStream,
    short: &'a Short,
    pace: &'a mut Pace,
    /// Read, and not yet looked at.
    ahead: Vec<u8>,
}

impl<'a> Lane<'a> {
    /// On a stream of which the bytes `ahead` were read already.
    pub(crate) fn new(
        stream: &'a mut TcpStream,
        short: &'a Short,
        pace: &'a mut Pace,
        ahead: Vec<u8>,
    ) -> Self {
        Self { stream, short, pace, ahead }
    }

    /// Serves requests until one goes the long way, or the connection ends; gives how many were served as well.
    pub(crate) async fn run(mut self) -> (Left, u64) {
        let mut served = 0;
        loop {
            // What is refused is answered without a wait: a client that sends on and on gets no more than its share.
            consume_budget().await;
            match self.serve_one().await {
                ControlFlow::Continue(()) => served += 1,
                ControlFlow::Break(left) => return (left, served),
            }
        }
    }

    async fn serve_one(&mut self) -> ControlFlow<Left> {
        let until = Instant::now() + self.pace.patience_with_idle();
        let (begun, mut taken) = match poll_fn(|cx| self.poll_next(cx, until)).await {
            Next::Request(begun, taken) => (begun, taken),
            Next::Left(left) => return ControlFlow::Break(left),
        };
        let answer = match begun {
            Err(problem) => {
                self.wait_for_turn(&problem).await;
                Err(problem)
            }
            Ok((asked, place)) => {
                let answer = self.wait_for(asked, &mut taken).await;
                drop(place);
                let Some(answer) = answer else { return ControlFlow::Break(Left::Closed) };
                self.short.app.admission.done();
                answer.map_err(Problem::from)
            }
        };
        let is_last = self.short.app.admission.is_draining();
        let unwritten = SCRATCH.with_borrow_mut(|scratch| {
            self.short.answer(taken, answer, is_last, scratch);
            let unwritten = self.write(&scratch.answer);
            for used in [&mut scratch.answer, &mut scratch.body] {
                used.clear();
                used.shrink_to(ANSWER_BYTES);
            }
            unwritten
        });
        let written = match unwritten {
            Ok(None) => Ok(()),
            Ok(Some(rest)) => {
                let written = timeout(self.pace.patience.idle, self.stream.write_all(&rest)).await;
                written.unwrap_or_else(|late| Err(late.into()))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::debug!(%error, "connection ended");
            return ControlFlow::Break(Left::Closed);
        }
        if is_last { ControlFlow::Break(Left::Closed) } else { ControlFlow::Continue(()) }
    }

    /// The next request, or why there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<Next> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            return Poll::Ready(self.look_at(&ahead));
        }
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let mut input = ReadBuf::new(&mut scratch.input);
            ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut input))?;
            Poll::Ready(Ok::<_, io::Error>(match input.filled() {
                [] => Next::Left(Left::Closed),
                bytes => self.look_at(bytes),
            }))
        });
        match read {
            Poll::Ready(Ok(next)) => Poll::Ready(next),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "connection ended");
                Poll::Ready(Next::Left(Left::Closed))
            }
            Poll::Pending => self.pace.poll_end(cx, until).map(|()| Next::Left(Left::Closed)),
        }
    }

    /// Takes the request in `bytes`, which are not empty.
    fn look_at(&mut self, bytes: &[u8]) -> Next {
        self.pace.has_begun();
        match self.short.take(bytes) {
            None => Next::Left(Left::Bytes(bytes.to_vec())),
            Some((begun, taken, length)) => {
                self.ahead = bytes[length..].to_vec();
                Next::Request(begun, taken)
            }
        }
    }

    /// Who found no place is told when it is their turn, see [`Admission::turn`](crate::admission::Admission::turn).
    async fn wait_for_turn(&mut self, problem: &Problem) {
        if problem.is_no_place()
            && let Some(turn) = self.short.app.admission.turn()
        {
            poll_fn(|cx| self.pace.poll_end(cx, turn)).await;
        }
    }

    /// The engine's answer; `None` if the client has gone meanwhile.
    async fn wait_for(&mut self, mut asked: Asked, taken: &mut Taken) -> Option<Result<Answered, AskError>> {
        let until = taken.began + self.short.app.request_timeout;
        let mut is_late = false;
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut asked).poll(cx) {
                return Poll::Ready(Some(answer));
            }
            if self.poll_gone(cx) {
                return Poll::Ready(None);
            }
            is_late = self.pace.poll_until(cx, until).is_ready();
            if is_late { Poll::Ready(None) } else { Poll::Pending }
        });
        let answer = answer.await;
        taken.waited = asked.waited();
        if is_late { Some(Err(self.short.app.engine.too_late(&asked))) } else { answer }
    }

    /// Whether the client has hung up, as far as can be seen without reading on. As a rule nothing is there, and this
    /// only asks to be woken.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let mut next = ReadBuf::new(&mut byte);
        match self.stream.poll_peek(cx, &mut next) {
            Poll::Ready(Ok(bytes)) => bytes == 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Writes what the kernel takes at once; gives the rest.
    fn write(&self, answer: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let written = match self.stream.try_write(answer) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        Ok((written < answer.len()).then(|| answer[written..].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use relampago_config::{Flags, Settings};
    use relampago_engine::Engine;
    use serde_json::{Value, json};

    use super::*;
    use crate::access::bootstrap::AdminKey;
    use crate::app::Front;
    use crate::{metrics, routes};

    const ADMIN: &str = "the-key-of-the-admin";

    /// The JSON that a request on the long way is answered with.
    async fn answered(front: &Front, path: &str, body: &Value) -> Value {
        let request = Request::post(path).header("host", "shop").header("x-api-key", ADMIN);
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
        let answer = front.handle(request.unwrap()).await.into_body().collect().await.unwrap();
        serde_json::from_slice(&answer.to_bytes()).unwrap()
    }

    /// The access token of somebody new with this role.
    async fn token(front: &Front, role: &str) -> String {
        let email = format!("{role}@example.com");
        let person = json!({ "name": "Ana", "email": email, "password": "correct horse 9", "role": role });
        answered(front, "/api/v1/users", &person).await;
        let login = json!({ "email": email, "password": "correct horse 9" });
        let tokens = answered(front, "/api/v1/auth/login", &login).await;
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    /// Whether a purchase is refused here at once, where nobody finds a place.
    fn is_refused(front: &Front, credential: &str) -> bool {
        let body = r#"{"items":[{"sku":"A","quantity":1}]}"#;
        let request = format!(
            "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\n{credential}Idempotency-Key: {:032}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            1,
            body.len()
        );
        match front.short.take(request.as_bytes()) {
            None => false,
            Some((begun, ..)) => begun.is_err(),
        }
    }

    /// The long way puts on record what staff ask for, also where there is no place for it.
    #[tokio::test]
    async fn staff_are_refused_on_the_long_way_alone() {
        let folder = tempfile::tempdir().unwrap();
        let flags = Flags { addr: None, data: Some(folder.path().join("data")) };
        let env =
            [("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", ADMIN), ("RELAMPAGO_JOURNAL__SEGMENT_BYTES", "1MiB")];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::load(None, flags, env).unwrap();
        let engine = Engine::start(&settings).await.unwrap();
        let key = AdminKey::set(settings.auth.bootstrap_api_key.as_ref().unwrap());
        let front = Front::new(engine.clone(), &settings, &key, metrics::install()).unwrap();
        let mut tokens = Vec::new();
        for role in ["customer", "staff", "admin"] {
            tokens.push((
                role == "customer",
                format!("Authorization: Bearer {}\r\n", token(&front, role).await),
            ));
        }
        front.drain();
        assert!(is_refused(&front, ""));
        assert!(is_refused(&front, &format!("X-API-Key: {ADMIN}\r\n")));
        for verified in [false, true] {
            for (is_customer, credential) in &tokens {
                assert_eq!(is_refused(&front, credential), *is_customer, "verified: {verified}");
                // Whoever calls is verified first.
                let (name, value) = credential.trim_end().split_once(": ").unwrap();
                let request = Request::get("/api/v1/users/me").header("host", "shop").header(name, value);
                front.handle(request.body(Body::empty()).unwrap()).await;
            }
        }
        engine.drain().await.unwrap();
    }

    #[test]
    fn the_hot_route_is_one_of_the_routes() {
        assert!(routes::site().listed().contains(&PLACE));
        let beginning = format!("{} {} HTTP/1.1\r\n", PLACE.method, PLACE.template);
        assert_eq!(BEGINNING, beginning.as_bytes());
    }
}
