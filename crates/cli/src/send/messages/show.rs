//! Formats the content of a response for printing.

use sockeye::message::protocol::Message;
use sockeye::message::protocol::text::Encoding;

use crate::text;

/// How content is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// For people: text with control characters escaped, other content quoted and escaped.
    Terminal,
    /// For programs: text as UTF-8 with a line break at the end, other content unchanged.
    Text,
    /// The bytes as received.
    Unchanged,
}

/// Appends the content of `response` to `shown`. `label` is a connection's number: if there is one,
/// the content becomes one line that starts with `connection` and the number, except for
/// [`Style::Unchanged`].
pub(super) fn show(response: &Message, style: Style, label: Option<usize>, shown: &mut Vec<u8>) {
    let encoding = Encoding::of(&response.content_encoding);
    let text = encoding.and_then(|encoding| encoding.decode(&response.content).ok());
    let line = match (style, label, text) {
        (Style::Unchanged, _, _) | (Style::Text, None, None) => {
            return shown.extend_from_slice(&response.content);
        }
        (Style::Text, None, Some(text)) => text.into_owned(),
        (Style::Terminal, None, Some(text)) => {
            let lines: Vec<String> = text.lines().map(text::escape_controls).collect();
            lines.join("\n")
        }
        (Style::Terminal, None, None) => text::quote(&response.content),
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
        let table: [(&Message, Style, Option<usize>, &[u8]); 12] = [
            (&json, Style::Text, None, "{\"a\": \"\u{e9}\u{1b}\"}\n".as_bytes()),
            (&json, Style::Terminal, None, "{\"a\": \"\u{e9}\\u{1b}\"}\n".as_bytes()),
            (&json, Style::Unchanged, None, "{\"a\": \"\u{e9}\u{1b}\"}".as_bytes()),
            (&json, Style::Text, Some(2), "connection 2: {\"a\": \"\u{e9}\\u{1b}\"}\n".as_bytes()),
            (&lines, Style::Text, None, b"one\ntwo\r\n"),
            (&lines, Style::Terminal, None, b"one\ntwo\n"),
            (&lines, Style::Unchanged, Some(1), utf16),
            (&lines, Style::Terminal, Some(1), b"connection 1: one\\ntwo\\r\\n\n"),
            (&binary, Style::Text, None, b"\x00\xff"),
            (&binary, Style::Terminal, None, b"\"\\u{0}\\xff\"\n"),
            (&binary, Style::Text, Some(1), b"connection 1: \"\\u{0}\\xff\"\n"),
            (&mislabelled, Style::Terminal, None, b"\"\\u{0}\\xff\"\n"),
        ];
        for (message, style, label, expected) in table {
            let mut bytes = Vec::new();
            show(message, style, label, &mut bytes);
            let shown = text::quote(&bytes);
            assert_eq!(shown, text::quote(expected), "{style:?} {label:?}");
        }
    }
}
