//! Finds one value in a JSON text without building the others.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The value at the end of `path`, as it is written; none if there is none, or `text` is no JSON up to there.
pub(crate) fn find<'a>(text: &'a [u8], path: &[String]) -> Option<&'a RawValue> {
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Cell::new(None);
    // Reading stops with an error where the value was found: what follows is not needed.
    let _stopped = Find { path, found: &found }.deserialize(&mut reader);
    found.get()
}

/// A value as text: what a string says, and anything else as it is written. `null` is none.
pub(crate) fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let written = value.get();
    match written.as_bytes().first()? {
        b'"' => match written[1..].strip_suffix('"') {
            Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            _ => serde_json::from_str::<String>(written).ok().map(Cow::Owned),
        },
        b'n' => None,
        _ => Some(Cow::Borrowed(written)),
    }
}

/// [`find`] and [`text_of`].
pub(crate) fn find_text<'a>(text: &'a [u8], path: &[String]) -> Option<Cow<'a, str>> {
    text_of(find(text, path)?)
}

/// Walks down `path` and leaves what is at its end in `found`.
struct Find<'p, 'de> {
    path: &'p [String],
    found: &'p Cell<Option<&'de RawValue>>,
}

impl<'de> Find<'_, 'de> {
    fn below(&self) -> Self {
        Self { path: self.path.get(1..).unwrap_or_default(), found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Find<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return reader.deserialize_any(self);
        }
        self.found.set(Some(<&RawValue as Deserialize>::deserialize(reader)?));
        Err(D::Error::custom("found"))
    }
}

impl<'de> Visitor<'de> for Find<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if self.path.first().is_some_and(|first| key == first.as_str()) {
                map.next_value_seed(self.below())?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let wanted: Option<usize> = self.path.first().and_then(|first| first.parse().ok());
        let mut index = 0;
        loop {
            let more = if wanted == Some(index) {
                items.next_element_seed(self.below())?.is_some()
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::answer::Place;

    fn at(text: &str, pointer: &str) -> Option<String> {
        let Ok(Place::Body(path)) = pointer.parse() else { return None };
        find_text(text.as_bytes(), &path).map(Cow::into_owned)
    }

    #[test]
    fn values_are_found_where_the_pointer_says() {
        let text = r#"{"id":"7\n8","n":1.50,"items":[{"sku":"a"},{"sku":"b","x":null}],"a/b":true,"e":""}"#;
        for (pointer, expected) in [
            ("/id", Some("7\n8")),
            ("/n", Some("1.50")),
            ("/items/1/sku", Some("b")),
            ("/items/1/x", None),
            ("/items/2/sku", None),
            ("/items/x", None),
            ("/a~1b", Some("true")),
            ("/e", Some("")),
            ("/n/1", None),
            ("/items/0", Some(r#"{"sku":"a"}"#)),
        ] {
            assert_eq!(at(text, pointer).as_deref(), expected, "{pointer}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for text in ["", "{", "<html>", r#"{"a":"#, "\u{0}"] {
            assert_eq!(at(text, "/a"), None, "{text}");
        }
    }
}
