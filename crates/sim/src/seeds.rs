//! Runs a test with many seeds, or with one seed again.

use std::env;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};

/// The environment variable that names the one seed to run.
const SEED_VARIABLE: &str = "SOCKEYE_SEED";

/// The environment variable that multiplies the number of seeds.
const TIMES_VARIABLE: &str = "SOCKEYE_SEEDS_TIMES";

/// Runs `test` with each seed in `range`. `SOCKEYE_SEEDS_TIMES=10` runs ten times as many seeds;
/// `SOCKEYE_SEED=7` runs only seed 7.
///
/// # Panics
///
/// If `test` panics, or if the variable that is used is not a number. When `test` panics, the seed
/// and the command that repeats the run are printed to standard error.
pub fn seeds(range: Range<u64>, test: impl Fn(u64)) {
    match number(SEED_VARIABLE) {
        Some(seed) => run(seed, &test),
        None => {
            let count = (range.end - range.start) * number(TIMES_VARIABLE).unwrap_or(1);
            (range.start..range.start + count).for_each(|seed| run(seed, &test));
        }
    }
}

/// The number in an environment variable. `None` if the variable is not set.
fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

/// Runs `test` with one seed. If it panics, prints how to repeat the run, and passes the panic on.
fn run(seed: u64, test: &impl Fn(u64)) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| test(seed))) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("THE_TEST");
        // Cargo sets the variable for the tests that it runs.
        let package = env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".to_owned());
        eprintln!(
            "seed {seed} failed; to replay: {SEED_VARIABLE}={seed} cargo test -p {package} {name}"
        );
        panic::resume_unwind(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn every_seed_runs_until_one_fails() {
        if env::var(SEED_VARIABLE).is_ok() || env::var(TIMES_VARIABLE).is_ok() {
            return;
        }
        let ran = RefCell::new(Vec::new());
        let failed = panic::catch_unwind(AssertUnwindSafe(|| {
            seeds(0..10, |seed| {
                ran.borrow_mut().push(seed);
                assert!(seed < 3, "seeds from 3 fail on purpose");
            });
        }));
        assert!(failed.is_err());
        assert_eq!(*ran.borrow(), [0, 1, 2, 3]);
    }
}
