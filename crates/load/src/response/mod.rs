//! Readers of responses: they find where a response ends, and whether it is an error.

mod echo;
mod http;
mod http2;
mod message;
mod parts;
mod websocket;

pub(crate) use self::http2::StreamResponse;
pub(crate) use self::parts::{Extent, RequestContext, Response, ResponseReader};
pub(crate) use self::websocket::{Received, WebSocketReader};
use crate::plan::LoadKind;

/// A reader for the responses of one connection.
pub(crate) fn reader(kind: LoadKind) -> Box<dyn ResponseReader> {
    match kind {
        // A connection that turns out to speak HTTP/2 reads responses in another way.
        LoadKind::Http | LoadKind::Http2 => Box::new(http::HttpReader::default()),
        // A WebSocket reads its messages in another way.
        LoadKind::Echo | LoadKind::WebSocket => Box::new(echo::EchoReader::default()),
        LoadKind::Messages => Box::new(message::MessageReader::default()),
    }
}
