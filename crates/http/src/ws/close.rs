//! Why a WebSocket is closed (RFC 6455, 7.4).

use std::fmt;

/// Why a WebSocket is closed: a registered close code, or one that an application defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// A normal end: the connection has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer has broken the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A message of a kind that is not accepted, such as bytes instead of text.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// The peer has closed without a code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection has ended without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// A message whose content doesn't match its type, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A message that is not allowed.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message that is too large.
    pub const TOO_LARGE: Self = Self(1009);
    /// The server has met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Whether a close frame may carry this code: 1000 to 1003, 1007 to 1014, and 3000 to 4999,
    /// which are for libraries and applications.
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a WebSocket was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed<'a> {
    /// The code of the peer's close frame, or of ours if the peer broke the protocol or exceeded a
    /// limit. [`CloseCode::NO_STATUS`] if the peer's frame had no code. [`CloseCode::ABNORMAL`] if
    /// the connection ended for another reason without a close frame of the peer.
    pub code: CloseCode,
    /// The text of the same close frame, or why there was none.
    pub reason: &'a str,
}

/// Maximum length of a reason in bytes: the payload of a control frame has at most 125 bytes, and
/// the code takes two of them.
pub const MAX_REASON: usize = 123;

/// Reads the payload of a close frame.
///
/// # Errors
///
/// The code to close with, and what is wrong: the end of a sentence that begins with "the peer".
pub(super) fn read_payload(payload: &[u8]) -> Result<Closed<'_>, (CloseCode, &'static str)> {
    match payload {
        [] => Ok(Closed { code: CloseCode::NO_STATUS, reason: "" }),
        [_] => Err((CloseCode::PROTOCOL_ERROR, "sent a close frame with one byte")),
        [high, low, reason @ ..] => {
            let code = CloseCode(u16::from_be_bytes([*high, *low]));
            if !code.may_be_sent() {
                return Err((CloseCode::PROTOCOL_ERROR, "sent a close code that may not be sent"));
            }
            match str::from_utf8(reason) {
                Ok(reason) => Ok(Closed { code, reason }),
                Err(_) => {
                    Err((CloseCode::INVALID_DATA, "sent a reason for the close that is not UTF-8"))
                }
            }
        }
    }
}

/// The longest prefix of `reason` that fits into a close frame.
pub(super) fn cut_reason(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_mean_something_are_accepted() {
        for code in 0..=u16::MAX {
            let is_valid = match code {
                1004..=1006 | 1015 => false,
                1000..=1014 | 3000..=4999 => true,
                _ => false,
            };
            assert_eq!(read_payload(&code.to_be_bytes()).is_ok(), is_valid, "{code}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut_reason("short"), "short");
        assert_eq!(cut_reason(&"é".repeat(100)), "é".repeat(61));
    }
}
