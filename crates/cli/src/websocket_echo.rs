//! `sockeye echo --websocket`: an HTTP server that opens a WebSocket at every path, and sends each
//! message back.

use std::rc::Rc;

use sockeye::http_core::ws::{self, DeflateOptions, Handshake, Message, Socket};
use sockeye::http_core::{Answer, Fields, Handler, Handlers, Request, Responder, Status};
use sockeye::proto::Peer;

use crate::plan::WebSocket;

/// The response to a request that doesn't ask for a WebSocket.
const HELP: &str = "This server echoes the messages of WebSockets, at every path: connect to it with \
                    ws:// or wss://, as in: sockeye send ws://HOST:PORT/ hello";

/// The handler of HTTP requests: opens a WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct WebSocketEcho(Rc<ws::Config>);

impl WebSocketEcho {
    pub(crate) fn new(WebSocket { limits, origins, deflate, .. }: &WebSocket) -> Self {
        let config = ws::Config::new(limits.clone()).allowing_origins(origins.clone());
        Self(Rc::new(if *deflate { config.deflating(DeflateOptions::new()) } else { config }))
    }
}

impl Handlers for WebSocketEcho {
    type Handler = Self;

    fn handler(&self, _: &Peer) -> Self {
        self.clone()
    }
}

impl Handler for WebSocketEcho {
    fn can_upgrade(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"websocket")
    }

    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        if !ws::is_websocket_request(request) {
            return responder.error(Status::BAD_REQUEST, &Fields::new(), HELP);
        }
        let has_tls = responder.peer().tls.is_some();
        match Handshake::read(request, has_tls, &self.0) {
            // `None`: without a subprotocol.
            Ok(handshake) => handshake.accept(None, &self.0, Echo, responder),
            Err(refused) => refused.answer(responder),
        }
    }
}

/// The handler of a WebSocket: sends messages back.
#[derive(Debug)]
struct Echo;

impl ws::Handler for Echo {
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        socket.send(message);
    }
}
