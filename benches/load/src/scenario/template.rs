//! Texts with `{{values}}` in them.

use thiserror::Error;

/// A named value: its index in the scenario's list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// How a value is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As it is.
    Raw,
    /// As part of a JSON string.
    Json,
    /// As JSON of its own: a number, a list. It is as it is.
    Value,
    /// Percent-encoded, every byte that is not unreserved (RFC 3986).
    Url,
    /// As it is, and refused if it would end a line of the head.
    Line,
    /// As it is, and refused if it would end the target of the request.
    Target,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Value(Slot, Escape),
}

/// A text with values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// Why a template has no text now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The value was never captured.
    #[error("a value is missing")]
    Missing(Slot),
    /// A line break in a value that stands in the head of a request.
    #[error("a value would break the head of the request")]
    Line(Slot),
}

/// Where the values come from.
pub trait Lookup {
    /// The value of `slot`, if it has one.
    fn value(&self, slot: Slot) -> Option<&[u8]>;
}

/// Values kept in one buffer, so that a flow allocates nothing once its first run is over.
#[derive(Clone, Debug, Default)]
pub struct Values {
    bytes: Vec<u8>,
    spans: Vec<Option<(u32, u32)>>,
}

impl Values {
    /// Forgets everything and makes room for `slots` values.
    pub fn clear(&mut self, slots: usize) {
        self.bytes.clear();
        self.spans.clear();
        self.spans.resize(slots, None);
    }

    /// Sets `slot` to what `write` appends.
    pub fn write(&mut self, slot: Slot, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if let Some(span) = self.spans.get_mut(usize::from(slot.0)) {
            // A flow's values are far below 4 GiB: answers have a limit, and steps another.
            *span = Some((start as u32, self.bytes.len() as u32));
        }
    }

    /// Sets `slot` to `text`.
    pub fn set(&mut self, slot: Slot, text: &[u8]) {
        self.write(slot, |bytes| bytes.extend_from_slice(text));
    }

    /// The slots that have a value, with it.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &[u8])> {
        let slots = (0..).map(Slot).take(self.spans.len());
        slots.filter_map(|slot| self.value(slot).map(|value| (slot, value)))
    }
}

impl Lookup for Values {
    fn value(&self, slot: Slot) -> Option<&[u8]> {
        let (start, end) = (*self.spans.get(usize::from(slot.0))?)?;
        self.bytes.get(start as usize..end as usize)
    }
}

impl Template {
    /// A template without values.
    pub fn plain(text: &str) -> Self {
        let mut template = Self::default();
        template.push_text(text.as_bytes());
        template
    }

    /// Reads `text`. `usual` is how values are written unless they say otherwise (`{{name:json}}` is the value as
    /// JSON, `:url` percent-encoded, `:raw` as it is); `find` knows the names.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn parse(
        text: &str,
        usual: Escape,
        mut find: impl FnMut(&str) -> Result<Slot, String>,
    ) -> Result<Self, String> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inner, behind)) = after.split_once("}}") else {
                return Err(format!("`{{{{{after}` has no closing `}}}}`"));
            };
            let (name, escape) = match inner.trim().split_once(':') {
                None => (inner.trim(), None),
                Some((name, form)) => (name.trim(), Some(form.trim())),
            };
            let slot = find(name)?;
            match escape {
                Some("json") => template.push_json(before, behind, slot, usual)?,
                _ => {
                    template.push_text(before.as_bytes());
                    template.pieces.push(Piece::Value(slot, named(escape, usual)?));
                }
            }
            let quoted = escape == Some("json") && usual == Escape::Json;
            rest = if quoted { behind.strip_prefix('"').unwrap_or(behind) } else { behind };
        }
        template.push_text(rest.as_bytes());
        Ok(template)
    }

    /// A value as JSON in a JSON text: its quotes go, as `"{{quantity:json}}"` stands for a number.
    fn push_json(&mut self, before: &str, behind: &str, slot: Slot, usual: Escape) -> Result<(), String> {
        if usual != Escape::Json {
            return Err("`:json` is for values in `json` alone".to_owned());
        }
        match before.strip_suffix('"') {
            // What we are given was written without spaces.
            Some(_) if behind.starts_with("\":") => {
                Err("`:json` stands for a whole value, and this is the name of a field".to_owned())
            }
            Some(before) if behind.starts_with('"') && !before.ends_with('\\') => {
                self.push_text(before.as_bytes());
                self.pieces.push(Piece::Value(slot, Escape::Value));
                Ok(())
            }
            _ => Err("`:json` stands for a whole value: nothing else may be in its string".to_owned()),
        }
    }

    fn push_text(&mut self, text: &[u8]) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.extend_from_slice(text),
            _ => self.pieces.push(Piece::Text(text.to_vec())),
        }
    }

    /// Appends another template.
    pub fn append(&mut self, other: &Self) {
        for piece in &other.pieces {
            match piece {
                Piece::Text(text) => self.push_text(text),
                Piece::Value(..) => self.pieces.push(piece.clone()),
            }
        }
    }

    /// The same with the values that are known now as text.
    ///
    /// # Errors
    /// If a known value cannot stand where it should.
    pub fn bind(&self, known: &impl Lookup) -> Result<Self, RenderError> {
        let mut bound = Self::default();
        for piece in &self.pieces {
            match piece {
                Piece::Value(slot, escape) => match known.value(*slot) {
                    Some(value) => {
                        let mut text = Vec::new();
                        write(value, *slot, *escape, &mut text)?;
                        bound.push_text(&text);
                    }
                    None => bound.pieces.push(piece.clone()),
                },
                Piece::Text(text) => bound.push_text(text),
            }
        }
        Ok(bound)
    }

    /// Appends the text with its values to `out`.
    ///
    /// # Errors
    /// If a value is missing, or cannot stand where it should.
    pub fn render(&self, values: &impl Lookup, out: &mut Vec<u8>) -> Result<(), RenderError> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value(slot, escape) => {
                    let value = values.value(*slot).ok_or(RenderError::Missing(*slot))?;
                    write(value, *slot, *escape, out)?;
                }
            }
        }
        Ok(())
    }

    /// [`Self::render`] into a text of its own.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn text(&self, values: &impl Lookup) -> Result<String, RenderError> {
        let mut out = Vec::new();
        self.render(values, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// The text, if no value is left in it.
    pub fn constant(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(&[]),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The values in it.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(slot, _) => Some(*slot),
            Piece::Text(_) => None,
        })
    }

    /// Those that stand for JSON of their own.
    pub fn json_slots(&self) -> impl Iterator<Item = Slot> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(slot, Escape::Value) => Some(*slot),
            _ => None,
        })
    }
}

fn named(form: Option<&str>, usual: Escape) -> Result<Escape, String> {
    match form {
        None => Ok(usual),
        Some("url") => Ok(Escape::Url),
        // The first line of the head keeps its three parts, whatever the file says.
        Some("raw") => Ok(if usual == Escape::Url { Escape::Target } else { usual }),
        Some(other) => {
            Err(format!("`:{other}` is no way to write a value; there are `:json`, `:url` and `:raw`"))
        }
    }
}

fn write(value: &[u8], slot: Slot, escape: Escape, out: &mut Vec<u8>) -> Result<(), RenderError> {
    match escape {
        Escape::Raw | Escape::Value => out.extend_from_slice(value),
        Escape::Json => write_json(value, out),
        Escape::Url => value.iter().for_each(|byte| write_url(*byte, out)),
        Escape::Line | Escape::Target => {
            let ends = |byte: &u8| byte.is_ascii_control() || (escape == Escape::Target && *byte == b' ');
            if value.iter().any(ends) {
                return Err(RenderError::Line(slot));
            }
            out.extend_from_slice(value);
        }
    }
    Ok(())
}

fn write_json(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            // RFC 8259: what is below a space is escaped.
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

fn write_url(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn find(name: &str) -> Result<Slot, String> {
        match name {
            "a" => Ok(Slot(0)),
            "b" => Ok(Slot(1)),
            _ => Err(format!("no value is called `{name}`")),
        }
    }

    fn rendered(text: &str, usual: Escape, a: &str) -> String {
        let mut values = Values::default();
        values.clear(2);
        values.set(Slot(0), a.as_bytes());
        Template::parse(text, usual, find).unwrap().text(&values).unwrap()
    }

    #[test]
    fn values_are_written_as_their_place_demands() {
        for (text, usual, value, expected) in [
            (r#"{"x":"{{a}}"}"#, Escape::Json, "say \"hi\"\n\\", r#"{"x":"say \"hi\"\u000a\\"}"#),
            (r#"{"x":"{{a:json}}","y":1}"#, Escape::Json, "7", r#"{"x":7,"y":1}"#),
            ("/things/{{ a }}/x", Escape::Url, "a b/ü?", "/things/a%20b%2F%C3%BC%3F/x"),
            ("/things?{{a:raw}}", Escape::Url, "x=1&y=2", "/things?x=1&y=2"),
            ("name={{a:url}}&{{a}}", Escape::Raw, "a&b", "name=a%26b&a&b"),
            ("no value", Escape::Raw, "", "no value"),
        ] {
            assert_eq!(rendered(text, usual, value), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, usual, expected) in [
            ("{{a", Escape::Raw, "`{{a` has no closing `}}`"),
            ("{{c}}", Escape::Raw, "no value is called `c`"),
            (
                "{{a:hex}}",
                Escape::Raw,
                "`:hex` is no way to write a value; there are `:json`, `:url` and `:raw`",
            ),
            ("{{a:json}}", Escape::Url, "`:json` is for values in `json` alone"),
            (
                r#"{"x":"n{{a:json}}"}"#,
                Escape::Json,
                "`:json` stands for a whole value: nothing else may be in its string",
            ),
            (
                r#"{"{{a:json}}":"x"}"#,
                Escape::Json,
                "`:json` stands for a whole value, and this is the name of a field",
            ),
        ] {
            assert_eq!(Template::parse(text, usual, find).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_value_cannot_smuggle_a_line_into_the_head() {
        let template = Template::parse("x-name: {{a}}", Escape::Line, find).unwrap();
        let mut values = Values::default();
        values.clear(2);
        values.set(Slot(0), b"x\r\nhost: other");
        assert_eq!(template.text(&values), Err(RenderError::Line(Slot(0))));
    }

    #[test]
    fn known_values_become_text() {
        let template = Template::parse("{{a}}-{{b}}", Escape::Raw, find).unwrap();
        let mut known = Values::default();
        known.clear(1);
        known.set(Slot(0), b"run");
        let bound = template.bind(&known).unwrap();
        assert_eq!(bound.slots().collect::<Vec<_>>(), [Slot(1)]);
        assert_eq!(bound.text(&known), Err(RenderError::Missing(Slot(1))));
    }
}
