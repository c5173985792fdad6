//! One connection of `send`: writes messages, and waits until as many bytes have come back.
//!
//! It reads while it writes, and never has more than two pieces waiting to be sent: far below the
//! mark at which the engine would stop reading. It doesn't end its side before everything has come
//! back, since a server may take that for the end of both sides and drop what it owes; with
//! [`Setting::half_close`] it does, and reads to the peer's end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sockeye::proto::{
    Abandoned, Consumed, End, Event, Fault, Message, Protocol, Reason, Ticket, Time, Turn,
};

use super::input::{PIECE, Piece, Seat};
use super::printer::{Printed, Printer};
use super::report::{Board, Ending, Outcome};
use crate::quantity::Span;
use crate::text::{self, TerminalText};

/// Where the messages come from.
#[derive(Debug)]
pub(super) enum Source {
    /// They are known, in pieces of at most [`PIECE`] bytes.
    Messages(VecDeque<Bytes>),
    /// They are read while we send.
    Input(Seat),
}

/// How what comes is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A line for each piece, escaped, which says whose it is.
    Labelled,
    /// For a terminal: text whose control characters are escaped.
    Terminal,
    /// As it came.
    AsItCame,
}

/// What all connections of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) look: Look,
    /// End our side when everything is sent, and read to the peer's end.
    pub(super) half_close: bool,
    /// How long a peer may neither send nor read while it owes something.
    pub(super) silence: Duration,
    pub(super) printer: Printer,
    pub(super) board: Rc<RefCell<Board>>,
}

#[derive(Debug)]
enum Stage {
    /// Not connected yet.
    Connecting,
    /// Sending and receiving.
    Talking,
    /// Everything has come back.
    Done,
    /// Nobody reads standard output any more.
    Unread,
}

#[derive(Debug)]
pub(super) struct Conversation {
    number: usize,
    source: Source,
    setting: Setting,
    stage: Stage,
    /// The source has nothing more.
    all_written: bool,
    written: u64,
    sent: u64,
    received: u64,
    /// What was written first, and what came first: whether the peer sends back what it gets.
    fronts: [Vec<u8>; 2],
    /// What is on its way to a terminal.
    text: TerminalText,
    /// When the peer last took or sent something, or came to owe something.
    progress: Time,
    /// A piece of input was asked for under this ticket.
    asked: Option<Ticket>,
    /// What has come waits for room to be printed, under this ticket.
    printing: Option<Ticket>,
}

impl Conversation {
    pub(super) fn new(number: usize, source: Source, setting: Setting) -> Self {
        Self {
            number,
            source,
            setting,
            stage: Stage::Connecting,
            all_written: false,
            written: 0,
            sent: 0,
            received: 0,
            fronts: Default::default(),
            text: TerminalText::default(),
            progress: Time::ZERO,
            asked: None,
            printing: None,
        }
    }

    /// Writes, or asks for, what comes next, where there is room for it.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        match &mut self.source {
            _ if self.all_written => {}
            Source::Messages(messages) => {
                while turn.unsent() < PIECE as u64
                    && let Some(message) = messages.pop_front()
                {
                    keep_front(&mut self.fronts[0], &message);
                    turn.out.write(&message);
                    self.written += message.len() as u64;
                }
                self.all_written = messages.is_empty();
                self.progress = turn.now();
                self.watch(turn);
            }
            Source::Input(seat) => {
                if self.asked.is_none() {
                    let promise = turn.promise();
                    self.asked = Some(promise.ticket());
                    seat.ask(promise);
                }
            }
        }
        self.end_if_done(turn);
    }

    /// Asks to hear how far what was written has got.
    fn watch(&self, turn: &mut Turn<'_>) {
        turn.mark();
        if !self.all_written {
            turn.want_room();
        }
    }

    fn on_piece(&mut self, piece: Piece, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match piece {
            Piece::Bytes(bytes) => {
                if !self.is_owed() {
                    self.progress = turn.now();
                }
                keep_front(&mut self.fronts[0], &bytes);
                self.written += bytes.len() as u64;
                turn.out.write_shared(bytes);
                self.watch(turn);
            }
            Piece::End => {
                self.all_written = true;
                self.end_if_done(turn);
            }
            Piece::Failed(why) => {
                drop_unsent(turn);
                let what = format!("could not read standard input: {why}");
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
            // The peer has had no chance to do anything since.
            self.progress = turn.now();
            turn.resume();
        } else if self.asked == Some(ticket) {
            self.asked = None;
            let piece = body.ok().and_then(|message| message.downcast::<Piece>().ok());
            let stopped = || Piece::Failed("reading it stopped".into());
            return self.on_piece(piece.map_or_else(stopped, |piece| *piece), turn);
        }
        Ok(())
    }

    /// Whether it is the peer's turn: to give back what it got; or, where we end our side, to take what
    /// is written and then to end its own.
    fn is_owed(&self) -> bool {
        match self.setting.half_close {
            false => self.received < self.written,
            true => self.sent < self.written || self.all_written,
        }
    }

    fn note_sent(&mut self, turn: &Turn<'_>) {
        let sent = self.written - turn.unsent().min(self.written);
        if sent > self.sent {
            self.sent = sent;
            self.progress = turn.now();
        }
    }

    fn end_if_done(&mut self, turn: &mut Turn<'_>) {
        if !self.all_written {
            return;
        }
        if self.setting.half_close {
            turn.end(End::Finish);
        } else if !self.is_owed() {
            self.stage = Stage::Done;
            turn.end(End::Close);
        }
    }

    /// The peer has ended its side.
    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Self { received, written, .. } = *self;
        let all_sent = self.all_written && turn.unsent() == 0;
        drop_unsent(turn);
        if self.setting.half_close && all_sent {
            self.stage = Stage::Done;
            turn.end(End::Close);
            return Ok(());
        }
        let what = if !all_sent && (self.setting.half_close || received >= written) {
            "closed the connection before everything was sent".into()
        } else {
            format!("closed the connection when {}", self.how_far())
        };
        Err(Fault::peer("closed_early", what))
    }

    fn silent(&self) -> Fault {
        let silence = Span(self.setting.silence);
        let what = if self.setting.half_close && self.all_written {
            let received = self.received;
            format!("was silent for {silence} after {received} bytes, and did not end its side")
        } else {
            format!("was silent for {silence} when {}", self.how_far())
        };
        Fault::peer("silent", what)
    }

    fn how_far(&self) -> String {
        let Self { received, written, .. } = self;
        match self.is_echo() {
            true => format!("{received} of {written} bytes had come back"),
            false => format!("{written} bytes were written and {received} had come"),
        }
    }

    /// Whether what came is what was sent, as far as both are known.
    fn is_echo(&self) -> bool {
        let [written, received] = &self.fronts;
        let len = written.len().min(received.len());
        written[..len] == received[..len]
    }

    /// What is wrong with taking the peer for one that sends back what it gets.
    fn remark(&self) -> Option<String> {
        if self.setting.half_close || self.is_echo() {
            return None;
        }
        let received = &self.fronts[1];
        let what = if received.starts_with(b"HTTP/") {
            let line = received.split(|byte| matches!(byte, b'\r' | b'\n')).next();
            format!("the peer speaks HTTP ({})", text::quote(line.unwrap_or_default()))
        } else {
            "the peer sends something else than it gets".into()
        };
        Some(match self.stage {
            Stage::Done => {
                format!("{what}, and as many bytes were read as were sent: --half-close reads all")
            }
            _ => format!("{what}: --half-close reads to its end"),
        })
    }

    fn report(&mut self, reason: &Reason) {
        let text = &mut self.text;
        self.setting.printer.print_last(|queue| text.finish(queue));
        let ending = match self.stage {
            Stage::Done => Ending::Done,
            Stage::Unread => Ending::Unread,
            Stage::Connecting => Ending::NotConnected(reason.to_string()),
            Stage::Talking => Ending::Failed(reason.to_string()),
        };
        // What has come back was sent, whether or not we have been told so.
        let sent = match self.stage {
            Stage::Done => self.written,
            _ => self.sent,
        };
        let (number, received, remark) = (self.number, self.received, self.remark());
        let outcome = Outcome { number, sent, received, ending, remark };
        self.setting.board.borrow_mut().note(outcome);
    }
}

/// Keeps up to so many bytes of what was sent first, and of what came first.
const FRONT: usize = 64;

fn keep_front(front: &mut Vec<u8>, bytes: &[u8]) {
    let room = FRONT - front.len();
    front.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// Gives up what the peer has not taken: nothing waits for it any more.
fn drop_unsent(turn: &mut Turn<'_>) {
    turn.out.clear();
    // A mark asked for before may lie beyond what will ever be sent.
    turn.mark();
}

impl Protocol for Conversation {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let (number, text) = (self.number, &mut self.text);
        let Setting { look, printer, .. } = &self.setting;
        let printed = printer.print(turn, |queue| match look {
            Look::Labelled => {
                let quoted = text::quote(input);
                // Writing to memory doesn't fail.
                let _ = writeln!(queue, "connection {number}: received {quoted}");
            }
            Look::Terminal => text.push(input, queue),
            Look::AsItCame => queue.extend_from_slice(input),
        });
        match printed {
            Printed::Taken => {
                keep_front(&mut self.fronts[1], input);
                self.received += input.len() as u64;
                self.progress = turn.now();
                self.end_if_done(turn);
            }
            Printed::Later(ticket) => {
                self.printing = Some(ticket);
                return Ok(Consumed::pause(0));
            }
            Printed::Gone => {
                self.stage = Stage::Unread;
                drop_unsent(turn);
                turn.end(End::Close);
            }
        }
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Closed(reason) = event {
            self.report(reason);
            return Ok(());
        }
        self.note_sent(turn);
        match event {
            Event::Open(_) => {
                self.stage = Stage::Talking;
                self.progress = turn.now();
                self.go_on(turn);
            }
            Event::Room => self.go_on(turn),
            Event::Message(ticket, body) => self.on_message(ticket, body, turn)?,
            Event::Eof { .. } => self.on_end_of_input(turn)?,
            Event::Deadline if self.progress + self.setting.silence <= turn.now() => {
                drop_unsent(turn);
                return Err(self.silent());
            }
            Event::Drain { .. } => turn.end(End::Close),
            // Noted above.
            Event::Deadline | Event::Sent(_) => {}
            // New events mean nothing to us.
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let waiting = matches!(self.stage, Stage::Talking) && self.printing.is_none();
        (waiting && self.is_owed()).then(|| self.progress + self.setting.silence)
    }
}
