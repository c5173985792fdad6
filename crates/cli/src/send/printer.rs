//! Writes received bytes to standard output (or a file), which may be slower than the network.
//!
//! Connections append the bytes to a queue with a limit, and a thread writes them. If the queue is
//! full, a connection stops reading, so that its peer has to wait. It leaves a [`Promise`], with
//! which the thread sends it a message when the queue has room. If the event loop wrote the bytes
//! itself, a slow reader of standard output (such as `less`) would block the event loop, and all
//! peers would seem to have been silent during that time.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sockeye::proto::{Promise, Ticket};

use crate::writer::{self, Queue, lock};

/// The queue is full at this number of bytes, which the last append may exceed. In addition, the
/// thread may hold as many bytes, which it is writing.
const MAX_QUEUED: usize = 1024 * 1024;

/// The result of [`Printer::print`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrintResult {
    Queued,
    /// The queue is full, and nothing was appended. A message with this ticket will say that there
    /// is room.
    Full(Ticket),
    /// Writing has failed, usually because the reader of standard output has exited.
    Closed,
}

/// The printer of all connections. Clones share the queue.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    queue: Arc<Queue>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The promises of the connections that wait for room, at most one of each.
    waiting: Vec<Promise>,
    /// Writing has failed.
    failed: bool,
    /// Why writing has failed, until [`Printer::finish`] takes it.
    error: Option<io::Error>,
}

/// Creates a printer without a thread.
impl Default for Printer {
    fn default() -> Self {
        Self { queue: Arc::new(Queue::new(1, Duration::ZERO)), state: Arc::default() }
    }
}

impl Printer {
    /// Starts the thread that writes to `target`. If `is_terminal`, a newline is added at the end
    /// if the last line has none.
    pub(super) fn start(
        mut target: impl Write + Send + 'static,
        is_terminal: bool,
    ) -> io::Result<Self> {
        let printer = Self::default();
        let own = printer.clone();
        let mut is_inside_line = false;
        writer::start(&printer.queue, "printer", move |bytes, flushing| {
            own.wake();
            if let Some(last) = bytes.last() {
                is_inside_line = *last != b'\n';
            }
            if flushing && is_terminal && mem::take(&mut is_inside_line) {
                bytes.push(b'\n');
            }
            if !bytes.is_empty()
                && !own.state().failed
                && let Err(error) = target.write_all(bytes).and_then(|()| target.flush())
            {
                own.fail(error);
            }
            bytes.clear();
            None
        })?;
        Ok(printer)
    }

    /// Calls `write` to append to the queue, if there is room. Otherwise calls `promise` to create
    /// a promise, which is fulfilled when there is room. Calls neither if writing has failed.
    pub(super) fn print(
        &self,
        promise: impl FnOnce() -> Promise,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> PrintResult {
        if self.state().failed {
            return PrintResult::Closed;
        }
        if self.queue.put(MAX_QUEUED - 1, write) {
            return PrintResult::Queued;
        }
        let promise = promise();
        let ticket = promise.ticket();
        self.state().waiting.push(promise);
        // If the thread made room before the promise was stored, it didn't see the promise: fulfill
        // it here.
        if self.queue.put(MAX_QUEUED - 1, |_| ()) {
            self.wake();
        }
        PrintResult::Full(ticket)
    }

    /// Calls `write` to append to the queue even if it is full: for a connection that has ended and
    /// can't wait for room.
    pub(super) fn print_last(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.state().failed {
            self.queue.put(usize::MAX, write);
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// Writing has failed, or the thread has panicked.
    pub(super) fn finish(&self) -> io::Result<()> {
        if !self.queue.flush(Duration::MAX) {
            return Err(io::Error::other("the printer's thread panicked"));
        }
        self.state().error.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn fail(&self, error: io::Error) {
        let mut state = self.state();
        (state.failed, state.error) = (true, Some(error));
    }

    /// Fulfills the promises of all waiting connections, after releasing the lock.
    fn wake(&self) {
        let waiting = mem::take(&mut self.state().waiting);
        for promise in waiting {
            promise.fulfill(Box::new(()));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl Printer {
        /// Takes everything that is queued and wakes waiting connections, as the thread does.
        pub(in crate::send) fn take(&self) -> Vec<u8> {
            let mut taken = Vec::new();
            self.queue.take(&mut taken);
            self.wake();
            taken
        }

        /// Fails as if the reader of standard output had gone away.
        pub(in crate::send) fn close(&self) {
            self.fail(io::ErrorKind::BrokenPipe.into());
            self.wake();
        }
    }

    /// The number of bytes that fill a printer's queue.
    pub(in crate::send) const FULL_QUEUE: usize = MAX_QUEUED;

    /// Output in memory.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn on_a_terminal_the_last_line_is_ended() {
        for (bytes, ends_line, written) in [
            (&b"Hello World"[..], true, &b"Hello World\n"[..]),
            (b"Hello World\n", true, b"Hello World\n"),
            (b"", true, b""),
            (b"Hello World", false, b"Hello World"),
        ] {
            let output = Output::default();
            let printer = Printer::start(output.clone(), ends_line).unwrap();
            printer.print_last(|queue| queue.extend_from_slice(bytes));
            printer.finish().unwrap();
            assert_eq!(*output.0.lock().unwrap(), written);
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_standard_output_is_reported_at_the_end() {
        let printer = Printer::start(Closed, false).unwrap();
        printer.print_last(|queue| queue.extend_from_slice(b"lost"));
        let error = printer.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(printer.state().failed);
    }

    #[test]
    fn finishing_writes_what_is_queued() {
        let printer = Printer::start(io::sink(), false).unwrap();
        printer.print_last(|queue| queue.extend_from_slice(b"last words"));
        printer.finish().unwrap();
        assert_eq!(printer.take(), b"");
    }
}
