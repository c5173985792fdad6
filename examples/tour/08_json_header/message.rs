//! Step 8: a message, and its header in JSON. docs/message.md is the specification.

use serde_json::{Value, json};

/// The longest content that is accepted, in bytes.
const MAX_CONTENT: usize = 512 * 1024;

pub(crate) struct Message {
    /// The type of the content, such as `text/json`.
    pub(crate) kind: String,
    /// The encoding of text, such as `utf-8`. `binary` for content that isn't text.
    pub(crate) encoding: String,
    pub(crate) content: Vec<u8>,
}

impl Message {
    pub(crate) fn json(value: &Value) -> Self {
        let content = value.to_string().into_bytes();
        Self { kind: "text/json".into(), encoding: "utf-8".into(), content }
    }

    pub(crate) fn binary(kind: &str, content: Vec<u8>) -> Self {
        Self { kind: kind.into(), encoding: "binary".into(), content }
    }

    /// The frame: the length of the header, the header, and the content.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        let header = json!({
            "byteorder": if cfg!(target_endian = "little") { "little" } else { "big" },
            "content-type": self.kind,
            "content-encoding": self.encoding,
            "content-length": self.content.len(),
        })
        .to_string();
        let length = u16::try_from(header.len()).expect("the types and encodings are short");
        [&length.to_be_bytes(), header.as_bytes(), &self.content].concat()
    }
}

/// What the header of a frame says.
pub(crate) struct Header {
    pub(crate) kind: String,
    pub(crate) encoding: String,
    /// The length of the content, in bytes.
    pub(crate) length: usize,
}

impl Header {
    pub(crate) fn parse(header: &[u8]) -> Result<Self, String> {
        let header: Value = serde_json::from_slice(header)
            .map_err(|error| format!("the header is not JSON: {error}"))?;
        let text = |key: &str| match &header[key] {
            Value::String(text) => Ok(text.clone()),
            _ => Err(format!("the header has no text '{key}'")),
        };
        text("byteorder")?; // It must be there, but isn't used: JSON has no byte order.
        let (kind, encoding) = (text("content-type")?, text("content-encoding")?);
        let length =
            header["content-length"].as_u64().ok_or("the header has no 'content-length'")?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_CONTENT => Ok(Self { kind, encoding, length }),
            _ => Err(format!("content of {length} bytes: the limit is {MAX_CONTENT}")),
        }
    }
}
