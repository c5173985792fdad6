//! One side of a WebSocket, as a [`Protocol`] that an engine runs.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use sockeye_proto::{
    Consumed, End, Event, Fault, Message as Delivery, Protocol, Ticket, Time, Turn,
};

use super::close::{CloseCode, Closed};
use super::config::Config;
use super::extension::Extension;
use super::handler::Handler;
use super::mask::MaskKeys;
use super::message::Message;
use super::receive::{Context, Received, Receiver};
use super::role::Role;
use super::scratch::Scratch;
use super::sender::{Action, Sent};
use super::socket::Socket;
use super::state::{Expects, State};
use super::violation::Violation;

/// One side of a WebSocket (RFC 6455), after its handshake: reads the connection's bytes, and calls
/// a [`Handler`] for each message.
///
/// Between messages, a connection holds no buffer, except for compression with context takeover
/// (RFC 7692, 7.1.1). If the peer breaks the protocol, it gets a close frame that says why, and the
/// connection ends with a [`Fault`].
pub struct Connection<H> {
    config: Rc<Config>,
    handler: H,
    receiver: Receiver,
    state: State,
    /// The bytes of memory that were last reported with [`Turn::set_held`].
    held: usize,
    /// The handler gets no more calls: its [`Handler::on_close`] was called, or it has panicked.
    is_closed: bool,
    has_panicked: bool,
    /// When [`Handler::on_deadline`] is due: what [`Handler::deadline`] returned after the last
    /// call of the handler.
    handler_deadline: Time,
}

/// The memory that a connection holds is reported when it has changed by this many bytes.
const REPORTED: usize = 16 * 1024;

/// A connection may hold this much memory for an incomplete message and for compression even while
/// the budget for output, or its client's share of that budget, is spent.
const UNCHARGED: usize = 40 * 1024;

impl<H: Handler> Connection<H> {
    /// The server's side.
    #[must_use]
    pub fn server(config: Rc<Config>, handler: H) -> Self {
        Self::new(config, State::new(None), handler)
    }

    /// The client's side, which masks what it sends with `masks`.
    #[must_use]
    pub fn client(config: Rc<Config>, masks: MaskKeys, handler: H) -> Self {
        Self::new(config, State::new(Some(masks)), handler)
    }

    fn new(config: Rc<Config>, state: State, handler: H) -> Self {
        Self {
            config,
            handler,
            receiver: Receiver::default(),
            state,
            held: 0,
            is_closed: false,
            has_panicked: false,
            handler_deadline: Time::NEVER,
        }
    }

    /// Uses the extension that both sides have agreed on.
    #[must_use]
    pub fn with_extension(mut self, extension: Extension) -> Self {
        self.state.extension = extension;
        self
    }

    /// Calls the handler, and asks for its deadline. If it panics, the WebSocket is closed with
    /// 1011.
    fn call(&mut self, turn: &mut Turn<'_>, call: impl FnOnce(&mut H, &mut Socket<'_, '_>)) {
        let Self { config, handler, state, is_closed, .. } = self;
        let socket = &mut Socket { turn, state, config };
        let deadline = catch_unwind(AssertUnwindSafe(|| {
            call(handler, socket);
            if *is_closed { None } else { handler.deadline() }
        }))
        .unwrap_or_else(|_| {
            (self.is_closed, self.has_panicked) = (true, true);
            self.state.end(Closed { code: CloseCode::INTERNAL_ERROR, reason: "" }, turn);
            None
        });
        self.handler_deadline = deadline.unwrap_or(Time::NEVER);
    }

    /// Fails if the handler has panicked.
    fn check_panic(&self) -> Result<(), Fault> {
        match self.has_panicked {
            true => Err(Fault::ours("handler_panicked", "panicked while handling a WebSocket")),
            false => Ok(()),
        }
    }

    /// Tells the handler that the WebSocket is closed, once.
    fn notify_closed(&mut self, closed: Closed<'_>, turn: &mut Turn<'_>) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.call(turn, |handler, socket| handler.on_close(closed, socket));
        }
    }

    /// Notifies the handler that the connection ends without a close frame of the peer. `reason`
    /// says why.
    fn end_without_close_frame(&mut self, reason: &str, turn: &mut Turn<'_>) {
        self.state.expects = Expects::Nothing;
        self.state.deadline = Time::NEVER;
        self.notify_closed(Closed { code: CloseCode::ABNORMAL, reason }, turn);
    }

    /// Ends the connection after both close frames: a server closes it, a client waits some seconds
    /// for the server to do so (RFC 6455, 7.1.1).
    fn end(&self, turn: &mut Turn<'_>) {
        turn.end(match self.state.role() {
            Role::Server => End::Close,
            Role::Client => End::Linger,
        });
    }

    /// Reads the frames in `input`. Returns `false` if it stops before the end, because the handler
    /// has paused or the output is full.
    fn read(
        &mut self,
        input: &mut &[u8],
        scratch: &mut Scratch,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Violation> {
        let role = self.state.role();
        while !input.is_empty() {
            match self.state.expects {
                Expects::Nothing => *input = &[],
                Expects::Frame | Expects::Pong if self.state.is_paused => return Ok(false),
                // After `Event::Room`, one frame is read even if the output is full again.
                // Otherwise a handler that always fills it in `on_room` would stop all reading.
                Expects::Frame | Expects::Pong
                    if turn.is_full() && !std::mem::take(&mut self.state.had_room) =>
                {
                    self.state.waits_for_room = true;
                    turn.want_room();
                    return Ok(false);
                }
                _ => {}
            }
            let Self { config, receiver, state, .. } = self;
            let context = &mut Context { role, config, extension: &mut state.extension };
            match receiver.read(input, context, scratch)? {
                Received::NeedMore => break,
                Received::Part | Received::Pong => {}
                Received::Text(text) => self.deliver(Message::Text(text), turn),
                Received::Binary(bytes) => self.deliver(Message::Binary(bytes), turn),
                Received::Ping(payload) => self.state.on_ping(payload, turn),
                Received::Close(closed) => {
                    self.state.end(Closed { reason: "", ..closed }, turn);
                    self.notify_closed(closed, turn);
                    self.end(turn);
                }
            }
        }
        Ok(true)
    }

    fn deliver(&mut self, message: Message<'_>, turn: &mut Turn<'_>) {
        if self.state.is_open() {
            self.call(turn, |handler, socket| handler.on_message(message, socket));
        }
    }

    /// Sends a close frame that says how the peer has broken the protocol or which limit it has
    /// exceeded, and notifies the handler. Returns the fault that ends the connection.
    #[cold]
    fn fail(&mut self, Violation { code, what }: Violation, turn: &mut Turn<'_>) -> Fault {
        let closed = Closed { code, reason: what };
        self.state.end(closed, turn);
        self.notify_closed(closed, turn);
        let name = match code {
            CloseCode::INVALID_DATA => "websocket_invalid_data",
            CloseCode::TOO_LARGE => "websocket_message_too_large",
            CloseCode::POLICY_VIOLATION => "websocket_too_many_fragments",
            CloseCode::TRY_AGAIN_LATER => "websocket_over_budget",
            _ => "websocket_protocol_error",
        };
        Fault::peer(name, what)
    }

    /// Fails if an incomplete message and the extension together hold much memory, and the budget
    /// for output, or the client's share of it, is spent.
    fn check_budget(&self, turn: &Turn<'_>) -> Result<(), Violation> {
        match self.held_by_message() > UNCHARGED && turn.is_over_budget() {
            true => Err(Violation::OVER_BUDGET),
            false => Ok(()),
        }
    }

    /// Memory of an incomplete message and of the extension, in bytes.
    fn held_by_message(&self) -> usize {
        self.receiver.held() + self.state.extension.held()
    }

    /// Reports how much memory the connection and its handler hold, if that has changed by
    /// [`REPORTED`] or is 0 now.
    fn report_held(&mut self, turn: &mut Turn<'_>) {
        let held = self.held_by_message() + self.state.held_by_handler;
        if held.abs_diff(self.held) >= REPORTED || (held == 0 && self.held > 0) {
            self.held = held;
            turn.set_held(held);
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.handler_deadline <= turn.now() {
            self.call(turn, Handler::on_deadline);
        }
        if turn.now() < self.state.deadline {
            return Ok(());
        }
        let limits = self.config.limits();
        match self.state.expects {
            Expects::Frame => self.state.ping(limits, turn),
            // The pong may be in the unread input, or the ping in the unsent output. If the peer
            // receives no output at all, the code that runs this protocol, such as the engine, ends
            // the connection.
            Expects::Pong if self.state.is_paused || turn.unsent() > 0 => {
                self.state.restart_pong_timeout(turn.now(), limits);
            }
            Expects::Pong => {
                let what = format!("answered no ping within {} s", limits.pong_timeout.as_secs());
                self.end_without_close_frame("no pong came", turn);
                return Err(Fault::peer("websocket_no_pong", what));
            }
            Expects::Close => {
                self.end_without_close_frame("no close frame came", turn);
                turn.end(End::Linger);
            }
            Expects::Nothing => self.state.deadline = Time::NEVER,
        }
        Ok(())
    }

    fn on_delivery(
        &mut self,
        ticket: Ticket,
        delivery: Result<Delivery, sockeye_proto::Abandoned>,
        turn: &mut Turn<'_>,
    ) {
        let delivery = match delivery.map(Delivery::downcast::<Sent>) {
            Ok(Ok(sent)) if self.state.is_own(&sent) => {
                return match sent.action {
                    Action::Send(message) => {
                        self.state.send_shared(&message, &self.config, turn);
                    }
                    Action::Close(code, reason) => {
                        self.state.close(code, &reason, self.config.limits(), turn);
                    }
                };
            }
            Ok(Ok(sent)) => Ok(sent as Delivery),
            Ok(Err(other)) => Ok(other),
            Err(abandoned) => Err(abandoned),
        };
        if !self.is_closed {
            self.call(turn, |handler, socket| handler.on_delivery(ticket, delivery, socket));
        }
    }

    fn on_room(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.state.waits_for_room) {
            self.state.restart_pong_timeout(turn.now(), self.config.limits());
            self.state.had_room = true;
            turn.resume();
        }
        if std::mem::take(&mut self.state.wants_room) && !self.is_closed {
            self.call(turn, Handler::on_room);
        }
    }
}

impl<H: Handler> Protocol for Connection<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.state.on_input(turn.now(), self.config.limits());
        let mut rest = input;
        let mut scratch = self.config.take_scratch();
        let result = self.read(&mut rest, &mut scratch, turn);
        self.config.put_back_scratch(scratch);
        let result = result.and_then(|is_read| self.check_budget(turn).map(|()| is_read));
        let is_read = result.map_err(|violation| self.fail(violation, turn))?;
        self.check_panic()?;
        self.report_held(turn);
        let used = input.len() - rest.len();
        Ok(if is_read { Consumed::more(used) } else { Consumed::pause(used) })
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                self.state.on_input(turn.now(), self.config.limits());
                self.call(turn, Handler::on_open);
            }
            Event::Eof { .. } => {
                self.end_without_close_frame("the peer ended the connection", turn);
                turn.end(End::Close);
            }
            Event::Room => self.on_room(turn),
            Event::Deadline => self.on_deadline(turn)?,
            Event::Message(ticket, delivery) => self.on_delivery(ticket, delivery, turn),
            Event::Woken if !self.is_closed => {
                self.call(turn, Handler::on_woken);
            }
            Event::Drain { .. } if !self.is_closed => {
                self.call(turn, Handler::on_drain);
            }
            Event::Closed(_) => {
                self.end_without_close_frame("the connection ended", turn);
                return Ok(());
            }
            _ => {}
        }
        self.check_panic()?;
        self.report_held(turn);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let deadline = self.state.deadline.min(self.handler_deadline);
        (deadline != Time::NEVER).then_some(deadline)
    }
}

impl<H> fmt::Debug for Connection<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("state", &self.state).finish_non_exhaustive()
    }
}
