//! Prints the content of a response.

use sockeye::message::protocol::Message;
use sockeye::message::protocol::text::Encoding;

use crate::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// For people: text with control characters escaped, other content in quotes.
    Terminal,
    /// For programs: text as UTF-8 with a line break, other content unchanged.
    Text,
    /// Unchanged.
    AsReceived,
}

/// Appends the content of `response` to `shown`. A label, the connection's number, makes it one line,
/// except for [`Look::AsReceived`].
pub(super) fn show(response: &Message, look: Look, label: Option<usize>, shown: &mut Vec<u8>) {
    let encoding = Encoding::of(&response.content_encoding);
    let text = encoding.and_then(|encoding| encoding.decode(&response.content).ok());
    let line = match (look, label, text) {
        (Look::AsReceived, _, _) | (Look::Text, None, None) => {
            return shown.extend_from_slice(&response.content);
        }
        (Look::Text, None, Some(text)) => text.into_owned(),
        (Look::Terminal, None, Some(text)) => {
            let lines: Vec<String> = text.lines().map(text::escape_controls).collect();
            lines.join("\n")
        }
        (Look::Terminal, None, None) => text::quote(&response.content),
        (_, Some(number), Some(text)) => {
            format!("connection {number}: {}", text::escape_controls(&text))
        }
        (_, Some(number), None) => {
            format!("connection {number}: {}", text::quote(&response.content))
        }
    };
    shown.extend_from_slice(line.as_bytes());
    if !line.ends_with('\n') {
        shown.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_printed_in_every_style() {
        let json = Message::json_text("{\"a\": \"\u{e9}\u{1b}\"}".into());
        let lines = Message::text("text/plain", Encoding::Utf16, "one\ntwo\r\n").unwrap();
        let binary = Message::binary("a/b", &b"\x00\xff"[..]);
        let mislabelled = Message { content_encoding: "utf-8".into(), ..binary.clone() };
        let utf16: &[u8] = &lines.content;
        let table: [(&Message, Look, Option<usize>, &[u8]); 12] = [
            (&json, Look::Text, None, "{\"a\": \"\u{e9}\u{1b}\"}\n".as_bytes()),
            (&json, Look::Terminal, None, "{\"a\": \"\u{e9}\\u{1b}\"}\n".as_bytes()),
            (&json, Look::AsReceived, None, "{\"a\": \"\u{e9}\u{1b}\"}".as_bytes()),
            (&json, Look::Text, Some(2), "connection 2: {\"a\": \"\u{e9}\\u{1b}\"}\n".as_bytes()),
            (&lines, Look::Text, None, b"one\ntwo\r\n"),
            (&lines, Look::Terminal, None, b"one\ntwo\n"),
            (&lines, Look::AsReceived, Some(1), utf16),
            (&lines, Look::Terminal, Some(1), b"connection 1: one\\ntwo\\r\\n\n"),
            (&binary, Look::Text, None, b"\x00\xff"),
            (&binary, Look::Terminal, None, b"\"\\u{0}\\xff\"\n"),
            (&binary, Look::Text, Some(1), b"connection 1: \"\\u{0}\\xff\"\n"),
            (&mislabelled, Look::Terminal, None, b"\"\\u{0}\\xff\"\n"),
        ];
        for (message, look, label, expected) in table {
            let mut bytes = Vec::new();
            show(message, look, label, &mut bytes);
            let shown = text::quote(&bytes);
            assert_eq!(shown, text::quote(expected), "{look:?} {label:?}");
        }
    }
}
