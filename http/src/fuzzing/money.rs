//! Amounts of money, as texts and as numbers of JSON.

use relampago_actors::line::MAX_QUANTITY;
use relampago_actors::money::{Currency, Decimal, MAX_MINOR, format_minor, line_total};

use crate::fields::{self, Fields};

/// A number, or not: what is read is what was written, to the last digit.
pub fn money(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let body = format!("{{\"price\":{text},\"amount\":\"{text}\"}}");
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if let Ok(mut fields) = Fields::parse(body.as_bytes())
        && is_number
    {
        let both = ["price", "amount"].map(|name| fields.optional(name, fields::decimal));
        let plain = text.parse::<Decimal>().ok().filter(|amount| !amount.is_negative());
        assert_eq!(both, [plain; 2]);
    }
    let Ok(amount) = text.parse::<Decimal>() else { return };
    for code in ["USD", "JPY", "KWD"] {
        let currency: Currency = code.parse().expect("a currency");
        let Ok(minor) = amount.minor(currency) else { continue };
        assert!((0..=MAX_MINOR).contains(&minor) && line_total(minor, MAX_QUANTITY).is_some());
        // A float is good enough to show that no digit was lost, and no zero.
        let about = text.parse::<f64>().expect("a number") * 10f64.powi(i32::from(currency.digits()));
        assert!((about - minor as f64).abs() <= 1e-9 * about.max(1.0), "{text} {code}: {minor}");
        let written = String::from_utf8(format_minor(minor, currency).to_vec()).expect("digits");
        assert_eq!(written.parse::<Decimal>().and_then(|again| again.minor(currency)), Ok(minor));
    }
}
