//! Connections that we open, on the same loop.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use sockeye_proto::{Peer, Protocol};

use crate::driver::{Driver, Epoll, Target};
use crate::{Config, ConnectionCounts, Mailbox, Pool, Shard, ShardParts, Stats};

/// Opens a connection for each connection, all at once, and holds them on this thread until the
/// last has ended. The n-th connection's peer carries n as [`Peer::via`].
///
/// A connection learns how its connection ended by
/// [`Event::Closed`](sockeye_proto::Event::Closed), also when it never came to stand.
///
/// # Errors
///
/// When there is no poller to be had, or it fails.
pub fn run_client(
    config: Config,
    conversations: impl IntoIterator<Item = (Target, Box<dyn Protocol>)>,
) -> io::Result<Stats> {
    let driver = Epoll::new()?;
    let mailbox = Arc::new(Mailbox::new(driver.waker()));
    let nobody = |_: &Peer| -> Box<dyn Protocol> { unreachable!("a client accepts nobody") };
    let mut shard = Shard::new(ShardParts {
        driver,
        listeners: Vec::new(),
        service: Box::new(nobody),
        config: Arc::new(config),
        counts: Arc::new(ConnectionCounts::default()),
        mailbox,
        spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
        handover: None,
    })?;
    for (via, (target, protocol)) in conversations.into_iter().enumerate() {
        shard.connect(&target, protocol, u32::try_from(via).unwrap_or(u32::MAX));
    }
    while !shard.is_done() {
        shard.turn()?;
    }
    Ok(shard.stats().clone())
}
