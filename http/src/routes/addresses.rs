//! `/api/v1/users/{id}/addresses`: where a user has things sent to.

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::user::{self, Command};
use relampago_actors::{Id, Message, Reply};
use relampago_engine::Answered;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::person::MAX_ADDRESS_BYTES;
use super::users::{Target, current_version};
use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::extract::Call;
use crate::fields::Fields;
use crate::json::{IdText, PostalAddress, PostalAddressList};

/// A postal address: any object that the storefront understands.
#[derive(ToSchema)]
pub(crate) struct NewPostalAddress {
    #[schema(value_type = Object, example = json!({"line1": "Calle 1", "city": "Lima", "country": "PE"}))]
    address: String,
}

impl NewPostalAddress {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::parse(body)?;
        let before = fields.faults();
        let address = fields.object("address", MAX_ADDRESS_BYTES);
        if address.is_none() && fields.faults() == before {
            fields.fault("address", "is required".into());
        }
        let address = fields.finish(address)?;
        Ok(Self { address: address.to_owned() })
    }
}

/// Lists the postal addresses of a user.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/addresses", tag = "users",
    params(("id" = String, Path, description = "An id, or `me`.")),
    responses(
        (status = 200, description = "All of them, oldest first.", body = PostalAddressList),
        (status = 404, description = "`user_not_found`"),
    ),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let answered = call.ask_for_shop(target.at(), Message::User(Command::Addresses)).await?;
    let Reply::PostalAddresses(addresses) = &answered.reply else { return Err(Problem::unexpected_reply()) };
    let items = addresses.iter().map(|address| clear(&call, address)).collect::<Result<_, _>>()?;
    answer::report(&PostalAddressList { items }, Stamp::from(&answered))
}

/// Adds a postal address.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/addresses", tag = "users", request_body = NewPostalAddress,
    params(
        ("id" = String, Path, description = "An id, or `me`."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 201, description = "The address.", body = PostalAddress, headers(("Location" = String))),
        (status = 404, description = "`user_not_found`"),
        (status = 409, description = "`too_many_addresses`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn add(mut call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let key = call.key()?;
    let body = call.body().await?;
    let NewPostalAddress { address } = NewPostalAddress::read(&body)?;
    target.changeable(&call).await?;
    let tag = key.map(|key| call.tag(&key, &body));
    let add = Command::AddAddress { address: call.seal(target.id, &address).await?, tag };
    let answered = call.ask_for_shop(target.at(), Message::User(add)).await?;
    let (id, response) = shown(&call, StatusCode::CREATED, &answered)?;
    Ok(answer::located(response, format_args!("/api/v1/users/{}/addresses/{id}", target.id)))
}

/// Replaces a postal address.
#[utoipa::path(
    put, path = "/api/v1/users/{id}/addresses/{address_id}", tag = "users", request_body = NewPostalAddress,
    params(
        ("id" = String, Path, description = "An id, or `me`."), ("address_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The user's version."),
    ),
    responses(
        (status = 200, description = "The address as it is now.", body = PostalAddress),
        (status = 404, description = "`user_not_found`, `address_not_found`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn replace(mut call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let id = call.id("address_id", Kind::ADDRESS_NOT_FOUND)?;
    let body = call.body().await?;
    let NewPostalAddress { address } = NewPostalAddress::read(&body)?;
    target.changeable(&call).await?;
    let if_version = call.expected_version(current_version(&call, &target)).await?;
    let set = Command::SetAddress { id, address: call.seal(target.id, &address).await?, if_version };
    let answered = call.ask_for_shop(target.at(), Message::User(set)).await?;
    shown(&call, StatusCode::OK, &answered).map(|(_, response)| response)
}

/// Takes a postal address out.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/addresses/{address_id}", tag = "users",
    params(
        ("id" = String, Path, description = "An id, or `me`."), ("address_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The user's version."),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`user_not_found`, `address_not_found`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let target = Target::of(&call)?;
    let id = call.id("address_id", Kind::ADDRESS_NOT_FOUND)?;
    target.changeable(&call).await?;
    let if_version = call.expected_version(current_version(&call, &target)).await?;
    let remove = Command::RemoveAddress { id, if_version };
    let answered = call.ask_for_shop(target.at(), Message::User(remove)).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}

fn shown(call: &Call, status: StatusCode, answered: &Answered) -> Result<(Id, Response), Problem> {
    let Reply::PostalAddress(address) = &answered.reply else { return Err(Problem::unexpected_reply()) };
    let body = clear(call, address)?;
    Ok((address.id, answer::unversioned(status, &body, Stamp::from(answered))?))
}

fn clear(call: &Call, address: &user::PostalAddress) -> Result<PostalAddress, Problem> {
    let text = call.reveal(&address.address)?;
    let address_text = RawValue::from_string(text.to_string()).map_err(|_| Problem::unexpected_reply())?;
    Ok(PostalAddress { id: IdText(address.id), address: address_text })
}
