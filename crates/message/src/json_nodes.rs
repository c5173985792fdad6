//! Counts the values and keys of a JSON text while it arrives.
//!
//! The memory and time that a parser needs can be many times the length of the text, for example
//! with `[[],[],…`. So besides its length, the number of values and keys has a limit. Nothing is
//! validated here: text that isn't JSON is counted as if it were.

use super::text::Encoding;
use super::{Header, JSON, Limits};

/// The count for one JSON text.
#[derive(Debug)]
pub(super) struct JsonNodes {
    count: usize,
    /// The maximum count.
    pub(super) limit: usize,
    /// How to decode the text, if it is UTF-16. `None` for other encodings: there, each ASCII
    /// character is one byte, and no other character contains such a byte.
    utf16: Option<Utf16>,
    state: LexerState,
}

#[derive(Debug)]
struct Utf16 {
    /// `true` for big-endian, `false` for little-endian text. `None` if the encoding is `utf-16`,
    /// which names no byte order, and the first two bytes have not arrived. The text is big-endian
    /// if these are the big-endian byte order mark, else little-endian.
    big_endian: Option<bool>,
    /// The first byte of a pair whose second has not arrived.
    first_byte: Option<u8>,
}

/// Where in a JSON text the next character is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LexerState {
    /// Outside of strings and words.
    Structure,
    /// In a number, `true`, `false` or `null`.
    Word,
    String,
    /// In a string, behind a backslash.
    Escape,
}

impl JsonNodes {
    /// A count for the content that a frame's `header` announces. `None` if the content isn't JSON,
    /// has an unknown encoding, or is too short to exceed [`Limits::json_nodes`]: each value or key
    /// takes at least a byte.
    pub(super) fn of(header: &Header, limits: &Limits) -> Option<Self> {
        if header.content_length <= limits.json_nodes as u64 || header.content_type != JSON {
            return None;
        }
        let utf16 = |big_endian| Some(Utf16 { big_endian, first_byte: None });
        let utf16 = match Encoding::of(&header.content_encoding)? {
            Encoding::Utf8 | Encoding::Utf8Sig | Encoding::Latin1 | Encoding::Ascii => None,
            Encoding::Utf16 => utf16(None),
            Encoding::Utf16Le => utf16(Some(false)),
            Encoding::Utf16Be => utf16(Some(true)),
        };
        Some(Self { count: 0, limit: limits.json_nodes, utf16, state: LexerState::Structure })
    }

    /// Counts the values and keys that begin in `piece`, the next part of the text. Returns whether
    /// the count is within the limit.
    pub(super) fn count_piece(&mut self, piece: &[u8]) -> bool {
        match self.utf16.take() {
            None => self.count_bytes(piece),
            Some(mut utf16) => {
                for &byte in piece {
                    let Some(first) = utf16.first_byte.take() else {
                        utf16.first_byte = Some(byte);
                        continue;
                    };
                    let pair = [first, byte];
                    let unit = match *utf16.big_endian.get_or_insert(pair == [0xFE, 0xFF]) {
                        true => u16::from_be_bytes(pair),
                        false => u16::from_le_bytes(pair),
                    };
                    // Characters beyond ASCII have no meaning outside of strings.
                    self.count_unit(u8::try_from(unit).unwrap_or(u8::MAX));
                }
                self.utf16 = Some(utf16);
            }
        }
        self.count <= self.limit
    }

    fn count_bytes(&mut self, mut piece: &[u8]) {
        loop {
            if self.state == LexerState::String {
                // Skips the inside of a long string quickly.
                let end = memchr::memchr2(b'"', b'\\', piece);
                piece = &piece[end.unwrap_or(piece.len())..];
            }
            let Some((byte, rest)) = piece.split_first() else { return };
            self.count_unit(*byte);
            piece = rest;
        }
    }

    /// Counts a value or key if it begins with `unit`: a byte, or for UTF-16 a code unit, which is
    /// [`u8::MAX`] if it doesn't fit into a byte.
    fn count_unit(&mut self, unit: u8) {
        let state = match (self.state, unit) {
            (LexerState::Escape, _) => LexerState::String,
            (LexerState::String, b'\\') => LexerState::Escape,
            (LexerState::String, b'"') => LexerState::Structure,
            (LexerState::String, _) | (_, b'"') => LexerState::String,
            (_, b'[' | b'{' | b']' | b'}' | b',' | b':') => LexerState::Structure,
            (_, b'!'..=b'~') => LexerState::Word,
            // White space, or a byte order mark.
            _ => LexerState::Structure,
        };
        let begins = match state {
            LexerState::Structure => {
                matches!(unit, b'[' | b'{') && self.state != LexerState::String
            }
            LexerState::Word => self.state != LexerState::Word,
            LexerState::String => matches!(self.state, LexerState::Structure | LexerState::Word),
            LexerState::Escape => false,
        };
        self.count += usize::from(begins);
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::Message;
    use super::*;

    fn header(content_type: &'static str, encoding: &str, len: usize) -> Header {
        let message = Message::binary(content_type, vec![0; len]);
        Header { content_encoding: encoding.to_owned().into(), ..Header::of(&message) }
    }

    /// The count for `content`, which is counted in pieces of `step` bytes.
    fn counted(encoding: &str, content: &[u8], step: usize) -> usize {
        let limits = Limits { json_nodes: 0, ..Limits::default() };
        let Some(mut count) = JsonNodes::of(&header(JSON, encoding, content.len()), &limits) else {
            return 0;
        };
        for piece in content.chunks(step) {
            assert_eq!(count.count_piece(piece), count.count == 0);
        }
        count.count
    }

    /// The values and keys in `value`.
    fn nodes(value: &Value) -> usize {
        match value {
            Value::Array(list) => 1 + list.iter().map(nodes).sum::<usize>(),
            Value::Object(object) => {
                1 + object.values().map(|value| 1 + nodes(value)).sum::<usize>()
            }
            _ => 1,
        }
    }

    #[test]
    fn values_and_keys_are_counted_whatever_is_in_strings() {
        for (text, count) in [
            ("", 0),
            (" \r\n\t", 0),
            ("1", 1),
            (" -1.5e+7 ", 1),
            ("null", 1),
            ("\"\"", 1),
            ("\"a, [b] {c}: \\\"d\\\\\"", 1),
            ("\"\\u005b\\\\\\\"\"", 1),
            ("[]", 1),
            ("[[],{}]", 3),
            ("{\"a\":true , \"b\" :[1,2, 3]}", 8),
            ("{\"[\": \"]\"}", 3),
            ("\u{feff}1", 1),
        ] {
            for step in 1..4 {
                assert_eq!(counted("utf-8", text.as_bytes(), step), count, "{text}");
                let utf16 = Encoding::Utf16Be.encode(text).unwrap();
                assert_eq!(counted("utf-16-be", &utf16, step), count, "{text}");
            }
        }
        // In UTF-16, half of a character can look like a quote.
        let text = "[\"\u{2222}\u{5b22}\u{225b}\", 1]";
        for encoding in [Encoding::Utf16, Encoding::Utf16Le, Encoding::Utf16Be] {
            assert_eq!(counted(encoding.name(), &encoding.encode(text).unwrap(), 1), 3);
        }
        let big = [&[0xFE, 0xFF][..], &Encoding::Utf16Be.encode(text).unwrap()].concat();
        assert_eq!(counted("utf-16", &big, 1), 3);
        let unmarked = Encoding::Utf16Le.encode(text).unwrap();
        assert_eq!(counted("utf-16", &unmarked, 1), 3);
    }

    #[test]
    fn short_or_other_content_is_not_counted() {
        let limits = Limits { json_nodes: 10, ..Limits::default() };
        assert!(JsonNodes::of(&header(JSON, "utf-8", 10), &limits).is_none());
        assert!(JsonNodes::of(&header(JSON, "utf-8", 11), &limits).is_some());
        assert!(JsonNodes::of(&header("text/plain", "utf-8", 11), &limits).is_none());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
            "[\\[\\]{}\",:\\\\ 1]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map("[a-c\"\\[]{0,3}", inner, 0..6)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_count_is_that_of_the_parsed_value(
            value in json(),
            pretty: bool,
            step in 1_usize..9,
            encoding in proptest::sample::select(vec![
                Encoding::Utf8, Encoding::Utf8Sig, Encoding::Utf16, Encoding::Utf16Le,
                Encoding::Utf16Be,
            ]),
        ) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let content = encoding.encode(&text).unwrap();
            prop_assert_eq!(counted(encoding.name(), &content, step), nodes(&value), "{}", text);
        }
    }
}
