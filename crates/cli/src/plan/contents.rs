//! What is typed, or lies in a file, as messages.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str;

use anyhow::Context;
use bytes::Bytes;
use serde_json::value::RawValue;
use sockeye::message::protocol::text::Encoding;
use sockeye::message::protocol::{JSON, Message};

use crate::error::{Error, OrExit};
use crate::text;

/// The type of content that isn't JSON, as the tutorial's client names it.
const BINARY: &str = "binary/custom-client-binary-type";

/// Bytes of one content. It is held whole, once, however many connections send it.
const MOST: u64 = 1 << 30;

/// What was said of the contents: a type and an encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind<'a> {
    content_type: Option<&'a str>,
    encoding: Option<&'a str>,
}

impl<'a> Kind<'a> {
    pub(super) fn of(content_type: Option<&'a str>, encoding: Option<&'a str>) -> Self {
        Self { content_type, encoding }
    }

    /// The message with this content.
    fn message(self, content: Bytes) -> Result<Message, Error> {
        let json = match str::from_utf8(&content) {
            Ok(text) if is_json(text) => Some(text),
            _ => None,
        };
        let is_json = self.content_type.map_or(json.is_some(), |name| name == JSON);
        if let (true, Some(text), Some(name)) = (is_json, json, self.encoding) {
            let encoding = Encoding::of(name).with_context(|| {
                format!(
                    "--encoding {name} is none that JSON can be put into; utf-8, utf-16, latin-1 and \
                     ascii are. With a --type besides {JSON}, content is sent as it is"
                )
            });
            let encoded = encoding.or_usage()?.encode(text);
            let encoded = encoded.with_context(|| format!("{} cannot be sent", brief(&content)));
            let content = encoded.or_failure()?;
            // The encoding's name goes out as it was typed.
            return Ok(message(JSON, name, content.into()));
        }
        let content_type = self.content_type.unwrap_or(if is_json { JSON } else { BINARY });
        let text = content_type.starts_with("text/");
        let encoding = self.encoding.unwrap_or(if text { "utf-8" } else { "binary" });
        Ok(message(content_type, encoding, content))
    }
}

fn message(content_type: &str, encoding: &str, content: Bytes) -> Message {
    Message {
        content_type: content_type.to_owned().into(),
        content_encoding: encoding.to_owned().into(),
        content,
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// A content, to be known by in a line about it.
fn brief(content: &[u8]) -> String {
    const ENOUGH: usize = 40;
    match content.get(..ENOUGH) {
        None => text::quote(content),
        Some(start) => format!("{}...", text::quote(start)),
    }
}

/// A message for each content and then for each file; for standard input if there is neither.
pub(super) fn read(
    typed: &[OsString],
    files: &[PathBuf],
    kind: Kind<'_>,
) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for content in typed {
        let message = kind.message(Bytes::copy_from_slice(content.as_bytes()));
        messages.push(message.map_err(Error::into_usage)?);
    }
    for path in files {
        messages.push(kind.message(read_file(path)?)?);
    }
    if messages.is_empty() {
        let content = whole(io::stdin(), MOST).context("cannot send standard input");
        messages.push(kind.message(content.or_failure()?)?);
    }
    Ok(messages)
}

/// What is in a file.
pub(super) fn read_file(path: &Path) -> Result<Bytes, Error> {
    let content = File::open(path).and_then(|file| whole(file, MOST));
    content.map_err(|error| Error::of_path(error, format!("cannot send {}", path.display())))
}

fn whole(source: impl Read, most: u64) -> io::Result<Bytes> {
    let mut content = Vec::new();
    source.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let what = format!("it has more than {}, the most that is sent at once", text::bytes(most));
        return Err(io::Error::other(what));
    }
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_json_where_it_reads_as_json_and_binary_otherwise() {
        /// What is sent, as --type and --encoding say; its type and encoding, and its bytes.
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
            // What is no JSON in UTF-8 is taken to be in its encoding already.
            (b"\"\xe9\"", (Some(JSON), Some("latin-1")), [JSON, "latin-1"], b"\"\xe9\""),
            (b"no json", (Some(JSON), None), [JSON, "utf-8"], b"no json"),
            (b"1", (Some("text/plain"), None), ["text/plain", "utf-8"], b"1"),
            (b"1", (Some("x/y"), Some("z")), ["x/y", "z"], b"1"),
        ];
        for (content, (content_type, encoding), [expected_type, expected_encoding], sent) in table {
            let kind = Kind::of(content_type, encoding);
            let message = kind.message(Bytes::from_static(content)).unwrap();
            assert_eq!(message.content_type, expected_type, "{}", text::quote(content));
            assert_eq!(message.content_encoding, expected_encoding, "{}", text::quote(content));
            assert_eq!(message.content, sent, "{}", text::quote(content));
        }
    }

    #[test]
    fn an_encoding_that_cannot_have_the_content_is_refused() {
        for (encoding, says) in [("ascii", "\"\\\"é\\\"\" cannot be sent"), ("binary", "utf-16")] {
            let kind = Kind::of(None, Some(encoding));
            let error = kind.message(Bytes::from_static("\"é\"".as_bytes())).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_endless_is_refused_without_reading_on() {
        let error = whole(io::repeat(0), 1024).unwrap_err();
        assert!(error.to_string().contains("more than 1.0 KiB"), "{error}");
    }
}
