//! JSON as Python writes it when told to keep characters: `, ` and `: ` between things, what is
//! not ASCII as it is.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

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
