//! A server: its addresses, and its workers (event loops), each on a thread.

use std::io;
use std::num::NonZeroUsize;
use std::slice;
use std::sync::Arc;
use std::thread::JoinHandle;

use sockeye_proto::{Peer, Protocol, Spawn};
use tracing::error;

use crate::driver::{BindError, Bound, Driver, Epoll, Listener, Socket, bind_all};
use crate::stopped::{RunningWorkers, Stopped};
use crate::{
    Config, ConnectionCounts, Handle, Handover, Inbox, ListenAddr, Mailbox, Pool, Service, Stats,
    TlsAcceptor, Worker, WorkerParts, raise_descriptor_limit,
};

/// Descriptors that are reserved for everything except connections: files, pollers, logs. Fewer are
/// reserved if the process's limit is low: see [`reserved`].
const RESERVED_DESCRIPTORS: usize = 2048;

/// How many of `limit` descriptors are reserved: those that `max_connections` connections don't
/// need, or a quarter of `limit` if that is more, but at most [`RESERVED_DESCRIPTORS`].
fn reserved(limit: usize, max_connections: usize) -> usize {
    RESERVED_DESCRIPTORS.min(limit.saturating_sub(max_connections).max(limit / 4))
}

/// A server that listens and doesn't accept yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    addresses: Vec<Bound>,
    /// For each of `addresses`: the requested address that it belongs to, as an index into the list
    /// given to [`Server::bind`].
    requested: Vec<usize>,
    reserved_descriptors: usize,
    /// For each worker: its listeners, each with the index of its address in `addresses`.
    listeners: Vec<Vec<(u32, Listener)>>,
    /// For each of `addresses`: how TLS is accepted there; `None` for connections without TLS.
    tls: Vec<Option<TlsAcceptor>>,
}

impl Server {
    /// Binds every address, for this number of workers.
    ///
    /// Raises the process's limit on descriptors to what [`Config::max_connections`] needs, or as
    /// far as allowed. If the limit stays too low, lowers `max_connections` to the limit minus
    /// [`Server::reserved_descriptors`].
    ///
    /// # Errors
    ///
    /// [`BindError`] for the first address that fails.
    pub fn bind(
        addresses: &[ListenAddr],
        workers: NonZeroUsize,
        mut config: Config,
    ) -> Result<Self, BindError> {
        let wanted = config.max_connections.saturating_add(RESERVED_DESCRIPTORS);
        let limit = usize::try_from(raise_descriptor_limit(wanted as u64)).unwrap_or(usize::MAX);
        let reserve = reserved(limit, config.max_connections);
        config.max_connections = config.max_connections.min(limit - reserve).max(1);

        let (mut bound, mut requested) = (Vec::new(), Vec::new());
        let mut listeners: Vec<Vec<_>> = (0..workers.get()).map(|_| Vec::new()).collect();
        for (index, address) in addresses.iter().enumerate() {
            for incoming in bind_all(slice::from_ref(address), workers)? {
                let via = bound.len() as u32;
                bound.push(incoming.bound);
                requested.push(index);
                for (worker, listener) in listeners.iter_mut().zip(incoming.listeners) {
                    worker.push((via, listener));
                }
            }
        }
        let tls = vec![config.tls.clone(); bound.len()];
        Ok(Self {
            config,
            addresses: bound,
            requested,
            reserved_descriptors: reserve,
            listeners,
            tls,
        })
    }

    /// The addresses that the server listens on. Port 0 has been replaced by the port that the
    /// kernel chose. A peer's [`via`](sockeye_proto::Peer::via) is an index of this list.
    #[must_use]
    pub fn addresses(&self) -> &[Bound] {
        &self.addresses
    }

    /// For the address with this index in [`Server::addresses`], the index of the requested address
    /// in the list given to [`Server::bind`]. A name such as `localhost` may have several
    /// addresses.
    ///
    /// # Panics
    ///
    /// If there is no such address.
    #[must_use]
    pub fn requested(&self, via: usize) -> usize {
        self.requested[via]
    }

    /// Accepts connections without TLS at the address with this index in [`Server::addresses`].
    ///
    /// # Panics
    ///
    /// If there is no such address.
    #[must_use]
    pub fn without_tls(mut self, via: usize) -> Self {
        self.tls[via] = None;
        self
    }

    /// How many descriptors are reserved for everything except connections: files, pollers, logs.
    #[must_use]
    pub fn reserved_descriptors(&self) -> usize {
        self.reserved_descriptors
    }

    /// The configuration. [`Server::bind`] may have lowered [`Config::max_connections`].
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Starts to serve. `open` makes the protocol of each connection, as in
    /// `server.serve(|_peer| Echo::default())`. All workers share `open`. With [`Server::start`],
    /// the connections of a worker can share state without locks.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn serve<P: Into<Box<dyn Protocol>>>(
        self,
        open: impl Fn(&Peer) -> P + Send + Sync + 'static,
    ) -> io::Result<Running> {
        let open = Arc::new(open);
        self.start(move |_| {
            let open = Arc::clone(&open);
            move |peer: &Peer| open(peer)
        })
    }

    /// Starts to serve. Each worker's thread calls `make` with the worker's number, from 0, to make
    /// its [`Service`].
    ///
    /// # Errors
    ///
    /// If a poller or a thread can't be created. No worker runs then.
    pub fn start<S: Service + 'static>(
        self,
        make: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> io::Result<Running> {
        let workers = self.listeners.len();
        let drivers = (0..workers).map(|_| Epoll::new()).collect::<io::Result<Vec<_>>>()?;
        let mailboxes: Vec<_> =
            drivers.iter().map(|driver| Arc::new(Mailbox::new(driver.waker()))).collect();
        let inboxes: Arc<[Inbox<Socket>]> =
            drivers.iter().map(|driver| Inbox::new(driver.waker())).collect();
        // A Unix socket has a single listener: its worker hands connections over to the others.
        let hands_over = self.addresses.iter().any(|bound| matches!(bound, Bound::Unix(_)));
        let pool = Pool::with_job_threads(
            NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN),
            self.config.job_threads,
        );
        let pool = Arc::new(pool);
        let (config, counts) = (Arc::new(self.config), Arc::new(ConnectionCounts::default()));
        let make = Arc::new(make);
        let tls: Arc<[_]> = self.tls.into();

        let handle = Handle::new(mailboxes.clone().into(), Arc::clone(&counts));
        let (running_workers, guards) = RunningWorkers::of(workers, &handle);
        let mut running = Running {
            handle,
            threads: Vec::new(),
            pool: Arc::clone(&pool),
            running_workers,
            detached: false,
        };
        for (own, (((driver, mailbox), listeners), guard)) in
            drivers.into_iter().zip(mailboxes).zip(self.listeners).zip(guards).enumerate()
        {
            let (config, counts) = (Arc::clone(&config), Arc::clone(&counts));
            let tls = Arc::clone(&tls);
            let (pool, make): (Arc<dyn Spawn>, _) = (pool.clone(), Arc::clone(&make));
            let handover =
                hands_over.then(|| Handover { inboxes: Arc::clone(&inboxes), own, next: own });
            let handle = running.handle.clone();
            let thread = std::thread::Builder::new().name(format!("sockeye-{own}"));
            let spawned = thread.spawn(move || {
                let _guard = guard;
                let result = Worker::new(WorkerParts {
                    driver,
                    listeners,
                    service: Box::new(make(own)),
                    config,
                    counts,
                    mailbox,
                    spawn: pool,
                    handover,
                    tls,
                })
                .and_then(Worker::run);
                if let Err(error) = &result {
                    error!(target: "sockeye", %error, "a worker failed: the server stops");
                    handle.stop();
                }
                result
            });
            match spawned {
                Ok(thread) => running.threads.push(thread),
                Err(error) => {
                    running.handle.stop();
                    let _ = running.join();
                    return Err(error);
                }
            }
        }
        Ok(running)
    }
}

/// A running server.
///
/// When this is dropped, the server drains, but nothing waits for that: the end of the process
/// closes the remaining connections. [`Running::join`] waits until the server has ended,
/// [`Running::stopped`] does so in async code, and [`Running::detach`] keeps the server running.
#[derive(Debug)]
#[must_use = "the server drains when this is dropped"]
pub struct Running {
    handle: Handle,
    threads: Vec<JoinHandle<io::Result<Stats>>>,
    pool: Arc<Pool>,
    running_workers: Arc<RunningWorkers>,
    detached: bool,
}

impl Running {
    /// A handle that stops the server.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// A future that is ready when the server has ended. Then [`Running::join`] returns at once.
    pub fn stopped(&self) -> Stopped {
        Stopped::new(&self.running_workers)
    }

    /// Keeps the server running until the returned handle stops it or the process ends.
    pub fn detach(mut self) -> Handle {
        self.detached = true;
        self.handle()
    }

    /// Waits until the server has ended. Returns its counters.
    ///
    /// # Errors
    ///
    /// If a worker failed: its poller failed, or its thread panicked, as when `make` of
    /// [`Server::start`] panics.
    pub fn join(mut self) -> io::Result<Stats> {
        let mut stats = Stats::default();
        let mut failure = None;
        for thread in std::mem::take(&mut self.threads) {
            match thread.join() {
                Ok(Ok(worker)) => stats.add(&worker),
                Ok(Err(error)) => failure = Some(error),
                Err(_) => failure = Some(io::Error::other("a worker panicked")),
            }
        }
        stats.jobs = self.pool.jobs();
        failure.map_or(Ok(stats), Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.detached {
            self.handle.drain();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_not_wanted_leave_descriptors_for_files() {
        for (limit, max_connections, expected) in [
            // The limit was raised to what the connections and the reserve need.
            (2548, 500, 2048),
            (3548, 1500, 2048),
            (102_048, 100_000, 2048),
            // The limit could not be raised as far.
            (1024, 100_000, 256),
            (1024, 500, 524),
            (1024, 800, 256),
            // The limit was higher already.
            (1_000_000, 500, 2048),
            // No descriptors are allowed.
            (0, 1, 0),
        ] {
            let reserve = reserved(limit, max_connections);
            assert_eq!(reserve, expected, "{limit} descriptors, {max_connections} connections");
        }
    }
}
