//! Checks the host names of requests at loopback addresses, against DNS rebinding
//! ([`sockeye::http_core::AllowedHosts`]).
//!
//! Clients may reach other addresses by names that the server can't know. So requests there are
//! checked only with `--live`. Such a name must then be allowed by `--host`, or be in a certificate
//! of the server. Requests from Unix sockets and trusted proxies are not checked, since they don't
//! come from a browser directly.

use std::net::IpAddr;

use sockeye::engine::ListenAddr;
use sockeye::engine::driver::Bound;
use sockeye::http_core::{AllowedHosts, BadHostName, HostCheck};
use tracing::warn;

use crate::proxies::Proxies;

/// The hosts that are always allowed, such as `localhost`, and the names of `--host`.
pub(crate) fn allowed(names: &[String]) -> Result<AllowedHosts, BadHostName> {
    let hosts = AllowedHosts::default().hint("To allow a name, start sockeye with --host NAME");
    names.iter().try_fold(hosts, |hosts, name| hosts.allow(name))
}

/// Adds host names to the allowed ones. Skips invalid names.
pub(crate) fn and(hosts: AllowedHosts, names: &[String]) -> AllowedHosts {
    names.iter().fold(hosts, |hosts, name| hosts.clone().allow(name).unwrap_or(hosts))
}

/// Whether a listener at this address of `--listen` is on the loopback.
pub(crate) fn is_loopback(address: &ListenAddr) -> bool {
    match address {
        ListenAddr::Host(host, _) => match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        },
        ListenAddr::Any(_) | ListenAddr::Unix(_) => false,
    }
}

/// At which addresses the hosts of requests are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckedAt {
    Loopback,
    /// At all addresses, for `--live`.
    All,
}

/// Creates a check that allows only `hosts`, and logs refused names. `bound` has all listeners, and
/// `checked_at` says at which of them requests are checked; at Unix sockets they never are.
/// Requests from `proxies` are not checked. `proxies` is `None` for a command that has no flag
/// `--trusted-proxy`.
pub(crate) fn check(
    hosts: AllowedHosts,
    bound: &[Bound],
    checked_at: CheckedAt,
    proxies: Option<Proxies>,
) -> HostCheck {
    let place = match checked_at {
        CheckedAt::Loopback => "at a loopback address",
        CheckedAt::All => "with --live",
    };
    let how = match proxies {
        Some(_) => "allow it with --host NAME, or --trusted-proxy if a proxy forwards it",
        None => "allow it with --host NAME",
    };
    let proxies = proxies.unwrap_or_default();
    let is_checked = |bound: &Bound| match checked_at {
        CheckedAt::Loopback => bound.is_loopback(),
        CheckedAt::All => matches!(bound, Bound::Ip(_)),
    };
    let is_checked: Vec<bool> = bound.iter().map(is_checked).collect();
    HostCheck::new(hosts, move |peer| {
        let listener = peer.via as usize;
        is_checked.get(listener) == Some(&true) && !proxies.is_trusted(peer.address)
    })
    .on_refused(move |name| {
        let host = name.unwrap_or("(not a name)");
        warn!(target: "sockeye", host, "host not allowed {place}; {how}");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_recognized() {
        for (address, expected) in [
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
            assert_eq!(is_loopback(&address.parse().unwrap()), expected, "{address}");
            if let Ok(bound) = address.parse() {
                assert_eq!(Bound::Ip(bound).is_loopback(), expected, "{address}");
            }
        }
    }
}
