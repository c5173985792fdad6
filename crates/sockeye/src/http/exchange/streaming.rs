//! Writes the content of a response that is sent piece by piece.

use std::borrow::Cow;
use std::mem;

use http::HeaderMap;
use sockeye_http::{Answer, Stream, StreamEvent};
use sockeye_proto::{Abandoned, Blame, Fault, Job, JobKind, Message, Ticket};
use tracing::error;

use super::super::convert;
use super::super::sender::{Finished, SentPiece};
use super::super::source::SourceNext;
use super::{Exchange, Expects};

/// Maximum number of pieces from a source per call of [`Exchange::advance`], so that other
/// connections are served, too.
const PIECES_PER_TURN: usize = 1024;

/// Number of empty pieces in a row that abort a response.
const MAX_EMPTY_PIECES: u32 = 1024;

static EMPTY_PIECES: Fault = Fault {
    blame: Blame::Ours,
    code: "empty_body_pieces",
    what: Cow::Borrowed("had a source that returned 1,024 empty pieces in a row"),
};

impl Exchange {
    /// Handles an event of the response, depending on what the exchange expects.
    pub(super) fn on_event(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        match (event, mem::take(&mut self.expects)) {
            (StreamEvent::Message(Ticket::REMOTE, body), expects) => {
                self.on_sent(body, expects, stream)
            }
            (StreamEvent::Message(ticket, body), expects) => {
                self.on_settled(ticket, body, expects, stream)
            }
            (StreamEvent::Room, Expects::Room(source))
            | (StreamEvent::Woken, Expects::Woken(source)) => self.advance(source.next(), stream),
            (StreamEvent::Woken, expects) => {
                // A source of `Reply::follow` may wait to be woken.
                if let Some(follow) = &mut self.follow {
                    follow.woken = true;
                }
                self.wait(expects, stream)
            }
            // A drain completes endless content, and content whose source waits to be woken.
            (StreamEvent::Drain, Expects::Sender { endless: true, .. }) => stream.end(),
            (StreamEvent::Drain, Expects::Woken(_)) => self.advance(SourceNext::End, stream),
            (StreamEvent::Drain, expects) => {
                if let Some(follow) = &mut self.follow {
                    follow.draining = true;
                }
                // Through its link, the sender learns that the server drains.
                if let Expects::Sender { open, .. } = &expects {
                    open.drain();
                }
                self.wait(expects, stream)
            }
            (_, expects) => self.wait(expects, stream),
        }
    }

    /// Writes `next` and the pieces that follow it, until the output is full, the source has to
    /// wait, or the content ends. Writes at most [`PIECES_PER_TURN`] pieces.
    pub(super) fn advance(&mut self, mut next: SourceNext, mut stream: Stream<'_, '_>) -> Answer {
        let mut taken = 0;
        loop {
            match next {
                SourceNext::Piece(piece, source) => {
                    self.empty_pieces = if piece.is_empty() { self.empty_pieces + 1 } else { 0 };
                    if self.empty_pieces >= MAX_EMPTY_PIECES {
                        return stream.abort_with(&EMPTY_PIECES);
                    }
                    convert::write(piece, &mut stream);
                    taken += 1;
                    if taken >= PIECES_PER_TURN || stream.is_full() {
                        return self.wait(Expects::Room(source), stream);
                    }
                    next = source.next();
                }
                SourceNext::Wait(source) => match &mut self.follow {
                    Some(follow) if follow.draining => next = SourceNext::End,
                    // The source was woken before it began to wait. It may have content now.
                    Some(follow) if follow.woken => {
                        follow.woken = false;
                        next = source.next();
                    }
                    Some(_) => return self.wait(Expects::Woken(source), stream),
                    None => {
                        error!(
                            target: "sockeye", peer = %self.peer.address,
                            "a source waits, but nothing can wake it: use Reply::follow"
                        );
                        return stream.abort();
                    }
                },
                SourceNext::Run(work) => {
                    let promise = stream.promise();
                    let ticket = promise.ticket();
                    let work = move || promise.fulfill(Box::new(work()));
                    // Dropping a refused job abandons its promise, which aborts the response.
                    drop(stream.spawn(Job::new(JobKind::Other, self.client, work)));
                    return self.wait(Expects::SourceJob(ticket), stream);
                }
                SourceNext::End => return self.end(&HeaderMap::new(), stream),
                SourceNext::EndWith(trailers) => return self.end(&trailers, stream),
                SourceNext::Abort => {
                    self.follow = None;
                    return stream.abort();
                }
            }
        }
    }

    /// Handles a message from another thread: writes the piece, if the message is from the
    /// [`Sender`](super::Sender) of this response, and otherwise drops it.
    fn on_sent(
        &mut self,
        body: Result<Message, Abandoned>,
        expects: Expects,
        mut stream: Stream<'_, '_>,
    ) -> Answer {
        if let (Expects::Sender { .. }, Ok(body)) = (&expects, body)
            && let Ok(sent) = body.downcast::<SentPiece>()
            && sent.exchange == self.number
        {
            convert::write(sent.piece, &mut stream);
        }
        self.wait(expects, stream)
    }

    /// Handles a settled promise: the end of the content from a [`Sender`](super::Sender), or the
    /// result of a source's job.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        expects: Expects,
        stream: Stream<'_, '_>,
    ) -> Answer {
        match expects {
            Expects::Sender { end, .. } if end == ticket => {
                match body.ok().and_then(|body| body.downcast::<Finished>().ok()) {
                    Some(finished) => self.end(&finished.trailers, stream),
                    None => stream.abort(),
                }
            }
            Expects::SourceJob(expected) if expected == ticket => {
                match body.ok().and_then(|body| body.downcast::<SourceNext>().ok()) {
                    Some(next) => self.advance(*next, stream),
                    None => stream.abort(),
                }
            }
            expects => self.wait(expects, stream),
        }
    }

    /// Completes the response.
    fn end(&mut self, trailers: &HeaderMap, stream: Stream<'_, '_>) -> Answer {
        self.follow = None;
        convert::end(trailers, stream)
    }

    /// Waits for what the exchange `expects`.
    fn wait(&mut self, expects: Expects, stream: Stream<'_, '_>) -> Answer {
        self.expects = expects;
        match self.expects {
            Expects::Room(_) => stream.more(),
            _ => stream.later(),
        }
    }
}
