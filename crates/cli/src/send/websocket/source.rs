//! What a connection sends.

use std::rc::Rc;

use sockeye::http_core::ws::Message;
use sockeye::proto::{Promise, Ticket};

use super::lines::{Lines, NextLine};
use crate::plan::OwnedMessage;
use crate::send::input::{Input, Piece};

/// What a connection sends.
#[derive(Debug)]
pub(super) enum Source {
    /// Messages given on the command line, repeated until `total` messages were sent.
    Messages { messages: Rc<[OwnedMessage]>, next: usize, total: usize },
    /// The lines of standard input, as they are read.
    Lines {
        input: Input,
        lines: Lines,
        /// The ticket of the piece of input that was requested.
        requested: Option<Ticket>,
    },
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Message(Message<'a>),
    /// Nothing yet: a piece of input was requested.
    Wait,
    End,
    /// Nothing more can be sent, because of this.
    Failed(String),
}

impl Source {
    /// These messages, `count` times.
    pub(super) fn of(messages: &Rc<[OwnedMessage]>, count: usize) -> Self {
        let total = messages.len().saturating_mul(count);
        Self::Messages { messages: Rc::clone(messages), next: 0, total }
    }

    pub(super) fn lines(input: Input) -> Self {
        Self::Lines { input, lines: Lines::default(), requested: None }
    }

    /// The next message. If it needs a piece of standard input, calls `promise` to request one.
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

    /// Whether `ticket` is that of the requested piece. If so, the next call of `next` may request
    /// another one.
    pub(super) fn takes(&mut self, ticket: Ticket) -> bool {
        match self {
            Self::Lines { requested, .. } if *requested == Some(ticket) => {
                *requested = None;
                true
            }
            _ => false,
        }
    }

    /// Takes a piece of standard input.
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
