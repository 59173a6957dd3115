//! Who did what: every call of staff and administrators, and every call of a program that guests may not make, is
//! recorded in the journal.
//!
//! A call that may change something is recorded before it is carried out, and again with its status afterwards: the
//! journal keeps the order, so that no change is durable without its record.

use axum::http::{HeaderMap, StatusCode};
use relampago_actors::access::{Permissions, Role};
use relampago_actors::audit::{Audit, Command, Entry};
use relampago_actors::{Address, Message, Party};
use relampago_engine::Engine;

use crate::access::jwt::claimed_role;
use crate::app::{App, Listed};
use crate::auth::{Access, Caller, bearer};
use crate::error::Problem;
use crate::extract::Call;
use crate::trace;

/// Longest part of a request id or path that is kept, bytes.
const MOST_TEXT: usize = 256;

/// A call that is to be on record.
pub(crate) struct Recorded {
    entry: Entry,
    engine: Engine,
    patience: std::time::Duration,
}

impl Recorded {
    /// The call, if it is to be on record; a call that is refused for want of a permission too.
    pub(crate) fn of(call: &Call, app: &App) -> Option<Self> {
        if !is_recorded(call.caller, call.route()) {
            return None;
        }
        let entry = Entry {
            at: app.engine.now(),
            actor: call.caller.actor(),
            role: call.caller.role(),
            method: call.route().method.to_owned(),
            route: call.route().template.to_owned(),
            path: shortened(call.uri().path()),
            status: 0,
            from: call.source().to_string(),
            request_id: request_id(call.headers()),
        };
        Some(Self { entry, engine: app.engine.clone(), patience: app.request_timeout })
    }

    /// Records that a call is about to be carried out.
    ///
    /// # Errors
    /// If it cannot be recorded: then it must not be carried out.
    pub(crate) async fn begun(&self) -> Result<(), Problem> {
        self.record(self.entry.clone()).await
    }

    /// Records how a call ended.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub(crate) async fn ended(self, status: StatusCode) -> Result<(), Problem> {
        self.record(Entry { status: status.as_u16(), ..self.entry.clone() }).await
    }

    async fn record(&self, entry: Entry) -> Result<(), Problem> {
        let at = Address::audit(Audit::minute_of(entry.at));
        let record = Message::Audit(Command::Record(Box::new(entry)));
        self.engine.ask(at, Party::Shop, record, self.patience).await?;
        Ok(())
    }
}

/// Whether a call of this route is to be on record.
pub(crate) fn is_recorded(caller: Caller, route: Listed) -> bool {
    match (caller, route.access) {
        (_, Access::Open | Access::Anyone) | (Caller::Guest, _) => false,
        (Caller::Account { role, .. }, _) => role != Role::Customer,
        (Caller::Service { .. }, Access::Needs(permission)) => !Permissions::of_guests().allow(permission),
    }
}

/// Whether a call with this token, which nobody has verified, may be one of staff's.
pub(crate) fn may_be_recorded(authorization: &[u8]) -> bool {
    let role = bearer(authorization).and_then(claimed_role);
    role.is_some_and(|role| role != Role::Customer)
}

fn request_id(headers: &HeaderMap) -> String {
    let id = headers.get(trace::REQUEST_ID).and_then(|id| id.to_str().ok());
    id.map_or_else(String::new, shortened)
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
