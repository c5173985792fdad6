//! The protocol of one connection: sends contents, and waits until as many bytes have come back.
//!
//! The connection reads while it writes. Its output never holds more bytes than two full pieces,
//! which is below the limit at which the engine stops reading. It doesn't half-close before
//! everything has come back, since some servers stop sending when their client half-closes.
//!
//! With [`Settings::half_close`], the connection half-closes after sending instead, and reads until
//! the peer closes its sending side.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sockeye::proto::{
    Abandoned, Blame, Consumed, End, Event, Fault, Message, Protocol, Reason, Ticket, Time, Turn,
};

use crate::quantity::Span;
use crate::send::input::{Input, PIECE, Piece};
use crate::send::printer::{PrintResult, Printer};
use crate::send::report::{Ending, Report, Traffic};
use crate::text::{self, TerminalText};

/// What a connection sends.
#[derive(Debug)]
pub(super) enum Source {
    /// Contents given on the command line, in pieces of at most [`PIECE`] bytes.
    Contents(VecDeque<Bytes>),
    /// Standard input, as it is read.
    Input(Input),
}

/// How received bytes are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Each piece that is received becomes a line: the connection's number and the bytes, escaped.
    Labelled,
    /// Unchanged, except that control characters are escaped.
    Terminal,
    /// Unchanged.
    Unchanged,
}

/// The settings that all connections share.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) style: Style,
    /// Whether to half-close after sending, and read until the peer closes its sending side.
    pub(super) half_close: bool,
    /// The same target with TLS, to suggest to the user. `None` if TLS is used already, or for a
    /// Unix socket.
    pub(super) with_tls: Option<String>,
    /// How long the peer may send nothing and read nothing while it must act
    /// (`Connection::peer_must_act`).
    pub(super) timeout: Duration,
    pub(super) printer: Printer,
    pub(super) report: Rc<RefCell<Report>>,
}

#[derive(Debug)]
enum State {
    Connecting,
    /// Sending and receiving.
    Open,
    /// Only with `half_close`: the peer has closed its sending side, and everything that has been
    /// read from standard input was sent. The connection fails unless standard input ends by this
    /// time, with no more bytes.
    InputEnd(Time),
    /// Everything was written. As many bytes have come back or, with `half_close`, the peer has
    /// closed its sending side. The connection closes when everything is sent.
    Done,
    /// Writing to standard output has failed, usually because its reader has exited.
    OutputClosed,
}

#[derive(Debug)]
pub(super) struct Connection {
    number: usize,
    source: Source,
    settings: Settings,
    state: State,
    /// Everything that the source has is written to the output.
    all_written: bool,
    /// The peer has ended its side without TLS's close_notify, so that bytes may be missing.
    is_truncated: bool,
    /// The number of bytes written to the output.
    written: u64,
    /// How many of the written bytes were dropped before they were sent.
    dropped: u64,
    /// How many of the written bytes the kernel has taken.
    sent: u64,
    received: u64,
    /// The first bytes that were written, and the first that were received. With an echo server,
    /// they are the same.
    first_written: Vec<u8>,
    first_received: Vec<u8>,
    /// Escapes received bytes for a terminal.
    text: TerminalText,
    /// When the timeout last started: when the peer read or sent something, when it had to act
    /// again after a time when it didn't have to (`Connection::peer_must_act`), or when the printer
    /// had room again.
    progress: Time,
    /// The ticket (number) of the promise that the requested piece of standard input fulfills.
    requested: Option<Ticket>,
    /// While received bytes wait for the printer: the ticket of the promise that is fulfilled when
    /// the printer's queue has room.
    printing: Option<Ticket>,
}

impl Connection {
    pub(super) fn new(number: usize, source: Source, settings: Settings) -> Self {
        Self {
            number,
            source,
            settings,
            state: State::Connecting,
            all_written: false,
            is_truncated: false,
            written: 0,
            dropped: 0,
            sent: 0,
            received: 0,
            first_written: Vec::new(),
            first_received: Vec::new(),
            text: TerminalText::default(),
            progress: Time::ZERO,
            requested: None,
            printing: None,
        }
    }

    /// Writes pieces of contents while less than [`PIECE`] is unsent, or requests a piece of
    /// standard input.
    fn write_more(&mut self, turn: &mut Turn<'_>) {
        match &mut self.source {
            _ if self.all_written => {}
            Source::Contents(pieces) => {
                while turn.unsent() < PIECE as u64
                    && let Some(piece) = pieces.pop_front()
                {
                    append_first(&mut self.first_written, &piece);
                    turn.out.write(&piece);
                    self.written += piece.len() as u64;
                }
                self.all_written = pieces.is_empty();
                self.progress = turn.now();
                self.watch(turn);
            }
            Source::Input(input) => {
                if self.requested.is_none() {
                    let promise = turn.promise();
                    self.requested = Some(promise.ticket());
                    input.request(promise);
                }
            }
        }
        self.end_if_done(turn);
    }

    /// Requests events when output is sent, to restart the timeout and to write more.
    fn watch(&self, turn: &mut Turn<'_>) {
        turn.mark();
        if !self.all_written {
            turn.want_room();
        }
    }

    fn on_piece(&mut self, piece: Piece, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match piece {
            Piece::Bytes(_) if matches!(self.state, State::InputEnd(_)) => {
                return Err(Self::closed_early());
            }
            Piece::Bytes(bytes) => {
                if !self.peer_must_act() {
                    self.progress = turn.now();
                }
                append_first(&mut self.first_written, &bytes);
                self.written += bytes.len() as u64;
                turn.out.write_shared(bytes);
                self.watch(turn);
            }
            Piece::End => {
                self.all_written = true;
                if matches!(self.state, State::InputEnd(_)) {
                    return self.on_end_of_input(turn);
                }
                self.end_if_done(turn);
            }
            Piece::Failed(reason) => {
                self.drop_unsent(turn);
                let what = format!("could not read standard input: {reason}");
                return Err(Fault::ours("input_failed", what));
            }
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if self.printing == Some(ticket) {
            self.printing = None;
            // While the connection waited for the printer, it didn't read what the peer sent, so
            // the timeout starts again.
            self.progress = turn.now();
            turn.resume();
        } else if self.requested == Some(ticket) {
            self.requested = None;
            let piece = body.ok().and_then(|message| message.downcast::<Piece>().ok());
            let stopped = || Piece::Failed("the thread that reads it has stopped".into());
            return self.on_piece(piece.map_or_else(stopped, |piece| *piece), turn);
        }
        Ok(())
    }

    /// Whether the peer must act: send bytes back, or with `half_close`, read everything that was
    /// written and then close its sending side.
    fn peer_must_act(&self) -> bool {
        match self.settings.half_close {
            false => self.received < self.written,
            true => self.sent < self.written || self.all_written,
        }
    }

    /// Counts what was sent since the last call. If anything was sent, restarts the timeout.
    fn record_sent(&mut self, turn: &Turn<'_>) {
        let sent = self.written.saturating_sub(self.dropped + turn.unsent());
        if sent > self.sent {
            self.sent = sent;
            self.progress = turn.now();
        }
    }

    /// Whether the kernel has taken everything that was written. In [`State::Done`], this can be
    /// false: a peer that isn't an echo server may send that many bytes before it reads ours.
    fn is_all_sent(&self) -> bool {
        self.sent >= self.written
    }

    /// Drops the output that has not been sent.
    fn drop_unsent(&mut self, turn: &mut Turn<'_>) {
        self.dropped += turn.out.unsent();
        turn.out.clear();
        // The last mark may have been in the dropped output, so that it is never reached: replace
        // it.
        turn.mark();
    }

    /// If everything is written: with `half_close`, half-closes; otherwise closes the connection,
    /// once as many bytes have come back.
    fn end_if_done(&mut self, turn: &mut Turn<'_>) {
        if !self.all_written {
            return;
        }
        if self.settings.half_close {
            turn.end(End::Finish);
        } else if !self.peer_must_act() {
            self.state = State::Done;
            turn.end(End::Close);
        }
    }

    /// The peer closed its sending side.
    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Self { received, written, .. } = *self;
        let all_sent = self.all_written && turn.unsent() == 0;
        // A server that doesn't wait for our half-close may answer and close before the input
        // thread has read the end of standard input.
        let may_be_all = self.requested.is_some() && turn.unsent() == 0;
        if self.settings.half_close && may_be_all && matches!(self.state, State::Open) {
            self.state = State::InputEnd(turn.now() + INPUT_END);
            return Ok(());
        }
        self.drop_unsent(turn);
        if self.settings.half_close && all_sent && self.is_truncated {
            let what = format!(
                "closed the connection after {received} bytes without TLS's close_notify: what it \
                 sent may be incomplete"
            );
            return Err(Fault::peer("tls_truncated", what));
        }
        if self.settings.half_close && all_sent {
            self.state = State::Done;
            turn.end(End::Close);
            return Ok(());
        }
        if !all_sent && (self.settings.half_close || received >= written) {
            return Err(Self::closed_early());
        }
        let what = format!("closed the connection when {}", self.progress_text());
        Err(Fault::peer("closed_early", what))
    }

    fn closed_early() -> Fault {
        Fault::peer("closed_early", "closed the connection before everything was sent")
    }

    fn timed_out(&self) -> Fault {
        let timeout = Span(self.settings.timeout);
        let what = if self.settings.half_close && self.all_written {
            let received = self.received;
            format!("was silent for {timeout:#} after {received} bytes, and did not end its side")
        } else {
            format!("was silent for {timeout:#} when {}", self.progress_text())
        };
        Fault::peer("silent", what)
    }

    /// How far the connection got, for an error.
    fn progress_text(&self) -> String {
        let Self { received, written, .. } = self;
        match self.is_echo() {
            true => format!("{received} of {written} bytes had come back"),
            false => format!("{written} bytes were written and {received} were received"),
        }
    }

    /// Whether the first bytes that were received are those that were written. True if none were
    /// received.
    fn is_echo(&self) -> bool {
        let (written, received) = (&self.first_written, &self.first_received);
        let len = written.len().min(received.len());
        written[..len] == received[..len]
    }

    /// A hint for the user if the peer seems to be no echo server, or to expect TLS.
    fn hint(&self, reason: &Reason) -> Option<String> {
        if let Some(with_tls) = &self.settings.with_tls {
            // A server that expects TLS answers other bytes with a TLS alert, or not at all.
            if let [ALERT, TLS_MAJOR, ..] = self.first_received[..] {
                return Some(format!("the peer speaks TLS: write {with_tls}"));
            }
            let is_ours = matches!(reason, Reason::Fault(fault) if fault.blame == Blame::Ours);
            let is_unanswered = self.written > 0 && self.received == 0;
            if is_unanswered && !is_ours && matches!(self.state, State::Open) {
                return Some(format!("if the port speaks TLS, write {with_tls}"));
            }
        }
        if self.settings.half_close || self.is_echo() {
            return None;
        }
        let received = &self.first_received;
        let what = if received.starts_with(b"HTTP/") {
            let line = received.split(|byte| matches!(byte, b'\r' | b'\n')).next();
            format!("the peer speaks HTTP ({})", text::quote(line.unwrap_or_default()))
        } else {
            "the peer does not send back what it receives".into()
        };
        Some(match self.state {
            State::Done if self.is_all_sent() => {
                format!(
                    "{what}, and only as many bytes were read as were sent; --half-close reads all"
                )
            }
            _ => format!("{what}; --half-close reads everything"),
        })
    }

    fn report(&mut self, reason: &Reason) {
        let text = &mut self.text;
        self.settings.printer.print_last(|queue| text.finish(queue));
        let ending = match self.state {
            State::Done if self.is_all_sent() => Ending::Done,
            State::OutputClosed => Ending::OutputClosed,
            State::Connecting => Ending::NotConnected(text::why_unconnected(&reason.to_string())),
            State::Open | State::InputEnd(_) | State::Done => Ending::Failed(reason.to_string()),
        };
        let (traffic, hint) = (Traffic::bytes([self.sent, self.received]), self.hint(reason));
        self.settings.report.borrow_mut().record(self.number, traffic, ending, hint.as_deref());
    }
}

/// How long to wait for the end of standard input after the peer has closed its sending side.
pub(super) const INPUT_END: Duration = Duration::from_secs(1);

/// The first bytes of a TLS record with an alert (RFC 8446, 5.1).
const ALERT: u8 = 21;
const TLS_MAJOR: u8 = 3;

/// Appends `bytes` to `first`, up to a total of 64 bytes.
fn append_first(first: &mut Vec<u8>, bytes: &[u8]) {
    let room = 64 - first.len();
    first.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

impl Protocol for Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let (number, text) = (self.number, &mut self.text);
        let Settings { style, printer, .. } = &self.settings;
        let printed = printer.print(
            || turn.promise(),
            |queue| match style {
                Style::Labelled => {
                    let quoted = text::quote(input);
                    // Writing to memory doesn't fail.
                    let _ = writeln!(queue, "connection {number}: received {quoted}");
                }
                Style::Terminal => text.push(input, queue),
                Style::Unchanged => queue.extend_from_slice(input),
            },
        );
        match printed {
            PrintResult::Queued => {
                append_first(&mut self.first_received, input);
                self.received += input.len() as u64;
                self.progress = turn.now();
                self.end_if_done(turn);
            }
            PrintResult::Full(ticket) => {
                self.printing = Some(ticket);
                return Ok(Consumed::pause(0));
            }
            PrintResult::Closed => {
                self.state = State::OutputClosed;
                self.drop_unsent(turn);
                turn.end(End::Close);
            }
        }
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.record_sent(turn);
        match event {
            Event::Closed(reason) => self.report(reason),
            Event::Open(_) => {
                self.state = State::Open;
                self.progress = turn.now();
                self.write_more(turn);
            }
            Event::Room => self.write_more(turn),
            Event::Message(ticket, body) => self.on_message(ticket, body, turn)?,
            Event::Truncated => self.is_truncated = true,
            Event::Eof { .. } => self.on_end_of_input(turn)?,
            Event::Deadline if matches!(self.state, State::InputEnd(until) if until <= turn.now()) =>
            {
                return Err(Self::closed_early());
            }
            Event::Deadline if self.progress + self.settings.timeout <= turn.now() => {
                self.drop_unsent(turn);
                return Err(self.timed_out());
            }
            Event::Drain { .. } => turn.end(End::Close),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        if let State::InputEnd(until) = self.state {
            return Some(until);
        }
        let waiting = matches!(self.state, State::Open) && self.printing.is_none();
        (waiting && self.peer_must_act()).then(|| self.progress + self.settings.timeout)
    }
}
