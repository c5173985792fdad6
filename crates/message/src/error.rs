//! Error responses.
//!
//! An error response is a `text/json` object. Its `result` is a string that begins with `Error: `,
//! for clients that only print results. Its `error` has a stable `code`.

use super::json;
use super::message::Message;

/// The beginning of an error response's `result`.
const PREFIX: &str = "Error: ";

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
    /// The stable code. `None` if the response has none: the Python server that this protocol comes
    /// from sends no codes.
    pub code: Option<String>,
    /// The `result`, without the `Error: ` at its beginning.
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

    /// The code of a response whose `content` was written by [`error_response`]. Only the end of
    /// `content` is read, because parsing all of a large response takes long.
    pub(super) fn code_at_end(content: &[u8]) -> Option<&str> {
        let rest = content.strip_suffix(b"\"}}")?;
        // The text of a `result` can't be mistaken for an `error`: quotes inside a JSON string have
        // a backslash in front.
        let before = rest.iter().rposition(|byte| *byte == b'"')? + 1;
        let (rest, code) = rest.split_at(before);
        rest.ends_with(b", \"error\": {\"code\": \"").then(|| std::str::from_utf8(code).ok())?
    }
}
