//! The way to standard output, which may be slower than the network.
//!
//! What has come is queued, up to a limit, and written by a thread of its own. A conversation that
//! finds the queue full leaves a promise here and pauses, so that its peer waits in the end; the
//! promise is kept when there is room. Writing on the loop itself would be simpler, but every
//! deadline would stand still with it, and a reader that pauses (`less`) would look like a silent
//! peer afterwards.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use sockeye::proto::{Promise, Ticket, Turn};

/// Bytes that wait, beyond which nothing is taken. As many again may be in the thread's hands.
const LIMIT: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<u8>,
    /// Conversations that wait for room; at most one promise for each.
    waiting: Vec<Promise>,
    /// Standard output takes nothing any more.
    gone: bool,
    /// Nothing follows what is queued.
    last: bool,
}

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

/// The conversations' end. Clones lead to the same place.
#[derive(Clone, Debug, Default)]
pub(super) struct Paper(Arc<Shared>);

impl Paper {
    /// Takes what `write` appends to the queue, if there is room.
    pub(super) fn print(&self, turn: &Turn<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Printed {
        let mut state = self.lock();
        if state.gone {
            return Printed::Gone;
        }
        if state.queue.len() >= LIMIT {
            let promise = turn.promise();
            let ticket = promise.ticket();
            state.waiting.push(promise);
            return Printed::Later(ticket);
        }
        write(&mut state.queue);
        self.0.changed.notify_all();
        Printed::Taken
    }

    /// Takes what `write` appends, room or not: the last words of a conversation, which has
    /// nowhere to keep them.
    pub(super) fn print_last(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        if !state.gone {
            write(&mut state.queue);
            self.0.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is queued and makes room; waits for something to be there. `None` when nothing
    /// follows.
    fn next(&self, mut used: Vec<u8>) -> Option<Vec<u8>> {
        used.clear();
        let idle = |state: &mut State| state.queue.is_empty() && !state.last;
        let state = self.0.changed.wait_while(self.lock(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.queue, &mut used);
        wake(state);
        (!used.is_empty()).then_some(used)
    }

    fn give_up(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.queue = Vec::new();
        wake(state);
    }
}

/// Keeps the promises of all that wait, outside of the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = mem::take(&mut state.waiting);
    drop(state);
    for promise in waiting {
        promise.keep(Box::new(()));
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Printer {
    paper: Paper,
    thread: JoinHandle<io::Result<()>>,
}

impl Printer {
    /// Writes what is printed on the returned paper to `target`.
    pub(super) fn to(target: impl Write + Send + 'static) -> io::Result<(Self, Paper)> {
        Self::start(target, false)
    }

    /// The same, and ends a last line that does not end: what is said next on the terminal begins one.
    pub(super) fn to_terminal(target: impl Write + Send + 'static) -> io::Result<(Self, Paper)> {
        Self::start(target, true)
    }

    fn start(target: impl Write + Send + 'static, ends_line: bool) -> io::Result<(Self, Paper)> {
        let paper = Paper::default();
        let thread = thread::Builder::new().name("printer".into()).spawn({
            let paper = paper.clone();
            move || write_all(&paper, target, ends_line)
        })?;
        Ok((Self { paper: paper.clone(), thread }, paper))
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// The one that ended the writing.
    pub(super) fn finish(self) -> io::Result<()> {
        self.paper.lock().last = true;
        self.paper.0.changed.notify_all();
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("printing panicked")))
    }
}

fn write_all(paper: &Paper, mut target: impl Write, ends_line: bool) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut inside_line = false;
    while let Some(next) = paper.next(mem::take(&mut bytes)) {
        bytes = next;
        inside_line = !bytes.ends_with(b"\n");
        if let Err(error) = target.write_all(&bytes).and_then(|()| target.flush()) {
            paper.give_up();
            return Err(error);
        }
    }
    if ends_line && inside_line {
        target.write_all(b"\n").and_then(|()| target.flush())?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl Paper {
        /// As the thread does, without it: everything queued so far, whose writers are woken.
        pub(in crate::send) fn read(&self) -> Vec<u8> {
            let mut state = self.lock();
            let read = mem::take(&mut state.queue);
            wake(state);
            read
        }

        /// As when the reader of standard output goes away.
        pub(in crate::send) fn tear(&self) {
            self.give_up();
        }
    }

    /// More than the paper takes before it says `Later`.
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
            let (printer, paper) = Printer::start(sheet.clone(), ends_line).unwrap();
            paper.print_last(|queue| queue.extend_from_slice(bytes));
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
        let (printer, paper) = Printer::to(Closed).unwrap();
        paper.lock().queue.extend_from_slice(b"lost");
        let error = printer.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(paper.lock().gone);
    }

    #[test]
    fn finishing_writes_what_is_queued() {
        let (printer, paper) = Printer::to(io::sink()).unwrap();
        paper.lock().queue.extend_from_slice(b"last words");
        printer.finish().unwrap();
        assert!(paper.lock().queue.is_empty());
    }
}
