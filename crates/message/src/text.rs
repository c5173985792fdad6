//! Text encodings, which read and write the same bytes as Python's codecs with the same names.

use std::borrow::Cow;
use std::fmt;

/// An encoding of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8. A byte order mark is part of the text.
    Utf8,
    /// UTF-8 with a byte order mark in front, which is optional when reading.
    Utf8Sig,
    /// UTF-16 with a byte order mark in front. Written as little-endian. Without a mark, it is read
    /// as little-endian.
    Utf16,
    /// UTF-16, little-endian. A byte order mark is part of the text.
    Utf16Le,
    /// UTF-16, big-endian. A byte order mark is part of the text.
    Utf16Be,
    /// ISO 8859-1: one byte per character, U+0000 to U+00FF.
    Latin1,
    /// US-ASCII.
    Ascii,
}

/// Why bytes can't be decoded, or text can't be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadText {
    /// The encoding.
    pub encoding: Encoding,
    /// Where: the offset in bytes when decoding, in characters when encoding.
    pub at: usize,
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {} at position {}", self.encoding.name(), self.at)
    }
}

impl std::error::Error for BadText {}

/// The names of Python's codecs, as [`normalised`] returns them, separated by spaces: first that of
/// the codec's module, then its aliases.
const NAMES: [(Encoding, &str); 7] = [
    (Encoding::Utf8, "utf_8 utf8 u8 utf utf8_ucs2 utf8_ucs4 cp65001"),
    (Encoding::Utf8Sig, "utf_8_sig"),
    (Encoding::Utf16, "utf_16 utf16 u16"),
    (Encoding::Utf16Le, "utf_16_le utf_16le unicodelittleunmarked"),
    (Encoding::Utf16Be, "utf_16_be utf_16be unicodebigunmarked"),
    (
        Encoding::Latin1,
        "latin_1 latin1 latin l1 iso8859_1 iso_8859_1 iso8859 8859 iso_8859_1_1987 iso_ir_100 cp819 \
         ibm819 csisolatin1",
    ),
    (
        Encoding::Ascii,
        "ascii us_ascii us 646 iso646_us iso_646.irv_1991 iso_ir_6 ansi_x3.4_1968 ansi_x3_4_1968 \
         ansi_x3.4_1986 cp367 ibm367 csascii",
    ),
];

/// A name of more bytes than this is not looked up. It could equal one of [`NAMES`] only because
/// [`normalised`] drops characters.
const MAX_NAME: usize = 64;

impl Encoding {
    /// The encoding with this name. Upper and lower case are equal, and so are `-`, `_` and spaces.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "utf-8" => return Some(Self::Utf8),
            _ if name.len() > MAX_NAME => return None,
            _ => {}
        }
        let name = normalised(name);
        // For an alias, Python also tries underscores for dots.
        let alias = name.replace('.', "_");
        let is_known = |names: &str| {
            let mut aliases = names.split(' ').skip(1);
            names.split(' ').any(|known| known == name) || aliases.any(|known| known == alias)
        };
        NAMES.into_iter().find_map(|(encoding, names)| is_known(names).then_some(encoding))
    }

    /// The name to send in a header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf8Sig => "utf-8-sig",
            Self::Utf16 => "utf-16",
            Self::Utf16Le => "utf-16-le",
            Self::Utf16Be => "utf-16-be",
            Self::Latin1 => "latin-1",
            Self::Ascii => "ascii",
        }
    }

    /// Decodes bytes.
    ///
    /// # Errors
    ///
    /// [`BadText`] at the first byte that is not valid. Nothing is replaced.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, BadText> {
        match self {
            Self::Utf8 => self.utf8(bytes, 0),
            Self::Utf8Sig => match bytes.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) => self.utf8(rest, 3),
                None => self.utf8(bytes, 0),
            },
            Self::Utf16 => match bytes {
                [0xFE, 0xFF, rest @ ..] => self.utf16(rest, 2, u16::from_be_bytes),
                [0xFF, 0xFE, rest @ ..] => self.utf16(rest, 2, u16::from_le_bytes),
                _ => self.utf16(bytes, 0, u16::from_le_bytes),
            },
            Self::Utf16Le => self.utf16(bytes, 0, u16::from_le_bytes),
            Self::Utf16Be => self.utf16(bytes, 0, u16::from_be_bytes),
            Self::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Self::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
                Some(at) => Err(self.bad(at)),
                None => self.utf8(bytes, 0),
            },
        }
    }

    /// Encodes text.
    ///
    /// # Errors
    ///
    /// [`BadText`] at the first character that the encoding doesn't have.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, BadText> {
        let highest = match self {
            Self::Utf8 => return Ok(text.as_bytes().to_vec()),
            Self::Utf8Sig => return Ok([b"\xef\xbb\xbf", text.as_bytes()].concat()),
            Self::Utf16 => {
                let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
                return Ok(units.flat_map(u16::to_le_bytes).collect());
            }
            Self::Utf16Le => return Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            Self::Utf16Be => return Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            Self::Latin1 => 0xFF,
            Self::Ascii => 0x7F,
        };
        let byte = |(at, character)| match u8::try_from(u32::from(character)) {
            Ok(byte) if byte <= highest => Ok(byte),
            _ => Err(self.bad(at)),
        };
        text.chars().enumerate().map(byte).collect()
    }

    fn bad(self, at: usize) -> BadText {
        BadText { encoding: self, at }
    }

    /// Decodes UTF-8. `start` is the offset of `bytes` in the content.
    fn utf8(self, bytes: &[u8], start: usize) -> Result<Cow<'_, str>, BadText> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(self.bad(start + error.valid_up_to())),
        }
    }

    /// Decodes UTF-16. `start` is the offset of `bytes` in the content.
    fn utf16(
        self,
        bytes: &[u8],
        start: usize,
        unit: fn([u8; 2]) -> u16,
    ) -> Result<Cow<'static, str>, BadText> {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let mut text = String::with_capacity(pairs.len());
        let mut at = start;
        for character in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
            let character = character.map_err(|_| self.bad(at))?;
            text.push(character);
            at += 2 * character.len_utf16();
        }
        if rest.is_empty() { Ok(Cow::Owned(text)) } else { Err(self.bad(at)) }
    }
}

/// A name as Python compares it at first: in lower case, with one `_` for each run of other
/// characters between letters, digits and dots.
fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    let mut gap = false;
    for character in name.chars() {
        if character.is_alphanumeric() || character == '.' {
            if gap && !normal.is_empty() {
                normal.push('_');
            }
            gap = false;
            // Like Python, this omits characters that are not ASCII.
            if character.is_ascii() {
                normal.push(character.to_ascii_lowercase());
            }
        } else {
            gap = true;
        }
    }
    normal
}
