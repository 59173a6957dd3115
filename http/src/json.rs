//! The shapes that answers have in JSON. They borrow from the engine's views and are written once.

mod access;
mod cart;
mod history;
mod inventory;
mod list;
mod order;
mod payment;
mod product;
mod user;

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use relampago_actors::money::{self, Currency, Decimal};
use relampago_actors::payment::Method;
use relampago_actors::{Id, Millis};
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::text::Text;

pub(crate) use access::{ApiKey, ApiKeyList, AuditEntry, AuditList, HeldLetter, HeldLetterList, Rotated};
pub(crate) use cart::Cart;
pub(crate) use history::{History, HistoryEvent};
pub(crate) use inventory::Inventory;
pub(crate) use list::{OrderList, ProductList};
pub(crate) use order::{Line, Order};
pub(crate) use payment::Payment;
pub(crate) use product::Product;
pub(crate) use user::{PostalAddress, PostalAddressList, Tokens, User};

/// Ways to pay, by the names that requests and answers have for them.
pub(crate) const METHODS: &[(&str, Method)] =
    &[("credit_card", Method::CreditCard), ("debit_card", Method::DebitCard), ("paypal", Method::Paypal)];

fn method_name(method: Method) -> &'static str {
    match method {
        Method::CreditCard => "credit_card",
        Method::DebitCard => "debit_card",
        Method::Paypal => "paypal",
    }
}

/// An id, written as a UUID.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = String, format = Uuid, example = "0192f0c1-2345-7abc-8def-0123456789ab")]
pub(crate) struct IdText(pub(crate) Id);

impl Serialize for IdText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Hex digits and dashes: the fallback is never taken, and `from_utf8` costs less than formatting.
        serializer.serialize_str(std::str::from_utf8(&self.0.encode()).unwrap_or_default())
    }
}

/// A decimal number with the digits of its currency, in a string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// So many minor units.
    pub(crate) fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }
}

impl PartialSchema for Money {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).examples(["19.99"]);
        text.description(Some("A decimal number with the digits of its currency.")).into()
    }
}

impl ToSchema for Money {}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Digits and a point: the fallback is never taken.
        let text = money::format_minor(self.minor, self.currency);
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A decimal number as requests have it: a string or a number, read digit by digit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount(pub(crate) Decimal);

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let of = |kind| ObjectBuilder::new().schema_type(kind).build();
        let schema = OneOfBuilder::new().item(of(Type::String)).item(of(Type::Number));
        schema.description(Some("A decimal number in a string or as a number.")).examples(["19.99"]).into()
    }
}

impl ToSchema for Amount {}

/// An ISO 4217 code.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = String, example = "USD")]
pub(crate) struct CurrencyCode(pub(crate) Currency);

impl Serialize for CurrencyCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code())
    }
}

/// A moment in UTC, as RFC 3339 has it, to the millisecond.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2025-11-28T08:00:00.000Z")]
pub(crate) struct Time(pub(crate) Millis);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&rfc3339(self.0)).unwrap_or_default())
    }
}

/// `2024-11-22T00:00:00.007Z`.
type Rfc3339 = [u8; 24];

/// A second, and its text.
type Second = (u64, Rfc3339);

thread_local! {
    /// The two seconds that were written last: most answers hold times of now, and one when something ends.
    static SECONDS: Cell<[Second; 2]> = const { Cell::new([(u64::MAX, [0; 24]); 2]) };
}

fn rfc3339(at: Millis) -> Rfc3339 {
    let (second, millis) = (at / 1000, at % 1000);
    let known = SECONDS.get();
    let mut text = match known.iter().find(|(known, _)| *known == second) {
        Some((_, text)) => *text,
        None => {
            let text = second_text(second);
            SECONDS.set([(second, text), known[0]]);
            text
        }
    };
    for (place, unit) in [(20, 100), (21, 10), (22, 1)] {
        text[place] = b'0' + (millis / unit % 10) as u8;
    }
    text
}

fn second_text(second: u64) -> Rfc3339 {
    let written = Text::of(humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs(second)));
    // Years have four digits until 9999, which humantime sees to: the fallback is never taken.
    Rfc3339::try_from(written.as_bytes()).unwrap_or([b'0'; 24])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scalars_have_one_form() {
        let table = [
            (
                serde_json::to_string(&IdText(Id(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab))),
                "0192f0c1-2345-7abc-8def-0123456789ab",
            ),
            (serde_json::to_string(&Money::new(1999, Currency::USD)), "19.99"),
            (serde_json::to_string(&Money::new(5, "JPY".parse().unwrap())), "5"),
            (serde_json::to_string(&CurrencyCode(Currency::USD)), "USD"),
            (serde_json::to_string(&Time(1_732_233_600_007)), "2024-11-22T00:00:00.007Z"),
        ];
        for (written, expected) in table {
            assert_eq!(written.unwrap(), format!("\"{expected}\""));
        }
    }

    #[test]
    fn times_are_written_to_the_millisecond_whatever_was_written_before() {
        let day = 86_400_000;
        for at in
            [0, 1, 999, 1000, 1_732_233_600_007, 1_732_233_600_999, 1_732_233_601_000, 1_709_164_800_000, 7]
        {
            for at in [at, at + day, at] {
                let expected = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at));
                assert_eq!(std::str::from_utf8(&rfc3339(at)).unwrap(), expected.to_string());
            }
        }
    }

    #[test]
    fn every_method_has_the_name_it_is_read_by() {
        for (name, method) in METHODS {
            assert_eq!(method_name(*method), *name);
        }
    }
}
