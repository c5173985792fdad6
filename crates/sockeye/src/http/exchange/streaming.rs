//! A response that has begun: what a source gives for it, and what a sender has sent.

use std::borrow::Cow;
use std::mem;

use bytes::Bytes;
use http::HeaderMap;
use sockeye_http::{Answer, Fields, Stream, StreamEvent};
use sockeye_proto::{Abandoned, Blame, Client, Fault, Message, Ticket};
use tracing::error;

use super::super::job::{Came, job};
use super::super::respond::Respond;
use super::super::stream::{Finished, Give, Sent};
use super::{Exchange, Expects};

/// So many pieces are taken from a source in one go, so that small ones hold nobody up.
const AT_ONCE: usize = 1024;

/// With so many empty pieces in a row, a source is taken to give nothing else for ever.
const MOST_EMPTY: u32 = 1024;

static EMPTY_PIECES: Fault = Fault {
    blame: Blame::Ours,
    code: "empty_body_pieces",
    what: Cow::Borrowed("had a source that gave 1,024 empty pieces in a row"),
};

impl<R: Respond> Exchange<R> {
    /// Takes what happened to a response that has begun.
    pub(super) fn on_event(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Message(Ticket::REMOTE, body) => self.sent(body, stream),
            StreamEvent::Message(ticket, body) => self.settled(ticket, body, stream),
            StreamEvent::Room => match mem::take(&mut self.expects) {
                Expects::Room(source) => self.give(source.next(), stream),
                other => self.wait(other, stream),
            },
            StreamEvent::Woken => self.woken(stream),
            StreamEvent::Drain => match mem::take(&mut self.expects) {
                Expects::Sent { endless: true, .. } => stream.end(),
                Expects::Woken(_) => self.give(Give::End, stream),
                other => {
                    if let Some(follows) = &mut self.follows {
                        follows.stopping = true;
                    }
                    if let Expects::Sent { telling, .. } = &other {
                        telling.stopping();
                    }
                    self.wait(other, stream)
                }
            },
            _ => {
                let expects = mem::take(&mut self.expects);
                self.wait(expects, stream)
            }
        }
    }

    /// Does what a source says.
    pub(super) fn give(&mut self, mut give: Give, mut stream: Stream<'_, '_>) -> Answer {
        let mut taken = 0;
        loop {
            if let Give::End | Give::EndWith(_) | Give::Abort = give {
                self.follows = None;
            }
            match give {
                Give::Piece(piece, source) => {
                    self.empty_pieces = if piece.is_empty() { self.empty_pieces + 1 } else { 0 };
                    if self.empty_pieces >= MOST_EMPTY {
                        return stream.abort_with(&EMPTY_PIECES);
                    }
                    write(piece, &mut stream);
                    taken += 1;
                    if taken >= AT_ONCE || stream.is_full() {
                        return self.wait(Expects::Room(source), stream);
                    }
                    give = source.next();
                }
                Give::Wait(source) => match &mut self.follows {
                    Some(follows) if follows.stopping => give = Give::End,
                    Some(follows) if follows.woken => {
                        follows.woken = false;
                        give = source.next();
                    }
                    Some(_) => return self.wait(Expects::Woken(source), stream),
                    None => {
                        error!(
                            target: "sockeye", peer = %self.peer.address,
                            "a source waits that nothing can wake: Reply::follow is for that"
                        );
                        return stream.abort();
                    }
                },
                Give::Run(work) => {
                    let promise = stream.promise();
                    let expects = Expects::Kept(promise.ticket());
                    let client = Client::of(self.peer.address);
                    drop(stream.spawn(job(client, promise, move || Came::Give(work()))));
                    return self.wait(expects, stream);
                }
                Give::End => return stream.end(),
                Give::EndWith(trailers) => return self.end_with(&trailers, stream),
                Give::Abort => return stream.abort(),
            }
        }
    }

    /// There may be something to give for a source that waits.
    fn woken(&mut self, stream: Stream<'_, '_>) -> Answer {
        match mem::take(&mut self.expects) {
            Expects::Woken(source) => self.give(source.next(), stream),
            other => {
                if let Some(follows) = &mut self.follows {
                    follows.woken = true;
                }
                self.wait(other, stream)
            }
        }
    }

    /// Takes what a sender has sent.
    fn sent(&mut self, body: Result<Message, Abandoned>, mut stream: Stream<'_, '_>) -> Answer {
        let expects = mem::take(&mut self.expects);
        if let (Expects::Sent { .. }, Ok(body)) = (&expects, body)
            && let Ok(sent) = body.downcast::<Sent>()
            && sent.exchange == self.number
        {
            write(sent.piece, &mut stream);
        }
        self.wait(expects, stream)
    }

    /// Takes what a promise brought.
    fn settled(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        stream: Stream<'_, '_>,
    ) -> Answer {
        match mem::take(&mut self.expects) {
            Expects::Sent { end, .. } if end == ticket => {
                match body.ok().and_then(|body| body.downcast::<Finished>().ok()) {
                    Some(finished) => self.end_with(&finished.trailers, stream),
                    None => stream.abort(),
                }
            }
            Expects::Kept(awaited) if awaited == ticket => {
                match body.ok().and_then(|body| body.downcast::<Came>().ok()).map(|came| *came) {
                    Some(Came::Give(give)) => self.give(give, stream),
                    _ => stream.abort(),
                }
            }
            other => self.wait(other, stream),
        }
    }

    /// Ends the response with fields behind its content.
    fn end_with(&mut self, trailers: &HeaderMap, stream: Stream<'_, '_>) -> Answer {
        let mut fields = Fields::new();
        for (name, value) in trailers {
            if let Err(bad) = fields.push(name.as_str(), value.as_bytes()) {
                error!(target: "sockeye", peer = %self.peer.address, %name, %bad, "a bad trailer");
                return stream.abort();
            }
        }
        stream.end_with(&fields)
    }

    /// Waits for what the exchange expects now.
    fn wait(&mut self, expects: Expects, stream: Stream<'_, '_>) -> Answer {
        self.expects = expects;
        match self.expects {
            Expects::Room(_) => stream.more(),
            _ => stream.later(),
        }
    }
}

fn write(piece: Bytes, stream: &mut Stream<'_, '_>) {
    /// Up to so many bytes a copy is cheaper than to send a piece of its own.
    const SMALL: usize = 1024;
    if piece.len() <= SMALL {
        stream.write(&piece);
    } else {
        stream.write_shared(piece);
    }
}
