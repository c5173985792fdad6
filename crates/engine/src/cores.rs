//! How many cores and descriptors the process may use.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many cores the process may use: as many as its CPU affinity and the quota of its control
/// group allow.
#[must_use]
pub fn usable_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Raises the limit on open descriptors to `wanted`, or to the hard limit if that is lower. Never
/// lowers it. Returns the limit.
///
/// Don't ask for more descriptors than connections and files can use: child processes inherit the
/// limit, and some programs loop over all possible descriptors when they start.
#[must_use]
pub fn raise_descriptor_limit(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.unwrap_or(u64::MAX);
    let raised = wanted.min(maximum.unwrap_or(u64::MAX));
    if raised > soft
        && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok()
    {
        return raised;
    }
    soft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptor_limit_rises_to_what_is_wanted_and_never_falls() {
        let before = raise_descriptor_limit(0);
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let raised = raise_descriptor_limit(before + 1);
        assert_eq!(raised, (before + 1).min(hard.max(before)));
        assert_eq!(raise_descriptor_limit(1), raised);
    }
}
