//! `/api/v1/admin/...` and the published keys: who did what, rotation of keys, and the embedded mailbox.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::audit::{Actor, Command, Entry};
use relampago_actors::keys::Seen;
use relampago_actors::{Address, Id, Message, Millis, Rejection, Reply, Sequence};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::access::gate::GateError;
use crate::answer;
use crate::error::Problem;
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::json::{AuditEntry, AuditList, HeldLetter, HeldLetterList, IdText, Rotated, Time};
use crate::page::{Cursor, ListQuery, SortKey};

/// Publishes the keys that access tokens are verified with (RFC 7517).
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, description = "A JWK set.", body = Object)),
)]
pub(crate) async fn jwks(call: Call) -> Result<Response, Problem> {
    answer::json(StatusCode::OK, &call.app.access.issuer.jwks())
}

/// Which keys are to be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Signing,
    PersonalData,
}

const WHICH: &[(&str, Which)] = &[("signing", Which::Signing), ("personal_data", Which::PersonalData)];

/// Keys to be replaced.
#[derive(ToSchema)]
pub(crate) struct Rotation {
    /// `signing`: access tokens are signed with a new key; the old one verifies until its tokens have expired.
    /// `personal_data`: the data keys are wrapped under a new master key.
    #[schema(value_type = String, example = "signing")]
    #[expect(dead_code, reason = "read by its name")]
    keys: Arc<str>,
}

/// Replaces keys, while the shop goes on.
#[utoipa::path(
    post, path = "/api/v1/admin/keys/rotate", tag = "security", request_body = Rotation,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses((status = 200, description = "The key that is used from now on.", body = Rotated)),
)]
pub(crate) async fn rotate(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let which = fields.required("keys", fields::one_of(WHICH));
    let which = fields.finish(which)?;
    let tag = key.map(|key| call.tag(&key, &body));
    // One after the other, so that a repetition meets the first.
    let mut done = call.app.access.rotations.lock().await;
    match done.look_up(tag) {
        Seen::Same(active) => return rotated(which, active),
        Seen::Other => return Err(Rejection::KeyReused.into()),
        Seen::Never => {}
    }
    let (keys, now) = (Arc::clone(call.engine().keys()), call.engine().now());
    let access = Arc::clone(&call.app.access);
    let rotating = spawn_blocking(move || match which {
        Which::Signing => access.rotate_signing(&keys, now),
        Which::PersonalData => Ok(keys.rotate_master(now)?.to_string()),
    });
    let active: Result<String, GateError> = rotating.await.map_err(|error| Problem::internal(&error))?;
    let active = active.map_err(|error| Problem::internal(&error))?;
    if let Some(tag) = tag {
        done.insert(tag, now, active.clone());
    }
    rotated(which, &active)
}

fn rotated(which: Which, active: &str) -> Result<Response, Problem> {
    let keys = WHICH.iter().find(|(_, known)| *known == which).map_or("", |(name, _)| name);
    answer::json(StatusCode::OK, &Rotated { keys, active: active.to_owned() })
}

/// Shows the letters that the embedded mailbox holds, the newest first.
#[utoipa::path(
    get, path = "/api/v1/admin/mail", tag = "security",
    params(
        ("to" = Option<String>, Query, description = "Only to this address."),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50."),
    ),
    responses((status = 200, description = "The letters.", body = HeldLetterList)),
)]
pub(crate) async fn mail(call: Call) -> Result<Response, Problem> {
    let mut query = ListQuery::of(call.uri())?;
    let limit = query.limit();
    let to = query.get("to").map(str::to_owned);
    query.finish()?;
    let letters = call.engine().mailbox().newest(to.as_deref(), limit);
    let items = letters.into_iter().map(|(at, letter)| HeldLetter {
        id: IdText(letter.id),
        at: Time(at),
        to: letter.to,
        subject: letter.subject,
        body: letter.body,
    });
    answer::json(StatusCode::OK, &HeldLetterList { items: items.collect() }).map(answer::private)
}

/// Shows who did what, the newest first: every call of staff and administrators, and every call of a program that
/// guests may not make.
#[utoipa::path(
    get, path = "/api/v1/admin/audit", tag = "security",
    params(
        ("from" = Option<String>, Query, description = "Not before this time (RFC 3339)."),
        ("until" = Option<String>, Query, description = "Not after this time (RFC 3339)."),
        ("actor_id" = Option<String>, Query, description = "Only what this account or API key did."),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of entries.", body = AuditList)),
)]
pub(crate) async fn audit(call: Call) -> Result<Response, Problem> {
    let mut query = ListQuery::of(call.uri())?;
    let limit = query.limit();
    let message = "must be a time as in RFC 3339";
    let from = query.parsed("from", message, time).unwrap_or(0);
    let until = query.parsed("until", message, time).unwrap_or(Millis::MAX);
    let actor: Option<Id> = query.parsed("actor_id", "must be a UUID", |text| text.parse().ok());
    let after = query.cursor(call.secret()).and_then(|cursor| cursor.key.number());
    let paging = query.finish()?;

    let wanted = |sequence: Sequence, entry: &Entry| {
        (from..=until).contains(&entry.at)
            && after.is_none_or(|after| sequence < after)
            && actor.is_none_or(|wanted| is_by(entry.actor, wanted))
    };
    let mut found = Vec::new();
    for minute in call.engine().recorded_minutes(from, until) {
        let asked = call.ask_for_shop(Address::audit(minute), Message::Audit(Command::List)).await?;
        let Reply::Audit(entries) = asked.reply else { return Err(Problem::unexpected_reply()) };
        let entries = settled(entries).into_iter().filter(|(sequence, entry)| wanted(*sequence, entry));
        found.extend(entries);
        if found.len() > limit {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|(sequence, _)| *sequence);
    let next = last.map(|sequence| {
        paging.next(call.secret(), Cursor { key: SortKey::Number(sequence), id: Id(0) }, limit)
    });
    let (next_cursor, _) = next.unzip();
    let items = found.into_iter().map(|(_, entry)| AuditEntry::from(entry)).collect();
    answer::json(StatusCode::OK, &AuditList { items, next_cursor })
}

/// The entries of a minute, the newest first; what was recorded of one call before and after it is one entry, at the
/// place of the first.
fn settled(entries: Vec<(Sequence, Entry)>) -> Vec<(Sequence, Entry)> {
    let mut settled: Vec<(Sequence, Entry)> = Vec::with_capacity(entries.len());
    for (sequence, entry) in entries {
        let begun = settled.iter_mut().rev().find(|(_, known)| {
            known.status == 0 && known.at == entry.at && known.request_id == entry.request_id
        });
        match begun {
            Some((_, known)) if entry.status != 0 => *known = entry,
            _ => settled.push((sequence, entry)),
        }
    }
    settled.reverse();
    settled
}

fn is_by(actor: Actor, wanted: Id) -> bool {
    matches!(actor, Actor::User(id) | Actor::Key(id) if id == wanted)
}

fn time(text: &str) -> Option<Millis> {
    let at = humantime::parse_rfc3339_weak(text).ok()?;
    Millis::try_from(at.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}
