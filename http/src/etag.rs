//! Entity tags and conditional requests.

use std::fmt;

use axum::http::header::{GetAll, HeaderMap, HeaderValue, IF_MATCH};
use relampago_config::Locale;

use crate::error::{Kind, Problem};

/// A strong entity tag: `"<version>"`, with whatever else the answer depends on behind a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ETag {
    version: u64,
    also: Also,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Also {
    Nothing,
    /// Sales change a product's answer, but not its version.
    Stock(i64),
    /// `status_label` is written in this language, and it is not English.
    Spanish,
}

impl ETag {
    /// The tag of something that depends on its version alone.
    pub(crate) fn version(version: u64) -> Self {
        Self { version, also: Also::Nothing }
    }

    /// The tag of a product.
    pub(crate) fn with_stock(version: u64, stock: i64) -> Self {
        Self { version, also: Also::Stock(stock) }
    }

    /// The tag of something with a label in a language.
    pub(crate) fn in_language(version: u64, locale: Locale) -> Self {
        let also = match locale {
            Locale::En => Also::Nothing,
            Locale::Es => Also::Spanish,
        };
        Self { version, also }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.also {
            Also::Nothing => write!(f, "\"{}\"", self.version),
            Also::Stock(stock) => write!(f, "\"{}-{stock}\"", self.version),
            Also::Spanish => write!(f, "\"{}-es\"", self.version),
        }
    }
}

/// Whether the caller's `If-None-Match` holds this tag. Compared weakly, as GET has it.
pub(crate) fn none_match(headers: GetAll<'_, HeaderValue>, etag: ETag) -> bool {
    let mut tags = headers.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let mut own = None;
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own.get_or_insert_with(|| etag.to_string())
    })
}

/// Which versions the caller's `If-Match` accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Any.
    Any,
    /// One of these; at least one.
    OneOf(Vec<u64>),
}

impl IfMatch {
    /// Reads `If-Match`. Only the version part of a tag counts.
    ///
    /// # Errors
    /// 412 if there is no tag in it that could ever be one of ours.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut versions = Vec::new();
        let mut given = false;
        for value in headers.get_all(IF_MATCH) {
            given = true;
            for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                if tag == "*" {
                    return Ok(Self::Any);
                }
                versions.extend(version_of(tag));
            }
        }
        match (given, versions.is_empty()) {
            (false, _) => Ok(Self::Any),
            (true, true) => Err(Problem::new(Kind::VERSION_CONFLICT, "If-Match names no version of this.")),
            (true, false) => Ok(Self::OneOf(versions)),
        }
    }
}

/// The version in a strong tag. A weak one never matches here.
fn version_of(tag: &str) -> Option<u64> {
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    let version = inner.split_once('-').map_or(inner, |(version, _)| version);
    // A sign is not part of a tag of ours, though `parse` would take it.
    version.bytes().all(|byte| byte.is_ascii_digit()).then(|| version.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let pair = |value: &&str| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        values.iter().map(pair).collect()
    }

    #[test]
    fn if_match_is_read_by_its_versions() {
        let of = |values: &[&str]| IfMatch::of(&headers("if-match", values)).ok();
        assert_eq!(of(&[]), Some(IfMatch::Any));
        assert_eq!(of(&["*"]), Some(IfMatch::Any));
        assert_eq!(of(&["\"3\""]), Some(IfMatch::OneOf(vec![3])));
        assert_eq!(of(&["\"3-10\", \"4-es\""]), Some(IfMatch::OneOf(vec![3, 4])));
        assert_eq!(of(&["W/\"3\", \"5\""]), Some(IfMatch::OneOf(vec![5])));
        for refused in ["3", "W/\"3\"", "\"x\"", "\"+3\"", "", "\"\""] {
            assert_eq!(of(&[refused]), None, "{refused}");
        }
    }

    #[test]
    fn if_none_match_compares_the_whole_tag() {
        let has =
            |tag: &str, etag| none_match(headers("if-none-match", &[tag]).get_all("if-none-match"), etag);
        assert!(has("\"3-10\"", ETag::with_stock(3, 10)));
        assert!(has("W/\"3-10\"", ETag::with_stock(3, 10)));
        assert!(has("\"1\", \"3\"", ETag::version(3)));
        assert!(has("*", ETag::version(3)));
        assert!(!has("\"3-9\"", ETag::with_stock(3, 10)));
        assert!(!has("\"3\"", ETag::in_language(3, Locale::Es)));
        assert!(has("\"3\"", ETag::in_language(3, Locale::En)));
    }
}
