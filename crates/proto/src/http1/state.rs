//! All states of a connection, and all transitions between them.
//!
//! ```text
//!                        ┌───────────── Blank, once
//!                        ▼    │
//!   ──▶ ExpectRequest ───────────HeadPart──▶ ExpectHead ⟲ HeadPart
//!        │  ▲  ▲  ▲                             │    │
//!        │  │  │  └───────────Answered──────────┘    │
//!   Full │  │  └──Answered── ExpectAnswer ◀──Owed────┘      (Owed also from ExpectRequest,
//!        ▼  │ Room                                           when the head came in one part)
//!      ExpectRoom
//!                                     any ──Over──▶ ExpectNothing
//! ```
//!
//! A state says what the connection expects next and has what is needed then, no more. What makes a
//! step happen is decided in [`server`](super::server).

use super::head::Progress;
use super::reply::Exchange;
use crate::Time;

/// What a connection expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "a state is named for what it expects")]
pub(super) enum State {
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
    /// The handler's answer. Nothing is read.
    ExpectAnswer {
        /// What the answer is to.
        exchange: Exchange,
    },
    /// Room for replies to the requests that wait. Nothing is read.
    ExpectRoom,
    /// Nothing: what was to be said is said.
    ExpectNothing,
}

/// What brings a connection from one state to the next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A blank line came before a request line.
    Blank,
    /// A head has come in part. `until` counts for its first part.
    HeadPart { progress: Progress, until: Time },
    /// A request is complete, and its answer comes later.
    Owed(Exchange),
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
    /// The state after `step`.
    pub(super) fn after(self, step: Step) -> Self {
        use State::{ExpectAnswer, ExpectHead, ExpectNothing, ExpectRequest, ExpectRoom};
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
            (
                ExpectRequest { .. } | ExpectHead { .. } | ExpectAnswer { .. },
                Step::Owed(exchange),
            ) => ExpectAnswer { exchange },
            (
                ExpectRequest { .. } | ExpectHead { .. } | ExpectAnswer { .. },
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

    /// When it is too late for what is expected.
    pub(super) fn until(&self) -> Option<Time> {
        match self {
            Self::ExpectRequest { until, .. } | Self::ExpectHead { until, .. } => Some(*until),
            // The promise behind an answer is always settled; the write deadline makes room or an
            // end.
            Self::ExpectAnswer { .. } | Self::ExpectRoom | Self::ExpectNothing => None,
        }
    }
}
