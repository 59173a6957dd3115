//! Pages of lists: `limit`, the opaque `cursor`, and the link to the next page.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::Query;
use axum::http::Uri;
use relampago_actors::Id;

use crate::error::{FieldError, Problem};

const DEFAULT_LIMIT: usize = 50;
/// Entries of the longest page.
pub(crate) const MAX_LIMIT: usize = 200;
/// Bytes of a cursor before its sort key: checksum and id.
const CHECKSUM_BYTES: usize = 8;
const HEAD_BYTES: usize = CHECKSUM_BYTES + 16;

/// The query of a list request, taken apart, and the faults found so far.
#[derive(Debug)]
pub(crate) struct ListQuery {
    path: String,
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

/// Where a page ended: the last entry's place in the list, as it was then. Carried whole, so that nothing is lost
/// or shown twice when that entry has moved since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// What the list is ordered by.
    pub(crate) key: SortKey,
    /// Which entry, among equals.
    pub(crate) id: Id,
}

/// What a list is ordered by, of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SortKey {
    /// A moment, ms, or a price, minor units.
    Number(u64),
    /// A name.
    Text(Arc<str>),
}

impl SortKey {
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    pub(crate) fn text(&self) -> Option<Arc<str>> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(Arc::clone(text)),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Number(number) => [b"n".as_slice(), &number.to_be_bytes()].concat(),
            Self::Text(text) => [b"t", text.as_bytes()].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (b'n', number) => Some(Self::Number(u64::from_be_bytes(number.try_into().ok()?))),
            (b't', text) => Some(Self::Text(std::str::from_utf8(text).ok()?.into())),
            _ => None,
        }
    }
}

impl ListQuery {
    /// Takes the query apart.
    ///
    /// # Errors
    /// 422 if it is not a query string.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::field("query", "is not a query string"))?;
        // What is not UTF-8 was replaced; a client that means this very character has not made a mistake.
        let broken = pairs.iter().filter(|(name, value)| is_broken(name) || is_broken(value));
        let errors: Vec<FieldError> = broken
            .map(|(name, _)| FieldError { field: name.clone().into(), message: "must be UTF-8".into() })
            .collect();
        if !errors.is_empty() && !uri.query().is_some_and(is_utf8) {
            return Err(Problem::validation(errors));
        }
        Ok(Self { path: uri.path().to_owned(), pairs, errors: Vec::new() })
    }

    /// The first value of a parameter; an empty one counts as missing.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter made into something else. `None` if it is missing or at fault, which is noted.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        message: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(self.get(name)?);
        if parsed.is_none() {
            self.errors.push(FieldError { field: name.into(), message: message.into() });
        }
        parsed
    }

    /// How many entries are wanted.
    pub(crate) fn limit(&mut self) -> usize {
        let limit = self.parsed("limit", "must be a whole number from 1 to 200", |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        });
        limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// Where the last page ended. Only a cursor that this server wrote for the same list is taken.
    pub(crate) fn cursor(&mut self, secret: &[u8; 32]) -> Option<Cursor> {
        let list = self.list();
        self.parsed("cursor", "is not a cursor of this list", |text| read(secret, &list, text))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 422 with every parameter at fault.
    pub(crate) fn finish(self) -> Result<Paging, Problem> {
        if !self.errors.is_empty() {
            return Err(Problem::validation(self.errors));
        }
        Ok(Paging { list: self.list() })
    }

    /// Path and query without the cursor and the limit: what makes one list another.
    fn list(&self) -> String {
        let mut list = format!("{}?", self.path);
        let pairs = self.pairs.iter().filter(|(name, _)| name != "cursor" && name != "limit");
        for (name, value) in pairs {
            push_pair(&mut list, name, value);
        }
        list
    }
}

/// What is needed to lead on to the next page.
#[derive(Debug)]
pub(crate) struct Paging {
    list: String,
}

impl Paging {
    /// The cursor of the page behind `last`, and the path to it.
    pub(crate) fn next(&self, secret: &[u8; 32], last: Cursor, limit: usize) -> (String, String) {
        let cursor = write(secret, &self.list, &last);
        let mut path = self.list.clone();
        push_pair(&mut path, "limit", &limit.to_string());
        push_pair(&mut path, "cursor", &cursor);
        (cursor, path)
    }
}

fn is_broken(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether a query is UTF-8 once its percent signs are undone.
fn is_utf8(query: &str) -> bool {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped =
            behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn push_pair(list: &mut String, name: &str, value: &str) {
    if !list.ends_with('?') {
        list.push('&');
    }
    percent_encode(list, name);
    list.push('=');
    percent_encode(list, value);
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

fn write(secret: &[u8; 32], list: &str, cursor: &Cursor) -> String {
    let place = [cursor.id.0.to_be_bytes().as_slice(), &cursor.key.encode()].concat();
    let mut text = String::with_capacity(2 * (CHECKSUM_BYTES + place.len()));
    for byte in checksum(secret, list, &place).iter().chain(&place) {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

fn read(secret: &[u8; 32], list: &str, text: &str) -> Option<Cursor> {
    let bytes = unhex(text)?;
    let (checked, place) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    if checked != checksum(secret, list, place) {
        return None;
    }
    let id = Id(u128::from_be_bytes(bytes[CHECKSUM_BYTES..].get(..16)?.try_into().ok()?));
    Some(Cursor { key: SortKey::decode(bytes.get(HEAD_BYTES..)?)?, id })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

pub(crate) fn checksum(secret: &[u8; 32], list: &str, place: &[u8]) -> [u8; CHECKSUM_BYTES] {
    (Id::keyed(secret, "cursor", &[list.as_bytes(), place]).0 as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECRET: [u8; 32] = [7; 32];
    const LAST: Cursor = Cursor { key: SortKey::Number(5), id: Id(9) };

    fn query(text: &str) -> ListQuery {
        ListQuery::of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_cursor_leads_on_in_its_own_list_only() {
        let paging = query("/p?q=a%20b&limit=2").finish().unwrap();
        let (cursor, path) = paging.next(&SECRET, LAST, 2);
        assert_eq!(path, format!("/p?q=a%20b&limit=2&cursor={cursor}"));
        assert_eq!(query(&path).cursor(&SECRET), Some(LAST));
        assert_eq!(query(&path.replace("limit=2", "limit=9")).cursor(&SECRET), Some(LAST));

        let tampered = cursor.replacen(char::is_numeric, "a", 1);
        for refused in [
            format!("/p?q=other&cursor={cursor}"),
            format!("/o?q=a%20b&cursor={cursor}"),
            format!("/p?q=a%20b&cursor={tampered}"),
            "/p?q=a%20b&cursor=nonsense".to_owned(),
        ] {
            let mut query = query(&refused);
            assert_eq!(query.cursor(&SECRET), None, "{refused}");
            assert!(query.finish().is_err(), "{refused}");
        }
        assert_eq!(query(&path).cursor(&[8; 32]), None);

        let named = Cursor { key: SortKey::Text("lámpara".into()), id: Id(9) };
        let (_, path) = paging.next(&SECRET, named.clone(), 2);
        assert_eq!(query(&path).cursor(&SECRET), Some(named));
    }

    #[test]
    fn a_query_is_utf8() {
        for refused in ["/p?q=%ff", "/p?q=a&%c3=b", "/p?q=%C3%28"] {
            assert!(ListQuery::of(&refused.parse().unwrap()).is_err(), "{refused}");
        }
        for taken in ["/p?q=%ef%bf%bd", "/p?q=%C3%B1", "/p?q=100%", "/p?q=%zz"] {
            assert!(ListQuery::of(&taken.parse().unwrap()).is_ok(), "{taken}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        let limit = |text: &str| {
            let mut query = query(text);
            let limit = query.limit();
            query.finish().ok().map(|_| limit)
        };
        assert_eq!(limit("/p"), Some(50));
        assert_eq!(limit("/p?limit=200"), Some(200));
        for refused in ["/p?limit=0", "/p?limit=201", "/p?limit=-1", "/p?limit=x"] {
            assert_eq!(limit(refused), None, "{refused}");
        }
    }
}
