//! What stops a server.

use std::sync::Arc;

use crate::mailbox::Order;
use crate::{ConnectionCounts, Mailbox};

/// Stops a server, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    mailboxes: Arc<[Arc<Mailbox>]>,
    counts: Arc<ConnectionCounts>,
}

impl Handle {
    pub(crate) fn new(mailboxes: Arc<[Arc<Mailbox>]>, counts: Arc<ConnectionCounts>) -> Self {
        Self { mailboxes, counts }
    }

    /// Stops listening, answers what has arrived, and cuts what has not finished within
    /// [`Config::drain_timeout`](crate::Config::drain_timeout). It begins when
    /// [`Config::lame_duck`](crate::Config::lame_duck) is over: by default, at once.
    pub fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Stops listening and cuts everything now.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// How many connections there are now, on all shards.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts.total()
    }

    fn order(&self, order: Order) {
        for mailbox in &*self.mailboxes {
            mailbox.order(order);
        }
    }
}
