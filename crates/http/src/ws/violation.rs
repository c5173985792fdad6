//! How a peer can break the WebSocket protocol, or exceed a limit.

use super::close::CloseCode;

/// Why the peer's bytes can't be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The code to close with.
    pub(super) code: CloseCode,
    /// The end of a sentence that begins with "the peer".
    pub(super) what: &'static str,
}

impl From<(CloseCode, &'static str)> for Violation {
    fn from((code, what): (CloseCode, &'static str)) -> Self {
        Self { code, what }
    }
}

impl Violation {
    pub(super) const NOT_UTF8: Self =
        Self { code: CloseCode::INVALID_DATA, what: "sent text that is not UTF-8" };
    pub(super) const TOO_LARGE: Self =
        Self { code: CloseCode::TOO_LARGE, what: "sent a message that is too large" };
    pub(super) const TOO_MANY_FRAGMENTS: Self =
        Self { code: CloseCode::POLICY_VIOLATION, what: "sent a message in too many fragments" };
    pub(super) const OVER_BUDGET: Self = Self {
        code: CloseCode::TRY_AGAIN_LATER,
        what: "holds too much memory with incomplete messages",
    };

    /// A compressed message expands to more than `ratio` times its size.
    #[cfg(feature = "deflate")]
    pub(super) fn expands(ratio: usize) -> Self {
        // These texts are static, so only the one for the default ratio can state the ratio.
        let what = match ratio {
            200 => "sent a compressed message that expands to more than 200 times its size",
            _ => "sent a compressed message that expands to more times its size than allowed",
        };
        Self { code: CloseCode::TOO_LARGE, what }
    }

    pub(super) fn protocol(what: &'static str) -> Self {
        Self { code: CloseCode::PROTOCOL_ERROR, what }
    }
}
