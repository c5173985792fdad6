//! Errors of a connection and of a stream (RFC 9113, 5.4).

use std::borrow::Cow;

use sockeye_proto::Fault;

use crate::h2::frame::ErrorCode;
use crate::h2::hpack::CompressionError;
use crate::semantics::log::STREAM_STALLED;

/// An error: of the connection, which ends with GOAWAY, or of one stream, which is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct H2Error {
    pub(super) code: ErrorCode,
    /// For counters and logs, in `snake_case`.
    reason: &'static str,
    /// The end of a sentence that begins with "the peer".
    what: &'static str,
}

impl H2Error {
    /// The peer has sent what RFC 9113 doesn't allow.
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self { code: ErrorCode::ProtocolError, reason: "http2_protocol_error", what }
    }

    /// A frame has a wrong length.
    pub(super) const fn frame_size(what: &'static str) -> Self {
        Self { code: ErrorCode::FrameSizeError, reason: "http2_frame_size_error", what }
    }

    /// The peer has sent more than a window allows, or enlarged a window too much.
    pub(super) const fn flow_control(what: &'static str) -> Self {
        Self { code: ErrorCode::FlowControlError, reason: "http2_flow_control_error", what }
    }

    /// The peer has sent a frame on a stream after its end.
    pub(super) const fn stream_closed(what: &'static str) -> Self {
        Self { code: ErrorCode::StreamClosed, reason: "http2_stream_closed", what }
    }

    /// The peer has sent too much of something that costs this side more than it costs the peer.
    pub(super) const fn flood(reason: &'static str, what: &'static str) -> Self {
        Self { code: ErrorCode::EnhanceYourCalm, reason, what }
    }

    pub(super) const HEADER_FLOOD: Self = Self::flood(
        "http2_header_flood",
        "sent a header block in too many frames, or far beyond the limit",
    );

    /// A header block could not be decoded completely: it is malformed, or beyond a limit.
    pub(super) fn of_block(error: CompressionError) -> Self {
        if error == CompressionError::Stopped {
            return Self::HEADER_FLOOD;
        }
        Self {
            code: ErrorCode::CompressionError,
            reason: "http2_compression_error",
            what: "sent a header block that cannot be decoded",
        }
    }

    pub(super) const REFUSED: Self = Self {
        code: ErrorCode::RefusedStream,
        reason: "http2_too_many_streams",
        what: "began more streams than are allowed",
    };

    pub(super) const STALLED: Self = Self {
        code: ErrorCode::Cancel,
        reason: STREAM_STALLED,
        what: "accepted no part of a response within the write timeout",
    };

    /// This error as a [`Fault`], for logs and counters.
    pub(super) fn fault(self) -> Fault {
        Fault::peer(self.reason, Cow::Borrowed(self.what))
    }
}
