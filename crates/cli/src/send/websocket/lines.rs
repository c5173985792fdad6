//! Splits standard input, which arrives in pieces, into lines.

/// Maximum length of a line, in bytes; the CR of a CRLF counts. It is limited because a whole line
/// is held in memory. A longer line is refused as soon as more than this was read without finding
/// the line's end.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Splits bytes into lines, which end with LF or CRLF. The last line may lack both.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Bytes that were pushed. Those before `start` have been returned.
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// There is no LF between `start` and this index.
    searched: usize,
    /// Whether all bytes have been pushed.
    is_ended: bool,
}

/// The result of [`Lines::next`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextLine<'a> {
    Line(&'a [u8]),
    /// More bytes are needed to find the end of the line.
    NeedMore,
    End,
    /// The line is longer than [`MAX_LINE`].
    TooLong,
}

impl Lines {
    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Says that no more bytes will be pushed.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Returns the next line, without its end.
    pub(super) fn next(&mut self) -> NextLine<'_> {
        let rest = &self.bytes[self.searched..];
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            let line = &self.bytes[self.start..];
            return match (line, self.is_ended) {
                (line, false) if line.len() > MAX_LINE => NextLine::TooLong,
                (_, false) => NextLine::NeedMore,
                ([], true) => NextLine::End,
                (line, true) => {
                    self.start = self.bytes.len();
                    NextLine::Line(line)
                }
            };
        };
        let (start, end) = (self.start, self.searched + len);
        if end - start > MAX_LINE {
            return NextLine::TooLong;
        }
        (self.start, self.searched) = (end + 1, end + 1);
        let line = &self.bytes[start..end];
        NextLine::Line(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_for_any_split_of_the_bytes() {
        for (bytes, expected) in [
            (&b"one\ntwo\n"[..], &["one", "two"][..]),
            (b"one\r\n\n two", &["one", "", " two"]),
            (b"\r\n", &[""]),
            (b"", &[]),
            (b"a\rb", &["a\rb"]),
        ] {
            for size in 1..=bytes.len().max(1) {
                let mut lines = Lines::default();
                let mut found = Vec::new();
                let mut pieces = bytes.chunks(size);
                loop {
                    match lines.next() {
                        NextLine::Line(line) => {
                            found.push(String::from_utf8_lossy(line).into_owned());
                        }
                        NextLine::NeedMore => match pieces.next() {
                            Some(piece) => lines.push(piece),
                            None => lines.end(),
                        },
                        NextLine::End => break,
                        NextLine::TooLong => panic!("too long"),
                    }
                }
                assert_eq!(found, expected, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused() {
        for (end, is_refused) in [(&b"x"[..], true), (b"x\n", true), (b"\n", false)] {
            let mut lines = Lines::default();
            lines.push(&vec![b'x'; MAX_LINE]);
            assert_eq!(lines.next(), NextLine::NeedMore);
            lines.push(end);
            assert_eq!(lines.next() == NextLine::TooLong, is_refused, "{end:?}");
        }
    }
}
