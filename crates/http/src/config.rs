//! What the conversations of one shard share: limits, the date, and room to parse in.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::{Client, Peer, Wall};

use super::block::Block;
use super::request::Span;
use super::tape::Pages;
use super::{Clients, HostCheck, Log, Request, Status, date};

/// How much of a client's request is taken, and how long is waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request line, its CRLF included; a longer one is answered with 414. 8 KiB. A method has
    /// a limit of its own, [`Method::LONGEST`](super::Method::LONGEST).
    pub request_line: usize,
    /// Bytes of a whole request head; a longer one is answered with 431. 32 KiB.
    pub head: usize,
    /// Field lines of a request; more are answered with 431. 128.
    pub fields: usize,
    /// How long a head may take from its first byte; then 408. 10 s.
    pub head_timeout: Duration,
    /// How long a connection may wait for the first byte of a request; then it is closed. 60 s.
    pub idle_timeout: Duration,
    /// Bytes of a request's body that a handler asks for without naming a limit of its own; a
    /// larger one is answered with 413. 16 MiB.
    pub body: u64,
    /// How long a body that is wanted may stay without progress; then 408. 30 s.
    pub body_timeout: Duration,
    /// How long a handler may take until the head of its response is there; then the response is 503,
    /// and the handler hears of it ([`Handler::on_response_timeout`](super::Handler)). The time runs
    /// from when the handler was given the request, and anew from when it was given the request's
    /// body, or a piece of it: while a client sends what the handler reads, `body_timeout` counts. A
    /// response that has begun has no such limit. Default: `None`, which waits for ever, so that
    /// requests can be held until there is something to say (long polling).
    pub response_timeout: Option<Duration>,
    /// How long a streamed response may send nothing after its client has ended its side; then the
    /// response is cancelled and the connection closed. A response that is sent whole, however late,
    /// has no such limit but `response_timeout`. 15 s.
    pub half_closed_timeout: Duration,
    /// Bytes of a request's body that are read and thrown away, when it was answered without its
    /// body, so that the connection can go on. With more to come it is closed. 64 KiB.
    pub discard: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8 * 1024,
            head: 32 * 1024,
            fields: 128,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body: 16 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            response_timeout: None,
            half_closed_timeout: Duration::from_secs(15),
            discard: 64 * 1024,
        }
    }
}

/// What the conversations of one shard share. Made once per shard, in an `Rc`.
pub struct Shared {
    pub(super) limits: Limits,
    names_itself: bool,
    // The second that `opening` was written for.
    second: Cell<Option<Wall>>,
    /// The status line of a 200 and the fields that stand in every reply.
    opening: RefCell<Vec<u8>>,
    block: Cell<Option<Box<Block>>>,
    trailers: Cell<Vec<Span>>,
    log: Option<Rc<dyn Log>>,
    clients: Option<Rc<dyn Clients>>,
    pages: RefCell<Vec<Pages>>,
    host_check: Option<HostCheck>,
}

/// So many pages are kept that no connection uses: as many as requests may be under way at once,
/// mostly.
const SPARE_PAGES: usize = 64;

impl Shared {
    /// With these limits. Replies have no `Server` field.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            names_itself: false,
            second: Cell::new(None),
            opening: RefCell::default(),
            block: Cell::default(),
            trailers: Cell::default(),
            log: None,
            clients: None,
            pages: RefCell::default(),
            host_check: None,
        }
    }

    /// Adds `Server: sockeye` to every reply, or leaves it out.
    #[must_use]
    pub fn names_itself(mut self, names_itself: bool) -> Self {
        self.names_itself = names_itself;
        self.second.set(None);
        self
    }

    /// Tells `log` of every request.
    #[must_use]
    pub fn logging(mut self, log: Rc<dyn Log>) -> Self {
        self.log = Some(log);
        self
    }

    /// Has `clients` say who is charged for a request. By default, the peer of its connection.
    #[must_use]
    pub fn clients(mut self, clients: Rc<dyn Clients>) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Who is charged for `request`, which came by way of `peer`.
    pub(super) fn client(&self, peer: &Peer, request: &Request<'_>) -> Client {
        match &self.clients {
            Some(clients) => clients.client(peer, request),
            None => Client::of(peer.address),
        }
    }

    /// Checks which host is asked for. Without this, every host is answered for.
    #[must_use]
    pub fn checking_hosts(mut self, check: HostCheck) -> Self {
        self.host_check = Some(check);
        self
    }

    /// Writes what every reply begins with: its status line, and the fields that are made once a
    /// second.
    #[inline(always)]
    pub(super) fn open(&self, status: Status, now: Wall, bytes: &mut Vec<u8>) {
        let mut opening = self.opening.borrow_mut();
        if self.second.replace(Some(now)) != Some(now) {
            self.make_opening(now, &mut opening);
        }
        if status == Status::OK {
            bytes.extend_from_slice(&opening);
        } else {
            status.with_line(|line| bytes.extend_from_slice(line));
            bytes.extend_from_slice(&opening[Status::OK_LINE.len()..]);
        }
    }

    #[cold]
    fn make_opening(&self, now: Wall, opening: &mut Vec<u8>) {
        opening.clear();
        // Most replies have this status.
        opening.extend_from_slice(Status::OK_LINE);
        opening.extend_from_slice(b"Date: ");
        opening.extend_from_slice(&date::format(now));
        opening.extend_from_slice(b"\r\n");
        if self.names_itself {
            opening.extend_from_slice(b"Server: sockeye\r\n");
        }
    }

    /// Lends the room in which a head is parsed, with the last one's fields. It comes back by
    /// [`Shared::give_back`].
    pub(super) fn lend(&self) -> Box<Block> {
        self.block.take().unwrap_or_default()
    }

    pub(super) fn give_back(&self, block: Box<Block>) {
        self.block.set(Some(block));
    }

    /// Lends the room in which a trailer section is parsed.
    pub(super) fn lend_trailers(&self) -> Vec<Span> {
        self.trailers.take()
    }

    pub(super) fn give_back_trailers(&self, spans: Vec<Span>) {
        self.trailers.set(spans);
    }

    pub(super) fn log(&self) -> Option<&dyn Log> {
        self.log.as_deref()
    }

    pub(super) fn host_check(&self) -> Option<&HostCheck> {
        self.host_check.as_ref()
    }

    /// Lends pages for what a log has yet to hear. They come back by [`Shared::give_back_pages`].
    pub(super) fn lend_pages(&self) -> Pages {
        self.pages.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_back_pages(&self, pages: Pages) {
        let mut spare = self.pages.borrow_mut();
        if spare.len() < SPARE_PAGES && pages.are_worth_keeping() {
            spare.push(pages);
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}
