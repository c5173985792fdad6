//! What the HTTP requests and WebSockets of one connection share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_http::{AllowedOrigins, ws};

use super::Limits;

/// The limits and rules of HTTP and WebSocket that the connections of one shard share.
#[derive(Debug)]
pub(super) struct HttpRules {
    pub(super) limits: Rc<Limits>,
    pub(super) origins: AllowedOrigins,
    pub(super) websocket: Rc<ws::Config>,
}

impl HttpRules {
    pub(super) fn new(limits: Rc<Limits>, origins: AllowedOrigins, websocket: ws::Limits) -> Self {
        // `Limits` decide the size of a message, whatever `websocket` says: a header and its
        // content fit.
        let message = limits.websocket().message;
        let websocket = ws::Config::new(ws::Limits { message, ..websocket });
        let websocket = Rc::new(websocket.allowing_origins(origins.clone()));
        Self { limits, origins, websocket }
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
