//! Responses: what a handler says, made into bytes.

use bytes::Bytes;
use sockeye_proto::{
    Client, Job, Mark, Peer, Permit, Promise, Protocol, Remote, Ticket, Time, Turn, WallTime,
};

use crate::handling::answer::{Answer, Given, means};
use crate::handling::prepared::{Body, Framing, PreparedResponse, Rest, WORTH_SHARING, put};
use crate::semantics::chars;
use crate::semantics::control::Version;
use crate::semantics::exchange::{Exchange, Outgoing, Waits, Wanted};
use crate::{Fields, Request, ServerConfig, Status, Stream};

/// The duty to answer one request, and the means.
#[derive(Debug)]
pub struct Responder<'r, 't> {
    pub(crate) turn: &'r mut Turn<'t>,
    pub(crate) shared: &'r ServerConfig,
    pub(crate) exchange: &'r mut Exchange,
}

impl<'r, 't> Responder<'r, 't> {
    /// Answers with `status`, the fields that stand in every response, `fields` and `body`.
    ///
    /// Content-Length is the body's length, left out where the status has no content; to HEAD it is
    /// sent without the body. So `body` is GET's also where the request is HEAD: a handler that
    /// doesn't have it calls [`Responder::send_head`]. A 205 is sent with none (RFC 9110, 15.3.6).
    pub fn send(mut self, status: Status, fields: &Fields, body: Body<'_>) -> Answer {
        let body = if status == Status::RESET_CONTENT { Body::Empty } else { body };
        let length = Framing::length(status, body.len());
        let is_sent = length != Framing::None && !self.exchange.head_only;
        let content: &[u8] = match &body {
            Body::Copied(bytes) if is_sent => bytes,
            Body::Static(bytes) if is_sent && bytes.len() <= WORTH_SHARING => bytes,
            Body::Shared(bytes) if is_sent && bytes.len() <= WORTH_SHARING => bytes,
            _ => b"",
        };
        self.exchange.settle(self.shared.limits.discard);
        self.head(status, [b"", fields.as_bytes()], length, content);
        if is_sent && content.is_empty() {
            match body {
                Body::Static(bytes) => self.turn.out.write_shared(Bytes::from_static(bytes)),
                Body::Shared(bytes) => self.turn.out.write_shared(bytes.clone()),
                Body::File(range) => self.turn.out.write_file(range),
                Body::Empty | Body::Copied(_) => {}
            }
        }
        Answer(Given::Done)
    }

    /// Answers with a response that was made before: for what is sent often.
    pub fn send_prepared(mut self, ready: &PreparedResponse) -> Answer {
        self.exchange.settle(self.shared.limits.discard);
        let is_sent = !self.exchange.head_only;
        let end = if is_sent { ready.bytes.len() } else { ready.head };
        let bytes = &ready.bytes[..end];
        self.begin(ready.status, end - ready.head, |into| into.extend_from_slice(bytes));
        match &ready.rest {
            Some(Rest::Shared(bytes)) if is_sent => self.turn.out.write_shared(bytes.clone()),
            Some(Rest::File(range)) if is_sent => self.turn.out.write_file(range.clone()),
            _ => {}
        }
        Answer(Given::Done)
    }

    /// The same of a response that was made without its content ([`PreparedResponse::without_content`]), which is
    /// `content`.
    pub fn send_prepared_with(mut self, ready: &PreparedResponse, content: &Bytes) -> Answer {
        self.exchange.settle(self.shared.limits.discard);
        let is_sent = !self.exchange.head_only && ready.has_content;
        let copied: &[u8] = if is_sent && content.len() <= WORTH_SHARING { content } else { b"" };
        self.begin(ready.status, copied.len(), |into| {
            into.extend_from_slice(&ready.bytes);
            put(copied, into);
        });
        if is_sent && copied.is_empty() {
            self.turn.out.write_shared(content.clone());
        }
        Answer(Given::Done)
    }

    /// Answers HEAD without making the content that GET has (RFC 9110, 9.3.2).
    ///
    /// `length` is the Content-Length that GET is answered with. It is left out where it is `None`
    /// (RFC 9110, 8.6), and so is Transfer-Encoding (RFC 9112, 6.1): nobody knows how GET's content
    /// would be sent. To other methods it is a response without content.
    pub fn send_head(mut self, status: Status, fields: &Fields, length: Option<u64>) -> Answer {
        if !self.exchange.head_only {
            return self.send(status, fields, Body::Empty);
        }
        // RFC 9110, 15.3.6.
        let length = if status == Status::RESET_CONTENT { Some(0) } else { length };
        let framing = length.map_or(Framing::None, |length| Framing::length(status, length));
        self.exchange.settle(self.shared.limits.discard);
        self.head(status, [b"", fields.as_bytes()], framing, b"");
        Answer(Given::Done)
    }

    /// Who is charged for what answering `request` makes the server hold: see
    /// [`ServerConfig::clients`].
    #[must_use]
    pub fn client(&self, request: &Request<'_>) -> Client {
        self.shared.client(self.turn.peer(), request)
    }

    /// Answers bit by bit: writes the response's head, and returns what its content is written to.
    ///
    /// With a `length` that is announced, and has to be kept. Without, the content goes in chunks,
    /// or to HTTP/1.0 until the connection closes.
    pub fn stream(
        mut self,
        status: Status,
        fields: &Fields,
        length: Option<u64>,
    ) -> Stream<'r, 't> {
        let old = self.exchange.version == Version::Http10;
        self.exchange.settle_stream();
        // RFC 9110, 15.3.6.
        let is_reset = status == Status::RESET_CONTENT;
        let length = if is_reset { Some(0) } else { length };
        self.exchange.outgoing = match length {
            _ if !status.has_content() => Outgoing::HeadOnly,
            Some(length) => Outgoing::Length(length),
            None if old => Outgoing::UntilClose,
            None => Outgoing::Chunked,
        };
        if self.exchange.outgoing == Outgoing::UntilClose {
            self.exchange.persistent = false;
        }
        let framing = match self.exchange.outgoing {
            Outgoing::Length(length) => Framing::Length(length),
            Outgoing::Chunked => Framing::Chunked,
            _ => Framing::None,
        };
        self.head(status, [b"", fields.as_bytes()], framing, b"");
        if self.exchange.head_only || is_reset {
            self.exchange.outgoing = Outgoing::HeadOnly;
        }
        Stream { turn: self.turn, outgoing: &mut self.exchange.outgoing }
    }

    /// Answers with a short page in plain text: the status, and `text` below it.
    ///
    /// `extra` has what the status asks for (`Allow`, `Location`); the page brings its own
    /// Content-Type. A status without content gets no page.
    pub fn error(self, status: Status, extra: &Fields, text: &str) -> Answer {
        if status == Status::RESET_CONTENT {
            return self.send(status, extra, Body::Empty);
        }
        self.page(status, extra, &[text]);
        Answer(Given::Done)
    }

    /// Answers 503 in place of a response that isn't there in time: see
    /// [`Handler::on_response_timeout`](crate::Handler::on_response_timeout).
    pub fn time_out(self) -> Answer {
        let text = "The response was not ready in time.";
        self.error(Status::SERVICE_UNAVAILABLE, &Fields::new(), text)
    }

    /// Answers later: in [`Handler::on_message`](crate::Handler::on_message), when a promise of
    /// this response is settled. Until then nothing more of this connection is read.
    pub fn later(self) -> Answer {
        Answer(Given::Wait(Waits::default()))
    }

    /// Asks for the request's body: its pieces come to
    /// [`Handler::on_body`](crate::Handler::on_body) and its end to
    /// [`Handler::on_body_end`](crate::Handler::on_body_end), at once where there is none. A client
    /// that waits for a word before it sends the body gets it now (100 Continue).
    ///
    /// A body beyond [`Limits::body`](crate::Limits::body) is answered with 413 by the server.
    pub fn read(self) -> Answer {
        Answer(Given::Wait(Waits { body: Some(Wanted::UpToLimit), room: false }))
    }

    /// As [`Responder::read`], with a limit of its own, in bytes of the whole body. It counts where the
    /// body is first asked for.
    pub fn read_up_to(self, limit: u64) -> Answer {
        Answer(Given::Wait(Waits { body: Some(Wanted::UpTo(limit)), room: false }))
    }

    /// Waits for what the last call asked for: for more of the body after [`Responder::read`], for a message
    /// after [`Responder::later`].
    pub fn keep_waiting(self) -> Answer {
        Answer(Given::Wait(self.exchange.waits))
    }

    /// Hands the connection to another protocol (RFC 9110, 7.8): a 101 that says `name`, then all
    /// that `protocol` does. It gets [`Event::Open`](sockeye_proto::Event::Open), and the bytes behind the
    /// request. `name` has to be one that the client asked for: see
    /// [`Request::upgrade`](crate::Request::upgrade).
    ///
    /// # Errors
    ///
    /// The response comes back where the client did not ask for an upgrade, the server has begun to
    /// stop, or `name` is no name of a protocol.
    pub fn upgrade(
        mut self,
        name: &str,
        fields: &Fields,
        protocol: Box<dyn Protocol>,
    ) -> Result<Answer, Self> {
        let is_name = name.split('/').all(|part| chars::is_token(part.as_bytes()));
        if !self.exchange.upgrade || !is_name {
            return Err(self);
        }
        let upgrade = [b"Connection: Upgrade\r\nUpgrade: ", name.as_bytes(), b"\r\n"].concat();
        // Neither goes on nor closes: what it becomes is said above.
        self.exchange.version = Version::Http11;
        self.exchange.persistent = true;
        let blocks = [&upgrade, fields.as_bytes()];
        self.head(Status::SWITCHING_PROTOCOLS, blocks, Framing::None, b"");
        self.turn.switch_to(protocol);
        Ok(Answer(Given::Switched))
    }

    /// The stream that this response has become, or the response if it has not begun.
    pub(crate) fn into_stream(self) -> Result<Stream<'r, 't>, Self> {
        if !self.exchange.has_begun() {
            return Err(self);
        }
        Ok(Stream { turn: self.turn, outgoing: &mut self.exchange.outgoing })
    }

    /// Has the connection close behind this response.
    #[must_use]
    pub fn closing(self) -> Self {
        self.exchange.persistent = false;
        self
    }

    means!();

    /// Writes the page of [`Responder::error`], its text in parts.
    pub(crate) fn page(mut self, status: Status, extra: &Fields, text: &[&str]) {
        const KIND: &[u8] =
            b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n";
        let len = status.title_len() + text.iter().map(|part| part.len()).sum::<usize>();
        let has_text = text.iter().any(|part| !part.is_empty());
        let len = len + if has_text { 2 } else { 1 };
        self.exchange.settle(self.shared.limits.discard);
        if !status.has_content() {
            return self.head(status, [b"", extra.as_bytes()], Framing::None, b"");
        }
        let framing = Framing::Length(len as u64);
        self.head(status, [KIND, extra.as_bytes()], framing, b"");
        if self.exchange.head_only {
            return;
        }
        status.with_title(|title| self.turn.out.write_all(&[title, b"\n"]));
        if has_text {
            for part in text {
                self.turn.out.write(part.as_bytes());
            }
            self.turn.out.write(b"\n");
        }
    }

    /// Writes a response's head, and `content` behind it.
    fn head(&mut self, status: Status, blocks: [&[u8]; 2], framing: Framing, content: &[u8]) {
        self.begin(status, content.len(), |bytes| {
            put(blocks[0], bytes);
            put(blocks[1], bytes);
            framing.write(bytes);
            put(content, bytes);
        });
    }

    /// Begins a response, in one step: what all begin with, and what `fill` appends, the last bytes of
    /// which are so much content.
    fn begin(&mut self, status: Status, content: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        let connection: &[u8] = match (self.exchange.version, self.exchange.persistent) {
            // Persistent is what HTTP/1.1 is when nothing is said, and HTTP/1.0 is not.
            (Version::Http11, true) => b"",
            (Version::Http10, true) => b"Connection: keep-alive\r\n",
            (_, false) => b"Connection: close\r\n",
        };
        let (shared, wall) = (self.shared, self.turn.wall());
        self.turn.out.write_with(|bytes| {
            shared.open(status, wall, bytes);
            put(connection, bytes);
            fill(bytes);
        });
        self.exchange.status = Some(status);
        self.exchange.content_at = Mark(self.turn.written().0 - content as u64);
    }
}
