//! All states of a server's connection, and all transitions between them.
//!
//! ```text
//!                     ┌──────────── NextFrame ──────────────┐
//!                     ▼                                     │
//!   ──▶ ExpectFrame ──FirstByte──▶ ExpectHeader ──Content──▶ ExpectContent
//!        │  │  ▲  ▲                     │
//!   Full │  │  │  └───── NextFrame ─────┘     (content that came with its header is
//!        │  │  └── NextFrame ──┐              not waited for)
//!        ▼  └─Crowded─▶ ExpectPlace
//!    ExpectRoom ──NextFrame──▶ ExpectFrame
//!
//!   any ──Last──▶ ExpectAnswers ── nothing owed any more ──▶ ExpectNothing
//! ```
//!
//! A state says what the connection expects to read next, and has what is needed then. What is
//! still to be said is beside it: requests whose answers come later. What makes a step happen is
//! decided in [`server`](super::server).

use sockeye_proto::{End, Fault, Time};

use super::exchange::Content;

/// What a connection expects next.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "a state is named for what it expects")]
pub(super) enum State {
    /// The first byte of a frame.
    ExpectFrame {
        /// When it is given up, unless an answer is owed.
        until: Time,
    },
    /// The rest of a header.
    ExpectHeader {
        /// When it is given up.
        until: Time,
    },
    /// Content, as much as the header announced.
    ExpectContent(Box<Content>),
    /// Room for responses. Nothing is read.
    ExpectRoom,
    /// That one of the requests that wait is answered. Nothing is read.
    ExpectPlace,
    /// What is owed, and after it the end. Nothing is read any more.
    ExpectAnswers(Last),
    /// Nothing: what was to be said is said.
    ExpectNothing,
}

/// How a connection ends when nothing is owed any more.
#[derive(Debug)]
pub(super) enum Last {
    End(End),
    /// What the fault earned is in the output already.
    Fault(Box<Fault>),
}

/// What brings a connection from one state to the next.
#[derive(Debug)]
pub(super) enum Step {
    /// A header has come in part. `until` counts for its first part.
    FirstByte { until: Time },
    /// A header is complete, and its content is to come.
    Content(Box<Content>),
    /// Another frame may come.
    NextFrame { until: Time },
    /// The output is full.
    Full,
    /// As many requests wait as may.
    Crowded,
    /// No frame follows, and something is owed.
    Last(Last),
}

impl State {
    /// Takes a step.
    pub(super) fn step(&mut self, step: Step) {
        let before = std::mem::replace(self, Self::ExpectNothing);
        *self = before.after(step);
    }

    fn after(self, step: Step) -> Self {
        use State::{
            ExpectAnswers, ExpectContent, ExpectFrame, ExpectHeader, ExpectNothing, ExpectPlace,
            ExpectRoom,
        };
        match (self, step) {
            (ExpectFrame { .. }, Step::FirstByte { until }) => ExpectHeader { until },
            // More of a header is no more time for it.
            (ExpectHeader { until }, Step::FirstByte { .. }) => ExpectHeader { until },
            (ExpectFrame { .. } | ExpectHeader { .. }, Step::Content(content)) => {
                ExpectContent(content)
            }
            (
                ExpectFrame { .. }
                | ExpectHeader { .. }
                | ExpectContent(_)
                | ExpectRoom
                | ExpectPlace,
                Step::NextFrame { until },
            ) => ExpectFrame { until },
            (ExpectFrame { .. }, Step::Full) => ExpectRoom,
            (ExpectFrame { .. }, Step::Crowded) => ExpectPlace,
            (ExpectNothing, step @ Step::Last(_)) => impossible(ExpectNothing, &step),
            (_, Step::Last(last)) => ExpectAnswers(last),
            (state, step) => impossible(state, &step),
        }
    }

    /// Takes out the content that is expected: it is complete, or not wanted any more. Some step
    /// has to follow.
    pub(super) fn take_content(&mut self) -> Option<Box<Content>> {
        match std::mem::replace(self, Self::ExpectFrame { until: Time::NEVER }) {
            Self::ExpectContent(content) => Some(content),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Comes to the end, if nothing else is expected than what is owed: returns how.
    pub(super) fn take_last(&mut self) -> Option<Last> {
        match std::mem::replace(self, Self::ExpectNothing) {
            Self::ExpectAnswers(last) => Some(last),
            other => {
                *self = other;
                None
            }
        }
    }

    /// When it is too late for what is expected.
    pub(super) fn until(&self) -> Time {
        match self {
            Self::ExpectFrame { until } | Self::ExpectHeader { until } => *until,
            Self::ExpectContent(content) => content.until(),
            // The promise behind an answer is always settled; the write deadline makes room or an
            // end.
            Self::ExpectRoom | Self::ExpectPlace | Self::ExpectAnswers(_) | Self::ExpectNothing => {
                Time::NEVER
            }
        }
    }
}

fn impossible(state: State, step: &Step) -> State {
    debug_assert!(false, "{step:?} cannot happen in {state:?}");
    state
}
