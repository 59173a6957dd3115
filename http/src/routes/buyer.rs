//! How requests say who buys.

use std::sync::Arc;

use relampago_actors::order::Buyer;
use relampago_actors::payment::Method;
use relampago_actors::personal::Personal;
use relampago_actors::{Id, Millis};
use relampago_engine::Engine;
use utoipa::ToSchema;

use super::person::{self, MAX_ADDRESS_BYTES};
use super::users::buyer;
use crate::auth::Caller;
use crate::error::Problem;
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::json::METHODS;

/// Personal data of guests is sealed under one key for so long a time, ms: thirty days. Destroying the key erases all
/// of that time.
const GUEST_KEY_MS: Millis = 30 * 24 * 60 * 60 * 1000;

/// Who buys; all of it may be left out.
#[derive(Debug, Default, PartialEq, ToSchema)]
#[schema(as = Buyer)]
pub(crate) struct BuyerBody {
    /// The account: the caller's own, or anybody's for staff.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub(super) user_id: Option<Id>,
    /// Where to write to.
    #[schema(value_type = Option<String>, format = Email, example = "ada@example.com")]
    email: Option<Arc<str>>,
    /// Where to send to: any object.
    #[schema(value_type = Option<Object>, example = json!({"street": "Calle 1", "city": "Lima", "country": "PE"}))]
    shipping_address: Option<String>,
    /// How they mean to pay: `credit_card`, `debit_card` or `paypal`.
    #[schema(value_type = Option<String>, example = "credit_card")]
    payment_method: Option<Method>,
}

impl BuyerBody {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let address = fields.object("shipping_address", MAX_ADDRESS_BYTES);
        Self {
            user_id: fields.optional("user_id", fields::id),
            email: fields.optional("email", person::email),
            shipping_address: address.map(str::to_owned),
            payment_method: fields.optional("payment_method", fields::one_of(METHODS)),
        }
    }

    /// As [`BuyerBody::buyer`], if that can be told at once: the key is at hand, and nothing is refused.
    pub(super) fn buyer_at_once(self, caller: Caller, engine: &Engine) -> Option<Buyer> {
        let user = buyer(caller, self.user_id).ok()?;
        let keys = engine.keys();
        // Once: an order's data lies under one key, also where the period of guests ends.
        let owner = user.unwrap_or_else(|| guests_of(engine.now()));
        let seal = |text: &str| keys.seal(keys.existing_key_of(owner)?, text).ok();
        // The outer `None` is for what cannot be sealed now, the inner for what was not given.
        let sealed = |text: Option<&str>| text.map_or(Some(None), |text| seal(text).map(Some));
        Some(Buyer {
            user,
            email: sealed(self.email.as_deref())?,
            shipping_address: sealed(self.shipping_address.as_deref())?,
            payment_method: self.payment_method,
        })
    }

    /// Who it is, with personal data sealed under the account's key, or under that of all guests of these days.
    ///
    /// # Errors
    /// 403 for an account that the caller may not buy for; 404 if it was erased.
    pub(super) async fn buyer(self, call: &Call) -> Result<Buyer, Problem> {
        let user = buyer(call.caller, self.user_id)?;
        if self.email.is_none() && self.shipping_address.is_none() {
            return Ok(Buyer {
                user,
                email: None,
                shipping_address: None,
                payment_method: self.payment_method,
            });
        }
        let owner = user.unwrap_or_else(|| guests_of(call.engine().now()));
        Ok(Buyer {
            user,
            email: sealed(call, owner, self.email.as_deref()).await?,
            shipping_address: sealed(call, owner, self.shipping_address.as_deref()).await?,
            payment_method: self.payment_method,
        })
    }
}

async fn sealed(call: &Call, owner: Id, text: Option<&str>) -> Result<Option<Personal>, Problem> {
    match text {
        Some(text) => call.seal(owner, text).await.map(Some),
        None => Ok(None),
    }
}

/// Who stands for the guests of a time where keys have owners.
fn guests_of(now: Millis) -> Id {
    Id::derived("guests", &[&(now / GUEST_KEY_MS).to_be_bytes()])
}
