//! A running service.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use sockeye_engine::driver::{BindError, Bound};
use sockeye_engine::{
    Config, Handle, ListenAddr, Running, Server, Service, Stats, Stopped, usable_cores,
};
use sockeye_http::{AllowedHosts, HostCheck};
use sockeye_proto::{Peer, Protocol};

/// Why a service could not start. `Debug` writes the same sentence as `Display`, because a program
/// whose `main` returns an error prints it with `Debug`.
#[non_exhaustive]
pub enum ServeError {
    /// The service could not listen at an address.
    Bind(BindError),
    /// The system refused to start a thread, or to make an epoll instance.
    Start(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Start(error) => write!(f, "cannot start the workers: {error}"),
        }
    }
}

impl fmt::Debug for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) => Some(error),
            Self::Start(error) => Some(error),
        }
    }
}

/// A running service.
///
/// | to | call |
/// |---|---|
/// | serve until somebody stops it | [`Serving::join`] |
/// | shut down, and wait for the end | [`Handle::drain`], then [`Serving::join`] |
/// | wait in async code, in any executor | [`Serving::stopped`], then [`Serving::join`] |
/// | serve until the process ends | [`Serving::detach`] |
///
/// Dropping this starts a drain and doesn't wait for it: listeners close, idle connections close,
/// and requests in flight have up to [`Config::drain_timeout`] to complete. If the process ends
/// before that, they are cut.
#[derive(Debug)]
#[must_use = "the service drains when this is dropped"]
pub struct Serving {
    addresses: Vec<Bound>,
    running: Running,
}

impl Serving {
    /// Starts a service of any protocol at `addresses`, on `workers` threads. Each thread calls
    /// `service` once to make its own service. The arguments are the number of the thread, and the
    /// addresses of the listeners. [`Peer::via`](crate::Peer::via) is an index into these.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if it could not start.
    pub fn start<S: Service + 'static>(
        addresses: &[ListenAddr],
        workers: NonZeroUsize,
        config: Config,
        service: impl Fn(usize, &[Bound]) -> S + Send + Sync + 'static,
    ) -> Result<Self, ServeError> {
        let server = Server::bind(addresses, workers, config).map_err(ServeError::Bind)?;
        let addresses = server.addresses().to_vec();
        let bound = addresses.clone();
        let running = server.start(move |worker| service(worker, &bound));
        Ok(Self { addresses, running: running.map_err(ServeError::Start)? })
    }

    /// The addresses of the listeners, with the port that the system chose in place of port 0.
    #[must_use]
    pub fn addresses(&self) -> &[Bound] {
        &self.addresses
    }

    /// The TCP addresses of the listeners.
    pub fn ip_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().filter_map(|bound| match bound {
            Bound::Ip(address) => Some(*address),
            Bound::Unix(_) => None,
        })
    }

    /// A handle that stops the service.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// A future that is ready when the service has stopped. It works in any executor and borrows
    /// nothing. Afterwards, [`Serving::join`] returns at once.
    pub fn stopped(&self) -> Stopped {
        self.running.stopped()
    }

    /// Keeps the service running without this value, until the returned handle stops it or the
    /// process ends.
    pub fn detach(self) -> Handle {
        self.running.detach()
    }

    /// Waits until the service has stopped, and returns its statistics. This blocks: in async code,
    /// await [`Serving::stopped`] first.
    ///
    /// # Errors
    ///
    /// The error of a worker that failed.
    pub fn join(self) -> io::Result<Stats> {
        self.running.join()
    }
}

/// Serves a protocol at `addresses`: `open` makes the [`Protocol`] of each connection.
///
/// There is a worker (a thread with an event loop) for each core that this process may use. With
/// [`Serving::start`], each worker can have a service of its own, whose connections share state
/// without locks.
///
/// `open` runs on the event loop: don't block.
///
/// # Errors
///
/// [`ServeError`] if it could not start.
pub fn serve<P: Into<Box<dyn Protocol>>>(
    addresses: &[ListenAddr],
    config: Config,
    open: impl Fn(&Peer) -> P + Send + Sync + 'static,
) -> Result<Serving, ServeError> {
    let open = Arc::new(open);
    Serving::start(addresses, usable_cores(), config, move |_, _| {
        let open = Arc::clone(&open);
        move |peer: &Peer| open(peer)
    })
}

/// Makes a check of the `Host` of requests. On connections to the listeners in `bound` that have a
/// loopback address, it allows only `hosts`. On other connections, it allows every name.
pub(crate) fn check_hosts_on_loopback(hosts: AllowedHosts, bound: &[Bound]) -> HostCheck {
    let loopback: Vec<bool> = bound.iter().map(Bound::is_loopback).collect();
    HostCheck::new(hosts, move |peer| loopback.get(peer.via as usize) == Some(&true))
}
