//! The opening handshake of the server's side (RFC 6455, 4.2; over HTTP/2, RFC 8441, 5).

use std::borrow::Cow;
use std::rc::Rc;

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use super::config::Config;
use super::connection::Connection;
use super::extension::Extension;
use super::handler::Handler;
use crate::{Answer, Content, Fields, Method, Request, Responder, Status, Version};

/// A client's valid request to open a WebSocket.
#[derive(Debug)]
pub struct Handshake {
    /// The response's `Sec-WebSocket-Accept`. `None` over HTTP/2, which needs no proof that the
    /// server has understood the request.
    accept: Option<String>,
    protocols: Vec<String>,
    extension: Extension,
    /// The response's `Sec-WebSocket-Extensions`.
    extension_answer: Option<String>,
}

/// Why a request to open a WebSocket is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    status: Status,
    text: Cow<'static, str>,
}

impl Refused {
    fn new(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    /// The refusal of a request that doesn't ask for a WebSocket (400).
    #[must_use]
    pub fn not_a_websocket_request() -> Self {
        let text = "Only WebSockets are answered here: ask for one with Upgrade: websocket.";
        Self::new(Status::BAD_REQUEST, text)
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// What is wrong, in a sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Header fields of the response: `Sec-WebSocket-Version` for 400, `Allow` for 405.
    #[must_use]
    pub fn fields(&self) -> Fields {
        let (name, value): (_, &[u8]) = match self.status {
            // Tells the client which version is supported (RFC 6455, 4.4).
            Status::BAD_REQUEST => VERSION_FIELD,
            Status::METHOD_NOT_ALLOWED => ("Allow", b"GET"),
            _ => return Fields::new(),
        };
        Fields::new().with(name, value).unwrap_or_default()
    }

    /// Answers the request.
    pub fn answer(&self, responder: Responder<'_, '_>) -> Answer {
        responder.error(self.status, &self.fields(), &self.text)
    }
}

const VERSION_FIELD: (&str, &[u8]) = ("Sec-WebSocket-Version", b"13");

/// What a server appends to the client's key, to prove that it speaks WebSocket (RFC 6455, 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
#[must_use]
pub fn accept_value(key: &[u8]) -> String {
    BASE64.encode(&Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize())
}

/// Whether `request` asks to open a WebSocket, over HTTP/1.1 or HTTP/2. False over HTTP/1.1 if the
/// request has content, or while the server is stopping: see [`Request::upgrade`].
#[must_use]
pub fn is_websocket_request(request: &Request<'_>) -> bool {
    request.upgrade().is_some_and(|names| has_token(names, b"websocket"))
}

/// Like [`is_websocket_request`], but over HTTP/1.1 also true if the request has content, or while
/// the server is stopping.
fn names_websocket(request: &Request<'_>) -> bool {
    let lists = |name, token| request.fields_named(name).any(|list| has_token(list, token));
    match request.version() {
        Version::Http10 => false,
        Version::Http11 => lists("upgrade", b"websocket") && lists("connection", b"upgrade"),
        Version::Http2 => is_websocket_request(request),
    }
}

/// Whether a comma-separated list has this token. The case of letters is ignored.
pub(super) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

impl Handshake {
    /// Reads a request. `tls`: its connection has TLS.
    ///
    /// Browsers send the origin of the page that opens the WebSocket. It must be the server's own
    /// origin, or one of [`Config::allowing_origins`].
    ///
    /// # Errors
    ///
    /// Why the request is refused: it doesn't ask for a WebSocket, asks for another version of the
    /// protocol or is malformed (400), has another method than GET over HTTP/1.1 (405), or comes
    /// from a page of another origin (403).
    pub fn read(request: &Request<'_>, tls: bool, config: &Config) -> Result<Self, Refused> {
        if !names_websocket(request) {
            return Err(Refused::not_a_websocket_request());
        }
        if request.content() != Content::None && request.version() != Version::Http2 {
            let text = "A request for a WebSocket has no content.";
            return Err(Refused::new(Status::BAD_REQUEST, text));
        }
        if request.version() != Version::Http2 && request.method() != Method::Get {
            let text = "A WebSocket is opened with GET.";
            return Err(Refused::new(Status::METHOD_NOT_ALLOWED, text));
        }
        if request.field(VERSION_FIELD.0) != Some(VERSION_FIELD.1) {
            let text = "Only version 13 of the WebSocket protocol is spoken here.";
            return Err(Refused::new(Status::BAD_REQUEST, text));
        }
        let accept = match request.version() {
            Version::Http2 => None,
            _ => Some(read_key(request)?),
        };
        if let Some(refusal) = config.origins().refusal(request, tls) {
            let text = format!("{}{}.", refusal[..1].to_uppercase(), &refusal[1..]);
            return Err(Refused::new(Status::FORBIDDEN, text));
        }
        let lists = request.fields_named("sec-websocket-protocol");
        let protocols = lists
            .flat_map(|list| list.split(|byte| *byte == b','))
            .filter_map(|name| str::from_utf8(name.trim_ascii()).ok())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let offers = request.fields_named("sec-websocket-extensions");
        let (extension, extension_answer) = Extension::accept(offers, config).map_err(|_| {
            let text = "The value of Sec-WebSocket-Extensions is malformed.";
            Refused::new(Status::BAD_REQUEST, text)
        })?;
        Ok(Self { accept, protocols, extension, extension_answer })
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.protocols.iter().map(String::as_str)
    }

    /// The fields of the response that accepts the request. `protocol` is one of
    /// [`Handshake::protocols`], or `None`.
    #[must_use]
    pub fn fields(&self, protocol: Option<&str>) -> Fields {
        let mut fields = Fields::new();
        let values = [
            ("Sec-WebSocket-Accept", self.accept.as_deref()),
            ("Sec-WebSocket-Extensions", self.extension_answer.as_deref()),
            (
                "Sec-WebSocket-Protocol",
                protocol.filter(|name| self.protocols().any(|p| p == *name)),
            ),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                // Can't fail: a subprotocol is part of a valid field of the request, and the server
                // has made the other values.
                let _ = fields.push(name, value.as_bytes());
            }
        }
        fields
    }

    /// Opens the WebSocket: `handler` answers its messages. `protocol` is one of
    /// [`Handshake::protocols`], or `None`. If the server is stopping, the client gets a 503.
    pub fn accept<H: Handler + 'static>(
        self,
        protocol: Option<&str>,
        config: &Rc<Config>,
        handler: H,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let fields = self.fields(protocol);
        let connection = Connection::server(Rc::clone(config), handler);
        let connection = Box::new(connection.with_extension(self.extension));
        match responder.upgrade("websocket", &fields, connection) {
            Ok(answer) => answer,
            Err(responder) => {
                let text = "The server is stopping.";
                responder.error(Status::SERVICE_UNAVAILABLE, &Fields::new(), text)
            }
        }
    }
}

/// Reads `Sec-WebSocket-Key`, and returns the value of `Sec-WebSocket-Accept`.
fn read_key(request: &Request<'_>) -> Result<String, Refused> {
    let mut keys = request.fields_named("sec-websocket-key");
    let key = keys.next().filter(|_| keys.next().is_none());
    // A key is 16 random bytes in base64 (RFC 6455, 4.1).
    match key.map(|key| (key, BASE64.decode(key))) {
        Some((key, Ok(bytes))) if bytes.len() == 16 => Ok(accept_value(key)),
        _ => {
            let text = "There must be one Sec-WebSocket-Key, which is 16 bytes in base64.";
            Err(Refused::new(Status::BAD_REQUEST, text))
        }
    }
}
