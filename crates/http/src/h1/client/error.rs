//! Why a response could not be read.

use std::fmt;

use crate::semantics::refusal::Refusal;

/// Why something is no response that can be read, as the end of a sentence that begins with "the peer".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReply(pub &'static str);

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer {}", self.0)
    }
}

impl std::error::Error for BadReply {}

/// Both sides read lines and chunks by the same rules. A bare LF in a head is none of them: it is
/// replaced before.
impl From<Refusal> for BadReply {
    fn from(refusal: Refusal) -> Self {
        Self(match refusal {
            Refusal::HEAD_TOO_LARGE => "sent a reply's head of more than 64 KiB",
            Refusal::LF_WITHOUT_CR => {
                "ended a line of a chunked body with a bare LF, not CRLF: readers could disagree about \
                 where the body ends"
            }
            Refusal { what, .. } => what,
        })
    }
}
