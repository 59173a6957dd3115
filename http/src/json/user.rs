use relampago_actors::user::View;
use relampago_keys::{Keys, Unreadable};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{IdText, Time};

/// An account, or a guest profile.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    id: IdText,
    #[schema(example = "Ada Lovelace")]
    name: String,
    #[schema(format = Email, example = "ada@example.com")]
    email: String,
    #[schema(example = "+51 1 234 5678")]
    phone: Option<String>,
    /// `customer`, `staff` or `admin`.
    #[schema(example = "customer")]
    role: &'static str,
    /// Whether the address has proved to be the user's.
    email_verified: bool,
    /// Whether it is an account; a guest profile has no password.
    has_password: bool,
    created_at: Time,
    updated_at: Time,
    version: u64,
}

impl User {
    /// # Errors
    /// If the personal data cannot be read.
    pub(crate) fn new(view: &View, keys: &Keys) -> Result<Self, Unreadable> {
        let clear = |personal| keys.reveal(personal).map(|text| text.to_string());
        Ok(Self {
            id: IdText(view.id),
            name: clear(&view.name)?,
            email: clear(&view.email)?,
            phone: view.phone.as_ref().map(clear).transpose()?,
            role: view.role.name(),
            email_verified: view.verified,
            has_password: view.has_password,
            created_at: Time(view.created_at),
            updated_at: Time(view.updated_at),
            version: view.version,
        })
    }
}

/// A postal address of a user: what was given, with its id.
#[derive(Serialize, ToSchema)]
pub(crate) struct PostalAddress {
    pub(crate) id: IdText,
    /// As it was given.
    #[schema(value_type = Object, example = json!({"line1": "Calle 1", "city": "Lima", "country": "PE"}))]
    pub(crate) address: Box<RawValue>,
}

/// All postal addresses of a user, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PostalAddressList {
    pub(crate) items: Vec<PostalAddress>,
}

/// What a sign-in gives.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// To be sent as `Authorization: Bearer`.
    pub(crate) access_token: String,
    #[schema(example = "Bearer")]
    pub(crate) token_type: &'static str,
    /// How long the access token is good for, seconds.
    #[schema(example = 900)]
    pub(crate) expires_in: u64,
    /// Good for one refresh.
    pub(crate) refresh_token: String,
    /// How long the session lives unless it is refreshed, seconds.
    #[schema(example = 2_592_000)]
    pub(crate) refresh_expires_in: u64,
    pub(crate) user_id: IdText,
    pub(crate) session_id: IdText,
}
