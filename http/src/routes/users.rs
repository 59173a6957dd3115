//! `/api/v1/users`: accounts and guest profiles. `me` stands for the caller's own id.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::access::{Permission, Role};
use relampago_actors::user::{Authority, Change, Command, Profile, Registration, View};
use relampago_actors::{Address, Id, Message, Reply};
use relampago_config::Locale;
use relampago_engine::Answered;
use utoipa::ToSchema;

use super::person::{self, new_email};
use super::sessions::owner_of;
use crate::access::password_rules::check_password;
use crate::access::passwords::Plain;
use crate::answer::{self, Stamp};
use crate::auth::Caller;
use crate::error::{Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::idempotency::id_for;
use crate::json::User;

/// Roles by the names that requests have for them.
pub(crate) const ROLES: &[(&str, Role)] =
    &[("customer", Role::Customer), ("staff", Role::Staff), ("admin", Role::Admin)];

/// Whom a request is about, and as whom the caller may deal with them.
pub(super) struct Target {
    pub(super) id: Id,
    pub(super) authority: Authority,
}

impl Target {
    /// # Errors
    /// 404 for another's id, unless the caller looks after users.
    pub(super) fn of(call: &Call) -> Result<Self, Problem> {
        let named = call.param("id").filter(|text| *text != "me").map(str::parse::<Id>).transpose();
        let named = named.map_err(|_| missing())?;
        let own = call.caller.user();
        match (named, own) {
            (None, Some(own)) => Ok(Self { id: own, authority: Authority::Owner }),
            (Some(id), Some(own)) if id == own => Ok(Self { id, authority: Authority::Owner }),
            (Some(id), _) if call.caller.may(Permission::UsersManage) => {
                let admin = call.caller.may(Permission::RolesGrant);
                Ok(Self { id, authority: if admin { Authority::Admin } else { Authority::Staff } })
            }
            _ => Err(missing()),
        }
    }

    /// The target's version, where the caller may change them.
    ///
    /// # Errors
    /// 404 if there is no such user; 403 for staff who are to change other staff.
    pub(super) async fn changeable(&self, call: &Call) -> Result<u64, Problem> {
        let answered = call.ask_for_shop(self.at(), Message::User(Command::Get)).await?;
        let view = user(&answered.reply)?;
        if self.authority == Authority::Staff && view.role != Role::Customer {
            return Err(Problem::new(Kind::FORBIDDEN, "Staff change customers only."));
        }
        Ok(view.version)
    }

    pub(super) fn at(&self) -> Address {
        Address::user(self.id)
    }
}

fn missing() -> Problem {
    Problem::new(Kind::USER_NOT_FOUND, "There is no such user.")
}

/// Somebody to be known to the shop.
#[derive(ToSchema)]
pub(crate) struct NewUser {
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Ada Lovelace")]
    name: Arc<str>,
    /// Nobody else may have it.
    #[schema(value_type = String, format = Email, example = "ada@example.com")]
    email: Arc<str>,
    /// 8 to 128 characters, none of the commonest. Without one it is a guest profile, which its owner can claim
    /// later by a password reset.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<Plain>,
    #[schema(value_type = Option<String>, min_length = 3, max_length = 40, example = "+51 1 234 5678")]
    phone: Option<Arc<str>>,
    /// For administrators to set: `customer`, `staff` or `admin`.
    #[schema(value_type = Option<String>, example = "customer")]
    role: Option<Role>,
}

impl NewUser {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.required("name", person::name);
        let email = fields.required("email", person::email);
        let password = fields.optional("password", person::password);
        let phone = fields.optional("phone", person::phone);
        let role = fields.optional("role", fields::one_of(ROLES));
        let new = Self { name: name?, email: email?, password, phone, role };
        check_new_password(fields, "password", new.password.as_ref(), &new.email, &new.name);
        Some(new)
    }
}

/// Notes what is wrong with a password that somebody wants to have.
pub(super) fn check_new_password(
    fields: &mut Fields<'_>,
    field: &'static str,
    password: Option<&Plain>,
    email: &str,
    name: &str,
) {
    if let Some(Err(fault)) = password.map(|password| check_password(password.expose(), email, name)) {
        fields.fault(field, fault.into());
    }
}

/// Makes an account, or a guest profile if there is no password.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", request_body = NewUser,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 201, description = "The user.", body = User, headers(("Location" = String))),
        (status = 403, description = "`forbidden`: the role is for administrators to set"),
        (status = 409, description = "`email_taken`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn register(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let new = NewUser::read(&mut fields);
    let NewUser { name, email, password, phone, role } = fields.finish(new)?;
    let role = role.unwrap_or(Role::Customer);
    if role != Role::Customer && !call.caller.may(Permission::RolesGrant) {
        return Err(Problem::new(Kind::FORBIDDEN, "A role is for administrators to set."));
    }

    let tag = key.map(|key| call.secret_tag(&key, &body));
    let id = id_for(call.secret(), "user", tag);
    refuse_taken(&call, id, &email).await?;
    let password = match password {
        Some(password) => Some(call.hash_password(password).await?),
        None => None,
    };
    let name = call.seal(id, &name).await?;
    let phone = match phone {
        Some(phone) => Some(call.seal(id, &phone).await?),
        None => None,
    };
    let register = Registration {
        profile: Profile { name, phone },
        email: new_email(&call, id, &email).await?,
        password,
        role,
        locale: u8::from(call.locale() == Locale::Es),
        tag,
    };
    let register = Message::User(Command::Register(Box::new(register)));
    let answered = call.ask_for_shop(Address::user(id), register).await?;
    let response = shown(&call, StatusCode::CREATED, &answered)?;
    Ok(answer::located(response, format_args!("/api/v1/users/{id}")))
}

/// Refuses an address that is somebody else's before anything is kept of who asks; only the claim knows for sure.
///
/// # Errors
/// 409 if it is taken.
async fn refuse_taken(call: &Call, id: Id, email: &str) -> Result<(), Problem> {
    match owner_of(call, person::claim_on(call, email)).await? {
        Some(owner) if owner != id => Err(Problem::new(Kind::EMAIL_TAKEN, "The e-mail address is taken.")),
        _ => Ok(()),
    }
}

/// Shows a user.
#[utoipa::path(
    get, path = "/api/v1/users/{id}", tag = "users",
    params(
        ("id" = String, Path, description = "An id, or `me`."),
        ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "The user.", body = User),
        (status = 304, description = "It is as the caller has it."),
        (status = 404, description = "`user_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let answered = call.ask_for_shop(target.at(), Message::User(Command::Get)).await?;
    let view = user(&answered.reply)?;
    let body = call.reveal_user(view)?;
    answer::shown(call.headers(), &body, ETag::version(view.version), Stamp::from(&answered))
}

/// What is to be different of a user.
#[derive(ToSchema)]
pub(crate) struct UserPatch {
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    name: Option<Arc<str>>,
    /// Has to be verified anew.
    #[schema(value_type = String, required = false, format = Email)]
    email: Option<Arc<str>>,
    /// Null for none.
    #[schema(value_type = Option<String>, min_length = 3, max_length = 40)]
    phone: Option<Option<Arc<str>>>,
    /// For administrators to set. It ends all sessions of the user.
    #[schema(value_type = String, required = false, example = "staff")]
    role: Option<Role>,
}

impl UserPatch {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            name: fields.changed("name", person::name),
            email: fields.changed("email", person::email),
            phone: fields.present("phone", person::phone),
            role: fields.changed("role", fields::one_of(ROLES)),
        }
    }
}

/// Changes a user.
#[utoipa::path(
    patch, path = "/api/v1/users/{id}", tag = "users", request_body = UserPatch,
    params(
        ("id" = String, Path, description = "An id, or `me`."),
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "The user as it is now.", body = User),
        (status = 403, description = "`forbidden`: staff change customers only, and roles are for administrators to set"),
        (status = 404, description = "`user_not_found`"),
        (status = 409, description = "`email_taken`, `change_in_progress`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn change(mut call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let patch = UserPatch::read(&mut fields);
    let UserPatch { name, email, phone, role } = fields.finish(Some(patch))?;
    let if_version = call.expected_version(current_version(&call, &target)).await?;
    // Before a key is made for somebody who is not there.
    target.changeable(&call).await?;

    let (mut change, id) = (Change { role, ..Change::default() }, target.id);
    if let Some(name) = name {
        change.name = Some(call.seal(id, &name).await?);
    }
    if let Some(phone) = phone {
        change.phone = Some(match phone {
            Some(phone) => Some(call.seal(id, &phone).await?),
            None => None,
        });
    }
    if let Some(email) = email {
        change.email = Some(new_email(&call, id, &email).await?);
    }
    let authority = target.authority;
    let change = Command::Change { change: Box::new(change), authority, if_version, tag: None };
    let answered = call.ask_for_shop(target.at(), Message::User(change)).await?;
    shown(&call, StatusCode::OK, &answered)
}

/// Erases a user: personal data is made unreadable everywhere, also in what was written before. Orders stay, without
/// it.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "users",
    params(
        ("id" = String, Path, description = "An id, or `me`."),
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 403, description = "`forbidden`: staff erase customers only"),
        (status = 404, description = "`user_not_found`"),
        (status = 409, description = "`change_in_progress`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn erase(call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let if_version = call.expected_version(current_version(&call, &target)).await?;
    let erase = Command::Erase { authority: target.authority, if_version };
    let answered = call.ask_for_shop(target.at(), Message::User(erase)).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}

/// Lists the orders of a user, newest first.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/orders", tag = "users",
    params(
        ("id" = String, Path, description = "An id, or `me`."),
        ("status" = Option<String>, Query, description = "Where they stand, by the English or Spanish name."),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page of orders.", body = crate::json::OrderList<'_>),
        (status = 404, description = "`user_not_found`"),
    ),
)]
pub(crate) async fn orders(call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    current_version(&call, &target).await?;
    super::orders::page_of(&call, |_| Ok(Some(target.id))).await
}

pub(super) async fn current_version(call: &Call, target: &Target) -> Result<u64, Problem> {
    let answered = call.ask_for_shop(target.at(), Message::User(Command::Get)).await?;
    user(&answered.reply).map(|view| view.version)
}

fn shown(call: &Call, status: StatusCode, answered: &Answered) -> Result<Response, Problem> {
    let view = user(&answered.reply)?;
    answer::entity(status, &call.reveal_user(view)?, ETag::version(view.version), Stamp::from(answered))
}

fn user(reply: &Reply) -> Result<&View, Problem> {
    match reply {
        Reply::User(view) => Ok(view),
        _ => Err(Problem::unexpected_reply()),
    }
}

/// Who a `user_id` in a request is: the caller's own account unless another is named, which is for who manages orders.
///
/// # Errors
/// 403 for everybody else.
pub(super) fn buyer(caller: Caller, named: Option<Id>) -> Result<Option<Id>, Problem> {
    match caller {
        _ if named.is_some() && named == caller.user() => Ok(named),
        _ if caller.may(Permission::OrdersManage) => Ok(named),
        _ if named.is_none() => Ok(caller.user()),
        _ => Err(Problem::new(Kind::FORBIDDEN, "A user_id other than the caller's is for staff.")),
    }
}
