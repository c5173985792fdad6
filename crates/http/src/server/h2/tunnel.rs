//! The protocol that a stream has switched to, after an extended CONNECT (RFC 8441).

use sockeye_proto::driver::{NestedSession, Stream};
use sockeye_proto::{Blame, End, Fault, Reason, Turn};

use super::limits::STREAM_WINDOW;
use super::receive::RequestContent;
use crate::h2::exchange::H2Exchange;
use crate::h2::frame::ErrorCode;

/// The protocol that a stream has switched to. DATA frames are its input and its output.
pub(super) struct Tunnel {
    pub(super) session: NestedSession,
    pub(super) wire: H2Exchange,
    /// Bytes received by which the client's window is not enlarged again yet, because the protocol
    /// has not used them.
    uncredited: usize,
    /// The end of this side of the stream is moved to the connection.
    has_sent_end: bool,
}

impl Tunnel {
    pub(super) fn new(session: NestedSession, wire: H2Exchange) -> Self {
        Self { session, wire, uncredited: 0, has_sent_end: false }
    }

    /// Whether the stream's output is complete, and the end of the stream has to be sent.
    pub(super) fn is_ending(&self) -> bool {
        self.session.end().is_some() && !self.has_sent_end
    }

    /// Whether both sides of the stream have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.has_sent_end && self.session.has_input_ended()
    }

    /// Calls the session, which gets `received` bytes of input, and acts on what has changed.
    /// Returns the error code if the stream has to be reset, because the session has failed.
    pub(super) fn change(
        &mut self,
        (stream, receive): (&mut Stream, &mut RequestContent),
        received: usize,
        outer: &Turn<'_>,
        call: impl FnOnce(&mut NestedSession),
    ) -> Option<ErrorCode> {
        let Self { session, wire, uncredited, has_sent_end } = self;
        call(session);
        // A protocol may need more input at once than the window allows. While it waits for more
        // input, the window is enlarged by up to `STREAM_WINDOW` bytes that it has not used yet.
        let may_keep = if session.wants_input() { STREAM_WINDOW as usize } else { 0 };
        let (has, keeps) = (*uncredited + received, session.unused().saturating_sub(may_keep));
        let consumed = has.saturating_sub(keeps);
        *uncredited = has - consumed;
        receive.consume(consumed);
        match *has_sent_end {
            true => session.drop_output(),
            false => session.move_to_stream(stream),
        }
        // What was written before a fault is sent, and then the end of the stream.
        let ends_later = *has_sent_end || stream.unsent() > wire.head_len as u64;
        let code = match session.reason() {
            Some(Reason::Fault(fault)) if !ends_later => match fault.blame {
                Blame::Ours => Some(ErrorCode::InternalError),
                Blame::Peer => Some(ErrorCode::Cancel),
            },
            Some(Reason::Panicked) => Some(ErrorCode::InternalError),
            _ => None,
        };
        if code.is_some() || self.is_closed() {
            self.close(None, outer);
        }
        code
    }

    /// The end of this side of the stream is moved to the connection.
    pub(super) fn note_end(&mut self) {
        self.has_sent_end = true;
    }

    /// Whether the session still reads after this side of the stream has ended.
    pub(super) fn reads_on(&self) -> bool {
        self.session.end() == Some(End::Finish)
    }

    /// Ends the session. The reason is the session's own if it has failed; otherwise `reason`, or
    /// the session's own if that is `None`.
    pub(super) fn close(&mut self, reason: Option<&Reason>, outer: &Turn<'_>) {
        let own = self.session.take_reason();
        match &own {
            Reason::Fault(fault) if !own.is_orderly() => outer.report(fault.clone()),
            Reason::Panicked => outer.report(panicked()),
            _ => {}
        }
        let has_failed = matches!(own, Reason::Fault(_) | Reason::Panicked);
        self.session.close(reason.filter(|_| !has_failed).unwrap_or(&own), outer);
        // In `Event::Closed`, or in its destructor.
        if let Some(Reason::Panicked) = self.session.reason() {
            outer.report(panicked());
        }
    }

    /// Enlarges the window by the unused bytes, since nothing more is read.
    pub(super) fn discard_unused(&mut self, receive: &mut RequestContent) {
        receive.consume(std::mem::take(&mut self.uncredited));
    }
}

fn panicked() -> Fault {
    Fault::ours("protocol_panicked", "panicked while it spoke another protocol on a stream")
}
