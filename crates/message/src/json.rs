//! JSON with the spaces and escapes of Python's `json.dumps(value, ensure_ascii=False)`: a space
//! after `,` and `:`, and no escapes for characters that are not ASCII.

use std::{fmt, io};

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::ser::{Formatter, Serializer};
use serde_json::value::RawValue;

/// A value as JSON text. Fails as [`Message::json`](super::Message::json) does.
pub(super) fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut json, PythonFormatter))?;
    Ok(json)
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(json: &mut Vec<u8>, text: &str) {
    // Writing to memory never fails.
    let _ = text.serialize(&mut Serializer::with_formatter(json, PythonFormatter));
}

/// Those members of a JSON object whose keys the caller has named.
pub(super) struct Members<'t, const N: usize> {
    /// For each of the caller's keys, the JSON text of its value; `None` if the object has no such
    /// key. A repeated key has its last value.
    pub(super) values: [Option<&'t str>; N],
    /// The position, among the caller's keys, of a key that the object has more than once.
    pub(super) repeated: Option<usize>,
}

/// Reads the members with these keys from `text`, a JSON object. Other members are skipped, and
/// take no memory.
pub(super) fn members<'t, const N: usize>(
    text: &'t str,
    keys: [&str; N],
) -> Result<Members<'t, N>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(MembersVisitor(keys))?;
    reader.end()?;
    Ok(members)
}

struct MembersVisitor<'k, const N: usize>([&'k str; N]);

impl<'t, const N: usize> Visitor<'t> for MembersVisitor<'_, N> {
    type Value = Members<'t, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { values: [None; N], repeated: None };
        while let Some(key) = map.next_key_seed(KeyIndex(&self.0))? {
            let Some(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            if members.values[key].replace(value.get()).is_some() {
                members.repeated = Some(key);
            }
        }
        Ok(members)
    }
}

/// Reads a key of an object. Returns its position in this list of keys; `None` if it isn't listed.
struct KeyIndex<'k>(&'k [&'k str]);

impl<'t> DeserializeSeed<'t> for KeyIndex<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|key| *key == name))
    }
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}
