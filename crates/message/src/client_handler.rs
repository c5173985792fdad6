//! The handler and the configuration of a client that sends messages in [frames](super::frame).

use std::time::Duration;

use sockeye_proto::{Ticket, Turn};

use super::{ErrorResponse, Limits, Message, Settled};

/// How a client uses its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionMode {
    /// One request and one response. Old servers support nothing else.
    Single,
    /// Many requests, with ids. The second request is sent after the response to the first, which
    /// shows whether the server supports ids.
    KeepAlive {
        /// Maximum number of requests in flight; 0 counts as 1.
        in_flight: usize,
    },
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How the client uses its connection. Default: [`ConnectionMode::Single`].
    pub mode: ConnectionMode,
    /// Limits on a response. Only those on the header and the content apply.
    pub limits: Limits,
    /// How long the server may neither read nor send anything while a response is pending.
    /// Default: 60 s.
    pub stall_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            mode: ConnectionMode::Single,
            limits: Limits::default(),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Send and receive.
    Continue,
    /// Receive nothing, and send no further message, until [`ClientHandler::on_settled`] returns
    /// another action. It is called with the result of a promise (a job or other pending result)
    /// that the handler has made with [`Turn::promise`]. A response without an id ends the
    /// connection even if the action is `Pause`.
    Pause,
    /// End the connection.
    Stop,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEnd {
    /// Every message has its response.
    Completed,
    /// The server does not support ids, so it sends only one response on a connection. Further
    /// messages need other connections.
    NoKeepAlive,
    /// The handler or the program ended the connection.
    Stopped,
    /// The server closed the connection, or announced that it would. A request had no response, or
    /// [`ClientHandler::next_message`] had not returned `None` yet.
    Closed {
        /// Requests without a response.
        unanswered: usize,
        /// The server closed in the middle of a response.
        mid_response: bool,
    },
    /// The server sent an error response that belongs to no request.
    Refused(ErrorResponse),
    /// The server neither read nor sent anything for [`ClientConfig::stall_timeout`].
    TimedOut {
        /// Requests without a response.
        unanswered: usize,
    },
    /// The server sent something that is not a valid response. The string says why.
    BadResponse(String),
    /// The connection could not be established, or broke, or the header of a message to send has
    /// more than 65,535 bytes. The string is a sentence that says why.
    Failed(String),
}

/// Supplies the messages of one connection, and takes the responses.
pub trait ClientHandler {
    /// The next message to send; `None` after the last one. Not called again after that.
    fn next_message(&mut self) -> Option<Message>;

    /// Takes the response to a message. `number` is the message's index in the order of
    /// [`ClientHandler::next_message`], from 0. [`ErrorResponse::of`] recognises an error.
    fn on_response(&mut self, number: u64, response: Message, turn: &mut Turn<'_>) -> ClientAction;

    /// Takes the result of the promise that `ticket` identifies, which the handler has made. A
    /// pause ends when this returns [`ClientAction::Continue`].
    fn on_settled(&mut self, ticket: Ticket, body: Settled, turn: &mut Turn<'_>) -> ClientAction {
        let _ = (ticket, body, turn);
        ClientAction::Continue
    }

    /// The connection has ended. Called once, last.
    fn on_end(&mut self, end: ClientEnd);
}
