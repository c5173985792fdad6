//! Peers without an engine: the network does what their scripts say.

use std::io;
use std::mem;
use std::time::Duration;

use sockeye_engine::driver::Target;

use crate::link::{End, EndId, Owner, Stage};
use crate::net::{Incident, Net};
use crate::script::{Outcome, Reading, Script, ScriptRun, Step};

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
        self.scripts.push(ScriptRun::new(script, end, self.now));
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
