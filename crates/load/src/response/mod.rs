//! Readers of responses: they find where a response ends, and whether it is an error.

mod echo;
mod http;
mod message;
mod parts;

pub(crate) use self::parts::{Extent, RequestContext, Response, ResponseReader};
use crate::plan::LoadKind;

/// A reader for the responses of one connection.
pub(crate) fn reader(kind: LoadKind) -> Box<dyn ResponseReader> {
    match kind {
        LoadKind::Http => Box::new(http::HttpReader::default()),
        LoadKind::Echo => Box::new(echo::EchoReader::default()),
        LoadKind::Messages => Box::new(message::MessageReader::default()),
    }
}
