use relampago_actors::access::Permissions;
use relampago_actors::api_keys::View;
use relampago_actors::audit::{Actor, Entry};
use serde::Serialize;
use utoipa::ToSchema;

use super::{IdText, Time};

/// A key with which a program calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey<'a> {
    id: IdText,
    #[schema(example = "storefront")]
    name: &'a str,
    /// What it may do.
    #[schema(example = json!(["orders:place", "orders:use"]))]
    scopes: Vec<&'static str>,
    created_at: Time,
    /// The account that made it; null if the key that the shop was set up with did.
    created_by: Option<IdText>,
    expires_at: Option<Time>,
    /// To within a minute.
    last_used_at: Option<Time>,
    revoked_at: Option<Time>,
    /// The key itself: shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl<'a> ApiKey<'a> {
    pub(crate) fn new(view: &'a View) -> Self {
        Self {
            id: IdText(view.id),
            name: &view.name,
            scopes: scopes(view.permissions),
            created_at: Time(view.created_at),
            created_by: view.created_by.map(IdText),
            expires_at: view.expires_at.map(Time),
            last_used_at: view.last_used_at.map(Time),
            revoked_at: view.revoked_at.map(Time),
            key: None,
        }
    }

    /// With the key itself.
    pub(crate) fn made(view: &'a View, key: String) -> Self {
        Self { key: Some(key), ..Self::new(view) }
    }
}

fn scopes(permissions: Permissions) -> Vec<&'static str> {
    permissions.iter().map(relampago_actors::access::Permission::scope).collect()
}

/// All API keys, oldest first; those that ended are among them for a while.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyList<'a> {
    pub(crate) items: Vec<ApiKey<'a>>,
}

/// What somebody of the shop did, or tried.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    at: Time,
    /// `user`, `api_key`, `bootstrap_key` or `guest`.
    #[schema(example = "user")]
    actor: &'static str,
    /// The account or the API key.
    actor_id: Option<IdText>,
    /// The account's role.
    #[schema(example = "staff")]
    role: Option<&'static str>,
    #[schema(example = "PATCH")]
    method: String,
    /// The route, with its parameters by name.
    #[schema(example = "/api/v1/products/{id}")]
    route: String,
    path: String,
    /// The status of the answer; null if there was none: the server went down meanwhile.
    #[schema(example = 200)]
    status: Option<u16>,
    /// The network address it came from.
    #[schema(example = "192.0.2.7")]
    from: String,
    request_id: String,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let (actor, id) = match entry.actor {
            Actor::User(id) => ("user", Some(id)),
            Actor::Key(id) => ("api_key", Some(id)),
            Actor::Bootstrap => ("bootstrap_key", None),
            Actor::Guest => ("guest", None),
        };
        Self {
            at: Time(entry.at),
            actor,
            actor_id: id.map(IdText),
            role: entry.role.map(relampago_actors::access::Role::name),
            method: entry.method,
            route: entry.route,
            path: entry.path,
            status: (entry.status != 0).then_some(entry.status),
            from: entry.from,
            request_id: entry.request_id,
        }
    }
}

/// A page of what was done, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditList {
    pub(crate) items: Vec<AuditEntry>,
    pub(crate) next_cursor: Option<String>,
}

/// A letter that the embedded mailbox holds instead of sending it.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeldLetter {
    pub(crate) id: IdText,
    pub(crate) at: Time,
    #[schema(format = Email)]
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// Letters, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeldLetterList {
    pub(crate) items: Vec<HeldLetter>,
}

/// Which key is used from now on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rotated {
    /// `signing` or `personal_data`.
    #[schema(example = "signing")]
    pub(crate) keys: &'static str,
    /// The new key's name.
    pub(crate) active: String,
}
