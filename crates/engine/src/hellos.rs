//! Passes the client hellos of a worker (event loop) to threads, which read and answer them. For
//! each connection, at most one thread at a time does this.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::driver::Key;
use sockeye_proto::{Client, Job, JobKind, Spawn, Waiter};

use crate::mailbox::{HelloDone, Mailbox, ResultSender};
use crate::tls::{Handshakes, Hello};

/// Passes the client hellos of one worker to threads.
pub(crate) struct Hellos {
    spawn: Arc<dyn Spawn>,
    mailbox: Arc<Mailbox>,
    /// The pool has refused a hello in this turn (a pass of the event loop), because too many wait
    /// for threads.
    is_full: bool,
    /// The job that the pool has refused, and that the event loop has not run instead. The next
    /// turn tries again.
    refused: Option<Job>,
}

impl Hellos {
    pub(crate) fn new(spawn: Arc<dyn Spawn>, mailbox: Arc<Mailbox>) -> Self {
        Self { spawn, mailbox, is_full: false, refused: None }
    }

    /// Whether too many hellos wait for threads. Then no more may be received in this turn.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether a refused hello waits for the next turn.
    pub(crate) fn is_any_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// To be called when a turn begins. Tries again with the hello that the pool has refused.
    pub(crate) fn begin_turn(&mut self, handshakes: &mut Handshakes) {
        self.is_full = false;
        if let Some(job) = self.refused.take() {
            self.spawn(job, handshakes);
        }
    }

    /// Makes a thread read and answer `hello`, from a connection of `client`. If too many hellos
    /// wait for threads, the event loop does it in this turn, or the next turn tries again. The
    /// result comes through the mailbox in each case. Dropping the returned waiter cancels the job
    /// if it has not started.
    pub(crate) fn start(
        &mut self,
        key: Key,
        client: Client,
        hello: Hello,
        handshakes: &mut Handshakes,
    ) -> Waiter {
        debug_assert!(!self.is_full, "a hello was received that should have waited");
        let (waiter, cancel) = Waiter::new();
        let sender = ResultSender {
            mailbox: Arc::clone(&self.mailbox),
            key,
            result: None,
            post: |mailbox, key, read| mailbox.post_hello(HelloDone { key, read }),
        };
        let job = Job::new(JobKind::Handshake, client, move || {
            let mut sender = sender;
            sender.result = Some(hello.read());
        });
        self.spawn(job.cancel_with(cancel), handshakes);
        waiter
    }

    fn spawn(&mut self, job: Job, handshakes: &mut Handshakes) {
        let Err(job) = self.spawn.spawn(job) else { return };
        self.is_full = true;
        if job.is_cancelled() {
            return;
        }
        // The event loop runs the job, unless it has answered its maximum of hellos in this turn.
        if handshakes.may_sign_with_any_key() {
            handshakes.count_signature();
            let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
        } else {
            self.refused = Some(job);
        }
    }
}

impl fmt::Debug for Hellos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hellos").field("is_full", &self.is_full).finish_non_exhaustive()
    }
}
