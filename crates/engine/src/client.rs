//! Connections that we open.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use sockeye_proto::{Peer, Protocol};

use crate::driver::{Driver, Epoll, Target};
use crate::{Config, ConnectionCounts, Mailbox, Pool, Stats, TlsConnector, Worker, WorkerParts};

/// Connects to all targets at once, and runs a protocol on each connection, on this thread, until
/// the last one has ended. [`Peer::via`] is the position in `connections`, from 0.
///
/// The protocol of a connection that can't be established gets
/// [`Event::Closed`](sockeye_proto::Event::Closed) only.
///
/// While a connection holds [`Config::max_buffered_output`] bytes of unsent output or more in
/// memory, nothing is read from it. A protocol that has to read while it sends something larger
/// needs a higher limit.
///
/// # Errors
///
/// If the poller fails.
pub fn run_client(
    config: Config,
    connections: impl IntoIterator<Item = (Target, Box<dyn Protocol>)>,
) -> io::Result<Stats> {
    run(config, None, connections)
}

/// As [`run_client`], with TLS. A protocol gets [`Event::Open`](sockeye_proto::Event::Open) when
/// the handshake of its connection is complete.
///
/// # Errors
///
/// If the poller fails.
pub fn run_client_tls(
    config: Config,
    tls: &TlsConnector,
    connections: impl IntoIterator<Item = (Target, Box<dyn Protocol>)>,
) -> io::Result<Stats> {
    run(config, Some(tls), connections)
}

fn run(
    config: Config,
    tls: Option<&TlsConnector>,
    connections: impl IntoIterator<Item = (Target, Box<dyn Protocol>)>,
) -> io::Result<Stats> {
    let driver = Epoll::new()?;
    let mailbox = Arc::new(Mailbox::new(driver.waker()));
    let no_service =
        |_: &Peer| -> Box<dyn Protocol> { unreachable!("a client accepts no connections") };
    let mut worker = Worker::new(WorkerParts {
        driver,
        listeners: Vec::new(),
        service: Box::new(no_service),
        config: Arc::new(config),
        counts: Arc::new(ConnectionCounts::default()),
        mailbox,
        spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
        handover: None,
        tls: [].into(),
    })?;
    worker.ignore_slow_turns();
    for (via, (target, protocol)) in connections.into_iter().enumerate() {
        let via = u32::try_from(via).unwrap_or(u32::MAX);
        match tls {
            Some(tls) => worker.connect_tls(&target, tls, protocol, via),
            None => worker.connect(&target, protocol, via),
        }
    }
    worker.run()
}
