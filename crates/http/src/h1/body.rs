//! Decoding a message's body: finds the content in the framing (RFC 9112, 6 and 7).
//!
//! A [`Decoder`] buffers no bytes, and reads each byte of a chunk's framing once. A trailer
//! section, like a head, is consumed when it has arrived as a whole.
//!
//! The decoder is strict, since attackers exploit parsers that disagree about chunks: a line ends
//! with CRLF, a size has up to sixteen hexadecimal digits, and extensions are ignored but have to
//! follow their grammar.

use crate::h1::head::{self, Progress};
use crate::semantics::chars;
use crate::semantics::limits::Limits;
use crate::semantics::refusal::Refusal;
use crate::semantics::request::Content;
use crate::semantics::span::Span;

/// Maximum number of bytes of chunk extensions in one body (RFC 9112, 7.1.1, recommends a limit).
/// No extension is known to be in use, so this is generous.
const MAX_EXTENSIONS: u32 = 4 * 1024;

/// How much of a body has been decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// The content has a known length, of which this many bytes remain.
    Length(u64),
    /// The content is chunked.
    Chunked(Chunked),
}

/// How much of a chunked body has been decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    next: Expect,
    /// While a size is read: its value so far. Then the number of bytes that remain of the chunk's
    /// data.
    remaining: u64,
    /// Bytes of extensions so far.
    extensions: u32,
    /// How much of the trailer section has been read.
    trailers: Progress,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// The next digit of a size. This many digits have been read.
    Size(u8),
    /// The extensions after a size.
    Extension(Extension),
    /// The LF after a size and its extensions.
    SizeEnd,
    /// Data.
    Data,
    /// The CR after the data.
    DataEnd,
    /// The LF after that CR.
    DataEndLf,
    /// The trailer section.
    Trailers,
}

/// What is expected next in chunk extensions (RFC 9112, 7.1.1):
///
/// ```text
/// chunk-ext     = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
/// chunk-ext-val = token / quoted-string
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// A semicolon, or another blank before it. The line can't end here: where a size or a value is
    /// followed by blanks, the grammar requires a semicolon.
    Semicolon,
    /// The first character of a name, or a blank before it.
    NameStart,
    /// The rest of a name.
    Name,
    /// A semicolon, an equals sign or another blank, after a name and a blank.
    NameEnd,
    /// The first character of a value, or a blank before it.
    ValueStart,
    /// The rest of a value that is a token.
    Token,
    /// The rest of a value in quotes.
    Quoted,
    /// The character after a backslash in quotes.
    Escaped,
    /// The end of the line, a blank or a semicolon, after a value in quotes.
    QuotedEnd,
}

impl Extension {
    /// What is expected after `byte`; `None` if the grammar doesn't allow `byte` here.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Quoted, b'"') => Self::QuotedEnd,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, byte) if chars::is_value_byte(byte) => Self::Quoted,
            (Self::NameStart | Self::Name, byte) if chars::is_token_byte(byte) => Self::Name,
            (Self::ValueStart | Self::Token, byte) if chars::is_token_byte(byte) => Self::Token,
            (Self::ValueStart, b'"') => Self::Quoted,
            (Self::NameStart | Self::ValueStart, b' ' | b'\t') => self,
            (Self::Name | Self::NameEnd, b' ' | b'\t') => Self::NameEnd,
            (Self::Name | Self::NameEnd, b'=') => Self::ValueStart,
            (Self::Semicolon | Self::Token | Self::QuotedEnd, b' ' | b'\t') => Self::Semicolon,
            (
                Self::Semicolon | Self::Name | Self::NameEnd | Self::Token | Self::QuotedEnd,
                b';',
            ) => Self::NameStart,
            _ => return None,
        })
    }

    /// Whether the line may end here.
    fn can_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::QuotedEnd)
    }
}

/// The result of [`Decoder::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// This many bytes of content, at the end of the consumed input.
    Piece(usize),
    /// The body is complete. This many bytes, at the end of the consumed input, are the trailer
    /// section with its final blank line; the spans have the positions of its fields. The number is
    /// 0 if the body is not chunked. Then the spans are not set.
    End(usize),
    /// More input is needed.
    NeedMore,
}

impl Decoder {
    /// A decoder at the start of `content`; `None` if there is no content.
    pub(crate) fn new(content: Content) -> Option<Self> {
        match content {
            Content::None => None,
            Content::Length(length) => Some(Self::Length(length)),
            Content::Chunked => Some(Self::Chunked(Chunked {
                next: Expect::Size(0),
                remaining: 0,
                extensions: 0,
                trailers: Progress::default(),
            })),
        }
    }

    /// The number of bytes that remain, if known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(remaining) => Some(*remaining),
            Self::Chunked(_) => None,
        }
    }

    /// Reads the next piece of content, or the end. Returns the number of bytes of `input`
    /// consumed, and the result. A chunk of more than `max_content` bytes is refused.
    pub(crate) fn step(
        &mut self,
        input: &[u8],
        max_content: u64,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<(usize, Decoded), Refusal<'static>> {
        let (used, decoded) = self.step_to_trailers(input, max_content)?;
        match (decoded, self) {
            (Some(decoded), _) => Ok((used, decoded)),
            (None, Self::Length(_)) => Ok((used, Decoded::End(0))),
            (None, Self::Chunked(chunked)) => {
                let rest = &input[used..];
                Ok(match head::trailers(rest, &mut chunked.trailers, limits, spans)? {
                    Some(len) => (used + len, Decoded::End(len)),
                    None => (used, Decoded::NeedMore),
                })
            }
        }
    }

    /// Like [`Decoder::step`], but returns `None` at the start of the trailer section. Then the
    /// caller has to read that section.
    pub(crate) fn step_to_trailers(
        &mut self,
        input: &[u8],
        max_content: u64,
    ) -> Result<(usize, Option<Decoded>), Refusal<'static>> {
        match self {
            Self::Length(0) => Ok((0, Some(Decoded::End(0)))),
            // The handler may ask for content before more input has arrived. A `Piece` is never
            // empty.
            _ if input.is_empty() => Ok((0, Some(Decoded::NeedMore))),
            Self::Length(remaining) => {
                let piece = take_piece(remaining, input);
                Ok((piece, Some(Decoded::Piece(piece))))
            }
            Self::Chunked(chunked) => chunked.step_to_trailers(input, max_content),
        }
    }
}

/// Returns how many bytes at the start of `input` are content: at most `remaining`. Subtracts this
/// number from `remaining`.
fn take_piece(remaining: &mut u64, input: &[u8]) -> usize {
    let piece =
        usize::try_from(*remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
    *remaining -= piece as u64;
    piece
}

impl Chunked {
    /// Like [`Decoder::step_to_trailers`].
    fn step_to_trailers(
        &mut self,
        input: &[u8],
        max_content: u64,
    ) -> Result<(usize, Option<Decoded>), Refusal<'static>> {
        let mut used = 0;
        while self.next != Expect::Trailers {
            let rest = &input[used..];
            let Some(byte) = rest.first() else { return Ok((used, Some(Decoded::NeedMore))) };
            if self.next == Expect::Data {
                let piece = take_piece(&mut self.remaining, rest);
                if self.remaining == 0 {
                    self.next = Expect::DataEnd;
                }
                return Ok((used + piece, Some(Decoded::Piece(piece))));
            }
            self.read_framing_byte(*byte, max_content)?;
            used += 1;
        }
        Ok((used, None))
    }

    /// Reads a byte of framing: of a size, its extensions or a line end.
    fn read_framing_byte(&mut self, byte: u8, max_content: u64) -> Result<(), Refusal<'static>> {
        let next = match (self.next, byte) {
            // Sixteen digits are all that 64 bits can hold. Leading zeros count, too.
            (Expect::Size(16), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                Err(Refusal::bad("sent a chunk size with more than sixteen digits"))
            }
            (Expect::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.remaining = self.remaining << 4 | u64::from(digit);
                Ok(Expect::Size(digits + 1))
            }
            (Expect::Size(_) | Expect::Extension(_) | Expect::DataEnd, b'\n') => {
                Err(Refusal::LF_WITHOUT_CR)
            }
            (Expect::Size(0), _) => Err(Refusal::bad("sent a chunk without a size")),
            (Expect::Size(_), b'\r') => self.check_size(max_content),
            (Expect::Extension(extension), b'\r') if extension.can_end() => {
                self.check_size(max_content)
            }
            (Expect::Size(_), b' ' | b'\t' | b';') => {
                self.read_extension_byte(Extension::Semicolon, byte)
            }
            (Expect::Extension(extension), _) => self.read_extension_byte(extension, byte),
            (Expect::Size(_), _) => {
                Err(Refusal::bad("sent a chunk size that is not a hexadecimal number"))
            }
            (Expect::SizeEnd, b'\n') if self.remaining == 0 => Ok(Expect::Trailers),
            (Expect::SizeEnd, b'\n') => Ok(Expect::Data),
            (Expect::DataEnd, b'\r') => Ok(Expect::DataEndLf),
            (Expect::DataEndLf, b'\n') => Ok(Expect::Size(0)),
            (Expect::SizeEnd | Expect::DataEndLf, _) => Err(Refusal::CR_WITHOUT_LF),
            (Expect::DataEnd, _) => Err(Refusal::bad("sent a chunk that is longer than its size")),
            // Not reached: data are read in pieces, and trailers by the caller.
            (at @ (Expect::Data | Expect::Trailers), _) => Ok(at),
        };
        self.next = next?;
        Ok(())
    }

    /// Checks the size of a chunk, whose line ends here.
    fn check_size(&self, max_content: u64) -> Result<Expect, Refusal<'static>> {
        if self.remaining > max_content {
            Err(Refusal::BODY_TOO_LARGE)
        } else {
            Ok(Expect::SizeEnd)
        }
    }

    /// Reads a byte of extensions.
    fn read_extension_byte(
        &mut self,
        extension: Extension,
        byte: u8,
    ) -> Result<Expect, Refusal<'static>> {
        let next = extension.next(byte).ok_or(Refusal::BAD_EXTENSION)?;
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS {
            return Err(Refusal::EXTENSIONS);
        }
        Ok(Expect::Extension(next))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content in `input`, the length of the trailer section, and the number of bytes consumed;
    /// `None` if the body is incomplete. `cuts` are the positions where the input is cut into
    /// parts.
    fn decode(
        input: &[u8],
        cuts: &[usize],
        max_content: u64,
    ) -> Result<Option<(Vec<u8>, usize, usize)>, Refusal<'static>> {
        let mut decoder = Decoder::new(Content::Chunked).unwrap();
        let (limits, mut spans) = (Limits::default(), Vec::new());
        let (mut body, mut used) = (Vec::new(), 0);
        for end in cuts.iter().copied().chain([input.len()]) {
            loop {
                let rest = &input[used..end];
                let left = max_content - body.len() as u64;
                let (count, decoded) = decoder.step(rest, left, &limits, &mut spans)?;
                used += count;
                match decoded {
                    Decoded::NeedMore => break,
                    Decoded::Piece(len) => {
                        assert!(len > 0);
                        body.extend_from_slice(&input[used - len..used]);
                    }
                    Decoded::End(len) => return Ok(Some((body, len, used))),
                }
            }
        }
        Ok(None)
    }

    fn all_cuts(input: &[u8]) -> Vec<usize> {
        (0..input.len()).collect()
    }

    #[test]
    fn valid_bodies() {
        for (input, body, trailers) in [
            ("0\r\n\r\n", "", 2),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", 2),
            ("000000000000000a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 2),
            ("A;a\r\n0123456789\r\n00\r\n\r\n", "0123456789", 2),
            ("1 ; a = \"b;\u{e9}\"\r\nx\r\n0;z\r\n\r\n", "x", 2),
            (
                "1;a;b ; c\t=\td;e=\"\";f=\" \t!\\\"\\\\\\a;=\" ;g\r\nx\r\n0;!#$=%&'*\r\n\r\n",
                "x",
                2,
            ),
            ("2\r\n\r\n\r\n0\r\nA: b\r\nC:d\r\n\r\n", "\r\n", 13),
        ] {
            let input = input.as_bytes();
            let expected = Ok(Some((body.as_bytes().to_vec(), trailers, input.len())));
            assert_eq!(decode(input, &[], 100), expected, "{}", input.escape_ascii());
            assert_eq!(decode(input, &all_cuts(input), 100), expected);
        }
    }

    #[test]
    fn invalid_bodies() {
        for input in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1_0\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\t\r\n",
            "1\n",
            "1;a\n",
            "1\rx",
            "1;\0\r\n",
            "1;a\rb\r\n",
            "00000000000000001\r\n",
            "1ffffffffffffffff\r\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rb",
            "1\r\n\r\n0\r\n\r\n",
            "0\r\nA : b\r\n",
            "0\r\n A: b\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\r\n c\r\n",
            ";a\r\n",
            "1;\r\n",
            "1 ; \r\n",
            "1;;a\r\n",
            "1;a;\r\n",
            "1;a \r\n",
            "1;a b\r\n",
            "1;a=\r\n",
            "1;a= \r\n",
            "1;a=;b\r\n",
            "1;=b\r\n",
            "1;a==b\r\n",
            "1;a=b=c\r\n",
            "1;a=b \r\n",
            "1;a=b c\r\n",
            "1;a=b\"c\"\r\n",
            "1;bad[=x\r\n",
            "1;a=b[\r\n",
            "1;a,b\r\n",
            "1;\"a\"=b\r\n",
            "1;a=\u{e9}\r\n",
            "1;\u{e9}\r\n",
            "1;a='b c'\r\n",
            "1;a=\"b\r\n",
            "1;a=\"b\\\"\r\n",
            "1;a=\"b\\\r\n",
            "1;a=\"b\0\"\r\n",
            "1;a=\"b\x7f\"\r\n",
            "1;a=\"\\\x07\"\r\n",
            "1;a=\"b\"c\r\n",
            "1;a=\"b\"\"c\"\r\n",
            "1;a=\"b\"=c\r\n",
            "1;a=\"b\" \r\n",
            "1;a=\"b\nc\"\r\n",
            "1;a=\"b\r\nc\"\r\n",
            "1;a=\"b\"\n",
            "0;\r\n\r\n",
        ] {
            let input = input.as_bytes();
            let shown = input.escape_ascii();
            let refusal = decode(input, &[], 100).expect_err(&shown.to_string());
            assert_eq!(refusal.status.code(), 400, "{shown}");
            assert_eq!(decode(input, &all_cuts(input), 100), Err(refusal), "{shown}");
        }
    }

    #[test]
    fn an_lf_without_a_cr_is_named_wherever_a_line_ends() {
        for input in ["\n", "1\n", "1 \n", "1;\n", "1;a\n", "1;a=\n", "1;a=\"\n", "1\r\na\n"] {
            assert_eq!(decode(input.as_bytes(), &[], 100), Err(Refusal::LF_WITHOUT_CR), "{input}");
        }
    }

    #[test]
    fn empty_input_changes_nothing() {
        let input = b"2;a\r\nhi\r\n0\r\nA: b\r\n\r\n";
        let mut decoder = Decoder::new(Content::Chunked).unwrap();
        let (limits, mut spans, mut used) = (Limits::default(), Vec::new(), 0);
        for end in 0..input.len() {
            let before = decoder;
            let nothing = decoder.step(b"", 100, &limits, &mut spans);
            assert_eq!((nothing, decoder), (Ok((0, Decoded::NeedMore)), before), "at {end}");
            used += decoder.step(&input[used..end], 100, &limits, &mut spans).unwrap().0;
        }
    }

    #[test]
    fn limits_of_bodies_are_exact() {
        let extended = |count: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(count - 1));
        assert!(decode(extended(4096).as_bytes(), &[], 100).is_ok());
        assert_eq!(decode(extended(4097).as_bytes(), &[], 100), Err(Refusal::EXTENSIONS));
        // Many chunks, each with a short extension.
        let little = "1;a\r\nx\r\n".repeat(2049);
        assert_eq!(decode(little.as_bytes(), &[], 10_000), Err(Refusal::EXTENSIONS));
        assert!(decode(b"5\r\nhello\r\n0\r\n\r\n", &[], 5).is_ok());
        for input in ["6\r\n", "3\r\nabc\r\n3\r\n", "ffffffffffffffff\r\n"] {
            assert_eq!(decode(input.as_bytes(), &[], 5), Err(Refusal::BODY_TOO_LARGE), "{input}");
        }
        let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(129));
        assert_eq!(decode(trailers.as_bytes(), &[], 5), Err(Refusal::TOO_MANY_FIELDS));
        let trailers = format!("0\r\nA: {}", "b".repeat(32 * 1024));
        assert_eq!(decode(trailers.as_bytes(), &[], 5), Err(Refusal::HEAD_TOO_LARGE));
    }

    proptest! {
        #[test]
        fn any_chunks_and_cuts_decode_to_the_same_body(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in proptest::collection::vec(any::<usize>(), 0..6),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\nGET");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() - 3)).collect();
            cuts.sort_unstable();
            let expected = Ok(Some((chunks.concat(), 2, input.len() - 3)));
            prop_assert_eq!(decode(&input, &cuts, 1000), expected);
        }
    }
}
