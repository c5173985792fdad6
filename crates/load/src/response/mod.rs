//! Readers of responses: where each ends, and whether it is good.

mod echo;
mod http;
mod message;
mod parts;

use self::echo::EchoReader;
use self::http::HttpReader;
use self::message::MessageReader;
pub(crate) use self::parts::{BadResponse, Extent, RequestContext, Response};
use crate::plan::LoadKind;

/// Reads the responses of one connection.
#[derive(Debug)]
pub(crate) enum ResponseReader {
    Http(HttpReader),
    Echo(EchoReader),
    Message(MessageReader),
}

impl ResponseReader {
    pub(crate) fn new(kind: LoadKind) -> Self {
        match kind {
            LoadKind::Http => Self::Http(HttpReader::default()),
            LoadKind::Echo => Self::Echo(EchoReader::default()),
            LoadKind::Messages => Self::Message(MessageReader::default()),
        }
    }

    /// Reads on in a response. Returns the bytes consumed, and the response if it is complete.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        context: RequestContext<'_>,
    ) -> Result<(usize, Option<Response>), BadResponse> {
        match self {
            Self::Http(http) => http.read(input, context),
            Self::Echo(echo) => Ok(echo.read(input, context)),
            Self::Message(message) => message.read(input, context),
        }
    }

    /// The server has ended its side. Returns a response that this completes.
    pub(crate) fn end_of_input(&mut self, context: RequestContext<'_>) -> Option<Response> {
        match self {
            Self::Http(http) => http.end_of_input(context),
            Self::Echo(_) | Self::Message(_) => None,
        }
    }

    /// How much of the response has arrived.
    pub(crate) fn extent(&self, context: RequestContext<'_>) -> Extent {
        match self {
            Self::Http(http) => http.extent(),
            Self::Echo(echo) => echo.extent(context),
            Self::Message(message) => message.extent(),
        }
    }
}
