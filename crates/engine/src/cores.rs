//! What the process may use: cores and descriptors.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Cores that the process may use: its affinity and its control group's quota are respected.
#[must_use]
pub fn usable_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Raises the limit on open descriptors to `wanted`, or as near as the hard limit allows, and
/// returns what it is then. It is never lowered.
///
/// A limit far above what is used is no gain and costs some programs that a process starts a loop
/// over all of them, so it is asked for what connections and files can use, not for everything.
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
