//! A connection whose responses come in the order of its requests: HTTP/1.1, the protocol of
//! `sockeye-message`, echo. If the connection is to speak HTTP/2 or WebSocket, another protocol
//! value replaces this one as soon as the connection is open.

use std::collections::VecDeque;
use std::rc::Rc;

use sockeye_proto::{Consumed, Event, Fault, Peer, Protocol, Reason, Time, Turn};

use super::base::{ConnectionBase, ConnectionState, PendingRequest};
use super::http2::Http2Connection;
use super::websocket::WebSocketConnection;
use crate::failure::Failure;
use crate::plan::LoadKind;
use crate::response::{ReceivedSoFar, Response, ResponseReader, reader};
use crate::state::WorkerState;
use crate::stats::Stats;

/// Requests of at least this many bytes are sent without a copy. Whenever a part of such a request
/// has been sent, the timeout starts again, as it does after input.
const LARGE_REQUEST: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    base: ConnectionBase,
    reader: Box<dyn ResponseReader>,
    /// The requests without a response, the oldest first, each with the number of bytes that this
    /// connection had written before it.
    pending: VecDeque<(PendingRequest, u64)>,
    /// Bytes of requests that were written so far.
    written: u64,
    /// The input has ended without TLS's close_notify.
    is_truncated: bool,
}

impl Connection {
    pub(crate) fn new(worker: Rc<WorkerState>, number: usize) -> Self {
        let reader = reader(worker.plan.kind);
        Self {
            base: ConnectionBase::new(worker, number),
            reader,
            pending: VecDeque::new(),
            written: 0,
            is_truncated: false,
        }
    }

    /// Sends the requests that are due. Closes the connection if all responses have arrived, and no
    /// further request will be sent.
    fn send(&mut self, turn: &mut Turn<'_>) {
        self.base.start_sending();
        while self.base.can_send(self.pending.len()) {
            let next = self.base.next_request(self.pending.len(), turn.now());
            let Some(request) = next else { break };
            self.write(request, turn);
        }
        self.base.end_sending(turn);
        let is_open = self.base.state == ConnectionState::Open;
        if is_open && self.pending.is_empty() && self.base.is_exhausted() {
            self.base.close(turn);
        }
    }

    fn write(&mut self, request: PendingRequest, turn: &mut Turn<'_>) {
        let wire = self.base.worker.plan.requests[request.index].to_send(request.is_last);
        if wire.len() < LARGE_REQUEST {
            turn.out.write(wire);
        } else {
            turn.out.write_shared(wire.clone());
            turn.mark();
        }
        self.pending.push_back((request, self.written));
        self.written += wire.len() as u64;
    }

    /// Reads responses. Returns the number of bytes consumed.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let worker = Rc::clone(&self.base.worker);
        let mut stats = worker.stats.borrow_mut();
        let mut used = 0;
        while used < input.len() && self.base.state == ConnectionState::Open {
            let Some((request, _)) = self.pending.front() else {
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
                Err(_) if is_echo(&input[used..], request, &worker) => {
                    worker.answered_without_tls.set(true);
                    let what = "sent back the request, as an echo server does".into();
                    return Err(self.fail(Failure::BadResponse, what, turn));
                }
                Err(bad) => return Err(self.fail(Failure::BadResponse, bad.0, turn)),
            }
        }
        let is_open = self.base.state == ConnectionState::Open;
        Ok(if is_open { used } else { input.len() })
    }

    /// Counts a response to the oldest pending request. If the response ends the connection, gives
    /// the server a limited time to close it.
    fn count(&mut self, response: Response, stats: &mut Stats, turn: &mut Turn<'_>) {
        let Some((request, _)) = self.pending.pop_front() else { return };
        let persistent = response.persistent;
        self.base.count(request, response, stats, turn.now());
        if !persistent {
            // The server won't read the requests that were sent after this one, so other
            // connections send them.
            self.base.worker.return_requests(self.pending.len());
            self.pending.clear();
            turn.out.clear();
            // Replaces an earlier mark, which may be in the output that was just dropped.
            turn.mark();
            self.base.await_close(turn);
        }
    }

    /// Records a failure of the server, and returns the fault that ends the connection. Other
    /// connections send the unsent requests.
    fn fail(&mut self, failure: Failure, what: String, turn: &mut Turn<'_>) -> Fault {
        self.return_unsent(turn);
        self.base.fail(failure, what)
    }

    /// Removes the pending requests of which no byte was sent. The worker gets them back, so that
    /// other connections send them.
    fn return_unsent(&mut self, turn: &mut Turn<'_>) {
        let sent = self.written.saturating_sub(turn.unsent());
        let count = self.pending.iter().take_while(|(_, at)| *at < sent).count();
        self.base.worker.return_requests(self.pending.len() - count);
        self.pending.truncate(count);
        turn.out.clear();
    }

    /// How much of the next response has arrived; `None` if no request is pending.
    fn received_so_far(&self) -> Option<ReceivedSoFar> {
        let (request, _) = self.pending.front()?;
        Some(self.reader.received_so_far(request.context(&self.base.worker)))
    }

    fn on_open(&mut self, peer: &Peer, turn: &mut Turn<'_>) {
        let kind = self.base.worker.plan.kind;
        if kind == LoadKind::WebSocket {
            let (worker, number) = (Rc::clone(&self.base.worker), self.base.number);
            return turn.switch_to(Box::new(WebSocketConnection::new(worker, number)));
        }
        let alpn = peer.tls.as_deref().and_then(|tls| tls.alpn.as_deref());
        if kind == LoadKind::Http2 || (kind == LoadKind::Http && alpn == Some(b"h2")) {
            let (worker, number) = (Rc::clone(&self.base.worker), self.base.number);
            return turn.switch_to(Box::new(Http2Connection::new(worker, number)));
        }
        self.base.on_open(peer, kind.protocol(), turn);
        self.send(turn);
    }

    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Some((request, _)) = self.pending.front() {
            let worker = Rc::clone(&self.base.worker);
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
                    let ReceivedSoFar { failure, text } = self.reader.received_so_far(context);
                    return Err(self.fail(failure, format!("closed the connection {text}"), turn));
                }
            }
        }
        self.base.close(turn);
        Ok(())
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.base.close_if_overdue(turn) {
            return Ok(());
        }
        if let Some(what) = self.base.silence_error(|| self.received_so_far(), turn.now()) {
            return Err(self.fail(Failure::Timeout, what, turn));
        }
        self.send(turn);
        Ok(())
    }

    fn on_closed(&mut self, reason: &Reason, turn: &mut Turn<'_>) {
        let received_so_far = self.received_so_far();
        self.return_unsent(turn);
        self.base.on_closed(reason, self.pending.len(), received_so_far, turn);
    }
}

/// Whether `input`, which is no valid response, begins as the HTTP request does: an echo server has
/// sent the request back.
fn is_echo(input: &[u8], request: &PendingRequest, worker: &WorkerState) -> bool {
    const METHOD: usize = 3; // The length of the shortest methods.
    let sent = worker.plan.requests[request.index].to_send(request.is_last);
    let len = input.len().min(sent.len());
    worker.plan.kind == LoadKind::Http && len > METHOD && input[..len] == sent[..len]
}

impl Protocol for Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        if self.base.state == ConnectionState::Open {
            self.base.progress = turn.now();
        }
        let used = self.read(input, turn)?;
        self.send(turn);
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => self.on_open(peer, turn),
            Event::Room | Event::Drain { .. } => self.send(turn),
            Event::Sent(_) if self.base.state == ConnectionState::Open => {
                self.base.progress = turn.now();
            }
            Event::Deadline => self.on_deadline(turn)?,
            Event::Truncated => self.is_truncated = true,
            Event::Eof { .. } => self.on_end_of_input(turn)?,
            Event::Closed(reason) => self.on_closed(reason, turn),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let pending = self.pending.len();
        self.base.deadline(pending, self.base.can_send(pending))
    }
}
