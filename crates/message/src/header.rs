//! The JSON header of a message. It is written as Python's `json.dumps` writes it.
//!
//! Keys may have any order and spacing, and unknown keys are ignored. A header that lacks a
//! required key, or has a value of the wrong type, is refused. So is one that repeats a known key,
//! since readers differ in which value they use.

use std::borrow::Cow;

use bytes::Bytes;

use super::text::Encoding;
use super::{JSON, Limits, Message, Refusal, json};

/// What a frame says about the content that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The type of the content.
    pub content_type: Cow<'static, str>,
    /// The encoding of text in the content.
    pub content_encoding: Cow<'static, str>,
    /// Length of the content, in bytes. For chunked content over HTTP, whose length is not known
    /// yet, this is the maximum length.
    pub content_length: u64,
    /// The id of the request, which its response repeats. `None` if there is none, or if keep-alive
    /// is not requested and the value is not a valid [`Id`].
    pub id: Option<Id>,
    /// Whether more messages may follow on this connection: the header has `"connection":
    /// "keep-alive"` and an `id`. Over WebSocket, an `id` is enough.
    pub keep_alive: bool,
    /// After this many milliseconds the sender has no use for a response.
    pub deadline_ms: Option<u64>,
}

/// The `id` of a request: a string or an integer, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// Maximum length in bytes, as written.
    pub const MAX_LEN: usize = 256;

    /// An id whose value is this number.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// The id as JSON. If it is a string, this includes the quotes.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The value of an [`Id::number`]. `None` if the id is a string, negative, or above `u64::MAX`.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn read(raw: &str) -> Option<Self> {
        let kind = raw.starts_with('"') || is_integer(raw);
        (kind && raw.len() <= Self::MAX_LEN).then(|| Self(raw.into()))
    }
}

/// Whether a JSON text is an integer.
pub(super) fn is_integer(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_keep_alive(raw: &str) -> bool {
    raw == r#""keep-alive""#
        || serde_json::from_str::<String>(raw).is_ok_and(|text| text == "keep-alive")
}

impl Header {
    /// The header for `message`, without an id.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            content_type: message.content_type.clone(),
            content_encoding: message.content_encoding.clone(),
            content_length: message.content.len() as u64,
            id: None,
            keep_alive: false,
            deadline_ms: None,
        }
    }

    /// The message with the type and encoding of this header, and with `content`.
    #[must_use]
    pub fn into_message(self, content: Bytes) -> Message {
        let Self { content_type, content_encoding, .. } = self;
        Message { content_type, content_encoding, content }
    }

    /// Reads the JSON of a header.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says what is wrong, with the name of the key if one key is wrong.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(json).map_err(|error| {
            Refusal::bad_header(format!("the header is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        let members = json::members(text, KEYS).map_err(|error| {
            Refusal::bad_header(format!("the header is not a JSON object: {error}"))
        })?;
        members.check_unique()?;
        let [byteorder, content_type, content_encoding, content_length, id, connection, deadline] =
            members.values;
        required("byteorder", byteorder)?;
        // Without keep-alive, an invalid id is ignored like an unknown key: a peer that doesn't
        // know `id` may use this key for anything.
        let keep_alive = id.is_some() && connection.is_some_and(is_keep_alive);
        let id = id.and_then(Id::read);
        if keep_alive && id.is_none() {
            return Err(invalid_id());
        }
        Ok(Self {
            content_type: string("content-type", content_type)?,
            content_encoding: string("content-encoding", content_encoding)?,
            content_length: natural("content-length", required("content-length", content_length)?)?,
            id,
            keep_alive,
            deadline_ms: deadline.map(|raw| natural("deadline-ms", raw)).transpose()?,
        })
    }

    /// Reads a text message of a WebSocket. Returns its header and its content, which is JSON.
    ///
    /// The first line is the header if it is a JSON object of at most `limits.header` bytes, and
    /// the text after it is not only white space. Otherwise, the whole text is the content. A
    /// message without a header is never misread: its content is one JSON value, which can't be an
    /// object followed by more text.
    pub(super) fn read_text<'t>(
        text: &'t str,
        limits: &Limits,
    ) -> Result<(Self, &'t str), Refusal> {
        let mut header = Self {
            content_type: Cow::Borrowed(JSON),
            content_encoding: Cow::Borrowed("utf-8"),
            content_length: text.len() as u64,
            id: None,
            keep_alive: false,
            deadline_ms: None,
        };
        let Some((line, content)) = first_line(text, limits.header) else {
            return Ok((header, text));
        };
        let Ok(members) = json::members(line, KEYS) else { return Ok((header, text)) };
        members.check_unique()?;
        let [_, content_type, content_encoding, _, id, _, deadline] = members.values;
        let is_json = |raw| string("content-type", Some(raw)).is_ok_and(|name| name == JSON);
        let is_utf8 = |raw| {
            let name = string("content-encoding", Some(raw));
            name.is_ok_and(|name| Encoding::of(&name) == Some(Encoding::Utf8))
        };
        if !content_type.is_none_or(is_json) || !content_encoding.is_none_or(is_utf8) {
            let what =
                "a text message is text/json in utf-8; send other content in a binary message";
            return Err(Refusal::bad_header(what));
        }
        if let Some(raw) = id {
            header.id = Some(Id::read(raw).ok_or_else(invalid_id)?);
            header.keep_alive = true;
        }
        header.deadline_ms = deadline.map(|raw| natural("deadline-ms", raw)).transpose()?;
        header.content_length = content.len() as u64;
        Ok((header, content))
    }

    /// Checks the length of the content against its limit.
    pub(super) fn check_length(&self, limits: &Limits) -> Result<(), Refusal> {
        let (len, limit) = (self.content_length, limits.content);
        if len <= limit {
            return Ok(());
        }
        let what = format!("the content has {len} bytes; the limit is {limit}");
        Err(Refusal::new("too_large", what))
    }

    /// Checks a request's header before its content arrives.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Refusal> {
        self.check_length(limits)?;
        if self.content_type == JSON && Encoding::of(&self.content_encoding).is_none() {
            return Err(Refusal::unknown_encoding(&self.content_encoding));
        }
        Ok(())
    }

    /// Appends the header as JSON, with the order of keys and the spacing of the Python server that
    /// this protocol comes from.
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

/// The keys of the protocol. `byteorder` is required in a frame, but its value is ignored.
const KEYS: [&str; 7] = [
    "byteorder",
    "content-type",
    "content-encoding",
    "content-length",
    "id",
    "connection",
    "deadline-ms",
];

impl json::Members<'_, { KEYS.len() }> {
    fn check_unique(&self) -> Result<(), Refusal> {
        let Some(key) = self.repeated.map(|key| KEYS[key]) else { return Ok(()) };
        Err(Refusal::bad_header(format!("the header has the key {key:?} twice")))
    }
}

fn invalid_id() -> Refusal {
    let max = Id::MAX_LEN;
    Refusal::bad_header(format!(
        "\"id\" in the header must be a string or an integer of at most {max} bytes"
    ))
}

/// Splits `text` after its first line. `None` if that line can't be an object of at most `max`
/// bytes, or if only white space follows.
fn first_line(text: &str, max: u16) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(usize::from(max) + 1)])?;
    let (line, content) = (text[..end].trim_ascii(), &text[end + 1..]);
    let is_object = line.starts_with('{') && line.ends_with('}');
    (is_object && !content.trim_ascii_start().is_empty()).then_some((line, content))
}

fn required<'a>(key: &str, raw: Option<&'a str>) -> Result<&'a str, Refusal> {
    raw.ok_or_else(|| Refusal::bad_header(format!("the header lacks the key {key:?}")))
}

fn string(key: &str, raw: Option<&str>) -> Result<Cow<'static, str>, Refusal> {
    Ok(match required(key, raw)? {
        // Common values need no allocation.
        r#""text/json""# => Cow::Borrowed(JSON),
        r#""utf-8""# => Cow::Borrowed("utf-8"),
        r#""binary""# => Cow::Borrowed("binary"),
        raw => {
            Cow::Owned(serde_json::from_str(raw).map_err(|_| {
                Refusal::bad_header(format!("{key:?} in the header must be a string"))
            })?)
        }
    })
}

fn natural(key: &str, raw: &str) -> Result<u64, Refusal> {
    if !is_integer(raw) || raw.starts_with('-') {
        let what = format!("{key:?} in the header must be an integer of at least 0");
        return Err(Refusal::bad_header(what));
    }
    // The text has only digits, so parsing fails only if the number is above `u64::MAX`. Then the
    // result is `u64::MAX`, which is above every practical limit, too.
    Ok(raw.parse().unwrap_or(u64::MAX))
}
