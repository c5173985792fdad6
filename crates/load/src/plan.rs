//! What is asked, by how many, and until when.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use bytes::Bytes;
use sockeye_message::frame::{self, HeaderTooLong};
use sockeye_message::{Header, Id, Message};

/// A load. Everything in it is bounded: also [`Until::Requests`] comes to an end where the server is
/// gone.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The protocol.
    pub speaks: Speaks,
    /// What is asked: one after the other and then from the beginning again, on each connection.
    /// At least one.
    pub asks: Vec<Ask>,
    /// Connections begin at places in the list of what is asked that lie evenly apart, not all of
    /// them at its beginning: so that what one asks for, the others don't ask for at the same time.
    pub staggered: bool,
    /// Connections in all. 64.
    pub connections: NonZeroUsize,
    /// Threads, each with a loop and its share of the connections. 1.
    pub threads: NonZeroUsize,
    /// When it is over. 10 s.
    pub until: Until,
    /// Requests per second in all; none: as fast as they are answered.
    pub rate: Option<f64>,
    /// Requests of one connection that may be without their responses. 1.
    pub pipeline: NonZeroUsize,
    /// Requests on one connection, after which another follows; none: as many as the server takes.
    pub per_connection: Option<NonZeroU64>,
    /// Compare every byte of content with the first response's.
    pub verify: bool,
    /// Bytes of one response's content; a larger one is [`Trouble::Garbage`](crate::Trouble::Garbage).
    /// 1 GiB.
    pub max_content: u64,
    /// How long a server may be silent while it owes a response. 10 s.
    pub timeout: Duration,
    /// How long connecting may take. 10 s.
    pub connect_timeout: Duration,
}

impl Plan {
    /// The default load of `asks`.
    ///
    /// # Panics
    ///
    /// When there is nothing to ask.
    #[must_use]
    pub fn new(speaks: Speaks, asks: Vec<Ask>) -> Self {
        assert!(!asks.is_empty(), "a load asks for something");
        const SECONDS: Duration = Duration::from_secs(10);
        Self {
            speaks,
            asks,
            staggered: false,
            connections: const { NonZeroUsize::new(64).unwrap() },
            threads: NonZeroUsize::MIN,
            until: Until::Time(SECONDS),
            rate: None,
            pipeline: NonZeroUsize::MIN,
            per_connection: None,
            verify: false,
            max_content: 1 << 30,
            timeout: SECONDS,
            connect_timeout: SECONDS,
        }
    }

    /// How many requests one connection makes.
    pub(crate) fn most(&self) -> u64 {
        self.per_connection.map_or(u64::MAX, NonZeroU64::get)
    }
}

/// A protocol, as far as a load client has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http,
    /// Bytes that come back.
    Echo,
    /// Messages in frames.
    Messages,
}

/// When a load is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so long, learning included. What is under way then is waited for, for at most 1 s more,
    /// and at most the plan's timeout.
    Time(Duration),
    /// When so many requests were made and answered, or lost.
    Requests(u64),
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The bytes, on a connection that goes on.
    pub(crate) keep: Bytes,
    /// The bytes, where the connection is to end with it.
    pub(crate) last: Bytes,
    /// The response has no content, whatever it says: HTTP's `HEAD`.
    pub(crate) head: bool,
}

impl Ask {
    /// Bytes that come back.
    #[must_use]
    pub fn bytes(bytes: Bytes) -> Self {
        Self { keep: bytes.clone(), last: bytes, head: false }
    }

    /// A request that is sent as it is: in one form on a connection that goes on, and in another as
    /// the last one there. `head`: it is HTTP's, and for the head alone.
    #[must_use]
    pub fn raw(keep: Bytes, last: Bytes, head: bool) -> Self {
        Self { keep, last, head }
    }

    /// A message: in a frame with an id and `"connection": "keep-alive"`, and as the last one in a
    /// frame without them.
    ///
    /// # Errors
    ///
    /// When its type or encoding is too long for a header.
    pub fn message(message: &Message) -> Result<Self, HeaderTooLong> {
        let mut header = Header::of(message);
        let last = [frame::head(&header)?, message.content.to_vec()].concat();
        header.id = Some(Id::number(1));
        header.keep_alive = true;
        let keep = [frame::head(&header)?, message.content.to_vec()].concat();
        Ok(Self { keep: keep.into(), last: last.into(), head: false })
    }

    /// The bytes that are sent: on a connection that goes on, or as the last there.
    #[must_use]
    pub fn wire(&self, last: bool) -> &Bytes {
        if last { &self.last } else { &self.keep }
    }
}
