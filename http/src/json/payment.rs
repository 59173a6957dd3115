use relampago_actors::payment::{SubStatus, View};
use relampago_config::Locale;
use serde::Serialize;
use utoipa::ToSchema;

use super::{CurrencyCode, IdText, Money, Time, method_name};
use crate::locale;

/// The one provider there is.
const PROVIDER: &str = "simulator";

/// A payment: one try to pay one order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Payment<'a> {
    id: IdText,
    order_id: IdText,
    amount: Money,
    currency: CurrencyCode,
    /// `credit_card`, `debit_card` or `paypal`.
    #[schema(example = "credit_card")]
    payment_method: &'static str,
    #[schema(example = "simulator")]
    provider: &'static str,
    /// `pending`, `approved`, `rejected` or `refunded`.
    #[schema(example = "approved")]
    status: &'static str,
    /// The status in the language of `Accept-Language`: `en` or `es`.
    #[schema(example = "Approved")]
    status_label: &'static str,
    /// Finer: `awaiting_provider`, `requires_action`, `authorized`, `partially_refunded` or `voided`.
    sub_status: Option<&'static str>,
    /// Why it was rejected, such as `card_declined`.
    failure_code: Option<&'a str>,
    /// Money given back, oldest first.
    refunds: Vec<Refund<'a>>,
    created_at: Time,
    updated_at: Time,
    version: u64,
}

/// Money given back.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refund<'a> {
    amount: Money,
    #[schema(example = "damaged")]
    reason: &'a str,
    at: Time,
}

impl<'a> Payment<'a> {
    pub(crate) fn new(view: &'a View, locale: Locale) -> Self {
        let refund = |refund: &'a relampago_actors::payment::Refund| Refund {
            amount: Money::new(refund.amount, view.currency),
            reason: &refund.reason,
            at: Time(refund.at),
        };
        Self {
            id: IdText(view.id),
            order_id: IdText(view.order),
            amount: Money::new(view.amount, view.currency),
            currency: CurrencyCode(view.currency),
            payment_method: method_name(view.method),
            provider: PROVIDER,
            status: locale::payment_code(view.status),
            status_label: locale::payment_label(view.status, locale),
            sub_status: view.sub_status.map(sub_status),
            failure_code: view.failure_code.as_deref(),
            refunds: view.refunds.iter().map(refund).collect(),
            created_at: Time(view.created_at),
            updated_at: Time(view.updated_at),
            version: view.version,
        }
    }
}

fn sub_status(sub_status: SubStatus) -> &'static str {
    match sub_status {
        SubStatus::AwaitingProvider => "awaiting_provider",
        SubStatus::RequiresAction => "requires_action",
        SubStatus::Authorized => "authorized",
        SubStatus::PartiallyRefunded => "partially_refunded",
        SubStatus::Voided => "voided",
    }
}
