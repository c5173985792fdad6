//! Formats received messages for printing.

use std::io::Write;

use sockeye::http_core::ws::Message;

use crate::text;

/// How messages are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// One line for each message, quoted, with the connection's number.
    Labelled,
    /// For people: text with a line break at the end, and control characters except line feeds
    /// escaped; binary messages quoted.
    Terminal,
    /// For programs: text with a line break at the end, binary messages unchanged.
    Text,
    /// The bytes of each message, as received.
    Unchanged,
}

/// Appends `message`, which connection `number` has received, to `shown` in this style.
pub(super) fn show(message: Message<'_>, style: Style, number: usize, shown: &mut Vec<u8>) {
    // Writing to memory doesn't fail.
    let _ = match (style, message) {
        (Style::Labelled, message) => {
            writeln!(shown, "connection {number}: received {}", text::quote(message.bytes()))
        }
        (Style::Terminal, Message::Text(text)) => {
            let lines: Vec<String> = text.split('\n').map(text::escape_controls).collect();
            let text = lines.join("\n");
            writeln!(shown, "{}", text.strip_suffix('\n').unwrap_or(&text))
        }
        (Style::Terminal, Message::Binary(bytes)) => writeln!(shown, "{}", text::quote(bytes)),
        (Style::Text, Message::Text(text)) => {
            writeln!(shown, "{}", text.strip_suffix('\n').unwrap_or(text))
        }
        (Style::Text | Style::Unchanged, Message::Binary(bytes)) => shown.write_all(bytes),
        (Style::Unchanged, Message::Text(text)) => shown.write_all(text.as_bytes()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_printed_in_every_style() {
        for (style, text, binary) in [
            (
                Style::Labelled,
                "connection 2: received \"a\\u{1b}\\nb\"\n",
                "connection 2: received \"\\xff\"\n",
            ),
            (Style::Terminal, "a\\u{1b}\nb\n", "\"\\xff\"\n"),
            (Style::Text, "a\u{1b}\nb\n", "\u{fffd}"),
            (Style::Unchanged, "a\u{1b}\nb", "\u{fffd}"),
        ] {
            let shown = |message| {
                let mut shown = Vec::new();
                show(message, style, 2, &mut shown);
                String::from_utf8_lossy(&shown).into_owned()
            };
            assert_eq!(shown(Message::Text("a\u{1b}\nb")), text, "{style:?}");
            assert_eq!(shown(Message::Binary(b"\xff")), binary, "{style:?}");
        }
        let mut shown = Vec::new();
        show(Message::Text("a line\n"), Style::Text, 1, &mut shown);
        assert_eq!(shown, b"a line\n");
    }
}
