//! What peers without an engine do, and what they hear.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use sockeye_proto::Time;

use crate::link::EndId;

/// What a peer does, step after step.
///
/// It reads all the time unless told otherwise. When the steps are over it waits for the other
/// side's end and closes.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(crate) from: Option<IpAddr>,
    steps: VecDeque<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    AwaitBytes(usize),
    AwaitEnd,
    Read(Reading),
    Finish,
    Reset,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    All,
    Nothing,
    Slowly { bytes: usize, every: Duration },
}

impl Script {
    /// A peer that says nothing, reads, and closes when the other side ends.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects from this address. Otherwise from a loopback address, which no limit counts.
    #[must_use]
    pub fn from(mut self, ip: IpAddr) -> Self {
        self.from = Some(ip);
        self
    }

    /// Sends bytes, and goes on when the last of them is on its way.
    #[must_use]
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Does nothing for a while.
    #[must_use]
    pub fn wait(self, time: Duration) -> Self {
        self.then(Step::Wait(time))
    }

    /// Waits until `count` bytes in all have been received.
    #[must_use]
    pub fn await_bytes(self, count: usize) -> Self {
        self.then(Step::AwaitBytes(count))
    }

    /// Waits until the other side has ended, or the connection is over.
    #[must_use]
    pub fn await_end(self) -> Self {
        self.then(Step::AwaitEnd)
    }

    /// Stops reading.
    #[must_use]
    pub fn stop_reading(self) -> Self {
        self.then(Step::Read(Reading::Nothing))
    }

    /// Reads everything as it comes, again.
    #[must_use]
    pub fn read_all(self) -> Self {
        self.then(Step::Read(Reading::All))
    }

    /// Reads at most `bytes` at a time, once in `every`.
    #[must_use]
    pub fn read_slowly(self, bytes: usize, every: Duration) -> Self {
        self.then(Step::Read(Reading::Slowly { bytes, every }))
    }

    /// Ends its side.
    #[must_use]
    pub fn finish(self) -> Self {
        self.then(Step::Finish)
    }

    /// Resets the connection.
    #[must_use]
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Closes the connection; what comes afterwards is answered with a reset.
    #[must_use]
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

/// How a scripted peer's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side ended.
    Ended,
    /// It was reset, refused or the like.
    Failed(io::ErrorKind),
}

/// What a scripted peer heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What it received.
    pub bytes: Vec<u8>,
    /// How it ended, if it did, and when.
    pub outcome: Option<(Outcome, Time)>,
    /// How many bytes it sent, as far as they were taken.
    pub sent: usize,
    /// Whether it has closed its end.
    pub closed: bool,
}

/// A script that runs.
#[derive(Debug)]
pub(crate) struct ScriptRun {
    pub(crate) end: EndId,
    pub(crate) steps: VecDeque<Step>,
    /// What is left of the present [`Step::Send`].
    pub(crate) unsent: VecDeque<u8>,
    pub(crate) waiting_until: Option<Time>,
    pub(crate) reading: Reading,
    pub(crate) next_read: Time,
    pub(crate) heard: Heard,
}

impl ScriptRun {
    /// Begins a script at `end`.
    pub(crate) fn new(script: Script, end: EndId, now: Time) -> Self {
        Self {
            end,
            steps: script.steps,
            unsent: VecDeque::new(),
            waiting_until: None,
            reading: Reading::All,
            next_read: now,
            heard: Heard::default(),
        }
    }
}
