//! A service that answers, whatever it speaks.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use sockeye_engine::driver::{BindError, Bound};
use sockeye_engine::{Config, Handle, ListenAddr, Running, Server, Service, Stats, Stopped};
use sockeye_http::{AllowedHosts, HostCheck};

/// Why a service could not begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// An address could not be had.
    Bind(BindError),
    /// A thread or a poller could not be had.
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

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) => Some(error),
            Self::Start(error) => Some(error),
        }
    }
}

/// A service that answers.
///
/// It goes on until [`Serving::handle`] stops it, or this is dropped. A drop begins to drain: no
/// connection is accepted any more, idle ones close, and responses under way are completed, for
/// [`Config::drain_timeout`] at most. A drop doesn't wait for that; a process that ends meanwhile
/// cuts what is left.
///
/// | to | call |
/// |---|---|
/// | answer until somebody stops it | [`Serving::join`] |
/// | stop in order, and wait for it | [`Handle::drain`], then [`Serving::join`] |
/// | wait in async code, in any executor | [`Serving::stopped`], then [`Serving::join`] |
/// | answer for as long as the process lives | [`Serving::detach`] |
///
/// ```
/// use sockeye::http::{self, Body, Options, Request};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into();
/// let serving = http::serve(&[address], Options::default(), |_: Request<Body>| "Hello")?;
/// let handle = serving.handle(); // For whoever stops it.
/// # handle.drain();
/// serving.stopped().await;
/// println!("{} connections", serving.join()?.accepted);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the service drains when this is dropped"]
pub struct Serving {
    addresses: Vec<Bound>,
    running: Running,
}

impl Serving {
    /// Has connections to `addresses` answered on so many threads of their own, each by a service
    /// that `service` makes from its number: for what is neither [`http`](crate::http) nor
    /// [`message`](crate::message).
    ///
    /// # Errors
    ///
    /// [`ServeError`] when it could not begin; nothing is answered then.
    pub fn begin<S: Service + 'static>(
        addresses: &[ListenAddr],
        workers: NonZeroUsize,
        config: Config,
        service: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> Result<Self, ServeError> {
        Self::begin_at(addresses, workers, config, move |worker, _| service(worker))
    }

    /// As [`Serving::begin`]; `service` is told the addresses of the listeners as well, in the
    /// order of [`Peer::via`](crate::Peer::via).
    ///
    /// # Errors
    ///
    /// As [`Serving::begin`].
    pub fn begin_at<S: Service + 'static>(
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

    /// Where it listens, with the ports that were taken where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[Bound] {
        &self.addresses
    }

    /// Those of TCP among [`Serving::addresses`].
    pub fn ip_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().filter_map(|bound| match bound {
            Bound::Ip(address) => Some(*address),
            Bound::Unix(_) => None,
        })
    }

    /// What stops it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// A future that is ready when it has been drained or stopped, and its last worker has ended.
    /// It needs no executor of a certain kind and borrows nothing. [`Serving::join`] doesn't wait
    /// then, and says how it went.
    pub fn stopped(&self) -> Stopped {
        self.running.stopped()
    }

    /// Lets it go on without this value, until the returned handle stops it or the process ends.
    pub fn detach(self) -> Handle {
        self.running.detach()
    }

    /// Waits until it has been drained or stopped, and says what was counted. This blocks: in async
    /// code, await [`Serving::stopped`] first.
    ///
    /// # Errors
    ///
    /// When a worker failed.
    pub fn join(self) -> io::Result<Stats> {
        self.running.join()
    }
}

/// The check that allows `hosts` alone on connections to those of the listeners, at `bound`, that
/// have a loopback address: for a service that is made by [`Serving::begin_at`].
#[must_use]
pub fn check_hosts_on_loopback(hosts: AllowedHosts, bound: &[Bound]) -> HostCheck {
    let loopback: Vec<bool> = bound.iter().map(Bound::is_loopback).collect();
    HostCheck::new(hosts, move |peer| loopback.get(peer.via as usize) == Some(&true))
}
