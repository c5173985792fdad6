//! HTTP/1.1's own state of an exchange, and whether its connection persists.

use super::body::Decoder;
use crate::semantics::control::Version;
use crate::semantics::exchange::{ContentLength, Exchange, Incoming};
use crate::semantics::request::Content;

/// HTTP/1.1's own state of one exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct H1Exchange {
    /// The request's version.
    pub(crate) version: Version,
    /// Whether the client asks to switch to another protocol, and the server may do so.
    pub(crate) upgrade: bool,
    /// Whether another request may follow on this connection. Decided when the head of the response
    /// is written.
    pub(crate) persistent: bool,
    /// Whether more input is known to follow the request.
    pub(crate) more_input: bool,
    /// Decodes the request's content, once the handler reads it.
    pub(crate) decoder: Decoder,
}

impl H1Exchange {
    #[inline]
    pub(crate) fn new(version: Version, upgrade: bool, persistent: bool) -> Self {
        Self { version, upgrade, persistent, more_input: false, decoder: Decoder::Length(0) }
    }

    /// The state for a request that is refused. The connection closes: after most refusals, it is
    /// unknown where the next request begins.
    pub(crate) fn for_refusal() -> Self {
        Self::new(Version::Http11, false, false)
    }

    /// The decoder of the content that has not been read; `None` if there is none left.
    pub(crate) fn remaining_content(&self, incoming: &Incoming) -> Option<Decoder> {
        match incoming {
            Incoming::NotRequested { content, .. } => Decoder::new(*content),
            Incoming::Reading { .. } => Some(self.decoder),
            Incoming::Ended => None,
        }
    }

    /// Decides, before a response is written, whether the connection persists. It closes if more
    /// than `discard` bytes of the request's content would have to be discarded: those that the
    /// handler has not read, whether or not they have arrived. So if the handler reads no content,
    /// the response doesn't depend on how the request was cut into packets.
    ///
    /// In two cases, how much has to be discarded is known only after the response: the content is
    /// chunked, or the handler of a streamed response may still read it. If it is too much, the
    /// connection then closes without a `Connection: close`.
    #[inline(always)]
    pub(crate) fn decide_persistence(
        &mut self,
        exchange: &Exchange,
        length: ContentLength,
        discard: u64,
    ) {
        if length == ContentLength::Unknown && self.version == Version::Http10 {
            self.persistent = false;
        }
        self.persistent &= match exchange.incoming {
            Incoming::NotRequested { content: Content::None, expects_continue: false } => return,
            // The client may or may not send the content (RFC 9110, 10.1.1).
            Incoming::NotRequested { expects_continue: true, .. } => false,
            // The response is streamed: only then is `has_started` true before the head is written.
            // The handler may still read the content.
            _ if exchange.has_started() => return,
            incoming => match self.remaining_content(&incoming) {
                Some(rest) => rest.remaining().is_none_or(|length| length <= discard),
                None => true,
            },
        };
    }
}
