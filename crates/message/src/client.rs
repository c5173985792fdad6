//! The client's side of a connection of frames, as a [`Protocol`].
//!
//! The client reads while it writes, because a server may answer or refuse a request before reading
//! all of it. For large requests, this needs a setting of the engine: see [`Client`].

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Ticket, Time, Turn};

use super::client_handler::{ClientAction, ClientConfig, ClientEnd, ClientHandler, ConnectionMode};
use super::frame::{self, ContentBuffer};
use super::{ErrorResponse, Header, Id, Message, Settled};

/// While at least this many bytes are unsent, no more requests are written.
const MAX_UNSENT: u64 = 64 * 1024;

/// The client's side of one connection.
///
/// A server may refuse a request before it has read all of it. So that the client reads this
/// response at once, set `Config::max_buffered_output` of sockeye-engine to [`usize::MAX`]. With
/// the default, the engine reads nothing while 256 KiB of output or more are unsent. Then the
/// client reads the refusal of a larger request only when most of the request is sent, or never, if
/// the server closes the connection before. There is no need for a limit: a request is written
/// only while less than 64 KiB are unsent, so the output holds less than 64 KiB and one request.
pub struct Client<H> {
    config: ClientConfig,
    handler: H,
    state: ClientState,
    /// The numbers of requests without a response, the oldest first.
    in_flight: VecDeque<u64>,
    /// The number of the next request.
    next_number: u64,
    /// The server has echoed an id.
    echoes_ids: bool,
    /// No more messages follow on this connection.
    exhausted: bool,
    /// The server has announced that it takes no more requests.
    server_closing: bool,
    /// A response whose content is arriving.
    response: Option<Box<(Header, ContentBuffer)>>,
    /// Bytes of requests that the kernel has not taken, when last checked.
    unsent: u64,
    /// When the server's silence began: when the server last sent something, when the kernel last
    /// took bytes of requests, when a request was written while no other was pending, or when a
    /// pause ended.
    progress: Time,
}

#[derive(Debug)]
enum ClientState {
    Connecting,
    Open,
    /// The handler has returned [`ClientAction::Pause`].
    Paused,
    Ended(ClientEnd),
}

impl<H: ClientHandler> Client<H> {
    /// A connection that sends the messages of `handler`.
    pub fn new(config: ClientConfig, handler: H) -> Self {
        Self {
            config,
            handler,
            state: ClientState::Connecting,
            in_flight: VecDeque::new(),
            next_number: 0,
            echoes_ids: false,
            exhausted: false,
            server_closing: false,
            response: None,
            unsent: 0,
            progress: Time::ZERO,
        }
    }

    /// How many requests may be in flight: one, until the server has echoed an id.
    fn max_in_flight(&self) -> usize {
        match self.config.mode {
            ConnectionMode::KeepAlive { in_flight } if self.echoes_ids => in_flight.max(1),
            ConnectionMode::KeepAlive { .. } | ConnectionMode::Single => 1,
        }
    }

    /// Writes requests while there is room. Ends the connection if no request is in flight and no
    /// more will be sent.
    fn send(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !matches!(self.state, ClientState::Open) {
            return Ok(());
        }
        while !self.exhausted && !self.server_closing && self.in_flight.len() < self.max_in_flight()
        {
            if turn.unsent() >= MAX_UNSENT {
                turn.want_room();
                break;
            }
            match self.handler.next_message() {
                Some(message) => self.write(message, turn)?,
                None => self.exhausted = true,
            }
        }
        if self.in_flight.is_empty() {
            if self.exhausted {
                self.end(ClientEnd::Completed, turn);
            } else if self.server_closing {
                self.end(ClientEnd::Closed { unanswered: 0, mid_response: false }, turn);
            }
        }
        Ok(())
    }

    fn write(&mut self, message: Message, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let number = self.next_number;
        self.next_number += 1;
        let mut header = Header::of(&message);
        match self.config.mode {
            ConnectionMode::KeepAlive { .. } => {
                header.id = Some(Id::number(number));
                header.keep_alive = true;
            }
            ConnectionMode::Single => self.exhausted = true,
        }
        let Some(head) = frame::head(&header) else {
            let what = "could not send a message whose header has more than 65,535 bytes";
            let fault = Fault::ours("header_too_long", what);
            return Err(self.fail(ClientEnd::Failed(fault.to_string()), fault, turn));
        };
        frame::write(&head, message.content, turn.out);
        if self.in_flight.is_empty() {
            self.progress = turn.now();
        }
        self.in_flight.push_back(number);
        self.unsent = turn.unsent();
        // Asks for `Event::Sent` whenever output is sent: sending counts as progress (`on_event`).
        turn.mark();
        Ok(())
    }

    /// Reads a header or content. Returns the bytes consumed; 0 when more are needed.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let used = match &mut self.response {
            Some(response) => {
                let piece = frame::prefix(input, response.1.remaining());
                // This can't fail: the content of a response counts against no budget of memory.
                let _ = response.1.take(piece);
                piece.len()
            }
            None => self.read_header(input, turn)?,
        };
        if let Some(response) = self.response.take_if(|response| response.1.remaining() == 0) {
            let (header, buffer) = *response;
            self.on_response(header, buffer, turn)?;
        }
        Ok(used)
    }

    fn read_header(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let limits = &self.config.limits;
        let read = frame::read(input, limits).and_then(|read| {
            read.iter().try_for_each(|(header, _)| header.check_length(limits))?;
            Ok(read)
        });
        match read {
            Ok(Some((header, len))) => {
                let buffer = ContentBuffer::new(header.content_length, None, 0);
                self.response = Some(Box::new((header, buffer)));
                Ok(len)
            }
            Ok(None) => Ok(0),
            Err(refusal) => {
                let what = other_protocol(input).unwrap_or_else(|| refusal.reason.into_owned());
                Err(self.bad_response(what, turn))
            }
        }
    }

    /// A response is complete.
    fn on_response(
        &mut self,
        header: Header,
        buffer: ContentBuffer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let is_single = self.config.mode == ConnectionMode::Single;
        // In `ConnectionMode::Single`, the `id` is ignored: an old server may put anything there.
        let id = header.id.clone().filter(|_| !is_single);
        let keep_alive = header.keep_alive;
        let response = header.into_message(buffer.into_parts().0);
        let index = match &id {
            Some(id) => self.in_flight.iter().position(|sent| Some(*sent) == id.as_number()),
            None if self.echoes_ids => return Err(self.refused(&response, turn)),
            None => Some(0),
        };
        let Some(number) = index.and_then(|index| self.in_flight.remove(index)) else {
            return Err(self.bad_response("it belongs to no request".into(), turn));
        };
        self.echoes_ids |= id.is_some();
        self.server_closing |= !keep_alive;
        let action = self.handler.on_response(number, response, turn);
        if id.is_some() {
            return self.apply_action(action, turn);
        }
        // Without an id, this is the only response: the server closes after it.
        let end = match action {
            ClientAction::Stop => ClientEnd::Stopped,
            _ if is_single => ClientEnd::Completed,
            _ => ClientEnd::NoKeepAlive,
        };
        self.end(end, turn);
        Ok(())
    }

    fn apply_action(&mut self, action: ClientAction, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match (&self.state, action) {
            (ClientState::Connecting | ClientState::Ended(_), _) => {}
            (_, ClientAction::Stop) => self.end(ClientEnd::Stopped, turn),
            (_, ClientAction::Pause) => self.state = ClientState::Paused,
            (_, ClientAction::Continue) => {
                self.state = ClientState::Open;
                return self.send(turn);
            }
        }
        Ok(())
    }

    /// Ends the connection without a fault. Unsent bytes are dropped.
    fn end(&mut self, end: ClientEnd, turn: &mut Turn<'_>) {
        drop_unsent(turn);
        self.state = ClientState::Ended(end);
        turn.end(End::Close);
    }

    /// Stores why the connection ends, drops unsent bytes, and returns the fault.
    fn fail(&mut self, end: ClientEnd, fault: Fault, turn: &mut Turn<'_>) -> Fault {
        drop_unsent(turn);
        self.state = ClientState::Ended(end);
        fault
    }

    fn bad_response(&mut self, what: String, turn: &mut Turn<'_>) -> Fault {
        let fault = Fault::peer("bad_response", format!("sent an invalid response: {what}"));
        self.fail(ClientEnd::BadResponse(what), fault, turn)
    }

    /// Ends the connection after a response without an id from a server that has echoed ids. Such a
    /// response belongs to no request. If it is an error, the server refuses to go on.
    fn refused(&mut self, response: &Message, turn: &mut Turn<'_>) -> Fault {
        match ErrorResponse::of(response) {
            Some(error) => {
                let fault = Fault::peer("refused", format!("refused to go on: {}", error.text));
                self.fail(ClientEnd::Refused(error), fault, turn)
            }
            None => self.bad_response("it has no id, and earlier ones had".into(), turn),
        }
    }

    fn on_eof(&mut self, clean: bool, turn: &mut Turn<'_>) -> Fault {
        let unanswered = self.in_flight.len();
        let mid_response = !clean || self.response.is_some();
        let what = match (unanswered, mid_response) {
            (_, true) => "closed the connection in the middle of a response".into(),
            (0, _) => "closed the connection before every message was sent".into(),
            (1, _) => "closed the connection without a response".into(),
            (count, _) => format!("closed the connection without {count} responses"),
        };
        let end = ClientEnd::Closed { unanswered, mid_response };
        self.fail(end, Fault::peer("closed_early", what), turn)
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.deadline().is_none_or(|deadline| turn.now() < deadline) {
            return Ok(());
        }
        let unanswered = self.in_flight.len();
        let seconds = turn.now().since(self.progress).as_secs();
        let what = format!("was silent for {seconds} s with {unanswered} responses pending");
        let fault = Fault::peer("silent", what);
        Err(self.fail(ClientEnd::TimedOut { unanswered }, fault, turn))
    }

    /// A promise that the handler has made was fulfilled or dropped.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        settled: Settled,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if matches!(self.state, ClientState::Connecting | ClientState::Ended(_)) {
            return Ok(());
        }
        let action = self.handler.on_settled(ticket, settled, turn);
        if matches!(self.state, ClientState::Paused) && action == ClientAction::Continue {
            // During the pause, nothing was read, whether the server has sent something or not. So
            // the pause doesn't count as silence of the server.
            self.progress = turn.now();
            turn.resume();
        }
        self.apply_action(action, turn)
    }
}

/// Describes a server that sends HTTP, TLS or another protocol instead of frames. Quotes the first
/// bytes, except of TLS. `None` if `input` begins like a frame, begins with two zeros (a header of
/// length 0, for which [`frame::read`] has an error), or has fewer than three bytes.
///
/// The errors of [`frame::read`] are for the opposite case: a server of frames whose client sends
/// another protocol.
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
        format!("this port speaks something other than messages in frames (\"{quoted}\")")
    })
}

fn drop_unsent(turn: &mut Turn<'_>) {
    turn.out.clear();
    // An earlier mark may follow the dropped bytes. It would never be reached, and `Event::Sent`
    // would be sent until the end of the connection. The new mark replaces it.
    turn.mark();
}

impl<H: ClientHandler> Protocol for Client<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.progress = turn.now();
        let mut used = 0;
        while used < input.len() {
            match self.state {
                ClientState::Open => {}
                ClientState::Paused => break,
                ClientState::Connecting | ClientState::Ended(_) => {
                    return Ok(Consumed::more(input.len()));
                }
            }
            match self.read(&input[used..], turn)? {
                0 => break,
                len => used += len,
            }
        }
        Ok(match self.state {
            ClientState::Paused => Consumed::pause(used),
            _ => Consumed::more(used),
        })
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Closed(reason) = event {
            let state = mem::replace(&mut self.state, ClientState::Ended(ClientEnd::Stopped));
            self.handler.on_end(match state {
                ClientState::Ended(end) => end,
                _ => ClientEnd::Failed(reason.to_string()),
            });
            return Ok(());
        }
        let unsent = turn.unsent();
        if unsent < self.unsent {
            self.progress = turn.now();
        }
        self.unsent = unsent;
        match event {
            Event::Open(_) => {
                self.state = ClientState::Open;
                self.progress = turn.now();
                return self.send(turn);
            }
            Event::Room => return self.send(turn),
            Event::Message(ticket, body) => return self.on_settled(ticket, body, turn),
            Event::Eof { clean } if !matches!(self.state, ClientState::Ended(_)) => {
                return Err(self.on_eof(clean, turn));
            }
            Event::Deadline => return self.on_deadline(turn),
            Event::Drain { .. } => self.end(ClientEnd::Stopped, turn),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let waits = matches!(self.state, ClientState::Open) && !self.in_flight.is_empty();
        waits.then(|| self.progress + self.config.stall_timeout)
    }
}

impl<H> fmt::Debug for Client<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state).finish_non_exhaustive()
    }
}
