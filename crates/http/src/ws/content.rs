//! The content of a message that arrives in parts.

use super::violation::Violation;

/// The content of a message that arrives in parts. It grows with what arrives.
#[derive(Debug)]
pub(super) enum Content {
    Text(GrowingText),
    Binary(Vec<u8>),
}

impl Content {
    /// Empty content, in the memory of `bytes`.
    pub(super) fn new(is_text: bool, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        match is_text {
            true => Self::Text(GrowingText::new(String::from_utf8(bytes).unwrap_or_default())),
            false => Self::Binary(bytes),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.valid.len() + text.cut_len,
            Self::Binary(bytes) => bytes.len(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.valid.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Makes room for `additional` bytes, and no more.
    pub(super) fn reserve_exact(&mut self, additional: usize) {
        match self {
            Self::Text(text) => text.valid.reserve_exact(text.cut_len + additional),
            Self::Binary(bytes) => bytes.reserve_exact(additional),
        }
    }

    /// Appends a part. Checks text as it arrives, so that the first wrong byte ends the connection.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Violation> {
        match self {
            Self::Text(text) => return text.push(part),
            Self::Binary(bytes) => bytes.extend_from_slice(part),
        }
        Ok(())
    }

    /// The memory of the content, to be used again. A last character that is incomplete is dropped.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.valid.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Binary(Vec::new())
    }
}

/// Text that is checked as it arrives, and not again at its end. The last character may be
/// incomplete.
#[derive(Debug)]
pub(super) struct GrowingText {
    valid: String,
    /// The beginning of a character whose end has not arrived, in the first `cut_len` bytes.
    cut: [u8; 4],
    cut_len: usize,
}

impl GrowingText {
    fn new(valid: String) -> Self {
        Self { valid, cut: [0; 4], cut_len: 0 }
    }

    fn push(&mut self, part: &[u8]) -> Result<(), Violation> {
        let part = self.complete(part)?;
        let (whole, cut) = split_at_cut(part);
        self.valid.push_str(check(whole)?);
        if !cut.is_empty() {
            self.cut[..cut.len()].copy_from_slice(cut);
            self.cut_len = cut.len();
            self.check_cut()?;
        }
        Ok(())
    }

    /// Appends bytes of `part` to a character that was cut. Returns the bytes after it.
    fn complete<'p>(&mut self, mut part: &'p [u8]) -> Result<&'p [u8], Violation> {
        while self.cut_len > 0
            && let Some((byte, rest)) = part.split_first()
        {
            self.cut[self.cut_len] = *byte;
            self.cut_len += 1;
            self.check_cut()?;
            part = rest;
        }
        Ok(part)
    }

    /// Checks the character that was cut, and moves it to `valid` if it is complete.
    fn check_cut(&mut self) -> Result<(), Violation> {
        match str::from_utf8(&self.cut[..self.cut_len]) {
            Ok(character) => {
                self.valid.push_str(character);
                self.cut_len = 0;
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return Err(Violation::NOT_UTF8),
        }
        Ok(())
    }

    /// The whole text, when its end has arrived.
    pub(super) fn finish(&self) -> Result<&str, Violation> {
        if self.cut_len == 0 { Ok(&self.valid) } else { Err(Violation::NOT_UTF8) }
    }
}

/// Checks text that is complete.
pub(super) fn check(text: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(text).map_err(|_| Violation::NOT_UTF8)
}

/// Splits off the beginning of a last character whose end is missing. Neither part is checked.
fn split_at_cut(text: &[u8]) -> (&[u8], &[u8]) {
    for (before, byte) in text.iter().rev().take(3).enumerate() {
        let len = match byte {
            0x80..0xC0 => continue,
            0xC0..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0.. => 4,
            _ => 1,
        };
        if before + 1 < len {
            return text.split_at(text.len() - before - 1);
        }
        break;
    }
    (text, &[])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Appends parts, and returns the text.
    fn joined<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Result<String, Violation> {
        let mut content = Content::new(true, Vec::new());
        let mut len = 0;
        for part in parts {
            content.push(part)?;
            len += part.len();
            assert_eq!(content.len(), len);
        }
        let Content::Text(text) = content else { unreachable!() };
        text.finish().map(str::to_owned)
    }

    #[test]
    fn text_is_the_same_however_it_is_cut() {
        let text = "aé€𝄞 \u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}";
        let bytes = text.as_bytes();
        for size in 1..=bytes.len() {
            assert_eq!(joined(bytes.chunks(size)).as_deref(), Ok(text), "parts of {size}");
        }
        for end in (0..bytes.len()).filter(|end| !text.is_char_boundary(*end)) {
            let whole = joined([&bytes[..end]]);
            assert_eq!(whole, Err(Violation::NOT_UTF8), "cut at {end}");
        }
    }

    #[test]
    fn the_first_wrong_byte_is_refused() {
        // Each with the index of the byte that makes the sequence invalid.
        for (bytes, wrong) in [
            (&b"\x80"[..], 0),
            (b"\xC0", 0),
            (b"\xC1", 0),
            (b"\xF5", 0),
            (b"\xFF", 0),
            (b"a\xC3a", 2),
            (b"\xE0\x9F", 1),
            (b"\xED\xA0", 1),
            (b"\xF0\x8F", 1),
            (b"\xF4\x90", 1),
            (b"\xE2\x82a", 2),
            (b"\xF0\x9D\x84a", 3),
        ] {
            for cut in 0..bytes.len() {
                let mut content = Content::new(true, Vec::new());
                let first = content.push(&bytes[..cut]);
                assert_eq!(first, Ok(()), "{bytes:x?} before {cut}");
                let second = content.push(&bytes[cut..]);
                assert_eq!(second, Err(Violation::NOT_UTF8), "{bytes:x?} from {cut}");
            }
            let mut content = Content::new(true, Vec::new());
            let refused = bytes.iter().position(|byte| content.push(&[*byte]).is_err());
            assert_eq!(refused, Some(wrong), "{bytes:x?}");
        }
    }

    proptest! {
        /// Bytes that are often UTF-8, and often nearly so.
        #[test]
        fn what_is_text_is_what_the_standard_library_says(
            pieces in prop::collection::vec(
                prop_oneof![
                    3 => "\\PC{0,30}".prop_map(String::into_bytes),
                    1 => prop::collection::vec(prop_oneof![0x7F..0x92_u8, 0xBF..=0xFF_u8], 0..3),
                ], 0..8),
            size in 1..100_usize,
        ) {
            let bytes = pieces.concat();
            let expected = str::from_utf8(&bytes);
            prop_assert_eq!(check(&bytes).ok(), expected.ok());
            let joined = joined(bytes.chunks(size));
            prop_assert_eq!(joined.as_deref().ok(), expected.ok());
        }
    }
}
