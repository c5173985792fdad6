//! How many accepted connections are open on all workers (event loops), in total and by client.
//!
//! A connection is counted from the time when it is accepted until it closes. Connections from
//! loopback addresses and of Unix sockets have no limit by client. The workers' mailboxes are here,
//! too, so that at the limit in total, a worker can ask the others to evict (close) an idle
//! connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_proto::driver::Counts;
use sockeye_proto::{Address, Budget, Client};

use crate::Mailbox;
use crate::mailbox::Command;
use crate::output_budget::{HeapTrimmer, OutputBudget};

/// Counts connections over all workers.
#[derive(Debug)]
pub struct ConnectionCounts {
    total: AtomicUsize,
    by_client: Mutex<Counts<Client>>,
    /// The budget for output and incomplete input in memory, shared by all workers.
    output_budget: Arc<Budget>,
    /// Decides when freed memory is returned to the kernel.
    trimmer: Arc<HeapTrimmer>,
    /// The mailboxes of the workers, by index.
    workers: Mutex<Vec<Arc<Mailbox>>>,
}

/// The client that a connection from `address` is counted for. `None` for loopback addresses and
/// Unix sockets, which have no limit by client.
fn limited_client(address: Address) -> Option<Client> {
    let client = Client::of(address);
    (!client.is_local()).then_some(client)
}

impl Default for ConnectionCounts {
    fn default() -> Self {
        Self {
            total: AtomicUsize::new(0),
            by_client: Mutex::default(),
            output_budget: Budget::new("unread output and incomplete input", 0),
            trimmer: Arc::default(),
            workers: Mutex::default(),
        }
    }
}

impl ConnectionCounts {
    /// Sets the budget for output and incomplete input in memory to `total` bytes. Returns a
    /// worker's access to it.
    pub(crate) fn output_budget(&self, total: usize) -> OutputBudget {
        self.output_budget.set_total(total as u64);
        OutputBudget::new(Arc::clone(&self.output_budget), Arc::clone(&self.trimmer))
    }

    /// How many accepted connections are open.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts a connection. Returns `false`, and doesn't count it, if its client has `max`
    /// connections already.
    pub(crate) fn add(&self, address: Address, max: usize) -> bool {
        if let Some(client) = limited_client(address) {
            let mut by_client = self.by_client();
            if by_client.get(client) >= max as u64 {
                return false;
            }
            by_client.add(client, 1);
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether the client at `address` has fewer connections than `max`.
    pub(crate) fn is_below_limit(&self, address: Address, max: usize) -> bool {
        limited_client(address).is_none_or(|client| self.by_client().get(client) < max as u64)
    }

    /// Adds a worker. Returns its index.
    pub(crate) fn add_worker(&self, mailbox: Arc<Mailbox>) -> usize {
        let mut workers = self.workers();
        workers.push(mailbox);
        workers.len() - 1
    }

    /// Asks the worker that follows worker `index` to evict a connection for worker `asker`. If
    /// `asker` itself follows, all other workers have been asked: asks nobody, and returns `false`.
    pub(crate) fn ask_next_worker(&self, index: usize, asker: usize) -> bool {
        let workers = self.workers();
        let next = (index + 1) % workers.len();
        if next != asker {
            workers[next].send_command(Command::Evict(asker));
        }
        next != asker
    }

    /// Sends `command` to the worker with this index.
    pub(crate) fn send_command(&self, index: usize, command: Command) {
        self.workers()[index].send_command(command);
    }

    /// Stops counting a connection that [`ConnectionCounts::add`] counted.
    pub(crate) fn remove(&self, address: Address) {
        if let Some(client) = limited_client(address) {
            self.by_client().subtract(client, 1);
        }
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    fn by_client(&self) -> MutexGuard<'_, Counts<Client>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn from(ip: &str) -> Address {
        Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    #[test]
    fn an_address_has_its_limit_and_a_network_of_ipv6_is_one_address() {
        let counts = ConnectionCounts::default();
        for (same, other) in [
            (["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"], "2001:db8:0:1::1"),
        ] {
            assert!(counts.add(from(same[0]), 2));
            assert!(counts.add(from(same[1]), 2));
            assert!(!counts.add(from(same[2]), 2), "the client has 2 connections");
            assert!(!counts.is_below_limit(from(same[2]), 2));
            assert!(counts.is_below_limit(from(other), 2));
            assert!(counts.add(from(other), 2));
            counts.remove(from(same[0]));
            assert!(counts.add(from(same[2]), 2), "the client closed a connection");
        }
        assert_eq!(counts.total(), 6);
    }

    #[test]
    fn loopback_and_unix_are_exempt_and_clients_without_connections_are_forgotten() {
        let counts = ConnectionCounts::default();
        for address in [from("127.0.0.1"), from("::1"), Address::Unix] {
            assert!(counts.is_below_limit(address, 0));
            assert!(counts.add(address, 0));
            counts.remove(address);
        }
        assert!(counts.add(from("192.0.2.1"), 1));
        counts.remove(from("192.0.2.1"));
        assert!(counts.by_client().is_empty());
        assert_eq!(counts.total(), 0);
    }
}
