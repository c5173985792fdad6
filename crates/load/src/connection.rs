//! One connection of a load: sends requests, and counts the responses.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{Consumed, End, Event, Fault, Peer, Protocol, Reason, Time, Turn};

use crate::failure::Failure;
use crate::plan::Plan;
use crate::response::{Extent, RequestContext, Response, ResponseReader, reader};
use crate::state::{ClosedConnection, WorkerState};
use crate::stats::Stats;

/// Requests of at least this many bytes are sent without a copy. Sending them counts as progress.
const LARGE_REQUEST: usize = 16 * 1024;
/// Kernel timers are imprecise, so when a request is due within this time, its connection checks
/// the time in every turn.
const POLL_BEFORE_DUE: Duration = Duration::from_micros(1_200);

/// How long a server may take to close a connection after it has announced that (RFC 9112, 9.6).
/// The side that closes first keeps the port for a minute (TIME_WAIT), and a client would run out
/// of ports. Once a server has exceeded this time, the worker closes each connection itself, when
/// the server has announced the close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    Connecting,
    Open,
    /// The server has announced that it closes the connection.
    ServerClosing,
    /// We have closed it.
    Closed,
}

/// A request that has no response yet.
#[derive(Clone, Copy, Debug)]
struct PendingRequest {
    /// When the request was sent or, if there is a rate, when it was due.
    since: Time,
    /// Bytes written on this connection before it.
    at: u64,
    /// Its index in the plan's requests.
    index: usize,
    last: bool,
}

impl PendingRequest {
    fn context<'a>(&self, worker: &'a WorkerState) -> RequestContext<'a> {
        let Self { index, last, .. } = *self;
        let plan = &*worker.plan;
        let expected =
            worker.expected.get(index).and_then(|expected| expected[usize::from(last)].as_ref());
        RequestContext { plan, request: &plan.requests[index], last, expected }
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    worker: Rc<WorkerState>,
    /// Its number among the worker's connections.
    number: usize,
    reader: Box<dyn ResponseReader>,
    state: ConnectionState,
    /// The requests without a response, the oldest first.
    pending: VecDeque<PendingRequest>,
    sent: u64,
    /// No response has arrived yet.
    no_response: bool,
    /// Bytes of requests that were written so far.
    written: u64,
    /// The index of the next request in the plan.
    next: usize,
    /// When the server last made progress, or when a request became the only pending one.
    progress: Time,
    /// A request is due soon: the time is checked in every turn.
    polling: bool,
    /// The input has ended without TLS's close_notify.
    is_truncated: bool,
    /// The failure for which this side ended the connection.
    failure: Option<Failure>,
}

impl Connection {
    pub(crate) fn new(worker: Rc<WorkerState>, number: usize) -> Self {
        let reader = reader(worker.plan.kind);
        let next = first_request(&worker.plan, worker.first + number);
        Self {
            worker,
            number,
            reader,
            state: ConnectionState::Connecting,
            pending: VecDeque::new(),
            sent: 0,
            no_response: true,
            written: 0,
            next,
            progress: Time::ZERO,
            polling: false,
            is_truncated: false,
            failure: None,
        }
    }

    fn is_exhausted(&self) -> bool {
        self.worker.is_finishing() || self.sent >= self.worker.plan.max_per_connection()
    }

    /// Whether another request may be sent now, if one is due.
    fn can_send(&self) -> bool {
        self.state == ConnectionState::Open
            && self.pending.len() < self.worker.plan.pipeline.get()
            && !self.is_exhausted()
    }

    /// Sends the requests that are due, and closes the connection if none is left. With a request
    /// due soon, checks again in the next turn.
    fn send(&mut self, turn: &mut Turn<'_>) {
        self.polling = false;
        while self.can_send() {
            let mut since = turn.now();
            if let Some(schedule) = &mut self.worker.slots.borrow_mut()[self.number].schedule {
                let due = schedule.next();
                if due > since {
                    self.polling = due.since(since) <= POLL_BEFORE_DUE;
                    break;
                }
                schedule.advance();
                since = due;
            }
            self.write(since, turn);
        }
        if self.polling {
            turn.want_room();
        }
        if self.state == ConnectionState::Open && self.pending.is_empty() && self.is_exhausted() {
            self.close(turn);
        }
    }

    fn write(&mut self, since: Time, turn: &mut Turn<'_>) {
        let Self { worker, pending, next, sent, .. } = self;
        worker.remaining.set(worker.remaining.get().saturating_sub(1));
        *sent += 1;
        let index = *next;
        *next = if index + 1 == worker.plan.requests.len() { 0 } else { index + 1 };
        let last = *sent >= worker.plan.max_per_connection();
        let wire = worker.plan.requests[index].wire(last);
        if wire.len() < LARGE_REQUEST {
            turn.out.write(wire);
        } else {
            turn.out.write_shared(wire.clone());
            turn.mark();
        }
        if pending.is_empty() {
            self.progress = turn.now();
        }
        pending.push_back(PendingRequest { since, at: self.written, index, last });
        self.written += wire.len() as u64;
    }

    /// Reads responses. Returns the bytes consumed.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let worker = Rc::clone(&self.worker);
        let mut stats = worker.stats.borrow_mut();
        let mut used = 0;
        while used < input.len() && self.state == ConnectionState::Open {
            let Some(request) = self.pending.front() else {
                let what = "sent something without a request".into();
                return Err(self.fail(Failure::BadResponse, what, turn));
            };
            match self.reader.read(&input[used..], request.context(&worker)) {
                Ok((0, None)) => break,
                Ok((count, response)) => {
                    used += count;
                    if let Some(response) = response {
                        self.count(response, &mut stats, turn);
                    }
                }
                Err(bad) => return Err(self.fail(Failure::BadResponse, bad.0, turn)),
            }
        }
        Ok(if self.state == ConnectionState::Open { used } else { input.len() })
    }

    /// Counts a response.
    fn count(&mut self, response: Response, stats: &mut Stats, turn: &mut Turn<'_>) {
        let Some(request) = self.pending.pop_front() else { return };
        self.no_response = false;
        let latency = turn.now().since(request.since);
        stats.count(latency, response.status, response.error.is_some());
        stats.statuses[1] += u64::from(response.interim);
        stats.content += response.content_len;
        if let Some(error) = response.error {
            stats.failures.add(Failure::ErrorResponse, 1, error);
        } else if response.mismatch {
            let text = "the content of a response is not that of the first";
            stats.failures.add(Failure::Mismatch, 1, text);
        }
        if let Some(expected) = response.learned {
            self.worker.learned.borrow_mut().push((request.index, expected));
        }
        self.worker.last_response.set(turn.now());
        self.worker.unresponsive.set(0);
        if !response.persistent {
            // The server does not read the other requests: other connections send them.
            self.worker.return_requests(self.pending.len());
            self.pending.clear();
            turn.out.clear();
            // Replaces an earlier mark, which may lie beyond the bytes that are sent.
            turn.mark();
            self.state = ConnectionState::ServerClosing;
            if self.worker.client_closes.get() {
                self.close(turn);
            }
        }
    }

    fn close(&mut self, turn: &mut Turn<'_>) {
        self.state = ConnectionState::Closed;
        turn.end(End::Close);
    }

    /// Ends the connection with a fault of the server.
    fn fail(&mut self, failure: Failure, what: String, turn: &mut Turn<'_>) -> Fault {
        self.failure = Some(failure);
        self.return_unsent(turn);
        Fault::peer(failure.code(), what)
    }

    /// Drops requests that have not been sent, for other connections to send.
    fn return_unsent(&mut self, turn: &mut Turn<'_>) {
        let sent = self.written.saturating_sub(turn.unsent());
        let count = self.pending.iter().take_while(|request| request.at < sent).count();
        self.worker.return_requests(self.pending.len() - count);
        self.pending.truncate(count);
        turn.out.clear();
    }

    /// How much of the next response has arrived; `None` if no request is pending.
    fn extent(&self) -> Option<Extent> {
        let request = self.pending.front()?;
        Some(self.reader.extent(request.context(&self.worker)))
    }

    fn on_open(&mut self, peer: &Peer, turn: &mut Turn<'_>) {
        self.state = ConnectionState::Open;
        self.progress = turn.now();
        let slot = &mut self.worker.slots.borrow_mut()[self.number];
        let mut stats = self.worker.stats.borrow_mut();
        stats.connected += 1;
        stats.connect_times.record(turn.now().since(slot.opened));
        if let Some(tls) = &peer.tls {
            stats.resumed += u64::from(tls.resumed);
            stats.tls.get_or_insert_with(|| Arc::clone(tls));
        }
        slot.established = true;
        // A connection that is opened again keeps its schedule.
        slot.schedule = slot.schedule.or_else(|| self.worker.schedule(self.number, turn.now()));
    }

    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Some(request) = self.pending.front() {
            let worker = Rc::clone(&self.worker);
            let context = request.context(&worker);
            match self.reader.end_of_input(context) {
                Some(response) if self.is_truncated => {
                    let what = format!(
                        "closed the connection without TLS's close_notify after {} bytes of content",
                        response.content_len
                    );
                    return Err(self.fail(Failure::TruncatedContent, what, turn));
                }
                Some(response) => self.count(response, &mut worker.stats.borrow_mut(), turn),
                None => {
                    let Extent { failure, text } = self.reader.extent(context);
                    return Err(self.fail(failure, format!("closed the connection {text}"), turn));
                }
            }
        }
        self.close(turn);
        Ok(())
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.state == ConnectionState::ServerClosing {
            if self.progress + CLOSE_TIMEOUT <= turn.now() {
                self.worker.client_closes.set(true);
                self.close(turn);
            }
            return Ok(());
        }
        let timeout = self.worker.plan.timeout;
        if self.progress + timeout <= turn.now()
            && let Some(Extent { text, .. }) = self.extent()
        {
            let what = format!("was silent for {} s {text}", timeout.as_secs_f64());
            return Err(self.fail(Failure::Timeout, what, turn));
        }
        self.send(turn);
        Ok(())
    }

    /// Records what the connection was waiting for when the load ended.
    fn record_unfinished(&self, extent: Option<Extent>) {
        self.worker.stats.borrow_mut().unanswered += self.pending.len() as u64;
        let what = match extent {
            Some(extent) => format!("the connection was open, {}", extent.text),
            None if self.state == ConnectionState::Connecting => match self.worker.plan.tls {
                None => "the connection was not established".into(),
                Some(_) => "the TLS connection was not established".into(),
            },
            None => return,
        };
        self.worker.unfinished.replace(Some(what));
    }

    fn on_closed(&mut self, reason: &Reason, turn: &mut Turn<'_>) {
        let extent = self.extent();
        self.return_unsent(turn);
        let explain = || self.worker.plan.explain(reason);
        let failure = match (self.state, reason) {
            (ConnectionState::Closed | ConnectionState::ServerClosing, _) => None,
            (_, Reason::Drained | Reason::Cut) => {
                self.record_unfinished(extent);
                None
            }
            // The TLS handshake failed, or an alert came soon after it.
            (ConnectionState::Connecting | ConnectionState::Open, Reason::Fault(_))
                if self.failure.is_none() && self.worker.plan.tls.is_some() =>
            {
                Some((Failure::Tls, explain()))
            }
            (ConnectionState::Connecting, _) => Some((Failure::Connect, explain())),
            (ConnectionState::Open, Reason::Reset) => {
                let text = extent.map(|extent| format!(" {}", extent.text)).unwrap_or_default();
                Some((Failure::Reset, format!("{reason}{text}")))
            }
            (ConnectionState::Open, _) => {
                Some((self.failure.unwrap_or(Failure::Socket), reason.to_string()))
            }
        };
        let worker = &self.worker;
        if let Some((failure, text)) = failure {
            worker.last_failure.set(turn.now());
            let count = self.pending.len().max(1) as u64;
            worker.stats.borrow_mut().failures.add(failure, count, text);
        }
        worker.slots.borrow_mut()[self.number].established = false;
        let Self { number, no_response, .. } = *self;
        worker.unresponsive.set(worker.unresponsive.get() + u64::from(no_response));
        worker.closed.borrow_mut().push(ClosedConnection { number, no_response });
    }
}

/// The index in the plan of a connection's first request. `number` counts all connections.
fn first_request(plan: &Plan, number: usize) -> usize {
    if plan.staggered { number * plan.requests.len() / plan.connections.get() } else { 0 }
}

impl Protocol for Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        if self.state == ConnectionState::Open {
            self.progress = turn.now();
        }
        let used = self.read(input, turn)?;
        self.send(turn);
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => {
                self.on_open(peer, turn);
                self.send(turn);
            }
            Event::Room | Event::Drain { .. } => self.send(turn),
            Event::Sent(_) if self.state == ConnectionState::Open => self.progress = turn.now(),
            Event::Deadline => self.on_deadline(turn)?,
            Event::Truncated => self.is_truncated = true,
            Event::Eof { .. } => self.on_end_of_input(turn)?,
            Event::Closed(reason) => self.on_closed(reason, turn),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let timeout = match self.state {
            ConnectionState::ServerClosing => Some(self.progress + CLOSE_TIMEOUT),
            _ if self.pending.is_empty() => None,
            _ => Some(self.progress + self.worker.plan.timeout),
        };
        let schedule = self.worker.slots.borrow()[self.number].schedule;
        let due = schedule.filter(|_| !self.polling && self.can_send()).map(|it| it.next());
        let early = POLL_BEFORE_DUE.as_nanos() as u64;
        let due = due.map(|due| Time::from_nanos(due.as_nanos().saturating_sub(early)));
        [timeout, due].into_iter().flatten().min()
    }
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
