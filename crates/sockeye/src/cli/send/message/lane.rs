//! What is sent one after the other, over as many connections as it takes.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::message::{Asker, Ending, ErrorReply, Message, Next};
use sockeye_proto::{Abandoned, Ticket, Turn};

use super::show::{Look, show};
use super::summary::Summary;
use crate::quantity::Span;
use crate::send::printer::{Paper, Printed};
use crate::text;

/// What all lanes of a run have in common.
pub(super) struct Common {
    /// What each lane sends, again and again until it has sent `total` of them. At least one.
    pub(super) messages: Vec<Message>,
    pub(super) total: usize,
    /// How long a peer may neither send nor read while it owes something.
    pub(super) silence: Duration,
    pub(super) look: Look,
    /// Print which lane each reply came on.
    pub(super) labelled: bool,
    pub(super) paper: Paper,
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
    /// Messages that have their replies.
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

    /// Notes a reply.
    fn note(&mut self, reply: &Message, common: &Common) {
        self.answered += 1;
        let mut summary = common.summary.borrow_mut();
        summary.received += reply.content.len() as u64;
        match ErrorReply::of(reply) {
            None => summary.answered += 1,
            Some(error) => {
                summary.errors += 1;
                self.complain(
                    &format!("the peer answered with an error: {}", said(&error)),
                    common,
                );
            }
        }
    }
}

/// What an error reply says: the sentence, and the code where there is one.
fn said(error: &ErrorReply) -> String {
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
    /// A reply that waits for room on the paper.
    unprinted: Option<Message>,
}

impl Talk {
    pub(super) fn new(lane: Rc<RefCell<Lane>>, common: Rc<Common>) -> Self {
        let first = lane.borrow().answered;
        Self { lane, common, first, asked: 0, unprinted: None }
    }

    fn print(&mut self, reply: Message, turn: &Turn<'_>) -> Next {
        let Common { paper, look, .. } = &*self.common;
        let label = self.common.labelled.then_some(self.lane.borrow().number);
        match paper.print(turn, |paper| show(&reply, *look, label, paper)) {
            Printed::Taken => {
                self.lane.borrow_mut().note(&reply, &self.common);
                Next::On
            }
            Printed::Later(_) => {
                self.unprinted = Some(reply);
                Next::Pause
            }
            Printed::Gone => Next::Stop,
        }
    }

    /// Why an ending is a failure; `None` where it is none.
    fn failure(&self, ending: Ending) -> Option<String> {
        let answered = self.lane.borrow().answered - self.first;
        Some(match ending {
            // More is to come, by another connection.
            Ending::Closed { unanswered: 0, inside: false } if answered > 0 => return None,
            Ending::Closed { inside: true, .. } => {
                "the peer closed the connection in the middle of a reply".into()
            }
            Ending::Closed { unanswered, .. } => match unanswered {
                0 | 1 => "the peer closed the connection without a reply".into(),
                _ => format!(
                    "the peer closed the connection when {unanswered} messages had no reply"
                ),
            },
            Ending::Refused(error) => format!("the peer refused to go on: {}", said(&error)),
            Ending::Silent { unanswered } => {
                let silence = Span(self.common.silence);
                let what = text::count(unanswered as u64, "message");
                format!("the peer was silent for {silence} when {what} had no reply")
            }
            Ending::Garbage(what) => format!("the peer sent what is no reply: {what}"),
            Ending::Broken(why) => why,
            Ending::Finished | Ending::OldPeer if answered > 0 => return None,
            // Another connection would come no further.
            ending => format!("the connection ended without a reply ({ending:?})"),
        })
    }
}

impl Asker for Talk {
    fn next_message(&mut self) -> Option<Message> {
        self.lane.borrow_mut().stood = true;
        let at = self.first + self.asked;
        if at >= self.common.total {
            return None;
        }
        self.asked += 1;
        let message = &self.common.messages[at % self.common.messages.len()];
        Some(message.clone())
    }

    fn on_reply(&mut self, _: u64, reply: Message, turn: &mut Turn<'_>) -> Next {
        self.print(reply, turn)
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        _: Result<sockeye_proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Next {
        match self.unprinted.take() {
            Some(reply) => self.print(reply, turn),
            None => Next::On,
        }
    }

    fn on_end(&mut self, ending: Ending) {
        let mut lane = self.lane.borrow_mut();
        if let Some(reply) = self.unprinted.take() {
            let label = self.common.labelled.then_some(lane.number);
            let look = self.common.look;
            self.common.paper.print_last(|paper| show(&reply, look, label, paper));
            lane.note(&reply, &self.common);
        }
        match &ending {
            Ending::OldPeer => lane.keep_alive = false,
            Ending::Stopped => {
                // We stop only where nobody reads the output.
                self.common.summary.borrow_mut().unread = true;
                lane.stage = Stage::Over;
                return;
            }
            Ending::Broken(why) if self.asked == 0 => {
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
