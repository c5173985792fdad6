//! One connection: writes requests, and counts what comes back.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Reason, Time, Turn};

use crate::common::{Common, Gone};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::talk::{Asked, Cut, Done, Step, Talk};
use crate::trouble::Trouble;

/// Requests of so many bytes are sent without being copied, and their sending counts as progress.
const LARGE: usize = 16 * 1024;
/// The kernel's timers are rough: so long before a request is due the connection stops to wait and
/// begins to look, in every turn, whether it is.
const EARLY: Duration = Duration::from_micros(1_200);

/// A server that has announced the end of the connection has so long to close it, before we do: whoever
/// closes first keeps the port for a minute (TIME_WAIT), which a client runs out of. Once one leaves it
/// to us, we close at once (RFC 9112, 9.6).
const CLOSING: Duration = Duration::from_millis(100);

const CLOSED: &str = "closed_early";
const CUT_HEAD: &str = "cut_head";
const CUT_CONTENT: &str = "cut_content";
const GARBAGE: &str = "bad_reply";
const SILENT: &str = "silent";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// Requests are made.
    Asking,
    /// The server has announced that it closes the connection.
    Leaving,
    /// We have ended it.
    Over,
}

/// A request without its response.
#[derive(Clone, Copy, Debug)]
struct Owed {
    /// When it was made, or meant to be.
    since: Time,
    /// Bytes that were written on this connection before it.
    at: u64,
    request: usize,
    last: bool,
}

#[derive(Debug)]
pub(crate) struct Lane {
    common: Rc<Common>,
    /// Which of the worker's connections.
    number: usize,
    /// Which of all, and of how many: where it stands in the timetable.
    seat: (usize, usize),
    talk: Talk,
    stage: Stage,
    /// The oldest first.
    owed: VecDeque<Owed>,
    asked: u64,
    answered: u64,
    /// Bytes of requests so far.
    written: u64,
    /// Which request is next.
    next: usize,
    /// When the server last did something, or came to owe something.
    progress: Time,
    /// Looks in every turn whether a request is due.
    looking: bool,
}

impl Lane {
    pub(crate) fn new(common: Rc<Common>, number: usize, seat: (usize, usize)) -> Self {
        let talk = Talk::new(common.plan.speaks);
        let next = first_of(&common.plan, seat);
        Self {
            common,
            number,
            seat,
            talk,
            stage: Stage::Connecting,
            owed: VecDeque::new(),
            asked: 0,
            answered: 0,
            written: 0,
            next,
            progress: Time::ZERO,
            looking: false,
        }
    }

    /// Whether another request may be made on this connection now.
    fn has_place(&self) -> bool {
        self.stage == Stage::Asking
            && self.owed.len() < self.common.plan.pipeline.get()
            && self.asked < self.common.plan.most()
            && !self.common.is_over()
    }

    /// When the next request is due: at once, where there is no rate.
    fn due(&self) -> Option<Time> {
        self.common.paces.borrow()[self.number].as_ref().map(Pace::next)
    }

    /// Makes the requests for which there is a place and a time; ends where nothing is left to do.
    fn ask(&mut self, turn: &mut Turn<'_>) {
        while self.has_place() {
            let since = match self.due() {
                Some(due) if due > turn.now() => break,
                Some(due) => {
                    self.advance();
                    due
                }
                None => turn.now(),
            };
            self.write(since, turn);
        }
        if self.stage == Stage::Asking
            && self.owed.is_empty()
            && (self.common.is_over() || self.asked >= self.common.plan.most())
        {
            self.close(turn);
        }
    }

    fn advance(&self) {
        if let Some(pace) = &mut self.common.paces.borrow_mut()[self.number] {
            pace.advance();
        }
    }

    fn write(&mut self, since: Time, turn: &mut Turn<'_>) {
        let common = Rc::clone(&self.common);
        common.take_one();
        self.asked += 1;
        let request = self.next;
        self.next = if request + 1 == common.plan.asks.len() { 0 } else { request + 1 };
        let last = self.asked >= common.plan.most();
        let wire = common.plan.asks[request].wire(last);
        if wire.len() < LARGE {
            turn.out.write(wire);
        } else {
            turn.out.write_shared(wire.clone());
            turn.mark();
        }
        if self.owed.is_empty() {
            self.progress = turn.now();
        }
        self.owed.push_back(Owed { since, at: self.written, request, last });
        self.written += wire.len() as u64;
    }

    /// Reads responses for as long as any are owed. Returns how much of `input` was used.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let common = Rc::clone(&self.common);
        let mut stats = common.stats.borrow_mut();
        let mut used = 0;
        while used < input.len() && self.stage == Stage::Asking {
            let Some(owed) = self.owed.front() else {
                return Err(Fault::peer(GARBAGE, "sent something that nobody had asked for"));
            };
            let asked = owed.asked(&common);
            match self.talk.read(&input[used..], asked) {
                Ok((count, Step::Done(done))) => {
                    used += count;
                    self.count(done, &mut stats, turn);
                }
                Ok((count, Step::Part)) => used += count,
                Ok((_, Step::Short)) => break,
                Err(garbage) => return Err(Fault::peer(GARBAGE, garbage.0)),
            }
        }
        Ok(if self.stage == Stage::Asking { used } else { input.len() })
    }

    /// A response is complete.
    fn count(&mut self, done: Done, stats: &mut crate::Stats, turn: &mut Turn<'_>) {
        let Some(owed) = self.owed.pop_front() else { return };
        self.answered += 1;
        stats.count(turn.now().since(owed.since), done.status, done.error.is_some());
        stats.statuses[1] += u64::from(done.interim);
        stats.content += done.content;
        if let Some(says) = done.error {
            stats.troubles.add(Trouble::Error, 1, says);
        } else if done.different {
            let says = "the content of a reply isn't that of the first";
            stats.troubles.add(Trouble::Different, 1, says);
        }
        if let Some(model) = done.learned {
            self.common.learned.borrow_mut().push((owed.request, model));
        }
        self.common.last_reply.set(turn.now());
        self.common.vain.set(0);
        if !done.persistent {
            // What is still owed was not taken: others will ask for it.
            self.common.give_back(self.owed.len() as u64);
            self.owed.clear();
            turn.out.clear();
            // A mark asked for before may lie beyond what will ever be sent.
            turn.mark();
            self.stage = Stage::Leaving;
            if self.common.we_close.get() {
                self.close(turn);
            }
        }
    }

    fn close(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Over;
        turn.end(End::Close);
    }

    /// Gives up what has not been sent, for others to ask.
    fn give_back_unsent(&mut self, turn: &mut Turn<'_>) {
        let sent = self.written.saturating_sub(turn.unsent());
        let made = self.owed.iter().take_while(|owed| owed.at < sent).count();
        self.common.give_back((self.owed.len() - made) as u64);
        self.owed.truncate(made);
        turn.out.clear();
    }

    /// How much has come of the response that is owed; `None` where none is.
    fn cut(&self) -> Option<Cut> {
        let owed = self.owed.front()?;
        Some(self.talk.cut(owed.asked(&self.common)))
    }

    fn on_open(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Asking;
        self.progress = turn.now();
        self.common.stats.borrow_mut().connected += 1;
        self.common.established.borrow_mut()[self.number] = true;
        if let Some(rate) = self.common.plan.rate {
            // A connection that follows another keeps to its timetable.
            let (seat, seats) = self.seat;
            self.common.paces.borrow_mut()[self.number]
                .get_or_insert_with(|| Pace::new(rate, seat, seats, turn.now()));
        }
        self.ask(turn);
    }

    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Some(owed) = self.owed.front() {
            let common = Rc::clone(&self.common);
            let asked = owed.asked(&common);
            match self.talk.end_of_input(asked) {
                Some(done) => self.count(done, &mut common.stats.borrow_mut(), turn),
                None => {
                    let cut = self.talk.cut(asked);
                    self.give_back_unsent(turn);
                    let code = match cut.trouble() {
                        Trouble::CutHead => CUT_HEAD,
                        Trouble::CutContent => CUT_CONTENT,
                        _ => CLOSED,
                    };
                    return Err(Fault::peer(code, format!("closed the connection {cut}")));
                }
            }
        }
        self.close(turn);
        Ok(())
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.stage == Stage::Leaving {
            if self.progress + CLOSING <= turn.now() {
                self.common.we_close.set(true);
                self.close(turn);
            }
            return Ok(());
        }
        if self.progress + self.common.plan.timeout <= turn.now()
            && let Some(cut) = self.cut()
        {
            self.give_back_unsent(turn);
            let seconds = self.common.plan.timeout.as_secs_f64();
            return Err(Fault::peer(SILENT, format!("was silent for {seconds} s {cut}")));
        }
        self.look(turn);
        Ok(())
    }

    /// Makes what is due, and looks again in the next turn where something is about to be.
    fn look(&mut self, turn: &mut Turn<'_>) {
        self.ask(turn);
        self.looking =
            self.has_place() && self.due().is_some_and(|due| due.since(turn.now()) <= EARLY);
        if self.looking {
            turn.want_room();
        }
    }

    /// The load ends, and the connection with it.
    fn note_unfinished(&self, stage: Stage, cut: Option<Cut>) {
        let common = &self.common;
        common.stats.borrow_mut().unanswered += self.owed.len() as u64;
        let what = match cut {
            Some(cut) => format!("the connection was open, {cut}"),
            None if stage == Stage::Connecting => "the connection was not established".into(),
            None => return,
        };
        common.unfinished.replace(Some(what));
    }

    fn on_closed(&mut self, reason: &Reason, turn: &mut Turn<'_>) {
        let cut = self.cut();
        self.give_back_unsent(turn);
        let trouble = match (self.stage, reason) {
            (Stage::Over | Stage::Leaving, _) => None,
            (stage, Reason::Drained | Reason::Cut) => {
                self.note_unfinished(stage, cut);
                None
            }
            (Stage::Connecting, _) => Some(Trouble::Connect),
            (Stage::Asking, Reason::Reset) => Some(Trouble::Reset),
            (Stage::Asking, Reason::Fault(fault)) => Some(match fault.code {
                CLOSED => Trouble::Closed,
                CUT_HEAD => Trouble::CutHead,
                CUT_CONTENT => Trouble::CutContent,
                SILENT => Trouble::Silent,
                GARBAGE => Trouble::Garbage,
                _ => Trouble::Socket,
            }),
            (Stage::Asking, _) => Some(Trouble::Socket),
        };
        let common = &self.common;
        if let Some(trouble) = trouble {
            common.last_failure.set(turn.now());
            let lost = self.owed.len().max(1) as u64;
            let troubles = &mut common.stats.borrow_mut().troubles;
            match (trouble, cut) {
                (Trouble::Reset, Some(cut)) => {
                    troubles.add(trouble, lost, format_args!("{reason} {cut}"));
                }
                _ => troubles.add(trouble, lost, reason),
            }
        }
        common.established.borrow_mut()[self.number] = false;
        let vain = self.answered == 0;
        if vain {
            common.vain.set(common.vain.get() + 1);
        }
        common.gone.borrow_mut().push(Gone { number: self.number, vain });
    }
}

impl Owed {
    fn asked<'a>(&self, common: &'a Common) -> Asked<'a> {
        let Self { request, last, .. } = *self;
        Asked::of(&common.plan, request, last, common.model(request, last))
    }
}

/// Which of a plan's requests a connection makes first.
fn first_of(plan: &Plan, (seat, seats): (usize, usize)) -> usize {
    if plan.staggered { seat * plan.asks.len() / seats } else { 0 }
}

impl Protocol for Lane {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        if self.stage == Stage::Asking {
            self.progress = turn.now();
        }
        let used = match self.read(input, turn) {
            Ok(used) => used,
            Err(fault) => {
                self.give_back_unsent(turn);
                return Err(fault);
            }
        };
        self.look(turn);
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                self.on_open(turn);
                self.look(turn);
            }
            Event::Room => self.look(turn),
            Event::Sent(_) if self.stage == Stage::Asking => self.progress = turn.now(),
            Event::Deadline => self.on_deadline(turn)?,
            Event::Drain { .. } => self.ask(turn),
            Event::Eof { .. } => self.on_end_of_input(turn)?,
            Event::Closed(reason) => self.on_closed(reason, turn),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let silence = match self.stage {
            Stage::Leaving => Some(self.progress + CLOSING),
            _ if self.owed.is_empty() => None,
            _ => Some(self.progress + self.common.plan.timeout),
        };
        let early = || {
            let due = self.due()?.as_nanos();
            Some(Time::from_nanos(due.saturating_sub(EARLY.as_nanos() as u64)))
        };
        let due = if self.looking || !self.has_place() { None } else { early() };
        [silence, due].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Ask, Speaks};

    #[test]
    fn connections_begin_evenly_apart_where_they_are_to() {
        let asks = vec![Ask::bytes("x".into()); 10];
        let mut plan = Plan::new(Speaks::Echo, asks);
        let first = |plan: &Plan| [0, 1, 2, 3].map(|seat| first_of(plan, (seat, 4)));
        assert_eq!(first(&plan), [0; 4]);
        plan.staggered = true;
        assert_eq!(first(&plan), [0, 2, 5, 7]);
        plan.asks.truncate(2);
        assert_eq!(first(&plan), [0, 0, 1, 1], "more connections than requests");
    }
}
