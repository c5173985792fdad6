//! Makes the messages of `sockeye send message://…` and `sockeye load message://…` from the command
//! line, files and standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str;

use anyhow::Context;
use bytes::Bytes;
use serde_json::value::RawValue;
use sockeye::message::protocol::text::Encoding;
use sockeye::message::protocol::{JSON, Message};

use crate::answers::read_at_most;
use crate::error::{Error, OrUsage};
use crate::text;

/// The default type of content that isn't JSON. The Python client of the tutorial that
/// docs/tour/README.md follows uses this name.
const BINARY: &str = "binary/custom-client-binary-type";

/// Maximum size of one message's content: 1 GiB. All connections share one copy in memory.
pub(super) const MAX_CONTENT: u64 = 1 << 30;

/// The values of `--type` and `--encoding`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TypeFlags<'a> {
    pub(super) content_type: Option<&'a str>,
    pub(super) encoding: Option<&'a str>,
}

/// Makes a message. If the message's type is that of JSON, and `content` is JSON in UTF-8, encodes
/// `content` as `--encoding` says. Leaves any other content unchanged.
pub(super) fn message(flags: TypeFlags<'_>, content: Bytes) -> Result<Message, Error> {
    let of = |content_type: &str, encoding: &str, content| Message {
        content_type: content_type.to_owned().into(),
        content_encoding: encoding.to_owned().into(),
        content,
    };
    let json = str::from_utf8(&content).ok().filter(|text| is_json(text));
    let is_json = flags.content_type.map_or(json.is_some(), |name| name == JSON);
    if let (true, Some(text), Some(name)) = (is_json, json, flags.encoding) {
        let encoding = Encoding::of(name).with_context(|| {
            format!(
                "--encoding {name} is unknown: JSON can be sent in utf-8, utf-16, latin-1 or ascii; \
                 with a --type other than {JSON}, content is sent unchanged"
            )
        });
        let encoded = encoding.or_usage()?.encode(text);
        let encoded = encoded.with_context(|| format!("{} cannot be sent", excerpt(&content)))?;
        // The header contains the encoding's name as it was typed.
        return Ok(of(JSON, name, encoded.into()));
    }
    let content_type = flags.content_type.unwrap_or(if is_json { JSON } else { BINARY });
    let is_text = content_type.starts_with("text/");
    let encoding = flags.encoding.unwrap_or(if is_text { "utf-8" } else { "binary" });
    Ok(of(content_type, encoding, content))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The first 40 bytes of `content`, in quotes, for an error message.
pub(super) fn excerpt(content: &[u8]) -> String {
    match content.get(..40) {
        Some(start) if content.len() > start.len() => format!("{}...", text::quote(start)),
        _ => text::quote(content),
    }
}

/// Makes a message of each content, then of each file. If both lists are empty, makes one message
/// of standard input.
pub(super) fn read(
    contents: &[OsString],
    files: &[PathBuf],
    flags: TypeFlags<'_>,
) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for content in contents {
        let message = message(flags, Bytes::copy_from_slice(content.as_bytes()));
        messages.push(message.map_err(Error::into_usage)?);
    }
    for path in files {
        messages.push(message(flags, read_file(path)?)?);
    }
    if messages.is_empty() {
        let content = read_at_most(io::stdin(), MAX_CONTENT);
        let content = content.context("cannot read standard input")?;
        messages.push(message(flags, content.into())?);
    }
    Ok(messages)
}

/// Reads a file whose content is sent.
pub(super) fn read_file(path: &Path) -> Result<Bytes, Error> {
    let content = File::open(path).and_then(|file| read_at_most(file, MAX_CONTENT));
    let content = content.map(Bytes::from);
    content.map_err(|error| Error::of_path(error, format!("cannot send {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_content_that_is_cut_ends_in_dots() {
        let all = format!("\"{}\"", "a".repeat(40));
        assert_eq!(excerpt(&[b'a'; 40]), all);
        assert_eq!(excerpt(&[b'a'; 41]), all + "...");
    }

    #[test]
    fn the_default_type_is_json_for_valid_json_and_binary_otherwise() {
        /// The content; --type and --encoding; the message's type and encoding; its content.
        type Row<'a> = (&'a [u8], (Option<&'a str>, Option<&'a str>), [&'a str; 2], &'a [u8]);
        let any = (None, None);
        let table: [Row<'_>; 13] = [
            (br#"{"a": 1}"#, any, [JSON, "utf-8"], br#"{"a": 1}"#),
            (b" 42 ", any, [JSON, "utf-8"], b" 42 "),
            (b"null", any, [JSON, "utf-8"], b"null"),
            (b"hello", any, [BINARY, "binary"], b"hello"),
            (b"", any, [BINARY, "binary"], b""),
            (b"\"\xff\"", any, [BINARY, "binary"], b"\"\xff\""),
            (b"{}{}", any, [BINARY, "binary"], b"{}{}"),
            (b"\"a\"", (None, Some("utf-16-le")), [JSON, "utf-16-le"], b"\"\0a\0\"\0"),
            ("\"é\"".as_bytes(), (Some(JSON), Some("L1")), [JSON, "L1"], b"\"\xe9\""),
            // Content that isn't JSON in UTF-8 is sent unchanged.
            (b"\"\xe9\"", (Some(JSON), Some("latin-1")), [JSON, "latin-1"], b"\"\xe9\""),
            (b"no json", (Some(JSON), None), [JSON, "utf-8"], b"no json"),
            (b"1", (Some("text/plain"), None), ["text/plain", "utf-8"], b"1"),
            (b"1", (Some("x/y"), Some("z")), ["x/y", "z"], b"1"),
        ];
        for (content, (content_type, encoding), [expected_type, expected_encoding], sent) in table {
            let flags = TypeFlags { content_type, encoding };
            let message = message(flags, Bytes::from_static(content)).unwrap();
            assert_eq!(message.content_type, expected_type, "{}", text::quote(content));
            assert_eq!(message.content_encoding, expected_encoding, "{}", text::quote(content));
            assert_eq!(message.content, sent, "{}", text::quote(content));
        }
    }

    #[test]
    fn encodings_that_are_unknown_or_cannot_represent_the_content_are_refused() {
        for (encoding, expected_text) in
            [("ascii", "\"\\\"é\\\"\" cannot be sent"), ("binary", "utf-16")]
        {
            let flags = TypeFlags { content_type: None, encoding: Some(encoding) };
            let error = message(flags, Bytes::from_static("\"é\"".as_bytes())).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(expected_text), "{error}");
        }
    }
}
