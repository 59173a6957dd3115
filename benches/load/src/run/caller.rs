//! One step at a time, outside of the load: the set-up, what is watched, and the audit.

use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::connection::{Answer, Broken, Connection};
use super::json;
use super::prepared::{Prepared, look_up};
use crate::record::{Kind, Outcome};
use crate::scenario::answer::Place;
use crate::scenario::template::Values;
use crate::target::Target;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What is shown of an answer that was not expected.
const MOST_SHOWN: usize = 300;

/// Why a step was not done.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// The server did not answer it.
    #[error("{0}")]
    NoAnswer(String),
    /// It was answered, and not as it should be.
    #[error("{0}")]
    Wrong(String),
}

/// A client with one connection.
#[derive(Debug)]
pub(crate) struct Caller {
    target: Target,
    connection: Option<Connection>,
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Caller {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, connection: None, request: Vec::new(), body: Vec::new() }
    }

    /// Sends a request as it is, and reads the answer.
    pub(crate) async fn ask(
        &mut self,
        request: &[u8],
        bodiless: bool,
        within: Duration,
    ) -> Result<(&Connection, Answer), CallError> {
        let broken = |broken: Broken| CallError::NoAnswer(broken.to_string());
        let held = self.connection.take().and_then(|mut held| held.is_open().then_some(held));
        let asked = async {
            let mut connection = match held {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let answer = connection.exchange(request, bodiless).await?;
            Ok((connection, answer))
        };
        let asked = timeout(within, asked).await;
        let asked = asked.map_err(|_| CallError::NoAnswer(format!("no answer within {within:?}")))?;
        let (connection, answer) = asked.map_err(broken)?;
        let connection = self.connection.insert(connection);
        Ok((connection, answer))
    }

    async fn connect(&self) -> Result<Connection, Broken> {
        let down = || Broken::Connect(std::io::ErrorKind::ConnectionRefused.into());
        Connection::open(self.target.current().ok_or_else(down)?, self.target.tls()).await
    }

    /// Does a step: sends it, and takes from its answer what it captures.
    ///
    /// # Errors
    /// What went wrong, as a sentence: no answer, another one than expected, or a check that does not hold.
    pub(crate) async fn perform(
        &mut self,
        step: &Prepared,
        code: Option<&Place>,
        values: &mut Values,
    ) -> Result<Done, CallError> {
        let name = &step.step.name;
        let (mut request, mut body) = (std::mem::take(&mut self.request), std::mem::take(&mut self.body));
        let written = step.request.write(values, &mut body, &mut request);
        let done = match written {
            Ok(()) => self.send(step, code, values, &request).await,
            Err(error) => Err(CallError::Wrong(error.to_string())),
        };
        let sent = request.clone();
        (self.request, self.body) = (request, body);
        match done {
            Ok(done) => Ok(Done { request: sent, ..done }),
            Err(CallError::NoAnswer(problem)) => Err(CallError::NoAnswer(format!("{name}: {problem}"))),
            Err(CallError::Wrong(problem)) => Err(CallError::Wrong(format!("{name}: {problem}"))),
        }
    }

    async fn send(
        &mut self,
        step: &Prepared,
        code: Option<&Place>,
        values: &mut Values,
        request: &[u8],
    ) -> Result<Done, CallError> {
        let (connection, answer) = self.ask(request, step.request.bodiless, step.step.timeout).await?;
        let body = connection.body_of(&answer);
        let found =
            code.filter(|_| answer.status >= 400).and_then(|place| look_up(connection, &answer, place));
        let outcome = Outcome::Status { status: answer.status, code: found.as_deref() };
        if step.judge(&outcome) != Kind::Ok {
            return Err(CallError::Wrong(format!("answered {}: {}", outcome.label(), shown(body))));
        }
        for (slot, place) in &step.step.captures {
            let text = look_up(connection, &answer, place);
            let missing = || CallError::Wrong(format!("nothing at {place} in {}", shown(body)));
            let text = text.ok_or_else(missing)?;
            values.set(*slot, text.as_bytes());
        }
        for check in &step.step.checks {
            check.holds(|place| look_up(connection, &answer, place), values).map_err(CallError::Wrong)?;
        }
        let replayed = step.is_replayed(connection, &answer);
        Ok(Done { status: answer.status, body: body.to_vec(), request: Vec::new(), replayed, tries: 1 })
    }

    /// [`Self::perform`], again and again until it succeeds or the moment `until` has come; then the last failure.
    pub(crate) async fn persist(
        &mut self,
        step: &Prepared,
        code: Option<&Place>,
        values: &mut Values,
        until: Instant,
    ) -> Result<Done, CallError> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            match self.perform(step, code, values).await {
                Err(_) if Instant::now() < until => sleep(pause).await,
                // What was sent before may be answered as before.
                Ok(done) => return Ok(Done { replayed: done.replayed && tries == 1, tries, ..done }),
                failed => return failed,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            tries += 1;
        }
    }

    /// What stands at `place` in the answer of a step that was done before.
    pub(crate) async fn figure(&mut self, step: &Prepared, place: &Place, values: &Values) -> Option<String> {
        let mut values = values.clone();
        let done = self.perform(step, None, &mut values).await.ok()?;
        match place {
            Place::Body(path) => json::find_text(&done.body, path).map(Into::into),
            Place::Header(_) => None,
        }
    }
}

/// A step that succeeded.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// As it was sent.
    pub(crate) request: Vec<u8>,
    /// Whether the server says that it gave this answer before.
    pub(crate) replayed: bool,
    /// How often it was sent.
    pub(crate) tries: u32,
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
