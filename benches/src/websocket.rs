//! The WebSockets of the benchmark's rows whose names begin with `ws`: how they are opened, and
//! their messages.

use std::{
    io::{Read, Write},
    rc::Rc,
};

use sockeye::http_core::{
    self, Answer, Fields, Request, Responder, Server, Status,
    ws::{self, ClientHandshake, FrameHeader, Handshake, Message, Opcode, Opening, Socket},
};
use sockeye::{Peer, Protocol, engine::Service};
use sockeye_load::{PreparedRequest, WebSocketOpening};

use crate::Result;

/// Maximum length of a response's head, which no server here exceeds.
const HEAD_MAX: usize = 8 << 10;

/// A text message, and the frame in which the server sends it back.
#[derive(Debug)]
pub(crate) struct Echo {
    /// The message in the client's frame: the same bytes whether more messages follow
    /// ([`PreparedRequest::keep_alive`]) or not ([`PreparedRequest::last`]).
    pub(crate) request: PreparedRequest,
    /// The server's frame, which has no mask.
    pub(crate) response: Vec<u8>,
}

impl Echo {
    /// A message of `size` bytes.
    pub(crate) fn of(size: usize) -> Self {
        let text: String = "Hello, world. ".chars().cycle().take(size).collect();
        let opening = WebSocketOpening {
            host: "localhost".to_owned(),
            target: "/".to_owned(),
            fields: Fields::new(),
            protocols: Vec::new(),
        };
        let request = PreparedRequest::websocket(opening, Message::Text(&text));
        let (header, len) = FrameHeader::whole(Opcode::Text, size, None).encode();
        Self { request, response: [&header[..len], text.as_bytes()].concat() }
    }

    /// Opens a WebSocket, sends the message once, and checks the response.
    pub(crate) fn exchange(&self, stream: &mut (impl Read + Write)) -> Result<()> {
        open(stream)?;
        stream.write_all(self.request.keep_alive())?;
        let mut echo = vec![0; self.response.len()];
        stream.read_exact(&mut echo)?;
        if echo != self.response {
            return Err("the message did not come back as it was sent".into());
        }
        Ok(())
    }
}

/// Opens a WebSocket.
pub(crate) fn open(stream: &mut (impl Read + Write)) -> Result<()> {
    let (handshake, request) = opening();
    stream.write_all(&request)?;
    let mut head = Vec::new();
    // Reads a byte at a time: the bytes after the head belong to a frame, which is read later.
    while !is_open(&handshake, &head)? {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(())
}

/// The request that opens a WebSocket.
pub(crate) fn opening() -> (ClientHandshake, Vec<u8>) {
    // The server's answer to the key only proves that the server speaks WebSocket, so the key
    // needn't be secret.
    let handshake = ClientHandshake::new([7; 16], &Rc::default());
    let request = handshake.request("localhost", "/", &Fields::new());
    (handshake, request)
}

/// Whether `head` is the whole response that opens the WebSocket.
fn is_open(handshake: &ClientHandshake, head: &[u8]) -> Result<bool> {
    match handshake.read(head).map_err(|error| format!("the server {}", error.0))? {
        Opening::Open { .. } => Ok(true),
        Opening::NeedMore if head.len() < HEAD_MAX => Ok(false),
        _ => Err("the server opened no WebSocket".into()),
    }
}

/// Like `sockeye echo --websocket`, but opens WebSockets only over HTTP/1.1, and for any host.
pub(crate) fn service() -> impl Service {
    let (http, config) = (Rc::<http_core::ServerConfig>::default(), Rc::<ws::Config>::default());
    move |_: &Peer| {
        let config = Rc::clone(&config);
        let open = move |_: &Peer| EchoHandler(Rc::clone(&config));
        Box::new(Server::new(Rc::clone(&http), open)) as Box<dyn Protocol>
    }
}

struct EchoHandler(Rc<ws::Config>);

impl http_core::Handler for EchoHandler {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        if !ws::is_websocket_request(request) {
            return responder.error(Status::BAD_REQUEST, &Fields::new(), "no WebSocket");
        }
        let (has_tls, protocol) = (false, None);
        match Handshake::read(request, has_tls, &self.0) {
            Ok(handshake) => handshake.accept(protocol, &self.0, send_back, responder),
            Err(refused) => refused.answer(responder),
        }
    }
}

fn send_back(message: Message<'_>, socket: &mut Socket<'_, '_>) {
    socket.send(message);
}
