//! Messages over WebSocket: a [`Handler`] answers the messages that a WebSocket receives.
//!
//! A text message is JSON, which may have a line with a [`Header`] in front of it. A binary message
//! is a frame of this crate's format: the header's length, the header, the content. A response is
//! of the same kind as its request, except that a response that isn't JSON in UTF-8 is always
//! binary.
//!
//! Requests with an id are answered as soon as their responses are ready, in any order. After a
//! request without an id, nothing is read until it is answered. So responses without an id arrive
//! in the order of their requests.

use std::borrow::Cow;
use std::rc::Rc;

use sockeye_http::ws::{self, CloseCode, Closed, Socket};
use sockeye_proto::{Client, Ticket, Time};

use super::connection_state::ConnectionState;
use super::receive::Receiver;
use super::request::{self, PendingRequest};
use super::responder::Call;
use super::text::Encoding;
use super::{
    Answer, Handler, Header, Limits, Message, Refusal, Responder, Settled, error_response, frame,
};

/// Answers the messages of one WebSocket with the connection's [`Handler`].
pub(super) struct WebSocket<H: Handler> {
    shared: Rc<ConnectionState<H>>,
    /// Who is charged for content and for jobs.
    client: Client,
    /// Whether the client is charged for all content, and not only for what exceeds 64 KiB in a
    /// message. Set over HTTP/2, because one connection may have many WebSockets.
    charges_all: bool,
    /// Requests in flight, the oldest first: those whose responses follow later, and expired ones
    /// whose work has not ended.
    pending: Vec<PendingWebSocketRequest>,
    is_draining: bool,
}

/// A request in flight.
struct PendingWebSocketRequest {
    request: PendingRequest,
    /// The request was a text message.
    is_text: bool,
}

impl PendingWebSocketRequest {
    /// Whether the client waits for the response.
    fn is_pending(&self) -> bool {
        !self.request.expired
    }
}

impl<H: Handler> WebSocket<H> {
    pub(super) fn new(shared: Rc<ConnectionState<H>>, client: Client, charges_all: bool) -> Self {
        Self { shared, client, charges_all, pending: Vec::new(), is_draining: false }
    }

    /// Starts a request, or refuses it.
    fn begin(&mut self, message: ws::Message<'_>, socket: &mut Socket<'_, '_>) {
        let rules = Rc::clone(&self.shared.rules);
        let (read, is_text) = match message {
            ws::Message::Text(text) => {
                let read = Header::read_text(text, &rules.limits);
                (read.map(|(header, content)| (header, content.as_bytes())), true)
            }
            ws::Message::Binary(bytes) => (read_binary(bytes, &rules.limits), false),
        };
        let number = self.shared.take_number();
        let (mut header, content) = match read {
            Ok(read) => read,
            Err(refusal) => {
                let waiting =
                    PendingWebSocketRequest { request: PendingRequest::new(number, 0), is_text };
                return self.refuse(&refusal, &waiting, socket);
            }
        };
        // A WebSocket stays open after each response, so an id is valid even if the header doesn't
        // say `"connection": "keep-alive"`.
        header.keep_alive = header.id.is_some();
        let request = PendingRequest::of(&header, number, socket.now());
        let mut waiting = PendingWebSocketRequest { request, is_text };
        if let Err(refusal) = header.check(&rules.limits) {
            return self.refuse(&refusal, &waiting, socket);
        }
        if waiting.request.is_late(socket.now()) {
            return self.expire(&waiting, socket);
        }
        let answer = {
            let handler = &mut *self.shared.handler.borrow_mut();
            let mode = handler.content_mode(&header);
            let mut receiver =
                Receiver::new(mode, header, &rules.limits, self.client, self.charges_all);
            // The result is ignored: it may ask for a pause before the next piece, but all of the
            // content is in this piece.
            receiver.take(content, handler, responder(socket, self.client, &mut waiting));
            receiver.finish(handler, responder(socket, self.client, &mut waiting))
        };
        if let Some(waiting) = self.answer(answer, waiting, socket) {
            self.pending.push(waiting);
        }
    }

    /// Sends the response. If the response follows later, returns the request instead.
    fn answer(
        &self,
        answer: Answer,
        waiting: PendingWebSocketRequest,
        socket: &mut Socket<'_, '_>,
    ) -> Option<PendingWebSocketRequest> {
        match answer.into_response(!waiting.request.tickets.is_empty()) {
            Some(response) => self.send(response.message, &waiting, socket),
            None => return Some(waiting),
        }
        None
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        waiting: &PendingWebSocketRequest,
        socket: &mut Socket<'_, '_>,
    ) {
        self.send(error_response(refusal.code, &refusal.reason), waiting, socket);
    }

    /// Ends a request whose deadline has passed. If it has an id, it gets no response. Otherwise it
    /// gets an error: responses without an id are matched by their order, so none may be missing.
    fn expire(&self, waiting: &PendingWebSocketRequest, socket: &mut Socket<'_, '_>) {
        self.shared.handler.borrow_mut().on_cancelled(waiting.request.number);
        if waiting.request.id.is_none() {
            let what = "the response was not ready when the deadline passed";
            self.send(error_response("timeout", what), waiting, socket);
        }
    }

    fn send(
        &self,
        response: Message,
        waiting: &PendingWebSocketRequest,
        socket: &mut Socket<'_, '_>,
    ) {
        let request = &waiting.request;
        match text_of(&response).filter(|_| waiting.is_text) {
            Some(text) => {
                let text = match &request.id {
                    None => Cow::Borrowed(text),
                    Some(id) => format!("{{\"id\": {}}}\n{text}", id.as_json()).into(),
                };
                socket.send(&*text);
            }
            None => {
                let (mut frame, content) = request.frame(response, !self.is_draining);
                frame.extend_from_slice(&content);
                socket.send(&*frame);
            }
        }
    }

    /// Whether reading must pause: the server drains, or a response has to be sent first.
    fn must_wait(&self) -> bool {
        let in_order = |one: &PendingWebSocketRequest| one.is_pending() && one.request.id.is_none();
        let requests = self.pending.iter().map(|waiting| &waiting.request);
        self.is_draining
            || self.pending.iter().any(in_order)
            || request::is_at_limit(requests, &self.shared.rules.limits)
    }

    /// Resumes or pauses reading, or closes the WebSocket if the server drains and every request is
    /// answered.
    fn proceed(&self, socket: &mut Socket<'_, '_>) {
        if self.is_draining && !self.pending.iter().any(PendingWebSocketRequest::is_pending) {
            socket.close(CloseCode::GOING_AWAY, "");
        } else if self.must_wait() {
            socket.pause();
        } else {
            socket.resume();
        }
    }

    fn cancel_all(&mut self) {
        for waiting in self.pending.drain(..).filter(PendingWebSocketRequest::is_pending) {
            self.shared.handler.borrow_mut().on_cancelled(waiting.request.number);
        }
    }
}

fn responder<'r, 't>(
    socket: &'r Socket<'r, 't>,
    client: Client,
    waiting: &'r mut PendingWebSocketRequest,
) -> Responder<'r, 't> {
    let call = Call::WebSocket(socket, client);
    Responder { call, peer: socket.peer(), request: &mut waiting.request }
}

/// Reads a binary message, which is one frame of this crate's format. Returns its header and its
/// content.
fn read_binary<'m>(bytes: &'m [u8], limits: &Limits) -> Result<(Header, &'m [u8]), Refusal> {
    let Some((header, len)) = frame::read(bytes, limits)? else {
        return Err(Refusal::new("incomplete", "the message ended in the middle of its header"));
    };
    let content = &bytes[len..];
    let (announced, len) = (header.content_length, content.len() as u64);
    if len < announced {
        let missing = announced - len;
        let what = format!("the message ended {missing} bytes before its content did");
        return Err(Refusal::new("incomplete", what));
    }
    if len > announced {
        let what = format!(
            "the content has {len} bytes, but \"content-length\" in the header is {announced}"
        );
        return Err(Refusal::bad_header(what));
    }
    Ok((header, content))
}

/// The content as text, if a text message can carry it: only JSON in UTF-8.
fn text_of(message: &Message) -> Option<&str> {
    let is_utf8 = Encoding::of(&message.content_encoding) == Some(Encoding::Utf8);
    (message.is_json() && is_utf8).then(|| str::from_utf8(&message.content).ok())?
}

impl<H: Handler> ws::Handler for WebSocket<H> {
    fn on_message(&mut self, message: ws::Message<'_>, socket: &mut Socket<'_, '_>) {
        self.begin(message, socket);
        if self.must_wait() {
            socket.pause();
        }
    }

    fn on_delivery(&mut self, ticket: Ticket, body: Settled, socket: &mut Socket<'_, '_>) {
        // If no pending request has this ticket, its request was answered already.
        let Some(at) = self.pending.iter_mut().position(|one| one.request.take_ticket(ticket))
        else {
            return;
        };
        // Cancels the requests whose deadlines have passed, possibly also the one of `ticket`.
        self.on_deadline(socket);
        let mut waiting = self.pending.remove(at);
        let waiting = if waiting.is_pending() {
            let answer = {
                let handler = &mut *self.shared.handler.borrow_mut();
                handler.on_settled(ticket, body, responder(socket, self.client, &mut waiting))
            };
            self.answer(answer, waiting, socket)
        } else {
            Some(waiting).filter(|waiting| !waiting.request.tickets.is_empty())
        };
        if let Some(waiting) = waiting {
            self.pending.insert(at, waiting);
        }
        self.proceed(socket);
    }

    fn deadline(&self) -> Option<Time> {
        let pending = self.pending.iter().filter(|waiting| waiting.is_pending());
        pending.map(|waiting| waiting.request.deadline).min()
    }

    /// Cancels the requests whose deadlines have passed.
    fn on_deadline(&mut self, socket: &mut Socket<'_, '_>) {
        let mut pending = std::mem::take(&mut self.pending);
        for waiting in &mut pending {
            if waiting.is_pending() && waiting.request.is_late(socket.now()) {
                self.expire(waiting, socket);
                waiting.request.expired = true;
            }
        }
        self.pending = pending;
        self.proceed(socket);
    }

    /// Answers the requests in flight, then closes the WebSocket.
    fn on_drain(&mut self, socket: &mut Socket<'_, '_>) {
        self.is_draining = true;
        self.proceed(socket);
    }

    fn on_close(&mut self, _: Closed<'_>, _: &mut Socket<'_, '_>) {
        self.cancel_all();
    }
}

/// Tells the handler that its requests are cancelled if the WebSocket ends without `on_close`, for
/// example after a panic.
impl<H: Handler> Drop for WebSocket<H> {
    fn drop(&mut self) {
        self.cancel_all();
    }
}
