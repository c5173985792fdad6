//! One request and its response: how much of each has been read and written.

use sockeye_proto::{Mark, Time};

use super::chars;
use super::request::Content;
use super::status::Status;

/// One request and its response, from the end of the request's head to the last byte of both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The request's method is HEAD: the response has the same head as the response to GET, and no
    /// content.
    pub(crate) head_only: bool,
    /// The request's content.
    pub(crate) incoming: Incoming,
    /// The response.
    pub(crate) outgoing: Outgoing,
    /// The response's status, once its head is written.
    pub(crate) status: Option<Status>,
    /// The position in the output where the response's content starts.
    pub(crate) content_start: Mark,
    /// What the handler waits for, besides messages from other threads and connections. During a
    /// call of the handler: what it waited for before the call.
    pub(crate) wait_for: WaitFor,
    /// When the server stops waiting for more of the request's content.
    pub(crate) content_deadline: Time,
    /// Before the response starts: when its head must be sent, if `Limits::response_timeout` is set
    /// and the handler doesn't wait for content. After that: when more content must be sent, if the
    /// client has closed its sending side. Otherwise [`Time::NEVER`].
    pub(crate) send_deadline: Time,
    /// The handler has received `StreamEvent::Drain`.
    pub(crate) drain_notified: bool,
    /// The protocols that the request asks to switch to, and those that the response offers. `None`
    /// if there are none, as for most requests.
    pub(crate) protocols: Option<Box<UpgradeProtocols>>,
}

/// The maximum length, in bytes, of the list of protocols that a client asks for: the list is kept
/// until the response is complete. If it is longer, the server doesn't switch to any of them.
pub(crate) const MAX_REQUESTED: usize = 1024;

/// Protocols that the connection, or the stream, may switch to (RFC 9110, 7.8). Both lists are
/// separated by commas.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UpgradeProtocols {
    /// Those that the client asks for.
    pub(crate) requested: Vec<u8>,
    /// Those that the response offers.
    pub(crate) offered: String,
}

/// How much of a request's content has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The handler has not asked for the content.
    NotRequested {
        content: Content,
        /// The client waits for 100 (Continue) before it sends the content (RFC 9110, 10.1.1).
        expects_continue: bool,
    },
    /// The handler reads the content, and accepts at most `remaining` more bytes.
    Reading { remaining: u64 },
    /// The handler has received the end of the content, or was notified that the content will never
    /// be complete.
    Ended,
}

/// How much of a response has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Nothing.
    NotStarted,
    /// The head, with a Content-Length. This many bytes of the content are still to be written.
    Length(u64),
    /// The head. The length of the content is unknown until its end.
    UnknownLength,
    /// The head, and no content will follow.
    HeadOnly,
    /// The head. The response can't be completed, because the handler wrote more content than it
    /// had announced.
    Failed,
}

/// What a response's head says about the length of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentLength {
    /// Nothing: its status has no content, or it is a response to HEAD and the length of the
    /// response to GET is unknown.
    Absent,
    Known(u64),
    /// The length is unknown until the end of the content.
    Unknown,
}

impl ContentLength {
    /// `Known(length)`, or `Absent` if a response with this status has no content.
    pub(crate) fn of(status: Status, length: u64) -> Self {
        if status.has_content() { Self::Known(length) } else { Self::Absent }
    }
}

/// What a handler waits for, besides messages from other threads and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaitFor {
    /// More of the request's content, or its end.
    pub(crate) content: Option<ContentLimit>,
    /// Room in the output. If `content` is set, too, content is read when there is room.
    pub(crate) room: bool,
}

impl WaitFor {
    /// Whether the request's content is read now.
    pub(crate) fn reads_content(self) -> bool {
        self.content.is_some() && !self.room
    }
}

/// How much content of the request the handler accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentLimit {
    /// As much as [`Limits::body`](crate::Limits) allows.
    Configured,
    /// This many bytes in total.
    Bytes(u64),
}

impl Exchange {
    #[inline]
    pub(crate) fn new(head_only: bool, incoming: Incoming) -> Self {
        Self {
            head_only,
            incoming,
            outgoing: Outgoing::NotStarted,
            status: None,
            content_start: Mark::default(),
            wait_for: WaitFor::default(),
            content_deadline: Time::NEVER,
            send_deadline: Time::NEVER,
            drain_notified: false,
            protocols: None,
        }
    }

    /// Whether the client asks to switch to the protocol `name`, which may have a version (RFC
    /// 9110, 7.8). Upper and lower case of the name don't matter. If the client has sent a version,
    /// it must be the same.
    pub(crate) fn requests_protocol(&self, name: &str) -> bool {
        let (name, version) = split_protocol(name.as_bytes());
        let requested = self.protocols.as_ref().map_or(&[][..], |protocols| &protocols.requested);
        requested.split(|byte| *byte == b',').any(|protocol| {
            let (this, requested_version) = split_protocol(chars::trim(protocol));
            this.eq_ignore_ascii_case(name)
                && (requested_version.is_none() || requested_version == version)
        })
    }

    /// Whether the response's head is written.
    pub(crate) fn has_started(&self) -> bool {
        self.outgoing != Outgoing::NotStarted
    }

    /// The earlier of `send_deadline` and, while content is read, `content_deadline`.
    pub(crate) fn deadline(&self) -> Time {
        let is_reading =
            matches!(self.incoming, Incoming::Reading { .. }) && self.wait_for.reads_content();
        let content = if is_reading { self.content_deadline } else { Time::NEVER };
        content.min(self.send_deadline)
    }
}

/// The name and the version of a protocol: `name [ "/" version ]`.
fn split_protocol(protocol: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', protocol) {
        Some(at) => (&protocol[..at], Some(&protocol[at + 1..])),
        None => (protocol, None),
    }
}
