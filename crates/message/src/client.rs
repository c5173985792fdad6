//! The client's side of a connection as a [`Protocol`].
//!
//! It reads while it writes: a server may answer, or refuse, before it has taken all of a request.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use sockeye_proto::{Abandoned, Consumed, End, Event, Fault, Protocol, Reason, Ticket, Time, Turn};

use super::asker::{Asker, Ending, Next, Settings, Style};
use super::frame::{self, Collected};
use super::{ErrorReply, Header, Id, Message};

/// No more is written while so many bytes wait to be sent.
const ENOUGH: u64 = 64 * 1024;

/// The client's side of one connection.
pub struct Client<A> {
    settings: Settings,
    asker: A,
    stage: Stage,
    /// Requests without a response, the oldest first, and when a response is of no use any more.
    waiting: VecDeque<(u64, Time)>,
    /// The number of the next request.
    next: u64,
    /// The server echoes ids.
    echoes: bool,
    /// Nothing more is to be asked here.
    dry: bool,
    /// The server takes nothing more.
    closing: bool,
    /// A response whose content is coming.
    part: Option<Box<Part>>,
    unsent: u64,
    /// When the server last took or sent something, or came to owe something.
    progress: Time,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Talking,
    /// The asker takes no response for now.
    Paused,
    Over(Ending),
}

#[derive(Debug)]
struct Part {
    header: Header,
    collected: Collected,
}

impl<A: Asker> Client<A> {
    /// A connection on which `asker` asks.
    pub fn new(settings: Settings, asker: A) -> Self {
        Self {
            settings,
            asker,
            stage: Stage::Connecting,
            waiting: VecDeque::new(),
            next: 0,
            echoes: false,
            dry: false,
            closing: false,
            part: None,
            unsent: 0,
            progress: Time::ZERO,
        }
    }

    /// How many requests may wait now. To a server that nobody knows, one.
    fn window(&self) -> usize {
        match self.settings.style {
            Style::KeepAlive { in_flight } if self.echoes => in_flight.max(1),
            Style::KeepAlive { .. } | Style::Single => 1,
        }
    }

    /// Writes what there is to ask, as far as there is room for it, and ends if there is nothing.
    fn ask(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        while matches!(self.stage, Stage::Talking)
            && !self.dry
            && !self.closing
            && self.waiting.len() < self.window()
        {
            if turn.unsent() >= ENOUGH {
                turn.want_room();
                break;
            }
            match self.asker.next_message() {
                Some(message) => self.write(message, turn)?,
                None => self.dry = true,
            }
        }
        if self.waiting.is_empty() && matches!(self.stage, Stage::Talking) {
            if self.dry {
                self.end(Ending::Finished, turn);
            } else if self.closing {
                self.end(Ending::Closed { unanswered: 0, inside: false }, turn);
            }
        }
        Ok(())
    }

    fn write(&mut self, message: Message, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let number = self.next;
        self.next += 1;
        let mut header = Header::of(&message);
        header.deadline_ms = self.settings.deadline_ms;
        match self.settings.style {
            Style::KeepAlive { .. } => {
                header.id = Some(Id::number(number));
                header.keep_alive = true;
            }
            Style::Single => self.dry = true,
        }
        if frame::write(&header, message.content, turn.out).is_err() {
            let what = "could not send a message whose header has more than 65,535 bytes";
            let fault = Fault::ours("header_too_long", what);
            return Err(self.fail(Ending::Broken(fault.to_string()), fault, turn));
        }
        if self.waiting.is_empty() {
            self.progress = turn.now();
        }
        let deadline = self
            .settings
            .deadline_ms
            .map_or(Time::NEVER, |ms| turn.now() + std::time::Duration::from_millis(ms));
        self.waiting.push_back((number, deadline));
        self.unsent = turn.unsent();
        turn.mark();
        Ok(())
    }

    /// Reads a header, or on in content. Returns how much was used; nothing when more is needed.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let Some(part) = &mut self.part else {
            return self.read_header(input, turn);
        };
        let piece = frame::front(input, part.collected.left());
        // Nobody is charged for a response, so it can always be taken.
        let _ = part.collected.take(piece);
        if part.collected.left() == 0
            && let Some(part) = self.part.take()
        {
            self.on_reply(*part, turn)?;
        }
        Ok(piece.len())
    }

    fn read_header(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let limits = &self.settings.limits;
        let read = frame::read(input, limits).and_then(|read| {
            read.map_or(Ok(None), |(header, len)| {
                frame::admit(&header, limits).map(|()| Some((header, len)))
            })
        });
        match read {
            Ok(Some((header, len))) => {
                let collected = Collected::new(header.content_length);
                let part = Part { header, collected };
                if part.collected.left() == 0 {
                    self.on_reply(part, turn)?;
                } else {
                    self.part = Some(Box::new(part));
                }
                Ok(len)
            }
            Ok(None) => Ok(0),
            Err(refusal) => {
                let what = other_protocol(input).unwrap_or_else(|| refusal.what.into_owned());
                Err(self.garbage(what, turn))
            }
        }
    }

    /// A response is complete.
    fn on_reply(&mut self, part: Part, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Part { header, collected } = part;
        let Header { content_type, content_encoding, id, keep_alive, .. } = header;
        let reply = Message { content_type, content_encoding, content: collected.into_parts().0 };
        match (&self.settings.style, id) {
            (Style::KeepAlive { .. }, Some(id)) => self.on_numbered(&id, reply, keep_alive, turn),
            (Style::KeepAlive { .. }, None) if self.echoes => Err(self.refused(&reply, turn)),
            // Whatever stands under an old server's `id`, there is one response for one request.
            _ => self.on_only_reply(reply, turn),
        }
    }

    /// The response of a server that echoes no id.
    fn on_only_reply(&mut self, reply: Message, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some((number, _)) = self.waiting.pop_front() else {
            return Err(self.garbage("a reply came to nothing that was asked".into(), turn));
        };
        let ending = match self.settings.style {
            Style::Single => Ending::Finished,
            Style::KeepAlive { .. } => Ending::OldPeer,
        };
        self.dry = true;
        match self.asker.on_reply(number, reply, turn) {
            Next::Stop => self.end(Ending::Stopped, turn),
            // There is nothing behind it that could wait.
            Next::On | Next::Pause => self.end(ending, turn),
        }
        Ok(())
    }

    /// The response to a numbered request, or one that came too late.
    fn on_numbered(
        &mut self,
        id: &Id,
        reply: Message,
        keep_alive: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let number = id.as_number();
        let place = self.waiting.iter().position(|(waiting, _)| Some(*waiting) == number);
        match (place, number) {
            (Some(place), Some(number)) => {
                self.waiting.remove(place);
                self.echoes = true;
                self.closing |= !keep_alive;
                let next = self.asker.on_reply(number, reply, turn);
                self.follow(next, turn)
            }
            (None, Some(number)) if number < self.next && self.settings.deadline_ms.is_some() => {
                Ok(())
            }
            _ => Err(self.garbage("the reply's id is that of no request".into(), turn)),
        }
    }

    /// Does what the asker wants.
    fn follow(&mut self, next: Next, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match (&self.stage, next) {
            (Stage::Connecting | Stage::Over(_), _) => Ok(()),
            (_, Next::Stop) => {
                self.end(Ending::Stopped, turn);
                Ok(())
            }
            (_, Next::Pause) => {
                self.stage = Stage::Paused;
                Ok(())
            }
            (_, Next::On) => {
                self.stage = Stage::Talking;
                self.ask(turn)
            }
        }
    }

    /// Ends in order. What the server has not taken by now it doesn't need.
    fn end(&mut self, ending: Ending, turn: &mut Turn<'_>) {
        drop_unsent(turn);
        self.stage = Stage::Over(ending);
        turn.end(End::Close);
    }

    fn fail(&mut self, ending: Ending, fault: Fault, turn: &mut Turn<'_>) -> Fault {
        drop_unsent(turn);
        self.stage = Stage::Over(ending);
        fault
    }

    fn garbage(&mut self, what: String, turn: &mut Turn<'_>) -> Fault {
        let fault = Fault::peer("bad_reply", format!("sent what is no reply: {what}"));
        self.fail(Ending::Garbage(what), fault, turn)
    }

    /// A response to no request, from a server that echoes ids.
    fn refused(&mut self, reply: &Message, turn: &mut Turn<'_>) -> Fault {
        match ErrorReply::of(reply) {
            Some(error) => {
                let fault = Fault::peer("refused", format!("refused to go on: {}", error.text));
                self.fail(Ending::Refused(error), fault, turn)
            }
            None => self.garbage("the reply has no id, and earlier ones had".into(), turn),
        }
    }

    fn closed(&mut self, unclean: bool, turn: &mut Turn<'_>) -> Fault {
        let unanswered = self.waiting.len();
        let inside = unclean || self.part.is_some();
        let what = match (unanswered, inside) {
            (_, true) => "closed the connection in the middle of a reply".into(),
            (0, _) => "closed the connection before everything was asked".into(),
            (1, _) => "closed the connection without a reply".into(),
            (count, _) => format!("closed the connection without {count} replies"),
        };
        self.fail(Ending::Closed { unanswered, inside }, Fault::peer("closed_early", what), turn)
    }

    fn silent(&mut self, turn: &mut Turn<'_>) -> Fault {
        let unanswered = self.waiting.len();
        let seconds = turn.now().since(self.progress).as_secs();
        let what = format!("was silent for {seconds} s with {unanswered} replies owed");
        self.fail(Ending::Silent { unanswered }, Fault::peer("silent", what), turn)
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !matches!(self.stage, Stage::Talking) || self.waiting.is_empty() {
            return Ok(());
        }
        let now = turn.now();
        if self.progress + self.settings.silence <= now
            || (!self.echoes && self.waiting.iter().any(|(_, deadline)| *deadline <= now))
        {
            return Err(self.silent(turn));
        }
        let asker = &mut self.asker;
        self.waiting.retain(|(number, deadline)| {
            let missed = *deadline <= now;
            if missed {
                asker.on_missed(*number);
            }
            !missed
        });
        self.ask(turn)
    }

    fn note_progress(&mut self, turn: &Turn<'_>) {
        let unsent = turn.unsent();
        if unsent < self.unsent {
            self.progress = turn.now();
        }
        self.unsent = unsent;
    }

    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if matches!(self.stage, Stage::Connecting | Stage::Over(_)) {
            return Ok(());
        }
        let paused = matches!(self.stage, Stage::Paused);
        let next = self.asker.on_settled(ticket, body, turn);
        if paused && next == Next::On {
            // The server has had no chance to do anything since.
            self.progress = turn.now();
            turn.resume();
        }
        self.follow(next, turn)
    }

    fn on_closed(&mut self, reason: &Reason) {
        let ending = match mem::replace(&mut self.stage, Stage::Over(Ending::Stopped)) {
            Stage::Over(ending) => ending,
            Stage::Connecting | Stage::Talking | Stage::Paused => {
                Ending::Broken(reason.to_string())
            }
        };
        self.asker.on_end(ending);
    }
}

/// What a server speaks whose bytes are no frame, as far as these tell: HTTP, TLS, or something else
/// whose beginning is quoted. `None` where they do begin as a frame does, or are fewer than three.
///
/// What [`frame::read`] says of such bytes is meant for a client that came to the wrong port.
#[must_use]
#[cold]
pub fn other_protocol(input: &[u8]) -> Option<String> {
    /// Bytes that are quoted.
    const QUOTED: usize = 64;
    let [first, second, third, ..] = *input else { return None };
    let line = input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let quoted = line[..line.len().min(QUOTED)].escape_ascii();
    Some(if input.starts_with(b"HTT") {
        format!("this port speaks HTTP (\"{quoted}\"), and not messages in frames")
    } else if matches!((first, second, third), (20..=23, 3, 0..=4)) {
        "this port speaks TLS, and not messages in frames".into()
    } else if matches!(third, b'{' | b' ' | b'\t' | b'\r' | b'\n') || (first, second) == (0, 0) {
        return None;
    } else {
        format!("this port speaks something else than messages in frames (\"{quoted}\")")
    })
}

/// Gives up what the server has not taken: nothing waits for it any more.
fn drop_unsent(turn: &mut Turn<'_>) {
    turn.out.clear();
    // A mark asked for before may lie beyond what will ever be sent.
    turn.mark();
}

impl<A: Asker> Protocol for Client<A> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.progress = turn.now();
        let mut used = 0;
        while used < input.len() {
            match self.stage {
                Stage::Talking => {}
                Stage::Paused => return Ok(Consumed::pause(used)),
                Stage::Connecting | Stage::Over(_) => return Ok(Consumed::more(input.len())),
            }
            match self.read(&input[used..], turn)? {
                0 => break,
                len => used += len,
            }
        }
        Ok(match self.stage {
            Stage::Paused => Consumed::pause(used),
            _ => Consumed::more(used),
        })
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Closed(reason) = event {
            self.on_closed(reason);
            return Ok(());
        }
        self.note_progress(turn);
        match event {
            Event::Open(_) => {
                self.stage = Stage::Talking;
                self.progress = turn.now();
                self.ask(turn)
            }
            Event::Room => self.ask(turn),
            Event::Message(ticket, body) => self.on_settled(ticket, body, turn),
            Event::Eof { clean } if !matches!(self.stage, Stage::Over(_)) => {
                Err(self.closed(!clean, turn))
            }
            Event::Deadline => self.on_deadline(turn),
            Event::Drain { .. } => {
                self.end(Ending::Stopped, turn);
                Ok(())
            }
            // An end that was noted above, and what changes nothing.
            _ => Ok(()),
        }
    }

    fn deadline(&self) -> Option<Time> {
        if !matches!(self.stage, Stage::Talking) || self.waiting.is_empty() {
            return None;
        }
        let missed = self.waiting.iter().map(|(_, deadline)| *deadline).min();
        Some((self.progress + self.settings.silence).min(missed.unwrap_or(Time::NEVER)))
    }
}

impl<A> fmt::Debug for Client<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stage", &self.stage).finish_non_exhaustive()
    }
}
