//! The opening handshake of the client's side over HTTP/1.1 (RFC 6455, 4.1).

use std::rc::Rc;

use data_encoding::BASE64;

use super::config::Config;
use super::extension::Extension;
use super::handshake::{accept_value, has_token};
use crate::Fields;
use crate::client::BadResponse;
use crate::h1::client::head;

/// A request to open a WebSocket, and the check of its response.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    config: Rc<Config>,
    key: String,
    protocols: Vec<String>,
}

/// What a server has answered to a request to open a WebSocket.
#[derive(Debug)]
pub enum Opening {
    /// The response is incomplete.
    NeedMore,
    /// The WebSocket is open.
    Open {
        /// Length in bytes of the response, and of interim responses before it. Frames follow.
        len: usize,
        /// The subprotocol that the server has chosen.
        protocol: Option<String>,
        /// The extension that both sides have agreed on, for
        /// [`Connection::with_extension`](super::Connection::with_extension).
        extension: Extension,
    },
    /// The server has answered with another status than 101. To read that response, pass the same
    /// input to a [`ResponseReader`](crate::client::ResponseReader).
    Refused {
        /// The status.
        status: u16,
    },
}

impl ClientHandshake {
    /// A handshake with a key made from `nonce`. The nonce must be random. The handshake offers
    /// compression if `config` enables it.
    #[must_use]
    pub fn new(nonce: [u8; 16], config: &Rc<Config>) -> Self {
        let (config, key) = (Rc::clone(config), BASE64.encode(&nonce));
        Self { config, key, protocols: Vec::new() }
    }

    /// Offers a subprotocol.
    #[must_use]
    pub fn offering(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Encodes the request. `target` is a path with its query, `fields` are additional header
    /// fields, such as `Origin`.
    #[must_use]
    pub fn request(&self, host: &str, target: &str, fields: &Fields) -> Vec<u8> {
        let mut request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
            self.key
        );
        if !self.protocols.is_empty() {
            request.push_str("Sec-WebSocket-Protocol: ");
            request.push_str(&self.protocols.join(", "));
            request.push_str("\r\n");
        }
        if let Some(offer) = Extension::offer(&self.config) {
            request.push_str(&format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        }
        [request.as_bytes(), fields.as_bytes(), b"\r\n"].concat()
    }

    /// Reads the response at the start of `input`.
    ///
    /// # Errors
    ///
    /// If the response is not valid HTTP, or is a 101 that doesn't match the request.
    pub fn read(&self, input: &[u8]) -> Result<Opening, BadResponse> {
        let mut start = 0;
        let (head, len) = loop {
            let rest = &input[start..];
            let Some(len) = head::len(rest, 0)? else { return Ok(Opening::NeedMore) };
            let head = head::parse(&rest[..len])?;
            start += len;
            // Interim responses other than 101, such as 103, are skipped (RFC 9110, 15.2).
            if head.status == 101 || head.status >= 200 {
                break (head, start);
            }
        };
        if head.status != 101 {
            return Ok(Opening::Refused { status: head.status });
        }
        let values = |name| fields_named(head.bytes, name);
        if !values("upgrade").any(|list| has_token(list, b"websocket"))
            || !values("connection").any(|list| has_token(list, b"upgrade"))
        {
            return Err(BadResponse("switched to another protocol than WebSocket"));
        }
        let mut accepts = values("sec-websocket-accept");
        let accept = accepts.next().filter(|_| accepts.next().is_none());
        if accept != Some(accept_value(self.key.as_bytes()).as_bytes()) {
            return Err(BadResponse("sent a Sec-WebSocket-Accept that does not fit the key"));
        }
        let extension = Extension::confirm(values("sec-websocket-extensions"), &self.config)
            .map_err(BadResponse)?;
        let mut protocols = values("sec-websocket-protocol");
        let protocol = match protocols.next() {
            None => None,
            // A response must not have this field twice (RFC 6455, 11.3.4).
            Some(_) if protocols.next().is_some() => {
                return Err(BadResponse("chose more than one subprotocol of WebSocket"));
            }
            Some(name) => {
                let offered = self.protocols.iter().find(|known| known.as_bytes() == name);
                let what = "chose a subprotocol of WebSocket that was not offered";
                Some(offered.ok_or(BadResponse(what))?.clone())
            }
        };
        Ok(Opening::Open { len, protocol, extension })
    }
}

/// The values of the fields with this name in a valid head.
fn fields_named<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    head.split(|byte| *byte == b'\n').filter_map(move |line| {
        let (this, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        this.eq_ignore_ascii_case(name.as_bytes()).then_some(value.trim_ascii())
    })
}
