//! How long to wait after failures.

use std::time::Duration;

use crate::failure::{Failure, FailureKind};

/// The wait after the first failure. Each further failure multiplies the wait by 4, so that there
/// are at most 4 attempts in the first hour: Let's Encrypt allows 5 failed validations of a name
/// per hour. [`Validity::longest_wait`] allows more attempts only in the last hours before a
/// certificate expires, and after the expiry of one that was valid for a few hours.
const FIRST: Duration = Duration::from_secs(60);

/// The longest wait, unless the authority demands a longer one.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);

/// The longest wait after the certificate has expired. It is shorter than [`LONGEST`], because
/// clients refuse an expired certificate.
const LONGEST_EXPIRED: Duration = Duration::from_secs(60 * 60);

/// [`Validity::longest_wait`] is never below a floor, which grows with the lifetime of the
/// certificate. These are the least and the greatest floor: 1 s for lifetimes of at most 2.4 hours,
/// 15 minutes for 90 days or more.
const SHORTEST: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15 * 60)];

/// Between the bounds [`SHORTEST`], the floor is the lifetime of the certificate divided by this
/// number: 15 minutes for 90 days.
const SHORTEST_PART: u32 = 90 * 24 * 4;

/// The longest wait that an authority can demand by `Retry-After`.
const LONGEST_DEMANDED: Duration = Duration::from_secs(24 * 60 * 60);

/// The time for which a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) lifetime: Duration,
    /// The rest of the lifetime: zero if the certificate has expired.
    pub(crate) left: Duration,
}

impl Validity {
    /// The longest wait, unless the authority demands a longer one. It is a tenth of the time that
    /// is left, so that there are ten attempts or more before the expiry. It has a floor, so that
    /// attempts near the expiry don't follow each other ever faster. After the expiry, the longest
    /// wait is a tenth of the lifetime, but at most [`LONGEST_EXPIRED`].
    fn longest_wait(self) -> Duration {
        let [shortest, longest_shortest] = SHORTEST;
        let floor = (self.lifetime / SHORTEST_PART).clamp(shortest, longest_shortest);
        let longest = match self.left.is_zero() {
            true => (self.lifetime / 10).min(LONGEST_EXPIRED),
            false => self.left / 10,
        };
        longest.max(floor)
    }
}

/// How long to wait after this many failures in a row; `failure` is the last of them. `validity` is
/// that of the current certificate, if there is one. `random`, from 0 to 1, changes the wait by up
/// to 10 %, unless the authority demands a longer one.
pub(crate) fn delay(
    failures: u32,
    failure: &Failure,
    validity: Option<Validity>,
    random: f64,
) -> Duration {
    let own = FIRST.saturating_mul(4_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST);
    let own = validity.map_or(own, |validity| own.min(validity.longest_wait()));
    // Random, so that servers that failed at the same time don't all retry at the same time.
    let own = own.mul_f64(0.9 + 0.2 * random.clamp(0.0, 1.0));
    let is_demand = matches!(failure.kind, FailureKind::RateLimited | FailureKind::Server);
    match failure.retry_after {
        Some(demanded) if is_demand => own.max(demanded.min(LONGEST_DEMANDED)),
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    #[test]
    fn waits_grow_to_a_cap_and_respect_what_is_demanded() {
        let seconds = Duration::from_secs;
        let failure = |kind, retry_after: Option<u64>| Failure {
            retry_after: retry_after.map(seconds),
            ..Failure::new(kind, "")
        };
        let plain = failure(FailureKind::Unreachable, None);
        let limited = failure(FailureKind::RateLimited, Some(7200));
        let forever = failure(FailureKind::RateLimited, Some(1_000_000_000));
        let other = failure(FailureKind::Validation, Some(7200));
        for (failures, failure, validity, expected) in [
            (1, &plain, None, 60),
            (2, &plain, None, 240),
            (3, &plain, None, 960),
            (5, &plain, None, 15_360),
            (6, &plain, None, 21_600),
            (u32::MAX, &plain, None, 21_600),
            (1, &limited, None, 7200),
            (6, &limited, None, 21_600),
            (1, &forever, None, 86_400),
            (1, &other, None, 60),
            // A certificate of 60 s.
            (3, &plain, Some([60, 20]), 2),
            (3, &plain, Some([60, 5]), 1),
            (3, &limited, Some([60, 20]), 7200),
            (9, &plain, Some([60, 0]), 6),
            // One of 6 days.
            (9, &plain, Some([6 * DAY, DAY]), 8640),
            (9, &plain, Some([6 * DAY, 60]), 60),
            (9, &plain, Some([6 * DAY, 0]), 3600),
            // One of 90 days, with less and less time left.
            (9, &plain, Some([90 * DAY, 30 * DAY]), 21_600),
            (9, &plain, Some([90 * DAY, 6 * 3600]), 2160),
            (9, &plain, Some([90 * DAY, 60]), 900),
            (9, &plain, Some([90 * DAY, 1]), 900),
            (9, &plain, Some([90 * DAY, 0]), 3600),
            (1, &plain, Some([90 * DAY, 0]), 60),
            (9, &limited, Some([90 * DAY, 0]), 7200),
            (9, &plain, Some([3650 * DAY, 1]), 900),
        ] {
            let validity = validity.map(|[lifetime, left]| Validity {
                lifetime: seconds(lifetime),
                left: seconds(left),
            });
            assert_eq!(
                delay(failures, failure, validity, 0.5),
                seconds(expected),
                "{failures} {failure:?} {validity:?}"
            );
        }
        assert_eq!(delay(1, &plain, None, 0.0), seconds(54));
        assert_eq!(delay(1, &plain, None, 1.0), seconds(66));
    }
}
