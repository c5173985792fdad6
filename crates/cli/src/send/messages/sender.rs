//! Sends messages one after the other, on as many connections as needed.

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

/// What all senders share.
pub(super) struct Run {
    pub(super) config: Config,
    pub(super) tls: Option<ClientTls>,
    pub(super) limits: Limits,
    /// The messages of each sender, at least one, repeated until it has sent `total`.
    pub(super) messages: Vec<Message>,
    pub(super) total: usize,
    /// How long the peer may neither send nor read while a response is due.
    pub(super) timeout: Duration,
    pub(super) style: Style,
    /// Print the sender's number with each response.
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
    /// Sends the remaining messages.
    Sending,
    /// The last connection was not established, for this reason.
    NotConnected(String),
    /// Sends nothing more.
    Finished,
}

#[derive(Debug)]
pub(super) struct Sender {
    /// Senders are numbered from 1.
    number: usize,
    /// Messages that have a response.
    answered: usize,
    pub(super) keep_alive: bool,
    /// One of its connections was established.
    pub(super) connected: bool,
    state: State,
}

impl Sender {
    pub(super) fn new(number: usize, keep_alive: bool) -> Self {
        Self { number, answered: 0, keep_alive, connected: false, state: State::Sending }
    }

    pub(super) fn has_more(&self, run: &Run) -> bool {
        self.state == State::Sending && self.answered < run.total
    }

    /// Sends again, to another address.
    pub(super) fn try_again(&mut self) {
        if let State::NotConnected(_) = self.state {
            self.state = State::Sending;
        }
    }

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

    /// Counts the response to `message`, and warns about a bad one.
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

/// Why the content of a JSON response is invalid.
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

/// One connection of a sender.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Rc<RefCell<Sender>>,
    run: Rc<Run>,
    /// How many messages of the sender had a response before this connection.
    first: usize,
    /// Messages that were sent on this connection.
    sent: usize,
    /// A response that waits for room to be printed, and the number of its message on this
    /// connection.
    unprinted: Option<(u64, Message)>,
}

impl Connection {
    pub(super) fn new(sender: Rc<RefCell<Sender>>, run: Rc<Run>) -> Self {
        let first = sender.borrow().answered;
        Self { sender, run, first, sent: 0, unprinted: None }
    }

    /// The message with this number on this connection.
    fn message(&self, number: usize) -> &Message {
        &self.run.messages[(self.first + number) % self.run.messages.len()]
    }

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

    /// Why the ending is a failure; `None` if it is not a failure.
    fn failure(&self, ending: ClientEnd) -> Option<String> {
        let answered = self.sender.borrow().answered - self.first;
        Some(match ending {
            // The other messages are sent on another connection.
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
            // Another connection would end in the same way.
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
                // The printer has stopped the connection: the output has no reader.
                self.run.summary.borrow_mut().output_closed = true;
                sender.state = State::Finished;
                return;
            }
            ClientEnd::Failed(reason) if self.sent == 0 => {
                sender.state = State::NotConnected(reason.clone());
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
