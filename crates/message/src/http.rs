//! Messages over HTTP: a handler of messages that answers requests.
//!
//! `POST /` is a message: its Content-Type says what it is and, by the charset, how text is written
//! in it; the body is the content. The response is the message that answers it, and its status says
//! whether it is an error. `application/json` is JSON, too, and is answered in kind.
//!
//! What has no place here: an id, since requests are answered in their order, and a deadline.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use sockeye_http::{self as http_core, Body, Content, Fields, Method, Request, Status, Trailers};
use sockeye_proto::{Abandoned, Peer, Ticket, Time};

use super::answer::Given;
use super::exchange::{Exchange, Sink, busy, too_complex};
use super::media::{self, JsonName, Media};
use super::responder::Call;
use super::text::Encoding;
use super::{
    AllowedOrigins, Answer, ContentError, ErrorReply, Flow, Handler, Header, LARGE, Limits,
    Message, Responder, Wants, error_reply,
};

/// What `GET /` says.
const HELP: &str = "\
This port answers messages, over HTTP and in frames.

Over HTTP, POST a message to /. Its Content-Type says what it is, JSON being
application/json or text/json, and the body is its content:

    curl -H 'content-type: application/json' -d '{\"some\": \"JSON\"}' http://HOST:PORT/

What is wrong is answered with a status of 400 or above and a JSON object:
\"result\" says what it is, \"error\".\"code\" says it to programs.
";

/// The methods that are answered.
const METHODS: &str = "GET, HEAD, OPTIONS, POST";

/// What holds for the messages of every connection.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) limits: Rc<Limits>,
    pub(super) origins: AllowedOrigins,
}

/// Has the requests of one HTTP connection answered by a handler of messages.
pub struct Http<H> {
    shared: Rc<Shared<H>>,
}

/// What the requests of one connection share.
struct Shared<H> {
    rules: Rc<Rules>,
    /// The number of the next message.
    next: Cell<u64>,
    handler: RefCell<H>,
}

/// Answers one request, a message, by the connection's handler of messages.
pub struct HttpRequest<H: Handler> {
    shared: Rc<Shared<H>>,
    peer: Peer,
    /// The message that is coming, or waits for its answer.
    asked: Option<Box<Asked>>,
}

/// A message on its way.
struct Asked {
    exchange: Exchange,
    json: JsonName,
    coming: Option<Coming>,
}

/// Content on its way.
struct Coming {
    sink: Sink,
    /// How much is to come is known.
    has_length: bool,
    /// The handler has said that nothing more may come for now.
    paused: bool,
}

/// Why a request is no message.
struct Wrong {
    status: Status,
    code: &'static str,
    what: String,
    fields: Fields,
}

impl Wrong {
    fn new(status: Status, code: &'static str, what: impl Into<String>) -> Self {
        Self { status, code, what: what.into(), fields: Fields::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let _ = self.fields.push(name, value.as_bytes());
        self
    }

    /// 415, with what would be right.
    fn media(what: impl Into<String>) -> Self {
        Self::new(Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_type", what)
            .with("Accept", "application/json, text/json, */*;q=0.5")
    }

    fn too_large(limit: u64) -> Self {
        let what = format!("the content is longer than the {limit} bytes that are taken");
        Self::new(Status::CONTENT_TOO_LARGE, "too_large", what)
    }

    fn send(self, json: JsonName, reply: http_core::Responder<'_, '_>) -> http_core::Answer {
        send(self.status, error_reply(self.code, &self.what), json, &self.fields, reply)
    }
}

impl<H: Handler> Http<H> {
    /// Messages that `handler` answers. Of the limits, the one on content counts; the
    /// others are the HTTP server's ([`Limits::http`]). Of web pages, those of this server's origin
    /// alone are answered.
    pub fn new(limits: Rc<Limits>, handler: H) -> Self {
        Self::with(Rc::new(Rules { limits, origins: AllowedOrigins::default() }), handler)
    }

    pub(super) fn with(rules: Rc<Rules>, handler: H) -> Self {
        let handler = RefCell::new(handler);
        Self { shared: Rc::new(Shared { rules, next: Cell::new(0), handler }) }
    }
}

impl<H: Handler> http_core::Handlers for Http<H> {
    type Handler = HttpRequest<H>;

    fn handler(&self, peer: &Peer) -> HttpRequest<H> {
        HttpRequest { shared: Rc::clone(&self.shared), peer: *peer, asked: None }
    }
}

impl<H: Handler> HttpRequest<H> {
    /// What a request's head says of its message.
    fn header(&self, request: &Request<'_>, media: Media) -> Result<Header, Wrong> {
        if media.is_form() {
            return Err(Wrong::media(format!("this Content-Type is a form's; {RIGHT}")));
        }
        let is_coded = |coding: &[u8]| !coding.eq_ignore_ascii_case(b"identity");
        if request.fields_named("content-encoding").any(is_coded) {
            let what = "the content is compressed, or coded in another way, and that is not undone";
            let wrong = Wrong::new(Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", what);
            return Err(wrong.with("Accept-Encoding", "identity"));
        }
        if media.json.is_some() && Encoding::of(&media.content_encoding).is_none() {
            let error = ContentError::UnknownEncoding(media.content_encoding.into());
            let what = error.to_string();
            return Err(Wrong::new(Status::UNSUPPORTED_MEDIA_TYPE, error.code(), what));
        }
        let limit = self.shared.rules.limits.content;
        let content_length = match request.content() {
            Content::None => 0,
            Content::Length(length) if length > limit => return Err(Wrong::too_large(limit)),
            Content::Length(length) => length,
            Content::Chunked => limit,
        };
        Ok(Header {
            content_type: media.content_type,
            content_encoding: media.content_encoding,
            content_length,
            id: None,
            keep_alive: false,
            deadline_ms: None,
        })
    }

    /// Begins to read a message.
    fn begin(
        &mut self,
        request: &Request<'_>,
        reply: http_core::Responder<'_, '_>,
    ) -> http_core::Answer {
        let media = match media(request) {
            Ok(media) => media,
            Err(wrong) => return wrong.send(JsonName::default(), reply),
        };
        let json = media.json.unwrap_or_default();
        let header = match self.header(request, media) {
            Ok(header) => header,
            Err(wrong) => return wrong.send(json, reply),
        };
        let len = header.content_length;
        let sink = match self.shared.handler.borrow_mut().wants(&header) {
            Wants::Stream => Sink::Stream { left: len },
            Wants::Whole => Sink::whole(header, &self.shared.rules.limits, reply.client(request)),
        };
        let has_length = request.content() != Content::Chunked;
        let exchange = Exchange {
            number: self.shared.next.replace(self.shared.next.get() + 1),
            id: None,
            deadline: Time::NEVER,
            len,
            tickets: Vec::new(),
            permit: None,
        };
        let coming = Some(Coming { sink, has_length, paused: false });
        self.asked = Some(Box::new(Asked { exchange, json, coming }));
        read(reply)
    }

    /// Goes on as the handler has `given`.
    fn follow(
        &mut self,
        given: Answer,
        asked: Box<Asked>,
        reply: http_core::Responder<'_, '_>,
    ) -> http_core::Answer {
        let (status, message) = match given.0 {
            Given::Later => match &asked.coming {
                None if asked.exchange.tickets.is_empty() => {
                    let what = "the answer was to come later, and nothing was to bring it";
                    (Status::INTERNAL_SERVER_ERROR, error_reply("internal", what))
                }
                coming => {
                    let reads = coming.as_ref().is_some_and(|coming| !coming.paused);
                    self.asked = Some(asked);
                    return if reads { read(reply) } else { reply.later() };
                }
            },
            Given::Now(message) => (status_of(&message), message),
            Given::Refused(refusal) => (status_for(refusal.code), refusal.reply()),
            Given::Failed(message, _) => (Status::INTERNAL_SERVER_ERROR, message),
        };
        let mut fields = Fields::new();
        if status == Status::SERVICE_UNAVAILABLE {
            let _ = fields.push("Retry-After", b"1");
        }
        send(status, message, asked.json, &fields, reply)
    }
}

/// What a request's Content-Type says.
fn media(request: &Request<'_>) -> Result<Media, Wrong> {
    let mut types = request.fields_named("content-type");
    let Some(value) = types.next() else {
        return Err(Wrong::media(format!("there is no Content-Type; {RIGHT}")));
    };
    Media::read(value).filter(|_| types.next().is_none()).ok_or_else(|| {
        let what = "the Content-Type is none, such as text/json; charset=utf-8";
        Wrong::new(Status::BAD_REQUEST, "bad_header", what)
    })
}

/// What is right where the type is wrong.
const RIGHT: &str = "JSON is sent as application/json or text/json (with curl, \
                     -H 'content-type: application/json'), and what is no JSON under a type of its \
                     own";

/// Asks for more of the body. What is too much of it is answered here.
fn read(reply: http_core::Responder<'_, '_>) -> http_core::Answer {
    reply.read_up_to(u64::MAX)
}

/// A request that was answered is asked about: the server doesn't.
fn unasked(reply: http_core::Responder<'_, '_>) -> http_core::Answer {
    Wrong::new(Status::INTERNAL_SERVER_ERROR, "internal", "there is nothing to be answered")
        .send(JsonName::default(), reply)
}

/// Sends a message as a response. `more` has fields besides its Content-Type.
fn send(
    status: Status,
    message: Message,
    json: JsonName,
    more: &Fields,
    reply: http_core::Responder<'_, '_>,
) -> http_core::Answer {
    let content_type = media::content_type(&message, json);
    let Ok(fields) = fields(&content_type) else {
        let what = "the reply's content-type is none that HTTP can send";
        return Wrong::new(Status::INTERNAL_SERVER_ERROR, "internal", what).send(json, reply);
    };
    reply.send(status, &fields.and(more), Body::Shared(&message.content))
}

/// The fields of content of this type; of none where it has no name.
fn fields(content_type: &str) -> Result<Fields, http_core::BadField> {
    let fields = Fields::new().with("X-Content-Type-Options", b"nosniff")?;
    match content_type {
        "" => Ok(fields),
        _ => fields.with("Content-Type", content_type.as_bytes()),
    }
}

/// The status of what a handler answers: an error's is that of its code.
fn status_of(message: &Message) -> Status {
    // As `error_reply` begins: what doesn't is not read. Nor is what is large, and may be what a
    // peer has sent, but for its end.
    if !message.is_json() || !message.content.starts_with(b"{\"result\": \"Error: ") {
        return Status::OK;
    }
    let status = if message.content.len() > LARGE {
        ErrorReply::code_at_end(&message.content).map(status_for)
    } else {
        let code = ErrorReply::of(message).and_then(|error| error.code);
        code.map(|code| status_for(&code))
    };
    status.unwrap_or(Status::OK)
}

fn status_for(code: &str) -> Status {
    match code {
        "bad_header" | "bad_content" | "bad_request" | "incomplete" => Status::BAD_REQUEST,
        "not_found" => Status::NOT_FOUND,
        "timeout" => Status::REQUEST_TIMEOUT,
        "too_large" | "too_complex" => Status::CONTENT_TOO_LARGE,
        "unsupported_encoding" | "unsupported_type" => Status::UNSUPPORTED_MEDIA_TYPE,
        "busy" => Status::SERVICE_UNAVAILABLE,
        "internal" => Status::INTERNAL_SERVER_ERROR,
        // What a handler calls by a name of its own was read, and won't be done.
        _ => Status::UNPROCESSABLE_CONTENT,
    }
}

/// The code of a request that the HTTP server refuses, as frames call it where they have a name.
fn code_of(status: Status, code: &'static str) -> &'static str {
    match status {
        Status::BAD_REQUEST if code == "eof_in_body" => "incomplete",
        Status::BAD_REQUEST => "bad_header",
        Status::METHOD_NOT_ALLOWED => "method_not_allowed",
        Status::REQUEST_TIMEOUT => "timeout",
        Status::CONTENT_TOO_LARGE
        | Status::URI_TOO_LONG
        | Status::REQUEST_HEADER_FIELDS_TOO_LARGE => "too_large",
        Status::INTERNAL_SERVER_ERROR => "internal",
        _ => code,
    }
}

impl<H: Handler> http_core::Handler for HttpRequest<H> {
    fn on_request(
        &mut self,
        request: &Request<'_>,
        reply: http_core::Responder<'_, '_>,
    ) -> http_core::Answer {
        if let Some(what) = self.shared.rules.origins.refusal(request) {
            return Wrong::new(Status::FORBIDDEN, "forbidden_origin", what)
                .send(JsonName::default(), reply);
        }
        match (request.method(), request.path()) {
            (Method::Extension(name), _) => {
                let what = format!("the client sent the method {name}, which nothing here knows");
                Wrong::new(Status::NOT_IMPLEMENTED, "unknown_method", what)
                    .send(JsonName::default(), reply)
            }
            (Method::Post, b"/") => self.begin(request, reply),
            (Method::Get | Method::Head, b"/") => match fields("text/plain; charset=utf-8") {
                Ok(fields) => reply.send(Status::OK, &fields, Body::Static(HELP.as_bytes())),
                Err(_) => unasked(reply),
            },
            (Method::Options, b"/" | b"*") => {
                let allow = Fields::new().with("Allow", METHODS.as_bytes()).unwrap_or_default();
                reply.send(Status::NO_CONTENT, &allow, Body::Empty)
            }
            (_, b"/") => {
                let what = format!("messages are sent by POST, not by {}", request.method());
                Wrong::new(Status::METHOD_NOT_ALLOWED, "method_not_allowed", what)
                    .with("Allow", METHODS)
                    .send(JsonName::default(), reply)
            }
            _ => Wrong::new(Status::NOT_FOUND, "not_found", "messages are sent to /")
                .send(JsonName::default(), reply),
        }
    }

    fn on_body(&mut self, piece: &[u8], reply: http_core::Responder<'_, '_>) -> http_core::Answer {
        let Some(Asked { exchange, coming: Some(coming), json }) = self.asked.as_deref_mut() else {
            return unasked(reply);
        };
        if piece.len() as u64 > coming.sink.left() {
            let (json, number) = (*json, exchange.number);
            self.asked = None;
            self.shared.handler.borrow_mut().on_given_up(number);
            // More is likely to follow.
            return Wrong::too_large(self.shared.rules.limits.content).send(json, reply.closing());
        }
        coming.sink.take(piece);
        if let Sink::Stream { left } = coming.sink {
            let is_last = coming.has_length && left == 0;
            let mut told = Responder { call: Call::Http(&reply), peer: &self.peer, exchange };
            let flow = self.shared.handler.borrow_mut().on_content(piece, &mut told);
            coming.paused = flow == Flow::Pause && !is_last && !exchange.tickets.is_empty();
            if coming.paused {
                return reply.later();
            }
        }
        read(reply)
    }

    fn on_body_end(
        &mut self,
        _: &Trailers<'_>,
        reply: http_core::Responder<'_, '_>,
    ) -> http_core::Answer {
        let Some(mut asked) = self.asked.take() else { return unasked(reply) };
        let Some(Coming { sink, .. }) = asked.coming.take() else { return unasked(reply) };
        let (peer, exchange) = (&self.peer, &mut asked.exchange);
        let given = match sink {
            Sink::Whole { content_type, content_encoding, collected, .. } => {
                let (content, permit) = collected.into_parts();
                exchange.permit = permit;
                let told = Responder { call: Call::Http(&reply), peer, exchange };
                let message = Message { content_type, content_encoding, content };
                self.shared.handler.borrow_mut().on_message(message, peer, told)
            }
            Sink::TooComplex { .. } => too_complex(&self.shared.rules.limits),
            Sink::Busy { .. } => busy(),
            Sink::Stream { .. } | Sink::Nowhere { .. } => self
                .shared
                .handler
                .borrow_mut()
                .on_end(Responder { call: Call::Http(&reply), peer, exchange }),
        };
        self.follow(given, asked, reply)
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        reply: http_core::Responder<'_, '_>,
    ) -> http_core::Answer {
        let Some(mut asked) = self.asked.take() else { return unasked(reply) };
        let exchange = &mut asked.exchange;
        let Some(at) = exchange.tickets.iter().position(|one| *one == ticket) else {
            // Of a message that was answered before it: it brings nothing.
            let waits_on = Answer(Given::Later);
            return self.follow(waits_on, asked, reply);
        };
        exchange.tickets.swap_remove(at);
        let told = Responder { call: Call::Http(&reply), peer: &self.peer, exchange };
        let given = self.shared.handler.borrow_mut().on_settled(ticket, body, told);
        if let Some(coming) = &mut asked.coming {
            coming.paused = false;
        }
        self.follow(given, asked, reply)
    }

    fn page(&self, status: Status, code: &'static str, what: &str) -> Option<(Fields, Bytes)> {
        let text = match what {
            "" => "the request could not be answered".to_owned(),
            what => format!("the client {what}"),
        };
        let message = error_reply(code_of(status, code), &text);
        let json = self.asked.as_ref().map(|asked| asked.json).unwrap_or_default();
        let fields = fields(&media::content_type(&message, json)).ok()?;
        Some((fields, message.content))
    }

    fn allow(&self) -> &'static str {
        METHODS
    }
}

impl<H> fmt::Debug for Http<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// The handler is told of a message that is given up, because its client has left for example.
impl<H: Handler> Drop for HttpRequest<H> {
    fn drop(&mut self) {
        if let Some(asked) = &self.asked {
            self.shared.handler.borrow_mut().on_given_up(asked.exchange.number);
        }
    }
}

impl<H: Handler> fmt::Debug for HttpRequest<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").finish_non_exhaustive()
    }
}
