//! The protocol of one connection: opens a WebSocket, runs a [`Handler`] on it, and ends when the
//! WebSocket is closed, or when the server makes no progress while an answer is due.

use std::rc::Rc;

use sockeye::http_core::ws::{self, ClientHandshake, CloseCode, Config, MaskKeys, Opening};
use sockeye::proto::{Blame, Consumed, End, Event, Fault, Protocol, Reason, Time, Turn};

use super::handler::{Handler, Progress, Settings};
use super::refusal::Refusal;
use super::source::Source;
use crate::quantity::Span;
use crate::random;
use crate::send::report::Ending;
use crate::text;

/// Maximum size of a control frame, in bytes: header, mask and payload. Pings and pongs are not
/// progress. So bytes that arrive or are sent together count as progress only if there are more
/// than this. A received message is always progress.
const CONTROL_FRAME: usize = 2 + 4 + 125;

#[derive(Debug)]
pub(super) struct Connection {
    state: State,
    number: usize,
    settings: Rc<Settings>,
    config: Rc<Config>,
    progress: Rc<Progress>,
    /// When the timeout started: when the server last made progress, when an answer became due, or
    /// when reading went on after a pause.
    since: Time,
    /// Whether an answer of the server was due at the end of the last callback.
    was_due: bool,
    /// How many bytes of output were unsent at the end of the last callback.
    unsent: u64,
    /// The first bytes (at most 8) of the server's response, which show what the server speaks.
    first: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// Not connected yet.
    Connecting(Source),
    /// The handshake's request was sent, and its response is expected.
    Opening(ClientHandshake, Source),
    /// The server refused to open the WebSocket. Its response is being read.
    Refused(Refusal),
    Open(Box<ws::Connection<Handler>>),
    /// The WebSocket is closed.
    Closed,
    /// An error ends the connection. Also the placeholder while a state is replaced by the next.
    Failed,
}

impl Connection {
    pub(super) fn new(
        number: usize,
        source: Source,
        settings: Rc<Settings>,
        config: Rc<Config>,
    ) -> Self {
        Self {
            state: State::Connecting(source),
            number,
            settings,
            config,
            progress: Rc::default(),
            since: Time::ZERO,
            was_due: false,
            unsent: 0,
            first: Vec::new(),
        }
    }

    fn on_open(&mut self, turn: &mut Turn<'_>) {
        self.since = turn.now();
        let State::Connecting(source) = std::mem::replace(&mut self.state, State::Failed) else {
            return;
        };
        let request = &self.settings.request;
        let handshake = ClientHandshake::new(random::bytes(), &self.config);
        let handshake = request.protocols.iter().fold(handshake, ClientHandshake::offering);
        turn.out.write(&handshake.request(&request.host, &request.path, &request.fields));
        self.state = State::Opening(handshake, source);
    }

    /// Reads the response to the WebSocket request. Returns how many bytes were consumed: 0 if more
    /// are needed, or if the response is a refusal, which [`Refusal`] reads.
    fn read_opening(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let State::Opening(handshake, _) = &self.state else { return Ok(0) };
        let opening = handshake.read(input);
        let opening = opening.map_err(|bad| Fault::peer("bad_response", bad.0))?;
        let (len, extension) = match opening {
            Opening::NeedMore => return Ok(0),
            Opening::Open { len, extension, .. } => (len, extension),
            Opening::Refused { .. } => {
                self.state = State::Refused(Refusal::default());
                return Ok(0);
            }
        };
        if let State::Opening(_, source) = std::mem::replace(&mut self.state, State::Failed) {
            let handler = Handler {
                number: self.number,
                source,
                settings: Rc::clone(&self.settings),
                progress: Rc::clone(&self.progress),
                is_all_sent: false,
                unprinted: None,
            };
            let (config, masks) = (Rc::clone(&self.config), MaskKeys::new(random::bytes()));
            let websocket = ws::Connection::client(config, masks, handler);
            let mut websocket = Box::new(websocket.with_extension(extension));
            let peer = turn.peer().clone();
            websocket.on_event(Event::Open(&peer), turn)?;
            self.state = State::Open(websocket);
            if self.settings.has_hint && self.number == 1 {
                let hint = "Connected. Each line that you type is a message; Ctrl-D closes.";
                self.settings.report.borrow_mut().note(hint);
            }
        }
        Ok(len)
    }

    fn refused(&self, refusal: &Refusal) -> Fault {
        Fault::peer("refused", refusal.text(&self.settings.target))
    }

    /// Runs at the end of each callback, unless it has failed or the connection has ended. Ends the
    /// connection if reading the messages to send, or writing to standard output, has failed.
    /// Restarts the timeout if more output was sent than a control frame, or if an answer has just
    /// become due.
    fn after_call(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Some(what) = self.progress.failure.take() {
            self.state = State::Failed;
            return Err(Fault::ours("input_failed", what));
        }
        if self.progress.is_output_closed.get() {
            turn.end(End::Close);
        }
        let is_closed = self.progress.closed.borrow().is_some();
        if is_closed && matches!(self.state, State::Open(_)) {
            self.state = State::Closed;
        }
        // The timeout begins when an answer becomes due.
        let is_due = self.is_due();
        let was_due = std::mem::replace(&mut self.was_due, is_due);
        if is_due && !was_due {
            self.since = turn.now();
        }
        if turn.unsent() != self.unsent {
            if self.unsent > turn.unsent() + CONTROL_FRAME as u64 {
                self.since = turn.now();
            }
            self.unsent = turn.unsent();
            // When the kernel takes more output, `Event::Sent` comes, and this function runs again.
            turn.mark();
        }
        Ok(())
    }

    /// Whether an answer of the server is due: the response to the handshake, or a message for each
    /// message that was sent. Messages typed on a terminal need no answer. No message is due while
    /// a received one waits for the printer (the thread that writes standard output).
    fn is_due(&self) -> bool {
        match self.state {
            State::Opening(..) | State::Refused(_) => true,
            State::Open(_) => {
                let Progress { is_done, is_printing, .. } = &*self.progress;
                let is_waiting = !is_done.get() && !is_printing.get();
                is_waiting && !self.settings.is_interactive && self.progress.unanswered() > 0
            }
            _ => false,
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !self.is_due() || turn.now() < self.since + self.settings.timeout {
            return Ok(());
        }
        let timeout = Span(self.settings.timeout);
        Err(match &self.state {
            State::Refused(refusal) => self.refused(refusal),
            State::Opening(..) => {
                let what =
                    format!("was silent for {timeout:#} when the WebSocket was to be opened");
                Fault::peer("silent", what)
            }
            _ => {
                let what = self.unanswered();
                Fault::peer("silent", format!("was silent for {timeout:#} when {what}"))
            }
        })
    }

    /// The end of an error's sentence: how many messages had no answer.
    fn unanswered(&self) -> String {
        let count = text::count(self.progress.unanswered(), "message");
        format!("{count} of {} had no answer", self.progress.sent.get().messages)
    }

    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.state {
            State::Opening(..) => {
                let what = "closed the connection before the WebSocket was open";
                Err(Fault::peer("closed_early", what))
            }
            State::Refused(refusal) => Err(self.refused(refusal)),
            _ => {
                turn.end(End::Close);
                Ok(())
            }
        }
    }

    /// How the connection has ended.
    fn ending(&self, reason: &Reason) -> Ending {
        let Progress { is_done, is_output_closed, closed, .. } = &*self.progress;
        if let State::Connecting(_) = self.state {
            return Ending::NotConnected(text::why_unconnected(&reason.to_string()));
        }
        if is_output_closed.get() {
            return Ending::OutputClosed;
        }
        if is_done.get() {
            return Ending::Done;
        }
        let closed = closed.borrow();
        let (Some((code, text)), false) = (&*closed, matches!(reason, Reason::Fault(_))) else {
            return Ending::Failed(reason.to_string());
        };
        if self.settings.is_interactive && is_normal(*code) {
            return Ending::Done;
        }
        let how = match *code {
            CloseCode::ABNORMAL if matches!(reason, Reason::Reset) => {
                "reset the connection".to_owned()
            }
            CloseCode::ABNORMAL => "ended the connection without closing the WebSocket".to_owned(),
            CloseCode::NO_STATUS => "closed the WebSocket without a code".to_owned(),
            code => {
                let name = code_name(code).map(|name| format!(" ({name})")).unwrap_or_default();
                format!("closed the WebSocket with {code}{name}")
            }
        };
        let why = match &**text {
            "" => String::new(),
            _ if *code == CloseCode::ABNORMAL => String::new(),
            text => format!(": {}", text::quote(text.as_bytes())),
        };
        let when = match self.progress.unanswered() {
            _ if self.settings.is_interactive => String::new(),
            0 => " before everything was sent".to_owned(),
            _ => format!(" when {}", self.unanswered()),
        };
        Ending::Failed(format!("the peer {how}{why}{when}"))
    }

    /// What to tell the user besides the ending: the reason that the server gave for closing the
    /// WebSocket, if closing it is no error, or a hint on what the port may speak instead, if the
    /// handshake got no valid response.
    fn hint(&self, reason: &Reason) -> Option<String> {
        if let Some((code, text)) = &*self.progress.closed.borrow()
            && !self.progress.is_done.get()
            && self.ending(reason) == Ending::Done
        {
            let text = text::quote(text.as_bytes());
            let is_shown = is_normal(*code) && text != "\"\"";
            return is_shown.then(|| format!("the peer closed the WebSocket: {text}"));
        }
        if !matches!(self.state, State::Opening(..)) {
            return None;
        }
        let is_ours = matches!(reason, Reason::Fault(fault) if fault.blame == Blame::Ours);
        match &self.first[..] {
            // The start of a TLS alert (RFC 8446, 5.1).
            [21, 3, ..] => {
                Some(format!("the peer speaks TLS: write {}", self.settings.with_tls.as_ref()?))
            }
            [] if !is_ours => {
                Some(format!("if the port speaks TLS, write {}", self.settings.with_tls.as_ref()?))
            }
            first if first.starts_with(b"GET ") => Some(
                "the peer sends back what it receives, as sockeye echo does; sockeye echo \
                 --websocket speaks WebSocket"
                    .into(),
            ),
            _ => None,
        }
    }

    fn report(&self, reason: &Reason) {
        let (ending, hint) = (self.ending(reason), self.hint(reason));
        let traffic = self.progress.traffic();
        self.settings.report.borrow_mut().record(self.number, traffic, ending, hint.as_deref());
    }
}

/// Whether the code means that the server has simply finished.
fn is_normal(code: CloseCode) -> bool {
    matches!(code, CloseCode::NORMAL | CloseCode::NO_STATUS)
}

/// The meaning of a close code, as a short name (RFC 6455, 7.4.1; 1013 is in IANA's registry only).
fn code_name(code: CloseCode) -> Option<&'static str> {
    Some(match code {
        CloseCode::NORMAL => "normal",
        CloseCode::GOING_AWAY => "going away",
        CloseCode::PROTOCOL_ERROR => "protocol error",
        CloseCode::UNSUPPORTED_DATA => "unsupported data",
        CloseCode::INVALID_DATA => "invalid data",
        CloseCode::POLICY_VIOLATION => "policy violation",
        CloseCode::TOO_LARGE => "message too large",
        CloseCode::INTERNAL_ERROR => "internal error",
        CloseCode::TRY_AGAIN_LATER => "try again later",
        _ => return None,
    })
}

impl Protocol for Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        if let State::Opening(..) = self.state {
            self.since = turn.now();
            self.first = input[..input.len().min(8)].to_vec();
            used = self.read_opening(input, turn)?;
        }
        let rest = &input[used..];
        let consumed = match &mut self.state {
            State::Open(websocket) => {
                if rest.len() > CONTROL_FRAME {
                    self.since = turn.now();
                }
                let received = self.progress.received.get();
                let consumed = websocket.on_bytes(rest, turn)?;
                if self.progress.received.get() != received {
                    self.since = turn.now();
                }
                consumed
            }
            State::Refused(refusal) => {
                let read = refusal.read(rest);
                let (count, is_complete) =
                    read.map_err(|bad| Fault::peer("bad_response", bad.0))?;
                if is_complete {
                    return Err(Fault::peer("refused", refusal.text(&self.settings.target)));
                }
                Consumed::more(count)
            }
            State::Opening(..) => Consumed::more(0),
            _ => Consumed::more(rest.len()),
        };
        self.after_call(turn)?;
        Ok(Consumed { used: used + consumed.used, ..consumed })
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match (event, &mut self.state) {
            (Event::Closed(reason), state) => {
                if let State::Open(websocket) = state {
                    // The handler records the close code for the report. If a message waits for
                    // room in the printer's queue, the handler prints it now.
                    websocket.on_event(Event::Closed(reason), turn)?;
                }
                self.report(reason);
                return Ok(());
            }
            (Event::Open(_), State::Connecting(_)) => self.on_open(turn),
            (Event::Deadline, _) => {
                self.on_deadline(turn)?;
                if let State::Open(websocket) = &mut self.state {
                    websocket.on_event(Event::Deadline, turn)?;
                }
            }
            (event, State::Open(websocket)) => {
                let was_printing = self.progress.is_printing.get();
                websocket.on_event(event, turn)?;
                if was_printing && !self.progress.is_printing.get() {
                    // While the handler waited for the printer, nothing was read, so the timeout
                    // starts again.
                    self.since = turn.now();
                }
            }
            (Event::Eof { .. }, _) => self.on_end_of_input(turn)?,
            (Event::Drain { .. }, _) => turn.end(End::Close),
            _ => {}
        }
        self.after_call(turn)
    }

    fn deadline(&self) -> Option<Time> {
        let websocket = match &self.state {
            State::Open(websocket) => websocket.deadline(),
            _ => None,
        };
        let due = self.is_due().then(|| self.since + self.settings.timeout);
        [websocket, due].into_iter().flatten().min()
    }
}
