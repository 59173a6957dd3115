//! A request as it goes over the wire, with holes of a fixed width: filling them is all that is left to do for each.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The admin key that every server is started with.
pub const ADMIN_KEY: &str = "bench-admin-key";
/// The bytes of an id in an answer, which is a UUID.
pub const ID_LENGTH: usize = 36;

/// Every template writes idempotency keys of its own.
static SERIES: AtomicU64 = AtomicU64::new(0);

/// What a hole is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    /// The number of the unit of work, unique: `{number}`.
    Number,
    /// The number of a sku: `{sku}`.
    Sku,
    /// The id in the last answer: `{id}`.
    Id,
}

impl Hole {
    const ALL: [(Hole, &str); 3] = [(Hole::Number, "{number}"), (Hole::Sku, "{sku}"), (Hole::Id, "{id}")];

    const fn width(self) -> usize {
        match self {
            Hole::Number => 12,
            Hole::Sku => 7,
            Hole::Id => ID_LENGTH,
        }
    }
}

/// What fills the holes of one unit of work.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// Its number.
    pub number: u64,
    /// The sku it is about.
    pub sku: u64,
    /// The id that its last answer gave.
    pub id: [u8; ID_LENGTH],
}

impl Default for Unit {
    fn default() -> Self {
        Self { number: 0, sku: 0, id: [b'0'; ID_LENGTH] }
    }
}

/// A request with holes.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    holes: Vec<(Hole, Range<usize>)>,
}

impl Template {
    /// A `POST` of some JSON with a unique idempotency key, as staff. Path and body may have holes.
    pub fn post(path: &str, body: &str) -> Self {
        let series = SERIES.fetch_add(1, Ordering::Relaxed);
        Self::write(path, &format!("Idempotency-Key: {series}-{{number}}\r\n"), body)
    }

    /// A `POST` of some JSON that promises nothing about being sent again.
    pub fn post_without_key(path: &str, body: &str) -> Self {
        Self::write(path, "", body)
    }

    fn write(path: &str, header: &str, body: &str) -> Self {
        let length = parse(body).0.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: shop\r\nX-API-Key: {ADMIN_KEY}\r\n{header}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let (bytes, holes) = parse(&text);
        Self { bytes, holes }
    }

    /// A `GET`.
    pub fn get(path: &str) -> Self {
        let text = format!("GET {path} HTTP/1.1\r\nHost: shop\r\nX-API-Key: {ADMIN_KEY}\r\n\r\n");
        Self { bytes: text.into_bytes(), holes: Vec::new() }
    }

    /// The request for this unit of work.
    pub fn fill(&mut self, unit: &Unit) -> &[u8] {
        for (hole, range) in &self.holes {
            let target = &mut self.bytes[range.clone()];
            match hole {
                Hole::Number => digits(unit.number, target),
                Hole::Sku => digits(unit.sku, target),
                Hole::Id => target.copy_from_slice(&unit.id),
            }
        }
        &self.bytes
    }
}

/// The text with zeros for its holes, and where these are.
fn parse(text: &str) -> (Vec<u8>, Vec<(Hole, Range<usize>)>) {
    let (mut bytes, mut holes) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some((hole, marker)) = Hole::ALL.into_iter().find(|(_, marker)| rest.starts_with(marker)) {
            let start = bytes.len();
            bytes.resize(start + hole.width(), b'0');
            holes.push((hole, start..bytes.len()));
            rest = &rest[marker.len()..];
        } else {
            let (literal, behind) = rest.split_at(character.len_utf8());
            bytes.extend_from_slice(literal.as_bytes());
            rest = behind;
        }
    }
    (bytes, holes)
}

/// Writes a number with leading zeros; digits that do not fit are left out.
fn digits(mut number: u64, target: &mut [u8]) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn holes_are_filled_and_the_length_is_that_of_the_body() {
        let mut template = Template::post("/carts/{id}/items", r#"{"sku":"SKU-{sku}","quantity":1}"#);
        let unit = Unit { number: 42, sku: 1_234_567, id: [b'a'; ID_LENGTH] };
        let text = String::from_utf8(template.fill(&unit).to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, r#"{"sku":"SKU-1234567","quantity":1}"#);
        assert!(head.starts_with(&format!("POST /carts/{}/items HTTP/1.1\r\n", "a".repeat(36))), "{head}");
        assert!(head.contains("-000000000042\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
    }

    #[test]
    fn a_hole_is_filled_anew_for_every_unit() {
        let mut template = Template::post("/orders", "{sku}");
        template.fill(&Unit { sku: 9_999_999, ..Unit::default() });
        assert!(template.fill(&Unit { sku: 3, ..Unit::default() }).ends_with(b"\r\n\r\n0000003"));
    }

    #[test]
    fn templates_share_no_idempotency_key() {
        let (mut one, mut other) = (Template::post("/orders", ""), Template::post("/orders", ""));
        assert_ne!(one.fill(&Unit::default()), other.fill(&Unit::default()));
    }
}
