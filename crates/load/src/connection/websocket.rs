//! A WebSocket to an echo server.

use std::collections::VecDeque;
use std::rc::Rc;

use sockeye_http::Status;
use sockeye_http::ws::{ClientHandshake, CloseCode, FrameHeader, Opcode, Opening, mask};
use sockeye_proto::{Consumed, Event, Fault, Peer, Protocol, Reason, Time, Turn};

use super::base::{ConnectionBase, ConnectionState, PendingRequest};
use crate::expected::ExpectedResponse;
use crate::failure::Failure;
use crate::response::{Received, ReceivedSoFar, Response, WebSocketReader};
use crate::state::WorkerState;
use crate::stats::Stats;
use crate::websocket_request::WebSocketRequest;

/// Frames of at least this many bytes are sent without a copy. While the kernel takes parts of
/// them, the server doesn't count as silent.
const LARGE_FRAME: usize = 16 * 1024;

/// The advice in an error if the server sends anything but echoes.
const NEEDS_ECHO: &str = "load needs a WebSocket that sends back each message, and nothing else; \
                          for the service of sockeye message, write message://HOST:PORT";

#[derive(Debug)]
pub(super) struct WebSocketConnection {
    base: ConnectionBase,
    /// The opening handshake, until its response has arrived.
    opening: Option<ClientHandshake>,
    reader: WebSocketReader,
    /// The messages without a response, the oldest first, each with its position in the output.
    pending: VecDeque<(PendingRequest, u64)>,
}

impl WebSocketConnection {
    pub(super) fn new(worker: Rc<WorkerState>, number: usize) -> Self {
        Self {
            base: ConnectionBase::new(worker, number),
            opening: None,
            reader: WebSocketReader::default(),
            pending: VecDeque::new(),
        }
    }

    fn can_send(&self) -> bool {
        self.opening.is_none() && self.base.can_send(self.pending.len())
    }

    /// Sends the messages that are due. If all responses have arrived and this connection sends no
    /// further message, closes the WebSocket.
    fn send(&mut self, turn: &mut Turn<'_>) {
        self.base.start_sending();
        while self.can_send() {
            let next = self.base.next_request(self.pending.len(), turn.now());
            let Some(request) = next else { break };
            self.pending.push_back((request, turn.written().0));
            let wire = self.base.worker.plan.requests[request.index].to_send(request.is_last);
            if wire.len() < LARGE_FRAME {
                turn.out.write(wire);
            } else {
                turn.out.write_shared(wire.clone());
                turn.mark();
            }
        }
        self.base.end_sending(turn);
        let is_open = self.base.state == ConnectionState::Open && self.opening.is_none();
        if is_open && self.pending.is_empty() && self.base.is_exhausted() {
            control(Opcode::Close, &CloseCode::NORMAL.0.to_be_bytes(), turn);
            self.base.await_close(turn);
        }
    }

    /// Reads the response to the request for a WebSocket. Returns the bytes consumed.
    fn read_opening(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let Some(handshake) = &self.opening else { return Ok(0) };
        match handshake.read(input) {
            Ok(Opening::NeedMore) => Ok(0),
            Ok(Opening::Open { len, .. }) => {
                self.opening = None;
                self.base.worker.answered_without_tls.set(true);
                Ok(len)
            }
            Ok(Opening::Refused { status }) => {
                let reason = Status::from_code(status).map_or("", Status::reason);
                let mut what =
                    format!("opened no WebSocket: {status} {reason}").trim_end().to_owned();
                // Most answers show that the port doesn't expect TLS. But a redirect may lead to
                // TLS, and with 400, nginx and others respond to plain HTTP at a port with TLS.
                self.base.worker.answered_without_tls.set(!(300..=400).contains(&status));
                let (failure, hint) = match status {
                    ..300 => (
                        Failure::BadResponse,
                        "; there is no WebSocket at this path: write the path of one",
                    ),
                    300..=399 => (Failure::BadResponse, ""),
                    401 | 403 => (
                        Failure::ErrorResponse,
                        "; load --header 'Name: value' sends credentials or an Origin",
                    ),
                    404 | 405 | 426 => (Failure::ErrorResponse, "; write the path of a WebSocket"),
                    _ => (Failure::ErrorResponse, ""),
                };
                what += hint;
                Err(self.fail(failure, what, turn))
            }
            Err(bad) => {
                let mut what = String::from(bad.0);
                // The peer has sent our own request back.
                if input.starts_with(b"GET ") {
                    self.base.worker.answered_without_tls.set(true);
                    what += "; the peer sends back what it receives, as an echo server without \
                             WebSocket does: write tcp://HOST:PORT";
                }
                Err(self.fail(Failure::BadResponse, what, turn))
            }
        }
    }

    /// Reads frames.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        let worker = Rc::clone(&self.base.worker);
        let mut stats = worker.stats.borrow_mut();
        let mut used = 0;
        while self.base.state == ConnectionState::Open {
            let oldest = self.pending.front().map(|(request, _)| *request);
            let expected =
                oldest.and_then(|request| worker.plan.requests[request.index].websocket_request());
            let rest = &input[used..];
            match self.reader.read(rest, expected, worker.plan.max_content) {
                Ok((_, None)) => break,
                Ok((count, Some(received))) => {
                    used += count;
                    self.take(received, &worker, &mut stats, turn)?;
                }
                Err(bad) => return Err(self.fail(Failure::BadResponse, bad.0, turn)),
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        received: Received,
        worker: &WorkerState,
        stats: &mut Stats,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        match received {
            Received::Message { len, is_echo } => match self.pending.pop_front() {
                Some((request, _)) => {
                    let expected = request.context(worker).expected;
                    let response = response(len, is_echo, expected);
                    self.base.count(request, response, stats, turn.now());
                }
                None => {
                    let what = format!("sent something without a request; {NEEDS_ECHO}");
                    return Err(self.fail(Failure::BadResponse, what, turn));
                }
            },
            Received::Ping(payload) => control(Opcode::Pong, &payload, turn),
            Received::Close(code, _) if self.pending.is_empty() => {
                control(Opcode::Close, &close_payload(code), turn);
                self.base.await_close(turn);
            }
            Received::Close(code, reason) => {
                let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
                let ReceivedSoFar { text, .. } = self.reader.received_so_far();
                let what = format!("closed the WebSocket with {code}{reason} {text}");
                return Err(self.fail(Failure::Closed, what, turn));
            }
        }
        Ok(())
    }

    /// Ends the connection with a fault of the server.
    fn fail(&mut self, failure: Failure, what: String, turn: &mut Turn<'_>) -> Fault {
        self.return_unsent(turn);
        self.base.fail(failure, what)
    }

    /// Hands unsent messages back to the worker, so that other connections send them. A message
    /// counts as sent if its first byte was sent.
    fn return_unsent(&mut self, turn: &mut Turn<'_>) {
        let sent = turn.sent().0;
        let count = self.pending.iter().take_while(|(_, at)| *at < sent).count();
        self.base.worker.return_requests(self.pending.len() - count);
        self.pending.truncate(count);
        turn.out.clear();
    }

    /// How much of the handshake's response or of the next message has arrived; `None` if neither
    /// is pending.
    fn received_so_far(&self) -> Option<ReceivedSoFar> {
        if self.opening.is_some() {
            let text = "before the WebSocket was open".into();
            return Some(ReceivedSoFar { failure: Failure::Closed, text });
        }
        self.pending.front().map(|_| self.reader.received_so_far())
    }

    fn on_open(&mut self, peer: &Peer, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.base.on_open(peer, None, turn);
        let first = self.base.worker.plan.requests.first();
        let Some(WebSocketRequest { opening, .. }) = first.and_then(|it| it.websocket_request())
        else {
            let what = "could not open a WebSocket: the plan has none".into();
            return Err(self.fail(Failure::BadResponse, what, turn));
        };
        let (handshake, request) = opening.request();
        self.opening = Some(handshake);
        turn.out.write(&request);
        Ok(())
    }

    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let is_open = self.base.state == ConnectionState::Open;
        match self.received_so_far().filter(|_| is_open) {
            Some(ReceivedSoFar { failure, text }) => {
                Err(self.fail(failure, format!("closed the connection {text}"), turn))
            }
            None => {
                self.base.close(turn);
                Ok(())
            }
        }
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

/// The response to a message. `is_echo`: the response equals the message, as it should.
fn response(content_len: u64, is_echo: bool, expected: Option<&ExpectedResponse>) -> Response {
    let (error, learned) = match expected {
        Some(expected) => (expected.error.clone(), None),
        None => {
            let error =
                (!is_echo).then(|| format!("the response is not what was sent; {NEEDS_ECHO}"));
            (error.clone(), Some(ExpectedResponse { error, ..Default::default() }))
        }
    };
    let (mismatch, persistent) = (!is_echo, true);
    Response { status: 200, content_len, error, mismatch, persistent, interim: 0, learned }
}

/// Writes a control frame. Its payload is a fixed code or the server's own bytes, so the mask needs
/// no random key.
fn control(opcode: Opcode, payload: &[u8], turn: &mut Turn<'_>) {
    const KEY: [u8; 4] = [0x35, 0x9A, 0x4C, 0xE6];
    let (header, len) = FrameHeader::whole(opcode, payload.len(), Some(KEY)).encode();
    let mut payload = payload.to_vec();
    mask(&mut payload, KEY);
    turn.out.write_all(&[&header[..len], &payload]);
}

/// The payload of the close frame that answers a close frame with this code.
fn close_payload(code: CloseCode) -> Vec<u8> {
    if code == CloseCode::NO_STATUS { Vec::new() } else { code.0.to_be_bytes().to_vec() }
}

impl Protocol for WebSocketConnection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        if self.base.state != ConnectionState::Open {
            return Ok(Consumed::more(input.len()));
        }
        self.base.progress = turn.now();
        let head = self.read_opening(input, turn)?;
        if self.opening.is_some() {
            return Ok(Consumed::more(head));
        }
        self.read(&input[head..], turn)?;
        self.send(turn);
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => self.on_open(peer, turn)?,
            Event::Room | Event::Drain { .. } => self.send(turn),
            Event::Sent(_) if self.base.state == ConnectionState::Open => {
                self.base.progress = turn.now();
            }
            Event::Deadline => self.on_deadline(turn)?,
            Event::Eof { .. } => self.on_end_of_input(turn)?,
            Event::Closed(reason) => self.on_closed(reason, turn),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let awaited = self.pending.len() + usize::from(self.opening.is_some());
        self.base.deadline(awaited, self.can_send())
    }
}
