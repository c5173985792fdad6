//! Times, as values: protocols get them from their owner (the code that runs them) and read no
//! clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A time of the owner's monotonic clock, in nanoseconds since an origin that the owner chooses.
/// Only differences between times of one owner have a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than any deadline.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if `earlier` is later than this time.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time minus `before`. `None` if the result is before the origin, or for
    /// [`Time::NEVER`].
    #[must_use]
    pub fn checked_sub(self, before: Duration) -> Option<Self> {
        if self == Self::NEVER {
            return None;
        }
        self.0.checked_sub(u64::try_from(before.as_nanos()).ok()?).map(Self)
    }
}

/// A value with a deadline. Its owner calls [`Timed::on_deadline`] at the deadline.
pub trait Timed {
    /// When [`Timed::on_deadline`] is due; `None` while there is nothing to do. Called often, so it
    /// should be cheap.
    fn deadline(&self) -> Option<Time>;

    /// Called at `now`, when the deadline has passed. Must change the deadline to a later one or
    /// `None`.
    fn on_deadline(&mut self, now: Time);
}

/// Two values, each with its own deadline.
impl<A: Timed, B: Timed> Timed for (A, B) {
    fn deadline(&self) -> Option<Time> {
        [self.0.deadline(), self.1.deadline()].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, now: Time) {
        let is_due = |deadline: Option<Time>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.0.deadline()) {
            self.0.on_deadline(now);
        }
        if is_due(self.1.deadline()) {
            self.1.on_deadline(now);
        }
    }
}

/// Saturates at [`Time::NEVER`].
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        // The same as `after.as_nanos()`, but without 128-bit arithmetic.
        let secs = after.as_secs().saturating_mul(1_000_000_000);
        let nanos = secs.saturating_add(u64::from(after.subsec_nanos()));
        Self(self.0.saturating_add(nanos))
    }
}

/// As [`Time::since`].
impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// The time of day, in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// The time `seconds` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value with at most one deadline: [`Timed::on_deadline`] removes it.
    struct Alarm(Option<Time>);

    impl Timed for Alarm {
        fn deadline(&self) -> Option<Time> {
            self.0
        }

        fn on_deadline(&mut self, now: Time) {
            assert!(self.0.is_some_and(|due| due <= now), "it is called too early");
            self.0 = None;
        }
    }

    #[test]
    fn each_of_a_pair_is_called_at_its_own_deadline() {
        let at = Time::from_nanos;
        let mut pair = (Alarm(Some(at(2))), (Alarm(None), Alarm(Some(at(1)))));
        for due in [1, 2] {
            assert_eq!(pair.deadline(), Some(at(due)));
            pair.on_deadline(at(due));
        }
        assert_eq!(pair.deadline(), None);
    }

    #[test]
    fn adding_saturates_and_subtracting_never_wraps() {
        let start = Time::from_nanos(5);
        assert_eq!(start + Duration::from_nanos(7), Time::from_nanos(12));
        assert_eq!(start + Duration::new(3, 4), Time::from_nanos(3_000_000_009));
        assert_eq!(start + Duration::MAX, Time::NEVER);
        assert_eq!(start - Time::from_nanos(9), Duration::ZERO);
        assert_eq!(Time::from_nanos(9) - start, Duration::from_nanos(4));
        assert_eq!(start.checked_sub(Duration::from_nanos(5)), Some(Time::ZERO));
        assert_eq!(start.checked_sub(Duration::from_nanos(6)), None);
        assert_eq!(start.checked_sub(Duration::MAX), None);
        assert_eq!(Time::NEVER.checked_sub(Duration::from_nanos(1)), None);
    }
}
