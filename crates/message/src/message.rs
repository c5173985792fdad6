//! A message: content with a type and an encoding.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::json;
use super::text::{BadText, Encoding};

/// The type of JSON content.
pub const JSON: &str = "text/json";

/// A request or a response, however it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The type: [`JSON`], or a name that the two ends have agreed on.
    pub content_type: Cow<'static, str>,
    /// The encoding of text in the content; `binary` if the content isn't text.
    pub content_encoding: Cow<'static, str>,
    /// The content.
    pub content: Bytes,
}

/// The content of a message can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentError {
    /// The encoding of this name is unknown.
    UnknownEncoding(String),
    /// The bytes are not valid in the encoding.
    Text(BadText),
    /// The text is not JSON: what is wrong, and where.
    Json(String),
    /// The JSON has more values and keys than [`Limits::json_nodes`](super::Limits::json_nodes).
    TooComplex {
        /// The limit.
        most: usize,
    },
}

impl ContentError {
    /// The stable code of the error response: `unsupported_encoding`, `bad_content` or `too_complex`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownEncoding(_) => "unsupported_encoding",
            Self::Text(_) | Self::Json(_) => "bad_content",
            Self::TooComplex { .. } => "too_complex",
        }
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEncoding(name) => {
                let name: String = name.chars().take(64).collect();
                write!(
                    f,
                    "the content-encoding {name:?} is unknown; use utf-8, utf-16, latin-1 or ascii"
                )
            }
            Self::Text(bad) => write!(f, "the content is {bad}"),
            Self::Json(what) => write!(f, "the content is not JSON: {what}"),
            Self::TooComplex { most } => {
                write!(f, "the content has more than {most} JSON values and keys")
            }
        }
    }
}

impl std::error::Error for ContentError {}

impl Message {
    /// A message of type [`JSON`] in UTF-8, with the spaces that Python writes.
    ///
    /// # Errors
    ///
    /// When the value has a map whose keys are not strings, or its `Serialize` fails. A [`Value`]
    /// never fails.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::json_text(json::write(value)?))
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

    /// A message with text.
    ///
    /// # Errors
    ///
    /// [`BadText`] when the encoding lacks a character of the text.
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
    /// [`ContentError`] when the encoding is unknown or the content is not in it.
    pub fn to_text(&self) -> Result<Cow<'_, str>, ContentError> {
        let encoding = Encoding::of(&self.content_encoding)
            .ok_or_else(|| ContentError::UnknownEncoding(self.content_encoding.to_string()))?;
        encoding.decode(&self.content).map_err(ContentError::Text)
    }

    /// The content as a JSON value, whatever its type.
    ///
    /// # Errors
    ///
    /// [`ContentError`] when the content is not text, or not JSON.
    pub fn to_json(&self) -> Result<Value, ContentError> {
        serde_json::from_str(&self.to_text()?)
            .map_err(|error| ContentError::Json(error.to_string()))
    }
}
