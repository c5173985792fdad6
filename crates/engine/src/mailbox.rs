//! The mailbox and the inbox of a worker (event loop). The mailbox has envelopes (messages and
//! wake-ups for the worker's connections), commands, and results of reads and handshakes. The inbox
//! has connections that another worker accepted for this one.
//!
//! Peers can't make them grow without bound. A promise (a handle for any thread that sends a single
//! message) sends one envelope. Remotes (handles for any thread) send any number, of which only a
//! few messages and one wake-up may wait for each connection or stream. A connection has at most
//! one read or handshake in progress. A worker sends no further command to evict before the last
//! one is answered. Other commands come from the program: each call of a [`Handle`](crate::Handle)
//! sends one to each worker. Connections in the inbox count as open, so the limit on connections
//! applies to them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_proto::Address;
use sockeye_proto::driver::{Envelope, Key, MailboxSender, drop_caught};

use crate::driver::Wake;
use crate::tls::HelloRead;

/// A command from another thread to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// See [`Handle::drain`](crate::Handle::drain).
    Drain,
    /// See [`Handle::stop`](crate::Handle::stop).
    Stop,
    /// Close an idle connection: the worker with this index needs room for a new one.
    Evict(usize),
    /// Another worker has closed an idle connection, as this worker asked.
    Evicted,
    /// No other worker has an idle connection.
    NothingToEvict,
}

/// The result of reading a part of a file for a connection.
#[derive(Debug)]
pub(crate) struct ReadDone {
    pub(crate) key: Key,
    pub(crate) result: Result<Vec<u8>, ReadError>,
}

/// The result of reading and answering the client hello of a connection.
#[derive(Debug)]
pub(crate) struct HelloDone {
    pub(crate) key: Key,
    /// `None`: the job panicked, or was not run.
    pub(crate) read: Option<HelloRead>,
}

/// Why a part of a file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file has changed since it was opened, or ends before the part does.
    Changed,
    Failed(io::Error),
    /// The [`FileSource`](sockeye_proto::FileSource) that reads the file panicked.
    Panicked,
}

/// When dropped, posts the result of a job to a mailbox: `None` if the job panicked or never ran.
pub(crate) struct ResultSender<T> {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) key: Key,
    pub(crate) result: Option<T>,
    pub(crate) post: fn(&Mailbox, Key, Option<T>),
}

impl<T> Drop for ResultSender<T> {
    fn drop(&mut self) {
        (self.post)(&self.mailbox, self.key, self.result.take());
    }
}

/// What a worker takes from its mailbox in one turn (pass of its event loop).
#[derive(Debug, Default)]
pub(crate) struct MailboxContents {
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) reads: Vec<ReadDone>,
    pub(crate) hellos: Vec<HelloDone>,
    pub(crate) commands: Vec<Command>,
}

/// A worker's mailbox.
pub struct Mailbox {
    contents: Mutex<MailboxContents>,
    /// Whether the mailbox has contents: checked each turn, without the lock.
    non_empty: AtomicBool,
    waker: Arc<dyn Wake>,
}

impl Mailbox {
    /// Creates the mailbox of a worker. `waker` wakes the worker's driver.
    pub fn new(waker: Arc<dyn Wake>) -> Self {
        Self { contents: Mutex::default(), non_empty: AtomicBool::new(false), waker }
    }

    pub(crate) fn send_command(&self, command: Command) {
        self.put(|contents| contents.commands.push(command));
    }

    pub(crate) fn post_read(&self, read: ReadDone) {
        self.put(|contents| contents.reads.push(read));
    }

    pub(crate) fn post_hello(&self, hello: HelloDone) {
        self.put(|contents| contents.hellos.push(hello));
    }

    /// Takes the contents, if there are any.
    pub(crate) fn take(&self) -> Option<MailboxContents> {
        if !self.non_empty.load(Ordering::Acquire) {
            return None;
        }
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        self.non_empty.store(false, Ordering::Relaxed);
        Some(std::mem::take(&mut *contents))
    }

    fn put(&self, put: impl FnOnce(&mut MailboxContents)) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        put(&mut contents);
        let first = !self.non_empty.swap(true, Ordering::Release);
        drop(contents);
        // Later senders need not wake the worker again before it takes the contents.
        if first {
            self.waker.wake();
        }
    }
}

impl MailboxSender for Mailbox {
    fn send(&self, envelope: Envelope) {
        self.put(|contents| contents.envelopes.push(envelope));
    }

    fn is_on_event_loop(&self) -> bool {
        IN_TURN.get()
    }
}

thread_local! {
    /// Whether this thread is in a turn of an event loop.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

/// While it exists, its thread is in a turn of an event loop, where nothing may block.
#[derive(Debug)]
pub(crate) struct EventLoopGuard(());

impl EventLoopGuard {
    pub(crate) fn begin() -> Self {
        IN_TURN.set(true);
        Self(())
    }
}

impl Drop for EventLoopGuard {
    fn drop(&mut self) {
        IN_TURN.set(false);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // Messages that no turn took. Their destructors may panic.
        let contents = self.contents.get_mut().unwrap_or_else(PoisonError::into_inner);
        for envelope in contents.envelopes.drain(..) {
            drop_caught(envelope);
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("non_empty", &self.non_empty).finish_non_exhaustive()
    }
}

/// Connections that another worker has accepted for this one. Used if any listener has a single
/// socket for all workers: then the workers distribute the connections of all listeners among
/// themselves.
pub struct Inbox<S> {
    /// `None` once the worker has started to drain or to stop.
    waiting: Mutex<Option<VecDeque<Accepted<S>>>>,
    non_empty: AtomicBool,
    waker: Arc<dyn Wake>,
}

/// A connection that was accepted and not opened yet.
#[derive(Debug)]
pub(crate) struct Accepted<S> {
    pub(crate) socket: S,
    pub(crate) address: Address,
    /// The index of the listener's address: see [`Peer::via`](sockeye_proto::Peer::via).
    pub(crate) via: u32,
}

impl<S> Inbox<S> {
    /// Creates the inbox of a worker. `waker` wakes the worker's driver.
    pub fn new(waker: Arc<dyn Wake>) -> Self {
        let waiting = Mutex::new(Some(VecDeque::new()));
        Self { waiting, non_empty: AtomicBool::new(false), waker }
    }

    /// Hands a connection over.
    ///
    /// # Errors
    ///
    /// The connection, if its worker has started to drain or to stop.
    pub(crate) fn put(&self, accepted: Accepted<S>) -> Result<(), Accepted<S>> {
        match &mut *self.lock() {
            Some(waiting) => waiting.push_back(accepted),
            None => return Err(accepted),
        }
        if !self.non_empty.swap(true, Ordering::Release) {
            self.waker.wake();
        }
        Ok(())
    }

    pub(crate) fn take(&self) -> VecDeque<Accepted<S>> {
        if !self.non_empty.swap(false, Ordering::Acquire) {
            return VecDeque::new();
        }
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes all connections, and refuses new ones from now on.
    pub(crate) fn close(&self) -> VecDeque<Accepted<S>> {
        self.lock().take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Accepted<S>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("non_empty", &self.non_empty).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn commands_wake_the_worker_once_until_it_takes_them() {
        let waker = Arc::new(CountingWaker::default());
        let mailbox = Mailbox::new(waker.clone());
        assert!(mailbox.take().is_none());
        mailbox.send_command(Command::Drain);
        mailbox.send_command(Command::Stop);
        assert_eq!(waker.0.load(Ordering::Relaxed), 1);
        assert_eq!(mailbox.take().unwrap().commands, [Command::Drain, Command::Stop]);
        assert!(mailbox.take().is_none());
        mailbox.send_command(Command::Stop);
        assert_eq!(waker.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn close_returns_what_is_in_the_inbox_and_later_connections_are_refused() {
        let accepted = |via| Accepted { socket: (), address: Address::Unix, via };
        let inbox = Inbox::new(Arc::new(CountingWaker::default()));
        assert!(inbox.put(accepted(1)).is_ok());
        assert_eq!(inbox.close().iter().map(|accepted| accepted.via).collect::<Vec<_>>(), [1]);
        assert_eq!(inbox.put(accepted(2)).map_err(|accepted| accepted.via), Err(2));
        assert!(inbox.take().is_empty());
    }
}
