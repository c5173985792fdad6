//! Byte ranges (RFC 9110, 14).
//!
//! At most [`MAX_RANGES`] ranges are allowed, and ranges that overlap or are near each other are
//! merged. So no byte of the file is sent twice, and the headers between two parts of the response
//! are usually shorter than the gap between these parts in the file.

use std::ops::Range;

/// A request with more ranges gets the whole file (RFC 9110, 14.2). PDF viewers ask for a handful
/// at once; only attackers ask for hundreds.
pub(crate) const MAX_RANGES: usize = 16;

/// Ranges with a gap of at most this number of bytes are merged, because the headers of a separate
/// part may be as long as the gap.
const MERGED_GAP: u64 = 256;

/// A part of a file, of at least one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// The ranges that a `Range` field selects in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// The whole file: the field is invalid, has a unit other than bytes or too many ranges, or the
    /// file is empty.
    Whole,
    /// No range contains a byte of the file: 416.
    Unsatisfiable,
    One(Part),
    /// Several parts that are not near each other, in the order of the request.
    Many(Vec<Part>),
}

impl Part {
    fn end(self) -> u64 {
        self.start + self.len
    }

    /// The indices in a file that is in memory.
    pub(crate) fn in_memory(self) -> Range<usize> {
        // A file in memory is small, so the casts lose nothing.
        self.start as usize..self.end() as usize
    }

    /// The value of `Content-Range`, in a file of `size` bytes.
    pub(crate) fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end() - 1)
    }

    fn is_near(self, other: Self) -> bool {
        self.start <= other.end().saturating_add(MERGED_GAP)
            && other.start <= self.end().saturating_add(MERGED_GAP)
    }

    fn merged_with(self, other: Self) -> Self {
        let start = self.start.min(other.start);
        Self { start, len: self.end().max(other.end()) - start }
    }
}

impl Ranges {
    /// Parses the value of a `Range` field, for a file of `size` bytes.
    pub(crate) fn of(value: &[u8], size: u64) -> Self {
        // No range contains a byte of an empty file. But the response is 200 and not 416, because
        // some clients send `Range` only to limit the size of the response.
        if size == 0 {
            return Self::Whole;
        }
        let specs = match value.split_at_checked(b"bytes=".len()) {
            // Upper and lower case are the same (RFC 9110, 14.1).
            Some((unit, specs)) if unit.eq_ignore_ascii_case(b"bytes=") => specs,
            _ => return Self::Whole,
        };
        let mut parts = Vec::new();
        let mut count = 0;
        for spec in specs.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // Empty list elements are ignored (RFC 9110, 5.6.1.2).
            if spec.is_empty() {
                continue;
            }
            count += 1;
            let Ok(found) = parse_range(spec, size) else { return Self::Whole };
            if count > MAX_RANGES {
                return Self::Whole;
            }
            if let Some(part) = found {
                add_merged(&mut parts, part);
            }
        }
        match *parts {
            [] if count == 0 => Self::Whole,
            [] => Self::Unsatisfiable,
            [part] => Self::One(part),
            _ => Self::Many(parts),
        }
    }
}

/// The range is invalid.
struct Malformed;

/// Parses `first-last`, `first-` or `-suffix`: `None` if the range contains no byte of the file.
fn parse_range(spec: &[u8], size: u64) -> Result<Option<Part>, Malformed> {
    let dash = spec.iter().position(|byte| *byte == b'-').ok_or(Malformed)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let (start, end) = match (first, last) {
        (b"", suffix) => (size - parse_number(suffix)?.min(size), size),
        (first, b"") => (parse_number(first)?, size),
        (first, last) => {
            let (first, last) = (parse_number(first)?, parse_number(last)?);
            if last < first {
                return Err(Malformed);
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    Ok((start < end).then(|| Part { start, len: end - start }))
}

/// Parses a decimal number. Numbers beyond 64 bits become the largest 64-bit number.
fn parse_number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(digits.iter().fold(0, |number: u64, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

/// Adds a part, merged with all parts near it, at the position of the first of those parts.
fn add_merged(parts: &mut Vec<Part>, mut part: Part) {
    let mut index = parts.len();
    // The merged part may be near others. Each round removes one part, so the loop ends.
    while let Some(near) = parts.iter().position(|other| other.is_near(part)) {
        part = part.merged_with(parts.remove(near));
        index = index.min(near);
    }
    parts.insert(index.min(parts.len()), part);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ranges as `start+len` of a file of 1,000 bytes.
    fn as_text(value: &str) -> String {
        let show = |part: &Part| format!("{}+{}", part.start, part.len);
        match Ranges::of(value.as_bytes(), 1000) {
            Ranges::Whole => "whole".into(),
            Ranges::Unsatisfiable => "416".into(),
            Ranges::One(part) => show(&part),
            Ranges::Many(parts) => parts.iter().map(show).collect::<Vec<_>>().join(" "),
        }
    }

    #[test]
    fn range_fields_and_the_parts_they_select() {
        for (value, expected) in [
            ("bytes=0-0", "0+1"),
            ("bytes=0-", "0+1000"),
            ("bytes=0-999", "0+1000"),
            ("bytes=0-1000", "0+1000"),
            ("bytes=5-9", "5+5"),
            ("bytes=999-", "999+1"),
            ("bytes=-1", "999+1"),
            ("bytes=-1000", "0+1000"),
            ("bytes=-5000", "0+1000"),
            ("Bytes=5-9", "5+5"),
            ("bytes= 5-9 ,", "5+5"),
            ("bytes=,,5-9", "5+5"),
            ("bytes=005-0009", "5+5"),
            ("bytes=0-99999999999999999999999999", "0+1000"),
            ("bytes=-99999999999999999999999999", "0+1000"),
            ("bytes=18446744073709551615-", "416"),
            ("bytes=99999999999999999999999999-", "416"),
            ("bytes=1000-", "416"),
            ("bytes=1000-2000", "416"),
            ("bytes=-0", "416"),
            ("bytes=-0,1000-", "416"),
            // One range beyond the end of the file, and one in the file.
            ("bytes=1000-,5-9", "5+5"),
            ("bytes=-0,5-9", "5+5"),
            // Far from each other: in the requested order.
            ("bytes=0-9,500-509", "0+10 500+10"),
            ("bytes=500-509,0-9", "500+10 0+10"),
            ("bytes=0-9,-10", "0+10 990+10"),
            // Overlapping, equal, adjoining and near ranges are merged. A gap of 256 bytes is near,
            // a gap of 257 bytes is not.
            ("bytes=0-9,5-19", "0+20"),
            ("bytes=0-9,0-9,0-9", "0+10"),
            ("bytes=0-9,10-19", "0+20"),
            ("bytes=0-9,266-300", "0+301"),
            ("bytes=0-9,267-300", "0+10 267+34"),
            ("bytes=0-,0-,0-,0-", "0+1000"),
            ("bytes=0-9,500-509,5-502", "0+510"),
            ("bytes=900-909,500-509,0-9,505-600", "900+10 500+101 0+10"),
            // A field that can't be parsed is ignored: the whole file is sent.
            ("", "whole"),
            ("bytes", "whole"),
            ("bytes=", "whole"),
            ("bytes=,", "whole"),
            ("bytes=-", "whole"),
            ("bytes=a-b", "whole"),
            ("bytes=5", "whole"),
            ("bytes=9-5", "whole"),
            ("bytes=0-9,9-5", "whole"),
            ("bytes=0-9;20-29", "whole"),
            ("bytes=--5", "whole"),
            ("bytes=1-2-3", "whole"),
            ("bytes=+1-2", "whole"),
            ("bytes=0x1-2", "whole"),
            ("bytes=1 -2", "whole"),
            ("bytes =1-2", "whole"),
            ("bytes:1-2", "whole"),
            ("lines=1-2", "whole"),
            ("byte=1-2", "whole"),
        ] {
            assert_eq!(as_text(value), expected, "{value}");
        }
        assert_eq!(Ranges::of(b"bytes=0-0", 0), Ranges::Whole);
        assert_eq!(Ranges::of(b"bytes=-1", 0), Ranges::Whole);
    }

    #[test]
    fn more_ranges_than_the_limit_are_ignored() {
        let query = |count: u64| {
            let specs: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 1000)).collect();
            Ranges::of(format!("bytes={}", specs.join(",")).as_bytes(), 1_000_000)
        };
        assert!(
            matches!(query(MAX_RANGES as u64), Ranges::Many(parts) if parts.len() == MAX_RANGES)
        );
        assert_eq!(query(MAX_RANGES as u64 + 1), Ranges::Whole);
    }

    #[test]
    fn content_range_names_the_first_and_last_byte() {
        assert_eq!(Part { start: 5, len: 5 }.content_range(1000), "bytes 5-9/1000");
    }

    proptest! {
        #[test]
        fn requested_bytes_are_sent_once_and_none_beyond_the_file(
            specs in proptest::collection::vec((0u64..3000, 0u64..3000, 0u8..3), 1..16),
            size in 1u64..2500,
        ) {
            let text = |(a, b, kind): &(u64, u64, u8)| match kind {
                0 => format!("{}-{}", a.min(b), a.max(b)),
                1 => format!("{a}-"),
                _ => format!("-{a}"),
            };
            let value = specs.iter().map(text).collect::<Vec<_>>().join(",");
            let is_requested = |at: u64| specs.iter().any(|(a, b, kind)| match kind {
                0 => (*a.min(b)..=*a.max(b)).contains(&at),
                1 => at >= *a,
                _ => at >= size.saturating_sub(*a),
            });
            let mut sent = vec![0; size as usize];
            let parts = match Ranges::of(format!("bytes={value}").as_bytes(), size) {
                Ranges::Whole => panic!("{value} is understood"),
                Ranges::Unsatisfiable => Vec::new(),
                Ranges::One(part) => vec![part],
                Ranges::Many(parts) => parts,
            };
            for part in &parts {
                prop_assert!(part.len > 0);
                for at in part.start..part.end() {
                    sent[at as usize] += 1;
                }
            }
            for (at, times) in sent.iter().enumerate() {
                prop_assert!(*times <= 1, "{value}: byte {at} is sent {times} times");
                prop_assert!(*times == 1 || !is_requested(at as u64), "{value}: byte {at} is missing");
            }
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(
            value in proptest::collection::vec(any::<u8>(), 0..64),
            size in any::<u64>(),
        ) {
            let _ = Ranges::of(&value, size);
            let _ = Ranges::of(&[b"bytes=", &value[..]].concat(), size);
        }
    }
}
