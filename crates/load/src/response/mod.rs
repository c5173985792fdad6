//! Readers of responses: they find where a response ends, and whether it is an error.

mod echo;
mod http;
mod http2;
mod message;
mod parts;
mod websocket;

pub(crate) use self::http2::StreamResponse;
pub(crate) use self::parts::{ReceivedSoFar, RequestContext, Response, ResponseReader};
pub(crate) use self::websocket::{Received, WebSocketReader};
use crate::plan::LoadKind;

/// A reader for the responses of one connection.
pub(crate) fn reader(kind: LoadKind) -> Box<dyn ResponseReader> {
    match kind {
        // Not used on connections of HTTP/2, which have a `StreamResponse` for each stream.
        LoadKind::Http | LoadKind::Http2 => Box::new(http::HttpReader::default()),
        // Not used on a WebSocket, whose messages a `WebSocketReader` reads.
        LoadKind::Echo | LoadKind::WebSocket => Box::new(echo::EchoReader::default()),
        LoadKind::Messages => Box::new(message::MessageReader::default()),
    }
}
