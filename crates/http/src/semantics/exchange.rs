//! One request on its way: where its body stands, and where its response does.

use sockeye_proto::{Mark, Time};

use crate::Status;
use crate::h1::body::Decoder;
use crate::semantics::control::Version;
use crate::semantics::request::Content;

/// One request and its response, from the request's head to the last byte of both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The request's version.
    pub(crate) version: Version,
    /// The request's method was HEAD: the response's head is as for GET, and no content follows.
    pub(crate) head_only: bool,
    /// The client asks for another protocol, and may be given it.
    pub(crate) upgrade: bool,
    /// Another request may follow on this connection. Settled when the response's head is written.
    pub(crate) persistent: bool,
    /// More input lies behind the request, as far as is known.
    pub(crate) unread: bool,
    /// The request's body.
    pub(crate) incoming: Incoming,
    /// The response.
    pub(crate) outgoing: Outgoing,
    /// The response's status, when its head is written.
    pub(crate) status: Option<Status>,
    /// Where the response's content begins in the connection's output.
    pub(crate) content_at: Mark,
    /// What the handler waits for, besides messages. During a call: what it waited for before.
    pub(crate) waits: Waits,
    /// When a body that is waited for is given up.
    pub(crate) until: Time,
    /// When the response must have sent something: its head, if there is a time limit for that; once it
    /// has begun, more of it, if its client has ended its side. `NEVER` for everything else.
    pub(crate) send_by: Time,
    /// The response was told that the server wants to stop.
    pub(crate) drain_told: bool,
}

/// Where a request's body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nobody has asked for it.
    Unread {
        content: Content,
        /// The client sends it when it has been told to go on.
        expects_continue: bool,
    },
    /// It is being read, and may have so many bytes more.
    Coming { decoder: Decoder, room: u64 },
    /// The handler was told of its end.
    Ended,
}

/// Where a response stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Nothing of it is written.
    Owed,
    /// Its head is. So many bytes of content are to follow.
    Length(u64),
    /// Its head is. Chunks follow.
    Chunked,
    /// Its head is. What follows is content until the connection closes.
    UntilClose,
    /// Its head is, and no content follows that.
    HeadOnly,
    /// It can't be completed as it was begun.
    Broken,
}

/// What a handler waits for, besides messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// More of the request's body, or its end. At most so many bytes of it all in all, where that
    /// was said.
    pub(crate) body: Option<Wanted>,
    /// Room in the output; if both, the body when there is room.
    pub(crate) room: bool,
}

impl Waits {
    /// Whether the body is read now.
    pub(crate) fn reads(self) -> bool {
        self.body.is_some() && !self.room
    }
}

/// How much of a body is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As much as [`Limits::body`](crate::Limits) says.
    UpToLimit,
    /// So many bytes.
    UpTo(u64),
}

impl Incoming {
    /// What follows of it, if anything does.
    pub(crate) fn rest(&self) -> Option<Decoder> {
        match self {
            Self::Unread { content, .. } => Decoder::new(*content),
            Self::Coming { decoder, .. } => Some(*decoder),
            Self::Ended => None,
        }
    }
}

impl Exchange {
    /// Of a request that is refused: nothing is known of it.
    pub(crate) fn refused(head_only: bool) -> Self {
        Self { unread: true, ..Self::new(Version::Http11, head_only, Incoming::Ended) }
    }

    /// Of a request whose connection closes behind it.
    #[inline]
    pub(crate) fn new(version: Version, head_only: bool, incoming: Incoming) -> Self {
        Self {
            version,
            head_only,
            upgrade: false,
            persistent: false,
            unread: false,
            incoming,
            outgoing: Outgoing::Owed,
            status: None,
            content_at: Mark::default(),
            waits: Waits::default(),
            until: Time::NEVER,
            send_by: Time::NEVER,
            drain_told: false,
        }
    }

    /// Whether the response's head is written.
    pub(crate) fn has_begun(&self) -> bool {
        self.outgoing != Outgoing::Owed
    }

    /// Settles, when a whole response is about to be written, whether the connection goes on behind
    /// it: not where more of a body follows than is worth throwing away, which is so many bytes. How
    /// much of it has arrived doesn't matter, so that a response doesn't depend on how the request was
    /// cut.
    pub(crate) fn settle(&mut self, discard: u64) {
        self.persistent &= match self.incoming {
            Incoming::Unread { content: Content::None, expects_continue: false } => return,
            // Whether the body follows, nobody can know (RFC 9110, 10.1.1).
            Incoming::Unread { expects_continue: true, .. } => false,
            incoming => match incoming.rest() {
                Some(rest) => rest.left().is_none_or(|left| left <= discard),
                None => true,
            },
        };
    }

    /// Settles the same when a response is begun that will be written bit by bit: its handler may read
    /// the body meanwhile. Where it doesn't, the connection may close without an announcement.
    pub(crate) fn settle_stream(&mut self) {
        self.persistent &=
            !matches!(self.incoming, Incoming::Unread { expects_continue: true, .. });
    }

    /// When it is too late for what is waited for.
    pub(crate) fn until(&self) -> Time {
        let coming = matches!(self.incoming, Incoming::Coming { .. });
        let body = if coming && self.waits.reads() { self.until } else { Time::NEVER };
        body.min(self.send_by)
    }
}

/// The rest of a body that nobody wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) decoder: Decoder,
    /// So many bytes of it may be thrown away; with more the connection ends.
    pub(crate) room: u64,
    /// When it is given up.
    pub(crate) until: Time,
}
