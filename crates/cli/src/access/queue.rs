//! How lines get from the workers to the one thread that writes them.
//!
//! Each worker has two slots of its own, and the thread holds at most one of them at a time, for as
//! long as it takes to swap two vectors: so a worker finds one free without waiting. Its lines
//! gather there for a moment, and leave in one write.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::target::Target;

/// Bytes that a slot holds: a quarter of a second of the fastest worker.
const MOST: usize = 1024 * 1024;
/// With so many the thread is woken before its time.
const MANY: usize = 256 * 1024;
/// A slot that once held more gives the rest back.
const KEPT: usize = MANY;
/// How long lines gather: what somebody who watches the log doesn't notice.
const GATHER: Duration = Duration::from_millis(50);
/// Losses are told of once in this time, together.
const TELL: Duration = Duration::from_secs(1);
/// How long the end of the program waits for lines that nobody takes.
const LAST_WORDS: Duration = Duration::from_secs(5);

type Slot = Mutex<Vec<u8>>;

/// What workers put lines into.
pub(super) struct Queue {
    workers: Vec<[Slot; 2]>,
    /// Lines that were dropped since that was last told.
    dropped: AtomicU64,
    /// Whatever the thread waits for, it is to go on now.
    hurry: AtomicBool,
    reopen: AtomicBool,
    finish: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Queue {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Default::default()).collect(),
            dropped: AtomicU64::new(0),
            hurry: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            finish: AtomicBool::new(false),
            writer: OnceLock::new(),
        }
    }

    /// Has `write` append a line of at most `most` bytes to those of a worker, unless there is no
    /// room. Never waits.
    pub(super) fn put(&self, worker: usize, most: usize, write: impl FnOnce(&mut Vec<u8>)) {
        // The thread holds one of them at most; it may have gone on to the next meanwhile.
        let slots = self.workers.get(worker).into_iter().flatten();
        let Some(mut lines) = slots.cycle().take(4).find_map(free) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let before = lines.len();
        if before + most > MOST {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        write(&mut lines);
        let after = lines.len();
        drop(lines);
        if before < MANY && after >= MANY {
            self.hurry();
        } else if before == 0 {
            self.wake();
        }
    }

    /// The file is to be opened again.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.hurry();
    }

    fn hurry(&self) {
        self.hurry.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    fn is_empty(&self) -> bool {
        self.workers.iter().flatten().all(|slot| lock(slot).is_empty())
    }

    /// Moves all lines into `batch`, by way of `spare`, which is empty before and afterwards.
    fn take(&self, batch: &mut Vec<u8>, spare: &mut Vec<u8>) {
        for slot in self.workers.iter().flatten() {
            mem::swap(&mut *lock(slot), spare);
            batch.extend_from_slice(spare);
            spare.clear();
            spare.shrink_to(KEPT);
        }
    }

    /// Waits until there is something to do: lines that have gathered, or a hurry; with `longest`
    /// about as long.
    fn wait(&self, longest: Option<Duration>) {
        while !self.hurry.load(Ordering::Acquire) && self.is_empty() {
            match longest {
                None => thread::park(),
                Some(longest) => {
                    thread::park_timeout(longest);
                    break;
                }
            }
        }
        let until = Instant::now() + GATHER;
        while !self.hurry.swap(false, Ordering::AcqRel) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
    }
}

fn free(slot: &Slot) -> Option<MutexGuard<'_, Vec<u8>>> {
    match slot.try_lock() {
        Ok(lines) => Some(lines),
        Err(TryLockError::Poisoned(lines)) => Some(lines.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Vec<u8>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that writes.
pub(super) struct Writer {
    ended: Receiver<()>,
}

impl Writer {
    pub(super) fn start(queue: Arc<Queue>, target: Target) -> io::Result<Self> {
        let (ends, ended) = channel();
        let thread = thread::Builder::new().name("access-log".into());
        let thread = thread.spawn({
            let queue = Arc::clone(&queue);
            move || write(&queue, target, &ends)
        })?;
        let _ = queue.writer.set(thread.thread().clone());
        // What came before it could be woken.
        queue.hurry();
        Ok(Self { ended })
    }

    /// Waits until everything is written, but not for ever.
    pub(super) fn finish(self, queue: &Queue) {
        queue.finish.store(true, Ordering::Release);
        queue.hurry();
        if self.ended.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            warn!(target: "sockeye", "the last lines of the access log could not be written in time");
        }
    }
}

/// Writes until the end of the program. `_ends` is dropped then.
fn write(queue: &Queue, mut target: Target, _ends: &Sender<()>) {
    let (mut batch, mut spare) = (Vec::new(), Vec::new());
    let mut losses = Losses::default();
    loop {
        // What a slow reader left of the last batch goes first; the queue holds the rest meanwhile.
        let is_next = batch.is_empty();
        if is_next && !queue.finish.load(Ordering::Acquire) {
            queue.wait(losses.are_untold().then_some(TELL));
        }
        let finish = queue.finish.load(Ordering::Acquire);
        let reopen = queue.reopen.swap(false, Ordering::AcqRel);
        if is_next {
            queue.take(&mut batch, &mut spare);
        }
        if let Err(error) = target.write(&mut batch) {
            losses.unwritten += batch.iter().filter(|byte| **byte == b'\n').count() as u64;
            losses.error = Some(error);
            batch.clear();
        }
        batch.shrink_to(KEPT);
        if reopen {
            match target.reopen(&mut batch) {
                Ok(()) => info!(target: "sockeye", "the access log was opened again"),
                Err(error) => {
                    warn!(target: "sockeye", %error, "could not reopen the access log; still writing to the old file");
                }
            }
        }
        losses.dropped += queue.dropped.swap(0, Ordering::Relaxed);
        let ends = finish && is_next && batch.is_empty();
        losses.tell(ends);
        if ends {
            return;
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

    fn put(queue: &Queue, worker: usize, line: &str) {
        queue.put(worker, line.len(), |lines| lines.extend_from_slice(line.as_bytes()));
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("sockeye-access-{}-{name}", std::process::id()))
    }

    #[test]
    fn what_nobody_writes_is_dropped_at_the_limit_and_counted() {
        let queue = Queue::new(1);
        let line = "x".repeat(1000);
        let fit = MOST / line.len();
        for _ in 0..fit + 7 {
            put(&queue, 0, &line);
        }
        let (mut batch, mut spare) = (Vec::new(), Vec::new());
        queue.take(&mut batch, &mut spare);
        assert_eq!(batch.len(), fit * line.len());
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 7);
        put(&queue, 0, &line);
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 7, "there is room again");
    }

    #[test]
    fn a_slot_that_is_held_makes_no_worker_wait() {
        let queue = Queue::new(1);
        let held = lock(&queue.workers[0][0]);
        put(&queue, 0, "one\n");
        drop(held);
        let (mut batch, mut spare) = (Vec::new(), Vec::new());
        queue.take(&mut batch, &mut spare);
        assert_eq!(batch, b"one\n");
        let both = [lock(&queue.workers[0][0]), lock(&queue.workers[0][1])];
        put(&queue, 0, "two\n");
        drop(both);
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn every_line_of_every_worker_is_in_the_file_once_and_whole() {
        const LINES: usize = 2000;
        let path = scratch("lines");
        let queue = Arc::new(Queue::new(3));
        let writer =
            Writer::start(Arc::clone(&queue), Target::file(path.clone()).unwrap()).unwrap();
        thread::scope(|scope| {
            for worker in 0..3 {
                let queue = &queue;
                scope.spawn(move || {
                    for n in 0..LINES {
                        put(queue, worker, &format!("{worker} {n}\n"));
                        if n == LINES / 2 {
                            // The same file: nothing moved it away.
                            queue.reopen();
                        }
                    }
                });
            }
        });
        writer.finish(&queue);
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
