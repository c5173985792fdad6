//! Receives the content of requests: piece by piece from [frames](super::frame) and over HTTP, in
//! one piece from WebSocket messages.

use std::sync::Arc;

use sockeye_proto::{Client, Time, Turn};

use super::frame::{ContentBuffer, UNCHARGED};
use super::json_nodes::JsonNodes;
use super::request::PendingRequest;
use super::{Answer, ContentMode, Flow, Handler, Header, Limits, Refusal, Responder};

/// Where content goes as it arrives. The numbers are the bytes still to come.
#[derive(Debug)]
pub(super) enum Receiver {
    /// Into a message.
    Collect {
        header: Header,
        buffer: ContentBuffer,
        /// Counts the JSON values and keys in the content. `None` if that is not needed: see
        /// [`JsonNodes::of`].
        nodes: Option<JsonNodes>,
    },
    /// To the handler, piece by piece.
    Stream(u64),
    /// Nowhere: the refusal is sent when the content is complete.
    Refuse(Refusal, u64),
    /// Nowhere: the request was answered or cancelled.
    Discard(u64),
}

impl Receiver {
    /// Receives the content behind `header`. `client` is charged for content that is collected.
    /// `charges_all`: the client is charged for all of the content, and not only for what exceeds
    /// 64 KiB. It is set over HTTP/2, where a connection can have many messages at a time.
    pub(super) fn new(
        mode: ContentMode,
        header: Header,
        limits: &Limits,
        client: Client,
        charges_all: bool,
    ) -> Self {
        let len = header.content_length;
        if mode == ContentMode::Stream {
            return Self::Stream(len);
        }
        let permit = limits.collected.empty_permit(client);
        let uncharged = if charges_all { 0 } else { UNCHARGED };
        let buffer = ContentBuffer::new(len, Some(permit), uncharged);
        Self::Collect { nodes: JsonNodes::of(&header, limits), header, buffer }
    }

    /// Bytes still to come.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Self::Collect { buffer, .. } => buffer.remaining(),
            Self::Stream(remaining) | Self::Refuse(_, remaining) | Self::Discard(remaining) => {
                *remaining
            }
        }
    }

    /// Takes a piece of at most [`Receiver::remaining`] bytes. Returns [`Flow::Pause`] only if the
    /// request has an unsettled promise (a pending result), which can end the pause.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        handler: &mut impl Handler,
        mut responder: Responder<'_, '_>,
    ) -> Flow {
        let len = piece.len() as u64;
        match self {
            Self::Collect { buffer, nodes, .. } => {
                let remaining = buffer.remaining() - len;
                if let Some(nodes) = nodes
                    && !nodes.count_piece(piece)
                {
                    let limit = nodes.limit;
                    let what = format!("the content has more than {limit} JSON values and keys");
                    *self = Self::Refuse(Refusal::new("too_complex", what), remaining);
                } else if !buffer.take(piece) {
                    let what = "too much content is in memory already; send it again later";
                    *self = Self::Refuse(Refusal::new("busy", what), remaining);
                }
            }
            Self::Stream(remaining) => {
                *remaining -= len;
                if !piece.is_empty()
                    && handler.on_content(piece, &mut responder) == Flow::Pause
                    && !responder.request.tickets.is_empty()
                {
                    return Flow::Pause;
                }
            }
            Self::Refuse(_, remaining) | Self::Discard(remaining) => *remaining -= len,
        }
        Flow::More
    }

    /// All content has arrived: passes the request to the handler, or returns the refusal.
    pub(super) fn finish(self, handler: &mut impl Handler, responder: Responder<'_, '_>) -> Answer {
        match self {
            Self::Collect { header, buffer, .. } => {
                let (content, permit) = buffer.into_parts();
                let permit = permit.filter(|permit| permit.amount() > 0);
                responder.request.permit = permit.map(Arc::new);
                let peer = responder.peer;
                handler.on_message(header.into_message(content), peer, responder)
            }
            // The server doesn't call this for discarded content: it reads the next frame instead.
            Self::Stream(_) | Self::Discard(_) => handler.on_end(responder),
            Self::Refuse(refusal, _) => Answer::refusal(refusal),
        }
    }
}

/// A request that comes in a frame, while its content is arriving.
#[derive(Debug)]
pub(super) struct IncomingRequest {
    pub(super) request: PendingRequest,
    pub(super) receiver: Receiver,
    /// When the request times out if nothing more arrives.
    pub(super) timeout: Time,
    /// The handler has returned [`Flow::Pause`].
    pub(super) paused: bool,
}

impl IncomingRequest {
    /// When the request times out, or the deadline of its header (`deadline-ms`) passes, whichever
    /// comes first. A paused request has no timeout. A request whose content is discarded has no
    /// deadline, because it was answered or cancelled.
    pub(super) fn until(&self) -> Time {
        let timeout = if self.paused { Time::NEVER } else { self.timeout };
        match self.receiver {
            Receiver::Discard(_) => timeout,
            _ => timeout.min(self.request.deadline),
        }
    }

    /// Discards the content from now on.
    pub(super) fn discard(&mut self) {
        self.receiver = Receiver::Discard(self.receiver.remaining());
    }

    /// Ends a pause.
    pub(super) fn resume(&mut self, limits: &Limits, turn: &mut Turn<'_>) {
        if self.paused {
            self.paused = false;
            self.timeout = turn.now() + limits.content_timeout;
            turn.resume();
        }
    }
}
