//! Stored values as JSON for people: ids as they are written elsewhere, and nothing of anybody's secrets.
//!
//! What is stored names its types to serde, so what is personal or proves who somebody is can be told by name. It
//! is replaced by what it is, whatever value it stands in.

use std::fmt::Display;

use relampago_actors::Id;
use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Map, Value, json};

/// Types whose content is never shown.
const SECRETS: [&str; 2] = ["Password", "SecretHash"];
/// Fields that are: the provider's name of a card, and where a caller came from.
const HIDDEN: [(&str, &str); 2] = [("Requested", "token"), ("Entry", "from")];
/// A currency's code is stored as bytes.
const CURRENCY: &str = "Currency";
/// The envelope of personal data.
const PERSONAL: &str = "Personal";
const ID: &str = "Id";

/// A stored value as JSON.
pub(super) fn value(stored: &impl Serialize) -> Value {
    stored.serialize(Readable).unwrap_or_else(|Unwritable(why)| json!({ "unreadable": why }))
}

/// The value says of itself that it cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unwritable(String);

impl serde::ser::Error for Unwritable {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Written = Result<Value, Unwritable>;

/// Makes a [`Value`] of what is serialized.
struct Readable;

macro_rules! as_they_are {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Written {
            Ok(json!(value))
        }
    )*};
}

impl Serializer for Readable {
    type Ok = Value;
    type Error = Unwritable;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    as_they_are!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char, serialize_str: &str
    );

    /// Hashes and sets of lines: too large for a number of JSON.
    fn serialize_u128(self, value: u128) -> Written {
        Ok(format!("{value:#x}").into())
    }

    fn serialize_i128(self, value: i128) -> Written {
        Ok(value.to_string().into())
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        Ok(json!({ "bytes": value.len() }))
    }

    fn serialize_none(self) -> Written {
        Ok(Value::Null)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Written {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Written {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, name: &'static str, value: &T) -> Written {
        if SECRETS.contains(&name) {
            return Ok(hidden(name));
        }
        let written = value.serialize(self)?;
        let id =
            written.as_str().and_then(|text| u128::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        match id.filter(|_| name == ID) {
            Some(id) => Ok(Id(id).to_string().into()),
            None => Ok(written),
        }
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        Ok(named(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Items, Unwritable> {
        Ok(Items { variant: None, items: Vec::new() })
    }

    fn serialize_tuple(self, _length: usize) -> Result<Items, Unwritable> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Items, Unwritable> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Items, Unwritable> {
        Ok(Items { variant: Some(variant), items: Vec::new() })
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Entries, Unwritable> {
        Ok(Entries::default())
    }

    fn serialize_struct(self, name: &'static str, _length: usize) -> Result<Fields, Unwritable> {
        Ok(Fields { name, variant: None, fields: Map::new() })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Fields, Unwritable> {
        Ok(Fields { name, variant: Some(variant), fields: Map::new() })
    }
}

fn hidden(name: &str) -> Value {
    format!("({name}, not shown)").into()
}

fn named(variant: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(variant.to_owned(), value)]))
}

fn within(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(variant) => named(variant, value),
        None => value,
    }
}

/// A list that is being written.
struct Items {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

impl Items {
    fn push<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.items.push(value.serialize(Readable)?);
        Ok(())
    }

    fn finish(self) -> Written {
        Ok(within(self.variant, Value::Array(self.items)))
    }
}

macro_rules! lists {
    ($($of:ident::$add:ident),*) => {$(
        impl $of for Items {
            type Ok = Value;
            type Error = Unwritable;

            fn $add<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unwritable> {
                self.push(value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

lists!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// A map that is being written: an object if its keys are texts, else a list of pairs.
#[derive(Default)]
struct Entries {
    key: Value,
    pairs: Vec<(Value, Value)>,
}

impl SerializeMap for Entries {
    type Ok = Value;
    type Error = Unwritable;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Unwritable> {
        self.key = key.serialize(Readable)?;
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.pairs.push((self.key.take(), value.serialize(Readable)?));
        Ok(())
    }

    fn end(self) -> Written {
        if self.pairs.iter().all(|(key, _)| key.is_string()) {
            let texts = self.pairs.into_iter();
            let texts = texts.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value));
            return Ok(Value::Object(texts.collect()));
        }
        Ok(self.pairs.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect())
    }
}

/// A struct that is being written.
struct Fields {
    name: &'static str,
    variant: Option<&'static str>,
    fields: Map<String, Value>,
}

impl Fields {
    fn push<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), Unwritable> {
        let hidden = HIDDEN.contains(&(self.name, key));
        let value = if hidden { json!("hidden") } else { value.serialize(Readable)? };
        self.fields.insert(key.to_owned(), value);
        Ok(())
    }

    fn finish(mut self) -> Written {
        if self.name == PERSONAL {
            // Sealed or not: what it says is nobody's business here.
            let bytes = self.fields.get("bytes").and_then(Value::as_array).map_or(0, Vec::len);
            return Ok(json!({ "personal": { "key": self.fields.remove("key"), "bytes": bytes } }));
        }
        if self.name == CURRENCY
            && let Some(Value::Array(code)) = self.fields.get("code")
        {
            let letters = code.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            return Ok(letters.map(char::from).collect::<String>().into());
        }
        Ok(within(self.variant, Value::Object(self.fields)))
    }
}

macro_rules! structs {
    ($($of:ident),*) => {$(
        impl $of for Fields {
            type Ok = Value;
            type Error = Unwritable;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Unwritable> {
                self.push(key, value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use relampago_actors::inventory::{Event, Hold};
    use relampago_actors::order::Buyer;
    use relampago_actors::personal::Personal;
    use relampago_actors::secret::{Password, SecretHash};

    use super::*;

    #[test]
    fn ids_are_written_as_everywhere() {
        let hold = Hold { order: Id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), attempt: 2 };
        let expected = json!({ "Reserved": {
            "hold": { "order": "01234567-89ab-cdef-0123-456789abcdef", "attempt": 2 },
            "quantity": 3, "valid_until": 4,
        }});
        assert_eq!(value(&Event::Reserved { hold, quantity: 3, valid_until: 4 }), expected);
        assert_eq!(value(&[(hold, 1)]), json!([[{ "order": hold.order.to_string(), "attempt": 2 }, 1]]));
    }

    #[test]
    fn currencies_are_codes() {
        assert_eq!(value(&relampago_actors::money::Currency::USD), json!("USD"));
    }

    #[test]
    fn maps_with_other_keys_than_texts_are_lists() {
        let by_hold = std::collections::BTreeMap::from([(Hold { order: Id(1), attempt: 1 }, 5)]);
        let key = json!({ "order": Id(1).to_string(), "attempt": 1 });
        assert_eq!(value(&by_hold), json!([{ "key": key, "value": 5 }]));
    }

    #[test]
    fn nothing_personal_and_no_secret_is_shown() {
        let buyer = Buyer { email: Some(Personal::clear("ana@example.com")), ..Buyer::default() };
        let shown = value(&(buyer, Password::new("$argon2id$hash"), SecretHash([7; 32]))).to_string();
        assert!(shown.contains(r#"{"personal":{"bytes":15,"key":0}}"#), "{shown}");
        assert!(
            !shown.contains("97,110,97") && !shown.contains("argon2id") && !shown.contains("7,7"),
            "{shown}"
        );
    }
}
