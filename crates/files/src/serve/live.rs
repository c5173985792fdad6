//! For `--live`: the script of pages that reload after changes, and the WebSocket that the script
//! opens. No file is served at the two paths, because both contain a hidden name.

use std::rc::Rc;
use std::sync::Arc;

use sockeye_http::ws::{Config, Handshake, Limits};
use sockeye_http::{Answer, Body, Fields, Method, Request, Responder, Status};

use crate::file::head::REVALIDATE;
use crate::live::changes::Live;
use crate::live::channel::Channel;
use crate::live::page::{CHANNEL_PATH, SCRIPT, SCRIPT_PATH};
use crate::lookup::rule::Rule;
use crate::options::fields::with;

/// Maximum size of a message from a page, in bytes. Our script sends no messages.
const MAX_MESSAGE: usize = 1024;

/// Answers the requests of one worker for the script and the WebSocket.
pub(super) struct LivePages {
    pub(super) live: Arc<Live>,
    /// The configuration of the WebSockets.
    websocket_config: Rc<Config>,
}

impl LivePages {
    pub(super) fn new(live: &Arc<Live>) -> Self {
        let limits = Limits { message: MAX_MESSAGE, ..Limits::default() };
        Self { live: Arc::clone(live), websocket_config: Rc::new(Config::new(limits)) }
    }

    /// Opens a WebSocket, or answers why not. Only pages of this server may open one.
    fn open(&self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let has_tls = responder.peer().tls.is_some();
        match Handshake::read(request, has_tls, &self.websocket_config) {
            Ok(handshake) => {
                let channel = Channel::new(&self.live, request.query());
                handshake.accept(None, &self.websocket_config, channel, responder)
            }
            Err(refused) => refused.answer(responder),
        }
    }

    /// Answers a request for the script or the WebSocket. Returns the responder if the path names
    /// neither, and for CONNECT of the script.
    pub(super) fn answer<'r, 't>(
        &self,
        request: &Request<'_>,
        responder: Responder<'r, 't>,
    ) -> Result<Answer, Responder<'r, 't>> {
        match request.path() {
            // After a 200 to CONNECT, the client would read the script as WebSocket frames.
            SCRIPT_PATH if request.method() != Method::Connect => {
                let body = Body::Copied(SCRIPT.as_bytes());
                Ok(responder.send(Status::OK, &script_fields(), body))
            }
            CHANNEL_PATH => Ok(self.open(request, responder)),
            _ => Err(responder),
        }
    }
}

fn script_fields() -> Fields {
    let fields = [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", REVALIDATE),
    ];
    fields.into_iter().fold(Fields::new(), |all, (name, value)| with(all, name, value))
}

/// How a GET without an upgrade is answered at the path of the script or of the WebSocket. `None`
/// for any other path.
pub(super) fn explained(path: &[u8]) -> Option<(Status, Rule, Fields)> {
    match path {
        SCRIPT_PATH => Some((Status::OK, Rule::LiveScript, script_fields())),
        CHANNEL_PATH => Some((Status::BAD_REQUEST, Rule::LiveChannel, Fields::new())),
        _ => None,
    }
}
