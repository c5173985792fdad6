//! Medians with confidence intervals.

/// The median and the range of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// The spread of `values`, or `None` if there are none.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (&min, &max) = (sorted.first()?, sorted.last()?);
    let half = sorted.len() / 2;
    let median =
        if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
    Some(Spread { median, min, max })
}

/// A median with its confidence interval of at least 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Whether there were enough values for 95 %. If not, the interval is the range of the values.
    pub(crate) confident: bool,
}

/// Estimates the median of `values`; `None` if there are none. The ends of the interval are two of
/// the sorted values. The interval is valid for any distribution, because each value is above the
/// true median with a probability of one half.
pub(crate) fn estimate(values: impl IntoIterator<Item = f64>) -> Option<Estimate> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let Spread { median, .. } = spread(sorted.iter().copied())?;
    let (out, confident) = match ranks_outside(sorted.len()) {
        Some(out) => (out, true),
        None => (0, false),
    };
    let (low, high) = (sorted[out], sorted[sorted.len() - 1 - out]);
    Some(Estimate { median, low, high, confident })
}

/// How many of `count` sorted values to leave out at each end, so that the range of the remaining
/// values contains the true median with a confidence of at least 95 %. `None` if `count` is too
/// small.
fn ranks_outside(count: usize) -> Option<usize> {
    // Half of the remaining 5 %, for each end.
    const TAIL: f64 = 0.025;
    // The probability that exactly `heads` values are below the true median (binomial).
    let mut chance = 0.5_f64.powi(i32::try_from(count).ok()?);
    let (mut below, mut out) = (0.0, None);
    for heads in 0..count {
        below += chance;
        if below > TAIL {
            break;
        }
        out = Some(heads);
        chance *= (count - heads) as f64 / (heads + 1) as f64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_the_median_has_the_ranks_of_the_tables() {
        for (count, out) in [
            (1, None),
            (5, None),
            (6, Some(0)),
            (8, Some(0)),
            (9, Some(1)),
            (20, Some(5)),
            (25, Some(7)),
        ] {
            assert_eq!(ranks_outside(count), out, "{count}");
        }
        let estimate = estimate((1..=20).map(f64::from)).unwrap();
        assert_eq!((estimate.low, estimate.median, estimate.high), (6.0, 10.5, 15.0));
        assert!(estimate.confident);
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middles() {
        assert_eq!(spread([]), None);
        assert_eq!(spread([7.0]), Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!(spread([9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(spread([4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
    }
}
