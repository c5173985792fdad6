//! Host names that are allowed at loopback addresses, and what is logged of others.
//!
//! Why they are checked is said in [`sockeye::http_core::HostCheck`]. A listener that is not bound
//! to a loopback address is reached by names that this program can't know, and is not checked; nor
//! are Unix sockets, which no browser connects to, and proxies that are trusted.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use sockeye::engine::ListenAddr;
use sockeye::engine::driver::Bound;
use sockeye::http_core::{AllowedHosts, BadHostName, HostCheck};
use tracing::warn;

use crate::proxies::Proxies;

/// How many refused names are logged. Clients choose them, so there is a limit.
const LOGGED_NAMES: usize = 64;

/// A host name, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName(String);

impl FromStr for HostName {
    type Err = BadHostName;

    fn from_str(text: &str) -> Result<Self, BadHostName> {
        AllowedHosts::default().allow(text).map(|_| Self(text.to_owned()))
    }
}

/// What is allowed with these names.
pub(crate) fn allowed(names: Vec<HostName>) -> Result<AllowedHosts, BadHostName> {
    let hosts = AllowedHosts::default().hint("To allow a name, start sockeye with --host NAME");
    names.into_iter().try_fold(hosts, |hosts, name| hosts.allow(&name.0))
}

/// Whether the listeners at an address that was asked for are on the loopback.
pub(crate) fn is_loopback(address: &ListenAddr) -> bool {
    match address {
        ListenAddr::Host(host, _) => match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        },
        ListenAddr::Any(_) | ListenAddr::Unix(_) => false,
    }
}

/// Names that were refused, of all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<Mutex<BTreeSet<String>>>);

/// Whether a name is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Name,
    /// It is one too many. This is said once.
    TooMany,
    None,
}

impl Refused {
    fn add(&self, name: &str) -> News {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() > LOGGED_NAMES || !names.insert(name.to_ascii_lowercase()) {
            return News::None;
        }
        if names.len() > LOGGED_NAMES { News::TooMany } else { News::Name }
    }

    fn log(&self, name: Option<&str>) {
        let host = name.unwrap_or("(not a name)");
        match self.add(host) {
            News::Name => warn!(
                target: "sockeye",
                host,
                "refused: this name is not allowed at a loopback address; --host NAME allows it"
            ),
            News::TooMany => warn!(
                target: "sockeye",
                max = LOGGED_NAMES,
                "refused: more names that are not allowed; no further ones are logged"
            ),
            News::None => {}
        }
    }
}

/// Allows `hosts` alone on connections to those of the listeners, at `bound`, that are on the
/// loopback, but for those of `proxies`.
pub(crate) fn check(
    hosts: AllowedHosts,
    bound: &[Bound],
    proxies: Proxies,
    refused: Refused,
) -> HostCheck {
    let loopback: Vec<bool> = bound.iter().map(Bound::is_loopback).collect();
    HostCheck::new(hosts, move |peer| {
        loopback.get(peer.via as usize) == Some(&true) && !proxies.is_trusted(peer.address)
    })
    .on_refused(move |name| refused.log(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_is_logged_once_and_only_so_many_are() {
        let refused = Refused::default();
        assert_eq!(refused.add("Evil.example"), News::Name);
        assert_eq!(refused.clone().add("evil.EXAMPLE"), News::None, "of any worker");
        for n in 1..LOGGED_NAMES {
            assert_eq!(refused.add(&format!("{n}.example")), News::Name);
        }
        assert_eq!(refused.add("evil.example"), News::None);
        assert_eq!(refused.add("one.more"), News::TooMany);
        assert_eq!(refused.add("and.another"), News::None);
        assert_eq!(refused.0.lock().unwrap().len(), LOGGED_NAMES + 1, "no more is kept");
    }

    #[test]
    fn addresses_of_the_loopback_are_told_from_others() {
        for (address, loopback) in [
            ("127.0.0.1:8000", true),
            ("127.0.0.53:8000", true),
            ("[::1]:8000", true),
            ("[::ffff:127.0.0.1]:8000", true),
            ("localhost:8000", true),
            (":8000", false),
            ("0.0.0.0:8000", false),
            ("10.0.0.11:8000", false),
            ("example.org:8000", false),
            ("unix:/run/s", false),
        ] {
            assert_eq!(is_loopback(&address.parse().unwrap()), loopback, "{address}");
            if let Ok(bound) = address.parse() {
                assert_eq!(Bound::Ip(bound).is_loopback(), loopback, "{address}");
            }
        }
    }
}
