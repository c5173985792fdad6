//! Error responses, and the refusals that lead to them.
//!
//! An error response is a `text/json` object. Its `result` is a string that begins with `Error: `, so
//! that any client that prints results prints it. Its `error` has a stable `code`.

use std::borrow::Cow;
use std::time::Duration;

use sockeye_proto::Fault;

use super::{ContentError, Message, json};

/// What the text of an error response begins with.
const PREFIX: &str = "Error: ";

/// Why a frame is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable name in `snake_case`: `bad_header`, `too_large`, `too_complex`,
    /// `unsupported_encoding`, `bad_content`, `busy`, `timeout` or `incomplete`.
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

    pub(super) fn header_timeout(timeout: Duration) -> Self {
        let seconds = timeout.as_secs();
        Self::new("timeout", format!("the header was not complete within {seconds} s"))
    }

    pub(super) fn incomplete_header() -> Self {
        Self::new("incomplete", "the connection's input ended in the middle of a header")
    }

    /// The error response for the peer.
    #[must_use]
    pub fn response(&self) -> Message {
        error_response(self.code, &self.reason)
    }

    /// The fault that ends the connection.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault::peer(self.code, format!("was refused: {}", self.reason))
    }
}

impl From<ContentError> for Refusal {
    fn from(error: ContentError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// The fault of a connection that was idle for too long.
pub(super) fn idle(timeout: Duration) -> Fault {
    Fault::peer(Fault::IDLE, format!("sent no message for {} s", timeout.as_secs()))
}

/// An error response: `code` for programs, `text` for people.
#[must_use]
pub fn error_response(code: &str, text: &str) -> Message {
    let mut json = b"{\"result\": ".to_vec();
    json::write_string(&mut json, &format!("{PREFIX}{text}"));
    json.extend_from_slice(b", \"error\": {\"code\": ");
    json::write_string(&mut json, code);
    json.extend_from_slice(b"}}");
    Message::json_bytes(json)
}

/// An error response as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The stable code. Old servers send none.
    pub code: Option<String>,
    /// What the server says, without the `Error: ` before it.
    pub text: String,
}

impl ErrorResponse {
    /// Reads `message` as an error response: a JSON object whose `result` is a string that begins
    /// with `Error: `. `None` if it is another response.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        if !message.is_json() {
            return None;
        }
        let text = message.to_text().ok()?;
        let [result, error] = json::members(&text, ["result", "error"]).ok()?.values;
        let result: String = serde_json::from_str(result?).ok()?;
        let text = result.strip_prefix(PREFIX)?.to_owned();
        let code = || serde_json::from_str(json::members(error?, ["code"]).ok()?.values[0]?).ok();
        Some(Self { code: code(), text })
    }

    /// The code of a response that [`error_response`] wrote, found at its end without parsing it.
    pub(super) fn code_at_end(content: &[u8]) -> Option<&str> {
        let rest = content.strip_suffix(b"\"}}")?;
        // Inside a string these quotes would have a backslash in front.
        let before = rest.iter().rposition(|byte| *byte == b'"')? + 1;
        let (rest, code) = rest.split_at(before);
        rest.ends_with(b", \"error\": {\"code\": \"").then(|| std::str::from_utf8(code).ok())?
    }
}
