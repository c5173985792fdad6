//! Dates in the formats of HTTP (RFC 9110, 5.6.7).
//!
//! [`format()`] writes one format, `Wed, 21 Oct 2015 07:28:00 GMT`; [`parse`] reads all three
//! formats of the RFC. A two-digit year, in the obsolete format of RFC 850, is read as a year from
//! 1970 to 2069.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use sockeye_proto::WallTime;

/// The length of a formatted date, in bytes.
pub const LEN: usize = 29;

/// The last second that has a four-digit year: 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

/// Formats a date. A date after the year 9999 is written as the last second of that year.
#[must_use]
pub fn format(date: WallTime) -> [u8; LEN] {
    let date = UNIX_EPOCH + Duration::from_secs(date.as_secs().min(LAST));
    let mut text = [b' '; LEN];
    let mut rest = &mut text[..];
    let written = write!(rest, "{}", httpdate::HttpDate::from(date));
    debug_assert!(written.is_ok() && rest.is_empty(), "every date is {LEN} bytes long");
    text
}

/// Reads a date in any of the three formats. `None` if it is malformed, or before 1970.
#[must_use]
pub fn parse(text: &[u8]) -> Option<WallTime> {
    let text = std::str::from_utf8(text).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    Some(WallTime::from_secs(date.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_three_formats_of_a_date_are_read() {
        // RFC 9110, 5.6.7.
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form.as_bytes()), Some(WallTime::from_secs(784_111_777)), "{form}");
        }
        assert_eq!(&format(WallTime::from_secs(784_111_777)), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn malformed_dates_are_none() {
        for text in [
            &b""[..],
            b"yesterday",
            b"Sun, 06 Nov 1994 08:49:37",
            b"\xff",
            b"784111777",
            b"Sun, 31 Feb 2024 08:49:37 GMT",
            b"Sun, 06 Nov 1994 25:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_date_after_9999_is_the_last_second_of_9999() {
        assert_eq!(&format(WallTime::from_secs(u64::MAX)), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn written_dates_are_read_back(seconds in 0..=LAST) {
            let date = WallTime::from_secs(seconds);
            prop_assert_eq!(parse(&format(date)), Some(date));
        }
    }
}
