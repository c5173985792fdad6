//! What the program tells the one who runs it, on standard error.
//!
//! Lines go through a bounded [`Queue`] to a thread of their own: a worker that logs never waits for a
//! terminal or a pipe. Lines that find the queue full are dropped, and the log says how many. How many
//! lines one client can cause is limited before that ([`limit`]).
//! Whatever a peer has chosen (a path, a header) may stand in a line, so control characters are
//! escaped here, for every line, whoever wrote it.

mod limit;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use self::limit::{LeftOut, Limits, Line, Verdict};
use crate::text;
use crate::writer::{self, Queue, lock};

/// Bytes that may wait to be written, besides those that the thread has taken: some thousand lines.
const QUEUE: usize = 512 * 1024;

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

/// The way to standard error. Clones lead to the same place.
#[derive(Clone)]
pub(crate) struct Log {
    queue: Arc<Queue>,
    limits: Arc<Mutex<Limits>>,
}

impl Log {
    /// A log to standard error.
    pub(crate) fn to_stderr() -> io::Result<Self> {
        Self::to(io::stderr())
    }

    fn to(mut target: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(1, Duration::ZERO));
        let log = Self { queue, limits: Arc::default() };
        let own = log.clone();
        writer::start(&log.queue, "log", move |lines, _| {
            // An error (a full disk, a limit on the file's size) can be told nowhere: these lines are
            // lost, and nothing else is.
            let _ = target.write_all(lines);
            lines.clear();
            let dropped = own.queue.take_refused();
            if dropped > 0 {
                let _ = writeln!(target, "{dropped} lines {DROPPED}");
            }
            let _ = target.flush();
            // What is due is queued as every other line.
            own.tell_left_out(false);
            lock(&own.limits).due()
        })?;
        Ok(log)
    }

    /// Sends the events of the whole program here, from `level` on.
    pub(crate) fn take_events(&self, level: Level) {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::from(level))
            .with_target(false)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish()
            .with(Limiter(self.clone()));
        // It fails only when there is a subscriber already, and `main` calls this once.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }

    /// Sends what panics say here, too: one in a connection ends that connection alone, may
    /// contain what the peer sent, and must not wait for a terminal either.
    pub(crate) fn take_panics(&self) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            const BUG: &str = "a bug in sockeye";
            // The process ends with its first thread, without another word.
            let is_last = thread::current().name() == Some("main");
            if log.writes(Line::said(BUG, BUG)) || is_last {
                log.say(format!("{BUG}: {panic}"));
            }
            if is_last {
                log.flush();
            }
        }));
    }

    /// Says something whatever the level is: an answer to what the user did.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        self.queue(line.as_ref());
    }

    /// Waits until what was logged so far is written, and how many lines were left out, but not for
    /// ever: standard error may be a pipe that nobody reads.
    pub(crate) fn flush(&self) {
        self.tell_left_out(true);
        // What could not be written in time is lost; there is nobody to tell.
        let _ = self.queue.flush(LAST_WORDS);
    }

    /// Counts a line. Whether it is to be written.
    fn writes(&self, line: Line) -> bool {
        let verdict = lock(&self.limits).count(line, Instant::now());
        if verdict == Verdict::LeaveOutFirst {
            // There is something to tell at another time than before.
            self.queue.hurry();
        }
        verdict == Verdict::Write
    }

    /// Says how many lines were left out, if that is due, or all at once.
    fn tell_left_out(&self, all: bool) {
        // Logged without the lock.
        let told = lock(&self.limits).take(Instant::now(), all);
        told.iter().filter_map(LeftOut::log).for_each(|line| self.queue(&line));
    }

    fn queue(&self, line: &str) {
        let line = text::escape_controls(line) + "\n";
        self.queue.put(QUEUE, |lines| lines.extend_from_slice(line.as_bytes()));
    }
}

/// One event is one call of `write`: the formatter hands over whole lines.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.queue(text.trim_end_matches('\n'));
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

/// Keeps events from the log that are too many of their kind.
struct Limiter(Log);

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_limited =
            *metadata.level() <= tracing::Level::INFO && metadata.target() != limit::TARGET;
        !is_limited || self.0.writes(Line::of(event))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::MutexGuard;

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
    fn a_client_that_causes_many_lines_gets_few_and_a_count() {
        let page = Page::default();
        let log = Log::to(page.clone()).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::DEBUG)
            .with_target(false)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish()
            .with(Limiter(log.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..1000 {
                let peer = format!("192.0.2.7:{}", 1000 + n);
                tracing::info!(%peer, reason = format!("the peer sent {n}"), "closed");
                tracing::debug!(%peer, "accepted");
            }
            tracing::warn!(client = "192.0.2.8", "something else");
            assert!(log.writes(Line::said("panic", "a bug")));
            let said = (0..20).filter(|_| log.writes(Line::said("panic", "a bug")));
            assert_eq!(said.count(), 9);
            log.flush();
        });
        let text = page.text();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(count("INFO closed peer="), 10, "{text}");
        let told = "INFO closed: 990 more from 192.0.2.7 in 1 s reason=the peer sent";
        assert_eq!(count(told), 1, "{text}");
        assert_eq!(count("a bug: 11 more in 1 s"), 1, "{text}");
        assert_eq!((count("DEBUG accepted"), count("WARN something else")), (1000, 1));
    }

    #[test]
    fn a_log_that_nobody_reads_blocks_nobody_and_counts_what_it_dropped() {
        let page = Page::default();
        let log = Log::to(page.clone()).unwrap();
        let held = page.lock();
        // Besides those in the queue, the thread may have taken as many to write.
        let said = 2 * (QUEUE / "line 0\n".len() + 1) + 10;
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
