//! A wrapper around a protocol that checks whether the engine keeps the contract of `Protocol`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::{Consumed, End, Event, Fault, Next, Peer, Protocol, Time, Turn};

/// The log of a connection.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The bytes that it consumed.
    pub(crate) bytes: Vec<u8>,
    /// Whether it was opened.
    pub(crate) opened: bool,
    /// The code of the reason for which it ended.
    pub(crate) reason: Option<String>,
    /// Number of `Event::Drain`.
    pub(crate) drains: usize,
    /// Whether its input ended with `Event::Truncated`.
    pub(crate) truncated: bool,
    /// Rules of the contract that the engine has violated.
    pub(crate) violations: Vec<String>,
}

/// The log of a connection that may still be open.
pub(crate) type SharedLog = Rc<RefCell<Log>>;

/// The logs of all connections of a service.
pub(crate) type Logs = Rc<RefCell<Vec<SharedLog>>>;

/// A protocol whose calls are checked.
pub(crate) struct Checked {
    inner: Box<dyn Protocol>,
    log: SharedLog,
    unused: Vec<u8>,
    wants_more: bool,
    half_closed: bool,
    eof: bool,
    failed: bool,
    last: Time,
}

/// Wraps `inner`. Returns the wrapper and its log.
pub(crate) fn checked(inner: impl Protocol + 'static) -> (Box<dyn Protocol>, SharedLog) {
    let log = SharedLog::default();
    let checked = Checked {
        inner: Box::new(inner),
        log: Rc::clone(&log),
        unused: Vec::new(),
        wants_more: false,
        half_closed: false,
        eof: false,
        failed: false,
        last: Time::ZERO,
    };
    (Box::new(checked), log)
}

/// A service whose connections are checked, and their logs.
pub(crate) fn service<P: Protocol + 'static>(
    mut make: impl FnMut(&Peer) -> P + 'static,
) -> (impl FnMut(&Peer) -> Box<dyn Protocol> + 'static, Logs) {
    let logs = Logs::default();
    let ours = Rc::clone(&logs);
    let service = move |peer: &Peer| {
        let (protocol, log) = checked(make(peer));
        ours.borrow_mut().push(log);
        protocol
    };
    (service, logs)
}

/// Asserts that the engine has kept the contract, and that each connection that was opened got
/// `Event::Closed`.
pub(crate) fn assert_no_violations(logs: &[SharedLog]) {
    for (at, log) in logs.iter().enumerate() {
        let log = log.borrow();
        assert!(log.violations.is_empty(), "connection {at}: {:?}", log.violations);
        assert!(log.reason.is_some() || !log.opened, "connection {at} got no Closed event");
    }
}

impl Checked {
    fn expect(&self, kept: bool, promise: &str) {
        if !kept {
            self.log.borrow_mut().violations.push(promise.to_owned());
        }
    }

    fn precondition(&mut self, turn: &Turn<'_>) {
        let (opened, over) = (self.log.borrow().opened, self.log.borrow().reason.is_some());
        self.expect(opened, "Open comes first");
        self.expect(!over, "nothing follows Closed");
        self.expect(!self.failed, "nothing but Closed follows a fault");
        self.expect(turn.now() >= self.last, "time goes forward");
        self.last = turn.now();
    }
}

impl Protocol for Checked {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.precondition(turn);
        self.expect(!self.eof, "no input follows the end of input");
        self.expect(!input.is_empty(), "there is something to offer");
        self.expect(input.starts_with(&self.unused), "what was not used is offered again");
        let news = input.len() > self.unused.len();
        self.expect(news || !self.wants_more, "what was not used comes with more behind it");
        let result = self.inner.on_bytes(input, turn);
        match &result {
            Ok(Consumed { used, next }) => {
                self.log.borrow_mut().bytes.extend_from_slice(&input[..*used]);
                self.unused = input[*used..].to_vec();
                self.wants_more = *next == Next::More;
            }
            Err(_) => self.failed = true,
        }
        result
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &event {
            Event::Open(_) => {
                let again = std::mem::replace(&mut self.log.borrow_mut().opened, true);
                self.expect(!again, "Open comes once");
                self.last = turn.now();
            }
            Event::Closed(reason) => {
                let code = reason.code().to_owned();
                let again = self.log.borrow_mut().reason.replace(code).is_some();
                self.expect(!again, "Closed comes once");
            }
            _ => self.precondition(turn),
        }
        match &event {
            Event::Eof { clean } => {
                self.expect(!self.eof, "Eof comes once");
                self.expect(*clean == self.unused.is_empty(), "Eof input what is left over");
                self.eof = true;
            }
            Event::Truncated => {
                self.expect(!self.eof, "Truncated comes before Eof");
                let again = std::mem::replace(&mut self.log.borrow_mut().truncated, true);
                self.expect(!again, "Truncated comes once");
            }
            Event::HalfClosed => {
                self.expect(!self.eof, "HalfClosed comes before Eof");
                self.expect(!self.half_closed, "HalfClosed comes once");
                self.half_closed = true;
            }
            Event::Deadline => {
                let due = self.inner.deadline().is_some_and(|due| due <= turn.now());
                self.expect(due, "a deadline comes when it is due");
            }
            Event::Drain { .. } => self.log.borrow_mut().drains += 1,
            _ => {}
        }
        let result = self.inner.on_event(event, turn);
        self.failed |= result.is_err();
        result
    }

    fn deadline(&self) -> Option<Time> {
        self.inner.deadline()
    }

    fn idle_since(&self) -> Option<Time> {
        self.inner.idle_since()
    }
}

/// A client that sends some bytes and reads until the end of input, or until the server has sent
/// nothing for two minutes.
pub(crate) struct SendClient {
    input: Vec<u8>,
    finishes: bool,
    expires: Time,
}

impl SendClient {
    const SILENCE_TIMEOUT: Duration = Duration::from_secs(120);

    /// Sends `input`, and closes the sending side at once.
    pub(crate) fn then_finish(input: &[u8]) -> Self {
        Self { input: input.to_vec(), finishes: true, expires: Time::NEVER }
    }

    /// Sends `input`, and keeps the sending side open until the end of input.
    pub(crate) fn then_read(input: &[u8]) -> Self {
        Self { input: input.to_vec(), finishes: false, expires: Time::NEVER }
    }
}

impl Protocol for SendClient {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.expires = turn.now() + Self::SILENCE_TIMEOUT;
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                self.expires = turn.now() + Self::SILENCE_TIMEOUT;
                turn.out.write(&self.input);
                if self.finishes {
                    turn.end(End::Finish);
                }
            }
            Event::Eof { .. } => turn.end(End::Close),
            Event::Deadline => return Err(Fault::peer("silent", "said nothing for two minutes")),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.expires)
    }
}
