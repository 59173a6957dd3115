//! How requests say who buys.

use std::sync::Arc;

use relampago_actors::Id;
use relampago_actors::order::Buyer;
use relampago_actors::payment::Method;
use relampago_actors::personal::Personal;
use utoipa::ToSchema;

use crate::fields::{self, Fault, Fields};
use crate::json::METHODS;

/// Longest e-mail address that can be delivered to (RFC 5321), characters.
const MAX_EMAIL: usize = 254;
const MAX_ADDRESS_BYTES: usize = 8 * 1024;

/// Who buys; all of it may be left out.
#[derive(ToSchema)]
#[schema(as = Buyer)]
pub(crate) struct BuyerBody {
    /// The account; staff only.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub(super) user_id: Option<Id>,
    /// Where to write to.
    #[schema(value_type = Option<String>, format = Email, example = "ada@example.com")]
    email: Option<Arc<str>>,
    /// Where to send to: any object.
    #[schema(value_type = Option<Object>, example = json!({"street": "Calle 1", "city": "Lima", "country": "PE"}))]
    shipping_address: Option<Personal>,
    /// How they mean to pay: `credit_card`, `debit_card` or `paypal`.
    #[schema(value_type = Option<String>, example = "credit_card")]
    payment_method: Option<Method>,
}

impl BuyerBody {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let address = fields.object("shipping_address", MAX_ADDRESS_BYTES);
        Self {
            user_id: fields.optional("user_id", fields::id),
            email: fields.optional("email", email),
            shipping_address: address.map(Personal::clear),
            payment_method: fields.optional("payment_method", fields::one_of(METHODS)),
        }
    }

    pub(super) fn buyer(self) -> Buyer {
        Buyer {
            user: self.user_id,
            email: self.email.as_deref().map(Personal::clear),
            shipping_address: self.shipping_address,
            payment_method: self.payment_method,
        }
    }
}

/// Something, an at sign, something: whether it can be delivered to shows when it is tried.
fn email(raw: &serde_json::value::RawValue) -> Result<Arc<str>, Fault> {
    let text = fields::text(3..=MAX_EMAIL)(raw)?;
    let parts = text.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if parts.is_some() && plain { Ok(text) } else { Err("must be an e-mail address".into()) }
}
