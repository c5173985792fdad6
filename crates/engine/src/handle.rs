//! The handle that stops a server.

use std::sync::Arc;

use crate::mailbox::Command;
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

    /// Stops listening, finishes what is in flight, and cuts connections that are not finished
    /// after [`Config::drain_timeout`](crate::Config::drain_timeout). The drain begins after
    /// [`Config::lame_duck`](crate::Config::lame_duck), by default at once.
    pub fn drain(&self) {
        self.send_command(Command::Drain);
    }

    /// Stops listening, and cuts all connections now.
    pub fn stop(&self) {
        self.send_command(Command::Stop);
    }

    /// How many accepted connections are open, on all workers (event loops).
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts.total()
    }

    fn send_command(&self, command: Command) {
        for mailbox in &*self.mailboxes {
            mailbox.send_command(command);
        }
    }
}
