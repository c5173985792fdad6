//! Refusals of messages (content with a JSON header), each with a code and a sentence.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use sockeye_proto::Fault;

/// Why a message is refused, for example because its content can't be read, exceeds a limit, or
/// doesn't arrive in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable name in `snake_case`: `bad_header`, `too_large`, `too_complex`,
    /// `unsupported_encoding`, `bad_content`, `busy`, `timeout`, `incomplete` or
    /// `tls_on_plain_port`. Requests over HTTP have further ones, for what only HTTP has.
    pub code: &'static str,
    /// What is wrong, where, and what would be right.
    pub reason: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub(super) fn bad_header(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new("bad_header", reason)
    }

    /// The peer sent a TLS client hello. The answer is a frame, which the peer's TLS library
    /// rejects at once.
    pub(super) fn tls() -> Self {
        let what = "this port speaks frames with a JSON header, and not TLS: connect without TLS, or \
                    turn TLS on (sockeye message --tls)";
        Self::new("tls_on_plain_port", what)
    }

    pub(super) fn unknown_encoding(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        let what = "is unknown; use utf-8, utf-16, latin-1 or ascii";
        Self::new("unsupported_encoding", format!("the content-encoding {name:?} {what}"))
    }

    pub(super) fn not_json(error: serde_json::Error) -> Self {
        Self::new("bad_content", format!("the content is not JSON: {error}"))
    }

    pub(super) fn header_timeout(timeout: Duration) -> Self {
        let seconds = timeout.as_secs();
        Self::new("timeout", format!("the header was not complete within {seconds} s"))
    }

    pub(super) fn incomplete_header() -> Self {
        Self::new("incomplete", "the connection's input ended in the middle of a header")
    }

    /// The fault of a connection that ends with this refusal.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault::peer(self.code, format!("was refused: {}", self.reason))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}

/// The fault of a connection that was idle for too long.
pub(super) fn idle(timeout: Duration) -> Fault {
    Fault::peer(Fault::IDLE, format!("sent no message for {} s", timeout.as_secs()))
}
