//! The states of a server's connection, named for what it expects next.
//!
//! ```text
//!   ──▶ ExpectFrame ───▶ ExpectHeader ───▶ ExpectContent
//!        │  ▲   ▲            │                  │
//!        ▼  │   └────────────┴──────────────────┘  the request is complete
//!   ExpectCapacity
//!
//!   any ──▶ ExpectResponses ── all responses are written ──▶ ExpectNothing
//! ```
//!
//! `ExpectHeader` and `ExpectContent` are skipped if a whole header or content has arrived.
//! Requests whose responses follow later are kept beside the state, in `Server::pending`.

use sockeye_proto::{End, Fault, Time};

use super::receive::{IncomingRequest, Receiver};

/// What a connection expects next.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "a state is named for what it expects")]
pub(super) enum State {
    /// The first byte of a [frame](super::frame).
    ExpectFrame {
        /// When the connection times out. While a response is pending, this applies only if the
        /// server drains.
        until: Time,
    },
    /// The rest of a frame's header.
    ExpectHeader {
        /// When the header times out.
        until: Time,
    },
    /// The rest of the content that the header announced.
    ExpectContent(Box<IncomingRequest>),
    /// Room in the output, or fewer requests in flight. Nothing is read.
    ExpectCapacity,
    /// The pending responses. Then the connection ends, with the fault if there is one. Nothing is
    /// read.
    ExpectResponses(Result<End, Box<Fault>>),
    /// Nothing: the connection ends.
    ExpectNothing,
}

impl State {
    /// Takes the request whose content is arriving. The caller sets the next state.
    pub(super) fn take_incoming(&mut self) -> Option<Box<IncomingRequest>> {
        if !matches!(self, Self::ExpectContent(_)) {
            return None;
        }
        match std::mem::replace(self, Self::ExpectFrame { until: Time::NEVER }) {
            Self::ExpectContent(incoming) => Some(incoming),
            _ => None,
        }
    }

    /// Sets the fault of a connection that waits for its last responses, unless it has one.
    pub(super) fn end_with(&mut self, fault: Fault) {
        if let Self::ExpectResponses(end @ Ok(_)) = self {
            *end = Err(Box::new(fault));
        }
    }

    /// When the state times out, or the deadline of the unanswered request whose content is
    /// arriving, if that is earlier.
    pub(super) fn until(&self) -> Time {
        match self {
            Self::ExpectFrame { until } | Self::ExpectHeader { until } => *until,
            Self::ExpectContent(incoming) => incoming.until(),
            // No timeout is needed: promises (pending results) are always fulfilled or abandoned,
            // and the engine's write timeout ends a connection whose peer takes no output.
            Self::ExpectCapacity | Self::ExpectResponses(_) | Self::ExpectNothing => Time::NEVER,
        }
    }

    /// The request whose content is arriving and that still needs a response.
    pub(super) fn unanswered(&mut self) -> Option<&mut IncomingRequest> {
        match self {
            Self::ExpectContent(incoming) if !matches!(incoming.receiver, Receiver::Discard(_)) => {
                Some(incoming)
            }
            _ => None,
        }
    }
}
