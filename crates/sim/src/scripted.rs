//! Runs the scripts of peers that have no engine.

use std::io;
use std::mem;
use std::time::Duration;

use sockeye_engine::driver::Target;

use crate::endpoint::{ConnectionState, Endpoint, EndpointId, Owner};
use crate::net::{Net, ScheduledEvent};
use crate::script::{Outcome, Reading, Script, ScriptRun, Step};

impl Net {
    /// Connects a scripted peer to `target`. Returns the index of its script in `Net::scripts`.
    pub(crate) fn script_connects(&mut self, script: Script, target: Target) -> usize {
        let from = script.from;
        // A script never reads the address of its peer, so any address can be used.
        let placeholder = Self::client_address(EndpointId(0), from, &target);
        let endpoint = self.add_endpoint(Endpoint::new(
            Owner::Closed,
            ConnectionState::Connecting,
            placeholder,
        ));
        self.endpoints[endpoint.0].connecting_to = Some((target, from));
        self.start_script(script, endpoint);
        self.start_connecting(endpoint);
        self.scripts.len() - 1
    }

    /// Makes a script the owner of an endpoint, and schedules its first run.
    pub(crate) fn start_script(&mut self, script: Script, endpoint: EndpointId) {
        let id = self.scripts.len();
        self.endpoints[endpoint.0].owner = Owner::Script(id);
        self.scripts.push(ScriptRun::new(script, endpoint, self.now));
        self.schedule(Duration::ZERO, ScheduledEvent::Script(id));
    }

    /// Runs the steps of a script up to the first one that has to wait. After the last step, closes
    /// the connection once the other side's output has ended or the connection has failed.
    pub(crate) fn run_script(&mut self, id: usize) {
        let endpoint = self.scripts[id].endpoint;
        if self.scripts[id].state.closed
            || self.endpoints[endpoint.0].state == ConnectionState::Connecting
        {
            return;
        }
        self.script_reads(id, endpoint);
        while let Some(step) = self.scripts[id].steps.front().cloned() {
            if !self.script_steps(id, endpoint, step) {
                return;
            }
            self.scripts[id].steps.pop_front();
            if self.scripts[id].state.closed {
                return;
            }
        }
        if self.scripts[id].state.outcome.is_some() {
            self.script_closes(id, endpoint);
        }
    }

    /// Executes one step. Returns false if the step has to wait.
    fn script_steps(&mut self, id: usize, endpoint: EndpointId, step: Step) -> bool {
        let over = self.scripts[id].state.outcome.is_some();
        match step {
            Step::Send(bytes) => return self.script_sends(id, endpoint, bytes),
            Step::Wait(time) => return self.script_waits(id, time),
            Step::AwaitBytes(count) => return over || self.scripts[id].state.bytes.len() >= count,
            Step::AwaitEnd => return over,
            Step::Read(reading) => {
                self.scripts[id].reading = reading;
                self.script_reads(id, endpoint);
            }
            Step::Finish => self.finish(endpoint),
            Step::Reset => {
                self.endpoints[endpoint.0].in_flight.clear();
                let peer = self.endpoints[endpoint.0].peer;
                peer.into_iter().for_each(|peer| self.send_reset(peer));
                self.endpoints[endpoint.0].fail(io::ErrorKind::ConnectionReset);
                self.script_closes(id, endpoint);
            }
            Step::Close => self.script_closes(id, endpoint),
        }
        true
    }

    fn script_closes(&mut self, id: usize, endpoint: EndpointId) {
        self.scripts[id].state.closed = true;
        self.close(endpoint);
    }

    /// Returns whether the wait is over. The first call for a [`Step::Wait`] starts the wait.
    fn script_waits(&mut self, id: usize, time: Duration) -> bool {
        match self.scripts[id].waiting_until {
            Some(until) if until <= self.now => {
                self.scripts[id].waiting_until = None;
                true
            }
            Some(_) => false,
            None => {
                self.scripts[id].waiting_until = Some(self.now + time);
                self.schedule(time, ScheduledEvent::Script(id));
                false
            }
        }
    }

    /// Sends what fits into the send buffer. Returns true if everything was sent or the connection
    /// has failed. Otherwise, the next call sends the rest.
    fn script_sends(&mut self, id: usize, endpoint: EndpointId, bytes: Vec<u8>) -> bool {
        if self.endpoints[endpoint.0].failure().is_some() {
            self.scripts[id].unsent.clear();
            return true;
        }
        let mut unsent = mem::take(&mut self.scripts[id].unsent);
        if unsent.is_empty() {
            unsent = bytes.into();
        }
        let free_space = self.endpoints[endpoint.0].free_space(self.faults.send_buffer);
        let count = free_space.min(unsent.len());
        self.endpoints[endpoint.0].in_flight.extend(unsent.drain(..count));
        self.scripts[id].state.sent += count;
        self.endpoints[endpoint.0].waits_for_space = !unsent.is_empty();
        self.dispatch(endpoint);
        let all = unsent.is_empty();
        self.scripts[id].unsent = unsent;
        all
    }

    /// Reads what has arrived, as far as [`Reading`] allows. Sets the outcome once the connection
    /// has failed, or has ended and everything was read.
    fn script_reads(&mut self, id: usize, endpoint: EndpointId) {
        let run = &mut self.scripts[id];
        let most = match run.reading {
            Reading::All => usize::MAX,
            Reading::Nothing => 0,
            Reading::Slowly { .. } if self.now < run.next_read => 0,
            Reading::Slowly { bytes, .. } => bytes,
        };
        let this = &mut self.endpoints[endpoint.0];
        let count = this.unread.len().min(most);
        run.state.bytes.extend(this.unread.drain(..count));
        if run.state.outcome.is_none() {
            let outcome = match this.failure() {
                Some(kind) => Some(Outcome::Failed(kind)),
                None => (this.eof && this.unread.is_empty()).then_some(Outcome::Ended),
            };
            run.state.outcome = outcome.map(|outcome| (outcome, self.now));
        }
        if let Reading::Slowly { every, .. } = run.reading
            && count > 0
        {
            run.next_read = self.now + every;
            self.schedule(every, ScheduledEvent::Script(id));
        }
        if let Some(peer) = self.endpoints[endpoint.0].peer
            && count > 0
        {
            self.dispatch(peer);
        }
    }
}
