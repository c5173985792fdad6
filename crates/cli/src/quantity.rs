//! Durations and sizes as people write them: `10s`, `1.5m`, `500ms`; `8K`, `8KiB`, `65536`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration, greater than zero unless read by [`Span::or_zero`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A number of bytes greater than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

/// Longer than anything that one could mean, and far below what a clock overflows at.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Units in nanoseconds, the largest first: `Display` takes the first that divides.
const TIME_UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units in bytes, the largest first. `K` and `KiB` are the same: memory comes in powers of two.
const SIZE_UNITS: [(&str, u128); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Span {
    /// Reads a duration that may be zero.
    pub(crate) fn or_zero(text: &str) -> Result<Self, String> {
        const HELP: &str = "write a duration with its unit, as 500ms, 10s, 2m or 1h";
        let (number, unit) = split(text).ok_or(HELP)?;
        let (_, scale) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or(HELP)?;
        let nanos = scaled(number, *scale).ok_or(HELP)?;
        if nanos > LONGEST.as_nanos() {
            return Err("it must be at most a year, 8784h".into());
        }
        // Bounded above, so it fits.
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = Self::or_zero(text)?;
        if span.0.is_zero() {
            return Err("it must be longer than nothing".into());
        }
        Ok(span)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HELP: &str = "write a number of bytes, as 65536, 64K, 64KiB or 1.5M";
        let (number, unit) = split(text).ok_or(HELP)?;
        let unit = unit.strip_suffix("iB").unwrap_or(unit);
        let scale = match unit {
            "" | "B" => 1,
            "k" | "K" => 1 << 10,
            "m" | "M" => 1 << 20,
            "g" | "G" => 1 << 30,
            _ => return Err(HELP.into()),
        };
        match scaled(number, scale).ok_or(HELP)? {
            0 => Err("it must be at least one byte".into()),
            bytes => usize::try_from(bytes)
                .ok()
                .filter(|bytes| isize::try_from(*bytes).is_ok())
                .map(Self)
                .ok_or_else(|| "it is more than a computer has".into()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        // Minutes and hours are for typing: 60s says more of a deadline than 1m.
        display(f, self.0.as_nanos(), &TIME_UNITS[2..])
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(f, self.0 as u128, &SIZE_UNITS)
    }
}

/// Shows `amount` in the largest unit that loses nothing.
fn display(f: &mut fmt::Formatter<'_>, amount: u128, units: &[(&str, u128)]) -> fmt::Result {
    let fits = |scale: u128| amount.is_multiple_of(scale) && amount >= scale;
    let (name, scale) = units.iter().find(|(_, scale)| fits(*scale)).unwrap_or(&("", 1));
    write!(f, "{}{name}", amount / scale)
}

/// The number and the unit behind it.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (!number.is_empty()).then(|| (number, unit.trim_start()))
}

/// `number`, which may have decimals, times `scale`, without the rounding of a float. `None` when
/// it isn't a number or is out of all proportion.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    const MOST_DECIMALS: usize = 9;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if decimals.len() > MOST_DECIMALS || (number.contains('.') && decimals.is_empty()) {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: u128 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    let fraction = fraction.checked_mul(scale)? / 10_u128.pow(decimals.len() as u32);
    whole.checked_mul(scale)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let table = [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("1.5m", Some(90_000)),
            (".5s", Some(500)),
            ("1h", Some(3_600_000)),
            ("3 s", Some(3_000)),
            ("10", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1.s", None),
            ("1.2.3s", None),
            ("10 parsecs", None),
            ("0s", None),
            ("9000h", None),
            ("99999999999999999999999999999999999999999h", None),
        ];
        for (text, millis) in table {
            let read = text.parse::<Span>().ok().map(|span| span.0.as_millis());
            assert_eq!(read, millis, "{text:?}");
        }
        assert_eq!(Span::or_zero("0s"), Ok(Span(Duration::ZERO)));
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let table = [
            ("65536", Some(65_536)),
            ("8K", Some(8_192)),
            ("8KiB", Some(8_192)),
            ("1.5m", Some(1_572_864)),
            ("1GiB", Some(1 << 30)),
            ("7B", Some(7)),
            ("0", None),
            ("8KB", None),
            ("K", None),
            ("-1", None),
            ("99999999999G", None),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), bytes, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for text in ["3600s", "90s", "60s", "500ms", "1500us", "1ns"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["8KiB", "1MiB", "1000B", "3GiB", "1536KiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_error_says_what_to_write_instead() {
        assert!("10".parse::<Span>().unwrap_err().contains("10s"));
        assert!("8KB".parse::<Size>().unwrap_err().contains("64KiB"));
    }
}
