//! A queue of bytes and a thread that writes them, so that no other thread waits for a disk, a
//! terminal or a pipe.
//!
//! A [`Queue`] is bounded, counts the appends that it refuses, and can be flushed with a timeout.
//! The code that uses the queue decides how bytes are written, and handles errors and a full queue.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// When a buffer reaches this size, the writing thread is woken, even before the end of
/// [`Queue::batch_delay`]. Buffers with a larger capacity are shrunk to this size after use.
const LARGE_BUFFER: usize = 256 * 1024;

type Buffer = Mutex<Vec<u8>>;

/// Bytes to be written, in lanes. A lane is a pair of buffers.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The writing thread locks one buffer of a lane at a time. So a thread that is the only one to
    /// append to a lane finds the other buffer free.
    lanes: Box<[[Buffer; 2]]>,
    /// How long the thread waits after a write, to write more at once.
    batch_delay: Duration,
    /// How many calls of [`Queue::put`] and [`Queue::try_put`] appended nothing, because the buffer
    /// was full or both buffers were locked.
    refused: AtomicU64,
    /// Whether the thread sleeps, and the next append has to wake it.
    asleep: AtomicBool,
    /// Tells the thread to stop waiting.
    wake_requested: AtomicBool,
    /// The thread, and a channel to it for the requests to flush. Each request is a sender, through
    /// which the thread answers.
    writer: OnceLock<(Thread, Sender<Sender<()>>)>,
}

impl Queue {
    pub(crate) fn new(lanes: usize, batch_delay: Duration) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Default::default()).collect(),
            batch_delay,
            ..Self::default()
        }
    }

    /// Calls `write` to append to the first buffer of the first lane, unless it has more than `max`
    /// bytes. Returns whether `write` was called. May wait for other threads that append, and
    /// while the writing thread takes the queued bytes, but not while it writes them.
    pub(crate) fn put(&self, max: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.append(self.lanes.first().map(|[buffer, _]| lock(buffer)), max, write)
    }

    /// Like [`Queue::put`], but appends to any free buffer of `lane`, and never waits. For a lane
    /// to which only one thread appends.
    pub(crate) fn try_put(
        &self,
        lane: usize,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        // Tries each buffer twice, since the writing thread may release one and lock the other
        // between two attempts.
        let buffers = self.lanes.get(lane).into_iter().flatten();
        self.append(buffers.cycle().take(4).find_map(try_lock), max, write)
    }

    fn append(
        &self,
        buffer: Option<MutexGuard<'_, Vec<u8>>>,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let Some(mut buffer) = buffer.filter(|buffer| buffer.len() <= max) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let before = buffer.len();
        write(&mut buffer);
        let is_large = before < LARGE_BUFFER && buffer.len() >= LARGE_BUFFER;
        drop(buffer);
        let wakes =
            || self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed);
        if is_large || wakes() {
            self.wake();
        }
        true
    }

    /// Makes the thread call the `write` of [`start`] at once, even if nothing is queued.
    pub(crate) fn wake(&self) {
        self.wake_requested.store(true, Ordering::Release);
        if let Some((thread, _)) = self.writer.get() {
            thread.unpark();
        }
    }

    /// How many calls of [`Queue::put`] and [`Queue::try_put`] appended nothing since the last call
    /// of this function.
    pub(crate) fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// How many lines are queued.
    pub(crate) fn count_lines(&self) -> u64 {
        self.lanes.iter().flatten().map(|buffer| count_lines(&lock(buffer))).sum()
    }

    /// Moves everything that is queued to the end of `batch`.
    pub(crate) fn take(&self, batch: &mut Vec<u8>) {
        for buffer in self.lanes.iter().flatten() {
            let mut bytes = lock(buffer);
            if batch.is_empty() && !bytes.is_empty() {
                mem::swap(&mut *bytes, batch);
            } else {
                batch.append(&mut bytes);
            }
            bytes.shrink_to(LARGE_BUFFER);
        }
    }

    /// Waits until everything queued so far is written or given up, at most for `timeout`. Returns
    /// whether that was reached in time.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let Some((_, flushes)) = self.writer.get() else { return false };
        let (done, flushed) = channel();
        // Fails if the thread has panicked.
        let _ = flushes.send(done);
        self.wake();
        flushed.recv_timeout(timeout).is_ok()
    }

    /// Waits for `batch_delay`, then until something is queued or `due` has passed. [`Queue::wake`]
    /// ends both waits.
    fn wait(&self, due: Option<Instant>) {
        let batch_end = Instant::now() + self.batch_delay;
        while !self.wake_requested.load(Ordering::Acquire) {
            if !sleep(Some(batch_end)) {
                break;
            }
        }
        loop {
            // Set before the buffers are checked, so that a later append wakes this thread.
            self.asleep.store(true, Ordering::Relaxed);
            let is_empty = self.lanes.iter().flatten().all(|buffer| lock(buffer).is_empty());
            if self.wake_requested.swap(false, Ordering::AcqRel) || !is_empty || !sleep(due) {
                break;
            }
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// How many line feeds `text` contains.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Starts the thread that writes what is queued. The thread passes the bytes that it takes from the
/// queue to `write`, which removes from its first argument those that it has written or given up.
/// As long as bytes are left, the thread takes no others, and calls `write` again. The second
/// argument of `write` says whether a flush was waiting when the bytes were taken. The thread calls
/// `write` again at once for a flush and after [`Queue::wake`]. Otherwise it first waits for the
/// queue's `batch_delay`, and then until something is queued, or until the [`Instant`] in the
/// result of the last call.
pub(crate) fn start(
    queue: &Arc<Queue>,
    name: &str,
    mut write: impl FnMut(&mut Vec<u8>, bool) -> Option<Instant> + Send + 'static,
) -> io::Result<()> {
    let (flushes, requests) = channel::<Sender<()>>();
    let thread_queue = Arc::clone(queue);
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        let (mut batch, mut due, mut flushing) = (Vec::new(), None, Vec::new());
        loop {
            if batch.is_empty() {
                thread_queue.wait(due);
                flushing.extend(requests.try_iter());
                thread_queue.take(&mut batch);
            }
            due = write(&mut batch, !flushing.is_empty());
            batch.shrink_to(LARGE_BUFFER);
            if batch.is_empty() {
                for done in flushing.drain(..) {
                    // The flush may have timed out.
                    let _ = done.send(());
                }
            }
        }
    })?;
    let _ = queue.writer.set((thread.thread().clone(), flushes));
    // Bytes may have been queued before the thread could be woken.
    thread.thread().unpark();
    Ok(())
}

/// Parks this thread, at most until `until`. Returns false, without parking, if that time has
/// passed.
fn sleep(until: Option<Instant>) -> bool {
    match until.map(|until| until.saturating_duration_since(Instant::now())) {
        None => thread::park(),
        Some(Duration::ZERO) => return false,
        Some(left) => thread::park_timeout(left),
    }
    true
}

/// Locks a buffer, unless another thread has locked it.
fn try_lock(buffer: &Buffer) -> Option<MutexGuard<'_, Vec<u8>>> {
    match buffer.try_lock() {
        Ok(bytes) => Some(bytes),
        Err(TryLockError::Poisoned(bytes)) => Some(bytes.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Locks a mutex, even if a thread panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new(1, Duration::ZERO)
    }

    fn put(queue: &Queue, bytes: &str) -> bool {
        queue.try_put(0, 10, |queued| queued.extend_from_slice(bytes.as_bytes()))
    }

    fn taken(queue: &Queue) -> Vec<u8> {
        let mut batch = Vec::new();
        queue.take(&mut batch);
        batch
    }

    #[test]
    fn a_locked_buffer_does_not_block_a_worker() {
        let queue = queue();
        let held = lock(&queue.lanes[0][0]);
        assert!(put(&queue, "one\n"));
        drop(held);
        assert_eq!(taken(&queue), b"one\n");
        let both = [lock(&queue.lanes[0][0]), lock(&queue.lanes[0][1])];
        assert!(!put(&queue, "two\n"));
        drop(both);
        assert_eq!((queue.take_refused(), queue.take_refused()), (1, 0));
    }

    #[test]
    fn writes_without_room_are_counted() {
        let queue = queue();
        assert!(put(&queue, "0123456789") && put(&queue, "x"));
        assert!(!put(&queue, "lost") && !queue.put(10, |_| unreachable!()));
        assert_eq!(queue.take_refused(), 2);
        assert_eq!(taken(&queue), b"0123456789x");
        assert!(put(&queue, "there is room again"));
    }

    #[test]
    fn a_flush_waits_until_everything_is_written_or_times_out() {
        let (queue, written) = (Arc::new(queue()), Arc::new(Mutex::new(Vec::new())));
        start(&queue, "test", {
            let written = Arc::clone(&written);
            move |batch, _| {
                // A byte at a time.
                lock(&written).extend(batch.drain(..batch.len().min(1)));
                None
            }
        })
        .unwrap();
        let held = lock(&written);
        assert!(put(&queue, "abc"));
        assert!(!queue.flush(Duration::from_millis(1)));
        drop(held);
        assert!(queue.flush(Duration::MAX));
        assert_eq!(*lock(&written), b"abc");
    }

    #[test]
    fn bytes_that_follow_a_write_are_gathered() {
        let queue = Arc::new(Queue::new(1, Duration::from_secs(3600)));
        let written = Arc::new(Mutex::new(Vec::new()));
        start(&queue, "test", {
            let written = Arc::clone(&written);
            move |batch, _| {
                lock(&written).push(mem::take(batch));
                None
            }
        })
        .unwrap();
        for lines in [&["a"][..], &["b", "c", "d"]] {
            assert!(lines.iter().all(|line| put(&queue, line)));
            assert!(queue.flush(Duration::MAX));
        }
        assert_eq!(*lock(&written), [&b"a"[..], b"bcd"]);
    }

    #[test]
    fn a_flush_ends_with_the_thread() {
        let queue = Arc::new(queue());
        start(&queue, "test", |_, _| panic!("on purpose")).unwrap();
        assert!(!queue.flush(Duration::MAX));
    }

    #[test]
    fn the_thread_calls_write_when_it_is_due() {
        let queue = Arc::new(queue());
        let (sender, calls) = channel();
        start(&queue, "test", move |batch, _| {
            let due = (!batch.is_empty()).then(Instant::now);
            let _ = sender.send(mem::take(batch));
            due
        })
        .unwrap();
        put(&queue, "x");
        assert_eq!((calls.recv(), calls.recv()), (Ok(b"x".to_vec()), Ok(vec![])));
    }
}
