//! The server's timeouts, the deadlines of its requests, and the promises of its handlers (jobs or
//! other pending results).

use sockeye_proto::{End, Fault, Ticket, Turn};

use super::refusal::{self, Refusal};
use super::request::PendingRequest;
use super::server::{Server, deadline_passed};
use super::state::State;
use super::{Handler, Responder, Settled};

impl<H: Handler> Server<H> {
    pub(super) fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.expire(turn)?;
        self.end_if_done(turn)?;
        if turn.now() < self.state.until() {
            return Ok(());
        }
        if turn.is_full() && self.wait_for_frame_again(turn) {
            return Ok(());
        }
        match &self.state {
            // Lingers: if the client's next request were left unread, the kernel would send a
            // reset, which could destroy our last response.
            State::ExpectFrame { .. } if self.is_draining() => self.finish(Ok(End::Linger), turn),
            // While a response is pending, the connection is not idle.
            State::ExpectFrame { .. } if self.has_pending() => Ok(()),
            // A peer that is still reading our last response is slow, not idle: the engine's write
            // timeout applies.
            State::ExpectFrame { .. } if turn.unsent() > 0 => {
                self.state = State::ExpectFrame { until: self.idle_until(turn) };
                Ok(())
            }
            State::ExpectFrame { .. } => {
                self.finish(Err(refusal::idle(self.limits.idle_timeout)), turn)
            }
            State::ExpectHeader { .. } => {
                self.refuse(Refusal::header_timeout(self.limits.header_timeout), None, turn)
            }
            State::ExpectContent(incoming) => {
                let remaining = incoming.receiver.remaining();
                let seconds = self.limits.content_timeout.as_secs();
                let what = format!(
                    "{remaining} bytes of content are missing, and none came for {seconds} s"
                );
                self.refuse_content(Refusal::new("timeout", what), turn)
            }
            State::ExpectCapacity | State::ExpectResponses(_) | State::ExpectNothing => Ok(()),
        }
    }

    /// Restarts the timeout of an incomplete frame, because nothing is read while the output is
    /// full. If the client takes no output, the engine's write timeout applies. Returns whether
    /// there is an incomplete frame.
    fn wait_for_frame_again(&mut self, turn: &Turn<'_>) -> bool {
        match &mut self.state {
            State::ExpectHeader { until } => *until = turn.now() + self.limits.header_timeout,
            State::ExpectContent(incoming) => {
                incoming.timeout = turn.now() + self.limits.content_timeout;
            }
            _ => return false,
        }
        true
    }

    /// Cancels the requests whose deadlines have passed.
    fn expire(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let idle_until = self.idle_until(turn);
        for request in &mut self.pending {
            if request.expired || !request.is_late(turn.now()) {
                continue;
            }
            request.expired = true;
            self.handler.on_cancelled(request.number);
            // The connection is idle from now on, if no other response is pending.
            if let State::ExpectFrame { until } = &mut self.state {
                *until = idle_until;
            } else if !request.keeps_connection() {
                self.state.end_with(deadline_passed());
            }
        }
        let Some(incoming) =
            self.state.unanswered().filter(|incoming| incoming.request.is_late(turn.now()))
        else {
            return Ok(());
        };
        self.handler.on_cancelled(incoming.request.number);
        if !incoming.request.keeps_connection() {
            return self.finish(Err(deadline_passed()), turn);
        }
        incoming.request.expired = true;
        // Ends the handler's pause, if there is one.
        incoming.resume(&self.limits, turn);
        incoming.discard();
        Ok(())
    }

    pub(super) fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Settled,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        // First cancels the requests whose deadlines have passed by now.
        self.expire(turn)?;
        if let State::ExpectContent(incoming) = &mut self.state
            && incoming.request.take_ticket(ticket)
        {
            return self.settle_incoming(ticket, body, turn);
        }
        let at = self.pending.iter_mut().position(|request| request.take_ticket(ticket));
        if let Some(at) = at {
            let request = self.pending.remove(at);
            if let Some(request) = self.settle(request, ticket, body, turn) {
                self.pending.insert(at, request);
            }
            let idle_until = self.idle_until(turn);
            if let State::ExpectFrame { until } = &mut self.state {
                *until = idle_until;
            }
            if !self.is_at_limit() {
                self.resume_reading(turn);
            }
        }
        // A ticket that was not found belongs to a request that was answered or cancelled before:
        // nothing happens.
        self.end_if_done(turn)
    }

    /// Handles a settled promise of a pending request. Returns the request if it stays pending.
    fn settle(
        &mut self,
        mut request: PendingRequest,
        ticket: Ticket,
        body: Settled,
        turn: &mut Turn<'_>,
    ) -> Option<PendingRequest> {
        // If the deadline has passed, no response is sent. The request still counts as in flight
        // until all of its work has ended.
        if request.expired {
            return Some(request).filter(|request| !request.tickets.is_empty());
        }
        let responder = Responder::frames(turn, &self.peer, &mut request);
        let answer = self.handler.on_settled(ticket, body, responder);
        let Some(response) = answer.into_response(!request.tickets.is_empty()) else {
            return Some(request);
        };
        if let Some(fault) = self.write(response, &request, turn)
            && !request.keeps_connection()
        {
            self.state.end_with(fault);
        }
        None
    }

    /// Handles a settled promise of the request whose content is arriving.
    fn settle_incoming(
        &mut self,
        ticket: Ticket,
        body: Settled,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let Some(incoming) = self.state.unanswered() else { return Ok(()) };
        let responder = Responder::frames(turn, &self.peer, &mut incoming.request);
        let answer = self.handler.on_settled(ticket, body, responder);
        incoming.resume(&self.limits, turn);
        // `true`: even without an open promise, a response may follow. The handler is called again
        // when more content arrives.
        let Some(response) = answer.into_response(true) else { return Ok(()) };
        let Some(mut incoming) = self.state.take_incoming() else { return Ok(()) };
        let fault = self.write(response, &incoming.request, turn);
        if incoming.request.keeps_connection() {
            incoming.discard();
            self.state = State::ExpectContent(incoming);
            return Ok(());
        }
        self.finish(fault.map_or(Ok(End::Linger), Err), turn)
    }
}
