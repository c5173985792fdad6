//! A URL to be explained.

use anyhow::bail;
use sockeye::engine::ListenAddr;
use sockeye::files::Mounts;

use super::Content;
use crate::error::{Error, OrExit};
use crate::proxies::Trusted;
use crate::{args, hosts};

/// A URL to be explained.
#[derive(Debug)]
pub(crate) struct Explain {
    pub(crate) mounts: Mounts,
    /// As a browser would send it: a path and perhaps a query.
    pub(crate) target: String,
    pub(crate) refused: Option<RefusedHost>,
}

/// A URL's host that is not allowed at some of the addresses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedHost {
    pub(crate) host: String,
    /// Where it is not allowed.
    pub(crate) at: Vec<ListenAddr>,
    /// There are no other addresses, and no clients that are not checked.
    pub(crate) always: bool,
}

pub(super) fn explain(typed: args::Explain) -> Result<Explain, Error> {
    let target = target(&typed.url).or_usage()?;
    let refused = refused(&typed.url, &typed.http).or_usage()?;
    Ok(Explain { mounts: Content::of(typed.http.content)?.mounts, target, refused })
}

/// Where the host of `url` is refused by a server with these flags.
fn refused(url: &str, typed: &args::Http) -> anyhow::Result<Option<RefusedHost>> {
    let Some(host) = host(url) else { return Ok(None) };
    if hosts::allowed(typed.host.clone())?.allows(host.as_bytes()) {
        return Ok(None);
    }
    let listen = typed.listen.iter().filter(|address| hosts::is_loopback(address));
    let at: Vec<_> = listen.cloned().collect();
    if at.is_empty() {
        return Ok(None);
    }
    let always = at.len() == typed.listen.len()
        && !typed.trusted_proxy.iter().any(|trusted| matches!(trusted, Trusted::Network(_)));
    Ok(Some(RefusedHost { host: host.to_owned(), at, always }))
}

/// The host that `url` names, with its port.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://").filter(|(scheme, _)| is_http(scheme))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // Names and passwords of users are not sent as part of it.
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then_some(host)
}

/// The case of a scheme means nothing (RFC 3986, 3.1).
fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|http| http.eq_ignore_ascii_case(scheme))
}

/// What a browser asks for that is given `url`.
fn target(url: &str) -> anyhow::Result<String> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if is_http(scheme) => rest,
        // An absolute path may have anything in its query.
        _ if url.starts_with('/') => url,
        Some((scheme, _)) => bail!("{scheme}:// is no URL of a folder: http://HOST/PATH, or /PATH"),
        None => bail!("'{url}' is no URL: http://HOST/PATH, or /PATH"),
    };
    // A fragment is the browser's own.
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let slash = if rest[at..].starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{}", encoded(&rest[at..])))
}

/// Percent-encodes what can't stand in a target (RFC 3986), and leaves the rest as it was typed.
fn encoded(text: &str) -> String {
    let mut target = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && !b"\"<>\\^`{|}".contains(&byte) {
            target.push(byte.into());
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_a_browser_would() {
        for (url, asked) in [
            ("/", "/"),
            ("/a b?c=http://d#e", "/a%20b?c=http://d"),
            ("/caf\u{e9}/%41", "/caf%C3%A9/%41"),
            ("http://localhost:8000", "/"),
            ("HTTP://localhost:8000/A", "/A"),
            ("Https://localhost", "/"),
            ("https://localhost?a", "/?a"),
            ("http://[::1]:8000/a/../b", "/a/../b"),
            ("/a\"\n", "/a%22%0A"),
        ] {
            assert_eq!(target(url).unwrap(), asked, "{url}");
        }
        for (url, named) in [
            ("/a", None),
            ("/http://a/", None),
            ("http:///a", None),
            ("http://a.example", Some("a.example")),
            ("HTTPS://a.example/b", Some("a.example")),
            ("https://me:secret@a.example:8000?b@c", Some("a.example:8000")),
            ("http://[::1]:8000/a", Some("[::1]:8000")),
        ] {
            assert_eq!(host(url), named, "{url}");
        }
        for bad in ["", "about", "ftp://a/b", "localhost:8000/a"] {
            assert!(target(bad).unwrap_err().to_string().contains("or /PATH"), "{bad}");
        }
    }
}
