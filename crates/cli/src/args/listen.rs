//! The addresses to listen on: `--listen` and `--port`.

use std::ffi::OsStr;
use std::net::Ipv6Addr;

use clap::ArgMatches;
use clap::parser::ValueSource;
use sockeye::engine::{BadListenAddr, ListenAddr};

use crate::text::refuse_list;

pub(super) const LISTEN: &str =
    "Address: HOST, HOST:PORT, unix:PATH, or PORT for all addresses of this machine";
pub(super) const LISTEN_LONG: &str = "\
Address: HOST, HOST:PORT, unix:PATH, or PORT for all addresses of this machine.

PORT, :PORT and *:PORT let every machine connect that can reach this one; --port doesn't. Without \
a port, the default port or that of --port is used. An IPv6 address with a port is in brackets: [::1]:8000. \
Port 0 picks a free port. unix:@NAME is an abstract socket. Can be given several times.";

/// Parses a port. 0 picks a free one.
pub(super) fn parse_port(text: &str) -> Result<u16, String> {
    let help = "a port is a number up to 65535";
    text.parse().map_err(|_| match text.contains(':') {
        true => format!("{help}; write --listen {text}"),
        false => help.into(),
    })
}

/// Parses a value of `--listen`: an address, or a URL with one of `schemes`, as the server prints
/// it when it has started. A host without a port gets `port`, but not in a URL.
pub(super) fn parse(text: &str, schemes: &[&str], port: u16) -> Result<ListenAddr, String> {
    let address = match text.split_once("://") {
        Some((scheme, address)) if schemes.iter().any(|own| own.eq_ignore_ascii_case(scheme)) => {
            address.strip_suffix('/').unwrap_or(address)
        }
        _ => text,
    };
    let forms = "HOST:PORT, :PORT, PORT, [::1]:PORT, unix:PATH or unix:@NAME";
    refuse_list("--listen", address)?;
    address.parse().or_else(|error: BadListenAddr| {
        host(text, port).ok_or_else(|| format!("{} ({forms})", error.reason()))
    })
}

/// Adds `port` to a host without a port: a name, an IPv4 address, or an IPv6 address with or
/// without brackets. Returns `None` if `text` has a port or is not a host.
fn host(text: &str, port: u16) -> Option<ListenAddr> {
    // A zone may follow after `%`: fe80::1%eth0.
    let is_ipv6 =
        |text: &str| text.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    let host = match text.rsplit_once(':') {
        // Accepts `::1`, but not `::1:80`, which is a valid IPv6 address, but was probably meant as
        // `[::1]:80`.
        Some((start, _)) if is_ipv6(text) && !is_ipv6(start) => format!("[{text}]"),
        Some(_) if text.starts_with('[') => text.to_owned(),
        Some(_) => return None,
        None if text.is_empty() => return None,
        // `80a` is a mistyped port, not a host.
        None if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('.') => {
            return None;
        }
        None => text.to_owned(),
    };
    format!("{host}:{port}").parse().ok()
}

/// Sets `port`, the value of `--port`, in the default address, or in the addresses of `--listen`
/// that have no port of their own.
///
/// The command line takes precedence over the environment: `--port` replaces the ports of
/// `SOCKEYE_LISTEN`, and `SOCKEYE_PORT` doesn't apply to a `--listen` with a port.
///
/// # Errors
///
/// An address has a port that differs from `port`, and both come from the command line, or both
/// from the environment. Or `--port` is on the command line, and all addresses are Unix sockets.
pub(super) fn apply_port(
    listen: &mut [ListenAddr],
    port: Option<u16>,
    matches: &ArgMatches,
) -> Result<(), String> {
    let Some(port) = port else { return Ok(()) };
    let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    let is_default = matches.value_source("listen") == Some(ValueSource::DefaultValue);
    let replaces = is_default || is_typed("port") && !is_typed("listen");
    let conflicts = is_typed("listen") == is_typed("port");
    let flag = |id, flag, variable| if is_typed(id) { flag } else { variable };
    let listen_flag = flag("listen", "--listen", "SOCKEYE_LISTEN");
    let port_flag = flag("port", "--port", "SOCKEYE_PORT");
    let raw: Vec<&OsStr> = matches.get_raw("listen").into_iter().flatten().collect();
    let mut is_used = false;
    for (address, raw) in listen.iter_mut().zip(raw) {
        let raw = raw.to_string_lossy();
        let (ListenAddr::Host(_, own) | ListenAddr::Any(own)) = address else { continue };
        if replaces || host(&raw, port).is_some() {
            *own = port;
        } else if conflicts && *own != port {
            return Err(format!(
                "{listen_flag} {raw} has a port of its own: remove either that port or {port_flag} {port}"
            ));
        }
        is_used = true;
    }
    if is_used || !is_typed("port") {
        return Ok(());
    }
    Err(format!(
        "{listen_flag} has only sockets without a port: remove --port {port}, or add an address \
         with --listen :{port}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_the_default_port() {
        for (text, expected) in [
            ("0.0.0.0", "0.0.0.0:8000"),
            ("localhost", "localhost:8000"),
            ("a.example", "a.example:8000"),
            ("::", "[::]:8000"),
            ("::1", "[::1]:8000"),
            ("[::1]", "[::1]:8000"),
            ("fe80::1%lo", "[fe80::1%lo]:8000"),
            ("*", ":8000"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("9", ":9"),
            ("http://[::1]:9/", "[::1]:9"),
        ] {
            let parsed = parse(text, &["http"], 8000).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "80a",
            "65536",
            "::1:80",
            "[::1",
            "http://localhost",
            "a b",
            "127.0.0.1:",
            "",
            "unix:",
            "unix:@",
        ] {
            assert!(parse(text, &["http"], 8000).is_err(), "{text}");
        }
        for text in [":80,:81", ":80 :81", ":80, :81"] {
            let error = parse(text, &["http"], 8000).unwrap_err();
            assert!(error.ends_with("OPTIONS=\"--listen :80 --listen :81\""), "{error}");
        }
    }
}
