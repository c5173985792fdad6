//! The header of a frame: reading it strictly, and writing it as Python does.
//!
//! Read: any order and spacing, keys that nobody knows are ignored. A key that is known here and
//! stands twice is refused: two readers could take it for two things.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::Refusal;
use super::{JSON, json};

/// What one end says of the content that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// What the content is.
    pub content_type: Cow<'static, str>,
    /// How text is written in the content.
    pub content_encoding: Cow<'static, str>,
    /// How long the content is, in bytes. Of content that comes in chunks over HTTP, whose length
    /// only its end tells: the most that is taken.
    pub content_length: u64,
    /// Which request this is, or is the response to: a string or an integer. Anything else under
    /// this key is not ours.
    pub id: Option<Id>,
    /// More messages may follow on this connection: `"connection": "keep-alive"`, and an `id`.
    pub keep_alive: bool,
    /// After so many milliseconds the response is of no use to the sender.
    pub deadline_ms: Option<u64>,
}

/// The `id` of a request: a string or an integer, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// The longest that is taken, in bytes as written.
    pub const MAX_LEN: usize = 256;

    /// A number.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// As it is written in JSON: a string has its quotes.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The number that it is, if [`Id::number`] could have made it.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn read(raw: &str) -> Option<Self> {
        let kind = raw.starts_with('"') || is_integer(raw);
        (kind && raw.len() <= Self::MAX_LEN).then(|| Self(raw.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether JSON text is an integer: digits, perhaps behind a minus sign.
pub(super) fn is_integer(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_keep_alive(raw: &str) -> bool {
    raw == r#""keep-alive""#
        || serde_json::from_str::<String>(raw).is_ok_and(|text| text == "keep-alive")
}

impl Header {
    /// The header of a message that travels alone.
    #[must_use]
    pub fn of(message: &super::Message) -> Self {
        Self {
            content_type: message.content_type.clone(),
            content_encoding: message.content_encoding.clone(),
            content_length: message.content.len() as u64,
            id: None,
            keep_alive: false,
            deadline_ms: None,
        }
    }

    /// Reads the JSON of a header.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says which key is wrong, and how.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(json).map_err(|error| {
            Refusal::header(format!("the header is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let raw = reader
            .deserialize_any(RawHeader::default())
            .and_then(|raw| reader.end().map(|()| raw))
            .map_err(|error| {
                Refusal::header(format!("the header is not a JSON object: {error}"))
            })?;
        raw.understood()
    }

    /// Appends the header as JSON, its keys in Python's order and spacing.
    pub fn write(&self, json: &mut Vec<u8>) {
        let order = if cfg!(target_endian = "big") { "big" } else { "little" };
        json.extend_from_slice(b"{\"byteorder\": \"");
        json.extend_from_slice(order.as_bytes());
        json.extend_from_slice(b"\", \"content-type\": ");
        json::write_string(json, &self.content_type);
        json.extend_from_slice(b", \"content-encoding\": ");
        json::write_string(json, &self.content_encoding);
        json.extend_from_slice(b", \"content-length\": ");
        json.extend_from_slice(self.content_length.to_string().as_bytes());
        if let Some(id) = &self.id {
            json.extend_from_slice(b", \"id\": ");
            json.extend_from_slice(id.as_json().as_bytes());
            let connection: &[u8] = if self.keep_alive { b"keep-alive" } else { b"close" };
            json.extend_from_slice(b", \"connection\": \"");
            json.extend_from_slice(connection);
            json.push(b'"');
        }
        if let Some(deadline) = self.deadline_ms {
            json.extend_from_slice(b", \"deadline-ms\": ");
            json.extend_from_slice(deadline.to_string().as_bytes());
        }
        json.push(b'}');
    }
}

/// The keys that are known, with their values as they were written.
#[derive(Debug, Default)]
struct RawHeader<'a> {
    values: [Option<&'a RawValue>; KEYS.len()],
    twice: Option<&'static str>,
}

const BYTEORDER: usize = 0;
const TYPE: usize = 1;
const ENCODING: usize = 2;
const LENGTH: usize = 3;
const ID: usize = 4;
const CONNECTION: usize = 5;
const DEADLINE: usize = 6;

/// In the order of the numbers above.
const KEYS: [&str; 7] = [
    "byteorder",
    "content-type",
    "content-encoding",
    "content-length",
    "id",
    "connection",
    "deadline-ms",
];

/// Which of [`KEYS`] a key is.
struct Key(Option<usize>);

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key(KEYS.iter().position(|key| *key == name)))
            }
        }
        from.deserialize_str(Name)
    }
}

impl<'de> Visitor<'de> for RawHeader<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if let Some(key) = key
                && self.values[key].replace(value).is_some()
            {
                self.twice = Some(KEYS[key]);
            }
        }
        Ok(self)
    }
}

impl<'a> RawHeader<'a> {
    fn understood(self) -> Result<Header, Refusal> {
        if let Some(key) = self.twice {
            return Err(Refusal::header(format!("the header has the key {key:?} twice")));
        }
        self.required(BYTEORDER)?;
        let (id, keep_alive) = self.id()?;
        Ok(Header {
            content_type: self.string(TYPE)?,
            content_encoding: self.string(ENCODING)?,
            content_length: self.length()?,
            id,
            keep_alive,
            deadline_ms: self.deadline()?,
        })
    }

    fn get(&self, key: usize) -> Option<&'a str> {
        self.values[key].map(RawValue::get)
    }

    fn required(&self, key: usize) -> Result<&'a str, Refusal> {
        self.get(key)
            .ok_or_else(|| Refusal::header(format!("the header lacks the key {:?}", KEYS[key])))
    }

    fn string(&self, key: usize) -> Result<Cow<'static, str>, Refusal> {
        Ok(match self.required(key)? {
            // The usual ones cost nothing.
            r#""text/json""# => Cow::Borrowed(JSON),
            r#""utf-8""# => Cow::Borrowed("utf-8"),
            r#""binary""# => Cow::Borrowed("binary"),
            raw => Cow::Owned(serde_json::from_str(raw).map_err(|_| {
                Refusal::header(format!("{:?} in the header is to be a string", KEYS[key]))
            })?),
        })
    }

    fn length(&self) -> Result<u64, Refusal> {
        let raw = self.required(LENGTH)?;
        if !is_integer(raw) || raw.starts_with('-') {
            let what = "\"content-length\" in the header is to be an integer from 0 up";
            return Err(Refusal::header(what));
        }
        // All digits: what doesn't fit is larger than anything.
        Ok(raw.parse().unwrap_or(u64::MAX))
    }

    /// The id, and whether more messages may follow. Only then an id has to be one: otherwise it
    /// is a key like any other, and old peers send what they like under it.
    fn id(&self) -> Result<(Option<Id>, bool), Refusal> {
        let raw = self.get(ID);
        let id = raw.and_then(Id::read);
        let keep_alive = raw.is_some() && self.get(CONNECTION).is_some_and(is_keep_alive);
        if keep_alive && id.is_none() {
            let max = Id::MAX_LEN;
            return Err(Refusal::header(format!(
                "\"id\" in the header is to be a string or an integer of at most {max} bytes"
            )));
        }
        Ok((id, keep_alive))
    }

    fn deadline(&self) -> Result<Option<u64>, Refusal> {
        match self.get(DEADLINE) {
            None => Ok(None),
            Some(raw) if is_integer(raw) && !raw.starts_with('-') => {
                Ok(Some(raw.parse().unwrap_or(u64::MAX)))
            }
            Some(_) => {
                let what = "\"deadline-ms\" in the header is to be an integer from 0 up";
                Err(Refusal::header(what))
            }
        }
    }
}
