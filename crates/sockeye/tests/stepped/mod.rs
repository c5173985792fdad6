//! A worker with real sockets, which runs on the test's thread, so that its costs can be counted.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use sockeye::engine::driver::{Driver, Epoll, bind_all};
use sockeye::engine::{ConnectionCounts, ListenAddr, Mailbox, Pool, Worker, WorkerParts};
use sockeye::{Bound, Config, Service, TlsAcceptor};

/// A worker with a free port, and its address.
pub(crate) fn worker(
    service: impl Service + 'static,
    tls: Option<TlsAcceptor>,
) -> (Worker<Epoll>, SocketAddr) {
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let bound = bind_all(&any_port, NonZeroUsize::MIN).unwrap().remove(0);
    let Bound::Ip(address) = bound.bound else { panic!("TCP was asked for") };
    let driver = Epoll::new().unwrap();
    let mailbox = Arc::new(Mailbox::new(driver.waker()));
    let worker = Worker::new(WorkerParts {
        driver,
        listeners: bound.listeners.into_iter().map(|listener| (0, listener)).collect(),
        service: Box::new(service),
        config: Arc::new(Config::default()),
        counts: Arc::new(ConnectionCounts::default()),
        mailbox,
        spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
        handover: None,
        tls: [tls].into(),
    });
    (worker.unwrap(), address)
}
