//! serde's view of a located tree. An error takes the place of the innermost node that raised it.

use std::fmt;

use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};

use super::{Fault, Key, Kind, Mark, Node, nearest};

#[derive(Debug)]
pub(super) struct Error {
    pub(super) mark: Option<Mark>,
    /// The place is that of a key, which may be where its mapping begins.
    pub(super) at_key: bool,
    pub(super) cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    UnknownKey { key: String, known: &'static [&'static str] },
    UnknownWord { known: &'static [&'static str] },
    Missing(&'static str),
    Text(String),
}

impl Error {
    pub(super) fn at(mut self, node: &Node) -> Error {
        if self.mark.is_none() {
            // Inside a tagged choice serde has buffered the entries, so the key is looked up again.
            let key = match &self.cause {
                Cause::UnknownKey { key, .. } => node.entry(key).map(|(key, _)| key.mark),
                _ => None,
            };
            self.at_key |= key.is_some();
            self.mark = Some(key.unwrap_or(node.mark));
        }
        self
    }

    fn of_key(mut self, mark: Mark) -> Error {
        if self.mark.is_none() {
            (self.mark, self.at_key) = (Some(mark), true);
        }
        self
    }

    pub(super) fn fault(&self) -> Fault {
        let (message, hint) = match &self.cause {
            Cause::UnknownKey { key, known } => {
                (format!("`{key}` is not a key here"), Some(suggestion(key, known)))
            }
            Cause::UnknownWord { known } => (format!("expected {}", list(known, " or ")), None),
            Cause::Missing(key) => (format!("the key `{key}` is missing"), None),
            Cause::Text(text) => (text.clone(), None),
        };
        Fault { mark: self.mark.unwrap_or_default(), message, hint }
    }
}

fn suggestion(key: &str, known: &[&'static str]) -> String {
    if known.is_empty() {
        return "no further keys are known here".into();
    }
    match nearest(key, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`? Known here: {}", list(known, ", ")),
        None => format!("known here: {}", list(known, ", ")),
    }
}

fn list(words: &[&str], separator: &str) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(separator)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.cause)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error { mark: None, at_key: false, cause: Cause::Text(message.to_string()) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        let expected = expected.to_string();
        Error {
            mark: None,
            at_key: false,
            cause: Cause::Text(format!("expected {}, found {}", plainly(&expected), kind(&found))),
        }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error {
            mark: None,
            at_key: false,
            cause: Cause::Text(format!("expected {}", plainly(&expected.to_string()))),
        }
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Error {
        Error { mark: None, at_key: false, cause: Cause::UnknownWord { known } }
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Error {
        // Keys are shown, so a secret pasted as a key is cut short.
        Error {
            mark: None,
            at_key: false,
            cause: Cause::UnknownKey { key: key.chars().take(40).collect(), known },
        }
    }

    fn missing_field(key: &'static str) -> Error {
        Error { mark: None, at_key: false, cause: Cause::Missing(key) }
    }
}

/// serde's Rust words in a person's words.
fn plainly(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "path string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other if other.starts_with("struct ") || other.starts_with("internally tagged") => "a mapping",
        other => other,
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "something else",
    }
}

pub(super) struct NodeDeserializer<'a>(pub(super) &'a Node);

impl<'a> NodeDeserializer<'a> {
    fn unexpected<'de, V: Visitor<'de>>(&self, visitor: &V) -> Error {
        let found = match &self.0.kind {
            Kind::Null => Unexpected::Unit,
            Kind::Scalar { .. } => Unexpected::Str(""),
            Kind::Seq(_) => Unexpected::Seq,
            Kind::Map(_) => Unexpected::Map,
        };
        <Error as de::Error>::invalid_type(found, visitor).at(self.0)
    }

    fn entries(&self) -> Option<&'a [(Key, Node)]> {
        match &self.0.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null => Some(&[]),
            _ => None,
        }
    }
}

/// A plain scalar's type in YAML's core schema.
enum Resolved<'a> {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

fn resolved(text: &str, plain: bool) -> Resolved<'_> {
    if !plain {
        return Resolved::Text(text);
    }
    match text {
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        _ => {}
    }
    let numeric = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !numeric {
        return Resolved::Text(text);
    }
    if let Ok(number) = text.parse::<u64>() {
        return Resolved::Unsigned(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Resolved::Signed(number);
    }
    if let Some(hex) = text.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
        return Resolved::Unsigned(hex);
    }
    text.parse::<f64>().map_or(Resolved::Text(text), Resolved::Float)
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.0;
        match &node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Scalar { text, plain } => match resolved(text, *plain) {
                Resolved::Bool(value) => visitor.visit_bool(value),
                Resolved::Unsigned(value) => visitor.visit_u64(value),
                Resolved::Signed(value) => visitor.visit_i64(value),
                Resolved::Float(value) => visitor.visit_f64(value),
                Resolved::Text(value) => visitor.visit_str(value),
            },
            Kind::Seq(items) => visitor.visit_seq(Items { items: items.iter() }),
            Kind::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
        .map_err(|error| error.at(node))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.kind {
            // A number or a bare `true` where text is wanted is that text as written.
            Kind::Scalar { text, .. } => visitor.visit_str(text).map_err(|error: Error| error.at(self.0)),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.0;
        let items: &[Node] = match &node.kind {
            Kind::Seq(items) => items,
            Kind::Null => &[],
            _ => return Err(self.unexpected(&visitor)),
        };
        visitor.visit_seq(Items { items: items.iter() }).map_err(|error| error.at(node))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(entries) = self.entries() else { return Err(self.unexpected(&visitor)) };
        visitor.visit_map(Entries { entries: entries.iter(), value: None }).map_err(|error| error.at(self.0))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.kind {
            Kind::Scalar { text, .. } => {
                visitor.visit_enum(text.as_str().into_deserializer()).map_err(|e: Error| e.at(self.0))
            }
            _ => {
                let found = <Error as de::Error>::invalid_type(Unexpected::Other(""), &"one word");
                Err(found.at(self.0))
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.0;
        visitor.visit_newtype_struct(self).map_err(|error| error.at(node))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.items.next() else { return Ok(None) };
        seed.deserialize(NodeDeserializer(node)).map(Some).map_err(|error| error.at(node))
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key.text.as_str().into_deserializer())
            .map(Some)
            .map_err(|error: Error| error.of_key(key.mark))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.value.take() {
            Some(node) => seed.deserialize(NodeDeserializer(node)).map_err(|error| error.at(node)),
            None => Err(<Error as de::Error>::custom("a value was asked for before its key")),
        }
    }
}
