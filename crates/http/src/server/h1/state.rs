//! What the server expects next on an HTTP/1.1 connection.
//!
//! ```text
//!   ──▶ ExpectRequest ◀──▶ ExpectRoom
//!          │      ▲
//!          │      └──────────────────┬──────────────────┐
//!          ├──▶ ExpectHead ──▶ ExpectAnswer ──▶ ExpectUnreadContent
//!          └──────────────────────▲
//!   any ──▶ ExpectNothing
//! ```
//!
//! - `ExpectHead`: while only a part of a request head has arrived.
//! - `ExpectAnswer`: while the handler waits. A request that is answered at once skips this state.
//! - `ExpectRoom`: from when the output is full, or too many requests wait to be logged, until the
//!   output has room again.
//! - `ExpectUnreadContent`: from the response to a request whose content was not all read, until
//!   the rest of the content was discarded.

use sockeye_proto::Time;

use crate::h1::body::Decoder;
use crate::h1::exchange::H1Exchange;
use crate::h1::head::Progress;
use crate::handling::in_flight::InFlight;

/// What the server expects next.
#[expect(clippy::enum_variant_names, reason = "a state is named for what it expects")]
pub(super) enum State<H> {
    /// The first byte of a request, until a deadline. `blank`: the blank line that may precede a
    /// request line has arrived.
    ExpectRequest { deadline: Time, blank: bool },
    /// The rest of a request head. `blank`: a blank line preceded the head. `method_is_head`: the
    /// request's method is HEAD.
    ExpectHead { deadline: Time, progress: Progress, blank: bool, method_is_head: bool },
    /// What the handler of this request waits for: content, room in the output, or a message from
    /// another thread.
    ExpectAnswer(Box<InFlight<H, H1Exchange>>),
    /// The rest of the content of a request that was already answered.
    ExpectUnreadContent(Box<UnreadContent>),
    /// Room in the output, before another request is read.
    ExpectRoom,
    /// Nothing: either the connection ends when everything is sent, or another protocol has taken
    /// it over.
    ExpectNothing,
}

/// The content of an answered request, which is discarded.
pub(super) struct UnreadContent {
    pub(super) decoder: Decoder,
    /// At most this many more bytes are discarded. If there is more, the connection ends.
    pub(super) limit: u64,
    pub(super) deadline: Time,
}

impl<H> State<H> {
    /// The state in which another request may start until `deadline`.
    pub(super) fn idle(deadline: Time) -> Self {
        Self::ExpectRequest { deadline, blank: false }
    }

    /// Removes the request in flight from the state, and returns it.
    pub(super) fn take_in_flight(&mut self) -> Option<Box<InFlight<H, H1Exchange>>> {
        match std::mem::replace(self, Self::ExpectNothing) {
            Self::ExpectAnswer(in_flight) => Some(in_flight),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The deadline of this state.
    pub(super) fn deadline(&self) -> Option<Time> {
        let deadline = match self {
            Self::ExpectRequest { deadline, .. } | Self::ExpectHead { deadline, .. } => *deadline,
            Self::ExpectAnswer(in_flight) => in_flight.exchange.deadline(),
            Self::ExpectUnreadContent(content) => content.deadline,
            // The engine's write timeout applies: the server waits for the client to receive.
            Self::ExpectRoom | Self::ExpectNothing => Time::NEVER,
        };
        (deadline != Time::NEVER).then_some(deadline)
    }
}
