//! A message: content with a type and an encoding.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::json;
use super::refusal::Refusal;
use super::text::{BadText, Encoding};

/// The content type of JSON.
pub const JSON: &str = "text/json";

/// A request or a response. It is sent in a [frame](crate::frame) over TCP, over HTTP, or over
/// WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// [`JSON`], or a name that both peers have agreed on.
    pub content_type: Cow<'static, str>,
    /// The encoding of content that is text; `binary` for other content.
    pub content_encoding: Cow<'static, str>,
    /// The content.
    pub content: Bytes,
}

impl Message {
    /// A message of type [`JSON`] in UTF-8, with spaces after `,` and `:`, as Python writes it.
    ///
    /// # Errors
    ///
    /// When the value has a map with keys that can't be written as strings, such as lists, or its
    /// `Serialize` fails. A [`Value`] never fails.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::json_bytes(json::write(value)?))
    }

    /// A message of type [`JSON`] in UTF-8 with this text.
    #[must_use]
    pub fn json_text(text: String) -> Self {
        Self::json_bytes(text.into_bytes())
    }

    pub(super) fn json_bytes(content: Vec<u8>) -> Self {
        Self {
            content_type: Cow::Borrowed(JSON),
            content_encoding: Cow::Borrowed("utf-8"),
            content: content.into(),
        }
    }

    /// A message with this text, encoded in `encoding`.
    ///
    /// # Errors
    ///
    /// [`BadText`] when the encoding can't encode a character of the text.
    pub fn text(
        content_type: impl Into<Cow<'static, str>>,
        encoding: Encoding,
        text: &str,
    ) -> Result<Self, BadText> {
        Ok(Self {
            content_type: content_type.into(),
            content_encoding: Cow::Borrowed(encoding.name()),
            content: encoding.encode(text)?.into(),
        })
    }

    /// A message with content that is not text.
    pub fn binary(content_type: impl Into<Cow<'static, str>>, content: impl Into<Bytes>) -> Self {
        Self {
            content_type: content_type.into(),
            content_encoding: Cow::Borrowed("binary"),
            content: content.into(),
        }
    }

    /// Whether the type is exactly [`JSON`].
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.content_type == JSON
    }

    /// The content as text, whatever its type.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] with the code `unsupported_encoding` when the encoding is unknown, or with
    /// `bad_content` when the content is not valid in its encoding.
    pub fn to_text(&self) -> Result<Cow<'_, str>, Refusal> {
        let encoding = Encoding::of(&self.content_encoding)
            .ok_or_else(|| Refusal::unknown_encoding(&self.content_encoding))?;
        encoding
            .decode(&self.content)
            .map_err(|bad| Refusal::new("bad_content", format!("the content is {bad}")))
    }

    /// The content as a JSON value, whatever its type.
    ///
    /// # Errors
    ///
    /// As for [`Message::to_text`], and `bad_content` when the text is not JSON.
    pub fn to_json(&self) -> Result<Value, Refusal> {
        serde_json::from_str(&self.to_text()?).map_err(Refusal::not_json)
    }
}
