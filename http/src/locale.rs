//! Languages: which one a caller wants, and what statuses are called in it.

use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::{HeaderMap, HeaderValue};
use relampago_actors::{order, payment};
use relampago_config::Locale;

/// The language that the caller likes best among ours, or `fallback`.
pub(crate) fn preferred(headers: &HeaderMap, fallback: Locale) -> Locale {
    preferred_of(headers.get_all(ACCEPT_LANGUAGE).iter().map(HeaderValue::as_bytes), fallback)
}

/// As [`preferred`], of the values of `Accept-Language`.
pub(crate) fn preferred_of<'a>(values: impl Iterator<Item = &'a [u8]>, fallback: Locale) -> Locale {
    let is_text = |value: &&[u8]| value.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte));
    let ranges = values.filter(is_text).filter_map(|value| std::str::from_utf8(value).ok());
    let mut best = (0, fallback);
    for range in ranges.flat_map(|text| text.split(',')) {
        let (tag, weight) = weighted(range);
        // The first of equals wins, as the caller wrote it first.
        if let Some(locale) = spoken(tag, fallback).filter(|_| weight > best.0) {
            best = (weight, locale);
        }
    }
    best.1
}

/// A language range and its weight in thousandths.
fn weighted(range: &str) -> (&str, u32) {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (tag, weight.map_or(1000, thousandths))
}

/// `0`, `1`, or up to three digits behind the point; anything else counts as 0.
fn thousandths(weight: &str) -> u32 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    match (whole, fraction.len()) {
        ("1", _) => 1000,
        ("0", 1..=3) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

fn spoken(tag: &str, fallback: Locale) -> Option<Locale> {
    let primary = tag.split('-').next().unwrap_or(tag);
    match primary {
        "*" => Some(fallback),
        _ if primary.eq_ignore_ascii_case("en") => Some(Locale::En),
        _ if primary.eq_ignore_ascii_case("es") => Some(Locale::Es),
        _ => None,
    }
}

/// The stable code of an order's status.
pub(crate) fn order_code(status: order::Status) -> &'static str {
    match status {
        order::Status::Created => "created",
        order::Status::Paid => "paid",
        order::Status::Shipped => "shipped",
        order::Status::Delivered => "delivered",
        order::Status::Cancelled => "cancelled",
    }
}

/// An order's status for people.
pub(crate) fn order_label(status: order::Status, locale: Locale) -> &'static str {
    match (status, locale) {
        (order::Status::Created, Locale::En) => "Created",
        (order::Status::Paid, Locale::En) => "Paid",
        (order::Status::Shipped, Locale::En) => "Shipped",
        (order::Status::Delivered, Locale::En) => "Delivered",
        (order::Status::Cancelled, Locale::En) => "Cancelled",
        (order::Status::Created, Locale::Es) => "Creada",
        (order::Status::Paid, Locale::Es) => "Pagada",
        (order::Status::Shipped, Locale::Es) => "Enviada",
        (order::Status::Delivered, Locale::Es) => "Entregada",
        (order::Status::Cancelled, Locale::Es) => "Cancelada",
    }
}

/// The status that a request names, by its code or its Spanish name.
pub(crate) fn order_status(name: &str) -> Option<order::Status> {
    order::Status::ALL.into_iter().find(|status| {
        let spanish = order_label(*status, Locale::Es);
        name.eq_ignore_ascii_case(order_code(*status)) || name.eq_ignore_ascii_case(spanish)
    })
}

/// The stable code of a payment's status.
pub(crate) fn payment_code(status: payment::Status) -> &'static str {
    match status {
        payment::Status::Pending => "pending",
        payment::Status::Approved => "approved",
        payment::Status::Rejected => "rejected",
        payment::Status::Refunded => "refunded",
    }
}

/// A payment's status for people.
pub(crate) fn payment_label(status: payment::Status, locale: Locale) -> &'static str {
    match (status, locale) {
        (payment::Status::Pending, Locale::En) => "Pending",
        (payment::Status::Approved, Locale::En) => "Approved",
        (payment::Status::Rejected, Locale::En) => "Rejected",
        (payment::Status::Refunded, Locale::En) => "Refunded",
        (payment::Status::Pending, Locale::Es) => "Pendiente",
        (payment::Status::Approved, Locale::Es) => "Aprobado",
        (payment::Status::Rejected, Locale::Es) => "Rechazado",
        (payment::Status::Refunded, Locale::Es) => "Reembolsado",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_best_liked_language_we_speak_is_taken() {
        let table = [
            ("es", Locale::Es),
            ("es-MX,es;q=0.9,en;q=0.8", Locale::Es),
            ("en;q=0.5, es;q=0.7", Locale::Es),
            ("de, es;q=0.1", Locale::Es),
            ("de", Locale::En),
            ("*", Locale::En),
            ("es;q=0", Locale::En),
            ("es;q=nonsense", Locale::En),
            ("EN-us, es", Locale::En),
            ("", Locale::En),
        ];
        for (header, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, header.parse().unwrap());
            assert_eq!(preferred(&headers, Locale::En), expected, "{header}");
        }
        assert_eq!(preferred(&HeaderMap::new(), Locale::Es), Locale::Es);
    }

    #[test]
    fn statuses_are_known_by_both_names() {
        assert_eq!(order_status("pagada"), Some(order::Status::Paid));
        assert_eq!(order_status("paid"), Some(order::Status::Paid));
        assert_eq!(order_status("Creada"), Some(order::Status::Created));
        assert_eq!(order_status("lost"), None);
    }
}
