//! JSON as Python writes it when told to keep characters: `, ` and `: ` between things, what is
//! not ASCII as it is.

use std::{fmt, io};

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::ser::{Formatter, Serializer};
use serde_json::value::RawValue;

/// A value as JSON text.
///
/// # Errors
///
/// When the value has a map whose keys are no strings, or fails by itself. A
/// [`serde_json::Value`] never does.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, Spaced))?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(json: &mut Vec<u8>, text: &str) {
    // Writing to memory doesn't fail.
    let _ = text.serialize(&mut Serializer::with_formatter(json, Spaced));
}

/// The values of these keys of the object `text`, as they are written; of a key that stands there
/// several times, the last one. What stands behind other keys is skipped, and takes no memory.
pub(super) fn members<'t, const N: usize>(
    text: &'t str,
    keys: [&str; N],
) -> Result<[Option<&'t RawValue>; N], serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let values = reader.deserialize_map(Members(keys))?;
    reader.end()?;
    Ok(values)
}

struct Members<'k, const N: usize>([&'k str; N]);

impl<'t, const N: usize> Visitor<'t> for Members<'_, N> {
    type Value = [Option<&'t RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(key) = map.next_key_seed(Key(&self.0))? {
            match key {
                Some(key) => values[key] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// Which of these a key is.
struct Key<'k>(&'k [&'k str]);

impl<'t> DeserializeSeed<'t> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|key| *key == name))
    }
}

struct Spaced;

impl Formatter for Spaced {
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
