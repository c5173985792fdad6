//! The servers: an echo, messages, and a folder over HTTP. They run until a signal ends them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, anyhow};
use sockeye::engine::driver::{BindError, Bound};
use sockeye::engine::{Config, Jobs, ListenAddr, Server, Service, Stats};
use sockeye::files::CacheLimits;
use sockeye::http_core;
use sockeye::message::protocol as message;
use sockeye::proto::Peer;
use sockeye::proto::echo::Echo;

use crate::access::AccessLog;
use crate::error::{Error, OrExit};
use crate::hosts::{self, Refused};
use crate::log::Log;
use crate::plan::{self, Content, Place};
use crate::proxies::Proxies;
use crate::signals::{Reread, Times};
use crate::start_screen::Screen;
use crate::who_listens::{self, Process};
use crate::{signals, text};

/// Echoes.
///
/// # Errors
///
/// When it could not begin.
pub(crate) fn echo(plan: plan::Echo, log: &Log) -> Result<ExitCode, Error> {
    let screen =
        Screen { what: vec!["Echoing what comes at".into()], scheme: "tcp", notes: Vec::new() };
    let idle = plan.idle;
    run(plan.serve, &screen, None, log, move |_, _| move |_: &Peer| Echo::new(idle))
}

/// Answers messages.
///
/// # Errors
///
/// When it could not begin.
pub(crate) fn message(plan: plan::Message, log: &Log) -> Result<ExitCode, Error> {
    let plan::Message { serve, answers, limits, frames_only, hosts, origins } = plan;
    let mut notes: Vec<String> = answers.note().into_iter().collect();
    if !frames_only {
        notes.push("It answers HTTP, too: POST / sends a message, GET / says how.".into());
    }
    let screen = Screen { what: vec!["Answering messages at".into()], scheme: "message", notes };
    let reference = answers.service.clone();
    let refused = Refused::default();
    run(serve, &screen, answers.reread(), log, move |_, bindings| {
        let check =
            hosts::check(hosts.clone(), &bindings.bound, Proxies::default(), refused.clone());
        let shared = message::ServerConfig::new(limits.clone())
            .frames_only(frames_only)
            .checking_hosts(check)
            .allowing_origins(origins.clone());
        let shared = Rc::new(shared);
        let reference = reference.clone();
        move |_: &Peer| shared.open(reference.clone())
    })
}

/// Serves a folder, or one file, over HTTP.
///
/// # Errors
///
/// When it could not begin.
pub(crate) fn http(plan: plan::Http, log: &Log) -> Result<ExitCode, Error> {
    let plan::Http { serve, content, limits, access, proxies, hosts } = plan;
    let screen = Screen { what: what(&content), scheme: "http", notes: notes(&content) };
    let (mounts, budgets) = (content.mounts, content.budgets);
    let access = access
        .map(|plan| AccessLog::start(plan, proxies.clone(), serve.workers.get()))
        .transpose()
        .context("cannot start a thread")
        .or_failure()?;
    let source = access.as_ref().map(AccessLog::source);
    let reopen = access.as_ref().and_then(AccessLog::reopener);
    let reread = reopen.map(|reopen| Box::new(move |_: &Log| reopen()) as Reread);
    let refused = Refused::default();
    let ended = run(serve, &screen, reread, log, move |shard, bindings| {
        let check = hosts::check(hosts.clone(), &bindings.bound, proxies.clone(), refused.clone());
        let mut shared = http_core::ServerConfig::new(limits.clone()).checking_hosts(check);
        if !proxies.is_empty() {
            shared = shared.clients(Rc::new(proxies.clone()));
        }
        let shared = Rc::new(match &source {
            Some(source) => shared.logging(source.worker(shard)),
            None => shared,
        });
        budgets.set_open_files(bindings.files_sent());
        let descriptors = bindings.files_kept();
        let site = mounts.site(CacheLimits { descriptors, ..CacheLimits::default() });
        // The site's deadline closes files that nobody asks for any more.
        (site.clone(), move |_: &Peer| http_core::Server::new(Rc::clone(&shared), site.clone()))
    });
    if let Some(access) = access {
        access.finish();
    }
    ended
}

/// What is served where, as a sentence that the URLs follow.
fn what(content: &Content) -> Vec<String> {
    match &content.places[..] {
        [place] if place.prefix == "/" => {
            vec![format!("Serving {} over HTTP at", place.path.display())]
        }
        places => {
            let width = places.iter().map(|place| place.prefix.chars().count()).max();
            let width = width.unwrap_or_default();
            let line =
                |place: &Place| format!("  {:width$}  {}", place.prefix, place.path.display());
            let first = "Serving over HTTP".to_owned();
            [first].into_iter().chain(places.iter().map(line)).chain(["at".into()]).collect()
        }
    }
}

/// What else one should know of it.
fn notes(content: &Content) -> Vec<String> {
    let note = match content.root() {
        None => "Nothing is served at / itself: it answers 404.",
        _ if content.listing && content.places.iter().any(|place| !place.folder.is_file()) => {
            match content.archives {
                true => "Whoever can reach it can list its folders and download them whole.",
                false => "Whoever can reach it can list its folders.",
            }
        }
        Some(root) if !root.folder.has_index() => {
            "There is no index.html in it: / answers 404, the files have their own URLs; --listing \
             shows them."
        }
        Some(_) => return Vec::new(),
    };
    vec![note.into()]
}

/// What a service is told of the server that it is of.
struct Bindings {
    /// The listeners, in the order of [`Peer::via`].
    bound: Vec<Bound>,
    workers: usize,
    /// What connections leave of the process's descriptors.
    descriptors: usize,
}

impl Bindings {
    /// How many of the descriptors may be files that are being sent: half of them. As many are left
    /// to files that are kept open, and to jobs and logs.
    fn files_sent(&self) -> u64 {
        (self.descriptors / 2) as u64
    }

    /// How many files each worker may keep open between requests.
    fn files_kept(&self) -> usize {
        (self.descriptors / 4 / self.workers).clamp(1, CacheLimits::default().descriptors)
    }
}

/// Serves until a signal says to stop.
fn run<S: Service + 'static>(
    plan: plan::Serve,
    screen: &Screen,
    reread: Option<Reread>,
    log: &Log,
    service: impl Fn(usize, &Bindings) -> S + Send + Sync + 'static,
) -> Result<ExitCode, Error> {
    let times = Times { lame_duck: plan.config.lame_duck, drain: plan.config.drain_timeout };
    let wanted = plan.config.max_connections;
    let signals = signals::take().context("cannot take signals").or_failure()?;
    let server = Server::bind(&plan.listen, plan.workers, plan.config)
        .map_err(|error| explain(error, &plan.listen))?;
    let connections = server.config().max_connections;
    // The default is a wish; what somebody asked for is to be had, or to be heard of.
    if connections < wanted && wanted != Config::default().max_connections {
        tracing::warn!(
            "--max-connections is {connections}, not {wanted}: this process may not have more files \
             open (ulimit -Hn)"
        );
    }
    let bound = server.addresses().to_vec();
    let (workers, descriptors) = (plan.workers.get(), server.reserved_descriptors());
    let bindings = Bindings { bound: bound.clone(), workers, descriptors };
    let running = server.start(move |shard| service(shard, &bindings));
    let running = running.context("cannot start the workers").or_failure()?;
    let stopped = signals::watch(signals, running.handle(), times, reread, log.clone());
    let stopped = stopped.context("cannot start a thread").or_failure()?;
    screen.show(&plan.listen, &bound).context("cannot start a thread").or_failure()?;

    let stats = running.join().context("the server failed").or_failure()?;
    let Jobs { run, dropped, cancelled, waited, longest_wait } = &stats.jobs;
    tracing::debug!(target: "sockeye", run, dropped, cancelled, ?waited, ?longest_wait, "work off the loop");
    log.say(farewell(&stats));
    Ok(stopped.exit_code().map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// What a stop has cost.
fn farewell(stats: &Stats) -> String {
    let cut = match stats.cut {
        0 => "no connection was cut".into(),
        cut => format!("{} cut", text::count(cut, "connection")),
    };
    let unread = match stats.unread {
        0 => String::new(),
        unread => format!("; {} sent more, too late to be read", text::count(unread, "connection")),
    };
    format!("stopped; {cut}{unread}")
}

/// Why an address can't be had, and what to do about it.
fn explain(error: BindError, asked: &[ListenAddr]) -> Error {
    let BindError { address, at, source } = error;
    Error::Failure(match (source.kind(), &address) {
        (ErrorKind::AddrInUse, ListenAddr::Unix(_)) => {
            let name = address.to_string();
            let by = taken_by(who_listens::at_socket(name.trim_start_matches("unix:")));
            anyhow!("{address} is taken by {by}; stop that, or choose another path or name")
        }
        (ErrorKind::AddrInUse, ListenAddr::Any(port) | ListenAddr::Host(_, port)) => {
            let at = at.unwrap_or_else(|| SocketAddr::from(([0; 16], *port)));
            let by = match who_listens::at(at) {
                // What this command had bound before is let go already.
                None if asked.iter().any(|other| *other != address && port_of(other) == *port) => {
                    let by = "another --listen of this command";
                    return Error::Usage(anyhow!(
                        "{address} is taken by {by}; leave one of them out"
                    ));
                }
                None => format!("another process (as root, `ss -ltnp sport = :{port}` says which)"),
                known => taken_by(known),
            };
            let free = with_port(&address, 0);
            anyhow!(
                "{address} is taken by {by}; stop that, or choose another port: --listen {free} takes a free one"
            )
        }
        (ErrorKind::PermissionDenied, ListenAddr::Any(port) | ListenAddr::Host(_, port))
            if *port < 1024 =>
        {
            let high = with_port(&address, 8000);
            anyhow!(
                "cannot listen at {address}: ports below 1024 need a right that this user doesn't \
                 have; --listen {high} needs none"
            )
        }
        (ErrorKind::AddrNotAvailable, _) => {
            anyhow!("cannot listen at {address}: this machine has no such address")
        }
        (_, ListenAddr::Unix(_)) => {
            return Error::of_path(source, format!("cannot listen at {address}"));
        }
        _ => anyhow!("cannot listen at {address}: {source}"),
    })
}

fn taken_by(process: Option<Process>) -> String {
    match process {
        Some(process) => format!("{} (pid {})", process.name, process.id),
        None => "another process".into(),
    }
}

/// The port; 0 where there is none, or any will do.
fn port_of(address: &ListenAddr) -> u16 {
    match address {
        ListenAddr::Any(port) | ListenAddr::Host(_, port) => *port,
        ListenAddr::Unix(_) => 0,
    }
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
    fn the_last_line_says_what_was_lost() {
        for (cut, unread, said) in [
            (0, 0, "stopped; no connection was cut"),
            (2, 0, "stopped; 2 connections cut"),
            (0, 1, "stopped; no connection was cut; 1 connection sent more, too late to be read"),
        ] {
            assert_eq!(farewell(&Stats { cut, unread, ..Stats::default() }), said);
        }
    }

    #[test]
    fn files_get_what_connections_leave_of_the_descriptors() {
        for (descriptors, workers, sent, kept) in
            [(2048, 2, 1024, 256), (256, 2, 128, 32), (256, 64, 128, 1), (2048, 1, 1024, 256)]
        {
            let bindings = Bindings { bound: Vec::new(), workers, descriptors };
            assert_eq!((bindings.files_sent(), bindings.files_kept()), (sent, kept));
        }
    }
}
