//! Bytes on their way to a thread that writes them, so that nobody who has something to say waits for a
//! disk, a terminal or a pipe.
//!
//! A [`Queue`] bounds what waits, counts what found no room, and can be flushed, for as long as somebody
//! wants to wait for that. What becomes of bytes that find no room, how they are written and what
//! happens when that fails is left to who uses it.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// With so many bytes in a buffer the thread is woken before its time. A buffer that once held more
/// gives the rest back.
const MANY: usize = 256 * 1024;

type Buffer = Mutex<Vec<u8>>;

/// What is put and not yet written.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The thread locks at most one buffer of a lane at a time, so that whoever has a lane alone finds
    /// one that is free.
    lanes: Box<[[Buffer; 2]]>,
    /// How long bytes gather after a write, to be written together.
    gather: Duration,
    /// How often there was no room.
    refused: AtomicU64,
    /// The thread sleeps until something is put.
    asleep: AtomicBool,
    /// Whatever the thread waits for, it is to go on now.
    hurry: AtomicBool,
    /// The thread, and how it hears of flushes.
    writer: OnceLock<(Thread, Sender<Sender<()>>)>,
}

impl Queue {
    pub(crate) fn new(lanes: usize, gather: Duration) -> Self {
        Self { lanes: (0..lanes).map(|_| Default::default()).collect(), gather, ..Self::default() }
    }

    /// Has `write` append to the first lane, unless more than `most` bytes wait there. Returns whether
    /// it did. Waits at most for others that append.
    pub(crate) fn put(&self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.append(self.lanes.first().map(|[buffer, _]| lock(buffer)), most, write)
    }

    /// The same for a lane that the caller has alone. Never waits.
    pub(crate) fn put_at_once(
        &self,
        lane: usize,
        most: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        // The thread may have gone on from one to the other meanwhile.
        let buffers = self.lanes.get(lane).into_iter().flatten();
        self.append(buffers.cycle().take(4).find_map(free), most, write)
    }

    fn append(
        &self,
        buffer: Option<MutexGuard<'_, Vec<u8>>>,
        most: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let Some(mut buffer) = buffer.filter(|buffer| buffer.len() <= most) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let before = buffer.len();
        write(&mut buffer);
        let is_much = before < MANY && buffer.len() >= MANY;
        drop(buffer);
        let wakes =
            || self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed);
        if is_much || wakes() {
            self.hurry();
        }
        true
    }

    /// Has the thread go on at once, whether something was put or not.
    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::Release);
        if let Some((thread, _)) = self.writer.get() {
            thread.unpark();
        }
    }

    /// How often there was no room since this was last asked.
    pub(crate) fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// How many lines wait to be taken.
    pub(crate) fn count_lines(&self) -> u64 {
        self.lanes.iter().flatten().map(|buffer| count_lines(&lock(buffer))).sum()
    }

    /// Moves all that waits behind `batch`.
    pub(crate) fn take(&self, batch: &mut Vec<u8>) {
        for buffer in self.lanes.iter().flatten() {
            let mut bytes = lock(buffer);
            if batch.is_empty() && !bytes.is_empty() {
                mem::swap(&mut *bytes, batch);
            } else {
                batch.append(&mut bytes);
            }
            bytes.shrink_to(MANY);
        }
    }

    /// Waits until all that was put so far is written, but no longer than `longest`. Returns whether it
    /// is.
    pub(crate) fn flush(&self, longest: Duration) -> bool {
        let Some((_, flushes)) = self.writer.get() else { return false };
        let (done, flushed) = channel();
        // Nobody takes it where the thread has panicked.
        let _ = flushes.send(done);
        self.hurry();
        flushed.recv_timeout(longest).is_ok()
    }

    /// Gathers for its time, then waits until something is there, or `due` has come.
    fn wait(&self, due: Option<Instant>) {
        let gathered = Instant::now() + self.gather;
        while !self.hurry.load(Ordering::Acquire) {
            if !sleep(Some(gathered)) {
                break;
            }
        }
        loop {
            // Whoever puts something behind the look at the buffers sees that this sleeps.
            self.asleep.store(true, Ordering::Relaxed);
            let is_empty = self.lanes.iter().flatten().all(|buffer| lock(buffer).is_empty());
            if self.hurry.swap(false, Ordering::AcqRel) || !is_empty || !sleep(due) {
                break;
            }
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// How many lines end in `text`.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Starts the thread that writes what is put. `write` removes from its argument what is written or lost,
/// and is called again with the rest before more is taken. Its second argument says that somebody
/// waits for the queue to be empty; it returns when to call it again if nothing is put by then.
pub(crate) fn start(
    queue: &Arc<Queue>,
    name: &str,
    mut write: impl FnMut(&mut Vec<u8>, bool) -> Option<Instant> + Send + 'static,
) -> io::Result<()> {
    let (flushes, asked) = channel::<Sender<()>>();
    let own = Arc::clone(queue);
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        let (mut batch, mut due, mut flushing) = (Vec::new(), None, Vec::new());
        loop {
            if batch.is_empty() {
                own.wait(due);
                flushing.extend(asked.try_iter());
                own.take(&mut batch);
            }
            due = write(&mut batch, !flushing.is_empty());
            batch.shrink_to(MANY);
            if batch.is_empty() {
                for done in flushing.drain(..) {
                    // Who asked may have given up.
                    let _ = done.send(());
                }
            }
        }
    })?;
    let _ = queue.writer.set((thread.thread().clone(), flushes));
    // Something may have been put before the thread could be woken.
    thread.thread().unpark();
    Ok(())
}

/// Sleeps until somebody wakes this thread, or for another reason; false once `until` has come.
fn sleep(until: Option<Instant>) -> bool {
    match until.map(|until| until.saturating_duration_since(Instant::now())) {
        None => thread::park(),
        Some(Duration::ZERO) => return false,
        Some(left) => thread::park_timeout(left),
    }
    true
}

fn free(buffer: &Buffer) -> Option<MutexGuard<'_, Vec<u8>>> {
    match buffer.try_lock() {
        Ok(bytes) => Some(bytes),
        Err(TryLockError::Poisoned(bytes)) => Some(bytes.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Locks, whatever panicked meanwhile.
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
        queue.put_at_once(0, 10, |queued| queued.extend_from_slice(bytes.as_bytes()))
    }

    fn taken(queue: &Queue) -> Vec<u8> {
        let mut batch = Vec::new();
        queue.take(&mut batch);
        batch
    }

    #[test]
    fn a_buffer_that_is_locked_makes_no_worker_wait() {
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
    fn what_finds_no_room_is_counted() {
        let queue = queue();
        assert!(put(&queue, "0123456789") && put(&queue, "x"));
        assert!(!put(&queue, "lost") && !queue.put(10, |_| unreachable!()));
        assert_eq!(queue.take_refused(), 2);
        assert_eq!(taken(&queue), b"0123456789x");
        assert!(put(&queue, "there is room again"));
    }

    #[test]
    fn a_flush_waits_for_all_of_it_but_not_for_ever() {
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
    fn what_comes_behind_a_write_is_gathered() {
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
    fn a_thread_is_called_in_time_with_nothing() {
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
