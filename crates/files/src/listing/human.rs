//! Sizes, counts and times as text.

use std::fmt;

/// A size in bytes, shown as a rounded number with a unit: `512 B`, `1.4 KiB`, `23 MiB`.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut unit: u128 = 1024;
        for name in UNITS {
            // Tenths are shown only below 10. A value that rounds up to 1024 is shown in the next
            // unit.
            let tenths = (u128::from(self.0) * 10 + unit / 2) / unit;
            if tenths < 100 {
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
            let whole = (u128::from(self.0) + unit / 2) / unit;
            if whole < 1024 {
                return write!(f, "{whole} {name}");
            }
            unit *= 1024;
        }
        // Not reached: the loop shows the largest size, 2^64 - 1 bytes, as the same text.
        f.write_str("16 EiB")
    }
}

/// A number with thousands separators: `1,234,567`.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A time in UTC, clamped to the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    year: i64,
    month: i64,
    day: i64,
    /// The second of the day.
    second: i64,
}

impl DateTime {
    const DAY: i64 = 86_400;
    /// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in seconds since 1970.
    const RANGE: (i64, i64) = (-62_135_596_800, 253_402_300_799);

    /// The time `secs` seconds after 1970-01-01T00:00:00Z.
    pub(super) fn new(secs: i64) -> Self {
        let secs = secs.clamp(Self::RANGE.0, Self::RANGE.1);
        // The algorithm `civil_from_days` of Howard Hinnant. It computes in the proleptic Gregorian
        // calendar, with years that begin in March, so that the leap day is the last of its year.
        // There are 719,468 days from March 1st of year 0 to January 1st of 1970. An era is 400
        // years: 146,097 days. `from_march` is the number of months since March.
        let days = secs.div_euclid(Self::DAY) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        Self { year, month, day, second: secs.rem_euclid(Self::DAY) }
    }
}

/// In the format of RFC 3339: `2026-11-22T18:39:05Z`.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, second } = self;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sockeye_http::date;
    use sockeye_proto::WallTime;

    use super::*;

    #[test]
    fn sizes_have_about_three_digits() {
        for (size, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10_188, "9.9 KiB"),
            (10_189, "10 KiB"),
            (10_240, "10 KiB"),
            (1_048_063, "1023 KiB"),
            (1_048_064, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(Size(size).to_string(), expected, "{size}");
        }
    }

    #[test]
    fn counts_have_thousands_separators() {
        for (count, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (100_000, "100,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(Count(count).to_string(), expected);
        }
    }

    #[test]
    fn moments_at_leap_days_and_limits() {
        for (secs, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(DateTime::new(secs).to_string(), expected);
        }
    }

    proptest! {
        /// Compares with `sockeye_http::date`.
        #[test]
        fn moments_agree_with_http_dates(secs in 0u64..253_402_300_800) {
            let time = DateTime::new(secs as i64).to_string();
            let http = date::format(WallTime::from_secs(secs));
            let http = std::str::from_utf8(&http).unwrap();
            const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = MONTHS.find(&http[8..11]).unwrap() / 3 + 1;
            let expected =
                format!("{}-{month:02}-{}T{}Z", &http[12..16], &http[5..7], &http[17..25]);
            prop_assert_eq!(time, expected);
        }
    }
}
