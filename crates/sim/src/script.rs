//! The steps of a scripted peer, and its state. A scripted peer has no engine: it sends and reads
//! what its script says.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use sockeye_proto::Time;

use crate::endpoint::EndpointId;

/// The steps of a peer.
///
/// The peer reads everything as it arrives, unless a step changes that. After the last step, it
/// waits for the end of the other side's output and closes its connection.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(crate) from: Option<IpAddr>,
    steps: VecDeque<Step>,
}

/// One step. For each kind of step, see the method of [`Script`] that appends it.
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

/// How much a peer reads of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    All,
    Nothing,
    Slowly { bytes: usize, every: Duration },
}

impl Script {
    /// A peer that sends nothing, reads, and closes at the end of the other side's output.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects from this address. Default: a loopback address, to which no limit per address
    /// applies.
    #[must_use]
    pub fn from(mut self, ip: IpAddr) -> Self {
        self.from = Some(ip);
        self
    }

    /// Sends bytes, and continues when the send buffer has taken the last of them.
    #[must_use]
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Waits for this duration.
    #[must_use]
    pub fn wait(self, time: Duration) -> Self {
        self.then(Step::Wait(time))
    }

    /// Waits until `count` bytes have been received since the start of the connection, or until the
    /// other side's output ends or the connection fails.
    #[must_use]
    pub fn await_bytes(self, count: usize) -> Self {
        self.then(Step::AwaitBytes(count))
    }

    /// Waits for the end of the other side's output, or until the connection fails.
    #[must_use]
    pub fn await_end(self) -> Self {
        self.then(Step::AwaitEnd)
    }

    /// Stops reading.
    #[must_use]
    pub fn stop_reading(self) -> Self {
        self.then(Step::Read(Reading::Nothing))
    }

    /// Reads everything as it arrives. A script begins like this, so call it only after
    /// [`Script::stop_reading`] or [`Script::read_slowly`].
    #[must_use]
    pub fn read_all(self) -> Self {
        self.then(Step::Read(Reading::All))
    }

    /// Reads at most `bytes` bytes once per `every`.
    #[must_use]
    pub fn read_slowly(self, bytes: usize, every: Duration) -> Self {
        self.then(Step::Read(Reading::Slowly { bytes, every }))
    }

    /// Closes the sending side.
    #[must_use]
    pub fn finish(self) -> Self {
        self.then(Step::Finish)
    }

    /// Resets the connection.
    #[must_use]
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Closes the connection: with a reset if unread bytes have arrived. Bytes that arrive
    /// afterwards are answered with a reset.
    #[must_use]
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Appends a step.
    fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

/// How a scripted peer's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side closed its sending side.
    Ended,
    /// The connection was reset or refused.
    Failed(io::ErrorKind),
}

/// The state of a scripted peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    /// The bytes that it received.
    pub bytes: Vec<u8>,
    /// How its connection ended and when. `None` if it has not ended, or if the script closed or
    /// reset it first.
    pub outcome: Option<(Outcome, Time)>,
    /// Number of bytes that its send buffer has taken.
    pub sent: usize,
    /// Whether it has closed its socket.
    pub closed: bool,
}

/// A running script.
#[derive(Debug)]
pub(crate) struct ScriptRun {
    pub(crate) endpoint: EndpointId,
    pub(crate) steps: VecDeque<Step>,
    /// The unsent bytes of the current [`Step::Send`].
    pub(crate) unsent: VecDeque<u8>,
    /// The end of the current [`Step::Wait`].
    pub(crate) waiting_until: Option<Time>,
    pub(crate) reading: Reading,
    /// For [`Reading::Slowly`]: nothing is read before this time.
    pub(crate) next_read: Time,
    pub(crate) state: PeerState,
}

impl ScriptRun {
    /// Starts a script on `endpoint`.
    pub(crate) fn new(script: Script, endpoint: EndpointId, now: Time) -> Self {
        Self {
            endpoint,
            steps: script.steps,
            unsent: VecDeque::new(),
            waiting_until: None,
            reading: Reading::All,
            next_read: now,
            state: PeerState::default(),
        }
    }
}
