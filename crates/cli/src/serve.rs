//! The servers: `sockeye http`, `message` and `echo`. Each runs until a signal stops it.

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use sockeye::engine::driver::Bound;
use sockeye::engine::{Config, HandshakeStats, JobStats, ListenAddr, Server, Service, Stats};
use sockeye::files::CacheLimits;
use sockeye::http_core::{self, AllowedHosts};
use sockeye::message::protocol as message;
use sockeye::proto::Peer;
use sockeye::proto::echo::Echo;
use sockeye_acme::Challenges;

use crate::access::{self, AccessLog, Connections, Sink};
use crate::acme::Acme;
use crate::error::Error;
use crate::hosts::CheckedAt;
use crate::log::Log;
use crate::plan::{self, Folders, Listing, MountedFolder};
use crate::proxies::Proxies;
use crate::signals::OnHangup;
use crate::start_screen::Screen;
use crate::tls::{Certificates, Redirects, WithReasons, WithRedirects};
use crate::websocket_echo::WebSocketEcho;
use crate::{hosts, listening, readiness, signals, text};

pub(crate) fn echo(plan: plan::Echo, log: &Log) -> Result<ExitCode, Error> {
    let plan::Echo { serve, access, idle, websocket } = plan;
    let is_tls = serve.certificates.is_some();
    let screen = Screen::new("Echoing at");
    let access = start_access_log(access, &Proxies::default(), &serve, "connection")?;
    let logs = Logs { connections: access.as_ref().and_then(AccessLog::connections), access, log };
    let Some(websocket) = websocket else {
        let screen = Screen { scheme: if is_tls { "tls" } else { "tcp" }, ..screen };
        return run(serve, screen, None, logs, move |_, _| move |_: &Peer| Echo::new(idle));
    };
    let screen = Screen { scheme: if is_tls { "wss" } else { "ws" }, ..screen };
    let limits = websocket.http.clone();
    let http = move || http_core::ServerConfig::new(limits.clone());
    let redirects_http = http.clone();
    let hosts = own_hosts(&serve, &websocket.hosts);
    let checked_hosts = hosts.clone();
    let open = move |_: usize, info: &ServerInfo| {
        let check = hosts::check(checked_hosts.clone(), &info.bound, CheckedAt::Loopback, None);
        let config = Rc::new(http().checking_hosts(check));
        let echo = WebSocketEcho::new(&websocket);
        move |_: &Peer| http_core::Server::new(Rc::clone(&config), echo.clone())
    };
    if !is_tls {
        return run(serve, screen, None, logs, open);
    }
    run(serve, screen, None, logs, move |worker, info| {
        let redirects = Redirects { hosts: hosts.clone(), ..info.redirects(&hosts) };
        WithRedirects::new(open(worker, info), redirects_http(), redirects)
    })
}

pub(crate) fn message(plan: plan::Message, log: &Log) -> Result<ExitCode, Error> {
    let plan::Message { serve, answers, access, limits, websocket, .. } = plan;
    let plan::Message { frames_only, http2, hosts, origins, .. } = plan;
    let mut notes: Vec<String> = answers.note().into_iter().collect();
    if !frames_only {
        notes.push(
            "HTTP and WebSocket work too: GET / explains how, and is a page in a browser.".into(),
        );
    }
    let is_tls = serve.certificates.is_some();
    let scheme = if is_tls { "message+tls" } else { "message" };
    let screen = Screen { scheme, notes, ..Screen::new("Answering messages at") };
    let service = answers.service.clone();
    let subject = "request and connection";
    let access = start_access_log(access, &Proxies::default(), &serve, subject)?;
    let worker_log = access.clone();
    let logs = Logs { connections: access.as_ref().and_then(AccessLog::connections), access, log };
    let own_hosts = own_hosts(&serve, &hosts);
    let (redirect_limits, checked_hosts) = (limits.http(), own_hosts.clone());
    let on_hangup = answers.on_hangup();
    let open = move |worker: usize, info: &ServerInfo| {
        let check = hosts::check(checked_hosts.clone(), &info.bound, CheckedAt::Loopback, None);
        let mut config = message::ServerConfig::new(limits.clone())
            .frames_only(frames_only)
            .websocket(websocket.clone())
            .http2(http2)
            .checking_hosts(check)
            .allowing_origins(origins.clone());
        if let Some(log) = &worker_log {
            config = config.logging(log.worker(worker));
        }
        let config = Rc::new(config);
        let service = service.clone();
        move |_: &Peer| config.open(service.clone())
    };
    match is_tls && !frames_only {
        false => run(serve, screen, on_hangup, logs, open),
        true => run(serve, screen, on_hangup, logs, move |worker, info| {
            let config = http_core::ServerConfig::new(redirect_limits.clone()).http2(http2);
            let redirects = Redirects { hosts: own_hosts.clone(), ..info.redirects(&hosts) };
            WithRedirects::new(open(worker, info), config, redirects)
        }),
    }
}

/// Returns `hosts` and the names in the server's certificates. A request for such a name is for
/// this server.
fn own_hosts(serve: &plan::Serve, hosts: &AllowedHosts) -> AllowedHosts {
    let mut names = serve.certificates.as_ref().map(Certificates::hosts).unwrap_or_default();
    names.extend_from_slice(serve.acme.as_ref().map(Acme::names).unwrap_or_default());
    hosts::and(hosts.clone(), &names)
}

/// Starts the thread that writes the access log, if there is one. `subject`: see
/// [`AccessLog::start`].
fn start_access_log(
    access: Option<(Sink, access::Format)>,
    proxies: &Proxies,
    serve: &plan::Serve,
    subject: &'static str,
) -> Result<Option<AccessLog>, Error> {
    let workers = serve.workers.get();
    let start = |(sink, format)| AccessLog::start(sink, format, proxies.clone(), workers, subject);
    Ok(access.map(start).transpose().context("cannot start a thread")?)
}

pub(crate) fn http(plan: plan::Http, log: &Log) -> Result<ExitCode, Error> {
    let plan::Http { serve, folders, limits, access, proxies, hosts, http2, hsts } = plan;
    let is_tls = serve.certificates.is_some();
    let scheme = if is_tls { "https" } else { "http" };
    let screen = Screen {
        heading: heading(&folders, scheme),
        scheme,
        notes: notes(&folders, &serve.listen),
        ..Screen::default()
    };
    if let (Some(certificates), Some(1..)) = (&serve.certificates, hsts.map(|age| age.as_secs())) {
        certificates.warn_of_hsts();
    }
    folders.watch()?;
    let checked_at = if folders.live.is_some() { CheckedAt::All } else { CheckedAt::Loopback };
    let (mounts, budgets) = (folders.mounts, folders.budgets);
    let access = start_access_log(access, &proxies, &serve, "request")?;
    let worker_log = access.clone();
    let on_hangup = access.as_ref().and_then(AccessLog::on_hangup);
    let own_hosts = own_hosts(&serve, &hosts);
    let (checked_hosts, checked_proxies) = (own_hosts.clone(), proxies.clone());
    let redirect_log = access.clone();
    let logs = Logs { access, connections: None, log };
    let config = move |log: Option<Rc<dyn http_core::Log>>| {
        let mut config = http_core::ServerConfig::new(limits.clone()).http2(http2);
        if !proxies.is_empty() {
            config = config.clients(Rc::new(proxies.clone()));
        }
        match log {
            Some(log) => config.logging(log),
            None => config,
        }
    };
    let redirect_config = config.clone();
    let open = move |worker: usize, info: &ServerInfo| {
        let config = || {
            let (hosts, proxies) = (checked_hosts.clone(), checked_proxies.clone());
            let check = hosts::check(hosts, &info.bound, checked_at, Some(proxies));
            let log = worker_log.as_ref().map(|log| log.worker(worker));
            config(log).checking_hosts(check)
        };
        let plain = Rc::new(config());
        let secure = hsts.map(|age| Rc::new(config().strict_transport_security(age)));
        let secure = secure.unwrap_or_else(|| Rc::clone(&plain));
        budgets.set_open_files(files_in_flight(info.descriptors) as u64);
        let descriptors = info.files_cached();
        let site = mounts.site(CacheLimits { descriptors, ..CacheLimits::default() });
        // The service consists of the site and the closure. At the site's deadlines, the worker
        // (event loop) calls the site, which then, for example, closes cached files that were not
        // requested lately.
        (site.clone(), move |peer: &Peer| {
            let config = if peer.tls.is_some() { &secure } else { &plain };
            http_core::Server::new(Rc::clone(config), site.clone())
        })
    };
    match is_tls {
        false => run(serve, screen, on_hangup, logs, open),
        true => run(serve, screen, on_hangup, logs, move |worker, info| {
            let redirects = Redirects { hosts: own_hosts.clone(), ..info.redirects(&hosts) };
            let log = redirect_log.as_ref().map(|log| {
                let (log, first) = (log.worker(worker), redirects.first);
                Rc::new(WithReasons { log, first }) as Rc<dyn http_core::Log>
            });
            WithRedirects::new(open(worker, info), redirect_config(log), redirects)
        }),
    }
}

/// The lines of the start screen that name the served folders. They are shown before the URLs.
fn heading(folders: &Folders, scheme: &str) -> Vec<String> {
    let protocol = scheme.to_uppercase();
    match &folders.mounted[..] {
        [mounted] if mounted.prefix == "/" => {
            vec![format!("Serving {} over {protocol} at", mounted.path.display())]
        }
        all => {
            let width = all.iter().map(|mounted| mounted.prefix.chars().count()).max();
            let width = width.unwrap_or_default();
            let line = |mounted: &MountedFolder| {
                format!("  {:width$}  {}", mounted.prefix, mounted.path.display())
            };
            let first = format!("Serving over {protocol}");
            [first].into_iter().chain(all.iter().map(line)).chain(["at".into()]).collect()
        }
    }
}

/// The lines of the start screen that say how the folders are served: whether they are listed, and
/// whether pages reload. They are shown after the URLs.
fn notes(folders: &Folders, listen: &[ListenAddr]) -> Vec<String> {
    let has_folder = folders.mounted.iter().any(|mounted| !mounted.folder.is_file());
    let (root, mut notes) = (folders.root(), Vec::new());
    if root.is_none() {
        notes.push("No folder is served at /, so / returns 404.");
    }
    match folders.listing {
        Listing::On if has_folder && folders.archives => {
            notes.push("Everyone who can connect can list the folders and download them.");
        }
        Listing::On if has_folder => {
            notes.push("Everyone who can connect can list the folders.");
        }
        Listing::Automatic if has_folder => notes.extend([
            "Folders without index.html are listed, because only this machine can connect.",
            "To share them in your network: --listen :8000 --listing. To list nothing: --no-listing.",
        ]),
        Listing::Off if root.is_some_and(|root| !root.folder.has_index()) => notes.push(
            "There is no index.html, so / returns 404. Files have their own URLs; --listing lists \
             them.",
        ),
        _ => {}
    }
    if folders.live.is_some() {
        notes.push("Pages reload in the browser when their files change (--live).");
        if !listen.iter().all(hosts::is_loopback) {
            notes.push(
                "Everyone who can connect learns the names of files as they change: --live is for \
                 editing, not for a public site.",
            );
        }
    }
    notes.into_iter().map(Into::into).collect()
}

/// What the service of each worker needs to know about the server.
struct ServerInfo {
    /// The listeners. [`Peer::via`] is an index into them.
    bound: Vec<Bound>,
    /// The index of the first listener that only redirects. All listeners after it only redirect,
    /// too.
    first_redirect: usize,
    workers: usize,
    /// How many of the process's file descriptors are reserved for files, jobs and logs, rather
    /// than connections.
    descriptors: usize,
    /// With `--acme`: the challenges to answer for the CA.
    challenges: Option<Arc<Challenges>>,
}

impl ServerInfo {
    /// The rules for redirecting plain HTTP to HTTPS. Listeners at loopback addresses redirect only
    /// requests for this server's own hosts. With `--host`, all listeners do so.
    fn redirects(&self, hosts: &AllowedHosts) -> Redirects {
        let are_named = hosts.names().next().is_some();
        let ip = |bound: &Bound| match bound {
            Bound::Ip(address) => Some(*address),
            Bound::Unix(_) => None,
        };
        let port = self.bound[..self.first_redirect].iter().find_map(ip).map(|at| at.port());
        Redirects {
            port: port.unwrap_or_default(),
            first: self.first_redirect as u32,
            checked: self.bound.iter().map(|bound| are_named || bound.is_loopback()).collect(),
            hosts: hosts.clone(),
            ips: self.bound.iter().filter_map(ip).map(|at| at.ip().to_canonical()).collect(),
            challenges: self.challenges.clone(),
        }
    }

    /// How many files each worker may keep open between requests: its part of a quarter of
    /// `descriptors`, but at least 1, and at most the default of [`CacheLimits`].
    fn files_cached(&self) -> usize {
        (self.descriptors / 4 / self.workers).clamp(1, CacheLimits::default().descriptors)
    }
}

/// How many files may be in flight: half of the `descriptors` that are reserved for files, jobs and
/// logs. The other half is left for cached files, jobs and logs.
fn files_in_flight(descriptors: usize) -> usize {
    descriptors / 2
}

/// The logs of a server.
struct Logs<'a> {
    log: &'a Log,
    access: Option<AccessLog>,
    /// Logs connections, on a terminal only. `None` if they are not logged.
    connections: Option<Connections>,
}

/// Binds the listeners, starts the workers with the services that `service` creates, shows the
/// start screen, and waits until a signal stops the server. `on_hangup` runs on SIGHUP.
fn run<S: Service + 'static>(
    plan: plan::Serve,
    mut screen: Screen,
    on_hangup: Option<OnHangup>,
    logs: Logs<'_>,
    service: impl Fn(usize, &ServerInfo) -> S + Send + Sync + 'static,
) -> Result<ExitCode, Error> {
    let Logs { log, access, connections } = logs;
    let Config { lame_duck, drain_timeout: drain, max_connections: wanted, .. } = plan.config;
    let signals = signals::catch().context("cannot set up signals")?;
    let requested = [&plan.listen[..], &plan.redirects].concat();
    if plan.is_public_ca
        && let Some(warning) = no_public_address(&requested)
    {
        tracing::warn!(target: "sockeye", "{warning}");
    }
    let mut server = Server::bind(&requested, plan.workers, plan.config).map_err(|error| {
        listening::cannot_listen(error, [&plan.listen, &plan.redirects], plan.acme.is_some())
    })?;
    if let Some(warning) = few_descriptors(&server, wanted, plan.sends_files) {
        tracing::warn!("{warning}");
    }
    let bound = server.addresses().to_vec();
    let is_redirect = |via: &usize| server.requested(*via) >= plan.listen.len();
    let first_redirect = (0..bound.len()).find(is_redirect).unwrap_or(bound.len());
    for (via, address) in bound.iter().enumerate() {
        // The clients of Unix sockets are on this machine, usually proxies, and need no TLS.
        if via >= first_redirect || matches!(address, Bound::Unix(_)) {
            server = server.without_tls(via);
        }
    }
    let (served, redirecting) = bound.split_at(first_redirect);
    if plan.loopback_only {
        check_loopback(served)?;
    }
    let (workers, descriptors) = (plan.workers.get(), server.reserved_descriptors());
    let challenges = plan.acme.as_ref().map(Acme::challenges);
    let info =
        ServerInfo { bound: bound.clone(), first_redirect, workers, descriptors, challenges };
    let running = match connections {
        None => server.start(move |worker| service(worker, &info)),
        Some(shown) => server.start(move |worker| shown.wrap(service(worker, &info), worker)),
    };
    let running = running.context("cannot start the workers")?;
    let handle = running.handle();
    let mut on_hangup = Vec::from_iter(on_hangup);
    if let Some(certificates) = plan.certificates {
        screen.add_certificates(&certificates, redirecting);
        on_hangup.push(certificates.watch(log.clone()).context("cannot start a thread")?);
    }
    if let Some(acme) = plan.acme {
        screen.add_acme(&acme);
        on_hangup.push(acme.start().context("cannot start a thread")?);
    }
    let stopped = signals::watch(signals, handle, [lame_duck, drain], on_hangup, log.clone());
    let stopped = stopped.context("cannot start a thread")?;
    screen.show(&plan.listen, served).context("cannot start a thread")?;
    readiness::announce();

    let stats = running.join().context("the server failed")?;
    let JobStats { run, dropped, cancelled, waited, longest_wait } = &stats.jobs;
    tracing::debug!(target: "sockeye", run, dropped, cancelled, ?waited, ?longest_wait, "thread pool");
    let HandshakeStats { completed, resumed, failed } = stats.handshakes;
    if completed + failed > 0 {
        tracing::debug!(target: "sockeye", completed, resumed, failed, "TLS handshakes");
    }
    access.into_iter().for_each(AccessLog::finish);
    log.print(last_line(&stats));
    Ok(ExitCode::from(stopped.exit_code()))
}

/// Returns a warning if a public CA can't connect to any of these addresses.
fn no_public_address(addresses: &[ListenAddr]) -> Option<String> {
    let is_local = |at: &ListenAddr| hosts::is_loopback(at) || matches!(at, ListenAddr::Unix(_));
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.iter().all(is_local).then(|| {
        format!(
            "--acme: the CA can't connect to this server, which listens only on this machine, at \
             {}: remove --listen (SOCKEYE_LISTEN) to listen at :443 and :80, or forward these \
             ports to it",
            texts.join(" and ")
        )
    })
}

/// Fails if one of these listeners is not at a loopback address: other machines may be able to
/// connect to it.
fn check_loopback(bound: &[Bound]) -> anyhow::Result<()> {
    match bound.iter().find(|address| !address.is_loopback()) {
        None => Ok(()),
        Some(other) => Err(anyhow!(
            "{other} is not a loopback address, so other machines could list the folders: allow it \
             with --listing, or turn it off with --no-listing"
        )),
    }
}

/// If the process may open fewer files than this, and `--max-connections` is at its default, fewer
/// than [`MOST_FILES`] files can be sent at a time.
const FEW_DESCRIPTORS: usize = 8192;

/// How many files may be in flight if the hard limit on open files is high enough.
const MOST_FILES: usize = 1024;

/// Returns a warning if the hard limit on open files is too low:
///
/// - It doesn't allow as many connections as `wanted`. If `wanted` is the default of
///   `--max-connections`, this is a reason only if the process may open fewer files than
///   [`FEW_DESCRIPTORS`].
/// - It allows the connections, but not to send a file on each of them at the same time, and the
///   server `sends_files`. This is a reason only if fewer than [`MOST_FILES`] files can be in
///   flight: even the highest limit on open files allows no more than that.
fn few_descriptors(server: &Server, wanted: usize, sends_files: bool) -> Option<String> {
    let (allowed, reserved) = (server.config().max_connections, server.reserved_descriptors());
    let (descriptors, files) = (allowed + reserved, files_in_flight(reserved));
    let is_default = wanted == Config::default().max_connections;
    let what = match allowed < wanted {
        true if !is_default => format!(
            "--max-connections {wanted} was lowered to {allowed}: this process may open only \
             {descriptors} files"
        ),
        true if descriptors < FEW_DESCRIPTORS => {
            let sends = if sends_files { " and sends fewer files at a time" } else { "" };
            format!(
                "this process may open only {descriptors} files, so it accepts at most {allowed} \
                 connections at a time{sends}"
            )
        }
        false if sends_files && files < allowed.min(MOST_FILES) => format!(
            "this process may open only {descriptors} files, so it sends at most {files} files at \
             a time, fewer than --max-connections {allowed}"
        ),
        _ => return None,
    };
    Some(format!(
        "{what}; raise the hard limit (ulimit -Hn 65536 as root, LimitNOFILE=65536 in a systemd \
         unit, or docker run --ulimit nofile=65536)"
    ))
}

/// The line that is printed when the server has stopped.
fn last_line(stats: &Stats) -> String {
    let cut = text::count(stats.cut, "connection");
    match stats.unread {
        0 => format!("Stopped: {cut} cut."),
        unread => {
            let unread = text::count(unread, "connection");
            format!("Stopped: {cut} cut. {unread} sent data that was not read.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_cut_connections() {
        for (cut, unread, expected) in [
            (0, 0, "Stopped: 0 connections cut."),
            (2, 0, "Stopped: 2 connections cut."),
            (0, 1, "Stopped: 0 connections cut. 1 connection sent data that was not read."),
        ] {
            assert_eq!(last_line(&Stats { cut, unread, ..Stats::default() }), expected);
        }
    }

    /// A name such as localhost may resolve to an address that is not a loopback address.
    #[test]
    fn a_listener_that_is_not_on_the_loopback_is_refused() {
        let bound = |address: &str| Bound::Ip(address.parse().unwrap());
        assert!(check_loopback(&[bound("127.0.0.1:80"), bound("[::1]:80")]).is_ok());
        let refused = check_loopback(&[bound("127.0.0.1:80"), bound("192.0.2.2:80")]).unwrap_err();
        assert!(refused.to_string().starts_with("192.0.2.2:80 is not a loopback address"));
        assert!(check_loopback(&[Bound::Unix("/s".into())]).is_err());
    }

    #[test]
    fn files_share_the_descriptors_that_connections_leave() {
        for (descriptors, workers, sent, kept) in
            [(2048, 2, 1024, 256), (256, 2, 128, 32), (256, 64, 128, 1), (2048, 1, 1024, 256)]
        {
            let (bound, challenges) = (Vec::new(), None);
            let info = ServerInfo { bound, first_redirect: 0, workers, descriptors, challenges };
            assert_eq!((files_in_flight(descriptors), info.files_cached()), (sent, kept));
        }
    }
}
