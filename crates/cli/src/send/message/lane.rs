//! What is sent one after the other, over as many connections as it takes.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;
use sockeye::message::protocol::text::Encoding;
use sockeye::message::protocol::{
    ClientAction, ClientEnd, ClientHandler, ErrorResponse, JSON, Message,
};
use sockeye::proto::{Abandoned, Ticket, Turn};

use super::show::{Look, show};
use super::summary::Summary;
use crate::quantity::Span;
use crate::send::printer::{Printed, Printer};
use crate::text;

/// What all lanes of a run have in common.
pub(super) struct Common {
    /// What each lane sends, again and again until it has sent `total` of them. At least one.
    pub(super) messages: Vec<Message>,
    pub(super) total: usize,
    /// How long a peer may neither send nor read while it owes something.
    pub(super) silence: Duration,
    pub(super) look: Look,
    /// Print which lane each response came on.
    pub(super) labelled: bool,
    pub(super) printer: Printer,
    pub(super) summary: RefCell<Summary>,
    pub(super) complain: Box<dyn Fn(String)>,
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").field("total", &self.total).finish_non_exhaustive()
    }
}

/// How far a lane has got.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Messages follow, if there are any left.
    Going,
    /// The last connection didn't come to stand, and why.
    NotConnected(String),
    /// Nothing more is sent.
    Over,
}

#[derive(Debug)]
pub(super) struct Lane {
    /// Which, from 1.
    number: usize,
    /// Messages that have their responses.
    answered: usize,
    keep_alive: bool,
    /// A connection of it came to stand.
    stood: bool,
    stage: Stage,
}

impl Lane {
    pub(super) fn new(number: usize, keep_alive: bool) -> Self {
        Self { number, answered: 0, keep_alive, stood: false, stage: Stage::Going }
    }

    pub(super) fn has_stood(&self) -> bool {
        self.stood
    }

    pub(super) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    pub(super) fn wants_more(&self, common: &Common) -> bool {
        self.stage == Stage::Going && self.answered < common.total
    }

    /// There is another address to try.
    pub(super) fn try_again(&mut self) {
        if let Stage::NotConnected(_) = self.stage {
            self.stage = Stage::Going;
        }
    }

    /// There is none.
    pub(super) fn settle(&mut self, common: &Common) {
        if let Stage::NotConnected(why) = &self.stage {
            let why = why.clone();
            self.fail(&why, common);
        }
    }

    fn fail(&mut self, why: &str, common: &Common) {
        self.complain(why, common);
        common.summary.borrow_mut().failed += 1;
        self.stage = Stage::Over;
    }

    fn complain(&self, what: &str, common: &Common) {
        (common.complain)(format!("connection {}: {what}", self.number));
    }

    /// Notes the response to `message`.
    fn note(&mut self, reply: &Message, message: &Message, common: &Common) {
        self.answered += 1;
        let mut summary = common.summary.borrow_mut();
        summary.received += reply.content.len() as u64;
        let what = if let Some(error) = ErrorResponse::of(reply) {
            summary.errors += 1;
            format!("the peer answered with an error: {}", said(&error))
        } else if reply == message {
            summary.echoed += 1;
            "the peer sent the message back as it was: it echoes, and answers nothing".into()
        } else if let Some(why) = no_json(reply) {
            summary.invalid += 1;
            format!("the peer answered with {JSON} that is no JSON: {why}")
        } else {
            summary.answered += 1;
            return;
        };
        self.complain(&what, common);
    }
}

/// Why a response that says that it is JSON is none, and where.
fn no_json(reply: &Message) -> Option<String> {
    if reply.content_type != JSON {
        return None;
    }
    let Some(encoding) = Encoding::of(&reply.content_encoding) else {
        return Some(format!("its encoding '{}' is unknown", reply.content_encoding));
    };
    let text = match encoding.decode(&reply.content) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    serde_json::from_str::<&RawValue>(&text).err().map(|error| error.to_string())
}

/// What an error response says: the sentence, and the code where there is one.
fn said(error: &ErrorResponse) -> String {
    match &error.code {
        Some(code) => format!("{} ({code})", error.text),
        None => error.text.clone(),
    }
}

/// One connection of a lane.
#[derive(Debug)]
pub(super) struct Talk {
    lane: Rc<RefCell<Lane>>,
    common: Rc<Common>,
    /// The message of the lane that was the first here.
    first: usize,
    asked: usize,
    /// A response that waits for room to be printed, and the number of its message here.
    unprinted: Option<(u64, Message)>,
}

impl Talk {
    pub(super) fn new(lane: Rc<RefCell<Lane>>, common: Rc<Common>) -> Self {
        let first = lane.borrow().answered;
        Self { lane, common, first, asked: 0, unprinted: None }
    }

    /// The message of this number here.
    fn message(&self, number: usize) -> &Message {
        &self.common.messages[(self.first + number) % self.common.messages.len()]
    }

    fn print(&mut self, number: u64, reply: Message, turn: &Turn<'_>) -> ClientAction {
        let Common { printer, look, .. } = &*self.common;
        let label = self.common.labelled.then_some(self.lane.borrow().number);
        match printer.print(turn, |queue| show(&reply, *look, label, queue)) {
            Printed::Taken => {
                self.note(number, &reply);
                ClientAction::Continue
            }
            Printed::Later(_) => {
                self.unprinted = Some((number, reply));
                ClientAction::Pause
            }
            Printed::Gone => ClientAction::Stop,
        }
    }

    fn note(&self, number: u64, reply: &Message) {
        let message = self.message(usize::try_from(number).unwrap_or_default());
        self.lane.borrow_mut().note(reply, message, &self.common);
    }

    /// Why an ending is a failure; `None` where it is none.
    fn failure(&self, ending: ClientEnd) -> Option<String> {
        let answered = self.lane.borrow().answered - self.first;
        Some(match ending {
            // More is to come, by another connection.
            ClientEnd::Closed { unanswered: 0, mid_response: false } if answered > 0 => {
                return None;
            }
            ClientEnd::Closed { mid_response: true, .. } => {
                "the peer closed the connection in the middle of a reply".into()
            }
            ClientEnd::Closed { unanswered, .. } => match unanswered {
                0 | 1 => "the peer closed the connection without a reply".into(),
                _ => format!(
                    "the peer closed the connection when {unanswered} messages had no reply"
                ),
            },
            ClientEnd::Refused(error) => format!("the peer refused to go on: {}", said(&error)),
            ClientEnd::TimedOut { unanswered } => {
                let silence = Span(self.common.silence);
                let what = text::count(unanswered as u64, "message");
                format!("the peer was silent for {silence} when {what} had no reply")
            }
            ClientEnd::BadResponse(what) => format!("the peer sent what is no reply: {what}"),
            ClientEnd::Failed(why) => why,
            ClientEnd::Completed | ClientEnd::NoKeepAlive if answered > 0 => return None,
            // Another connection would come no further.
            ending => format!("the connection ended without a reply ({ending:?})"),
        })
    }
}

impl ClientHandler for Talk {
    fn next_message(&mut self) -> Option<Message> {
        self.lane.borrow_mut().stood = true;
        let at = self.first + self.asked;
        if at >= self.common.total {
            return None;
        }
        let message = self.message(self.asked).clone();
        self.asked += 1;
        Some(message)
    }

    fn on_response(&mut self, number: u64, reply: Message, turn: &mut Turn<'_>) -> ClientAction {
        self.print(number, reply, turn)
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        _: Result<sockeye::proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> ClientAction {
        match self.unprinted.take() {
            Some((number, reply)) => self.print(number, reply, turn),
            None => ClientAction::Continue,
        }
    }

    fn on_end(&mut self, ending: ClientEnd) {
        if let Some((number, reply)) = self.unprinted.take() {
            let label = self.common.labelled.then_some(self.lane.borrow().number);
            let look = self.common.look;
            self.common.printer.print_last(|queue| show(&reply, look, label, queue));
            self.note(number, &reply);
        }
        let mut lane = self.lane.borrow_mut();
        match &ending {
            ClientEnd::NoKeepAlive => lane.keep_alive = false,
            ClientEnd::Stopped => {
                // We stop only where nobody reads the output.
                self.common.summary.borrow_mut().unread = true;
                lane.stage = Stage::Over;
                return;
            }
            ClientEnd::Failed(why) if self.asked == 0 => {
                lane.stage = Stage::NotConnected(why.clone());
                return;
            }
            _ => {}
        }
        drop(lane);
        if let Some(why) = self.failure(ending) {
            self.lane.borrow_mut().fail(&why, &self.common);
        }
    }
}
