//! Values of flags: durations (`10s`, `1.5m`, `1d`), sizes (`8K`, `8KiB`, `65536`) and rates
//! (`20k`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration. Parsing accepts zero only in [`Span::parse_with_zero`] and [`Span::parse_up_to`].
/// `{}` displays it in a form that users can type, `10s`, and `{:#}` as in a sentence, `10 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A number of bytes. Parsing refuses zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

/// Maximum duration, except in [`Span::parse_up_to`]: longer than any useful timeout, and too short
/// to overflow the clock.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Units in nanoseconds, the largest first, since `Display` uses the first unit that divides a
/// duration.
const TIME_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units in bytes for `Display`, the largest first.
const SIZE_UNITS: [(&str, u128); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Span {
    /// Parses a duration that may be zero.
    pub(crate) fn parse_with_zero(text: &str) -> Result<Self, String> {
        Self::parse_up_to(text, MAX_DURATION)
    }

    /// Parses a duration that is at most `max` and may be zero.
    pub(crate) fn parse_up_to(text: &str, max: Duration) -> Result<Self, String> {
        const HELP: &str = "write a duration with its unit, as 500ms, 10s, 2m, 1h or 1d";
        let scale = |unit: &str| TIME_UNITS.iter().find(|(name, _)| *name == unit);
        let nanos = parse_scaled(text, |unit| scale(unit).map(|(_, scale)| *scale)).ok_or(HELP)?;
        if nanos > max.as_nanos() {
            return Err(format!("it must be at most {}d", max.as_secs() / (24 * 60 * 60)));
        }
        // Fits into 64 bits: `nanos` is at most `max`, which is a few years in all calls.
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Self::parse_with_zero(text)? {
            Self(Duration::ZERO) => Err("it must be longer than 0s".into()),
            span => Ok(span),
        }
    }
}

impl Size {
    pub(crate) fn bytes(self) -> u64 {
        self.0 as u64
    }
}

impl From<usize> for Size {
    fn from(bytes: usize) -> Self {
        Self(bytes)
    }
}

impl From<u64> for Size {
    fn from(bytes: u64) -> Self {
        Self(usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HELP: &str = "write a number of bytes, as 65536, 64K, 64KiB or 1.5M";
        let scale = |unit: &str| match unit {
            "" | "B" => Some(1),
            "k" | "K" | "kiB" | "KiB" => Some(1 << 10),
            "m" | "M" | "miB" | "MiB" => Some(1 << 20),
            "g" | "G" | "giB" | "GiB" => Some(1 << 30),
            _ => None,
        };
        match parse_scaled(text, scale).ok_or(HELP)? {
            0 => Err("it must be at least one byte".into()),
            bytes => match isize::try_from(bytes) {
                Ok(bytes) => Ok(Self(bytes as usize)),
                Err(_) => Err("it is larger than any memory".into()),
            },
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // From seconds down, without minutes, hours and days: timeouts are usually written as 60s.
        let (amount, unit) = match self.0.as_nanos() {
            0 => (0, "s"),
            nanos => in_largest_unit(nanos, &TIME_UNITS[3..]),
        };
        write!(f, "{amount}{}{unit}", if f.alternate() { " " } else { "" })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, unit) = in_largest_unit(self.0 as u128, &SIZE_UNITS);
        write!(f, "{amount}{unit}")
    }
}

/// Converts `amount` to the largest unit that divides it.
fn in_largest_unit(amount: u128, units: &[(&'static str, u128)]) -> (u128, &'static str) {
    let divides = |(_, scale): &&(&str, u128)| amount >= *scale && amount.is_multiple_of(*scale);
    let (unit, scale) = units.iter().find(divides).unwrap_or(&("", 1));
    (amount / scale, unit)
}

/// Parses a number, which may have decimals, and a unit. Returns the number times the size of the
/// unit, which `scale` returns. Calculates with integers, since floats would round. Returns `None`
/// if the number or unit is invalid, or the product overflows.
fn parse_scaled(text: &str, scale: impl FnOnce(&str) -> Option<u128>) -> Option<u128> {
    const MAX_DECIMALS: usize = 9;
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    // A number has digits after its dot, if it has a dot.
    let is_number = !number.is_empty() && number.contains('.') != decimals.is_empty();
    if !is_number || decimals.len() > MAX_DECIMALS {
        return None;
    }
    let scale = scale(unit.trim_start())?;
    let digits = |digits: &str| if digits.is_empty() { Some(0_u128) } else { digits.parse().ok() };
    let fraction = digits(decimals)?.checked_mul(scale)? / 10_u128.pow(decimals.len() as u32);
    digits(whole)?.checked_mul(scale)?.checked_add(fraction)
}

/// Parses a number of a type without zero, such as `NonZeroU64`.
pub(crate) fn above_zero<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a number above zero, as 100".into())
}

/// Parses requests per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    const HELP: &str = "write requests per second, as 500, 20k or 0.5";
    let (number, scale) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => (text, 1.0),
    };
    let rate = number.parse::<f64>().map_err(|_| HELP)? * scale;
    if (1e-3..=1e9).contains(&rate) { Ok(rate) } else { Err(HELP.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed() {
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
        assert_eq!(Span::parse_with_zero("0s"), Ok(Span(Duration::ZERO)));
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn sizes_are_parsed() {
        let table = [
            ("65536", Some(65_536)),
            ("8K", Some(8_192)),
            ("8KiB", Some(8_192)),
            ("1.5m", Some(1_572_864)),
            ("1GiB", Some(1 << 30)),
            ("7B", Some(7)),
            ("0", None),
            ("8KB", None),
            ("8iB", None),
            ("8BiB", None),
            ("K", None),
            ("-1", None),
            ("99999999999G", None),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), bytes, "{text:?}");
        }
    }

    #[test]
    fn rates_are_parsed() {
        for (text, expected) in [("500", 500.0), ("20k", 20_000.0), ("0.5", 0.5)] {
            assert_eq!(rate(text), Ok(expected));
        }
        for text in ["", "0", "-1", "nan", "inf", "1m", "1e12"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn displayed_values_parse_to_themselves() {
        for text in ["3600s", "90s", "60s", "500ms", "1500us", "1ns"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["8KiB", "1MiB", "1000B", "3GiB", "1536KiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn in_a_sentence_a_unit_has_a_space() {
        assert_eq!(
            format!("{:#} {:#}", Span(Duration::from_millis(1500)), Span(Duration::ZERO)),
            "1500 ms 0 s"
        );
    }

    #[test]
    fn an_error_says_what_to_write_instead() {
        assert!("10".parse::<Span>().unwrap_err().contains("10s"));
        assert!("8KB".parse::<Size>().unwrap_err().contains("64KiB"));
    }
}
