//! The fields of a response or request, checked and formatted when they are pushed.
//!
//! A name is a token, and a value has no control characters except tabs, so no field can end its
//! line and split the message. The fields that Sockeye writes itself, such as Content-Length and
//! Date, are refused, and so is Keep-Alive.

use std::fmt;

use crate::semantics::chars;

/// The fields of a response or, with [`Fields::push_to_request`], of a request.
///
/// ```
/// use sockeye_http::{BadField, Fields};
///
/// let fields = Fields::new().with("Content-Type", b"text/html; charset=utf-8")?;
/// assert_eq!(fields.as_bytes(), b"Content-Type: text/html; charset=utf-8\r\n");
/// assert_eq!(fields.with("Location", b"/\r\nSet-Cookie: a=b"), Err(BadField::Value));
/// # Ok::<(), BadField>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    // Invariant: complete lines, each `token ": " value CRLF`. No value contains a control
    // character other than HTAB.
    lines: Vec<u8>,
}

/// Why a field can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadField {
    /// The name is not a token (RFC 9110, 5.6.2).
    Name,
    /// The value holds a control character other than a tab.
    Value,
    /// The field is one that Sockeye writes itself, such as Content-Length, or it is Keep-Alive.
    Reserved,
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name of the field is not a token",
            Self::Value => "the value of the field holds a control character",
            Self::Reserved => "Sockeye writes this field itself, or never sends it",
        })
    }
}

impl std::error::Error for BadField {}

/// The lower-case names of the fields that [`Fields::push`] refuses.
const RESERVED: [&str; 7] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
    "upgrade",
];

impl Fields {
    /// No fields. Allocates nothing until one is pushed.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Appends a field. Removes spaces and tabs around the value. A name may be repeated.
    ///
    /// # Errors
    ///
    /// If the field can't be sent. In this case nothing is appended.
    pub fn push(&mut self, name: &str, value: &[u8]) -> Result<(), BadField> {
        if !chars::is_token(name.as_bytes()) {
            return Err(BadField::Name);
        }
        if !chars::is_field_value(value) {
            return Err(BadField::Value);
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(BadField::Reserved);
        }
        self.append(name, value);
        Ok(())
    }

    /// Appends a field of a request. Unlike [`Fields::push`], permits `Date` and `Server`: Sockeye
    /// writes neither into requests itself, and they are not about the connection.
    ///
    /// # Errors
    ///
    /// As for [`Fields::push`].
    pub fn push_to_request(&mut self, name: &str, value: &[u8]) -> Result<(), BadField> {
        match self.push(name, value) {
            Err(BadField::Reserved)
                if ["date", "server"].iter().any(|one| one.eq_ignore_ascii_case(name)) =>
            {
                self.append(name, value);
                Ok(())
            }
            result => result,
        }
    }

    /// Appends a checked field.
    fn append(&mut self, name: &str, value: &[u8]) {
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(chars::trim(value));
        self.lines.extend_from_slice(b"\r\n");
    }

    /// These fields and one more.
    ///
    /// # Errors
    ///
    /// As for [`Fields::push`].
    pub fn with(mut self, name: &str, value: &[u8]) -> Result<Self, BadField> {
        self.push(name, value)?;
        Ok(self)
    }

    /// These fields, followed by `more`.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        self.lines.extend_from_slice(&more.lines);
        self
    }

    /// Removes all fields, but keeps the memory allocated.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        fields_of_lines(&self.lines)
    }

    /// The fields as text, each `Name: value` and CRLF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.lines
    }
}

/// The names and values in field lines, up to a blank line.
pub(crate) fn fields_of_lines(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|byte| *byte == b'\n').map_while(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_that_end_a_line_or_frame_the_response_are_refused() {
        for (name, value, why) in [
            ("", &b"x"[..], BadField::Name),
            ("a b", b"x", BadField::Name),
            ("a:", b"x", BadField::Name),
            ("a\r\nb", b"x", BadField::Name),
            ("é", b"x", BadField::Name),
            ("a", b"x\r\ny: z", BadField::Value),
            ("a", b"x\ny", BadField::Value),
            ("a", b"x\ry", BadField::Value),
            ("a", b"x\0", BadField::Value),
            ("a", b"\x7f", BadField::Value),
            ("content-length", b"1", BadField::Reserved),
            ("Transfer-Encoding", b"chunked", BadField::Reserved),
            ("CONNECTION", b"close", BadField::Reserved),
            ("Date", b"now", BadField::Reserved),
            ("upgrade", b"h2c", BadField::Reserved),
        ] {
            let mut fields = Fields::new();
            assert_eq!(fields.push(name, value), Err(why), "{name:?}: {value:?}");
            assert!(fields.is_empty());
        }
    }

    #[test]
    fn requests_may_have_the_fields_that_only_servers_add() {
        for (name, value, expected) in [
            ("Date", &b" now"[..], Ok(())),
            ("SERVER", b"x", Ok(())),
            ("Date", b"x\ny", Err(BadField::Value)),
            ("Upgrade", b"h2c", Err(BadField::Reserved)),
            ("keep-alive", b"x", Err(BadField::Reserved)),
            ("Content-Length", b"1", Err(BadField::Reserved)),
            ("A", b"b", Ok(())),
        ] {
            let mut fields = Fields::new();
            assert_eq!(fields.push_to_request(name, value), expected, "{name}");
            assert_eq!(fields.iter().next().is_some(), expected.is_ok(), "{name}");
        }
    }

    #[test]
    fn lines_are_appended_as_they_are_sent() {
        assert!(Fields::new().with("Trailer", b"ETag").is_ok(), "a handler announces its trailers");
        let fields = Fields::new().with("ETag", b"\"a\"").unwrap().with("X", b" \tb\tc ").unwrap();
        assert_eq!(fields.as_bytes(), b"ETag: \"a\"\r\nX: b\tc\r\n");
        let expected = [(&b"ETag"[..], &b"\"a\""[..]), (b"X", b"b\tc")];
        assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
        let mut fields = fields;
        fields.clear();
        assert!(fields.is_empty());
        assert_eq!(fields.with("Y", b"d").unwrap().as_bytes(), b"Y: d\r\n");
    }

    proptest! {
        #[test]
        fn fields_are_always_complete_lines(
            pushed in proptest::collection::vec((".{0,4}|[A-Za-z-]{1,8}", proptest::collection::vec(any::<u8>(), 0..12)), 0..6),
        ) {
            let mut fields = Fields::new();
            let accepted =
                pushed.iter().filter(|(name, value)| fields.push(name, value).is_ok()).count();
            let text = fields.as_bytes();
            let breaks = text.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
            prop_assert_eq!(breaks, accepted * 2);
            prop_assert!(text.is_empty() || text.ends_with(b"\r\n"));
        }
    }
}
