//! A connection that speaks HTTP/2.

use std::rc::Rc;

use sockeye_http::h2_client::{self, Event as StreamEvent, code_name};
use sockeye_proto::{Consumed, Event, Fault, Peer, Protocol, Reason, Time, Turn};

use super::base::{ConnectionBase, ConnectionState, PendingRequest};
use crate::failure::Failure;
use crate::response::{ReceivedSoFar, StreamResponse};
use crate::state::WorkerState;

const PROTOCOL: &str = "HTTP/2";

/// How often in a row a server may refuse a request while no other one is in flight. After that, a
/// refused request is a failure.
const MAX_REFUSALS: u32 = 10;

#[derive(Debug)]
pub(super) struct Http2Connection {
    base: ConnectionBase,
    /// `None` until the connection is established.
    client: Option<Box<h2_client::Connection<PendingStream>>>,
    /// The server has refused a request since its last response. Until its next response, this
    /// connection sends one request at a time.
    is_refusing: bool,
    /// The number of refusals since the last response. Counts only refusals of the only request in
    /// flight.
    refusals: u32,
}

/// A request whose response is not complete, and the part of the response that has arrived.
#[derive(Debug)]
struct PendingStream {
    request: PendingRequest,
    /// The number of bytes that were written on this connection before the request.
    written_before: u64,
    response: StreamResponse,
}

impl Http2Connection {
    pub(super) fn new(worker: Rc<WorkerState>, number: usize) -> Self {
        let base = ConnectionBase::new(worker, number);
        Self { base, client: None, is_refusing: false, refusals: 0 }
    }

    fn in_flight(&self) -> usize {
        self.client.as_ref().map_or(0, |client| client.in_flight())
    }

    fn can_send(&self) -> bool {
        let Some(client) = &self.client else { return false };
        let waits = self.is_refusing && client.in_flight() > 0;
        !waits && client.can_send() && self.base.can_send(client.in_flight())
    }

    /// Sends the requests that are due. Ends the connection if no request is in flight, and none
    /// will be sent.
    fn send(&mut self, turn: &mut Turn<'_>) {
        self.base.start_sending();
        let Some(client) = &mut self.client else { return };
        let worker = Rc::clone(&self.base.worker);
        let heads = worker.request_heads();
        while client.can_send()
            && self.base.can_send(client.in_flight())
            && !(self.is_refusing && client.in_flight() > 0)
        {
            let next = self.base.next_request(client.in_flight(), turn.now());
            let Some(request) = next else { break };
            let content = worker.plan.requests[request.index].http2_content();
            let written_before = turn.written().0;
            let pending =
                PendingStream { request, written_before, response: StreamResponse::default() };
            client.request(heads, request.index, content, pending, turn.out);
            if content.is_some() {
                // Asks for `Event::Sent`, since sending content counts as progress.
                turn.mark();
            }
        }
        self.base.end_sending(turn);
        let is_open = self.base.state == ConnectionState::Open;
        if !is_open || client.in_flight() > 0 {
            return;
        }
        if let Some(going_away) = client.going_away() {
            self.note_going_away(going_away.code, turn);
            self.base.await_close(turn);
        } else if self.base.is_exhausted() || client.is_ending() {
            client.go_away(turn.out);
            if self.base.has_sent_max() {
                self.base.await_close(turn);
            } else {
                self.base.close(turn);
            }
        }
    }

    /// Counts a failure if the server has ended the connection with an error code, or has ended too
    /// many connections in a row without a response. Call this when no request is in flight.
    fn note_going_away(&self, code: u32, turn: &Turn<'_>) {
        let (failure, text) = match code {
            0 if !self.base.is_unresponsive() => return,
            0 => (Failure::Closed, "ends connections before it answers a request".into()),
            code => (Failure::Reset, format!("ended the connection with {}", code_name(code))),
        };
        let mut stats = self.base.worker.stats.borrow_mut();
        self.base.fail_request(failure, format!("the peer {text}"), &mut stats, turn);
    }

    /// Reads responses. Returns the bytes consumed.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let Self { base, client: Some(client), is_refusing, refusals } = self else {
            return Ok(input.len());
        };
        if base.state != ConnectionState::Open {
            return Ok(input.len());
        }
        let worker = Rc::clone(&base.worker);
        let mut stats = worker.stats.borrow_mut();
        let sends_content = client.is_sending_content();
        let had_sent_all = turn.unsent() == 0;
        let mut rest = input;
        let failed = loop {
            let event = match client.read(&mut rest, turn.out) {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                // `client.read` has written a GOAWAY. If older output is unsent, `self.fail` drops
                // the output and the GOAWAY. Otherwise `base.fail` lets the GOAWAY be sent.
                Err(error) => break Some((error.what.to_owned(), had_sent_all)),
            };
            base.progress = turn.now();
            let result = match event {
                StreamEvent::Head { head, interim, data } => {
                    data.response.start(head, interim, &data.request.context(&worker))
                }
                StreamEvent::Content { bytes, data } => {
                    data.response.take(bytes, &data.request.context(&worker))
                }
                StreamEvent::End(PendingStream { request, response, .. }) => {
                    let response = response.end(&request.context(&worker));
                    base.count(request, response, &mut stats, turn.now());
                    (*is_refusing, *refusals) = (false, 0);
                    Ok(())
                }
                StreamEvent::Reset(code, _) => {
                    let text = format!("the peer reset a stream with {}", code_name(code));
                    base.fail_request(Failure::Reset, text, &mut stats, turn);
                    Ok(())
                }
                StreamEvent::Unprocessed(_) => {
                    *is_refusing = true;
                    *refusals += u32::from(client.in_flight() == 0);
                    if *refusals > MAX_REFUSALS {
                        let text = "the peer refused a request again and again (REFUSED_STREAM)";
                        base.fail_request(Failure::Reset, text.into(), &mut stats, turn);
                    } else {
                        worker.return_requests(1);
                    }
                    Ok(())
                }
            };
            if let Err(bad) = result {
                break Some((bad.0, false));
            }
        };
        drop(stats);
        if sends_content {
            // Asks for `Event::Sent` again: `client.read` may have written more content.
            turn.mark();
        }
        match failed {
            None => Ok(input.len() - rest.len()),
            Some((what, true)) => Err(self.base.fail(Failure::BadResponse, what)),
            Some((what, false)) => Err(self.fail(Failure::BadResponse, what, turn)),
        }
    }

    /// Ends the connection with a fault of the server. Drops all unsent output.
    fn fail(&mut self, failure: Failure, what: String, turn: &mut Turn<'_>) -> Fault {
        self.return_unsent(turn);
        self.base.fail(failure, what)
    }

    /// Drops all unsent output. The requests of which no byte was sent go back to the worker, so
    /// that other connections send them. Returns the number of the other requests in flight.
    fn return_unsent(&mut self, turn: &mut Turn<'_>) -> usize {
        let sent = turn.sent().0;
        let Some(client) = &mut self.client else { return 0 };
        while client.take_newest_if(|pending| pending.written_before >= sent).is_some() {
            self.base.worker.return_requests(1);
        }
        turn.out.clear();
        client.in_flight()
    }

    /// How much has arrived of the response to the oldest request in flight; `None` if no request
    /// is in flight.
    fn received_so_far(&self) -> Option<ReceivedSoFar> {
        let pending = self.client.as_ref()?.pending().next()?;
        Some(pending.response.received_so_far())
    }

    fn on_open(&mut self, peer: &Peer, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.base.on_open(peer, Some(PROTOCOL), turn);
        let is_http2 = peer.tls.as_deref().is_none_or(|tls| tls.alpn.as_deref() == Some(b"h2"));
        if !is_http2 {
            let what = "has TLS, and did not choose HTTP/2 by ALPN".into();
            return Err(self.fail(Failure::BadResponse, what, turn));
        }
        self.client = Some(Box::new(h2_client::Connection::new(turn.out)));
        self.send(turn);
        Ok(())
    }

    fn on_end_of_input(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match self.received_so_far() {
            Some(ReceivedSoFar { failure, text }) => {
                let going_away = self.client.as_ref().and_then(|client| client.going_away());
                let code = going_away.map_or(0, |going_away| going_away.code);
                let how = match code {
                    0 => String::new(),
                    code => format!(" with {}", code_name(code)),
                };
                Err(self.fail(failure, format!("closed the connection{how} {text}"), turn))
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
        let sent = self.return_unsent(turn);
        self.base.on_closed(reason, sent, received_so_far, turn);
    }
}

impl Protocol for Http2Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let used = self.read(input, turn)?;
        self.send(turn);
        Ok(Consumed::more(used))
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
        self.base.deadline(self.in_flight(), self.can_send())
    }
}
