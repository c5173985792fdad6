//! The HTTP/1.1 part of an exchange, and when its connection persists.

use super::body::Decoder;
use crate::semantics::control::Version;
use crate::semantics::exchange::{ContentLength, Exchange, Incoming};
use crate::semantics::request::Content;

/// What HTTP/1.1 keeps of one exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct H1Exchange {
    /// The request's version.
    pub(crate) version: Version,
    /// The client asks for another protocol, and the server may switch to it.
    pub(crate) upgrade: bool,
    /// Another request may follow on this connection. Decided when the response's head is written.
    pub(crate) persistent: bool,
    /// As far as is known, more input follows the request.
    pub(crate) more_input: bool,
    /// Finds the end of the request's content, once that is read.
    pub(crate) decoder: Decoder,
}

impl H1Exchange {
    #[inline]
    pub(crate) fn new(version: Version, upgrade: bool, persistent: bool) -> Self {
        Self { version, upgrade, persistent, more_input: false, decoder: Decoder::Length(0) }
    }

    /// For a request that is refused: what follows it can't be trusted to be a request.
    pub(crate) fn for_refusal() -> Self {
        Self { more_input: true, ..Self::new(Version::Http11, false, false) }
    }

    /// The decoder of the content that is still to come, if any is.
    pub(crate) fn remaining_content(&self, incoming: &Incoming) -> Option<Decoder> {
        match incoming {
            Incoming::NotRequested { content, .. } => Decoder::new(*content),
            Incoming::Reading { .. } => Some(self.decoder),
            Incoming::Complete => None,
        }
    }

    /// Decides, before a response is written, whether the connection persists: not if more than `discard`
    /// bytes of the request's content would have to be discarded. How much of it has arrived doesn't
    /// matter, so a response doesn't depend on how the request was cut. The handler of a streamed
    /// response may still read it; otherwise the connection closes without an announcement.
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
            // Whether the content follows can't be known (RFC 9110, 10.1.1).
            Incoming::NotRequested { expects_continue: true, .. } => false,
            // A streamed response.
            _ if exchange.has_started() => return,
            incoming => match self.remaining_content(&incoming) {
                Some(rest) => rest.remaining().is_none_or(|length| length <= discard),
                None => true,
            },
        };
    }
}
