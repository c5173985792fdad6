//! Streamed responses, whose content is written in pieces.

use std::borrow::Cow;

use bytes::Bytes;
use sockeye_proto::{
    Abandoned, Blame, Fault, FileRange, Job, Message, Output, Peer, Permit, Promise, Remote,
    Ticket, Time, Turn, WallTime,
};

use super::answer::{Answer, AnswerKind, context_methods};
use super::wire::Wire;
use crate::semantics::exchange::{ContentLimit, Exchange, Outgoing, WaitFor};
use crate::{Fields, Trailers};

/// An event for a streamed response: see [`Handler::on_stream`](crate::Handler::on_stream).
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamEvent<'a> {
    /// The output has room again. Sent after the handler answered with [`Stream::more`].
    Room,
    /// A [`Promise`] was fulfilled or abandoned, or a thread sent a message by a [`Remote`].
    Message(Ticket, Result<Message, Abandoned>),
    /// [`Remote::wake`] was called, in HTTP/1.1 perhaps for an earlier request of the connection. A
    /// call before the response starts is not delivered, so check for news when the response
    /// starts.
    Woken,
    /// A piece of the request's content, at least one byte. Sent after the handler answered with
    /// [`Stream::read`].
    Body(&'a [u8]),
    /// The request's content is complete.
    BodyEnd(&'a Trailers<'a>),
    /// The server drains. A response that would never end, such as an event stream, should end now;
    /// others continue. Responses that are incomplete at the drain deadline are aborted.
    Drain,
}

/// A response whose head is written. Write content, and return an [`Answer`]: that the response
/// ends, or what the handler waits for.
///
/// If the client has closed its sending side, a stream that sends nothing for
/// [`Limits::half_closed_timeout`](crate::Limits::half_closed_timeout) is cancelled.
#[derive(Debug)]
pub struct Stream<'r, 't> {
    pub(crate) turn: &'r mut Turn<'t>,
    pub(crate) exchange: &'r mut Exchange,
    pub(crate) wire: Wire<'r>,
}

impl Stream<'_, '_> {
    /// Writes content.
    pub fn write(&mut self, content: &[u8]) {
        self.write_piece(content.len() as u64, |out| out.write(content));
    }

    /// Writes shared content without copying it.
    pub fn write_shared(&mut self, content: Bytes) {
        self.write_piece(content.len() as u64, |out| out.write_shared(content));
    }

    /// Writes a part of a file.
    pub fn write_file(&mut self, content: FileRange) {
        self.write_piece(content.len, |out| out.write_file(content));
    }

    /// Whether the output is full. If so, return [`Stream::more`]. Always true if no content can be
    /// written ([`Stream::has_content`]): otherwise, a loop that writes until the output is full
    /// would never end.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.has_content() || self.turn.is_full()
    }

    /// Whether content can be written. Responses to HEAD and with some statuses, such as 304, have
    /// none: they are complete at once, even if the handler waits. Also false after the handler has
    /// written more content than the announced length.
    #[must_use]
    pub fn has_content(&self) -> bool {
        !matches!(self.exchange.outgoing, Outgoing::HeadOnly | Outgoing::Failed)
    }

    /// Waits until the output has room: continues in [`StreamEvent::Room`].
    pub fn more(self) -> Answer {
        self.wait(WaitFor { content: None, room: true })
    }

    /// Waits for a message or a wake-up: continues in [`StreamEvent::Message`] or
    /// [`StreamEvent::Woken`].
    pub fn later(self) -> Answer {
        self.wait(WaitFor::default())
    }

    /// Waits for the request's content, which arrives in [`StreamEvent::Body`] and
    /// [`StreamEvent::BodyEnd`], or for a message or a wake-up. The content may be as long as
    /// [`Limits::body`](crate::Limits::body) allows, unless
    /// [`Responder::read_up_to`](crate::Responder::read_up_to) has set another limit. No content is
    /// read while the output is full.
    pub fn read(self) -> Answer {
        self.wait(WaitFor { content: Some(ContentLimit::Configured), room: false })
    }

    /// Ends the response. If the content is shorter than the announced length, the response is
    /// aborted.
    pub fn end(self) -> Answer {
        self.end_with(&Fields::new())
    }

    /// Ends the response, with `trailers` after its content (RFC 9110, 6.5). The trailers are left
    /// out if the length was announced, and always in HTTP/1.0.
    pub fn end_with(mut self, trailers: &Fields) -> Answer {
        Answer(match self.exchange.outgoing {
            Outgoing::UnknownLength => {
                self.wire.write_end(trailers, self.turn.out);
                AnswerKind::Done
            }
            Outgoing::Length(0) | Outgoing::HeadOnly => AnswerKind::Done,
            Outgoing::Length(_) | Outgoing::Failed | Outgoing::NotStarted => {
                AnswerKind::Abort(&ABORTED)
            }
        })
    }

    /// Aborts the response: the connection ends, or in HTTP/2 the stream is reset, so that the
    /// client notices. (An HTTP/1.0 client that received no length can't notice.)
    pub fn abort(self) -> Answer {
        self.abort_with(&ABORTED)
    }

    /// As [`Stream::abort`], but reports `fault`.
    pub fn abort_with(self, fault: &'static Fault) -> Answer {
        Answer(AnswerKind::Abort(fault))
    }

    // `now`, `wall`, `peer`, `promise`, `remote` and others, which call the methods of `self.turn`.
    context_methods!();

    fn wait(self, wait_for: WaitFor) -> Answer {
        Answer(match self.exchange.outgoing {
            Outgoing::HeadOnly => AnswerKind::Done,
            Outgoing::Failed => AnswerKind::Abort(&ABORTED),
            _ => AnswerKind::Wait(wait_for),
        })
    }

    /// Writes a piece of content of `len` bytes.
    fn write_piece(&mut self, len: u64, write: impl FnOnce(&mut Output)) {
        match &mut self.exchange.outgoing {
            // In HTTP/1.1 an empty chunk would be the last one.
            _ if len == 0 => {}
            Outgoing::UnknownLength => self.wire.write_piece(len, self.turn.out, write),
            Outgoing::Length(remaining) => match remaining.checked_sub(len) {
                Some(rest) => {
                    *remaining = rest;
                    write(self.turn.out);
                }
                // In HTTP/1.1 the client would read content beyond the announced length as the next
                // response.
                None => self.exchange.outgoing = Outgoing::Failed,
            },
            Outgoing::HeadOnly | Outgoing::Failed | Outgoing::NotStarted => {}
        }
    }
}

/// The fault that is reported when a response is aborted, unless the handler names another.
static ABORTED: Fault = Fault {
    blame: Blame::Ours,
    code: "response_aborted",
    what: Cow::Borrowed("could not complete a response that had started"),
};
