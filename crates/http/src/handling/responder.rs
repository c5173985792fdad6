//! The object with which a handler answers a request.

use std::borrow::Cow;

use bytes::Bytes;
use sockeye_proto::{
    Client, Job, Mark, Peer, Permit, Promise, Protocol, Remote, Ticket, Time, Turn, WallTime,
};

use super::answer::{Answer, AnswerKind, context_methods};
use super::config::ServerConfig;
use super::prepared::PreparedResponse;
use super::stream::Stream;
use super::wire::Wire;
use crate::semantics::body::MAX_COPIED_LEN;
use crate::semantics::chars;
use crate::semantics::exchange::{ContentLength, ContentLimit, Exchange, Outgoing, WaitFor};
use crate::{Body, Fields, Request, Status};

/// Answers one request. Each method that returns an [`Answer`] consumes the responder.
#[derive(Debug)]
pub struct Responder<'r, 't> {
    pub(crate) turn: &'r mut Turn<'t>,
    pub(crate) config: &'r ServerConfig,
    pub(crate) exchange: &'r mut Exchange,
    pub(crate) wire: Wire<'r>,
}

impl<'r, 't> Responder<'r, 't> {
    /// Answers with `status`, the fields that the server adds to every response, `fields` and
    /// `body`.
    ///
    /// Content-Length is the body's length. With status 1xx, 204 or 304, there is neither content
    /// nor Content-Length. With status 205, `body` is ignored, and Content-Length is 0 (RFC 9110,
    /// 15.3.6). A response to HEAD has a Content-Length and no content: pass the body of the
    /// response to GET, or call [`Responder::send_head`].
    pub fn send(mut self, status: Status, fields: &Fields, body: Body<'_>) -> Answer {
        let body = if status == Status::RESET_CONTENT { Body::Empty } else { body };
        let length = ContentLength::of(status, body.len());
        let is_sent = length != ContentLength::Absent && !self.exchange.head_only;
        let content = if is_sent { body.copied() } else { b"" };
        self.write_head(status, [b"", fields.as_bytes()], length, content);
        if is_sent && content.is_empty() {
            body.write_uncopied(self.turn.out);
        }
        Answer(AnswerKind::Done)
    }

    /// Answers with a prepared response.
    pub fn send_prepared(mut self, response: &PreparedResponse) -> Answer {
        let is_sent = !self.exchange.head_only;
        let content = if is_sent { response.bytes.len() - response.content_start } else { 0 };
        let context = (self.config, &*self.exchange, &mut *self.turn);
        // `false`: there is no content besides the response's own.
        self.wire.write_prepared::<false>(context, response, is_sent, b"");
        self.record_head(response.status, content);
        if is_sent {
            response.write_uncopied(self.turn.out);
        }
        Answer(AnswerKind::Done)
    }

    /// Answers with a prepared response, and `content` after its head. `response` must come from
    /// [`PreparedResponse::without_content`], for content of the same length.
    pub fn send_prepared_with(mut self, response: &PreparedResponse, content: &Bytes) -> Answer {
        let is_sent = !self.exchange.head_only && response.has_content;
        let copied: &[u8] = if is_sent && content.len() <= MAX_COPIED_LEN { content } else { b"" };
        let context = (self.config, &*self.exchange, &mut *self.turn);
        self.wire.write_prepared::<true>(context, response, false, copied);
        self.record_head(response.status, copied.len());
        if is_sent && copied.is_empty() {
            self.turn.out.write_shared(content.clone());
        }
        Answer(AnswerKind::Done)
    }

    /// Answers HEAD without the content of the response to GET (RFC 9110, 9.3.2). The handler need
    /// not make that content.
    ///
    /// `length` is the Content-Length of the response to GET; `None` leaves it out (RFC 9110, 8.6).
    /// For other methods this sends a response with empty content.
    pub fn send_head(mut self, status: Status, fields: &Fields, length: Option<u64>) -> Answer {
        if !self.exchange.head_only {
            return self.send(status, fields, Body::Empty);
        }
        // The content of a 205 is empty (RFC 9110, 15.3.6).
        let length = if status == Status::RESET_CONTENT { Some(0) } else { length };
        let length =
            length.map_or(ContentLength::Absent, |length| ContentLength::of(status, length));
        self.write_head(status, [b"", fields.as_bytes()], length, b"");
        Answer(AnswerKind::Done)
    }

    /// The client that is charged for the resources that the server holds for `request`: see
    /// [`ServerConfig::clients`].
    #[must_use]
    pub fn client(&self, request: &Request<'_>) -> Client {
        let peer = self.turn.peer();
        match &self.config.clients {
            Some(clients) => clients.client(peer, request),
            None => Client::of(peer.address),
        }
    }

    /// Writes the response's head, and returns the stream to write its content to.
    ///
    /// `length` is sent as Content-Length, and the content must have this length. With `None`, the
    /// end of the content is marked by the last chunk in HTTP/1.1, and by closing the connection in
    /// HTTP/1.0. HTTP/2 always marks it by END_STREAM.
    pub fn stream(
        mut self,
        status: Status,
        fields: &Fields,
        length: Option<u64>,
    ) -> Stream<'r, 't> {
        // The content of a 205 is empty (RFC 9110, 15.3.6).
        let is_reset = status == Status::RESET_CONTENT;
        let (length, outgoing) = match length {
            _ if !status.has_content() => (ContentLength::Absent, Outgoing::HeadOnly),
            _ if is_reset => (ContentLength::Known(0), Outgoing::HeadOnly),
            Some(length) => (ContentLength::Known(length), Outgoing::Length(length)),
            None => (ContentLength::Unknown, Outgoing::UnknownLength),
        };
        self.exchange.outgoing =
            if self.exchange.head_only { Outgoing::HeadOnly } else { outgoing };
        self.write_head(status, [b"", fields.as_bytes()], length, b"");
        Stream { turn: self.turn, exchange: self.exchange, wire: self.wire }
    }

    /// Answers with a short page in plain text: the status, and `text` below it. The server sets
    /// the Content-Type. `extra` is for fields that the status requires, such as `Allow` and
    /// `Location`.
    pub fn error(self, status: Status, extra: &Fields, text: &str) -> Answer {
        if status == Status::RESET_CONTENT {
            return self.send(status, extra, Body::Empty);
        }
        self.write_page(status, extra, &[text]);
        Answer(AnswerKind::Done)
    }

    /// Answers 503, because the response is late: see
    /// [`Handler::on_response_timeout`](crate::Handler::on_response_timeout).
    pub fn time_out(self) -> Answer {
        let text = "The response was not ready in time.";
        self.error(Status::SERVICE_UNAVAILABLE, &Fields::new(), text)
    }

    /// Waits for a message: the handler answers in
    /// [`Handler::on_message`](crate::Handler::on_message), which is called when a promise is
    /// fulfilled or abandoned, or a [`Remote`] sends a message. Until then, nothing more is read
    /// from the connection in HTTP/1.1. In HTTP/2, the other streams continue, and this request's
    /// content is buffered, up to the size of the stream's window.
    pub fn later(self) -> Answer {
        Answer(AnswerKind::Wait(WaitFor::default()))
    }

    /// Asks for the request's content: pieces arrive in
    /// [`Handler::on_body`](crate::Handler::on_body), the end in
    /// [`Handler::on_body_end`](crate::Handler::on_body_end), even if there is no content. Sends
    /// 100 (Continue) to a client that waits for it.
    ///
    /// If the content is longer than [`Limits::body`](crate::Limits::body), the server answers 413.
    pub fn read(self) -> Answer {
        Answer(AnswerKind::Wait(WaitFor { content: Some(ContentLimit::Configured), room: false }))
    }

    /// As [`Responder::read`], with a limit on the whole content of this request, in bytes, instead
    /// of [`Limits::body`](crate::Limits::body). The first call of `read` or `read_up_to` for a
    /// request decides; the limits of later calls are ignored.
    pub fn read_up_to(self, limit: u64) -> Answer {
        Answer(AnswerKind::Wait(WaitFor { content: Some(ContentLimit::Bytes(limit)), room: false }))
    }

    /// Repeats the handler's last answer: waits for more content if that was [`Responder::read`],
    /// and for a message if it was [`Responder::later`].
    pub fn keep_waiting(self) -> Answer {
        Answer(AnswerKind::Wait(self.exchange.wait_for))
    }

    /// Switches to `protocol`. In HTTP/1.1 the connection switches, after a 101 response that
    /// contains `name` (RFC 9110, 7.8). In HTTP/2 this request's stream switches, after a 200
    /// response (RFC 8441). `protocol` receives [`Event::Open`](sockeye_proto::Event::Open) and the
    /// bytes after the request.
    ///
    /// `name` must be one of the protocols in [`Request::upgrade`](crate::Request::upgrade), in
    /// upper or lower case. It may have a version (`name/1`). If the client has sent a version,
    /// `name` must have the same one.
    ///
    /// In HTTP/2, the stream's flow control applies to the protocol, and [`Turn::end`] ends only
    /// the stream. If the protocol panics, the stream is reset. If the protocol fails, its output
    /// is sent and the stream ends, or the stream is reset if there is no output to send.
    ///
    /// # Errors
    ///
    /// Returns the responder if the client did not ask for an upgrade to `name`, the server is
    /// stopping, or `name` is malformed.
    pub fn upgrade(
        mut self,
        name: &str,
        fields: &Fields,
        protocol: Box<dyn Protocol>,
    ) -> Result<Answer, Self> {
        let is_name = name.split('/').all(|part| chars::is_token(part.as_bytes()));
        if !is_name || !self.exchange.requests_protocol(name) {
            return Err(self);
        }
        let Some(status) = self.wire.write_upgrade(self.config, self.turn, name, fields) else {
            return Err(self);
        };
        self.record_head(status, 0);
        self.turn.switch_to(protocol);
        Ok(Answer(AnswerKind::Switched))
    }

    /// Returns the response's stream if the response has started, else this responder.
    pub(crate) fn into_stream(self) -> Result<Stream<'r, 't>, Self> {
        if !self.exchange.has_started() {
            return Err(self);
        }
        Ok(Stream { turn: self.turn, exchange: self.exchange, wire: self.wire })
    }

    /// Closes the connection after this response, in HTTP/1.1. No effect in HTTP/2, where other
    /// requests of the connection may be in flight.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.wire.close();
        self
    }

    /// Adds `Upgrade: protocols` and `Connection: upgrade` to the response: a 426 must name the
    /// protocols that it requires (RFC 9110, 15.5.22). `protocols` is a list such as
    /// `websocket, shout/1`. No effect in HTTP/2, which has no such field (RFC 9113, 8.2.2).
    ///
    /// # Errors
    ///
    /// Returns the responder if `protocols` is not a list of names, each with or without a version.
    pub fn offering(self, protocols: &str) -> Result<Self, Self> {
        let is_name = |name: &str| chars::is_token(name.as_bytes());
        let is_protocol = |text: &str| match text.trim_matches([' ', '\t']).split_once('/') {
            Some((name, version)) => is_name(name) && is_name(version),
            None => is_name(text.trim_matches([' ', '\t'])),
        };
        if !protocols.split(',').all(is_protocol) {
            return Err(self);
        }
        self.exchange.protocols.get_or_insert_default().offered = protocols.to_owned();
        Ok(self)
    }

    // `now`, `wall`, `peer`, `promise`, `remote` and others, which call the methods of `self.turn`.
    context_methods!();

    /// Writes the page that [`Responder::error`] describes. Its text is the concatenation of
    /// `text`.
    pub(crate) fn write_page(mut self, status: Status, extra: &Fields, text: &[&str]) {
        const PAGE_FIELDS: &[u8] =
            b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n";
        let has_content = status.has_content();
        let title =
            status.code_and_reason().map_or_else(|| status.code().to_string().into(), Cow::from);
        let text_len = text.iter().map(|part| part.len()).sum::<usize>();
        let end: &[u8] = if text_len > 0 { b"\n" } else { b"" };
        let length = ContentLength::of(status, (title.len() + 1 + text_len + end.len()) as u64);
        let page_fields = if has_content { PAGE_FIELDS } else { b"" };
        self.write_head(status, [page_fields, extra.as_bytes()], length, b"");
        if has_content && !self.exchange.head_only {
            self.turn.out.write_all(&[title.as_bytes(), b"\n"]);
            text.iter().for_each(|part| self.turn.out.write(part.as_bytes()));
            self.turn.out.write(end);
        }
    }

    /// Writes the head of a response, and then `content`.
    fn write_head(
        &mut self,
        status: Status,
        fields: [&[u8]; 2],
        length: ContentLength,
        content: &[u8],
    ) {
        let context = (self.config, &*self.exchange, &mut *self.turn);
        self.wire.write_head(context, status, fields, length, content);
        self.record_head(status, content.len());
    }

    /// Records that a head was written, and after it `content_len` bytes of content.
    fn record_head(&mut self, status: Status, content_len: usize) {
        self.exchange.status = Some(status);
        self.exchange.content_start = Mark(self.turn.written().0 - content_len as u64);
    }
}
