//! The WebSocket of an open page, which tells the page what has changed.

use std::sync::Arc;

use sockeye_http::ws::{CloseCode, Handler, Message, Socket};

use super::changes::Live;

/// The WebSocket of one page.
#[derive(Debug)]
pub(crate) struct Channel {
    live: Arc<Live>,
    /// The number of the last batch of changes that the page knows: it was loaded after this batch,
    /// or this WebSocket has sent the batch. `None`: unknown, so the page is told that everything
    /// may have changed.
    seen: Option<u64>,
}

impl Channel {
    /// The channel for a request with this query: `since=` and the token that [`Live::token`] made
    /// for the page.
    pub(crate) fn new(live: &Arc<Live>, query: Option<&[u8]>) -> Self {
        let query = query.and_then(|query| str::from_utf8(query).ok());
        let token = query.and_then(|query| query.strip_prefix("since="));
        Self { live: Arc::clone(live), seen: token.and_then(|token| live.seen_with(token)) }
    }

    /// Sends the changes that the page does not know yet, in one message. If the output is full,
    /// waits for space in it, so a slow page gets several batches at once.
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
        // Follow first, so that no change between the two calls is missed.
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
