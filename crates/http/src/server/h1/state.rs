//! All states of a connection, and all transitions between them.
//!
//! ```text
//!                        ┌───────────── Blank, once
//!                        ▼    │
//!   ──▶ ExpectRequest ───────────HeadPart──▶ ExpectHead ⟲ HeadPart
//!        │  ▲  ▲  ▲ ▲                           │    │
//!        │  │  │  │ └─────────Answered──────────┘    │
//!   Full │  │  │  └─Answered── ExpectAnswer ◀──Owed──┘      (Owed and Unread also from
//!        ▼  │  │                 ⟲  │                        ExpectRequest, when the head
//!   ExpectRoom └──Answered── ExpectRest ◀──Unread            came in one part)
//!          Room                     any ──Over──▶ ExpectNothing
//! ```
//!
//! A state says what the connection expects next and has what is needed then, no more. What makes a
//! step happen is decided in [`server`](crate::server).

use sockeye_proto::Time;

use crate::h1::head::Progress;
use crate::semantics::exchange::{Exchange, Rest};

/// What a connection expects next.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "a state is named for what it expects")]
pub(crate) enum State {
    /// The first byte of a request.
    ExpectRequest {
        /// When it is given up.
        until: Time,
        /// The blank line that may come before a request line has come.
        blank: bool,
    },
    /// The rest of a request head.
    ExpectHead {
        /// When it is given up.
        until: Time,
        /// How far it was read.
        progress: Progress,
    },
    /// What an answer waits for, as the exchange says: the body, room, a message.
    ExpectAnswer(Box<Exchange>),
    /// The rest of a body that nobody wants: the response is written.
    ExpectRest(Box<Rest>),
    /// Room for responses to the requests that wait. Nothing is read.
    ExpectRoom,
    /// Nothing: what was to be said is said.
    ExpectNothing,
}

/// What brings a connection from one state to the next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A blank line came before a request line.
    Blank,
    /// A head has come in part. `until` counts for its first part.
    HeadPart { progress: Progress, until: Time },
    /// A head is complete, and the answer waits for something.
    Owed(Box<Exchange>),
    /// A request was answered, and more of its body is to come.
    Unread(Box<Rest>),
    /// A request was answered, and another one may follow until then.
    Answered { until: Time },
    /// The output is full.
    Full,
    /// The output has room again.
    Room { until: Time },
    /// Nothing more will be read or said.
    Over,
}

impl State {
    /// Takes a step. Inlined, only what the step at hand can lead to is left of all this.
    #[inline(always)]
    pub(crate) fn step(&mut self, step: Step) {
        let before = std::mem::replace(self, Self::ExpectNothing);
        *self = before.after(step);
    }

    #[inline(always)]
    fn after(self, step: Step) -> Self {
        use State::{
            ExpectAnswer, ExpectHead, ExpectNothing, ExpectRequest, ExpectRest, ExpectRoom,
        };
        match (self, step) {
            (ExpectRequest { until, blank: false }, Step::Blank) => {
                ExpectRequest { until, blank: true }
            }
            (ExpectRequest { .. }, Step::HeadPart { progress, until }) => {
                ExpectHead { until, progress }
            }
            // More of a head is no more time for it.
            (ExpectHead { until, .. }, Step::HeadPart { progress, .. }) => {
                ExpectHead { until, progress }
            }
            (ExpectRequest { .. } | ExpectHead { .. }, Step::Owed(exchange)) => {
                ExpectAnswer(exchange)
            }
            (ExpectRequest { .. } | ExpectHead { .. } | ExpectAnswer(_), Step::Unread(rest)) => {
                ExpectRest(rest)
            }
            (
                ExpectRequest { .. } | ExpectHead { .. } | ExpectAnswer(_) | ExpectRest(_),
                Step::Answered { until },
            ) => ExpectRequest { until, blank: false },
            (ExpectRequest { .. }, Step::Full) => ExpectRoom,
            (ExpectRoom, Step::Room { until }) => ExpectRequest { until, blank: false },
            (_, Step::Over) => ExpectNothing,
            (state, step) => {
                debug_assert!(false, "{step:?} cannot happen in {state:?}");
                state
            }
        }
    }

    /// Takes out the exchange whose answer waits. Some step has to follow: [`Step::Owed`] puts it back.
    pub(crate) fn take_exchange(&mut self) -> Option<Box<Exchange>> {
        match std::mem::replace(self, Self::ExpectRequest { until: Time::NEVER, blank: false }) {
            Self::ExpectAnswer(exchange) => Some(exchange),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Takes out the rest of a body that nobody wants. Some step has to follow.
    pub(crate) fn take_rest(&mut self) -> Option<Rest> {
        match std::mem::replace(self, Self::ExpectRequest { until: Time::NEVER, blank: false }) {
            Self::ExpectRest(rest) => Some(*rest),
            other => {
                *self = other;
                None
            }
        }
    }

    /// When it is too late for what is expected.
    pub(crate) fn until(&self) -> Option<Time> {
        let until = match self {
            Self::ExpectRequest { until, .. } | Self::ExpectHead { until, .. } => *until,
            Self::ExpectAnswer(exchange) => exchange.until(),
            Self::ExpectRest(rest) => rest.until,
            // The write deadline makes room or an end.
            Self::ExpectRoom | Self::ExpectNothing => Time::NEVER,
        };
        (until != Time::NEVER).then_some(until)
    }
}
