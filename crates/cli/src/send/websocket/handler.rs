//! Sends the messages of one WebSocket, and prints those that it receives.

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

/// The settings of all connections.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) style: Style,
    /// Lines are typed on a terminal: nothing is due from the server, which may close at any time.
    pub(super) is_interactive: bool,
    /// Say how to end that. Not if standard error is no terminal.
    pub(super) has_hint: bool,
    pub(super) target: Target,
    pub(super) request: UpgradeRequest,
    /// The same target with TLS, for hints. `None` if TLS is used already.
    pub(super) with_tls: Option<String>,
    /// How long the server may be silent while an answer is due.
    pub(super) timeout: Duration,
    pub(super) printer: Printer,
    pub(super) report: Rc<RefCell<Report>>,
}

/// What the handler tells its connection.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) sent: Cell<Count>,
    pub(super) received: Cell<Count>,
    /// Everything was sent and, unless lines are typed, as many messages have come back.
    pub(super) is_done: Cell<bool>,
    /// A message waits for room in the printer's queue.
    pub(super) is_printing: Cell<bool>,
    /// Standard output has no reader any more.
    pub(super) is_output_closed: Cell<bool>,
    /// Why nothing more can be sent.
    pub(super) failure: RefCell<Option<String>>,
    /// How the WebSocket was closed.
    pub(super) closed: RefCell<Option<(CloseCode, String)>>,
}

/// Messages, and their bytes.
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
    /// How many messages have no answer.
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
    pub(super) number: usize,
    pub(super) source: Source,
    pub(super) settings: Rc<Settings>,
    pub(super) progress: Rc<Progress>,
    /// Everything was sent.
    pub(super) is_all_sent: bool,
    /// A message that waits for room in the printer's queue, and the ticket of the promise for it.
    pub(super) unprinted: Option<(Ticket, OwnedMessage)>,
}

impl Handler {
    /// Sends while there is room, or requests a piece of standard input.
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

    fn close_if_done(&self, socket: &mut Socket<'_, '_>) {
        let is_answered = self.settings.is_interactive || self.progress.unanswered() == 0;
        if self.is_all_sent && is_answered && !socket.is_closing() {
            self.progress.is_done.set(true);
            socket.close(CloseCode::NORMAL, "");
        }
    }

    /// Prints a message, or keeps it until there is room.
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
            let stopped = || Piece::Failed("reading it stopped".into());
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
