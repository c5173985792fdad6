//! What the HTTP requests and WebSockets of one connection share, and the rules that all
//! connections of a worker share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_http::{AllowedOrigins, Fields, Request, preflight_fields, ws};

use super::Limits;

/// The limits and rules of HTTP and WebSocket that the connections of one worker share.
#[derive(Debug)]
pub(super) struct HttpRules {
    pub(super) limits: Rc<Limits>,
    /// The added origins: those that are allowed besides the server's own.
    pub(super) origins: AllowedOrigins,
    pub(super) websocket: Rc<ws::Config>,
}

impl HttpRules {
    pub(super) fn new(limits: Rc<Limits>, origins: AllowedOrigins, websocket: ws::Limits) -> Self {
        // A message of the message protocol, with its header, must fit into one of a WebSocket. So
        // the limit on the latter follows from `limits`, and the one in `websocket` is ignored.
        let message = limits.websocket().message;
        let websocket = ws::Config::new(ws::Limits { message, ..websocket });
        let websocket = Rc::new(websocket.allowing_origins(origins.clone()));
        Self { limits, origins, websocket }
    }

    /// The CORS fields of the response to a `request` that was not refused. If the request comes
    /// from a page of an added origin, they let that page read the response. Empty if only the
    /// server's own origin is allowed.
    pub(super) fn cors(&self, request: &Request<'_>) -> Fields {
        let mut fields = Fields::new();
        if self.origins.is_empty() {
            return fields;
        }
        if let Some(origin) = self.origins.added_origin(request) {
            // Never fails: a value in a request is valid in a response.
            let _ = fields.push("Access-Control-Allow-Origin", origin);
        }
        let _ = fields.push("Vary", b"Origin");
        fields
    }

    /// The fields that the response to OPTIONS has besides those of [`HttpRules::cors`], if
    /// `request` is a preflight request from a page of an added origin. They allow the page to send
    /// messages.
    pub(super) fn preflight(&self, request: &Request<'_>) -> Option<Fields> {
        self.origins.added_origin(request)?;
        request.field("access-control-request-method")?;
        preflight_fields("GET, HEAD, POST", request.field("access-control-request-headers"))
    }
}

/// The state that the requests and WebSockets of one connection share.
pub(super) struct ConnectionState<H> {
    pub(super) rules: Rc<HttpRules>,
    next_number: Cell<u64>,
    pub(super) handler: RefCell<H>,
}

impl<H> ConnectionState<H> {
    pub(super) fn new(rules: Rc<HttpRules>, handler: H) -> Self {
        Self { rules, next_number: Cell::new(0), handler: RefCell::new(handler) }
    }

    /// Takes the number for the next message.
    pub(super) fn take_number(&self) -> u64 {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        number
    }
}
