//! For which names a certificate can be ordered.

use std::fmt;
use std::net::IpAddr;

/// Why no certificate can be ordered for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// The name is `*`, or begins with `*.`: only the challenge dns-01 validates such names, and
    /// this crate doesn't support it.
    Wildcard,
    /// The name is an IP address.
    Address,
    /// The public DNS has no such name, so nobody can own it: `localhost`, for example.
    NotPublic,
    /// The name is no host name, or has characters that certificates can't have.
    Malformed,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wildcard => {
                "a certificate for a wildcard needs the challenge dns-01, which is not supported: \
                 name each host"
            }
            Self::Address => "IP addresses are not supported: use a host name",
            Self::NotPublic => {
                "no public CA gives a certificate for a name that is not in the public DNS"
            }
            Self::Malformed => {
                "this is no host name such as www.example.org (write a name with letters \
                 other than a to z as in DNS: xn--...)"
            }
        })
    }
}

impl std::error::Error for BadName {}

/// Names that are reserved for other uses than the public DNS (RFC 6761, RFC 6762, RFC 7686,
/// RFC 8375, RFC 9476, and ICANN's `internal`), and `lan`, which home networks use (RFC 6762,
/// appendix G). `example` and `test` are not here: examples use them.
const PRIVATE: [&str; 8] =
    ["localhost", "local", "internal", "home.arpa", "lan", "onion", "invalid", "alt"];

/// Checks a name, and returns it in lower case without the dot at its end. `is_public`: whether the
/// authority is a public one, which refuses private names.
///
/// # Errors
///
/// [`BadName`] says why no certificate can be ordered for this name.
pub fn parse_name(text: &str, is_public: bool) -> Result<String, BadName> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.starts_with("*.") || name == "*" {
        return Err(BadName::Wildcard);
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(BadName::Address);
    }
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(BadName::Malformed);
    }
    // No URL can contain a name whose last label is a number: such a host is parsed as an IPv4
    // address (WHATWG URL, host parser).
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadName::Malformed);
    }
    let is_private = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if is_public && (!name.contains('.') || PRIVATE.into_iter().any(is_private)) {
        return Err(BadName::NotPublic);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_proved_are_ordered() {
        for (text, public, private) in [
            ("example.org", Ok("example.org"), Ok("example.org")),
            ("WWW.Example.ORG.", Ok("www.example.org"), Ok("www.example.org")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example"), Ok("xn--bcher-kva.example")),
            ("*.example.org", Err(BadName::Wildcard), Err(BadName::Wildcard)),
            ("192.0.2.1", Err(BadName::Address), Err(BadName::Address)),
            ("[2001:db8::1]", Err(BadName::Address), Err(BadName::Address)),
            ("localhost", Err(BadName::NotPublic), Ok("localhost")),
            ("a.localhost", Err(BadName::NotPublic), Ok("a.localhost")),
            ("nas", Err(BadName::NotPublic), Ok("nas")),
            ("nas.local", Err(BadName::NotPublic), Ok("nas.local")),
            ("mylocal.org", Ok("mylocal.org"), Ok("mylocal.org")),
            ("notlocal", Err(BadName::NotPublic), Ok("notlocal")),
            ("bücher.example", Err(BadName::Malformed), Err(BadName::Malformed)),
            ("https://example.org", Err(BadName::Malformed), Err(BadName::Malformed)),
            ("example.org:443", Err(BadName::Malformed), Err(BadName::Malformed)),
            ("a..example", Err(BadName::Malformed), Err(BadName::Malformed)),
            ("-a.example", Err(BadName::Malformed), Err(BadName::Malformed)),
            ("1.2.3", Err(BadName::Malformed), Err(BadName::Malformed)),
            ("", Err(BadName::Malformed), Err(BadName::Malformed)),
        ] {
            let owned = |name: Result<&str, BadName>| name.map(str::to_owned);
            assert_eq!(parse_name(text, true), owned(public), "{text}");
            assert_eq!(parse_name(text, false), owned(private), "{text}");
        }
    }
}
