//! The protocol that a stream has switched to, after an extended CONNECT (RFC 8441).

use sockeye_proto::driver::{NestedSession, Stream};
use sockeye_proto::{Blame, End, Reason, Turn};

use super::limits::STREAM_WINDOW;
use super::receive::RequestContent;
use crate::h2::exchange::H2Exchange;
use crate::h2::frame::ErrorCode;

/// The protocol that a stream has switched to. `session` holds it, with its unused input and its
/// output. DATA frames carry the input and the output.
pub(super) struct Tunnel {
    pub(super) session: NestedSession,
    /// HTTP/2's state of the exchange that has opened the tunnel. Its `head_len` is still used.
    pub(super) wire: H2Exchange,
    /// How many bytes were received and not yet passed to [`RequestContent::consume`], which lets
    /// the client's window be enlarged by them.
    uncredited: usize,
    /// Whether the end of this side of the stream was moved to the connection's output.
    has_sent_end: bool,
}

impl Tunnel {
    pub(super) fn new(session: NestedSession, wire: H2Exchange) -> Self {
        Self { session, wire, uncredited: 0, has_sent_end: false }
    }

    /// Whether the session writes nothing more, and the end of this side of the stream was not
    /// moved to the connection's output yet.
    pub(super) fn is_ending(&self) -> bool {
        self.session.end().is_some() && !self.has_sent_end
    }

    /// Whether both sides of the stream have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.has_sent_end && self.session.has_input_ended()
    }

    /// Whether this side of the stream has ended, and the client's side is still open.
    pub(super) fn has_only_input_left(&self) -> bool {
        self.has_sent_end && !self.session.has_input_ended()
    }

    /// Runs `call`, which calls the session and passes `received` bytes of input to it. Then moves
    /// the session's output to the stream. If the session has failed, and the stream has to be
    /// reset, closes the session and returns the error code. Closes the session also if both sides
    /// of the stream have ended.
    pub(super) fn change(
        &mut self,
        (stream, receive): (&mut Stream, &mut RequestContent),
        received: usize,
        outer: &Turn<'_>,
        call: impl FnOnce(&mut NestedSession),
    ) -> Option<ErrorCode> {
        let Self { session, wire, uncredited, has_sent_end } = self;
        call(session);
        // A protocol may need more input at once than the window allows. While the protocol waits
        // for more input, the window is enlarged even by bytes that the protocol has not used, up
        // to `STREAM_WINDOW` of them.
        let may_keep = if session.wants_input() { STREAM_WINDOW as usize } else { 0 };
        let (has, keeps) = (*uncredited + received, session.unused().saturating_sub(may_keep));
        let consumed = has.saturating_sub(keeps);
        *uncredited = has - consumed;
        receive.consume(consumed);
        match *has_sent_end {
            true => session.drop_output(),
            false => session.move_to_stream(stream),
        }
        // If the stream holds unsent content when the protocol fails, the content and the end of
        // the stream are sent, and the stream is not reset. If the end was sent before, the stream
        // is not reset either. After a panic, the stream is always reset.
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

    /// To be called when the end of this side of the stream was moved to the connection's output.
    pub(super) fn note_end(&mut self) {
        self.has_sent_end = true;
    }

    /// Whether the session still reads after this side of the stream has ended.
    pub(super) fn reads_on(&self) -> bool {
        self.session.end() == Some(End::Finish)
    }

    /// Ends the session: see [`NestedSession::close_and_report`].
    pub(super) fn close(&mut self, reason: Option<&Reason>, outer: &Turn<'_>) {
        let panicked = "panicked while it spoke another protocol on a stream";
        self.session.close_and_report(reason, panicked, outer);
    }

    /// Lets the window be enlarged by the unused bytes. To be called when the session reads nothing
    /// more.
    pub(super) fn discard_unused(&mut self, receive: &mut RequestContent) {
        receive.consume(std::mem::take(&mut self.uncredited));
    }
}
