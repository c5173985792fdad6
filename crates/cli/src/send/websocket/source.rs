//! The source of the messages that a connection sends.

use std::rc::Rc;

use sockeye::http_core::ws::Message;
use sockeye::proto::{Promise, Ticket};

use super::lines::{Lines, NextLine};
use crate::plan::OwnedMessage;
use crate::send::input::{Input, Piece};

/// The messages that a connection sends.
#[derive(Debug)]
pub(super) enum Source {
    /// Messages that are in memory, repeated until `total` were returned. `next` is the number of
    /// those returned so far.
    Messages { messages: Rc<[OwnedMessage]>, next: usize, total: usize },
    /// The lines of standard input, as they are read.
    Lines {
        input: Input,
        lines: Lines,
        /// The ticket (number) of the promise that the requested piece will fulfill.
        requested: Option<Ticket>,
    },
}

/// The result of [`Source::next`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Message(Message<'a>),
    /// There is no message yet. A piece of standard input was requested.
    Wait,
    End,
    /// Nothing more can be sent, for this reason.
    Failed(String),
}

impl Source {
    /// Creates a source of these messages, `count` times.
    pub(super) fn of(messages: &Rc<[OwnedMessage]>, count: usize) -> Self {
        let total = messages.len().saturating_mul(count);
        Self::Messages { messages: Rc::clone(messages), next: 0, total }
    }

    /// Creates a source of the lines of standard input.
    pub(super) fn lines(input: Input) -> Self {
        Self::Lines { input, lines: Lines::default(), requested: None }
    }

    /// Returns the next message. If this needs another piece of standard input, requests the piece
    /// from the thread that reads it. The thread sends the piece to the connection, by the promise
    /// that `promise` creates.
    pub(super) fn next(&mut self, promise: impl FnOnce() -> Promise) -> Next<'_> {
        match self {
            Self::Messages { next, total, .. } if next == total => Next::End,
            Self::Messages { messages, next, .. } => {
                let message = &messages[*next % messages.len()];
                *next += 1;
                Next::Message(message.message())
            }
            Self::Lines { requested: Some(_), .. } => Next::Wait,
            Self::Lines { input, lines, requested } => match lines.next() {
                NextLine::Line(line) => match str::from_utf8(line) {
                    Ok(text) => Next::Message(Message::Text(text)),
                    Err(_) => Next::Failed(
                        "could not send a line of standard input that is not UTF-8: --binary sends \
                         all of the input as one message of bytes"
                            .into(),
                    ),
                },
                NextLine::NeedMore => {
                    let promise = promise();
                    *requested = Some(promise.ticket());
                    input.request(promise);
                    Next::Wait
                }
                NextLine::End => Next::End,
                NextLine::TooLong => Next::Failed(
                    "could not send a line of standard input of more than 64 MiB: --binary sends all \
                     of the input as one message of bytes"
                        .into(),
                ),
            },
        }
    }

    /// Whether this is the ticket of the requested piece. If so, the request counts as answered,
    /// and the caller passes the piece to `take`.
    pub(super) fn takes(&mut self, ticket: Ticket) -> bool {
        match self {
            Self::Lines { requested, .. } if *requested == Some(ticket) => {
                *requested = None;
                true
            }
            _ => false,
        }
    }

    /// Accepts the piece of standard input that was requested.
    ///
    /// # Errors
    ///
    /// Standard input could not be read.
    pub(super) fn take(&mut self, piece: Piece) -> Result<(), String> {
        let Self::Lines { lines, .. } = self else { return Ok(()) };
        match piece {
            Piece::Bytes(bytes) => lines.push(&bytes),
            Piece::End => lines.end(),
            Piece::Failed(reason) => {
                return Err(format!("could not read standard input: {reason}"));
            }
        }
        Ok(())
    }
}
