//! What connections of all protocols share: which request is sent when, and what is counted.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{End, Fault, Peer, Reason, Time, Turn};

use crate::failure::Failure;
use crate::plan::Plan;
use crate::response::{ReceivedSoFar, RequestContext, Response};
use crate::state::{ClosedConnection, WorkerState};
use crate::stats::Stats;

/// Kernel timers are imprecise. So if a request is due within this time, its connection doesn't
/// rely on a timer, and checks the time in every turn of the event loop.
const POLL_BEFORE_DUE: Duration = Duration::from_micros(1_200);

/// How long a server may take to close a connection whose end is announced, for example by
/// `Connection: close` (RFC 9112, 9.6). The server should close first, because the side that closes
/// first keeps its port for a minute (TIME_WAIT), and a client would run out of ports. Once a
/// server has exceeded this time, the worker closes each further connection itself, as soon as its
/// end is announced.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    Connecting,
    Open,
    /// The end of the connection is announced, and the server is expected to close it.
    ServerClosing,
    /// We have closed it.
    Closed,
}

/// A request that has no response yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRequest {
    /// When the request was sent or, if there is a rate, when it was due.
    pub(super) since: Time,
    /// The request's index in [`Plan::requests`].
    pub(super) index: usize,
    /// The connection sends no request after this one.
    pub(super) is_last: bool,
}

impl PendingRequest {
    pub(super) fn context<'a>(&self, worker: &'a WorkerState) -> RequestContext<'a> {
        let Self { index, is_last, .. } = *self;
        let plan = &*worker.plan;
        // A server may respond differently to a connection's last request, which announces the end
        // (`Connection: close`).
        let expected =
            worker.expected.get(index).and_then(|expected| expected[usize::from(is_last)].as_ref());
        RequestContext { plan, request: &plan.requests[index], is_last, expected }
    }
}

#[derive(Debug)]
pub(super) struct ConnectionBase {
    pub(super) worker: Rc<WorkerState>,
    /// The connection's number among those of the worker.
    pub(super) number: usize,
    pub(super) state: ConnectionState,
    sent: u64,
    /// No response has arrived yet.
    no_response: bool,
    /// The index of the next request in the plan.
    next: usize,
    /// The time from which [`Plan::timeout`] counts: when the connection opened, a part of a
    /// response arrived, content was sent, or a request became the only pending one, whichever was
    /// last. In [`ConnectionState::ServerClosing`]: when the end was announced.
    pub(super) progress: Time,
    /// The next request is due within [`POLL_BEFORE_DUE`]: the time is checked in every turn.
    polling: bool,
    /// Why this side has ended the connection, if the server was to blame.
    failure: Option<Failure>,
}

impl ConnectionBase {
    pub(super) fn new(worker: Rc<WorkerState>, number: usize) -> Self {
        let next = first_request(&worker.plan, worker.first + number);
        Self {
            worker,
            number,
            state: ConnectionState::Connecting,
            sent: 0,
            no_response: true,
            next,
            progress: Time::ZERO,
            polling: false,
            failure: None,
        }
    }

    /// Whether this connection sends no further request.
    pub(super) fn is_exhausted(&self) -> bool {
        self.worker.sends_no_more() || self.has_sent_max()
    }

    /// Whether this connection has sent as many requests as one connection sends.
    pub(super) fn has_sent_max(&self) -> bool {
        self.sent >= self.worker.plan.max_per_connection()
    }

    /// Whether another request may be sent as soon as it is due. `pending`: the number of requests
    /// in flight.
    pub(super) fn can_send(&self, pending: usize) -> bool {
        self.state == ConnectionState::Open
            && pending < self.worker.plan.pipeline.get()
            && !self.is_exhausted()
    }

    /// Call this before sending: [`Self::next_request`] sets `polling` again if necessary.
    pub(super) fn start_sending(&mut self) {
        self.polling = false;
    }

    /// Returns the next request if it is due, and counts it as sent. `pending`: the number of
    /// requests in flight before.
    pub(super) fn next_request(&mut self, pending: usize, now: Time) -> Option<PendingRequest> {
        let mut since = now;
        if let Some(schedule) = &mut self.worker.slots.borrow_mut()[self.number].schedule {
            let due = schedule.next();
            if due > since {
                self.polling = due.since(since) <= POLL_BEFORE_DUE;
                return None;
            }
            schedule.advance();
            since = due;
        }
        let Self { worker, next, sent, .. } = self;
        worker.remaining.set(worker.remaining.get().saturating_sub(1));
        *sent += 1;
        let index = *next;
        *next = if index + 1 == worker.plan.requests.len() { 0 } else { index + 1 };
        let is_last = *sent >= worker.plan.max_per_connection();
        if pending == 0 {
            self.progress = now;
        }
        Some(PendingRequest { since, index, is_last })
    }

    /// Call this after sending. If a request is due soon, asks for `Event::Room` (the output has
    /// space), so that the connection checks the time again in the next turn.
    pub(super) fn end_sending(&self, turn: &mut Turn<'_>) {
        if self.polling {
            turn.want_room();
        }
    }

    /// Counts a response.
    pub(super) fn count(
        &mut self,
        request: PendingRequest,
        response: Response,
        stats: &mut Stats,
        now: Time,
    ) {
        self.no_response = false;
        stats.count(now.since(request.since), response.status, response.error.is_some());
        stats.statuses[1] += u64::from(response.interim);
        stats.content += response.content_len;
        if let Some(error) = response.error {
            stats.failures.add(Failure::ErrorResponse, 1, error);
        } else if response.mismatch {
            let text = "the content of a response is not that of the first";
            stats.failures.add(Failure::Mismatch, 1, text);
        }
        // The first response to this request. Later responses to it are compared with the first.
        if let Some(expected) = response.learned {
            self.worker.learned.borrow_mut().push((request.index, expected));
        }
        self.worker.last_response.set(now);
        self.worker.unresponsive.set(0);
    }

    /// Counts a failed request. The connection stays open.
    pub(super) fn fail_request(
        &self,
        failure: Failure,
        text: String,
        stats: &mut Stats,
        turn: &Turn<'_>,
    ) {
        stats.failures.add(failure, 1, text);
        self.worker.last_failure.set(turn.now());
    }

    /// Whether this connection and too many connections before it, in a row, had no response. Then
    /// the end of this one counts as a failure, even if the server announced it.
    pub(super) fn is_unresponsive(&self) -> bool {
        self.no_response && self.worker.unresponsive.get() >= self.worker.max_unresponsive()
    }

    /// The end of the connection is announced: waits up to [`CLOSE_TIMEOUT`] for the server to
    /// close it. If a server has exceeded this time before, closes it at once.
    pub(super) fn await_close(&mut self, turn: &mut Turn<'_>) {
        self.state = ConnectionState::ServerClosing;
        self.progress = turn.now();
        if self.worker.client_closes.get() {
            self.close(turn);
        }
    }

    pub(super) fn close(&mut self, turn: &mut Turn<'_>) {
        self.state = ConnectionState::Closed;
        turn.end(End::Close);
    }

    /// Records a failure of the server, and returns the fault that ends the connection.
    pub(super) fn fail(&mut self, failure: Failure, what: String) -> Fault {
        self.failure = Some(failure);
        Fault::peer(failure.code(), what)
    }

    pub(super) fn on_open(&mut self, peer: &Peer, protocol: Option<&'static str>, turn: &Turn<'_>) {
        self.state = ConnectionState::Open;
        self.progress = turn.now();
        let slot = &mut self.worker.slots.borrow_mut()[self.number];
        let mut stats = self.worker.stats.borrow_mut();
        stats.connected += 1;
        stats.connect_times.record(turn.now().since(slot.opened));
        stats.protocol = stats.protocol.or(protocol);
        if let Some(tls) = &peer.tls {
            stats.resumed += u64::from(tls.resumed);
            stats.tls.get_or_insert_with(|| Arc::clone(tls));
        }
        slot.established = true;
        // A connection that is opened again keeps its schedule.
        slot.schedule = slot.schedule.or_else(|| self.worker.schedule(self.number, turn.now()));
    }

    /// Closes the connection if its end was announced and the server has not closed it within
    /// [`CLOSE_TIMEOUT`]. Returns whether its end was announced.
    pub(super) fn close_if_overdue(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.state != ConnectionState::ServerClosing {
            return false;
        }
        if self.progress + CLOSE_TIMEOUT <= turn.now() {
            self.worker.client_closes.set(true);
            self.close(turn);
        }
        true
    }

    /// What is wrong, if the server has been silent for longer than the plan's timeout.
    /// `received_so_far` returns how much of the next response has arrived, or `None` if no
    /// response is expected.
    pub(super) fn silence_error(
        &self,
        received_so_far: impl FnOnce() -> Option<ReceivedSoFar>,
        now: Time,
    ) -> Option<String> {
        let timeout = self.worker.plan.timeout;
        let ReceivedSoFar { text, .. } =
            (self.progress + timeout <= now).then(received_so_far)??;
        Some(format!("was silent for {} s {text}", timeout.as_secs_f64()))
    }

    /// Records what the connection was waiting for when the load ended. `received_so_far`: as in
    /// [`Self::on_closed`].
    fn record_unfinished(&self, pending: usize, received_so_far: Option<ReceivedSoFar>) {
        self.worker.stats.borrow_mut().unanswered += pending as u64;
        let what = match received_so_far {
            Some(received_so_far) => format!("the connection was open, {}", received_so_far.text),
            None if self.state == ConnectionState::Connecting => match self.worker.plan.tls {
                None => "the connection was not established".into(),
                Some(_) => "the TLS connection was not established".into(),
            },
            None => return,
        };
        self.worker.unfinished.replace(Some(what));
    }

    /// The connection has ended, with `pending` requests that were sent and have no response.
    /// `received_so_far`: how much of the next response has arrived, or `None` if no response is
    /// expected.
    pub(super) fn on_closed(
        &mut self,
        reason: &Reason,
        pending: usize,
        received_so_far: Option<ReceivedSoFar>,
        turn: &Turn<'_>,
    ) {
        let explain = || self.worker.plan.explain(reason);
        let failure = match (self.state, reason) {
            (ConnectionState::Closed | ConnectionState::ServerClosing, _) => None,
            (_, Reason::Drained | Reason::Cut) => {
                self.record_unfinished(pending, received_so_far);
                None
            }
            // A fault that this protocol has not reported comes from TLS: the handshake failed. An
            // open connection may end so, too, because with TLS 1.3 a server checks the client's
            // certificate only when the handshake is complete for the client.
            (ConnectionState::Connecting | ConnectionState::Open, Reason::Fault(_))
                if self.failure.is_none() && self.worker.plan.tls.is_some() =>
            {
                Some((Failure::Tls, explain()))
            }
            (ConnectionState::Connecting, _) => Some((Failure::Connect, explain())),
            (ConnectionState::Open, Reason::Reset) => {
                let text = received_so_far
                    .map(|received_so_far| format!(" {}", received_so_far.text))
                    .unwrap_or_default();
                Some((Failure::Reset, format!("{reason}{text}")))
            }
            (ConnectionState::Open, _) => {
                Some((self.failure.unwrap_or(Failure::Socket), reason.to_string()))
            }
        };
        let worker = &self.worker;
        if let Some((failure, text)) = failure {
            worker.last_failure.set(turn.now());
            worker.stats.borrow_mut().failures.add(failure, pending.max(1) as u64, text);
        }
        worker.slots.borrow_mut()[self.number].established = false;
        let Self { number, no_response, .. } = *self;
        worker.unresponsive.set(worker.unresponsive.get() + u64::from(no_response));
        worker.closed.borrow_mut().push(ClosedConnection { number, no_response });
    }

    /// When the connection acts next if nothing arrives before: at a timeout, or
    /// [`POLL_BEFORE_DUE`] before a request is due. `pending`: the number of requests in flight.
    pub(super) fn deadline(&self, pending: usize, can_send: bool) -> Option<Time> {
        let timeout = match self.state {
            ConnectionState::ServerClosing => Some(self.progress + CLOSE_TIMEOUT),
            _ if pending == 0 => None,
            _ => Some(self.progress + self.worker.plan.timeout),
        };
        let schedule = self.worker.slots.borrow()[self.number].schedule;
        let due = schedule.filter(|_| !self.polling && can_send).map(|it| it.next());
        let early = POLL_BEFORE_DUE.as_nanos() as u64;
        let due = due.map(|due| Time::from_nanos(due.as_nanos().saturating_sub(early)));
        [timeout, due].into_iter().flatten().min()
    }
}

/// The index in the plan of a connection's first request. `number` is the connection's number among
/// the connections of all workers.
fn first_request(plan: &Plan, number: usize) -> usize {
    if plan.staggered { number * plan.requests.len() / plan.connections.get() } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::plan::{LoadKind, PreparedRequest};

    #[test]
    fn staggered_connections_start_evenly_apart() {
        let requests = vec![PreparedRequest::bytes("x".into()); 10];
        let mut plan = Plan::new(LoadKind::Echo, requests);
        plan.connections = NonZeroUsize::new(4).unwrap();
        let first = |plan: &Plan| [0, 1, 2, 3].map(|number| first_request(plan, number));
        assert_eq!(first(&plan), [0; 4]);
        plan.staggered = true;
        assert_eq!(first(&plan), [0, 2, 5, 7]);
        plan.requests.truncate(2);
        assert_eq!(first(&plan), [0, 0, 1, 1], "more connections than requests");
    }
}
