//! One connection of `send`: writes messages, and waits until as many bytes have come back.
//!
//! It reads while it writes, and never has more than two pieces waiting to be sent: far below the
//! mark at which the engine would stop reading. It doesn't end its side before everything has come
//! back, since a server may take that for the end of both sides and drop what it owes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sockeye_proto::{
    Abandoned, End, Event, Fault, Message, Protocol, Reason, Ticket, Time, Took, Turn,
};

use super::input::{PIECE, Piece, Seat};
use super::printer::{Paper, Printed};
use super::report::{Board, Ending, Outcome};
use crate::quantity::Span;
use crate::text;

/// Where the messages come from.
#[derive(Debug)]
pub(super) enum Source {
    /// They are known, in pieces of at most [`PIECE`] bytes.
    Messages(VecDeque<Bytes>),
    /// They are read while we send.
    Input(Seat),
}

/// What all conversations of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Print which connection each piece came from, and escape it.
    pub(super) labelled: bool,
    /// How long a peer may neither send nor read while it owes something.
    pub(super) silence: Duration,
    pub(super) paper: Paper,
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
    /// When the peer last took or sent something, or came to owe something.
    progress: Time,
    /// A piece of input was asked for under this ticket.
    asked: Option<Ticket>,
    /// What has come waits for room on the paper, under this ticket.
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

    /// Whether the peer has something to give back.
    fn is_owed(&self) -> bool {
        self.received < self.written
    }

    fn note_sent(&mut self, turn: &Turn<'_>) {
        let sent = self.written - turn.unsent().min(self.written);
        if sent > self.sent {
            self.sent = sent;
            self.progress = turn.now();
        }
    }

    fn end_if_done(&mut self, turn: &mut Turn<'_>) {
        if self.all_written && !self.is_owed() {
            self.stage = Stage::Done;
            turn.end(End::Close);
        }
    }

    fn closed_early(&self) -> Fault {
        let Self { received, written, .. } = self;
        let what = if self.is_owed() {
            format!("closed the connection when {received} of {written} bytes had come back")
        } else {
            "closed the connection before everything was sent".into()
        };
        Fault::peer("closed_early", what)
    }

    fn silent(&self) -> Fault {
        let Self { received, written, .. } = self;
        let silence = Span(self.setting.silence);
        let what =
            format!("was silent for {silence} when {received} of {written} bytes had come back");
        Fault::peer("silent", what)
    }

    fn report(&self, reason: &Reason) {
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
        let outcome = Outcome { number: self.number, sent, received: self.received, ending };
        self.setting.board.borrow_mut().note(outcome);
    }
}

/// Gives up what the peer has not taken: nothing waits for it any more.
fn drop_unsent(turn: &mut Turn<'_>) {
    turn.out.clear();
    // A mark asked for before may lie beyond what will ever be sent.
    turn.mark();
}

impl Protocol for Conversation {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Took, Fault> {
        let printed = self.setting.paper.print(turn, |paper| {
            if self.setting.labelled {
                let (number, quoted) = (self.number, text::quote(input));
                // Writing to memory doesn't fail.
                let _ = writeln!(paper, "connection {number}: received {quoted}");
            } else {
                paper.extend_from_slice(input);
            }
        });
        match printed {
            Printed::Taken => {
                self.received += input.len() as u64;
                self.progress = turn.now();
                self.end_if_done(turn);
            }
            Printed::Later(ticket) => {
                self.printing = Some(ticket);
                return Ok(Took::pause(0));
            }
            Printed::Gone => {
                self.stage = Stage::Unread;
                drop_unsent(turn);
                turn.end(End::Close);
            }
        }
        Ok(Took::more(input.len()))
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
            Event::Eof { .. } => {
                drop_unsent(turn);
                return Err(self.closed_early());
            }
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
