//! Frames: the length of a header in 2 bytes, the header in JSON, and the content. docs/message.md is
//! the specification.

use std::io::{self, ErrorKind, Read, Write};

use serde_json::{Value, json};

/// The longest content that is read.
const MAX_CONTENT: u64 = 512 * 1024;

pub(crate) struct Frame {
    /// Such as `text/json`.
    pub(crate) kind: String,
    /// Of text, such as `utf-8`. Otherwise `binary`.
    pub(crate) encoding: String,
    pub(crate) content: Vec<u8>,
}

impl Frame {
    pub(crate) fn json(value: &Value) -> Self {
        let content = value.to_string().into_bytes();
        Self { kind: "text/json".into(), encoding: "utf-8".into(), content }
    }

    pub(crate) fn binary(kind: &str, content: Vec<u8>) -> Self {
        Self { kind: kind.into(), encoding: "binary".into(), content }
    }

    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let header = json!({
            "byteorder": if cfg!(target_endian = "little") { "little" } else { "big" },
            "content-type": self.kind,
            "content-encoding": self.encoding,
            "content-length": self.content.len(),
        })
        .to_string();
        let length = u16::try_from(header.len()).map_err(|_| invalid("the header is too long"))?;
        output.write_all(&[&length.to_be_bytes(), header.as_bytes(), &self.content].concat())
    }

    /// Reads one frame. `None`: the peer has closed its side, and not within a frame.
    pub(crate) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut length = [0; 2];
        match input.read_exact(&mut length[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            first => first?,
        }
        input.read_exact(&mut length[1..]).map_err(cut)?;
        let mut header = vec![0; u16::from_be_bytes(length).into()];
        input.read_exact(&mut header).map_err(cut)?;

        let header = serde_json::from_slice::<Value>(&header)
            .map_err(|error| invalid(&format!("the header is not JSON: {error}")))?;
        let text = |key: &str| {
            let value = header[key].as_str().map(String::from);
            value.ok_or_else(|| invalid(&format!("the header has no text '{key}'")))
        };
        text("byteorder")?; // Required, and of no use: JSON has no byte order.
        let (kind, encoding) = (text("content-type")?, text("content-encoding")?);
        let length = header["content-length"].as_u64();
        let length = length.ok_or_else(|| invalid("the header has no 'content-length'"))?;
        if length > MAX_CONTENT {
            let error = format!("content of {length} bytes: the limit is {MAX_CONTENT}");
            return Err(invalid(&error));
        }

        // Grows with the bytes that come.
        let mut content = Vec::new();
        if input.take(length).read_to_end(&mut content)? as u64 != length {
            return Err(cut(ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some(Self { kind, encoding, content }))
    }
}

fn invalid(error: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Names the error of a frame that has no end.
fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "ended within a frame"),
        _ => error,
    }
}
