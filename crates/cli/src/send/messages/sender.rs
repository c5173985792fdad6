//! A sender, which sends messages in order on as many connections as needed, and the handler of
//! each of its connections.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;
use sockeye::engine::Config;
use sockeye::message::protocol::text::Encoding;
use sockeye::message::protocol::{
    ClientAction, ClientEnd, ClientHandler, ErrorResponse, JSON, Limits, Message,
};
use sockeye::proto::{Abandoned, Ticket, Turn};

use super::show::{Style, show};
use super::summary::Summary;
use crate::client_tls::ClientTls;
use crate::quantity::Span;
use crate::send::printer::{PrintResult, Printer};
use crate::text;

/// The settings and results that all senders share.
pub(super) struct Run {
    pub(super) config: Config,
    pub(super) tls: Option<ClientTls>,
    pub(super) limits: Limits,
    /// The messages that each sender sends, at least one. They are repeated until `total` messages
    /// were sent.
    pub(super) messages: Vec<Message>,
    /// The number of messages that each sender sends.
    pub(super) total: usize,
    /// How long the peer may neither send nor read while a response is due.
    pub(super) timeout: Duration,
    pub(super) style: Style,
    /// Whether to print the sender's number with each response.
    pub(super) labelled: bool,
    pub(super) printer: Printer,
    pub(super) summary: RefCell<Summary>,
    pub(super) warn: Box<dyn Fn(String)>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("total", &self.total).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The sender has messages to send, or waits for responses.
    Sending,
    /// The sender's last connection was not established, for this reason.
    NotConnected(String),
    /// The sender sends nothing more, because of a failure or because the output has no reader.
    Finished,
}

/// Sends all messages, on one connection after the other.
#[derive(Debug)]
pub(super) struct Sender {
    /// The number of this sender, from 1.
    number: usize,
    /// The number of messages that have a response.
    answered: usize,
    /// Whether to send many messages on a connection.
    pub(super) keep_alive: bool,
    /// Whether a connection of this sender was established.
    pub(super) connected: bool,
    state: State,
}

impl Sender {
    pub(super) fn new(number: usize, keep_alive: bool) -> Self {
        Self { number, answered: 0, keep_alive, connected: false, state: State::Sending }
    }

    /// Whether to open another connection.
    pub(super) fn has_more(&self, run: &Run) -> bool {
        self.state == State::Sending && self.answered < run.total
    }

    /// Allows another attempt, at another address, if the last connection was not established.
    pub(super) fn try_again(&mut self) {
        if let State::NotConnected(_) = self.state {
            self.state = State::Sending;
        }
    }

    /// Fails, with a warning, if the last connection was not established.
    pub(super) fn fail_if_unconnected(&mut self, run: &Run) {
        if let State::NotConnected(reason) = &self.state {
            let reason = reason.clone();
            self.fail(&reason, run);
        }
    }

    fn fail(&mut self, reason: &str, run: &Run) {
        self.warn(reason, run);
        run.summary.borrow_mut().failed += 1;
        self.state = State::Finished;
    }

    fn warn(&self, what: &str, run: &Run) {
        (run.warn)(format!("connection {}: {what}", self.number));
    }

    /// Counts the response to `message`. Warns if it is an error, invalid JSON, or `message`
    /// itself.
    fn record(&mut self, response: &Message, message: &Message, run: &Run) {
        self.answered += 1;
        let mut summary = run.summary.borrow_mut();
        summary.received += response.content.len() as u64;
        let what = if let Some(error) = ErrorResponse::of(response) {
            summary.errors += 1;
            format!("the peer answered with an error: {}", error_text(&error))
        } else if response == message {
            summary.echoed += 1;
            "the peer sent the message back unchanged, like an echo server".into()
        } else if let Some(reason) = invalid_json(response) {
            summary.invalid += 1;
            format!("the peer answered with invalid JSON: {reason}")
        } else {
            summary.answered += 1;
            return;
        };
        self.warn(&what, run);
    }
}

/// Why the content of a response whose content type is JSON is not valid. `None` if it is valid, or
/// if the response has another content type.
fn invalid_json(response: &Message) -> Option<String> {
    if response.content_type != JSON {
        return None;
    }
    let Some(encoding) = Encoding::of(&response.content_encoding) else {
        return Some(format!("its encoding '{}' is unknown", response.content_encoding));
    };
    let text = match encoding.decode(&response.content) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    serde_json::from_str::<&RawValue>(&text).err().map(|error| error.to_string())
}

/// The text of an error response, with its code.
fn error_text(error: &ErrorResponse) -> String {
    match &error.code {
        Some(code) => format!("{} ({code})", error.text),
        None => error.text.clone(),
    }
}

/// The handler of one connection of a sender.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Rc<RefCell<Sender>>,
    run: Rc<Run>,
    /// How many of the sender's messages had a response before this connection: the index of the
    /// first message to send here.
    first: usize,
    /// The number of messages that were sent on this connection.
    sent: usize,
    /// A response that waits for room in the printer's queue. The number says which message of this
    /// connection it answers, from 0.
    unprinted: Option<(u64, Message)>,
}

impl Connection {
    pub(super) fn new(sender: Rc<RefCell<Sender>>, run: Rc<Run>) -> Self {
        let first = sender.borrow().answered;
        Self { sender, run, first, sent: 0, unprinted: None }
    }

    /// The message with this number on this connection, from 0.
    fn message(&self, number: usize) -> &Message {
        &self.run.messages[(self.first + number) % self.run.messages.len()]
    }

    /// Prints a response, or stores it until the printer has room.
    fn print(&mut self, number: u64, response: Message, turn: &Turn<'_>) -> ClientAction {
        let Run { printer, style, .. } = &*self.run;
        let label = self.run.labelled.then_some(self.sender.borrow().number);
        match printer.print(|| turn.promise(), |queue| show(&response, *style, label, queue)) {
            PrintResult::Queued => {
                self.record(number, &response);
                ClientAction::Continue
            }
            PrintResult::Full(_) => {
                self.unprinted = Some((number, response));
                ClientAction::Pause
            }
            PrintResult::Closed => ClientAction::Stop,
        }
    }

    fn record(&self, number: u64, response: &Message) {
        let message = self.message(usize::try_from(number).unwrap_or_default());
        self.sender.borrow_mut().record(response, message, &self.run);
    }

    /// Why the connection has failed. `None` if it has ended without a failure.
    fn failure(&self, ending: ClientEnd) -> Option<String> {
        let answered = self.sender.borrow().answered - self.first;
        Some(match ending {
            // The remaining messages are sent on another connection.
            ClientEnd::Closed { unanswered: 0, mid_response: false } if answered > 0 => {
                return None;
            }
            ClientEnd::Closed { mid_response: true, .. } => {
                "the peer closed the connection within a response".into()
            }
            ClientEnd::Closed { unanswered, .. } => match unanswered {
                0 | 1 => "the peer closed the connection without a response".into(),
                _ => format!(
                    "the peer closed the connection when {unanswered} messages had no response"
                ),
            },
            ClientEnd::Refused(error) => {
                format!("the peer sent an error: {}", error_text(&error))
            }
            ClientEnd::TimedOut { unanswered } => {
                let timeout = Span(self.run.timeout);
                let what = text::count(unanswered as u64, "message");
                format!("the peer was silent for {timeout:#} when {what} had no response")
            }
            ClientEnd::BadResponse(what) => format!("the peer sent an invalid response: {what}"),
            ClientEnd::Failed(reason) => reason,
            ClientEnd::Completed | ClientEnd::NoKeepAlive if answered > 0 => return None,
            // No message was answered, so another connection would probably end in the same way.
            ending => format!("the connection ended without a response ({ending:?})"),
        })
    }
}

impl ClientHandler for Connection {
    fn next_message(&mut self) -> Option<Message> {
        self.sender.borrow_mut().connected = true;
        let at = self.first + self.sent;
        if at >= self.run.total {
            return None;
        }
        let message = self.message(self.sent).clone();
        self.sent += 1;
        Some(message)
    }

    fn on_response(&mut self, number: u64, response: Message, turn: &mut Turn<'_>) -> ClientAction {
        self.print(number, response, turn)
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        _: Result<sockeye::proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> ClientAction {
        match self.unprinted.take() {
            Some((number, response)) => self.print(number, response, turn),
            None => ClientAction::Continue,
        }
    }

    fn on_end(&mut self, ending: ClientEnd) {
        if let Some((number, response)) = self.unprinted.take() {
            let label = self.run.labelled.then_some(self.sender.borrow().number);
            let style = self.run.style;
            self.run.printer.print_last(|queue| show(&response, style, label, queue));
            self.record(number, &response);
        }
        let mut sender = self.sender.borrow_mut();
        match &ending {
            ClientEnd::NoKeepAlive => sender.keep_alive = false,
            ClientEnd::Stopped => {
                // `print` has stopped the connection, because the output has no reader.
                self.run.summary.borrow_mut().output_closed = true;
                sender.state = State::Finished;
                return;
            }
            ClientEnd::Failed(reason) if self.sent == 0 => {
                sender.state = State::NotConnected(text::why_unconnected(reason));
                return;
            }
            _ => {}
        }
        drop(sender);
        if let Some(reason) = self.failure(ending) {
            self.sender.borrow_mut().fail(&reason, &self.run);
        }
    }
}
