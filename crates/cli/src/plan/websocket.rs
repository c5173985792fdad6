//! The requests and messages that `sockeye send`, `load` and `health` send to a WebSocket server.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::Context;
use bytes::Bytes;
use sockeye::http_core::{BadField, Fields, ws};

use super::messages::{MAX_CONTENT, excerpt, read_file};
use crate::answers::read_at_most;
use crate::error::Error;
use crate::target::Target;

/// A WebSocket message that owns its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedMessage {
    Text(String),
    Binary(Bytes),
}

impl OwnedMessage {
    pub(crate) fn of(message: ws::Message<'_>) -> Self {
        match message {
            ws::Message::Text(text) => Self::Text(text.to_owned()),
            ws::Message::Binary(bytes) => Self::Binary(Bytes::copy_from_slice(bytes)),
        }
    }

    pub(crate) fn message(&self) -> ws::Message<'_> {
        match self {
            Self::Text(text) => ws::Message::Text(text),
            Self::Binary(bytes) => ws::Message::Binary(bytes),
        }
    }

    /// Makes a text message, or a binary one if `is_binary`. Fails if text is not UTF-8.
    pub(super) fn new(content: Bytes, is_binary: bool) -> Result<Self, Error> {
        if is_binary {
            return Ok(Self::Binary(content));
        }
        match str::from_utf8(&content) {
            Ok(text) => Ok(Self::Text(text.to_owned())),
            Err(_) => Err(Error::usage(format!(
                "{} is not UTF-8, and text has to be: add --binary to send bytes",
                excerpt(&content)
            ))),
        }
    }
}

/// Makes a message of each of `contents`, then of each of `files`. If both are empty, the messages
/// come from standard input: if `is_binary`, all of it is one message, which is read here.
/// Otherwise each of its lines is a message, which is read later: returns `None`.
pub(super) fn read(
    contents: Vec<OsString>,
    files: &[PathBuf],
    is_binary: bool,
) -> Result<Option<Vec<OwnedMessage>>, Error> {
    let mut messages = Vec::new();
    for content in contents {
        messages.push(OwnedMessage::new(content.into_vec().into(), is_binary)?);
    }
    for path in files {
        messages.push(OwnedMessage::new(read_file(path)?, is_binary)?);
    }
    if !messages.is_empty() {
        return Ok(Some(messages));
    }
    if !is_binary {
        return Ok(None);
    }
    let content = read_at_most(io::stdin(), MAX_CONTENT).context("cannot read standard input")?;
    Ok(Some(vec![OwnedMessage::Binary(content.into())]))
}

/// A request to open a WebSocket, without `Sec-WebSocket-Key`.
#[derive(Clone, Debug)]
pub(crate) struct UpgradeRequest {
    pub(crate) host: String,
    /// The path and query of the URL.
    pub(crate) path: String,
    pub(crate) fields: Fields,
    /// The subprotocols to offer, from `--header 'Sec-WebSocket-Protocol: …'`.
    pub(crate) protocols: Vec<String>,
}

impl UpgradeRequest {
    /// Makes the request for `target`, with the headers of `--header`.
    pub(super) fn new(target: &Target, headers: &[String]) -> Result<Self, Error> {
        let Target::WebSocket { path, .. } = target else {
            return Err(Error::usage(format!("{target} is no WebSocket")));
        };
        if let Some(c) = path.chars().find(|c| !c.is_ascii_graphic()) {
            let (c, encoded) = (c.escape_default(), sockeye_load::percent_encoded(c));
            let what = format!("a URL can't contain '{c}': write it as {encoded}");
            return Err(Error::usage(what));
        }
        let (host, path) = (target.authority(), path.clone());
        let mut request = Self { host, path, fields: Fields::new(), protocols: Vec::new() };
        for header in headers {
            request.add(header)?;
        }
        Ok(request)
    }

    /// Adds the header of one `--header`. Fails for a header that is malformed, that is set
    /// automatically, or that the request can't have.
    fn add(&mut self, header: &str) -> Result<(), Error> {
        let Some((name, value)) = header.split_once(':') else {
            let error = format!("--header '{header}' has no colon: write 'Name: value'");
            return Err(Error::usage(error));
        };
        let (name, value) = (name.trim_end(), value.trim());
        let lower = name.to_ascii_lowercase();
        let refuse = |why: &str| Err(Error::usage(format!("--header '{name}': {why}")));
        match &*lower {
            "sec-websocket-protocol" => {
                let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                for name in names {
                    if Fields::new().push(name, b"").is_err() {
                        return refuse(&format!("'{name}' is no name of a subprotocol"));
                    }
                    self.protocols.push(name.to_owned());
                }
                Ok(())
            }
            "host" => refuse("it is that of the target; --connect-to HOST:PORT connects elsewhere"),
            _ if lower.starts_with("sec-websocket-") => refuse("it is set automatically"),
            _ => match self.fields.push_to_request(name, value.as_bytes()) {
                Ok(()) => Ok(()),
                Err(BadField::Reserved) if matches!(&*lower, "connection" | "upgrade") => {
                    refuse("it is set automatically")
                }
                Err(BadField::Reserved) => refuse("a request for a WebSocket can't have it"),
                Err(error) => refuse(&error.to_string()),
            },
        }
    }
}
