//! The log, on standard error.
//!
//! Lines go through a bounded [`Queue`] to a thread that writes them, so that a worker (event loop)
//! never waits for a terminal or a pipe. If the queue is full, lines are dropped and counted.
//! [`limit`] bounds the number of lines of one kind about one client. Lines may contain text from
//! peers, so control characters are escaped in every line.

mod limit;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use self::limit::{Decision, Limits, Line, Suppressed};
use crate::text;
use crate::writer::{self, Queue, lock};

/// Maximum number of queued bytes: several thousand lines.
const MAX_QUEUED: usize = 512 * 1024;

/// How long the exiting program waits until standard error has accepted the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

const DROPPED: &str = "log lines dropped: written too slowly";

/// Parses a log level: the least severe level that is logged.
pub(crate) fn level() -> impl TypedValueParser<Value = LevelFilter> {
    let names = ["off", "error", "warn", "info", "debug", "trace"];
    PossibleValuesParser::new(names).try_map(|name| name.parse::<LevelFilter>())
}

/// Writes lines to standard error. Clones share the queue.
#[derive(Clone)]
pub(crate) struct Log {
    queue: Arc<Queue>,
    limits: Arc<Mutex<Limits>>,
}

impl Log {
    pub(crate) fn to_stderr() -> io::Result<Self> {
        Self::to(io::stderr())
    }

    fn to(mut target: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(1, Duration::ZERO));
        let log = Self { queue, limits: Arc::default() };
        let writer_log = log.clone();
        writer::start(&log.queue, "log", move |lines, _| {
            // After an error (such as a full disk, or a file at the process's size limit), these
            // lines are lost, and there is nowhere to report that.
            let _ = target.write_all(lines);
            lines.clear();
            let dropped = writer_log.queue.take_refused();
            if dropped > 0 {
                let _ = writeln!(target, "{dropped} {DROPPED}");
            }
            let _ = target.flush();
            writer_log.report_suppressed(false);
            // The time at which suppressed lines must be reported next: the thread then calls this
            // closure again, even if no line is queued.
            lock(&writer_log.limits).due()
        })?;
        Ok(log)
    }

    /// Logs the program's events of this level and of more severe ones.
    pub(crate) fn install_subscriber(&self, level: LevelFilter) {
        // Fails only if there is a subscriber already, and `main` calls this once.
        let _ = tracing::subscriber::set_global_default(self.subscriber(level));
    }

    fn subscriber(&self, level: LevelFilter) -> impl Subscriber + Send + Sync + use<> {
        let log = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish()
            .with(Limiter(self.clone()))
    }

    /// Logs panics through the queue, like other lines: a panic's message may contain text from a
    /// peer, which is escaped here, and a worker that panicked must not wait for a terminal. A
    /// panic in a connection ends only that connection.
    pub(crate) fn install_panic_hook(&self) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            const BUG: &str = "a bug in sockeye";
            // A panic of the main thread ends the process.
            let ends_process = thread::current().name() == Some("main");
            if log.allows(Line::of_text(BUG, BUG)) || ends_process {
                log.print(format!("{BUG}: {panic}"));
            }
            if ends_process {
                log.flush();
            }
        }));
    }

    /// Writes a line whatever the log level is, for example in response to a signal.
    pub(crate) fn print(&self, line: impl AsRef<str>) {
        let line = text::escape_controls(line.as_ref()) + "\n";
        self.queue.put(MAX_QUEUED, |lines| lines.extend_from_slice(line.as_bytes()));
    }

    /// Waits until all lines, and the counts of suppressed lines, are written. Waits at most
    /// [`FLUSH_TIMEOUT`], since standard error may be a pipe that nobody reads.
    pub(crate) fn flush(&self) {
        self.report_suppressed(true);
        // Lines that could not be written in time are lost.
        let _ = self.queue.flush(FLUSH_TIMEOUT);
    }

    /// Counts a line. Returns whether it is within the limits, so that the caller writes it.
    fn allows(&self, line: Line) -> bool {
        let decision = lock(&self.limits).count(line, Instant::now());
        if decision == Decision::SuppressFirst {
            // The writer thread must wake up to learn when to report the suppressed lines.
            self.queue.wake();
        }
        decision == Decision::Write
    }

    /// Logs how many lines were suppressed: the counts that are due, or `all` counts.
    fn report_suppressed(&self, all: bool) {
        // The lock is released before logging.
        let suppressed = lock(&self.limits).take(Instant::now(), all);
        // `Suppressed::log` returns the texts that have no level: those of panics.
        suppressed.iter().filter_map(Suppressed::log).for_each(|line| self.print(line));
    }
}

/// For tracing's formatter, which calls `write` once for each event, with a whole line.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.print(text.trim_end_matches('\n'));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A layer that drops events above the limit for their kind and client. Debug and trace events
/// have no limit.
struct Limiter(Log);

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // In `tracing`, more severe levels are smaller. `limit::TARGET` is the target of the events
        // that report suppressed lines.
        let is_limited =
            *metadata.level() <= tracing::Level::INFO && metadata.target() != limit::TARGET;
        !is_limited || self.0.allows(Line::of(event))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::MutexGuard;

    use super::*;

    /// Output in memory. Writing waits while a test holds the lock.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Output {
        fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }

        fn text(&self) -> String {
            String::from_utf8(self.lock().clone()).unwrap()
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_from_a_peer_cannot_forge_a_line_or_move_the_cursor() {
        let output = Output::default();
        let log = Log::to(output.clone()).unwrap();
        tracing::subscriber::with_default(log.subscriber(LevelFilter::INFO), || {
            tracing::info!(path = %"/\x1b[2J\n2026 ERROR forged", "closed");
        });
        log.flush();
        let text = output.text();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        assert!(text.contains("INFO"), "{text:?}");
        assert!(text.contains("ERROR forged"), "{text:?}");
    }

    #[test]
    fn many_lines_of_one_client_are_limited_and_counted() {
        let output = Output::default();
        let log = Log::to(output.clone()).unwrap();
        tracing::subscriber::with_default(log.subscriber(LevelFilter::DEBUG), || {
            for n in 0..1000 {
                let peer = format!("192.0.2.7:{}", 1000 + n);
                tracing::info!(%peer, reason = format!("the peer sent {n}"), "closed");
                tracing::debug!(%peer, "accepted");
            }
            tracing::warn!(client = "192.0.2.8", "something else");
            assert!(log.allows(Line::of_text("panic", "a bug")));
            let written = (0..20).filter(|_| log.allows(Line::of_text("panic", "a bug")));
            assert_eq!(written.count(), 9);
            log.flush();
        });
        let text = output.text();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(count("INFO closed peer="), 10, "{text}");
        let report = "INFO closed: 990 more from 192.0.2.7 in 1 s reason=the peer sent";
        assert_eq!(count(report), 1, "{text}");
        assert_eq!(count("a bug: 11 more in 1 s"), 1, "{text}");
        assert_eq!((count("DEBUG accepted"), count("WARN something else")), (1000, 1));
    }

    #[test]
    fn different_messages_without_a_client_are_counted_apart() {
        let output = Output::default();
        let log = Log::to(output.clone()).unwrap();
        tracing::subscriber::with_default(log.subscriber(LevelFilter::INFO), || {
            for n in 0..30 {
                tracing::warn!("--flag-{} has no effect", n % 15);
                // Clients choose the values of fields, such as the names of hosts.
                tracing::warn!(host = format!("{n}.example"), "host not allowed");
            }
            log.flush();
        });
        let text = output.text();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(count("has no effect"), 30, "{text}");
        assert_eq!(count("host not allowed host="), 10, "{text}");
        assert_eq!(count("host not allowed: 20 more in 1 s"), 1, "{text}");
    }

    #[test]
    fn a_log_without_a_reader_never_blocks_and_counts_dropped_lines() {
        let output = Output::default();
        let log = Log::to(output.clone()).unwrap();
        let held = output.lock();
        // The writer thread may already have taken the content of a full queue: fill the queue
        // twice.
        let printed = 2 * (MAX_QUEUED / "line 0\n".len() + 1) + 10;
        for n in 0..printed {
            log.print(format!("line {n}"));
        }
        drop(held);
        log.flush();
        let text = output.text();
        let written = text.lines().filter(|line| line.starts_with("line ")).count();
        let lost = printed - written;
        assert!(lost >= 10, "{lost}");
        assert!(text.contains(&format!("{lost} {DROPPED}")), "{lost} in {text}");
    }
}
