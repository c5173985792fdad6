//! Many seeds for one test, and one seed again.

use std::env;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};

/// The environment variable that names the one seed to run.
const VARIABLE: &str = "SOCKEYE_SEED";

/// Runs `test` with each of the `range`'s seeds, or only with the one that `SOCKEYE_SEED` names.
///
/// # Panics
///
/// As `test` does, after saying on standard error which seed it was and how to run it again.
pub fn seeds(range: Range<u64>, test: impl Fn(u64)) {
    let only = env::var(VARIABLE).ok().map(|seed| {
        seed.parse::<u64>().unwrap_or_else(|_| panic!("{VARIABLE} is not a number: {seed}"))
    });
    match only {
        Some(seed) => run(seed, &test),
        None => range.for_each(|seed| run(seed, &test)),
    }
}

fn run(seed: u64, test: &impl Fn(u64)) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| test(seed))) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("THE_TEST");
        eprintln!(
            "seed {seed} failed; to replay: {VARIABLE}={seed} cargo test -p sockeye-sim {name}"
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
        if env::var(VARIABLE).is_ok() {
            return;
        }
        let ran = RefCell::new(Vec::new());
        let failed = panic::catch_unwind(AssertUnwindSafe(|| {
            seeds(0..10, |seed| {
                ran.borrow_mut().push(seed);
                assert!(seed < 3, "as it should");
            });
        }));
        assert!(failed.is_err());
        assert_eq!(*ran.borrow(), [0, 1, 2, 3]);
    }
}
