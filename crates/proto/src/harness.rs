//! Drives one connection by hand, for tests: byte by byte, on a clock that only [`Harness::pass`]
//! moves.
//!
//! ```
//! use std::time::Duration;
//!
//! use sockeye_proto::{echo::Echo, harness::Harness};
//!
//! let mut peer = Harness::new(Echo::default());
//! peer.drip(b"Hello");
//! assert_eq!(peer.output(), b"Hello");
//! peer.pass(Duration::from_secs(60));
//! assert_eq!(peer.fault().map(|fault| fault.code), Some("idle_timeout"));
//! ```
//!
//! The harness keeps the guarantees that [`Protocol`] states, as the engine does. It has no socket,
//! and no limit on unused input. An output is full as in the engine, at [`Harness::ROOM`] bytes in
//! memory or earlier: see [`Turn::is_full`](crate::Turn::is_full). Jobs run in
//! [`Harness::run_jobs`], on the test's thread. A panic of the protocol ends the test.

use std::cell::Cell;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::driver::{Context, Envelope, Key, MailboxSender, Owner, Session, WorkerHandles};
use crate::{
    CancelToken, Client, End, Event, Fault, Job, Output, Part, Peer, Protocol, Reason, Spawn, Time,
    WallTime,
};

/// One connection of a protocol. The test acts as its peer and as the engine.
pub struct Harness {
    session: Session,
    owner: TestOwner,
    envelopes: Arc<Envelopes>,
    jobs: Arc<Jobs>,
}

/// The time of day at the start of a test, in seconds since 1970.
const START: u64 = 1_445_412_480;

/// What the methods of the session (the protocol with its input and output) need from the engine.
struct TestOwner {
    handles: WorkerHandles,
    now: Time,
    /// The last output. Its memory is reused, as in the engine, so that tests can count
    /// allocations.
    spare_output: Option<Box<Output>>,
    unsent_limit: Option<u32>,
    is_over_budget: bool,
}

impl Owner for TestOwner {
    fn context(&self, _: &Peer) -> Context<'_> {
        let Self { handles, now, is_over_budget, .. } = self;
        let (now, is_over_budget) = (*now, *is_over_budget);
        let wall = WallTime::from_secs(START + now.as_nanos() / 1_000_000_000);
        Context { now, wall, handles, room: Harness::ROOM, is_over_budget }
    }

    fn high_water(&self) -> usize {
        Harness::ROOM
    }

    fn max_unused_input(&self) -> usize {
        usize::MAX
    }

    fn lend_output(&mut self) -> Box<Output> {
        self.spare_output.take().unwrap_or_default()
    }

    fn take_back_output(&mut self, mut output: Box<Output>) {
        output.clear();
        self.spare_output = Some(output);
    }

    fn charge(&mut self, _: Key) {}

    fn limit_unsent(&mut self, _: Key, bytes: u32) {
        self.unsent_limit = Some(bytes);
    }

    fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
        // Clears `IN_CALL` even if the protocol panics, since a test may catch the panic.
        struct EndOfCall;
        impl Drop for EndOfCall {
            fn drop(&mut self) {
                IN_CALL.set(false);
            }
        }
        let _end = EndOfCall;
        IN_CALL.set(true);
        Some(call())
    }
}

/// The messages and wake-ups of each [`Promise`](crate::Promise) and [`Remote`](crate::Remote),
/// until they are delivered.
#[derive(Default)]
struct Envelopes(Mutex<Vec<Envelope>>);

thread_local! {
    /// Whether this thread is calling a protocol. During the call, the thread counts as that of an
    /// event loop.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
}

impl MailboxSender for Envelopes {
    fn send(&self, envelope: Envelope) {
        self.0.lock().expect("no test panics while sending").push(envelope);
    }

    fn is_on_event_loop(&self) -> bool {
        IN_CALL.get()
    }
}

/// The jobs of the protocol, until they run.
#[derive(Default)]
struct Jobs(Mutex<Vec<Job>>);

impl Spawn for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Job> {
        self.0.lock().expect("no test panics while spawning").push(job);
        Ok(())
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Harness {
    /// The output is full at this many bytes in memory.
    pub const ROOM: usize = 256 * 1024;

    /// Opens a connection with a peer at 127.0.0.1:9, on 2015-10-21T07:28:00Z.
    pub fn new(protocol: impl Protocol + 'static) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 9)).into();
        Self::with_peer(protocol, Peer::new(address, 0))
    }

    /// As [`Harness::new`], with another peer, such as one that has TLS ([`Peer::tls`]).
    pub fn with_peer(protocol: impl Protocol + 'static, peer: Peer) -> Self {
        let (envelopes, jobs) = (Arc::new(Envelopes::default()), Arc::new(Jobs::default()));
        let owner = TestOwner {
            handles: WorkerHandles::new(envelopes.clone(), jobs.clone()),
            now: Time::from_nanos(1),
            spare_output: None,
            unsent_limit: None,
            is_over_budget: false,
        };
        let session = Session::new(Box::new(protocol), Key(1), peer);
        let mut harness = Self { session, owner, envelopes, jobs };
        harness.call(Session::open);
        harness
    }

    /// The peer sends bytes.
    pub fn input(&mut self, bytes: &[u8]) {
        assert!(!self.session.is_at_end_of_input(), "no input follows the end of input");
        self.call(|session, owner| session.input(bytes, owner));
    }

    /// The peer sends bytes one at a time.
    pub fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.input(&[*byte]);
        }
    }

    /// The peer closes its sending side.
    pub fn eof(&mut self) {
        self.call(Session::end_of_input);
    }

    /// Sets [`Turn::is_over_budget`](crate::Turn::is_over_budget).
    pub fn set_over_budget(&mut self, is_over_budget: bool) {
        self.owner.is_over_budget = is_over_budget;
    }

    /// Bytes that are charged to the client: see [`Session::charged`].
    pub fn charged(&self) -> usize {
        self.session.charged()
    }

    /// What the protocol has asked for by [`Turn::limit_unsent`](crate::Turn::limit_unsent).
    pub fn unsent_limit(&self) -> Option<u32> {
        self.owner.unsent_limit
    }

    /// The peer reads all output, which is returned. The protocol gets [`Event::Sent`] and
    /// [`Event::Room`] if they are due. Then the connection is closed if the protocol has asked for
    /// that or failed. But after [`End::Finish`], it stays open until the peer has closed its
    /// sending side.
    pub fn output(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            if let Some(mut output) = self.session.take_output() {
                let before = sent.len();
                take_all(&mut output, &mut sent);
                let count = (sent.len() - before) as u64;
                self.session.put_back(output, count, &mut self.owner);
            }
            self.call(Session::progress);
            if self.session.is_flushed() {
                break;
            }
        }
        match self.session.end() {
            Some(End::Finish) if !self.session.is_at_end_of_input() => {}
            None => {}
            Some(_) => self.close(&self.session.orderly_reason()),
        }
        sent
    }

    /// Closes the connection, even if output is unsent. The reason is the protocol's fault or, if
    /// it has none, `reason`, such as [`Reason::Reset`].
    pub fn end_for(&mut self, reason: &Reason) {
        self.close(reason);
    }

    /// Time passes, and the protocol gets [`Event::Deadline`] at each of its deadlines.
    pub fn pass(&mut self, time: Duration) {
        let until = self.owner.now + time;
        while self.session.is_open() && self.session.deadline() <= until {
            self.owner.now = self.owner.now.max(self.session.deadline());
            let is_new = self.call(Session::expire);
            assert!(!self.session.is_open() || is_new, "the protocol sets the same deadline again");
        }
        self.owner.now = until;
    }

    /// The server announces that it will stop soon: [`Event::LameDuck`].
    pub fn lame_duck(&mut self) {
        self.call(|session, owner| session.send_event(Event::LameDuck, owner));
    }

    /// The server is stopping: [`Event::Drain`].
    pub fn drain(&mut self) {
        self.call(|session, owner| session.drain(false, owner));
    }

    /// As [`Harness::drain`], but input has arrived that was not passed to the protocol yet.
    pub fn drain_before_input(&mut self) {
        self.call(|session, owner| session.drain(true, owner));
    }

    /// Runs the jobs of the protocol that are not cancelled, and calls [`Harness::deliver`].
    /// Returns how many ran.
    pub fn run_jobs(&mut self) -> usize {
        let count = self.run_jobs_only();
        self.deliver();
        count
    }

    /// As [`Harness::run_jobs`], but without the call of [`Harness::deliver`].
    pub fn run_jobs_only(&mut self) -> usize {
        let jobs = mem::take(&mut *self.jobs.0.lock().expect("no test panics while spawning"));
        let mut count = 0;
        for job in jobs.into_iter().filter(|job| !job.is_cancelled()) {
            job.run();
            count += 1;
        }
        count
    }

    /// For each job that waits, the client to whose limits it counts: the peer, or the one that the
    /// protocol has named.
    #[must_use]
    pub fn job_clients(&self) -> Vec<Client> {
        let jobs = self.jobs.0.lock().expect("no test panics while spawning");
        jobs.iter().map(Job::client).collect()
    }

    /// Drops the jobs of the protocol, as if they had panicked, and calls [`Harness::deliver`].
    pub fn drop_jobs(&mut self) {
        self.jobs.0.lock().expect("no test panics while spawning").clear();
        self.deliver();
    }

    /// Delivers the messages and wake-ups of each [`Promise`](crate::Promise) and
    /// [`Remote`](crate::Remote).
    pub fn deliver(&mut self) {
        let envelopes =
            mem::take(&mut *self.envelopes.0.lock().expect("no test panics while sending"));
        for envelope in envelopes {
            self.call(|session, owner| session.deliver(envelope, owner));
        }
    }

    /// The fault that ended the connection.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self.session.reason() {
            Some(Reason::Fault(fault)) => Some(fault),
            _ => None,
        }
    }

    /// The faults that [`Turn::report`](crate::Turn::report) was given since the last call of this
    /// method.
    pub fn take_reported(&mut self) -> Vec<Fault> {
        let reported = self.owner.handles.take_reported();
        reported.into_iter().map(|(_, fault)| fault).collect()
    }

    /// Whether the protocol ended the connection without a fault, and everything is sent.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.fault().is_none() && self.end().is_some() && self.session.is_flushed()
    }

    /// How the protocol ends the connection.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.session.end()
    }

    /// How many bytes of input are unused.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.session.unused()
    }

    /// How many bytes of output are held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.session.held()
    }

    /// Calls the session, and closes it if it has failed and everything is sent.
    fn call<T>(&mut self, call: impl FnOnce(&mut Session, &mut TestOwner) -> T) -> T {
        let result = call(&mut self.session, &mut self.owner);
        if self.session.reason().is_some() && self.session.is_flushed() {
            self.close(&Reason::Finished);
        }
        result
    }

    /// Closes the session for its fault, or for `reason` if it has none.
    fn close(&mut self, reason: &Reason) {
        let fault = self.fault().cloned().map(Reason::Fault);
        self.session.close(fault.as_ref().unwrap_or(reason), &mut self.owner);
    }
}

/// Moves everything unsent to `sent`, reading the files. If a file has changed, drops the rest of
/// the output: the engine would close the connection.
fn take_all(out: &mut Output, sent: &mut Vec<u8>) {
    loop {
        let before = sent.len();
        match out.part(u64::MAX) {
            Part::Nothing => return,
            Part::Changed => {
                out.clear();
                return;
            }
            Part::Memory(bytes) => sent.extend_from_slice(bytes),
            part @ (Part::File(range) | Part::NeedsRead(range)) => {
                let mut buffer = vec![0; usize::try_from(range.len).expect("small in tests")];
                let read = range.source.read_at(range.offset, &mut buffer).expect("readable");
                if read == 0 {
                    // The file was truncated.
                    return out.clear();
                }
                let must_verify = matches!(part, Part::NeedsRead(_))
                    && out.range_to_read(read as u64).is_some_and(|(_, must_verify)| must_verify);
                if must_verify && !range.source.verify(&CancelToken::default()) {
                    return out.clear();
                }
                sent.extend_from_slice(&buffer[..read]);
            }
        }
        out.advance((sent.len() - before) as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::{Consumed, Turn};

    #[test]
    fn after_a_protocol_has_panicked_its_thread_calls_none() {
        let caught = catch_unwind(|| TestOwner::catch_panic::<()>(|| panic!("on purpose")));
        assert!(caught.is_err() && !IN_CALL.get());
    }

    /// Writes how many seconds of the day have passed, every half second.
    struct Clock(Time);

    impl Protocol for Clock {
        fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
            Ok(Consumed::more(input.len()))
        }

        fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
            if let Event::Deadline = event {
                turn.out.write((turn.wall().as_secs() - START).to_string().as_bytes());
            }
            self.0 = turn.now() + Duration::from_millis(500);
            Ok(())
        }

        fn deadline(&self) -> Option<Time> {
            Some(self.0)
        }
    }

    #[test]
    fn the_time_of_day_passes_with_the_time() {
        let mut harness = Harness::new(Clock(Time::ZERO));
        harness.pass(Duration::from_millis(1250));
        harness.pass(Duration::from_millis(1250));
        assert_eq!(harness.output(), b"01122");
    }
}
