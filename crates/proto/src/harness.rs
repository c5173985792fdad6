//! Drives one conversation by hand, for tests: byte by byte, on a clock that only moves when told.
//!
//! It keeps the promises that [`Protocol`] states, as the engine does, with nothing in between: no
//! socket, no limits, no watermarks (an output is full at [`Harness::ROOM`] bytes). Jobs run when
//! [`Harness::run_jobs`] is called, on the test's own thread.

use std::cell::Cell;
use std::io::IoSlice;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::driver::{Credit, Effects, Envelope, Key, MailboxSender, ShardHandles, TurnParts};
use crate::{
    End, Event, Fault, Job, Mark, Next, Output, Part, Peer, Protocol, Reason, Spawn, Time, Took,
    Turn, Wall,
};

/// A conversation and a peer that a test plays.
pub struct Harness {
    protocol: Box<dyn Protocol>,
    peer: Peer,
    tail: Vec<u8>,
    out: Output,
    handles: ShardHandles,
    envelopes: Arc<Envelopes>,
    jobs: Arc<Jobs>,
    credit: Option<Arc<Credit>>,
    now: Time,
    wall: Wall,
    paused: bool,
    resume: bool,
    switched: bool,
    eof: bool,
    eof_told: bool,
    half_close_told: bool,
    wants_room: bool,
    end: Option<End>,
    mark: Option<Mark>,
    position: u64,
    fault: Option<Fault>,
    closed: bool,
}

#[derive(Default)]
struct Envelopes(Mutex<Vec<Envelope>>);

thread_local! {
    /// Whether this thread is in a call into a conversation, as the thread of an event loop is.
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
        f.debug_struct("Harness").field("now", &self.now).field("fault", &self.fault).finish()
    }
}

impl Harness {
    /// The output counts as full at so many bytes.
    pub const ROOM: usize = 256 * 1024;

    /// Opens a conversation with a peer at 127.0.0.1:9, on 2015-10-21T07:28:00Z.
    pub fn new(protocol: impl Protocol + 'static) -> Self {
        let (envelopes, jobs) = (Arc::new(Envelopes::default()), Arc::new(Jobs::default()));
        let address = SocketAddr::from(([127, 0, 0, 1], 9)).into();
        let mut harness = Self {
            protocol: Box::new(protocol),
            peer: Peer { address, via: 0 },
            tail: Vec::new(),
            out: Output::new(),
            handles: ShardHandles::new(envelopes.clone(), jobs.clone()),
            envelopes,
            jobs,
            credit: None,
            now: Time::from_nanos(1),
            wall: Wall::from_secs(1_445_412_480),
            paused: false,
            resume: false,
            switched: false,
            eof: false,
            eof_told: false,
            half_close_told: false,
            wants_room: false,
            end: None,
            mark: None,
            position: 0,
            fault: None,
            closed: false,
        };
        let peer = harness.peer;
        harness.event(Event::Open(&peer));
        harness
    }

    /// The peer sends bytes.
    pub fn input(&mut self, bytes: &[u8]) {
        assert!(!self.eof, "no input follows the end of input");
        self.tail.extend_from_slice(bytes);
        self.offer();
    }

    /// The peer sends bytes one at a time.
    pub fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.input(&[*byte]);
        }
    }

    /// The peer ends its side.
    pub fn eof(&mut self) {
        self.eof = true;
        self.offer();
    }

    /// Takes all that the conversation has written, as the peer reading it would. Reading makes
    /// room, tells what was sent, and closes what was to close.
    pub fn output(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            let before = sent.len();
            take_all(&mut self.out, &mut sent);
            self.position += (sent.len() - before) as u64;
            if let Some(mark) = self.mark.take() {
                debug_assert!(mark.0 <= self.position);
                self.event(Event::Sent(Mark(self.position)));
            }
            if mem::take(&mut self.wants_room) {
                self.event(Event::Room);
            }
            if self.out.is_empty() {
                break;
            }
        }
        let over = match self.end {
            Some(End::Close | End::Linger) => true,
            Some(End::Finish) => self.eof,
            None => false,
        };
        if let Some(fault) = self.fault.clone() {
            self.close(&Reason::Fault(fault));
        } else if over {
            self.close(&Reason::Finished);
        }
        sent
    }

    /// The connection ends, and what is unsent with it: the peer has reset it, a deadline has come.
    pub fn end_for(&mut self, reason: &Reason) {
        self.close(reason);
        self.out.clear();
    }

    /// Time passes; deadlines that come due are told.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.protocol.deadline().filter(|due| *due <= until) {
            if self.is_over() {
                break;
            }
            self.now = self.now.max(due);
            self.event(Event::Deadline);
            let next = self.protocol.deadline();
            assert!(self.is_over() || next != Some(due), "a deadline is not asked for twice");
        }
        self.wall = Wall::from_secs(self.wall.as_secs() + time.as_secs());
        self.now = until;
    }

    /// The server will stop soon.
    pub fn lame_duck(&mut self) {
        self.event(Event::LameDuck);
    }

    /// The server is stopping.
    pub fn drain(&mut self) {
        let unread = self.unused() > 0;
        self.event(Event::Drain { unread });
    }

    /// As [`Harness::drain`], while input has come that was not offered yet.
    pub fn drain_before_input(&mut self) {
        self.event(Event::Drain { unread: true });
    }

    /// Runs the jobs that the conversation spawned and somebody waits for, and delivers what they
    /// answer. Returns how many ran.
    pub fn run_jobs(&mut self) -> usize {
        let jobs = mem::take(&mut *self.jobs.0.lock().expect("no test panics while spawning"));
        let mut count = 0;
        for job in jobs.into_iter().filter(|job| !job.is_cancelled()) {
            job.run();
            count += 1;
        }
        self.deliver();
        count
    }

    /// Throws away the jobs that the conversation spawned, as if they had panicked.
    pub fn drop_jobs(&mut self) {
        self.jobs.0.lock().expect("no test panics while spawning").clear();
        self.deliver();
    }

    /// Delivers what promises and remotes have sent, wake-ups among it.
    pub fn deliver(&mut self) {
        let envelopes =
            mem::take(&mut *self.envelopes.0.lock().expect("no test panics while sending"));
        for Envelope { content, .. } in envelopes {
            let (event, credit) = content.into_event();
            self.event(event);
            if let Some(credit) = credit {
                credit.give_back(1);
            }
        }
    }

    /// The fault that ended the conversation.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Whether our side has ended in order, with everything sent.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.fault.is_none() && self.end.is_some() && self.out.is_empty()
    }

    /// How the conversation wants to end.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// How many bytes wait unused.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.tail.len()
    }

    /// How many bytes of output are held in memory, unsent.
    #[must_use]
    pub fn held(&self) -> usize {
        self.out.held()
    }

    fn is_over(&self) -> bool {
        self.fault.is_some() || self.closed || self.end >= Some(End::Close)
    }

    /// Offers what is unused for as long as the conversation goes on by itself, then tells the end
    /// of input.
    fn offer(&mut self) {
        while !self.paused && !self.is_over() && !self.tail.is_empty() {
            let input = mem::take(&mut self.tail);
            let took = self.call(|protocol, turn| protocol.on_bytes(&input, turn));
            let Some(Took { used, next }) = took else { return };
            self.tail = input[used..].to_vec();
            // Another conversation has not seen the rest.
            if mem::take(&mut self.switched) {
                continue;
            }
            if next == Next::More {
                break;
            }
            self.paused = !mem::take(&mut self.resume);
        }
        if self.eof && !self.eof_told {
            if !self.paused {
                self.eof_told = true;
                self.event(Event::Eof { clean: self.tail.is_empty() });
            } else if !mem::replace(&mut self.half_close_told, true) {
                self.event(Event::HalfClosed);
            }
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let is_told = match event {
            Event::Closed(_) => true,
            Event::Sent(_) => self.fault.is_none(),
            _ => !self.is_over(),
        };
        if !is_told {
            return;
        }
        self.call(|protocol, turn| protocol.on_event(event, turn));
        let switched = mem::take(&mut self.switched);
        if mem::take(&mut self.resume) && mem::take(&mut self.paused) || switched {
            self.paused = false;
            self.offer();
        }
    }

    fn close(&mut self, reason: &Reason) {
        if !self.closed {
            self.event(Event::Closed(reason));
            self.closed = true;
        }
    }

    /// Makes one call and acts on what it asked for.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Protocol, &mut Turn<'_>) -> Result<T, Fault>,
    ) -> Option<T> {
        let mut effects = Effects::default();
        let mut turn = Turn::new(TurnParts {
            out: &mut self.out,
            now: self.now,
            wall: self.wall,
            key: Key(1),
            peer: &self.peer,
            handles: &self.handles,
            effects: &mut effects,
            credit: &mut self.credit,
            position: self.position,
            in_flight: 0,
            room: Self::ROOM,
        });
        // A call that panics ends the test.
        IN_CALL.set(true);
        let result = call(&mut *self.protocol, &mut turn);
        IN_CALL.set(false);
        self.end = self.end.max(effects.end);
        self.mark = effects.mark.or(self.mark);
        self.wants_room |= effects.want_room;
        self.resume = effects.resume;
        if let Some(protocol) = effects.switch {
            self.protocol = protocol;
            let peer = self.peer;
            self.half_close_told = false;
            self.event(Event::Open(&peer));
            self.switched = true;
        }
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.mark = None;
                self.fault = Some(fault.clone());
                // What it earned is read first.
                if self.out.is_empty() {
                    self.close(&Reason::Fault(fault));
                }
                None
            }
        }
    }
}

/// Moves everything unsent to `sent`, reading the files.
fn take_all(out: &mut Output, sent: &mut Vec<u8>) {
    loop {
        let before = sent.len();
        match out.part(u64::MAX) {
            Part::Nothing => return,
            Part::Unread(range) if !range.source.is_unchanged() => return out.clear(),
            Part::Changed => {
                out.clear();
                return;
            }
            Part::Memory => {
                let mut slices = [IoSlice::new(&[]); 8];
                let (filled, _) = out.slices(&mut slices);
                for slice in &slices[..filled] {
                    sent.extend_from_slice(slice);
                }
            }
            Part::File(range) | Part::Unread(range) => {
                let mut buffer = vec![0; usize::try_from(range.len).expect("small in tests")];
                let read = range.source.read_at(range.offset, &mut buffer).expect("readable");
                assert!(read > 0, "the file ends before its range");
                sent.extend_from_slice(&buffer[..read]);
            }
        }
        out.advance((sent.len() - before) as u64);
    }
}
