//! Counts system calls in the output of strace.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The time window in which calls are counted, as Unix time. Calls outside it are setup and
/// shutdown.
pub(super) type Window = Range<Duration>;

/// The current time as Unix time, to compare with the times that strace writes.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Calls per request, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calls(BTreeMap<String, f64>);

impl Calls {
    /// Parses the output of strace for `window`, in which `requests` requests were made.
    pub(super) fn within(text: &str, window: &Window, requests: u64) -> Self {
        let mut calls = BTreeMap::<String, f64>::new();
        for name in text.lines().filter_map(|line| started_call(line, window)) {
            *calls.entry(name.to_owned()).or_default() += 1.0 / requests as f64;
        }
        Self(calls)
    }

    /// The number of calls per request with one of these names.
    pub(super) fn of(&self, names: &[&str]) -> f64 {
        names.iter().filter_map(|name| self.0.get(*name)).fold(0.0, |sum, count| sum + count)
    }

    /// The number of all calls per request.
    pub(super) fn total(&self) -> f64 {
        self.0.values().fold(0.0, |sum, count| sum + count)
    }

    /// All names, each with its number of calls per request.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// The name of the call whose start this line reports, if it started within `window`. A line has a
/// thread, a time and a call: `7 1790000000.123456 recvfrom(5, ...`. If another thread makes a call
/// before this one ends, the end has a line of its own, which isn't counted.
fn started_call<'a>(line: &'a str, window: &Window) -> Option<&'a str> {
    let mut words = line.split_ascii_whitespace();
    let time = words.nth(1)?.parse().ok()?;
    let (name, _) = words.next()?.split_once('(')?;
    let time = Duration::try_from_secs_f64(time).ok()?;
    (window.contains(&time) && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
7 100.000001 bind(3, {sa_family=AF_INET}, 16) = 0
7 100.500000 recvfrom(5, \"\"..., 65536, 0, NULL, NULL) = 45
8 100.500001 epoll_wait(4, <unfinished ...>
7 100.500002 sendmsg(5, {msg_name=NULL}, MSG_NOSIGNAL) = 298
8 100.600000 <... epoll_wait resumed>[], 1024, 10) = 0
7 100.700000 recvfrom(5, \"\"..., 65536, 0, NULL, NULL) = 45
7 101.000000 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER} ---
7 102.000000 exit_group(0) = ?
7 102.000001 +++ exited with 0 +++
";

    #[test]
    fn only_calls_that_start_in_the_window_are_counted() {
        let window = Duration::from_millis(100_400)..Duration::from_millis(101_500);
        let calls = Calls::within(TEXT, &window, 2);
        assert_eq!(calls.of(&["recvfrom"]), 1.0);
        assert_eq!(calls.of(&["sendmsg", "sendto"]), 0.5);
        assert_eq!(calls.of(&["bind"]), 0.0);
        assert_eq!(calls.total(), 2.0);
        assert_eq!(calls.all().count(), 3);
    }
}
