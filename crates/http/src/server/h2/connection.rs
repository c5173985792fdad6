//! The server's side of an HTTP/2 connection: its state, input and events.

use std::fmt;
use std::rc::Rc;

use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Stop, Time, Turn};

use super::budget::Budgets;
use super::error::H2Error;
use super::limits::{
    CONNECTION_WINDOW, MAX_KERNEL_UNSENT, MAX_STREAMS, MAX_UNSENT, PING_AFTER, REPORTED_CHANGE,
};
use super::scheduler::Scheduler;
use super::sender::Sender;
use super::streams::Streams;
use super::timers::{Pings, Timers};
use crate::h2::frame::{self, FrameHeader, PREFACE, flags, kind, settings};
use crate::h2::hpack::Decoder;
use crate::h2::priority::Priority;
use crate::h2::window::Window;
use crate::handling::connection::Connection;
use crate::{Handlers, Limits, ServerConfig};

/// The server's side of one HTTP/2 connection. Creates a handler for each request.
pub(in crate::server) struct H2Connection<S: Handlers> {
    pub(super) config: Rc<ServerConfig>,
    pub(super) handlers: S,
    /// What the requests of the connection share, such as whether the server stops. A request that
    /// is not answered at once gets a copy.
    pub(super) connection: Connection,
    pub(super) expects: Expects,
    /// A header block that is incomplete.
    pub(super) block: Option<Box<PartialBlock>>,
    pub(super) decoder: Decoder,
    /// Identifies the connection: no other HTTP/2 connection of the worker (event loop) has this
    /// number.
    pub(super) number: u64,
    /// Whether fields from HPACK's tables are checked like literal fields. Set after an error in a
    /// header block: from then on, the dynamic table may contain fields that were refused or not
    /// checked.
    pub(super) checks_all_fields: bool,
    pub(super) streams: Streams<S::Handler>,
    pub(super) scheduler: Scheduler,
    pub(super) sender: Sender,
    /// The highest number of a stream that the peer has opened.
    pub(super) last_id: u32,
    /// The peer has not opened every stream up to `last_id`: it has skipped numbers.
    pub(super) has_skipped: bool,
    /// The highest number of a stream that was or will be answered.
    pub(super) last_answered: u32,
    /// The connection's flow-control window for DATA frames from the peer.
    pub(super) receive_window: Window,
    /// Bytes of DATA payload that were received since the window was last enlarged.
    pub(super) received: u32,
    /// Bytes of content that wait for handlers.
    pub(super) unread: usize,
    /// Memory that streams hold, in bytes.
    pub(super) held: usize,
    /// The memory that was last reported to the engine: `held` and the capacity of `block`.
    reported: usize,
    pub(super) budgets: Budgets,
    /// Priorities of streams whose HEADERS have not arrived (PRIORITY_UPDATE, RFC 9218, 7.1).
    pub(super) early_priorities: Vec<(u32, Priority)>,
    pub(super) goaway_sent: GoAway,
    /// The client has sent GOAWAY: it opens no more streams.
    pub(super) has_client_sent_goaway: bool,
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
    /// Bytes of content that have not arrived.
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

/// Which GOAWAY frames this side has sent (RFC 9113, 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GoAway {
    No,
    /// A first GOAWAY was sent: the client should open no more streams.
    Warned,
    /// The last GOAWAY was sent: streams after `last_answered` are not answered.
    Last,
}

impl<S: Handlers> H2Connection<S> {
    /// A connection whose requests are answered by `handlers`. `stop`: whether the connection was
    /// notified of the server's stop before it switched to HTTP/2.
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
            has_skipped: false,
            last_answered: 0,
            receive_window: Window::DEFAULT,
            received: 0,
            unread: 0,
            held: 0,
            reported: 0,
            budgets: Budgets::default(),
            early_priorities: Vec::new(),
            goaway_sent: GoAway::No,
            has_client_sent_goaway: false,
            timers: Timers::NONE,
            pings: Pings::default(),
        }
    }

    /// The connection is established: sends the settings of this side.
    pub(super) fn open(&mut self, turn: &mut Turn<'_>) {
        let Limits { head, head_timeout, .. } = self.config.limits;
        self.connection.open(turn.peer());
        self.timers.partial = turn.now() + head_timeout;
        self.pings.last_input = turn.now();
        let head = u32::try_from(head).unwrap_or(u32::MAX);
        let all = [
            (settings::MAX_CONCURRENT_STREAMS, MAX_STREAMS as u32),
            (settings::MAX_HEADER_LIST_SIZE, head),
            (settings::ENABLE_CONNECT_PROTOCOL, 1),
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

    /// Whether the stream was opened after the last GOAWAY: the client repeats its request on
    /// another connection (RFC 9113, 6.8).
    pub(super) fn is_ignored(&self, id: u32) -> bool {
        id > self.last_answered
    }

    /// Whether no more frames may be moved to the connection's output for now: because too much of
    /// it is unsent (one byte is too much while the engine's budget for memory is spent), or
    /// because too many requests wait to be logged.
    pub(super) fn is_full(&self, turn: &Turn<'_>) -> bool {
        turn.unsent() >= MAX_UNSENT
            || (turn.is_over_budget() && turn.unsent() > 0)
            || self.connection.log.as_ref().is_some_and(|log| log.is_full())
    }

    /// Reads the preface, a frame, or a part of a DATA frame from the start of `input`. Returns
    /// false if more input has to arrive first.
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
        let is_settings = header.kind == kind::SETTINGS && !header.has(flags::ACK);
        if self.expects == Expects::Settings && !is_settings {
            return Err(H2Error::protocol("sent another frame before SETTINGS"));
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

    /// Ends the connection because of an error: writes GOAWAY, and returns the fault.
    #[cold]
    pub(super) fn fail(&mut self, error: H2Error, turn: &mut Turn<'_>) -> Fault {
        turn.out.write_with(|bytes| frame::write_goaway(self.last_answered, error.code, bytes));
        error.fault()
    }

    /// Reports the memory that streams and an incomplete header block hold, so that it is charged
    /// to the client.
    fn report_held(&mut self, turn: &mut Turn<'_>) {
        let block = self.block.as_ref().map_or(0, |block| block.bytes.capacity());
        let held = self.held + block;
        if held.abs_diff(self.reported) >= REPORTED_CHANGE || (held == 0 && self.reported > 0) {
            self.reported = held;
            turn.set_held(held);
        }
    }

    /// After each input or event: sends the output of streams, and sets the timers. Ends the
    /// connection if it has no streams and can get no more.
    fn finish(&mut self, turn: &mut Turn<'_>) -> Result<(), H2Error> {
        self.send(turn)?;
        self.report_held(turn);
        let now = turn.now();
        if !self.streams.is_empty() {
            self.timers.idle = Time::NEVER;
            if self.timers.silence == Time::NEVER {
                self.timers.silence = now + PING_AFTER;
            }
            return Ok(());
        }
        // Without a new stream until then, memory of streams that have ended is freed.
        self.timers.streams = self.streams.keep_for().map_or(Time::NEVER, |time| now + time);
        self.timers.silence = Time::NEVER;
        self.pings.is_unanswered = false;
        if self.timers.idle == Time::NEVER {
            self.timers.idle = now + self.config.limits.idle_timeout;
        }
        if self.connection.half_closed {
            turn.end(End::Close);
        } else if self.goaway_sent == GoAway::Last || self.has_client_sent_goaway {
            self.send_last_goaway(turn);
            turn.end(End::Linger);
        }
        Ok(())
    }

    /// Sets the deadline for the preface and its SETTINGS, or for the rest of a header block or
    /// frame that has arrived in part. The payload of a DATA frame has no such deadline: while a
    /// handler waits for it, the request's deadline for content applies. `has_read`: some input was
    /// read. `has_rest`: some was not.
    fn set_partial_timer(&mut self, has_read: bool, has_rest: bool, now: Time) {
        if has_read && self.block.is_none() && self.expects == Expects::Frame {
            self.timers.partial = Time::NEVER;
        }
        let is_partial = match self.expects {
            Expects::Preface | Expects::Settings => true,
            Expects::Frame => has_rest || self.block.is_some(),
            Expects::Data(_) => false,
        };
        self.timers.partial = match is_partial {
            // Further bytes don't extend the time for the whole frame or header block.
            true => self.timers.partial.min(now + self.config.limits.head_timeout),
            false => Time::NEVER,
        };
    }
}

impl<S: Handlers> Protocol for H2Connection<S> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let now = turn.now();
        self.pings = Pings { last_input: now, is_unanswered: false };
        let mut rest = input;
        let result = loop {
            match self.read(&mut rest, turn) {
                Ok(true) if rest.is_empty() || self.timers.read_pause != Time::NEVER => {
                    break Ok(());
                }
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let used = input.len() - rest.len();
        let result = result.and_then(|()| self.budgets.on_received(used));
        let result = result.and_then(|()| {
            self.set_partial_timer(used > 0, !rest.is_empty(), now);
            self.finish(turn)
        });
        match result {
            Ok(()) if self.timers.read_pause != Time::NEVER => Ok(Consumed::pause(used)),
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
