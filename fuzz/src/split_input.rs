//! The format of a fuzzer's input: what to send, and in which parts.

/// Maximum number of lengths of parts in an input.
const LENGTHS_MAX: usize = 7;

/// A parsed input.
///
/// The first byte is the number of lengths that follow (modulo 8), the next bytes are these
/// lengths, and the rest is the stream. The stream is split into parts of these lengths, repeated
/// in turn. A length of zero counts as one. Without lengths, each byte is a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitInput<'a> {
    lengths: &'a [u8],
    /// The bytes of all parts, one after the other.
    pub stream: &'a [u8],
}

impl<'a> SplitInput<'a> {
    /// Parses an input. `None` if it is empty, or has fewer lengths than it announces.
    #[must_use]
    pub fn read(input: &'a [u8]) -> Option<Self> {
        let (first, rest) = input.split_first()?;
        let (lengths, stream) = rest.split_at_checked(usize::from(*first) % (LENGTHS_MAX + 1))?;
        Some(Self { lengths, stream })
    }

    /// The parts of the stream.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> {
        let ones: &[u8] = &[1];
        let lengths = if self.lengths.is_empty() { ones } else { self.lengths };
        let mut rest = self.stream;
        lengths.iter().cycle().map_while(move |length| {
            let at = usize::from(*length).clamp(1, rest.len().max(1));
            let (part, later) = rest.split_at_checked(at)?;
            rest = later;
            Some(part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_split_by_its_lengths() {
        for (input, parts) in [
            (&b"\x00abc"[..], &["a", "b", "c"][..]),
            (b"\x01\x02abcde", &["ab", "cd", "e"]),
            (b"\x0a\x01\x00abc", &["a", "b", "c"]),
            (b"\x02\x01\x03abcdef", &["a", "bcd", "e", "f"]),
            (b"\x01\xffabc", &["abc"]),
            (b"\x00", &[]),
        ] {
            let split = SplitInput::read(input).unwrap();
            let found: Vec<_> = split.parts().collect();
            let wanted: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(found, wanted, "{input:?}");
        }
        assert_eq!(SplitInput::read(b""), None);
        assert_eq!(SplitInput::read(b"\x02\x01"), None);
    }
}
