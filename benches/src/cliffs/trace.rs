//! Calls to the kernel, as strace has written them down.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// From when to when calls are counted, since 1970: what comes before is setting up, and what comes
/// after is going.
pub(super) type Window = Range<Duration>;

/// Now, as strace writes it.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Calls by their names, for each request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calls(BTreeMap<String, f64>);

impl Calls {
    /// What strace has written about `window`, in which so many requests were made.
    pub(super) fn within(text: &str, window: &Window, requests: u64) -> Self {
        let mut calls = BTreeMap::<String, f64>::new();
        for name in text.lines().filter_map(|line| begun(line, window)) {
            *calls.entry(name.to_owned()).or_default() += 1.0 / requests as f64;
        }
        Self(calls)
    }

    /// Of any of these names.
    pub(super) fn of(&self, names: &[&str]) -> f64 {
        names.iter().filter_map(|name| self.0.get(*name)).fold(0.0, |sum, count| sum + count)
    }

    pub(super) fn total(&self) -> f64 {
        self.0.values().fold(0.0, |sum, count| sum + count)
    }

    /// All of them: for who asks where they go.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// The call that a line says was begun within `window`: `7 1790000000.123456 recvfrom(5, ...`. How
/// one ended that had to wait stands on a line of its own.
fn begun<'a>(line: &'a str, window: &Window) -> Option<&'a str> {
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
    fn calls_count_that_were_begun_while_requests_were_made() {
        let window = Duration::from_millis(100_400)..Duration::from_millis(101_500);
        let calls = Calls::within(TEXT, &window, 2);
        assert_eq!(calls.of(&["recvfrom"]), 1.0);
        assert_eq!(calls.of(&["sendmsg", "sendto"]), 0.5);
        assert_eq!(calls.of(&["bind"]), 0.0);
        assert_eq!(calls.total(), 2.0);
        assert_eq!(calls.all().count(), 3);
    }
}
