//! Why a connection ends, and the names of error codes.

use std::borrow::Cow;
use std::fmt;

use crate::h2::frame::ErrorCode;

/// The error of input that is not valid HTTP/2, or exceeds a limit. The connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub(super) code: ErrorCode,
    /// The end of a sentence that begins with "the peer".
    pub what: &'static str,
}

impl Error {
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self { code: ErrorCode::ProtocolError, what }
    }

    pub(super) const fn frame_size(what: &'static str) -> Self {
        Self { code: ErrorCode::FrameSizeError, what }
    }

    pub(super) const fn flow_control(what: &'static str) -> Self {
        Self { code: ErrorCode::FlowControlError, what }
    }

    pub(super) const fn stream_closed(what: &'static str) -> Self {
        Self { code: ErrorCode::StreamClosed, what }
    }

    pub(super) const fn excessive(what: &'static str) -> Self {
        Self { code: ErrorCode::EnhanceYourCalm, what }
    }

    pub(super) const COMPRESSION: Self = Self {
        code: ErrorCode::CompressionError,
        what: "sent a header block that cannot be decoded",
    };

    /// The error code (RFC 9113, 7) that is sent to the server in GOAWAY.
    #[must_use]
    pub fn code(self) -> u32 {
        self.code as u32
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer {}", self.what)
    }
}

impl std::error::Error for Error {}

/// The name of an error code (RFC 9113, 7), such as `REFUSED_STREAM`, or the number of an unknown
/// one.
#[must_use]
pub fn code_name(code: u32) -> Cow<'static, str> {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    match NAMES.get(code as usize) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("the error code {code:#x}")),
    }
}
