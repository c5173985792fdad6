//! What the program tells the one who runs it, on standard error.
//!
//! Lines go through a bounded queue to a thread of their own: a worker that logs never waits for a
//! terminal or a pipe. Lines that find the queue full are dropped, counted, and the count is said.
//! Whatever a peer has chosen (a path, a header) may stand in a line, so control characters are
//! escaped here, for every line, whoever wrote it.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::text;

/// Lines that may wait to be written. At a few hundred bytes each, well under a megabyte.
const QUEUE: usize = 2048;

/// How long the end of the program waits for lines that nobody takes.
const LAST_WORDS: Duration = Duration::from_secs(1);

const DROPPED: &str = "were not logged: they came faster than they could be written";

/// From which level on events are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// What stops us from doing our part.
    Error,
    /// What somebody should look at.
    Warn,
    /// As well: connections that ended otherwise than they should.
    Info,
    /// As well: every connection.
    Debug,
    /// Everything.
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::OFF,
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    dropped: u64,
    /// The thread is writing lines that it has taken from here.
    writing: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to standard error. Clones lead to the same place.
#[derive(Clone)]
pub(crate) struct Log {
    queue: Arc<Queue>,
}

impl Log {
    /// A log to standard error.
    pub(crate) fn to_stderr() -> io::Result<Self> {
        Self::to(io::stderr())
    }

    fn to(target: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let log = Self { queue: Arc::clone(&queue) };
        thread::Builder::new().name("log".into()).spawn(move || write_lines(&queue, target))?;
        Ok(log)
    }

    /// Sends the events of the whole program here, from `level` on.
    pub(crate) fn take_events(&self, level: Level) {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::from(level))
            .with_target(false)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        // It fails only when there is a subscriber already, and `main` calls this once.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }

    /// Sends what panics say here, too: one in a conversation ends that connection alone, may
    /// contain what the peer sent, and must not wait for a terminal either.
    pub(crate) fn take_panics(&self) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            log.say(format!("a bug in sockeye: {panic}"));
            // The process ends with its first thread, without another word.
            if thread::current().name() == Some("main") {
                log.flush();
            }
        }));
    }

    /// Says something whatever the level is: an answer to what the user did.
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.queue(line.into());
    }

    /// Waits until what was logged so far is written, but not for ever: standard error may be a
    /// pipe that nobody reads.
    pub(crate) fn flush(&self) {
        let state = self.queue.lock();
        let busy = |state: &mut State| state.writing || !state.lines.is_empty();
        // What could not be written in time is lost; there is nobody to tell.
        let _ = self.queue.written.wait_timeout_while(state, LAST_WORDS, busy);
    }

    fn queue(&self, line: String) {
        let mut state = self.queue.lock();
        if state.lines.len() < QUEUE {
            state.lines.push(line);
            self.queue.filled.notify_one();
        } else {
            state.dropped += 1;
        }
    }
}

/// One event is one call of `write`: the formatter hands over whole lines.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.queue(text.trim_end_matches('\n').to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes for as long as the program runs. An error of `target` (a full disk, a limit on the file's
/// size) is nowhere to be told: the lines are lost, and nothing else is.
fn write_lines(queue: &Queue, mut target: impl Write) {
    let mut text = String::new();
    let mut lines = Vec::new();
    loop {
        let state = queue.lock();
        let idle = |state: &mut State| state.lines.is_empty();
        let mut state =
            queue.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut lines, &mut state.lines);
        let dropped = mem::take(&mut state.dropped);
        state.writing = true;
        drop(state);

        for line in lines.drain(..) {
            text.clear();
            text::escape_controls_into(&mut text, &line);
            text.push('\n');
            let _ = target.write_all(text.as_bytes());
        }
        if dropped > 0 {
            let _ = writeln!(target, "{dropped} lines {DROPPED}");
        }
        let _ = target.flush();

        queue.lock().writing = false;
        queue.written.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is written; writing waits while a test holds the lock.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }

        fn text(&self) -> String {
            String::from_utf8(self.lock().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_peer_chose_cannot_forge_a_line_or_move_the_cursor() {
        let page = Page::default();
        let log = Log::to(page.clone()).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_target(false)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(path = %"/\x1b[2J\n2026 ERROR forged", "closed");
        });
        log.flush();
        let text = page.text();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        assert!(text.contains("INFO"), "{text:?}");
        assert!(text.contains("ERROR forged"), "{text:?}");
    }

    #[test]
    fn a_log_that_nobody_reads_blocks_nobody_and_counts_what_it_dropped() {
        let page = Page::default();
        let log = Log::to(page.clone()).unwrap();
        let held = page.lock();
        // Besides those in the queue, the thread may have taken as many to write.
        let said = 2 * QUEUE + 10;
        for n in 0..said {
            log.say(format!("line {n}"));
        }
        drop(held);
        log.flush();
        let text = page.text();
        let written = text.lines().filter(|line| line.starts_with("line ")).count();
        let lost = said - written;
        assert!(lost >= 10, "{lost}");
        assert!(text.contains(&format!("{lost} lines {DROPPED}")), "{lost} in {text}");
    }
}
