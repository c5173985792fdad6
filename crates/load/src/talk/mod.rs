//! Finding where responses end, and whether they are good: one kind for each protocol.

mod echo;
mod http;
mod message;
mod reply;

use self::echo::Echo;
use self::http::Http;
use self::message::Message;
pub(crate) use self::reply::{Asked, Cut, Done, Garbage, Model, Step};
use crate::plan::Speaks;

/// The responses of one connection.
#[derive(Debug)]
pub(crate) enum Talk {
    Http(Http),
    Echo(Echo),
    Message(Message),
}

impl Talk {
    pub(crate) fn new(speaks: Speaks) -> Self {
        match speaks {
            Speaks::Http => Self::Http(Http::default()),
            Speaks::Echo => Self::Echo(Echo::default()),
            Speaks::Messages => Self::Message(Message::default()),
        }
    }

    /// Takes one step. Returns how much of `input` was used, and what it was.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        asked: Asked<'_>,
    ) -> Result<(usize, Step), Garbage> {
        match self {
            Self::Http(http) => http.read(input, asked),
            Self::Echo(echo) => Ok(echo.read(input, asked)),
            Self::Message(message) => message.read(input, asked),
        }
    }

    /// The server has ended its side. A response that is complete with that.
    pub(crate) fn end_of_input(&mut self, asked: Asked<'_>) -> Option<Done> {
        match self {
            Self::Http(http) => http.end_of_input(asked),
            Self::Echo(_) | Self::Message(_) => None,
        }
    }

    /// How much has been read of the response that is coming.
    pub(crate) fn cut(&self, asked: Asked<'_>) -> Cut {
        match self {
            Self::Http(http) => http.cut(),
            Self::Echo(echo) => echo.cut(asked),
            Self::Message(message) => message.cut(),
        }
    }
}
