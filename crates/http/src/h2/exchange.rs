//! HTTP/2's own state of an exchange: mainly where the response's header blocks are in the stream's
//! output.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use sockeye_proto::{Output, Turn, WallTime};

use super::hpack::encode;
use crate::semantics::date;
use crate::semantics::decimal::{MAX_DIGITS, decimal};
use crate::semantics::exchange::ContentLength;
use crate::semantics::fields::Fields;
use crate::semantics::status::Status;

/// HTTP/2's own state of one exchange. The output of its stream holds the header block of the
/// response, then the content, then the header block of the trailers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct H2Exchange {
    /// Whether the request is an extended CONNECT (RFC 8441), and the server may switch the stream
    /// to another protocol.
    pub(crate) upgrade: bool,
    /// Whether 100 (Continue) has to be sent.
    pub(crate) sends_continue: bool,
    /// How many bytes at the front of the output are the header block; 0 once they have been moved
    /// to the connection's output.
    pub(crate) head_len: usize,
    /// How many bytes at the end of the output are the trailers; 0 while content may follow, and if
    /// there are none.
    pub(crate) trailers_len: usize,
}

/// The header block of 100 (Continue).
pub(crate) const CONTINUE: &[u8] = b"\x08\x03100";

/// The length of the status 200 in a header block.
const OK_LEN: usize = 1;

/// The start of the header blocks of a worker's (event loop's) responses, encoded at most once a
/// second: the status 200, `Date`, and what the configuration adds. A response with another status
/// uses all of it except the 200.
#[derive(Default)]
pub(crate) struct CachedBlock {
    /// The second for which `bytes` is encoded.
    second: Cell<Option<WallTime>>,
    bytes: RefCell<Vec<u8>>,
}

impl CachedBlock {
    /// Appends the status and the fields that every response has.
    #[inline]
    fn append_to(
        &self,
        block: &mut Vec<u8>,
        status: Status,
        now: WallTime,
        added: ConfiguredFields,
    ) {
        let mut bytes = self.bytes.borrow_mut();
        if self.second.replace(Some(now)) != Some(now) {
            added.encode(now, &mut bytes);
        }
        if status == Status::OK {
            block.extend_from_slice(&bytes);
        } else {
            encode::status(status.code(), block);
            block.extend_from_slice(&bytes[OK_LEN..]);
        }
    }
}

/// What the configuration adds to every response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConfiguredFields {
    pub(crate) server_header: bool,
    pub(crate) strict_transport_security: Option<Duration>,
}

impl ConfiguredFields {
    #[cold]
    fn encode(self, now: WallTime, bytes: &mut Vec<u8>) {
        bytes.clear();
        encode::status(Status::OK.code(), bytes);
        debug_assert_eq!(bytes.len(), OK_LEN);
        encode::field(b"date", &date::format(now), true, bytes);
        if self.server_header {
            encode::field(b"server", b"sockeye", true, bytes);
        }
        if let Some(max_age) = self.strict_transport_security {
            let value = format!("max-age={}", max_age.as_secs());
            encode::field(b"strict-transport-security", value.as_bytes(), true, bytes);
        }
    }
}

impl H2Exchange {
    /// Writes the header block of a response. `fill` appends the fields of this response.
    #[inline]
    pub(crate) fn write_head(
        &mut self,
        (cached, added): (&CachedBlock, ConfiguredFields),
        status: Status,
        turn: &mut Turn<'_>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        let now = turn.wall();
        turn.out.write_with(|bytes| {
            let start = bytes.len();
            cached.append_to(bytes, status, now, added);
            fill(bytes);
            self.head_len = bytes.len() - start;
        });
    }

    /// Writes the trailers, after all content.
    pub(crate) fn write_trailers(&mut self, trailers: &Fields, out: &mut Output) {
        out.write_with(|bytes| {
            let start = bytes.len();
            encode_fields(trailers.iter(), false, bytes);
            self.trailers_len = bytes.len() - start;
        });
    }
}

/// Encodes the fields of a response, or its trailers.
pub(crate) fn encode_fields<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    is_huffman: bool,
    block: &mut Vec<u8>,
) {
    for (name, value) in fields {
        // Fields about an HTTP/1.1 connection must not be sent (RFC 9113, 8.2.2). Except for
        // Proxy-Connection, `Fields::push` has refused them.
        if !name.eq_ignore_ascii_case(b"proxy-connection") {
            encode::field(name, value, is_huffman, block);
        }
    }
}

/// Encodes the Content-Length, if it is known.
pub(crate) fn encode_length(length: ContentLength, block: &mut Vec<u8>) {
    if let ContentLength::Known(length) = length {
        let mut digits = [0; MAX_DIGITS];
        let digits = decimal(length, &mut digits);
        encode::field(b"content-length", digits, false, block);
    }
}
