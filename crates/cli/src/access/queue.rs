//! The queue between the workers (event loops), which produce log lines, and the thread that writes
//! the lines to a [`Sink`]. Lost lines are counted, and reported as warnings.
//!
//! For a file, a pipe or standard error, each worker has its own lane (a pair of buffers) of the
//! [`Queue`], so it never waits. For a terminal, all workers share one lane, which keeps the lines
//! in order. The first line after a pause is written at once; the lines after it are gathered and
//! written together.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::limit::{Decision, Kind, Limit};
use super::sink::Sink;
use crate::writer::{self, Queue, count_lines, lock};

/// Maximum number of bytes in each buffer of a lane: as many as a worker produces in about 250 ms
/// at full load.
const MAX_QUEUED: usize = 1024 * 1024;
/// The same for a terminal: several hundred lines. Nobody reads more at once.
const MAX_QUEUED_FOR_TERMINAL: usize = 64 * 1024;
/// How long the thread gathers lines after a write, before it writes again. A line that is queued
/// meanwhile rarely has to wake the thread, which takes a system call.
const BATCH_DELAY: Duration = Duration::from_millis(250);
/// The same for a terminal, where people notice a delay.
const TERMINAL_BATCH_DELAY: Duration = Duration::from_millis(50);
/// The minimum time between two warnings about lost lines.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the exiting program waits until all lines are written to a file, a pipe or standard
/// error.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a terminal, which Ctrl-S may have stopped.
const TERMINAL_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The queue of lines. Clones share it.
#[derive(Clone)]
pub(super) struct Lines {
    queue: Arc<Queue>,
    reopen: Arc<AtomicBool>,
    /// The number of lines that the thread has taken from the queue and not written yet.
    unwritten: Arc<AtomicU64>,
    losses: Arc<Mutex<Losses>>,
    /// The limit on lines about connections, which only a terminal shows.
    limit: Arc<Mutex<Limit>>,
    mode: Mode,
}

/// The settings that depend on the kind of sink.
#[derive(Clone, Copy)]
struct Mode {
    /// The kind of lines, as warnings name it: with `access log`, a warning begins with `access log
    /// lines lost`.
    what: &'static str,
    /// Whether the lines of all workers are written in the order in which their requests ended. If
    /// so, a worker waits while another one appends a line.
    in_order: bool,
    max_queued: usize,
    batch_delay: Duration,
    flush_timeout: Duration,
}

/// For files, pipes and standard error.
const FOR_PROGRAMS: Mode = Mode {
    what: "access log",
    in_order: false,
    max_queued: MAX_QUEUED,
    batch_delay: BATCH_DELAY,
    flush_timeout: FLUSH_TIMEOUT,
};

/// For a terminal. [`Lines::start`] sets `what`.
const FOR_PEOPLE: Mode = Mode {
    what: "",
    in_order: true,
    max_queued: MAX_QUEUED_FOR_TERMINAL,
    batch_delay: TERMINAL_BATCH_DELAY,
    flush_timeout: TERMINAL_FLUSH_TIMEOUT,
};

impl Lines {
    /// Starts the thread that writes the lines of all workers to `sink`. `subject` is the noun that
    /// warnings on a terminal use for lost lines, such as `request`.
    pub(super) fn start(workers: usize, mut sink: Sink, subject: &'static str) -> io::Result<Self> {
        let mode = match sink {
            Sink::Terminal => Mode { what: subject, ..FOR_PEOPLE },
            Sink::Stderr | Sink::File { .. } => FOR_PROGRAMS,
        };
        let lanes = if mode.in_order { 1 } else { workers };
        let queue = Arc::new(Queue::new(lanes, mode.batch_delay));
        let lines = Self {
            queue,
            reopen: Arc::default(),
            unwritten: Arc::default(),
            losses: Arc::default(),
            limit: Arc::default(),
            mode,
        };
        let own = lines.clone();
        writer::start(&lines.queue, "access-log", move |batch, flushing| {
            let reopen = own.reopen.swap(false, Ordering::AcqRel);
            if reopen {
                // The lines queued before the request to reopen belong in the old file.
                own.queue.take(batch);
            }
            if let Some(line) = lock(&own.limit).take(Instant::now(), flushing) {
                batch.extend_from_slice(line.as_bytes());
            }
            // `finish` reports unwritten lines as lost. A write that may block can last until the
            // program exits, so its lines are counted before the write. Any other write returns in
            // time, so the lines that it has left in `batch` are counted afterwards.
            if sink.may_block() {
                own.unwritten.store(count_lines(batch), Ordering::Relaxed);
            }
            if let Err(error) = sink.write(batch) {
                let mut losses = lock(&own.losses);
                losses.failed += count_lines(batch);
                losses.error = Some(error);
                batch.clear();
            }
            if reopen {
                match sink.reopen(batch) {
                    Ok(()) => info!(target: "sockeye", "reopened the access log"),
                    Err(error) => {
                        warn!(target: "sockeye", %error, "could not reopen the access log; still writing to the old file");
                    }
                }
            }
            own.unwritten.store(count_lines(batch), Ordering::Relaxed);
            let mut losses = lock(&own.losses);
            losses.dropped += own.queue.take_refused();
            losses.report(mode.what, flushing && batch.is_empty());
            // If losses are unreported, this closure is called again after [`REPORT_EVERY`], even
            // without new lines.
            let losses_due = losses.are_unreported().then(|| Instant::now() + REPORT_EVERY);
            lock(&own.limit).due().into_iter().chain(losses_due).min()
        })?;
        Ok(lines)
    }

    /// Queues the line that `write` appends, which has at most `max` bytes. If there is no room,
    /// counts the line as lost instead. Never waits for the thread to write.
    pub(super) fn put(&self, worker: usize, max: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let max = self.mode.max_queued.saturating_sub(max);
        match self.mode.in_order {
            true => self.queue.put(max, write),
            false => self.queue.try_put(worker, max, write),
        };
    }

    /// Counts a line about a connection. The caller may write the line only if this returns
    /// [`Decision::Write`].
    pub(super) fn count(&self, kind: Kind, now: Instant) -> Decision {
        lock(&self.limit).count(kind, now)
    }

    /// Wakes the thread, which then learns from `limit` when to report how many lines about
    /// connections were left out.
    pub(super) fn wake(&self) {
        self.queue.wake();
    }

    /// Asks the thread to reopen the file.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.queue.wake();
    }

    /// Waits until everything is written, or the sink's flush timeout has passed. Then warns about
    /// the lines that were not written.
    pub(super) fn finish(&self) {
        if !self.queue.flush(self.mode.flush_timeout) {
            let lines = self.count_lost();
            warn!(target: "sockeye", lines, "{} lines lost: not written in time", self.mode.what);
        }
    }

    /// How many lines are lost if nothing more is written, except those that the thread has
    /// reported.
    fn count_lost(&self) -> u64 {
        // The thread counts refused lines as dropped while it holds this lock.
        let losses = lock(&self.losses);
        self.unwritten.load(Ordering::Relaxed)
            + self.queue.count_lines()
            + self.queue.take_refused()
            + losses.dropped
            + losses.failed
    }
}

/// Lost lines that have not been reported yet.
#[derive(Debug, Default)]
struct Losses {
    /// Number of lines that were dropped because the queue was full.
    dropped: u64,
    /// Number of lines that could not be written.
    failed: u64,
    /// The last write error.
    error: Option<io::Error>,
    /// When losses were last reported.
    reported: Option<Instant>,
}

impl Losses {
    fn are_unreported(&self) -> bool {
        self.dropped > 0 || self.error.is_some()
    }

    /// Logs the losses, unless the previous report was less than [`REPORT_EVERY`] ago. With `last`,
    /// always logs them.
    fn report(&mut self, what: &str, last: bool) {
        if !last && self.reported.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return;
        }
        if self.dropped > 0 {
            let lines = mem::take(&mut self.dropped);
            warn!(target: "sockeye", lines, "{what} lines lost: written too slowly");
            self.reported = Some(Instant::now());
        }
        if let Some(error) = self.error.take() {
            let lines = mem::take(&mut self.failed);
            warn!(target: "sockeye", lines, %error, "{what} lines lost: cannot write");
            self.reported = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(lines: &Lines, worker: usize, line: &str) {
        lines.put(worker, line.len(), |lines| lines.extend_from_slice(line.as_bytes()));
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("sockeye-access-{}-{name}", std::process::id()))
    }

    #[test]
    fn lines_above_the_limit_are_dropped_and_counted() {
        let queue = Arc::new(Queue::new(1, BATCH_DELAY));
        let lines = Lines {
            queue: Arc::clone(&queue),
            reopen: Arc::default(),
            unwritten: Arc::default(),
            losses: Arc::default(),
            limit: Arc::default(),
            mode: FOR_PROGRAMS,
        };
        let line = "x".repeat(1000);
        let fit = MAX_QUEUED / line.len();
        for _ in 0..fit + 7 {
            put(&lines, 0, &line);
        }
        let mut batch = Vec::new();
        queue.take(&mut batch);
        assert_eq!(batch.len(), fit * line.len());
        assert_eq!(queue.take_refused(), 7);
        put(&lines, 0, &line);
        assert_eq!(queue.take_refused(), 0, "there is room again");
    }

    #[test]
    fn losses_that_the_thread_has_not_reported_are_counted_at_the_end() {
        let lines = Lines {
            queue: Arc::new(Queue::new(1, BATCH_DELAY)),
            reopen: Arc::default(),
            unwritten: Arc::new(AtomicU64::new(10_000)),
            losses: Arc::new(Mutex::new(Losses {
                dropped: 1000,
                failed: 100,
                ..Losses::default()
            })),
            limit: Arc::default(),
            mode: FOR_PROGRAMS,
        };
        (0..10).for_each(|_| put(&lines, 0, "queued\n"));
        lines.put(0, MAX_QUEUED, |_| unreachable!("the line is refused"));
        assert_eq!(lines.count_lost(), 11_111);
    }

    #[test]
    fn every_line_of_every_worker_is_written_once_and_complete() {
        const LINES: usize = 2000;
        let path = scratch("lines");
        let lines = Lines::start(3, Sink::file(path.clone()).unwrap(), "").unwrap();
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let lines = &lines;
                scope.spawn(move || {
                    for n in 0..LINES {
                        put(lines, worker, &format!("{worker} {n}\n"));
                        if n == LINES / 2 {
                            // Opens the same file again, because nobody moved it away.
                            lines.reopen();
                        }
                    }
                });
            }
        });
        lines.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut lines: Vec<(usize, usize)> = text
            .lines()
            .map(|line| {
                let (worker, n) = line.split_once(' ').unwrap();
                (worker.parse().unwrap(), n.parse().unwrap())
            })
            .collect();
        lines.sort_unstable();
        let expected: Vec<_> =
            (0..3).flat_map(|worker| (0..LINES).map(move |n| (worker, n))).collect();
        assert!(lines == expected, "{} of {} lines", lines.len(), expected.len());
    }

    #[test]
    fn losses_are_reported_once_a_second_and_at_the_end() {
        let mut losses = Losses { dropped: 3, ..Losses::default() };
        losses.report("access log", false);
        assert_eq!(losses.dropped, 0);
        losses.dropped = 2;
        losses.report("access log", false);
        assert!(losses.are_unreported(), "the last report was a moment ago");
        losses.report("access log", true);
        assert!(!losses.are_unreported());
    }
}
