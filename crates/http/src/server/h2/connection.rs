//! The server's side of an HTTP/2 connection: its state, input and events.

use std::fmt;
use std::mem;
use std::rc::Rc;

use sockeye_proto::{
    Consumed, DRAIN_GRACE, End, Event, Fault, Protocol, Reason, Stop, Ticket, Time, Turn,
};

use super::budget::Budgets;
use super::error::H2Error;
use super::limits::{CONNECTION_WINDOW, MAX_KERNEL_UNSENT, MAX_STREAMS, MAX_UNSENT, PING_AFTER};
use super::scheduler::Scheduler;
use super::send::Sender;
use super::streams::Streams;
use crate::h2::frame::{self, ErrorCode, FrameHeader, PREFACE, flags, kind, settings};
use crate::h2::hpack::Decoder;
use crate::h2::priority::Priority;
use crate::h2::window::Window;
use crate::handling::connection::Connection;
use crate::semantics::log::PING_TIMEOUT;
use crate::semantics::refusal::Refusal;
use crate::{Handlers, Limits, ServerConfig, StreamEvent};

/// The server's side of one HTTP/2 connection. It makes a handler for each request.
pub(in crate::server) struct H2Connection<S: Handlers> {
    pub(super) config: Rc<ServerConfig>,
    pub(super) handlers: S,
    /// For the next request.
    pub(super) connection: Connection,
    pub(super) expects: Expects,
    /// A header block that is incomplete.
    pub(super) block: Option<Box<PartialBlock>>,
    pub(super) decoder: Decoder,
    /// No other HTTP/2 connection of the shard has this number.
    pub(super) number: u64,
    /// The dynamic table may have fields whose characters were not checked.
    pub(super) checks_all_fields: bool,
    pub(super) streams: Streams<S::Handler>,
    pub(super) scheduler: Scheduler,
    pub(super) sender: Sender,
    /// The highest number of a stream that the peer has opened.
    pub(super) last_id: u32,
    /// The highest number of a stream that was or will be answered.
    pub(super) last_answered: u32,
    /// The window of the connection that the peer sends content in, and how many bytes of it were
    /// received since it was last enlarged.
    pub(super) receive_window: Window,
    pub(super) received: u32,
    /// Bytes of content that wait for handlers.
    pub(super) unread: usize,
    pub(super) budgets: Budgets,
    /// Priorities of streams that have not begun.
    pub(super) early_priorities: Vec<(u32, Priority)>,
    pub(super) going: Going,
    /// The client has sent GOAWAY: it opens no more streams.
    pub(super) is_client_leaving: bool,
    pub(super) timers: Timers,
    pub(super) pings: Pings,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    Preface,
    /// The SETTINGS frame that follows the preface.
    Settings,
    Frame,
    /// The rest of the payload of a DATA frame.
    Data(DataFrame),
}

/// A DATA frame whose payload is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataFrame {
    pub(super) stream: u32,
    /// Bytes of content that have not come.
    pub(super) content: usize,
    /// Bytes of padding after the content.
    pub(super) padding: usize,
    pub(super) ends_stream: bool,
}

/// A header block that is continued in CONTINUATION frames.
pub(super) struct PartialBlock {
    pub(super) stream: u32,
    pub(super) ends_stream: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) continuations: u8,
}

/// How far the connection is with its end (RFC 9113, 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Going {
    No,
    /// A first GOAWAY was sent: the client should open no more streams.
    Warned,
    /// The last GOAWAY was sent: streams after `last_id` are not answered.
    Last,
}

/// When something is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// The rest of the preface, of a header block or of a frame.
    pub(super) partial: Time,
    /// The next request, if there are no streams.
    pub(super) idle: Time,
    /// The earliest deadline of a stream, or an earlier time.
    pub(super) streams: Time,
    /// The end of a pause in which nothing is read.
    pub(super) pause: Time,
    /// The last GOAWAY.
    pub(super) goaway: Time,
    /// Another look at how long the peer has been silent.
    pub(super) silence: Time,
}

impl Timers {
    const NONE: Self = Self {
        partial: Time::NEVER,
        idle: Time::NEVER,
        streams: Time::NEVER,
        pause: Time::NEVER,
        goaway: Time::NEVER,
        silence: Time::NEVER,
    };

    fn next(&self) -> Time {
        let Self { partial, idle, streams, pause, goaway, silence } = *self;
        partial.min(idle).min(streams).min(pause).min(goaway).min(silence)
    }
}

/// Whether the peer is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    /// When input last came.
    last_input: Time,
    /// A PING was sent, and nothing has come since.
    is_unanswered: bool,
}

/// The payload of the PING that follows the first GOAWAY.
pub(super) const DRAIN_PING: &[u8; 8] = b"draining";
/// The payload of the PING that asks a silent peer whether it is there.
const SILENCE_PING: &[u8; 8] = b"present?";

impl<S: Handlers> H2Connection<S> {
    /// A connection whose requests are answered by `handlers`. `stop`: which events of a stopping
    /// server the connection got before.
    pub(in crate::server) fn new(config: Rc<ServerConfig>, handlers: S, stop: Stop) -> Self {
        let mut connection = Connection::new(Rc::clone(&config));
        connection.stop = stop;
        let number = config.h2_connections.get();
        config.h2_connections.set(number + 1);
        Self {
            config,
            handlers,
            connection,
            expects: Expects::Preface,
            block: None,
            decoder: Decoder::new(),
            number,
            checks_all_fields: false,
            streams: Streams::default(),
            scheduler: Scheduler::default(),
            sender: Sender::new(),
            last_id: 0,
            last_answered: 0,
            receive_window: Window::DEFAULT,
            received: 0,
            unread: 0,
            budgets: Budgets::default(),
            early_priorities: Vec::new(),
            going: Going::No,
            is_client_leaving: false,
            timers: Timers::NONE,
            pings: Pings::default(),
        }
    }

    /// The connection is established: sends the settings of this side.
    fn open(&mut self, turn: &mut Turn<'_>) {
        let Limits { head, head_timeout, .. } = self.config.limits;
        self.connection.open(turn.peer());
        self.timers.partial = turn.now() + head_timeout;
        self.pings.last_input = turn.now();
        let head = u32::try_from(head).unwrap_or(u32::MAX);
        let all = [
            (settings::MAX_CONCURRENT_STREAMS, MAX_STREAMS as u32),
            (settings::MAX_HEADER_LIST_SIZE, head),
            (settings::NO_RFC7540_PRIORITIES, 1),
        ];
        let increment = CONNECTION_WINDOW - 65_535;
        let _ = self.receive_window.add(increment);
        turn.limit_unsent(MAX_KERNEL_UNSENT);
        turn.out.write_with(|bytes| {
            frame::write_settings(&all, bytes);
            frame::write_window_update(0, increment, bytes);
        });
        match self.connection.stop {
            Stop::No => {}
            Stop::LameDuck => self.warn(turn),
            Stop::Drain => self.start_drain(turn),
        }
    }

    /// Whether frames have to wait until some are sent, or logged.
    pub(super) fn is_full(&self, turn: &Turn<'_>) -> bool {
        turn.unsent() >= MAX_UNSENT || self.connection.log.as_ref().is_some_and(|log| log.is_full())
    }

    /// Reads the next piece at the start of `input`. Returns whether there may be another one.
    fn read(&mut self, input: &mut &[u8], turn: &mut Turn<'_>) -> Result<bool, H2Error> {
        match self.expects {
            Expects::Frame | Expects::Settings => self.read_frame(input, turn),
            Expects::Data(data) => {
                self.read_data(data, input, turn)?;
                Ok(true)
            }
            Expects::Preface => {
                let len = input.len().min(PREFACE.len());
                if input[..len] != PREFACE[..len] {
                    return Err(H2Error::protocol("did not begin with the preface of HTTP/2"));
                }
                if len == PREFACE.len() {
                    self.expects = Expects::Settings;
                    *input = &input[len..];
                }
                Ok(len == PREFACE.len())
            }
        }
    }

    fn read_frame(&mut self, input: &mut &[u8], turn: &mut Turn<'_>) -> Result<bool, H2Error> {
        let Some(header) = FrameHeader::read(input) else { return Ok(false) };
        if header.len > frame::DEFAULT_MAX_LEN {
            return Err(H2Error::frame_size("sent a frame that is longer than allowed"));
        }
        if self.expects == Expects::Settings {
            if header.kind != kind::SETTINGS || header.has(flags::ACK) {
                return Err(H2Error::protocol("sent another frame before SETTINGS"));
            }
        }
        if self.block.is_some() && header.kind != kind::CONTINUATION {
            return Err(H2Error::protocol("sent another frame within a header block"));
        }
        let rest = &input[FrameHeader::LEN..];
        if header.kind == kind::DATA {
            return self.start_data(header, rest, input, turn);
        }
        let Some((payload, rest)) = rest.split_at_checked(header.len) else { return Ok(false) };
        self.expects = Expects::Frame;
        self.on_frame(header, payload, turn)?;
        *input = rest;
        Ok(true)
    }

    /// Ends the connection because of an error: GOAWAY, and a fault.
    #[cold]
    fn fail(&mut self, error: H2Error, turn: &mut Turn<'_>) -> Fault {
        turn.out.write_with(|bytes| frame::write_goaway(self.last_answered, error.code, bytes));
        error.fault()
    }

    /// Sends the first GOAWAY of two: it refuses no stream that is on its way.
    pub(super) fn warn(&mut self, turn: &mut Turn<'_>) {
        if self.going == Going::No {
            self.going = Going::Warned;
            turn.out.write_with(|bytes| {
                frame::write_goaway(i32::MAX as u32, ErrorCode::NoError, bytes);
            });
        }
    }

    /// The server is stopping. The answer to the PING shows that the client has got the first
    /// GOAWAY.
    fn start_drain(&mut self, turn: &mut Turn<'_>) {
        self.warn(turn);
        self.timers.goaway = turn.now() + DRAIN_GRACE;
        turn.out.write_with(|bytes| frame::write(kind::PING, flags::NONE, 0, DRAIN_PING, bytes));
    }

    /// Sends the last GOAWAY.
    pub(super) fn send_last_goaway(&mut self, turn: &mut Turn<'_>) {
        self.timers.goaway = Time::NEVER;
        if self.going < Going::Last {
            self.going = Going::Last;
            let last = self.last_answered;
            turn.out.write_with(|bytes| frame::write_goaway(last, ErrorCode::NoError, bytes));
        }
    }

    /// After input and events: sends what streams have, and sets the timers.
    fn finish(&mut self, turn: &mut Turn<'_>) -> Result<(), H2Error> {
        self.send(turn)?;
        let now = turn.now();
        if !self.streams.is_empty() {
            self.timers.idle = Time::NEVER;
            if self.timers.silence == Time::NEVER {
                self.timers.silence = now + PING_AFTER;
            }
            return Ok(());
        }
        self.timers.streams = Time::NEVER;
        self.timers.silence = Time::NEVER;
        self.pings.is_unanswered = false;
        if self.timers.idle == Time::NEVER {
            self.timers.idle = now + self.config.limits.idle_timeout;
        }
        if self.connection.half_closed || self.is_client_leaving {
            turn.end(End::Close);
        } else if self.going == Going::Last {
            turn.end(End::Linger);
        }
        Ok(())
    }

    /// Sets when the rest of what has begun to come is due. `has_rest`: there is unread input.
    fn set_partial_timer(&mut self, has_rest: bool, now: Time) {
        let is_partial = match self.expects {
            Expects::Preface | Expects::Settings => true,
            Expects::Frame => has_rest || self.block.is_some(),
            // The handler's own time limits apply.
            Expects::Data(_) => false,
        };
        self.timers.partial = match is_partial {
            // Another part doesn't extend the time for the whole.
            true => self.timers.partial.min(now + self.config.limits.head_timeout),
            false => Time::NEVER,
        };
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let now = turn.now();
        if self.timers.pause <= now {
            self.timers.pause = Time::NEVER;
            turn.resume();
        }
        if self.timers.goaway <= now {
            self.send_last_goaway(turn);
        }
        if self.timers.partial <= now {
            let late = H2Error::protocol("did not complete what it began to send");
            self.fail(late, turn);
            return Err(Refusal::HEAD_TIMEOUT.fault());
        }
        if self.timers.idle <= now {
            // This tells the client that no request was lost.
            self.send_last_goaway(turn);
            return Err(Fault::idle(self.config.limits.idle_timeout));
        }
        if self.timers.silence <= now {
            self.check_silence(turn)?;
        }
        if self.timers.streams <= now {
            self.timers.streams = Time::NEVER;
            self.for_each_stream(turn, |active, turn| active.on_deadline(turn));
        }
        Ok(())
    }

    /// Looks for a peer that has vanished while streams are open.
    fn check_silence(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let now = turn.now();
        let due = self.pings.last_input + PING_AFTER;
        if now < due {
            self.timers.silence = due;
        } else if turn.unsent() > 0 {
            // The PING would wait behind this output. The engine's write timeout applies.
            self.timers.silence = now + PING_AFTER;
        } else if mem::replace(&mut self.pings.is_unanswered, true) {
            let what = format!("was silent for {} s after a PING", PING_AFTER.as_secs());
            return Err(Fault::peer(PING_TIMEOUT, what));
        } else {
            self.timers.silence = now + PING_AFTER;
            turn.out
                .write_with(|bytes| frame::write(kind::PING, flags::NONE, 0, SILENCE_PING, bytes));
        }
        Ok(())
    }

    fn on_eof(&mut self, turn: &mut Turn<'_>) {
        self.connection.half_closed = true;
        self.for_each_stream(turn, |active, turn| {
            active.connection.half_closed = true;
            if !active.receive.has_ended {
                active.refuse_content(Refusal::EOF_IN_BODY, turn);
            }
            active.keep_waiting(true, turn);
        });
    }

    fn on_drain(&mut self, turn: &mut Turn<'_>) {
        self.connection.stop = Stop::Drain;
        self.start_drain(turn);
        self.for_each_stream(turn, |active, turn| {
            active.connection.stop = Stop::Drain;
            active.keep_waiting(true, turn);
        });
    }

    fn handle_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let id = turn.stream();
        match event {
            Event::Open(_) => self.open(turn),
            Event::Message(ticket, body) => {
                if let Some(active) = self.streams.get_mut(id) {
                    active.deliver(StreamEvent::Message(ticket, body), turn);
                    if ticket == Ticket::REMOTE {
                        active.stream.delivered();
                    }
                    self.settle(id, turn);
                }
            }
            Event::Woken => {
                if let Some(active) = self.streams.get_mut(id)
                    && active.has_started()
                {
                    active.deliver(StreamEvent::Woken, turn);
                    self.settle(id, turn);
                }
            }
            Event::Deadline => self.on_deadline(turn)?,
            Event::Eof { .. } => self.on_eof(turn),
            Event::LameDuck => {
                self.connection.stop = Stop::LameDuck;
                self.warn(turn);
            }
            Event::Drain { .. } => self.on_drain(turn),
            Event::Sent(mark) => {
                if let Some(log) = &mut self.connection.log {
                    log.on_sent(mark, turn.now());
                }
            }
            Event::Closed(reason) => self.on_closed(reason, turn),
            // Among them `Event::Room`, which `finish` acts on.
            _ => {}
        }
        Ok(())
    }

    fn on_closed(&mut self, reason: &Reason, turn: &Turn<'_>) {
        for active in mem::take(&mut self.streams).iter_mut() {
            active.abort(ErrorCode::Cancel, reason, turn);
        }
        if let Some(log) = &mut self.connection.log {
            log.on_closed(reason, turn);
        }
    }
}

impl<S: Handlers> Protocol for H2Connection<S> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let now = turn.now();
        self.pings = Pings { last_input: now, is_unanswered: false };
        let mut rest = input;
        let result = loop {
            match self.read(&mut rest, turn) {
                Ok(true) if rest.is_empty() || self.timers.pause != Time::NEVER => break Ok(()),
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let used = input.len() - rest.len();
        let result = result.and_then(|()| self.budgets.on_received(used));
        let result = result.and_then(|()| {
            self.set_partial_timer(!rest.is_empty(), now);
            self.finish(turn)
        });
        match result {
            Ok(()) if self.timers.pause != Time::NEVER => Ok(Consumed::pause(used)),
            Ok(()) => Ok(Consumed::more(used)),
            Err(error) => Err(self.fail(error, turn)),
        }
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let is_last = matches!(event, Event::Closed(_));
        self.handle_event(event, turn)?;
        if is_last {
            return Ok(());
        }
        self.finish(turn).map_err(|error| self.fail(error, turn))
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.timers.next()).filter(|deadline| *deadline != Time::NEVER)
    }

    fn idle_since(&self) -> Option<Time> {
        let is_idle = self.streams.is_empty() && self.expects == Expects::Frame;
        let since = self.timers.idle.checked_sub(self.config.limits.idle_timeout);
        since.filter(|_| is_idle && self.block.is_none())
    }
}

impl<S: Handlers> fmt::Debug for H2Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Connection").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}
