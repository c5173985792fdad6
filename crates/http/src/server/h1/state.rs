//! What the server expects next on an HTTP/1.1 connection.
//!
//! ```text
//!   ──▶ ExpectRequest ◀──▶ ExpectRoom     the output is full · it has room again
//!          │      ▲
//!          │      └───────────────────┐   the request is answered, all of it was read
//!          ├──▶ ExpectHead ──▶ ExpectAnswer ──▶ ExpectRest     answered before all of it was read
//!          └──────────────────────▲
//!   any ──▶ ExpectNothing
//! ```

use sockeye_proto::Time;

use crate::h1::body::Decoder;
use crate::h1::exchange::H1Exchange;
use crate::h1::head::Progress;
use crate::handling::in_flight::InFlight;

/// What the server expects next.
#[expect(clippy::enum_variant_names, reason = "a state is named for what it expects")]
pub(super) enum State<H> {
    /// The first byte of a request, until a deadline. `blank`: the blank line that may precede a
    /// request line has come.
    ExpectRequest { until: Time, blank: bool },
    /// The rest of a request head.
    ExpectHead { until: Time, progress: Progress },
    /// What the handler of this request waits for: content, room in the output, or a message.
    ExpectAnswer(Box<InFlight<H, H1Exchange>>),
    /// The rest of an answered request's content.
    ExpectRest(Box<Rest>),
    /// Room in the output for responses to the requests that wait. Nothing is read.
    ExpectRoom,
    /// Nothing: the connection ends when everything is sent.
    ExpectNothing,
}

/// Content of a request that nobody reads.
pub(super) struct Rest {
    pub(super) decoder: Decoder,
    /// How much of it may still be discarded. If there is more, the connection ends.
    pub(super) room: u64,
    pub(super) until: Time,
}

impl<H> State<H> {
    /// Another request may follow until then.
    pub(super) fn idle(until: Time) -> Self {
        Self::ExpectRequest { until, blank: false }
    }

    /// Takes out the request in flight.
    pub(super) fn take_in_flight(&mut self) -> Option<Box<InFlight<H, H1Exchange>>> {
        match std::mem::replace(self, Self::ExpectNothing) {
            Self::ExpectAnswer(in_flight) => Some(in_flight),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The deadline.
    pub(super) fn until(&self) -> Option<Time> {
        let until = match self {
            Self::ExpectRequest { until, .. } | Self::ExpectHead { until, .. } => *until,
            Self::ExpectAnswer(in_flight) => in_flight.exchange.until(),
            Self::ExpectRest(rest) => rest.until,
            // The write deadline limits this.
            Self::ExpectRoom | Self::ExpectNothing => Time::NEVER,
        };
        (until != Time::NEVER).then_some(until)
    }
}
