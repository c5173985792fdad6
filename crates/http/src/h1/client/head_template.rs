//! Recognises response heads that differ from a known one only in their date.

use std::fmt;
use std::ops::Range;

use memchr::memchr_iter;

use super::Head;
use crate::Content;
use crate::semantics::chars;

/// A copy of a response head. Later heads that differ from it only in their date are recognised
/// without being parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct HeadTemplate {
    bytes: Box<[u8]>,
    /// The position of the value of the `Date` field. Any valid field value of this length matches.
    /// An empty range if the head has no date.
    date: Range<usize>,
    status: u16,
    persistent: bool,
    content: Option<Content>,
}

impl HeadTemplate {
    /// Makes a template from `head`.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Self {
        let Head { status, persistent, content, bytes, .. } = *head;
        Self { date: date(bytes), bytes: bytes.into(), status, persistent, content }
    }

    /// The response's status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The head at the start of `input`, if it differs from this template only in its date.
    pub(super) fn find<'a>(&self, input: &'a [u8]) -> Option<Head<'a>> {
        let bytes = input.get(..self.bytes.len())?;
        let Range { start, end } = self.date;
        let is_same = bytes[..start] == self.bytes[..start]
            && bytes[end..] == self.bytes[end..]
            && chars::is_field_value(&bytes[start..end]);
        let Self { status, persistent, content, .. } = *self;
        is_same.then_some(Head { status, persistent, interim: 0, content, bytes })
    }
}

/// The position of the value of the first `Date` field; an empty range at the end if there is none.
fn date(head: &[u8]) -> Range<usize> {
    const NAME: &[u8] = b"\ndate:";
    let none = head.len()..head.len();
    let mut lines = memchr_iter(b'\n', head);
    let is_date = |at: &usize| {
        head.get(*at..at + NAME.len()).is_some_and(|line| line.eq_ignore_ascii_case(NAME))
    };
    let Some(start) = lines.find(is_date).map(|at| at + NAME.len()) else { return none };
    let end = lines.next().unwrap_or(start);
    start..if head[start..end].ends_with(b"\r") { end - 1 } else { end }
}

/// Shows no header fields, because their values may be secret.
impl fmt::Debug for HeadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadTemplate")
            .field("status", &self.status)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
