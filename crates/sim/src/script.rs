//! Peers without an engine: they say what a script tells them to, and record what they hear.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use sockeye_engine::driver::Target;
use sockeye_proto::Time;

use crate::link::{End, EndId, Owner, Stage};
use crate::net::{Incident, Net};

/// What a peer does, step after step.
///
/// It reads all the time unless told otherwise. When the steps are over it waits for the other
/// side's end and closes.
#[derive(Clone, Debug, Default)]
pub struct Script {
    from: Option<IpAddr>,
    steps: VecDeque<Step>,
}

#[derive(Clone, Debug)]
enum Step {
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
enum Reading {
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

/// A script under way.
#[derive(Debug)]
pub(crate) struct ScriptRun {
    end: EndId,
    steps: VecDeque<Step>,
    /// What is left of the present [`Step::Send`].
    unsent: VecDeque<u8>,
    waiting_until: Option<Time>,
    reading: Reading,
    next_read: Time,
    pub(crate) heard: Heard,
}

impl ScriptRun {
    pub(crate) fn end(&self) -> EndId {
        self.end
    }
}

impl Net {
    /// A scripted peer connects.
    pub(crate) fn script_connects(&mut self, script: Script, target: Target) -> usize {
        let from = script.from;
        let nowhere = Self::name(EndId(0), from, &target);
        let end = self.add_end(End::new(Owner::Nobody, Stage::Connecting, nowhere));
        self.ends[end.0].bound_for = Some((target, from));
        self.start_script(script, end);
        self.set_out(end);
        self.scripts.len() - 1
    }

    /// A script takes over an end.
    pub(crate) fn start_script(&mut self, script: Script, end: EndId) {
        let id = self.scripts.len();
        self.ends[end.0].owner = Owner::Script(id);
        self.scripts.push(ScriptRun {
            end,
            steps: script.steps,
            unsent: VecDeque::new(),
            waiting_until: None,
            reading: Reading::All,
            next_read: self.now,
            heard: Heard::default(),
        });
        self.schedule(Duration::ZERO, Incident::Script(id));
    }

    /// Lets a script go on as far as it can.
    pub(crate) fn run_script(&mut self, id: usize) {
        let end = self.scripts[id].end;
        if self.scripts[id].heard.closed || self.ends[end.0].stage == Stage::Connecting {
            return;
        }
        self.script_reads(id, end);
        while let Some(step) = self.scripts[id].steps.front().cloned() {
            if !self.script_steps(id, end, step) {
                return;
            }
            self.scripts[id].steps.pop_front();
            if self.scripts[id].heard.closed {
                return;
            }
        }
        if self.scripts[id].heard.outcome.is_some() {
            self.script_closes(id, end);
        }
    }

    /// Takes one step; false if it takes longer.
    fn script_steps(&mut self, id: usize, end: EndId, step: Step) -> bool {
        let over = self.scripts[id].heard.outcome.is_some();
        match step {
            Step::Send(bytes) => return self.script_sends(id, end, bytes),
            Step::Wait(time) => return self.script_waits(id, time),
            Step::AwaitBytes(count) => return over || self.scripts[id].heard.bytes.len() >= count,
            Step::AwaitEnd => return over,
            Step::Read(reading) => {
                self.scripts[id].reading = reading;
                self.script_reads(id, end);
            }
            Step::Finish => self.finish(end),
            Step::Reset => {
                self.ends[end.0].wire.clear();
                let peer = self.ends[end.0].peer;
                peer.into_iter().for_each(|peer| self.send_reset(peer));
                self.ends[end.0].fail(io::ErrorKind::ConnectionReset);
                self.script_closes(id, end);
            }
            Step::Close => self.script_closes(id, end),
        }
        true
    }

    fn script_closes(&mut self, id: usize, end: EndId) {
        self.scripts[id].heard.closed = true;
        self.close(end);
    }

    fn script_waits(&mut self, id: usize, time: Duration) -> bool {
        match self.scripts[id].waiting_until {
            Some(until) if until <= self.now => {
                self.scripts[id].waiting_until = None;
                true
            }
            Some(_) => false,
            None => {
                self.scripts[id].waiting_until = Some(self.now + time);
                self.schedule(time, Incident::Script(id));
                false
            }
        }
    }

    /// Sends what fits; true when all is on its way or the connection is over.
    fn script_sends(&mut self, id: usize, end: EndId, bytes: Vec<u8>) -> bool {
        if self.ends[end.0].failure().is_some() {
            self.scripts[id].unsent.clear();
            return true;
        }
        let mut unsent = mem::take(&mut self.scripts[id].unsent);
        if unsent.is_empty() {
            unsent = bytes.into();
        }
        let room = self.ends[end.0].room(self.faults.send_buffer);
        let count = room.min(unsent.len());
        self.ends[end.0].wire.extend(unsent.drain(..count));
        self.scripts[id].heard.sent += count;
        self.ends[end.0].blocked = !unsent.is_empty();
        self.dispatch(end);
        let all = unsent.is_empty();
        self.scripts[id].unsent = unsent;
        all
    }

    fn script_reads(&mut self, id: usize, end: EndId) {
        let run = &mut self.scripts[id];
        let most = match run.reading {
            Reading::All => usize::MAX,
            Reading::Nothing => 0,
            Reading::Slowly { .. } if self.now < run.next_read => 0,
            Reading::Slowly { bytes, .. } => bytes,
        };
        let this = &mut self.ends[end.0];
        let count = this.inbox.len().min(most);
        run.heard.bytes.extend(this.inbox.drain(..count));
        if run.heard.outcome.is_none() {
            let outcome = match this.failure() {
                Some(kind) => Some(Outcome::Failed(kind)),
                None => (this.eof && this.inbox.is_empty()).then_some(Outcome::Ended),
            };
            run.heard.outcome = outcome.map(|outcome| (outcome, self.now));
        }
        if let Reading::Slowly { every, .. } = run.reading
            && count > 0
        {
            run.next_read = self.now + every;
            self.schedule(every, Incident::Script(id));
        }
        if let Some(peer) = self.ends[end.0].peer
            && count > 0
        {
            self.dispatch(peer);
        }
    }
}
