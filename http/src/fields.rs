//! Request bodies: one pass that takes a JSON object apart, then one reader for each field.
//!
//! Nothing becomes a `serde_json::Value`: a field is a slice of the body until its reader makes a value of
//! it, so that money is never a float and every field at fault is named, not only the first.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use relampago_actors::Id;
use relampago_actors::money::{Currency, Decimal, MoneyError};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{FieldError, Kind, Problem};

/// Objects and arrays within one another at the most.
const MAX_DEPTH: usize = 32;
/// Members that are compared each with each.
const FEW_MEMBERS: usize = 16;

/// Why a field is not acceptable, as the rest of a sentence that begins with its name.
pub(crate) type Fault = Cow<'static, str>;

/// The members of a JSON object that have not been read yet, and the faults found so far.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    whole: &'a str,
    /// Where the object stands, for the names of its fields: entry so-and-so of this list.
    within: Option<(&'static str, usize)>,
    members: Vec<Member<'a>>,
    errors: Vec<FieldError>,
    /// A field with an array where an object belongs, which is worse than a fault.
    misplaced_array: Option<&'static str>,
}

#[derive(Debug)]
struct Member<'a> {
    name: Cow<'a, str>,
    /// `None` once it has been read.
    value: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// 400 `malformed_json` unless it is one JSON object in UTF-8, nested 32 levels at most, without a
    /// duplicate member at its root.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        let whole = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8."))?;
        if depth(whole) > MAX_DEPTH {
            return Err(malformed(format!("The body is nested more than {MAX_DEPTH} levels deep.")));
        }
        let mut json = serde_json::Deserializer::from_str(whole);
        let members = json.deserialize_map(Members).and_then(|members| json.end().map(|()| members));
        let members =
            members.map_err(|error| malformed(format!("The body is not a JSON object: {error}.")))?;
        Ok(Self { whole, within: None, members, errors: Vec::new(), misplaced_array: None })
    }

    /// As [`Fields::parse`]; an empty body is an empty object.
    pub(crate) fn parse_or_empty(body: &'a [u8]) -> Result<Self, Problem> {
        Self::parse(if body.is_empty() { b"{}" } else { body })
    }

    /// A field that may be missing or null. `None` also if it is at fault, which is noted.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        self.present(name, read).flatten()
    }

    /// As [`Fields::optional`], but tells null (`Some(None)`) from missing (`None`).
    pub(crate) fn present<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        let raw = self.take(name)?;
        if raw.get() == "null" {
            return Some(None);
        }
        match read(raw) {
            Ok(value) => Some(Some(value)),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    /// A field that has to be there. `None` if it is not or is at fault, which is noted.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.take(name) {
            Some(raw) if raw.get() != "null" => read(raw).map_err(|fault| self.fault(name, fault)).ok(),
            _ => {
                self.fault(name, "is required".into());
                None
            }
        }
    }

    /// A field that may be missing, but not null where its value can only be replaced. `None` also if it is at
    /// fault, which is noted.
    pub(crate) fn changed<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.present(name, read)?;
        if value.is_none() {
            self.fault(name, "must not be null".into());
        }
        value
    }

    /// An object of at most so many bytes, as its JSON text; it may be missing or null. `None` also if it is at
    /// fault, which is noted.
    pub(crate) fn object(&mut self, name: &'static str, most_bytes: usize) -> Option<&'a str> {
        let mut is_array = false;
        let text = self.optional(name, |raw| {
            is_array = raw.get().starts_with('[');
            object(raw.get(), most_bytes)
        });
        self.misplaced_array = self.misplaced_array.or(is_array.then_some(name));
        text
    }

    /// A list of objects, `1..=most` of them, each read by `read`.
    ///
    /// # Errors
    /// 400 if an array stands where an object belongs, or an object has a duplicate member.
    pub(crate) fn objects<T>(
        &mut self,
        name: &'static str,
        most: usize,
        read: impl Fn(&mut Fields<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Problem> {
        let entries = self.required(name, |raw| {
            let entries: Vec<&RawValue> =
                serde_json::from_str(raw.get()).map_err(|_| Fault::from("must be a list"))?;
            let fits = (1..=most).contains(&entries.len());
            if fits { Ok(entries) } else { Err(format!("must have 1 to {most} entries").into()) }
        });
        let Some(entries) = entries else { return Ok(None) };
        let mut all = Some(Vec::with_capacity(entries.len()));
        for (index, entry) in entries.into_iter().enumerate() {
            let value = match self.entry(name, index, entry)? {
                Some(mut fields) => {
                    let value = read(&mut fields);
                    fields.note_unknown();
                    self.errors.append(&mut fields.errors);
                    value
                }
                None => None,
            };
            all = all.zip(value).map(|(mut all, value)| {
                all.push(value);
                all
            });
        }
        Ok(all)
    }

    fn entry(
        &mut self,
        list: &'static str,
        index: usize,
        entry: &'a RawValue,
    ) -> Result<Option<Fields<'a>>, Problem> {
        if !entry.get().starts_with(['{', '[']) {
            let field = format!("{list}[{index}]").into();
            self.errors.push(FieldError { field, message: "must be an object".into() });
            return Ok(None);
        }
        let members = serde_json::Deserializer::from_str(entry.get()).deserialize_map(Members);
        let members =
            members.map_err(|error| malformed(format!("{list}[{index}] is not a JSON object: {error}.")))?;
        let within = Some((list, index));
        let whole = entry.get();
        Ok(Some(Fields { whole, within, members, errors: Vec::new(), misplaced_array: None }))
    }

    /// How many faults were found so far.
    pub(crate) fn faults(&self) -> usize {
        self.errors.len()
    }

    /// Notes what is wrong with a field.
    pub(crate) fn fault(&mut self, name: impl Into<Cow<'static, str>>, message: Fault) {
        let name = name.into();
        let field = match self.within {
            None => name,
            Some((list, index)) => format!("{list}[{index}].{name}").into(),
        };
        self.errors.push(FieldError { field, message });
    }

    /// The value, if it could be made and every field was known and acceptable.
    ///
    /// # Errors
    /// 422 with every field at fault; 400 if the body has a duplicate member anywhere.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Problem> {
        self.note_unknown();
        if let Some(name) = self.misplaced_array {
            return Err(malformed(format!("{name} is an array where an object belongs.")));
        }
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                // What is not well-formed is judged before the schema, also in fields nobody reads.
                strict(self.whole)
                    .map_err(|error| malformed(format!("The body is not well-formed: {error}.")))?;
                Err(Problem::validation(self.errors))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.members.iter_mut().find(|member| member.name == name)?.value.take()
    }

    fn note_unknown(&mut self) {
        let unknown: Vec<String> = (self.members.iter())
            .filter(|member| member.value.is_some())
            .map(|member| member.name.clone().into_owned())
            .collect();
        for name in unknown {
            self.fault(name, "is not a known field".into());
        }
    }
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Kind::MALFORMED_JSON, detail)
}

/// How deep objects and arrays are nested, if the text is JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Refuses duplicate members and text that is not Unicode at any level. The text is JSON and not nested deeper than
/// [`MAX_DEPTH`]. Numbers are left alone: they are digits until somebody reads them.
fn strict(text: &str) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    match text.trim_start().as_bytes().first() {
        Some(b'{') => {
            let members = json.deserialize_map(Members)?;
            members.into_iter().filter_map(|member| member.value).try_for_each(|value| strict(value.get()))
        }
        Some(b'[') => {
            let entries = Vec::<&RawValue>::deserialize(&mut json)?;
            entries.into_iter().try_for_each(|entry| strict(entry.get()))
        }
        Some(b'"') => Text::deserialize(&mut json).map(|_| ()),
        _ => Ok(()),
    }
}

/// Text that is borrowed unless it holds escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<Member<'de>> = Vec::with_capacity(8);
        while let Some(Text(name)) = map.next_key()? {
            members.push(Member { name, value: Some(map.next_value()?) });
        }
        match duplicate(&members) {
            Some(name) => Err(A::Error::custom(format_args!("duplicate member {name:?}"))),
            None => Ok(members),
        }
    }
}

/// A name that two members have.
fn duplicate<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    if members.len() <= FEW_MEMBERS {
        let is_again = |at: usize| members[..at].iter().any(|member| member.name == members[at].name);
        return (1..members.len()).find(|at| is_again(*at)).map(|at| &*members[at].name);
    }
    // A body has room for a hundred thousand members: to compare each with each would take a minute.
    let mut names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn string(raw: &RawValue) -> Result<Cow<'_, str>, Fault> {
    if !raw.get().starts_with('"') {
        return Err("must be a string".into());
    }
    serde_json::from_str::<Text<'_>>(raw.get()).map(|text| text.0).map_err(|_| "must be valid Unicode".into())
}

/// Reads a string of so many characters.
pub(crate) fn text(length: RangeInclusive<usize>) -> impl FnOnce(&RawValue) -> Result<Arc<str>, Fault> {
    move |raw| {
        let text = string(raw)?;
        if length.contains(&text.chars().count()) {
            return Ok(text.into());
        }
        Err(format!("must have {} to {} characters", length.start(), length.end()).into())
    }
}

/// Reads a whole number within bounds, written without point or exponent.
pub(crate) fn whole(bounds: RangeInclusive<i64>) -> impl FnOnce(&RawValue) -> Result<i64, Fault> {
    move |raw| {
        let number = raw.get().parse::<i64>().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| {
            format!("must be a whole number from {} to {}", bounds.start(), bounds.end()).into()
        })
    }
}

/// Reads `true` or `false`.
pub(crate) fn flag(raw: &RawValue) -> Result<bool, Fault> {
    raw.get().parse().map_err(|_| "must be true or false".into())
}

/// Reads an id.
pub(crate) fn id(raw: &RawValue) -> Result<Id, Fault> {
    string(raw)?.parse().map_err(|_| "must be a UUID".into())
}

/// Reads a price or an amount from a string or a number, digit by digit; never below zero.
pub(crate) fn decimal(raw: &RawValue) -> Result<Decimal, Fault> {
    let text = if raw.get().starts_with('"') { string(raw)? } else { raw.get().into() };
    match text.parse::<Decimal>() {
        Ok(amount) if amount.is_negative() => Err(MoneyError::Negative.to_string().into()),
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string().into()),
    }
}

/// Reads an ISO 4217 code.
pub(crate) fn currency(raw: &RawValue) -> Result<Currency, Fault> {
    string(raw)?.parse::<Currency>().map_err(|error| error.to_string().into())
}

/// Reads one of some names.
pub(crate) fn one_of<T: Copy>(
    names: &'static [(&'static str, T)],
) -> impl FnOnce(&RawValue) -> Result<T, Fault> {
    move |raw| {
        let given = string(raw)?;
        let known = names.iter().find(|(name, _)| *name == given);
        known.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            format!("must be one of {}", names.join(", ")).into()
        })
    }
}

fn object(text: &str, most_bytes: usize) -> Result<&str, Fault> {
    if !text.starts_with('{') {
        return Err("must be an object".into());
    }
    if text.len() > most_bytes {
        return Err(format!("must have at most {most_bytes} bytes").into());
    }
    // A duplicate member makes the field a fault, and the fault makes `finish` look at the whole body.
    strict(text).map(|()| text).map_err(|_| "has a duplicate member".into())
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
