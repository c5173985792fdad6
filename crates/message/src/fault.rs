//! What is refused, and the response that tells the peer so.
//!
//! An error response is a `text/json` object whose `result` is a string that begins with `Error: `, so
//! that any client that prints results prints it, and whose `error` has a stable `code`.

use std::borrow::Cow;
use std::time::Duration;

use sockeye_proto::Fault;

use super::{ContentError, Message, json};

/// What the text of an error response begins with.
const PREFIX: &str = "Error: ";

/// Why a frame is refused. The connection ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable name in `snake_case`: `bad_header`, `too_large`, `too_complex`,
    /// `unsupported_encoding`, `bad_content`, `busy`, `timeout` or `incomplete`.
    pub code: &'static str,
    /// What is wrong, where, and what would be right.
    pub what: Cow<'static, str>,
}

impl Refusal {
    /// `bad_header`: the frame has no header that can be understood.
    pub(super) fn header(what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "bad_header", what: what.into() }
    }

    /// `too_large`: beyond a limit.
    pub(super) fn too_large(what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "too_large", what: what.into() }
    }

    /// `busy`: as much content is held as may be, and less may be later.
    pub(super) fn busy() -> Self {
        let what = "too much content is in memory already; send it again later";
        Self { code: "busy", what: what.into() }
    }

    /// `timeout`: too slow.
    pub(super) fn timeout(what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "timeout", what: what.into() }
    }

    /// `incomplete`: the peer ended its side inside a frame.
    pub(super) fn incomplete(what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "incomplete", what: what.into() }
    }

    /// The header came too slowly.
    pub(super) fn header_timeout(timeout: Duration) -> Self {
        Self::timeout(format!("the header was not complete within {} s", timeout.as_secs()))
    }

    /// The input ended behind the first byte of a header.
    pub(super) fn incomplete_header() -> Self {
        Self::incomplete("the connection's input ended in the middle of a header")
    }

    /// The response that tells the peer.
    #[must_use]
    pub fn reply(&self) -> Message {
        error_reply(self.code, &self.what)
    }

    /// The fault that ends the connection.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault::peer(self.code, format!("was refused: {}", self.what))
    }
}

impl From<ContentError> for Refusal {
    fn from(error: ContentError) -> Self {
        Self { code: error.code(), what: error.to_string().into() }
    }
}

/// The end of a connection on which nothing was under way.
pub(super) fn idle(timeout: Duration) -> Fault {
    Fault::peer(Fault::IDLE, format!("sent no message for {} s", timeout.as_secs()))
}

/// The response that says what went wrong: `code` for programs, `text` for people.
#[must_use]
pub fn error_reply(code: &str, text: &str) -> Message {
    let mut json = b"{\"result\": ".to_vec();
    json::write_string(&mut json, &format!("{PREFIX}{text}"));
    json.extend_from_slice(b", \"error\": {\"code\": ");
    json::write_string(&mut json, code);
    json.extend_from_slice(b"}}");
    Message::json_bytes(json)
}

/// What an error response says, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The stable code; old servers have none.
    pub code: Option<String>,
    /// What the server says, without the `Error: ` before it.
    pub text: String,
}

impl ErrorReply {
    /// Reads `message` as an error response: JSON, an object, `result` a string that begins with
    /// `Error: `. None when it is another response.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        if !message.is_json() {
            return None;
        }
        let text = message.to_text().ok()?;
        let [result, error] = json::members(&text, ["result", "error"]).ok()?;
        let result: String = serde_json::from_str(result?.get()).ok()?;
        let text = result.strip_prefix(PREFIX)?.to_owned();
        let error = error.and_then(|error| json::members(error.get(), ["code"]).ok());
        let code = error.and_then(|[code]| serde_json::from_str(code?.get()).ok());
        Some(Self { code, text })
    }

    /// The code of a response that [`error_reply`] has written, found without reading all of it.
    pub(super) fn code_at_end(content: &[u8]) -> Option<&str> {
        let rest = content.strip_suffix(b"\"}}")?;
        // In a string there would be a backslash in front of the quotes.
        let before = rest.iter().rposition(|byte| *byte == b'"')? + 1;
        let (rest, code) = rest.split_at(before);
        rest.ends_with(b", \"error\": {\"code\": \"").then(|| std::str::from_utf8(code).ok())?
    }
}
