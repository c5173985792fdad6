//! `sockeye explain`: how `sockeye http` would answer a URL.

mod tls;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use sockeye::engine::ListenAddr;
use sockeye::files::Absent;
use sockeye::http_core::Status;

use self::tls::{Origin, TlsOutcome};
use crate::error::{Error, OrUsage};
use crate::plan::tls::check_private;
use crate::plan::{Folders, Listing};
use crate::proxies::TrustedProxy;
use crate::stdout::Stdout;
use crate::target::{HTTP_PORT, HTTPS_PORT};
use crate::{args, hosts, text};

/// Prints the explanation. The exit code is 1 if the response is an error, or if there is no
/// response.
pub(crate) fn run(flags: args::Explain) -> Result<ExitCode, Error> {
    let target = target(&flags.url).or_usage()?;
    let refused = refused_host(&flags.url, &flags.http).or_usage()?;
    let outcome = tls::outcome(&flags.http, origin(&flags.url), &target)?;
    // Explains a server that runs without a terminal, such as a service, even if this command has a
    // terminal. `on_terminal` says whether a server on a terminal would list folders. It is used
    // only for a hint.
    let listing = Listing::of(&flags.http, Stdout::Other);
    let on_terminal = Listing::of(&flags.http, Stdout::Terminal { color: false });
    let folders = Folders::of(flags.http.folders, listing)?;
    check_private(&flags.http.tls, &flags.http.acme, &folders)?;
    let mounts = folders.mounts;
    // The program that reads the output may stop early (`| head`), so write errors are ignored.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "GET {}", text::escape_controls(&target));
    if let Some(RefusedHost { text, always: true }) = &refused {
        let _ = write!(out, "{text}");
        return Ok(ExitCode::FAILURE);
    }
    let more = match outcome {
        TlsOutcome::Folders(more) => more,
        TlsOutcome::Instead(text, is_success) => {
            let _ = write!(out, "{text}");
            return Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    };
    let explanation = mounts.explain(&target);
    let _ = write!(out, "{explanation}{more}");
    if explanation.absent == Some(Absent::Outside) {
        let _ = writeln!(out, "  fix: allow links into another folder with --links-into FOLDER");
    }
    if explanation.absent == Some(Absent::NoIndex) && on_terminal == Listing::Automatic {
        let _ = writeln!(
            out,
            "  fix: --listing lists the folder; sockeye http on a terminal does it by default"
        );
    }
    if let Some(refused) = &refused {
        let _ = write!(out, "For some clients: {}", refused.text);
    }
    Ok(if explanation.status.code() < 400 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The refusal of a URL's host, which isn't allowed at some addresses of `--listen`.
struct RefusedHost {
    /// What to print: the response, the addresses, and how to allow the host.
    text: String,
    /// Whether all requests for the host are refused: the host is checked at every address, and
    /// `--trusted-proxy` names no network. Requests from such a network would not be checked.
    always: bool,
}

/// Returns the refusal if a server with these flags refuses the host of `url` at some addresses.
fn refused_host(url: &str, flags: &args::Http) -> anyhow::Result<Option<RefusedHost>> {
    let Some(host) = host(url) else { return Ok(None) };
    let is_live = flags.folders.live;
    // As in `hosts::check`: hosts are checked only at loopback addresses. With --live, they are
    // checked at all addresses except Unix sockets.
    let is_checked = |address: &&ListenAddr| match is_live {
        true => !matches!(address, ListenAddr::Unix(_)),
        false => hosts::is_loopback(address),
    };
    let checked: Vec<String> =
        flags.listen.iter().filter(is_checked).map(ToString::to_string).collect();
    let allowed = hosts::and(hosts::allowed(&flags.hosts.host)?, &tls::hosts(flags));
    if checked.is_empty() || allowed.allows(host.as_bytes()) {
        return Ok(None);
    }
    let always = checked.len() == flags.listen.len()
        && !flags.trusted_proxy.iter().any(|trusted| matches!(trusted, TrustedProxy::Network(_)));
    let text = format!(
        "{}: the host {} is not allowed {}\n  at: {}\n  \
         fix: allow it with --host, or pass the server's --listen and --trusted-proxy to sockeye explain\n",
        Status::MISDIRECTED_REQUEST,
        text::escape_controls(host),
        if is_live { "with --live" } else { "at a loopback address" },
        text::escape_controls(&checked.join(", "))
    );
    Ok(Some(RefusedHost { text, always }))
}

/// The host of `url`, with its port if it has one. `None` if `url` has no host, such as a path.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://").filter(|(scheme, _)| is_http(scheme))?;
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    // Browsers send neither the user nor the password in `Host`.
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then_some(host)
}

/// The scheme, host and port of `url`. `None` if `url` has no host, such as a path.
fn origin(url: &str) -> Option<Origin<'_>> {
    let is_https = url.split_once("://")?.0.eq_ignore_ascii_case("https");
    let authority = host(url)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    Some(Origin {
        is_https,
        host,
        port: port.unwrap_or(if is_https { HTTPS_PORT } else { HTTP_PORT }),
    })
}

/// Whether this is a scheme of HTTP. Schemes are case-insensitive (RFC 3986, 3.1).
fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|http| http.eq_ignore_ascii_case(scheme))
}

/// The request target that browsers send for `url`.
fn target(url: &str) -> anyhow::Result<String> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if is_http(scheme) => rest,
        // A path, whose query may contain `://`.
        _ if url.starts_with('/') => url,
        _ => bail!(
            "'{url}' is not a URL to explain: write https://HOST/PATH, http://HOST/PATH or /PATH"
        ),
    };
    // Browsers don't send the fragment.
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let mut target = String::new();
    // Percent-encodes bytes that a URI can't contain (RFC 3986). Browsers send some of these bytes
    // unencoded, which makes no difference to the response.
    for byte in (resolved(path) + query).bytes() {
        if matches!(byte, b'!'..=b'~') && !b"\"<>\\^`{|}".contains(&byte) {
            target.push(byte.into());
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(target)
}

/// The path that browsers send for `path`, whose first slash may follow a host: with `/` for `\`,
/// and without dot segments, whose dots may be percent-encoded (the URL Standard, 4.4).
fn resolved(path: &str) -> String {
    let mut segments = Vec::new();
    let mut ends_with_dots = false;
    for segment in path.split(['/', '\\']).skip(1) {
        let decoded = segment.replace("%2e", ".").replace("%2E", ".");
        ends_with_dots = matches!(&decoded[..], "." | "..");
        if decoded == ".." {
            segments.pop();
        } else if decoded != "." {
            segments.push(segment);
        }
    }
    // The path of a folder ends with a slash.
    if ends_with_dots {
        segments.push("");
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_the_target_that_a_browser_sends() {
        for (url, expected) in [
            ("/", "/"),
            ("/a b?c=http://d#e", "/a%20b?c=http://d"),
            ("/caf\u{e9}/%41", "/caf%C3%A9/%41"),
            ("http://localhost:8000", "/"),
            ("HTTP://localhost:8000/A", "/A"),
            ("Https://localhost", "/"),
            ("https://localhost?a", "/?a"),
            ("http://[::1]:8000/a/../b", "/b"),
            ("/a/../../b/./c", "/b/c"),
            ("/a/%2E%2e/b/.%2E/%2e", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("//a//../...", "//a/..."),
            ("/a/.b/c..", "/a/.b/c.."),
            ("/a\\..\\b\\c?\\d/../e", "/b/c?%5Cd/../e"),
            ("http://localhost\\a", "/a"),
            ("/a\"\n", "/a%22%0A"),
        ] {
            assert_eq!(target(url).unwrap(), expected, "{url}");
        }
        for (url, expected) in [
            ("/a", None),
            ("/http://a/", None),
            ("http:///a", None),
            ("http://a.example", Some("a.example")),
            ("http://a.example\\b@c", Some("a.example")),
            ("HTTPS://a.example/b", Some("a.example")),
            ("https://me:secret@a.example:8000?b@c", Some("a.example:8000")),
            ("http://[::1]:8000/a", Some("[::1]:8000")),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
        for (url, is_https, host, port) in [
            ("https://a.example/b", true, "a.example", 443),
            ("HTTP://a.example:8000", false, "a.example", 8000),
            ("http://[::1]", false, "[::1]", 80),
            ("https://[::1]:8443/", true, "[::1]", 8443),
            ("http://a:", false, "a", 80),
        ] {
            assert_eq!(origin(url), Some(Origin { is_https, host, port }), "{url}");
        }
        assert_eq!(origin("/a"), None);
        for bad in ["", "about", "ftp://a/b", "localhost:8000/a"] {
            assert!(target(bad).unwrap_err().to_string().contains("/PATH"), "{bad}");
        }
    }
}
