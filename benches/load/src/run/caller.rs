//! One step at a time, outside of the load: the set-up, what is watched, and the audit.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::connection::{Answer, Broken, Connection};
use super::json;
use super::prepared::{Prepared, look_up};
use crate::record::{Kind, Outcome};
use crate::scenario::answer::Place;
use crate::scenario::template::Values;
use crate::target::Target;

const RETRY_EVERY: Duration = Duration::from_millis(100);
/// What is shown of an answer that was not expected.
const MOST_SHOWN: usize = 300;

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
    ) -> Result<(&Connection, Answer), String> {
        let mut connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => self.connect().await.map_err(|broken| broken.to_string())?,
        };
        let answer = timeout(within, connection.exchange(request, bodiless)).await;
        let answer = answer.map_err(|_| format!("no answer within {within:?}"))?;
        let answer = answer.map_err(|broken| broken.to_string())?;
        let connection = self.connection.insert(connection);
        Ok((connection, answer))
    }

    async fn connect(&self) -> Result<Connection, Broken> {
        let down = || Broken::Connect(std::io::ErrorKind::ConnectionRefused.into());
        Connection::open(self.target.current().ok_or_else(down)?).await
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
    ) -> Result<Done, String> {
        let name = step.step.name.clone();
        let (mut request, mut body) = (std::mem::take(&mut self.request), std::mem::take(&mut self.body));
        let written = step.request.write(values, &mut body, &mut request);
        let done = match written {
            Ok(()) => self.send(step, code, values, &request).await,
            Err(error) => Err(error.to_string()),
        };
        let sent = request.clone();
        (self.request, self.body) = (request, body);
        match done {
            Ok((status, body)) => Ok(Done { status, body, request: sent }),
            Err(problem) => Err(format!("{name}: {problem}")),
        }
    }

    async fn send(
        &mut self,
        step: &Prepared,
        code: Option<&Place>,
        values: &mut Values,
        request: &[u8],
    ) -> Result<(u16, Vec<u8>), String> {
        let (connection, answer) = self.ask(request, step.request.bodiless, step.step.timeout).await?;
        let body = connection.body_of(&answer);
        let found =
            code.filter(|_| answer.status >= 400).and_then(|place| look_up(connection, &answer, place));
        let outcome = Outcome::Status { status: answer.status, code: found.as_deref() };
        if step.judge(&outcome) != Kind::Ok {
            return Err(format!("answered {}: {}", outcome.label(), shown(body)));
        }
        for (slot, place) in &step.step.captures {
            let text = look_up(connection, &answer, place);
            let text = text.ok_or_else(|| format!("nothing at {place} in {}", shown(body)))?;
            values.set(*slot, text.as_bytes());
        }
        for check in &step.step.checks {
            check.holds(|place| look_up(connection, &answer, place), values)?;
        }
        Ok((answer.status, body.to_vec()))
    }

    /// [`Self::perform`], again and again until it succeeds or `patience` is over; then the last failure.
    pub(crate) async fn persist(
        &mut self,
        step: &Prepared,
        code: Option<&Place>,
        values: &mut Values,
        patience: Duration,
    ) -> Result<Done, String> {
        let began = Instant::now();
        loop {
            match self.perform(step, code, values).await {
                Err(_) if began.elapsed() < patience => sleep(RETRY_EVERY).await,
                done => return done,
            }
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
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
