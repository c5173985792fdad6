//! The way to standard output, which may be slower than the network.
//!
//! What has come is queued, up to a limit, and written by a thread of its own. A connection that
//! finds the queue full leaves a promise here and pauses, so that its peer waits in the end; the
//! promise is kept when there is room. Writing on the loop itself would be simpler, but every
//! deadline would stand still with it, and a reader that pauses (`less`) would look like a silent
//! peer afterwards.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sockeye::proto::{Promise, Ticket, Turn};

use crate::writer::{self, Queue, lock};

/// Bytes that wait, beyond which nothing is taken. As many again may be in the thread's hands.
const LIMIT: usize = 1024 * 1024;

/// What became of bytes that were to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    /// They are on their way.
    Taken,
    /// There is no room; the ticket's message says when there is.
    Later(Ticket),
    /// Nobody reads standard output any more.
    Gone,
}

/// Writes what connections print. Clones lead to the same place.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    queue: Arc<Queue>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Connections that wait for room; at most one promise for each.
    waiting: Vec<Promise>,
    /// Nothing can be written any more.
    gone: bool,
    /// Why not.
    error: Option<io::Error>,
}

impl Printer {
    /// One without a thread.
    fn new() -> Self {
        Self { queue: Arc::new(Queue::new(1, Duration::ZERO)), state: Arc::default() }
    }

    /// Writes to `target`. On a terminal a last line that does not end is ended: what is said next
    /// begins one.
    pub(super) fn start(
        mut target: impl Write + Send + 'static,
        terminal: bool,
    ) -> io::Result<Self> {
        let printer = Self::new();
        let own = printer.clone();
        let mut inside_line = false;
        writer::start(&printer.queue, "printer", move |bytes, flushing| {
            own.wake();
            if let Some(last) = bytes.last() {
                inside_line = *last != b'\n';
            }
            if flushing && terminal && mem::take(&mut inside_line) {
                bytes.push(b'\n');
            }
            if !bytes.is_empty()
                && !own.state().gone
                && let Err(error) = target.write_all(bytes).and_then(|()| target.flush())
            {
                own.give_up(error);
            }
            bytes.clear();
            None
        })?;
        Ok(printer)
    }

    /// Takes what `write` appends to the queue, if there is room.
    pub(super) fn print(&self, turn: &Turn<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Printed {
        if self.state().gone {
            return Printed::Gone;
        }
        if self.queue.put(LIMIT - 1, write) {
            return Printed::Taken;
        }
        let promise = turn.promise();
        let ticket = promise.ticket();
        self.state().waiting.push(promise);
        // The thread may have made room before it could see this promise.
        if self.queue.put(LIMIT - 1, |_| ()) {
            self.wake();
        }
        Printed::Later(ticket)
    }

    /// Takes what `write` appends, room or not: the last words of a connection, which has nowhere to
    /// keep them.
    pub(super) fn print_last(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.state().gone {
            self.queue.put(usize::MAX, write);
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// The one that ended the writing.
    pub(super) fn finish(&self) -> io::Result<()> {
        if !self.queue.flush(Duration::MAX) {
            return Err(io::Error::other("printing panicked"));
        }
        self.state().error.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn give_up(&self, error: io::Error) {
        let mut state = self.state();
        (state.gone, state.error) = (true, Some(error));
    }

    /// Keeps the promises of all that wait, outside of the lock.
    fn wake(&self) {
        let waiting = mem::take(&mut self.state().waiting);
        for promise in waiting {
            promise.keep(Box::new(()));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl Default for Printer {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Printer {
        /// As the thread does, without it: everything queued so far, whose writers are woken.
        pub(in crate::send) fn read(&self) -> Vec<u8> {
            let mut read = Vec::new();
            self.queue.take(&mut read);
            self.wake();
            read
        }

        /// As when the reader of standard output goes away.
        pub(in crate::send) fn close(&self) {
            self.give_up(io::ErrorKind::BrokenPipe.into());
            self.wake();
        }
    }

    /// More than a printer takes before it says `Later`.
    pub(in crate::send) const TOO_MUCH: usize = LIMIT;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl Write for Sheet {
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
            let sheet = Sheet::default();
            let printer = Printer::start(sheet.clone(), ends_line).unwrap();
            printer.print_last(|queue| queue.extend_from_slice(bytes));
            printer.finish().unwrap();
            assert_eq!(*sheet.0.lock().unwrap(), written);
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
    fn a_closed_standard_output_is_told_at_the_end() {
        let printer = Printer::start(Closed, false).unwrap();
        printer.print_last(|queue| queue.extend_from_slice(b"lost"));
        let error = printer.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(printer.state().gone);
    }

    #[test]
    fn finishing_writes_what_is_queued() {
        let printer = Printer::start(io::sink(), false).unwrap();
        printer.print_last(|queue| queue.extend_from_slice(b"last words"));
        printer.finish().unwrap();
        assert_eq!(printer.read(), b"");
    }
}
