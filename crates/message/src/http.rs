//! Messages over HTTP: a [`Handler`] of messages answers those in HTTP requests, and those on
//! WebSockets that clients open.
//!
//! `POST /` is a message: its Content-Type and charset are the message's type and encoding, its
//! body is the content. The status of the response shows whether it is an error. `application/json`
//! and `text/json` both mean JSON, and the response uses the name that the request used. Over HTTP,
//! messages have neither an id nor a deadline. Pages of allowed origins can read responses (CORS).

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use sockeye_http::{
    self as http_core, AllowedOrigins, Answer as HttpAnswer, BadField, Body, Content, Fields,
    Method, Request, Responder as HttpResponder, Status, Trailers, Version, ws,
};
use sockeye_proto::{Client, Peer, Ticket};

use super::answer::Response;
use super::connection_state::{ConnectionState, HttpRules};
use super::media::{self, JsonName, Media};
use super::page;
use super::receive::Receiver;
use super::request::PendingRequest;
use super::responder::Call;
use super::websocket::WebSocket;
use super::{
    Answer, ErrorResponse, Flow, Handler, Header, LARGE_CONTENT, Limits, Message, Refusal,
    Responder, Settled, error_response,
};

/// The methods that are answered.
const METHODS: &str = "GET, HEAD, OPTIONS, POST";

/// Answers the requests of one HTTP connection with a [`Handler`] of messages.
pub struct Http<H> {
    shared: Rc<ConnectionState<H>>,
}

/// Answers one HTTP request with the connection's [`Handler`] of messages.
pub struct HttpRequest<H: Handler> {
    shared: Rc<ConnectionState<H>>,
    peer: Peer,
    /// The fields of CORS in the response: see [`HttpRules::cors`].
    cors: Fields,
    /// The message that is arriving, or has no response yet.
    pending: Option<Box<PendingMessage>>,
}

/// A message that has no response yet.
struct PendingMessage {
    request: PendingRequest,
    /// Who is charged for the content and for jobs.
    client: Client,
    json: JsonName,
    /// `None` once the content is complete.
    content: Option<IncomingContent>,
}

/// Content that is arriving.
struct IncomingContent {
    receiver: Receiver,
    /// The head announces the length of the content, so the content is not chunked.
    has_length: bool,
    /// The handler has returned [`Flow::Pause`].
    paused: bool,
}

/// An error response that doesn't come from the handler, for example to a request that is not a
/// valid message.
struct HttpError {
    refusal: Refusal,
    fields: Fields,
    json: JsonName,
}

impl HttpError {
    fn new(code: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        let refusal = Refusal::new(code, reason);
        Self { refusal, fields: Fields::new(), json: JsonName::default() }
    }

    /// Adds a field to the response.
    fn with(mut self, name: &str, value: &str) -> Self {
        let _ = self.fields.push(name, value.as_bytes());
        self
    }

    /// For JSON, the response gets the name that the Content-Type of `request` uses:
    /// application/json or text/json.
    fn in_type_of(mut self, request: &Request<'_>) -> Self {
        let media = request.field("content-type").and_then(Media::read);
        self.json = media.and_then(|media| media.json).unwrap_or_default();
        self
    }

    /// 415, with the types that are accepted.
    fn unsupported_type(what: &str) -> Self {
        Self::new("unsupported_type", format!("{what}; {ACCEPTED}"))
            .with("Accept", "application/json, text/json, */*;q=0.5")
    }

    fn send(self, responder: HttpResponder<'_, '_>) -> HttpAnswer {
        let Refusal { code, reason } = &self.refusal;
        let status = match *code {
            "forbidden_origin" => Status::FORBIDDEN,
            "method_not_allowed" => Status::METHOD_NOT_ALLOWED,
            "unknown_method" => Status::NOT_IMPLEMENTED,
            code => status_for_code(code),
        };
        send(status, error_response(code, reason), self.json, &self.fields, responder)
    }
}

impl<H: Handler + 'static> Http<H> {
    /// A connection whose requests `handler` answers. Of `limits`, only those on content are
    /// applied to HTTP requests here; the HTTP server enforces the timeouts ([`Limits::http`]).
    /// Pages of other origins are refused.
    pub fn new(limits: Rc<Limits>, handler: H) -> Self {
        let websocket = limits.websocket();
        let rules = HttpRules::new(limits, AllowedOrigins::default(), websocket);
        Self::with(Rc::new(rules), handler)
    }

    pub(super) fn with(rules: Rc<HttpRules>, handler: H) -> Self {
        Self { shared: Rc::new(ConnectionState::new(rules, handler)) }
    }
}

impl<H: Handler + 'static> http_core::Handlers for Http<H> {
    type Handler = HttpRequest<H>;

    fn handler(&self, peer: &Peer) -> HttpRequest<H> {
        let (shared, peer) = (Rc::clone(&self.shared), peer.clone());
        HttpRequest { shared, peer, cors: Fields::new(), pending: None }
    }
}

impl<H: Handler + 'static> HttpRequest<H> {
    /// Reads `request` as a message. Returns its header, and the name of JSON for its response.
    fn header(&self, request: &Request<'_>) -> Result<(Header, JsonName), HttpError> {
        let mut types = request.fields_named("content-type");
        let Some(value) = types.next() else {
            return Err(HttpError::unsupported_type("there is no Content-Type"));
        };
        let Some(media) = Media::read(value).filter(|_| types.next().is_none()) else {
            let what = "the Content-Type is malformed, or there are several; send one, such as 'text/json; charset=utf-8'";
            return Err(HttpError::new("bad_header", what));
        };
        if media.is_form() {
            return Err(HttpError::unsupported_type("this Content-Type is a form's"));
        }
        let json = media.json.unwrap_or_default();
        let is_encoded = |coding: &[u8]| !coding.eq_ignore_ascii_case(b"identity");
        if request.fields_named("content-encoding").any(is_encoded) {
            let what = "the content has a Content-Encoding; send it without one, uncompressed";
            let error = HttpError { json, ..HttpError::new("unsupported_encoding", what) };
            return Err(error.with("Accept-Encoding", "identity"));
        }
        let header = Header {
            content_type: media.content_type,
            content_encoding: media.content_encoding,
            content_length: match request.content() {
                Content::None => 0,
                Content::Length(length) => length,
                Content::Chunked => self.shared.rules.limits.content,
            },
            id: None,
            keep_alive: false,
            deadline_ms: None,
        };
        match header.check(&self.shared.rules.limits) {
            Ok(()) => Ok((header, json)),
            Err(refusal) => Err(HttpError { refusal, fields: Fields::new(), json }),
        }
    }

    /// Starts to read a message.
    fn begin(&mut self, request: &Request<'_>, responder: HttpResponder<'_, '_>) -> HttpAnswer {
        let (header, json) = match self.header(request) {
            Ok(header) => header,
            Err(error) => return self.refuse(error, responder),
        };
        let len = header.content_length;
        let mode = self.shared.handler.borrow_mut().content_mode(&header);
        let client = responder.client(request);
        // One connection of HTTP/2 can have many messages at a time, so all content is charged, not
        // only what exceeds 64 KiB.
        let charges_all = request.version() == Version::Http2;
        let receiver = Receiver::new(mode, header, &self.shared.rules.limits, client, charges_all);
        let has_length = request.content() != Content::Chunked;
        let request = PendingRequest::new(self.shared.take_number(), len);
        let content = Some(IncomingContent { receiver, has_length, paused: false });
        self.pending = Some(Box::new(PendingMessage { request, client, json, content }));
        read_more(responder)
    }

    /// Sends an error response with the fields of CORS, so that the page that sent the request can
    /// read it.
    fn refuse(&self, error: HttpError, responder: HttpResponder<'_, '_>) -> HttpAnswer {
        let fields = error.fields.and(&self.cors);
        HttpError { fields, ..error }.send(responder)
    }

    /// Opens a WebSocket, whose messages the connection's handler answers.
    fn open_websocket(
        &self,
        request: &Request<'_>,
        is_tls: bool,
        responder: HttpResponder<'_, '_>,
    ) -> HttpAnswer {
        let config = &self.shared.rules.websocket;
        let handshake = match ws::Handshake::read(request, is_tls, config) {
            Ok(handshake) => handshake,
            Err(refused) => {
                let code = message_code(refused.status(), "bad_header");
                let what = refused.text().trim_end_matches('.').to_owned();
                let fields = refused.fields();
                return self.refuse(HttpError { fields, ..HttpError::new(code, what) }, responder);
            }
        };
        // One connection of HTTP/2 can have many WebSockets, so all content is charged.
        let charges_all = request.version() == Version::Http2;
        let client = responder.client(request);
        let handler = WebSocket::new(Rc::clone(&self.shared), client, charges_all);
        let connection = Box::new(ws::Connection::server(Rc::clone(config), handler));
        match responder.upgrade("websocket", &handshake.fields(None), connection) {
            Ok(answer) => answer,
            Err(responder) => {
                let error = HttpError::new("busy", "the server is stopping");
                self.refuse(error.with("Retry-After", "1"), responder)
            }
        }
    }

    /// Sends the handler's answer. If there is none yet, reads more content, or waits for a promise
    /// (a pending result).
    fn continue_with(
        &mut self,
        answer: Answer,
        pending: Box<PendingMessage>,
        responder: HttpResponder<'_, '_>,
    ) -> HttpAnswer {
        // While content is still to come, the handler may yet make a promise.
        let may_follow = pending.content.is_some() || !pending.request.tickets.is_empty();
        let Some(Response { message, fault }) = answer.into_response(may_follow) else {
            let reads = pending.content.as_ref().is_some_and(|content| !content.paused);
            self.pending = Some(pending);
            return if reads { read_more(responder) } else { responder.later() };
        };
        let status =
            fault.map_or_else(|| response_status(&message), |fault| status_for_code(fault.code));
        let mut fields = self.cors.clone();
        if status == Status::SERVICE_UNAVAILABLE {
            let _ = fields.push("Retry-After", b"1");
        }
        send(status, message, pending.json, &fields, responder)
    }
}

/// The hint in refusals of a Content-Type.
const ACCEPTED: &str = "send JSON as application/json or text/json (with curl, \
                     -H 'content-type: application/json'), and other content with its own type";

/// Reads more of the body. `on_body` enforces the limit.
fn read_more(responder: HttpResponder<'_, '_>) -> HttpAnswer {
    responder.read_up_to(u64::MAX)
}

/// The response to a call that the HTTP server never makes, such as the end of a body without a
/// pending message.
fn unexpected(responder: HttpResponder<'_, '_>) -> HttpAnswer {
    HttpError::new("internal", "the server has a bug").send(responder)
}

/// Sends a message as a response, with the additional fields `more`.
fn send(
    status: Status,
    message: Message,
    json: JsonName,
    more: &Fields,
    responder: HttpResponder<'_, '_>,
) -> HttpAnswer {
    let content_type = media::content_type(&message, json);
    let Ok(fields) = fields(&content_type) else {
        let what = "the response's content-type can't be sent over HTTP";
        let error = HttpError::new("internal", what);
        return HttpError { json, fields: more.clone(), ..error }.send(responder);
    };
    responder.send(status, &fields.and(more), Body::Shared(&message.content))
}

/// The fields of a response. If `content_type` is empty, there is no Content-Type.
fn fields(content_type: &str) -> Result<Fields, BadField> {
    let fields = Fields::new().with("X-Content-Type-Options", b"nosniff")?;
    match content_type {
        "" => Ok(fields),
        _ => fields.with("Content-Type", content_type.as_bytes()),
    }
}

/// The status of a handler's response. The status of an error depends on its code.
fn response_status(message: &Message) -> Status {
    // Only content that begins like that of `error_response` is parsed. An error may quote what the
    // peer sent, and so be large. Of a large error, only the end is parsed.
    if !message.is_json() || !message.content.starts_with(b"{\"result\": \"Error: ") {
        return Status::OK;
    }
    let status = if message.content.len() > LARGE_CONTENT {
        ErrorResponse::code_at_end(&message.content).map(status_for_code)
    } else {
        let code = ErrorResponse::of(message).and_then(|error| error.code);
        code.map(|code| status_for_code(&code))
    };
    status.unwrap_or(Status::OK)
}

/// The status of an error response with this code.
fn status_for_code(code: &str) -> Status {
    match code {
        "bad_header" | "bad_content" | "bad_request" | "incomplete" => Status::BAD_REQUEST,
        "not_found" => Status::NOT_FOUND,
        "timeout" => Status::REQUEST_TIMEOUT,
        "too_large" | "too_complex" => Status::CONTENT_TOO_LARGE,
        "unsupported_encoding" | "unsupported_type" => Status::UNSUPPORTED_MEDIA_TYPE,
        "busy" => Status::SERVICE_UNAVAILABLE,
        "internal" => Status::INTERNAL_SERVER_ERROR,
        // The handler's own codes.
        _ => Status::UNPROCESSABLE_CONTENT,
    }
}

/// The code in the error message for an error of HTTP. If the same error exists for messages
/// without HTTP, the code is the same as there. Otherwise it is `method_not_allowed` or `code`.
fn message_code(status: Status, code: &'static str) -> &'static str {
    match status {
        Status::BAD_REQUEST if code == "eof_in_body" => "incomplete",
        Status::BAD_REQUEST if code != "tls_on_plain_port" => "bad_header",
        Status::METHOD_NOT_ALLOWED => "method_not_allowed",
        Status::REQUEST_TIMEOUT => "timeout",
        Status::CONTENT_TOO_LARGE
        | Status::URI_TOO_LONG
        | Status::REQUEST_HEADER_FIELDS_TOO_LARGE => "too_large",
        Status::INTERNAL_SERVER_ERROR => "internal",
        _ => code,
    }
}

impl<H: Handler + 'static> http_core::Handler for HttpRequest<H> {
    fn on_request(
        &mut self,
        request: &Request<'_>,
        responder: HttpResponder<'_, '_>,
    ) -> HttpAnswer {
        let is_tls = responder.peer().tls.is_some();
        if let Some(what) = self.shared.rules.origins.refusal(request, is_tls) {
            let error = HttpError::new("forbidden_origin", what);
            return error.in_type_of(request).send(responder);
        }
        self.cors = self.shared.rules.cors(request);
        if ws::is_websocket_request(request) && request.path() == b"/" {
            return self.open_websocket(request, is_tls, responder);
        }
        match (request.method(), request.path()) {
            (Method::Extension(name), _) => {
                let what = format!("the client sent the unknown method {name}");
                let error = HttpError::new("unknown_method", what);
                self.refuse(error.in_type_of(request), responder)
            }
            (Method::Post, b"/") => self.begin(request, responder),
            (Method::Get | Method::Head, b"/") => {
                let (fields, body) = page::description(request, is_tls);
                responder.send(Status::OK, &fields.and(&self.cors), body)
            }
            (Method::Options, b"/" | b"*") => {
                let allow = Fields::new().with("Allow", METHODS.as_bytes()).unwrap_or_default();
                let preflight = self.shared.rules.preflight(request).unwrap_or_default();
                let fields = allow.and(&self.cors).and(&preflight);
                responder.send(Status::NO_CONTENT, &fields, Body::Empty)
            }
            (_, b"/") => {
                let what = format!("messages are sent by POST, not by {}", request.method());
                let error = HttpError::new("method_not_allowed", what).with("Allow", METHODS);
                self.refuse(error.in_type_of(request), responder)
            }
            _ => {
                let error = HttpError::new("not_found", "messages are sent to /");
                self.refuse(error.in_type_of(request), responder)
            }
        }
    }

    fn on_body(&mut self, piece: &[u8], responder: HttpResponder<'_, '_>) -> HttpAnswer {
        let Some(PendingMessage { request, client, content: Some(content), json }) =
            self.pending.as_deref_mut()
        else {
            return unexpected(responder);
        };
        if piece.len() as u64 > content.receiver.remaining() {
            let (json, number) = (*json, request.number);
            self.pending = None;
            self.shared.handler.borrow_mut().on_cancelled(number);
            // In HTTP/1.1, the connection closes, since more content is likely to follow.
            let limit = self.shared.rules.limits.content;
            let what = format!("the content has more than {limit} bytes, which is the limit");
            let error = HttpError { json, ..HttpError::new("too_large", what) };
            return self.refuse(error, responder.closing());
        }
        let call = Call::Http(&responder, *client);
        let inner = Responder { call, peer: &self.peer, request };
        let flow = content.receiver.take(piece, &mut *self.shared.handler.borrow_mut(), inner);
        let is_last = content.has_length && content.receiver.remaining() == 0;
        content.paused = flow == Flow::Pause && !is_last;
        if content.paused { responder.later() } else { read_more(responder) }
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: HttpResponder<'_, '_>) -> HttpAnswer {
        let Some(mut pending) = self.pending.take() else { return unexpected(responder) };
        let Some(content) = pending.content.take() else { return unexpected(responder) };
        let (peer, request) = (&self.peer, &mut pending.request);
        let call = Call::Http(&responder, pending.client);
        let inner = Responder { call, peer, request };
        let answer = content.receiver.finish(&mut *self.shared.handler.borrow_mut(), inner);
        self.continue_with(answer, pending, responder)
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Settled,
        responder: HttpResponder<'_, '_>,
    ) -> HttpAnswer {
        let Some(mut pending) = self.pending.take() else { return unexpected(responder) };
        let request = &mut pending.request;
        if !request.take_ticket(ticket) {
            // The promise was made for an earlier request of the connection.
            return self.continue_with(Answer::LATER, pending, responder);
        }
        let call = Call::Http(&responder, pending.client);
        let inner = Responder { call, peer: &self.peer, request };
        let answer = self.shared.handler.borrow_mut().on_settled(ticket, body, inner);
        if let Some(content) = &mut pending.content {
            content.paused = false;
        }
        self.continue_with(answer, pending, responder)
    }

    fn page(&self, status: Status, code: &'static str, what: &str) -> Option<(Fields, Bytes)> {
        let text = match what {
            "" => "the request could not be answered".to_owned(),
            what => format!("the client {what}"),
        };
        let message = error_response(message_code(status, code), &text);
        let json = self.pending.as_ref().map(|pending| pending.json).unwrap_or_default();
        let fields = fields(&media::content_type(&message, json)).ok()?;
        Some((fields.and(&self.cors), message.content))
    }

    fn allow(&self) -> &'static str {
        METHODS
    }

    fn can_upgrade(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"websocket")
    }
}

/// Tells the handler that a message is cancelled, for example because its client has left.
impl<H: Handler> Drop for HttpRequest<H> {
    fn drop(&mut self) {
        if let Some(pending) = &self.pending {
            self.shared.handler.borrow_mut().on_cancelled(pending.request.number);
        }
    }
}

impl<H> fmt::Debug for Http<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl<H: Handler> fmt::Debug for HttpRequest<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").finish_non_exhaustive()
    }
}
