//! Client hellos that threads read, for a shard: at most one for each connection.

use std::fmt;
use std::sync::Arc;

use sockeye_proto::driver::Key;
use sockeye_proto::{Client, Job, JobKind, Spawn, Waiter};

use crate::mailbox::{HelloDone, Mailbox};
use crate::tls::{Hello, HelloRead};

/// Passes client hellos to threads.
pub(crate) struct Hellos {
    spawn: Arc<dyn Spawn>,
    mailbox: Arc<Mailbox>,
}

impl Hellos {
    pub(crate) fn new(spawn: Arc<dyn Spawn>, mailbox: Arc<Mailbox>) -> Self {
        Self { spawn, mailbox }
    }

    /// Has a thread read `hello`, which is a connection of `client`. If too many wait, it is read
    /// here. The result comes through the mailbox either way. If the waiter is dropped before a
    /// thread takes the hello, it is not read.
    pub(crate) fn start(&self, key: Key, client: Client, hello: Hello) -> Waiter {
        let (waiter, cancel) = Waiter::new();
        let sender = ResultSender { mailbox: Arc::clone(&self.mailbox), key, read: None };
        let job = Job::new(JobKind::Handshake, client, move || {
            let mut sender = sender;
            sender.read = Some(hello.read());
        });
        if let Err(job) = self.spawn.spawn(job.cancel_with(cancel)) {
            job.run();
        }
        waiter
    }
}

impl fmt::Debug for Hellos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hellos").finish_non_exhaustive()
    }
}

/// Sends the result when it is dropped, also if the job panics or never runs.
struct ResultSender {
    mailbox: Arc<Mailbox>,
    key: Key,
    read: Option<HelloRead>,
}

impl Drop for ResultSender {
    fn drop(&mut self) {
        self.mailbox.post_hello(HelloDone { key: self.key, read: self.read.take() });
    }
}
