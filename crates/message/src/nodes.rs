//! How many values and keys a JSON text has, counted as its bytes come.
//!
//! What a value takes in memory, and the time to make it, can be many times its bytes: `[[],[],…`.
//! So JSON has a limit on these besides the one on its length. Nothing is checked here that a parser
//! checks: what is no JSON is counted as if it were.

use super::text::Encoding;
use super::{JSON, Limits};

/// Counts the values and keys of one JSON text.
#[derive(Debug)]
pub(super) struct Nodes {
    count: usize,
    most: usize,
    units: Units,
    inside: Inside,
}

/// The code units of an encoding.
#[derive(Debug)]
enum Units {
    Bytes,
    /// Pairs of bytes. One whose other half is still to come is kept.
    Pairs {
        order: Order,
        half: Option<u8>,
    },
}

/// Which byte of a pair comes first.
#[derive(Clone, Copy, Debug)]
enum Order {
    Little,
    Big,
    /// The byte order mark tells; without one it is little-endian.
    Marked,
}

/// What the next character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Nothing, or a list or an object.
    Nothing,
    /// A number, `true`, `false` or `null`.
    Word,
    String,
    /// A string, behind a backslash.
    Escape,
}

impl Nodes {
    /// For content of this type and encoding, of `len` bytes; `None` where it can't have more than
    /// [`Limits::json_nodes`], since each has a byte at least, or is not JSON.
    pub(super) fn of(
        content_type: &str,
        content_encoding: &str,
        len: u64,
        limits: &Limits,
    ) -> Option<Self> {
        if len <= limits.json_nodes as u64 || content_type != JSON {
            return None;
        }
        let pairs = |order| Units::Pairs { order, half: None };
        let units = match Encoding::of(content_encoding)? {
            Encoding::Utf8 | Encoding::Utf8Sig | Encoding::Latin1 | Encoding::Ascii => Units::Bytes,
            Encoding::Utf16 => pairs(Order::Marked),
            Encoding::Utf16Le => pairs(Order::Little),
            Encoding::Utf16Be => pairs(Order::Big),
        };
        Some(Self { count: 0, most: limits.json_nodes, units, inside: Inside::Nothing })
    }

    /// Counts those that begin in `piece`, which follows what came before. Returns whether there are
    /// no more than may be.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        match &mut self.units {
            Units::Bytes => self.bytes(piece),
            Units::Pairs { order, half } => {
                let (mut order, mut half) = (*order, half.take());
                for &second in piece {
                    let Some(first) = half.take() else {
                        half = Some(second);
                        continue;
                    };
                    if matches!(order, Order::Marked) {
                        let is_big = [first, second] == [0xFE, 0xFF];
                        order = if is_big { Order::Big } else { Order::Little };
                    }
                    let unit = match order {
                        Order::Big => u16::from_be_bytes([first, second]),
                        Order::Little | Order::Marked => u16::from_le_bytes([first, second]),
                    };
                    // What is not ASCII means nothing outside of strings, and itself in them.
                    self.unit(u8::try_from(unit).unwrap_or(u8::MAX));
                }
                self.units = Units::Pairs { order, half };
            }
        }
        self.count <= self.most
    }

    fn bytes(&mut self, mut piece: &[u8]) {
        loop {
            if self.inside == Inside::String {
                // Many bytes at a time, where the string is long.
                let end = memchr::memchr2(b'"', b'\\', piece);
                piece = &piece[end.unwrap_or(piece.len())..];
            }
            let Some((byte, behind)) = piece.split_first() else { return };
            self.unit(*byte);
            piece = behind;
        }
    }

    fn unit(&mut self, unit: u8) {
        let inside = match (self.inside, unit) {
            (Inside::Escape, _) => Inside::String,
            (Inside::String, b'\\') => Inside::Escape,
            (Inside::String, b'"') => Inside::Nothing,
            (Inside::String, _) => Inside::String,
            (_, b'"') => Inside::String,
            (_, b'[' | b'{' | b']' | b'}' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') => {
                Inside::Nothing
            }
            (_, b'!'..=b'~') => Inside::Word,
            // A byte order mark, or nothing that JSON has.
            (_, _) => Inside::Nothing,
        };
        let begins = match inside {
            Inside::Nothing => matches!(unit, b'[' | b'{') && self.inside != Inside::String,
            Inside::Word => self.inside != Inside::Word,
            Inside::String => matches!(self.inside, Inside::Nothing | Inside::Word),
            Inside::Escape => false,
        };
        self.count += usize::from(begins);
        self.inside = inside;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// How many there are in `content`, whose pieces end at multiples of `step`.
    fn counted(encoding: &str, content: &[u8], step: usize) -> usize {
        let limits = Limits { json_nodes: 0, ..Limits::default() };
        let Some(mut nodes) = Nodes::of(JSON, encoding, content.len() as u64, &limits) else {
            return 0;
        };
        for piece in content.chunks(step) {
            assert_eq!(nodes.take(piece), nodes.count == 0);
        }
        nodes.count
    }

    /// How many a value has.
    fn has(value: &Value) -> usize {
        match value {
            Value::Array(list) => 1 + list.iter().map(has).sum::<usize>(),
            Value::Object(object) => 1 + object.values().map(|value| 1 + has(value)).sum::<usize>(),
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
        // In pairs of bytes a quote can be half of another character.
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
    fn what_can_not_have_too_many_is_not_counted() {
        let limits = Limits { json_nodes: 10, ..Limits::default() };
        assert!(Nodes::of(JSON, "utf-8", 10, &limits).is_none());
        assert!(Nodes::of(JSON, "utf-8", 11, &limits).is_some());
        assert!(Nodes::of("text/plain", "utf-8", 11, &limits).is_none());
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
        fn as_many_are_counted_as_a_value_has(
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
            prop_assert_eq!(counted(encoding.name(), &content, step), has(&value), "{}", text);
        }
    }
}
