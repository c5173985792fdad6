//! How lines get from the workers to the thread that writes them, and what is said of those that don't.
//!
//! Each worker has a lane of the [`Queue`] alone, so it never waits. A line that comes when there was
//! none for a while is written at once, and those behind it are written together.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::target::Target;
use crate::writer::{self, Queue, count_lines};

/// Bytes that wait of each worker at most: a quarter of a second of the fastest.
const MOST: usize = 1024 * 1024;
/// How long lines gather behind a write: few requests wake the thread, and somebody who watches the log
/// doesn't mind.
const GATHER: Duration = Duration::from_millis(250);
/// Losses are told of once in this time, together.
const TELL: Duration = Duration::from_secs(1);
/// How long the end of the program waits for lines that nobody takes.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What workers put lines into. Clones lead to the same place.
#[derive(Clone)]
pub(super) struct Lines {
    queue: Arc<Queue>,
    reopen: Arc<AtomicBool>,
    /// Lines that the thread has taken and could not write yet.
    left: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread that writes the lines of so many workers to `target`.
    pub(super) fn start(workers: usize, mut target: Target) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(workers, GATHER));
        let lines = Self { queue, reopen: Arc::default(), left: Arc::default() };
        let own = lines.clone();
        let mut losses = Losses::default();
        writer::start(&lines.queue, "access-log", move |batch, flushing| {
            let reopen = own.reopen.swap(false, Ordering::AcqRel);
            if reopen {
                // What came before belongs into the old file.
                own.queue.take(batch);
            }
            if let Err(error) = target.write(batch) {
                losses.unwritten += count_lines(batch);
                losses.error = Some(error);
                batch.clear();
            }
            if reopen {
                match target.reopen(batch) {
                    Ok(()) => info!(target: "sockeye", "the access log was opened again"),
                    Err(error) => {
                        warn!(target: "sockeye", %error, "could not reopen the access log; still writing to the old file");
                    }
                }
            }
            own.left.store(count_lines(batch), Ordering::Relaxed);
            losses.dropped += own.queue.take_refused();
            losses.tell(flushing && batch.is_empty());
            losses.are_untold().then(|| Instant::now() + TELL)
        })?;
        Ok(lines)
    }

    /// Has `write` append a line of at most `most` bytes to those of a worker, unless there is no
    /// room. Never waits.
    pub(super) fn put(&self, worker: usize, most: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.queue.put_at_once(worker, MOST.saturating_sub(most), write);
    }

    /// The file is to be opened again.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.queue.hurry();
    }

    /// Waits until everything is written, but not for ever.
    pub(super) fn finish(&self) {
        if !self.queue.flush(LAST_WORDS) {
            let lines = self.left.load(Ordering::Relaxed)
                + self.queue.count_lines()
                + self.queue.take_refused();
            warn!(target: "sockeye", lines, "not in the access log: they could not be written in time");
        }
    }
}

/// Lines that are not in the log.
#[derive(Debug, Default)]
struct Losses {
    dropped: u64,
    unwritten: u64,
    error: Option<io::Error>,
    told: Option<Instant>,
}

impl Losses {
    fn are_untold(&self) -> bool {
        self.dropped > 0 || self.error.is_some()
    }

    /// Tells of them, unless that was done a moment ago and there will be another time.
    fn tell(&mut self, last: bool) {
        if !last && self.told.is_some_and(|told| told.elapsed() < TELL) {
            return;
        }
        if self.dropped > 0 {
            let lines = mem::take(&mut self.dropped);
            warn!(target: "sockeye", lines, "not in the access log: they came faster than they could be written");
            self.told = Some(Instant::now());
        }
        if let Some(error) = self.error.take() {
            let lines = mem::take(&mut self.unwritten);
            warn!(target: "sockeye", lines, %error, "not in the access log: it can't be written");
            self.told = Some(Instant::now());
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
    fn what_nobody_writes_is_dropped_at_the_limit_and_counted() {
        let queue = Arc::new(Queue::new(1, GATHER));
        let lines =
            Lines { queue: Arc::clone(&queue), reopen: Arc::default(), left: Arc::default() };
        let line = "x".repeat(1000);
        let fit = MOST / line.len();
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
    fn every_line_of_every_worker_is_in_the_file_once_and_whole() {
        const LINES: usize = 2000;
        let path = scratch("lines");
        let lines = Lines::start(3, Target::file(path.clone()).unwrap()).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let lines = &lines;
                scope.spawn(move || {
                    for n in 0..LINES {
                        put(lines, worker, &format!("{worker} {n}\n"));
                        if n == LINES / 2 {
                            // The same file: nothing moved it away.
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
    fn losses_are_told_of_once_in_a_while_and_at_the_end() {
        let mut losses = Losses { dropped: 3, ..Losses::default() };
        losses.tell(false);
        assert_eq!(losses.dropped, 0);
        losses.dropped = 2;
        losses.tell(false);
        assert!(losses.are_untold(), "it was told a moment ago");
        losses.tell(true);
        assert!(!losses.are_untold());
    }
}
