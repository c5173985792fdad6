//! One request and its response: how much of each has been read and written.

use sockeye_proto::{Mark, Time};

use super::request::Content;
use super::status::Status;

/// One request and its response, from the end of the request's head to the last byte of both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The request's method is HEAD: the response has the head that GET has, and no content.
    pub(crate) head_only: bool,
    /// The request's content.
    pub(crate) incoming: Incoming,
    /// The response.
    pub(crate) outgoing: Outgoing,
    /// The response's status, once its head is written.
    pub(crate) status: Option<Status>,
    /// Where the response's content begins in the output.
    pub(crate) content_at: Mark,
    /// What the handler waits for, besides messages. During a call: what it waited for before.
    pub(crate) waits: Waits,
    /// When the server stops waiting for more of the request's content.
    pub(crate) content_until: Time,
    /// When the response must have sent something: its head, if `Limits::response_timeout` is set;
    /// later, more content, if the client has ended its side. Otherwise [`Time::NEVER`].
    pub(crate) send_by: Time,
    /// The handler has received `StreamEvent::Drain`.
    pub(crate) drain_told: bool,
}

/// How much of a request's content has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The handler has not asked for it.
    NotRequested {
        content: Content,
        /// The client waits for 100 (Continue) before it sends the content (RFC 9110, 10.1.1).
        expects_continue: bool,
    },
    /// The handler reads it, and takes at most `room` more bytes.
    Reading { room: u64 },
    /// The handler has received its end.
    Complete,
}

/// How much of a response has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Nothing.
    Owed,
    /// Its head. This many bytes of content are still to be written.
    Length(u64),
    /// Its head. The content's length is not known before its end.
    UnknownLength,
    /// Its head, and no content will follow.
    HeadOnly,
    /// Its head, and it can't be completed.
    Broken,
}

/// What a response's head says of the length of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentLength {
    /// Nothing: its status has no content, or GET's length isn't known.
    Absent,
    Known(u64),
    /// It is known at the end of the content.
    Unknown,
}

impl ContentLength {
    /// Of a response whose content has that length, where its status has content.
    pub(crate) fn of(status: Status, length: u64) -> Self {
        if status.has_content() { Self::Known(length) } else { Self::Absent }
    }
}

/// What a handler waits for, besides messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// More of the request's content, or its end.
    pub(crate) content: Option<Wanted>,
    /// Room in the output. If both are set, content is read when there is room.
    pub(crate) room: bool,
}

impl Waits {
    /// Whether the request's content is read now.
    pub(crate) fn reads(self) -> bool {
        self.content.is_some() && !self.room
    }
}

/// How much content the handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As much as [`Limits::body`](crate::Limits) allows.
    UpToLimit,
    /// This many bytes in all.
    UpTo(u64),
}

impl Exchange {
    #[inline]
    pub(crate) fn new(head_only: bool, incoming: Incoming) -> Self {
        Self {
            head_only,
            incoming,
            outgoing: Outgoing::Owed,
            status: None,
            content_at: Mark::default(),
            waits: Waits::default(),
            content_until: Time::NEVER,
            send_by: Time::NEVER,
            drain_told: false,
        }
    }

    /// Whether the response's head is written.
    pub(crate) fn has_begun(&self) -> bool {
        self.outgoing != Outgoing::Owed
    }

    /// When the next of its deadlines is.
    pub(crate) fn until(&self) -> Time {
        let is_reading = matches!(self.incoming, Incoming::Reading { .. }) && self.waits.reads();
        let content = if is_reading { self.content_until } else { Time::NEVER };
        content.min(self.send_by)
    }
}
