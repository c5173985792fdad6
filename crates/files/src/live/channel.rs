//! The WebSocket of an open page: it is told what has changed.

use std::sync::Arc;

use sockeye_http::ws::{CloseCode, Handler, Message, Socket};

use super::changes::Live;

/// The WebSocket of one page.
#[derive(Debug)]
pub(crate) struct Channel {
    live: Arc<Live>,
    /// The number of the last change that the page was told, if it is known.
    seen: Option<u64>,
}

impl Channel {
    /// The channel of a page that was made with this query, `since=TOKEN`.
    pub(crate) fn new(live: &Arc<Live>, query: Option<&[u8]>) -> Self {
        let query = query.and_then(|query| str::from_utf8(query).ok());
        let token = query.and_then(|query| query.strip_prefix("since="));
        Self { live: Arc::clone(live), seen: token.and_then(|token| live.seen_with(token)) }
    }

    /// Sends what the page was not told yet. One that is slow gets several changes at once.
    fn send(&mut self, socket: &mut Socket<'_, '_>) {
        if socket.is_full() {
            socket.want_room();
        } else if let Some((number, message)) = self.live.message(self.seen) {
            self.seen = Some(number);
            socket.send(message.as_str());
        }
    }
}

impl Handler for Channel {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        // First, so that no change is missed.
        self.live.follow(socket.remote());
        self.send(socket);
    }

    fn on_message(&mut self, _: Message<'_>, socket: &mut Socket<'_, '_>) {
        socket.close(CloseCode::POLICY_VIOLATION, "pages are only told what has changed");
    }

    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        self.send(socket);
    }

    fn on_room(&mut self, socket: &mut Socket<'_, '_>) {
        self.send(socket);
    }
}
