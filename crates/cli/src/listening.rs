//! Error messages for a server that can't listen at an address.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::anyhow;
use sockeye::engine::ListenAddr;
use sockeye::engine::driver::BindError;

use crate::error::Error;
use crate::listening_process::{self, Owner};
use crate::target::HTTPS_PORT;

/// Converts a [`BindError`] to an error that says the reason and what to do. `listen` and
/// `redirects` are the addresses of `--listen` and of `--https-redirect`. `is_acme` says whether
/// `--acme` is given.
pub(crate) fn cannot_listen(
    error: BindError,
    [listen, redirects]: [&[ListenAddr]; 2],
    is_acme: bool,
) -> Error {
    let BindError { address, resolved: at, source } = error;
    let flag = if redirects.contains(&address) { "--https-redirect=" } else { "--listen " };
    Error::Failure(match (source.kind(), &address) {
        (ErrorKind::AddrInUse, ListenAddr::Unix(_)) => {
            let name = address.to_string();
            let by = listening_process::at_socket(name.trim_start_matches("unix:"));
            let by = by.unwrap_or_else(|| "another process".into());
            anyhow!("{address} is in use by {by}: stop it, or choose another path or name")
        }
        (ErrorKind::AddrInUse, ListenAddr::Any(port) | ListenAddr::Host(_, port)) => {
            let at = at.unwrap_or_else(|| SocketAddr::from(([0; 16], *port)));
            let typed = [("--listen ", listen), ("--https-redirect=", redirects)];
            let all = typed.iter().flat_map(|(flag, all)| all.iter().map(move |one| (*flag, one)));
            let other =
                all.filter(|one| *one != (flag, &address)).find(|(_, one)| has_port(one, *port));
            return in_use((flag, &address), *port, listening_process::at(at), other);
        }
        (ErrorKind::PermissionDenied, ListenAddr::Any(port) | ListenAddr::Host(_, port))
            if is_acme && *port < 1024 =>
        {
            anyhow!(
                "cannot listen on {address}: this user may not use ports below 1024, but --acme needs \
                 443, or 80: allow it by sudo setcap cap_net_bind_service=+ep $(command -v sockeye) \
                 (a systemd unit needs AmbientCapabilities=CAP_NET_BIND_SERVICE); or forward both \
                 ports to this server with --listen :8443 --https-redirect=:8080"
            )
        }
        (ErrorKind::PermissionDenied, ListenAddr::Any(port) | ListenAddr::Host(_, port))
            if *port < 1024 =>
        {
            let high = with_port(&address, if *port == HTTPS_PORT { 8443 } else { 8000 });
            anyhow!(
                "cannot listen on {address}: this user may not use ports below 1024; \
                 {flag}{high} is allowed (to allow a low port: sudo setcap \
                 cap_net_bind_service=+ep $(command -v sockeye); in a systemd unit, \
                 AmbientCapabilities=CAP_NET_BIND_SERVICE)"
            )
        }
        (ErrorKind::AddrNotAvailable, _) => {
            anyhow!("cannot listen on {address}: this machine has no such address")
        }
        (ErrorKind::NotFound, ListenAddr::Unix(path)) if let Some(folder) = path.parent() => {
            let folder = folder.display();
            return Error::usage(format!(
                "cannot listen on {address}: there is no folder {folder}; mkdir -p {folder} creates \
                 it"
            ));
        }
        (ErrorKind::PermissionDenied, ListenAddr::Unix(path)) => {
            let folder = path.parent().unwrap_or(path).display();
            anyhow!(
                "cannot listen on {address}: this user may not create files in {folder} (a systemd \
                 unit needs RuntimeDirectory=sockeye, for unix:/run/sockeye/http.sock)"
            )
        }
        (_, ListenAddr::Unix(_)) => {
            return Error::of_path(source, format!("cannot listen on {address}"));
        }
        // The name can't be resolved: errors of the system's resolver have no `errno`.
        (_, ListenAddr::Host(_, port)) if source.raw_os_error().is_none() => anyhow!(
            "cannot listen on {address}: {source}; write an address of this machine, or :{port} for \
             all of them"
        ),
        _ => anyhow!("cannot listen on {address}: {source}"),
    })
}

/// The error if `address`, a value of `flag`, is in use. `owner` is the process that listens at it;
/// `None` if no listener is found. `other` is another address of this command with the same port,
/// and its flag.
fn in_use(
    (flag, address): (&str, &ListenAddr),
    port: u16,
    owner: Option<Owner>,
    other: Option<(&str, &ListenAddr)>,
) -> Error {
    let by = match (owner, other) {
        (Some(Owner::Process(name)), _) => name,
        // The listener at the other address usually caused this error, and has already been closed
        // because of it.
        (None, Some((flag, other))) => {
            return Error::usage(format!(
                "{address} is in use by {flag}{other} of this command, or by a process that can't \
                 be seen: remove one of the two addresses, or choose another port"
            ));
        }
        (Some(Owner::Unseen) | None, _) => {
            format!("another process (`ss -ltnp sport = :{port}` as root shows which)")
        }
    };
    let free = with_port(address, 0);
    Error::Failure(anyhow!(
        "{address} is in use by {by}: stop it, or choose another port; {flag}{free} picks a free one"
    ))
}

fn has_port(address: &ListenAddr, wanted: u16) -> bool {
    matches!(address, ListenAddr::Any(port) | ListenAddr::Host(_, port) if *port == wanted)
}

fn with_port(address: &ListenAddr, port: u16) -> ListenAddr {
    match address {
        ListenAddr::Any(_) => ListenAddr::Any(port),
        ListenAddr::Host(host, _) => ListenAddr::Host(host.clone(), port),
        ListenAddr::Unix(path) => ListenAddr::Unix(path.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_refused_with_who_uses_it() {
        let process = || Some(Owner::Process("nginx (pid 812)".into()));
        for (owner, other, expected) in [
            (process(), None, "127.0.0.1:80 is in use by nginx (pid 812): stop it"),
            (process(), Some(("--listen ", ":80")), "is in use by nginx (pid 812): stop it"),
            // The process of another user.
            (Some(Owner::Unseen), None, "is in use by another process (`ss -ltnp sport = :80`"),
            (Some(Owner::Unseen), Some(("--listen ", ":80")), "is in use by another process (`ss"),
            (None, None, "is in use by another process (`ss -ltnp sport = :80` as root"),
            (
                None,
                Some(("--listen ", ":80")),
                "127.0.0.1:80 is in use by --listen :80 of this command, or by a process that can't",
            ),
            (
                None,
                Some(("--https-redirect=", ":80")),
                "is in use by --https-redirect=:80 of this command, or by a process that can't",
            ),
        ] {
            let other = other.map(|(flag, other)| (flag, other.parse().unwrap()));
            let other = other.as_ref().map(|(flag, other)| (*flag, other));
            let address = "127.0.0.1:80".parse().unwrap();
            let text = in_use(("--listen ", &address), 80, owner, other).to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn the_other_address_is_that_of_any_flag() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (listen, redirects, expected) in [
            (vec![":", "127.0.0.1:"], vec![], "by --listen :PORT of this command"),
            (vec!["127.0.0.1:"], vec![":"], "by --https-redirect=:PORT of this command"),
            (vec!["127.0.0.1:"], vec!["127.0.0.1:"], "by --listen 127.0.0.1:PORT of this command"),
            (vec!["127.0.0.1:"], vec![], "by another process"),
        ] {
            let parse = |typed: &&str| format!("{typed}{port}").parse().unwrap();
            let listen: Vec<ListenAddr> = listen.iter().map(parse).collect();
            let redirects: Vec<ListenAddr> = redirects.iter().map(parse).collect();
            let error = BindError {
                address: parse(&"127.0.0.1:"),
                resolved: None,
                source: ErrorKind::AddrInUse.into(),
            };
            let text = cannot_listen(error, [&listen, &redirects], false).to_string();
            assert!(text.contains(&expected.replace("PORT", &port.to_string())), "{text}");
        }
    }

    #[test]
    fn a_low_port_is_refused_with_the_ways_to_listen() {
        for (address, is_redirect, is_acme, allowed) in [
            (":80", false, false, "--listen :8000 is allowed"),
            ("[::1]:443", false, false, "--listen [::1]:8443 is allowed"),
            (":80", true, false, "--https-redirect=:8000 is allowed"),
            (":443", false, true, "--listen :8443 --https-redirect=:8080"),
        ] {
            let redirects = Vec::from_iter(is_redirect.then(|| address.parse().unwrap()));
            let error = BindError {
                address: address.parse().unwrap(),
                resolved: None,
                source: ErrorKind::PermissionDenied.into(),
            };
            let text = cannot_listen(error, [&[], &redirects], is_acme).to_string();
            let start = format!("cannot listen on {address}: ");
            for part in
                [&*start, allowed, "setcap cap_net_bind_service=+ep", "=CAP_NET_BIND_SERVICE"]
            {
                assert!(text.contains(part), "{text}");
            }
        }
    }
}
