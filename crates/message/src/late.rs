//! What comes late to a server's connection: deadlines that pass, and promises that are settled.

use sockeye_proto::{Abandoned, End, Fault, Ticket, Turn};

use super::answer::Given;
use super::exchange::{Exchange, Owed, Sink};
use super::fault::{self, Refusal};
use super::responder::Call;
use super::server::{Server, Written, deadline_passed};
use super::state::{Last, State, Step};
use super::{Handler, Responder};

impl<H: Handler> Server<H> {
    pub(super) fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.expire_owed(turn);
        self.expire_content(turn)?;
        self.end_if_done(turn)?;
        if turn.now() < self.state.until() {
            return Ok(());
        }
        match &self.state {
            // A client that is sending its next request just now shall still read our last response.
            State::ExpectFrame { .. } if self.is_draining() => {
                self.come_to(Last::End(End::Linger), turn)
            }
            State::ExpectFrame { .. } if self.is_owing() => Ok(()),
            // A peer that is still reading our last response is slow, not idle: the write deadline
            // watches over it.
            State::ExpectFrame { .. } if turn.unsent() > 0 => {
                self.state = State::ExpectFrame { until: self.idle_until(turn) };
                Ok(())
            }
            State::ExpectFrame { .. } => {
                let fault = fault::idle(self.limits.idle_timeout);
                self.come_to(Last::Fault(Box::new(fault)), turn)
            }
            State::ExpectHeader { .. } => {
                self.refuse(Refusal::header_timeout(self.limits.header_timeout), None, turn)
            }
            State::ExpectContent(content) => {
                let (left, seconds) = (content.sink.left(), self.limits.content_timeout.as_secs());
                let what =
                    format!("{left} bytes of content were to come, and none for {seconds} s");
                self.refuse_content(Refusal::timeout(what), turn)
            }
            State::ExpectRoom
            | State::ExpectPlace
            | State::ExpectAnswers(_)
            | State::ExpectNothing => Ok(()),
        }
    }

    /// Gives up the requests whose answers have not come in time.
    fn expire_owed(&mut self, turn: &Turn<'_>) {
        let idle_until = self.idle_until(turn);
        for owed in &mut self.owed {
            if owed.expired || !owed.exchange.is_expired(turn) {
                continue;
            }
            owed.expired = true;
            self.handler.on_given_up(owed.exchange.number);
            match &mut self.state {
                State::ExpectFrame { until } => *until = idle_until,
                // An old peer waits for one response, which doesn't come.
                State::ExpectAnswers(last @ Last::End(_)) if !owed.exchange.is_persistent() => {
                    *last = Last::Fault(Box::new(deadline_passed()));
                }
                _ => {}
            }
        }
    }

    /// Gives up the request whose content is coming, if its deadline has passed.
    fn expire_content(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let State::ExpectContent(content) = &mut self.state else { return Ok(()) };
        if matches!(content.sink, Sink::Nowhere { .. }) || !content.exchange.is_expired(turn) {
            return Ok(());
        }
        self.handler.on_given_up(content.exchange.number);
        if !content.exchange.is_persistent() {
            return self.come_to(Last::Fault(Box::new(deadline_passed())), turn);
        }
        if content.paused {
            content.progress = turn.now() + self.limits.content_timeout;
            turn.resume();
        }
        content.give_up();
        Ok(())
    }

    pub(super) fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        // The time may have come with the message.
        self.expire_owed(turn);
        self.expire_content(turn)?;
        let known = |exchange: &Exchange| exchange.tickets.iter().position(|one| *one == ticket);
        if let State::ExpectContent(content) = &mut self.state
            && let Some(at) = known(&content.exchange)
        {
            content.exchange.tickets.swap_remove(at);
            return self.on_settled_early(ticket, body, turn);
        }
        let found = self
            .owed
            .iter()
            .enumerate()
            .find_map(|(place, owed)| known(&owed.exchange).map(|at| (place, at)));
        if let Some((place, at)) = found {
            let mut owed = self.owed.remove(place);
            owed.exchange.tickets.swap_remove(at);
            if let Some(owed) = self.settle(owed, ticket, body, turn) {
                self.owed.insert(place, owed);
            }
            if !self.is_crowded() {
                self.has_place(turn);
            }
        }
        // What was answered already may have promises left: they bring nothing.
        self.end_if_done(turn)
    }

    /// Has a request answered that waited. Returns it if it waits on.
    fn settle(
        &mut self,
        mut owed: Owed,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Option<Owed> {
        if owed.expired {
            return Some(owed).filter(|owed| !owed.exchange.tickets.is_empty());
        }
        let reply =
            Responder { call: Call::Frames(turn), peer: &self.peer, exchange: &mut owed.exchange };
        let answer = self.handler.on_settled(ticket, body, reply);
        match (self.write(answer, &owed.exchange, turn), &mut self.state) {
            (Written::Nothing, _) => return Some(owed),
            (Written::Reply(Some(fault)), State::ExpectAnswers(last @ Last::End(_)))
                if !owed.exchange.is_persistent() =>
            {
                *last = Last::Fault(Box::new(fault));
            }
            (Written::Reply(_), _) => {}
        }
        None
    }

    /// A promise was settled whose request is still being read.
    fn on_settled_early(
        &mut self,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let State::ExpectContent(content) = &mut self.state else { return Ok(()) };
        if matches!(content.sink, Sink::Nowhere { .. }) {
            return Ok(());
        }
        let reply = Responder {
            call: Call::Frames(turn),
            peer: &self.peer,
            exchange: &mut content.exchange,
        };
        let answer = self.handler.on_settled(ticket, body, reply);
        if content.paused {
            content.progress = turn.now() + self.limits.content_timeout;
            content.paused = false;
            turn.resume();
        }
        if matches!(answer.0, Given::Later) {
            return Ok(());
        }
        let Some(mut content) = self.state.take_content() else { return Ok(()) };
        let written = self.write(answer, &content.exchange, turn);
        if content.exchange.is_persistent() {
            // The rest is of no interest.
            content.give_up();
            self.state.step(Step::Content(content));
            return Ok(());
        }
        match written {
            Written::Reply(Some(fault)) => self.come_to(Last::Fault(Box::new(fault)), turn),
            _ => self.come_to(Last::End(End::Linger), turn),
        }
    }

    /// A request is not under way any more.
    fn has_place(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.state, State::ExpectPlace) {
            self.begin_grace(turn);
        }
        let until = self.idle_until(turn);
        match &mut self.state {
            State::ExpectPlace => {
                self.state.step(Step::NextFrame { until });
                turn.resume();
            }
            State::ExpectFrame { until: idle } => *idle = until,
            _ => {}
        }
    }
}
