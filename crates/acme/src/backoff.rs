//! How long to wait after failures.

use std::time::Duration;

use crate::failure::{Failure, FailureKind};

/// The wait after the first failure. Each further failure multiplies the wait by 4, so that there
/// are at most 4 attempts in the first hour: Let's Encrypt allows 5 failed validations of a name
/// per hour.
const FIRST: Duration = Duration::from_secs(60);

/// The longest wait, unless the authority demands a longer one.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);

/// The longest wait that an authority can demand by `Retry-After`.
const LONGEST_DEMANDED: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait after this many failures in a row. `left` is how long the current certificate
/// stays valid: there are about ten attempts in that time or more, unless the authority demands
/// longer waits. `random` is in 0..1.
pub(crate) fn delay(
    failures: u32,
    failure: &Failure,
    left: Option<Duration>,
    random: f64,
) -> Duration {
    let own = FIRST.saturating_mul(4_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST);
    let own = match left {
        Some(left) if !left.is_zero() => own.min((left / 10).max(Duration::from_secs(1))),
        _ => own,
    };
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
        for (failures, failure, left, expected) in [
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
            // A certificate with little time left.
            (3, &plain, Some(seconds(20)), 2),
            (3, &plain, Some(seconds(5)), 1),
            (3, &plain, Some(Duration::ZERO), 960),
            (3, &limited, Some(seconds(20)), 7200),
        ] {
            assert_eq!(
                delay(failures, failure, left, 0.5),
                seconds(expected),
                "{failures} {failure:?}"
            );
        }
        assert_eq!(delay(1, &plain, None, 0.0), seconds(54));
        assert_eq!(delay(1, &plain, None, 1.0), seconds(66));
    }
}
