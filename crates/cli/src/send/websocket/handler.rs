//! The handler of one WebSocket: sends messages, and prints those that it receives.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use sockeye::http_core::ws::{self, CloseCode, Closed, Message, Socket};
use sockeye::proto::{Abandoned, Message as Delivery, Ticket};

use super::show::{Style, show};
use super::source::{Next, Source};
use crate::plan::{OwnedMessage, UpgradeRequest};
use crate::send::input::{PIECE, Piece};
use crate::send::printer::{PrintResult, Printer};
use crate::send::report::{Report, Traffic};
use crate::target::Target;

/// The settings that all connections share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) style: Style,
    /// Whether the messages are lines typed on a terminal. Then the server needn't answer, and may
    /// close at any time.
    pub(super) is_interactive: bool,
    /// Whether to print, when the WebSocket is open, that Ctrl-D closes it: only if interactive and
    /// standard error is a terminal.
    pub(super) has_hint: bool,
    pub(super) target: Target,
    pub(super) request: UpgradeRequest,
    /// The URL of `target` with TLS, to suggest to the user. `None` if TLS is used already.
    pub(super) with_tls: Option<String>,
    /// How long the server may be silent while an answer is due.
    pub(super) timeout: Duration,
    pub(super) printer: Printer,
    pub(super) report: Rc<RefCell<Report>>,
}

/// The part of a handler's state that its connection reads, too.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) sent: Cell<Count>,
    pub(super) received: Cell<Count>,
    /// Whether everything was sent and, unless interactive, at least as many messages have come
    /// back.
    pub(super) is_done: Cell<bool>,
    /// Whether a message waits for room in the printer's queue.
    pub(super) is_printing: Cell<bool>,
    /// Whether writing to standard output has failed, usually because its reader has exited.
    pub(super) is_output_closed: Cell<bool>,
    /// Why no more messages can be sent: standard input can't be read, or has a line that can't be
    /// a message. The connection takes this text, and fails with it.
    pub(super) failure: RefCell<Option<String>>,
    /// The code and reason with which the WebSocket was closed.
    pub(super) closed: RefCell<Option<(CloseCode, String)>>,
}

/// A number of messages, and of the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) messages: u64,
    bytes: u64,
}

impl Count {
    fn add(cell: &Cell<Self>, message: Message<'_>) {
        let Self { messages, bytes } = cell.get();
        let bytes = bytes + message.bytes().len() as u64;
        cell.set(Self { messages: messages + 1, bytes });
    }
}

impl Progress {
    /// How many more messages were sent than received.
    pub(super) fn unanswered(&self) -> u64 {
        self.sent.get().messages.saturating_sub(self.received.get().messages)
    }

    pub(super) fn traffic(&self) -> Traffic {
        let [sent, received] = [self.sent.get(), self.received.get()];
        Traffic {
            bytes: [sent.bytes, received.bytes],
            messages: Some([sent.messages, received.messages]),
        }
    }
}

#[derive(Debug)]
pub(super) struct Handler {
    /// The number of the connection.
    pub(super) number: usize,
    pub(super) source: Source,
    pub(super) settings: Rc<Settings>,
    pub(super) progress: Rc<Progress>,
    /// Whether the source is at its end.
    pub(super) is_all_sent: bool,
    /// A message that waits for room in the printer's queue, and the ticket (number) of the promise
    /// that is fulfilled when there is room.
    pub(super) unprinted: Option<(Ticket, OwnedMessage)>,
}

impl Handler {
    /// Sends messages while fewer than [`PIECE`] bytes are unsent. If the source has no message
    /// yet, the source requests a piece of standard input, and sending goes on when the piece has
    /// arrived.
    fn send(&mut self, socket: &mut Socket<'_, '_>) {
        while !self.is_all_sent && !socket.is_closing() {
            if socket.unsent() >= PIECE as u64 {
                socket.want_room();
                break;
            }
            match self.source.next(|| socket.promise()) {
                Next::Message(message) => {
                    socket.send(message);
                    Count::add(&self.progress.sent, message);
                }
                Next::Wait => break,
                Next::End => self.is_all_sent = true,
                Next::Failed(what) => return self.fail(what, socket),
            }
        }
        self.close_if_done(socket);
    }

    fn fail(&self, what: String, socket: &mut Socket<'_, '_>) {
        self.progress.failure.replace(Some(what));
        socket.close(CloseCode::GOING_AWAY, "");
    }

    /// Closes the WebSocket if everything was sent and answered. Interactive messages need no
    /// answer.
    fn close_if_done(&self, socket: &mut Socket<'_, '_>) {
        let is_answered = self.settings.is_interactive || self.progress.unanswered() == 0;
        if self.is_all_sent && is_answered && !socket.is_closing() {
            self.progress.is_done.set(true);
            socket.close(CloseCode::NORMAL, "");
        }
    }

    /// Prints a received message, or stores it until the printer has room.
    fn print(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        let Settings { printer, style, .. } = &*self.settings;
        let printed =
            printer.print(|| socket.promise(), |queue| show(message, *style, self.number, queue));
        match printed {
            PrintResult::Queued => {
                Count::add(&self.progress.received, message);
                self.close_if_done(socket);
            }
            PrintResult::Full(ticket) => {
                self.unprinted = Some((ticket, OwnedMessage::of(message)));
                self.progress.is_printing.set(true);
                socket.pause();
            }
            PrintResult::Closed => {
                self.progress.is_output_closed.set(true);
                socket.close(CloseCode::GOING_AWAY, "");
            }
        }
    }
}

impl ws::Handler for Handler {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        self.send(socket);
    }

    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        self.print(message, socket);
    }

    fn on_delivery(
        &mut self,
        ticket: Ticket,
        delivery: Result<Delivery, Abandoned>,
        socket: &mut Socket<'_, '_>,
    ) {
        if let Some((_, message)) = self.unprinted.take_if(|(waiting, _)| *waiting == ticket) {
            self.progress.is_printing.set(false);
            socket.resume();
            self.print(message.message(), socket);
        } else if self.source.takes(ticket) {
            let piece = delivery.ok().and_then(|delivery| delivery.downcast::<Piece>().ok());
            let stopped = || Piece::Failed("the thread that reads it has stopped".into());
            match self.source.take(piece.map_or_else(stopped, |piece| *piece)) {
                Ok(()) => self.send(socket),
                Err(what) => self.fail(what, socket),
            }
        }
    }

    fn on_room(&mut self, socket: &mut Socket<'_, '_>) {
        self.send(socket);
    }

    fn on_close(&mut self, closed: Closed<'_>, _: &mut Socket<'_, '_>) {
        if let Some((_, message)) = self.unprinted.take() {
            let Settings { printer, style, .. } = &*self.settings;
            printer.print_last(|queue| show(message.message(), *style, self.number, queue));
            Count::add(&self.progress.received, message.message());
        }
        self.progress.closed.replace(Some((closed.code, closed.reason.to_owned())));
    }
}
