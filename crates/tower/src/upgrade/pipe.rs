//! Two bounded buffers between the event loop and the task of an upgraded connection.

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use bytes::{Buf, BytesMut};
use sockeye::Remote;

/// Maximum number of bytes from the peer that wait for the task: about as much as the event loop
/// reads at once.
const MAX_INPUT: usize = 64 * 1024;

/// Once the task's reading leaves fewer bytes of input in the pipe than this, it wakes the event
/// loop.
pub(super) const LOW_INPUT: usize = 16 * 1024;

/// Maximum number of bytes from the task that wait for the event loop.
const MAX_OUTPUT: usize = 64 * 1024;

/// What the event loop and the task share.
#[derive(Default)]
pub(super) struct Pipe {
    state: Mutex<PipeState>,
    /// Wakes the event loop. Set when the connection has switched protocols.
    remote: OnceLock<Remote>,
}

#[derive(Default)]
struct PipeState {
    /// Bytes from the peer that the task has not read.
    input: BytesMut,
    /// What follows `input`: the end, or an error. After the task got the error, the end replaces
    /// it. `None` while more input may come.
    input_end: Option<io::Result<()>>,
    /// The task that waits for input.
    reader: Option<Waker>,
    /// Whether the task's next read that leaves less than [`LOW_INPUT`] bytes of input wakes the
    /// event loop.
    wakes_when_read: bool,
    /// Bytes from the task that the event loop has not taken.
    output: Vec<u8>,
    /// The task that waits for room in `output`.
    writer: Option<Waker>,
    /// Whether the task has ended its output.
    output_ended: bool,
    /// Whether the task has dropped its end.
    task_dropped: bool,
    /// Whether the connection has ended.
    connection_ended: bool,
}

/// The result of [`Pipe::take_output`].
pub(super) struct Taken {
    /// All output that the pipe held. Empty if the connection's output has no room.
    pub(super) output: Vec<u8>,
    /// Whether the pipe still holds output.
    pub(super) has_more: bool,
    /// What follows the output.
    pub(super) end: OutputEnd,
    /// How many bytes the pipe still holds in both directions.
    pub(super) held: usize,
    /// How many of these bytes are input.
    pub(super) unread: usize,
}

/// What follows the output of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputEnd {
    /// The task may write more output.
    Open,
    /// The task has shut down its output, and may still read.
    ShutDown,
    /// The task has dropped its end.
    Dropped,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the event loop. Does nothing before the connection has switched protocols: the event
    /// loop checks the pipe when the connection switches.
    fn wake_event_loop(&self) {
        if let Some(remote) = self.remote.get() {
            remote.wake();
        }
    }
}

/// For the event loop.
impl Pipe {
    /// Called when the connection has switched protocols. From now on, `remote` wakes the event
    /// loop.
    pub(super) fn open(&self, remote: Remote) {
        let _ = self.remote.set(remote);
    }

    /// Passes bytes from the peer to the task. Returns two numbers: how many of these bytes the
    /// pipe has taken, and how many bytes it holds now in both directions. If it holds
    /// [`LOW_INPUT`] bytes of input or more, the task wakes the event loop when fewer are left. If
    /// the task has dropped its end, all bytes are taken and discarded.
    pub(super) fn write_input(&self, bytes: &[u8]) -> (usize, usize) {
        let mut state = self.lock();
        if state.task_dropped {
            return (bytes.len(), state.output.len());
        }
        let count = bytes.len().min(MAX_INPUT - state.input.len());
        state.input.extend_from_slice(&bytes[..count]);
        state.wakes_when_read = state.input.len() >= LOW_INPUT;
        let held = state.input.len() + state.output.len();
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
        (count, held)
    }

    /// Ends the input, unless it has already ended. If `end` is an error, the task gets it after it
    /// has read the rest of the input.
    pub(super) fn end_input(&self, end: io::Result<()>) {
        let mut state = self.lock();
        state.input_end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
    }

    /// Takes the task's output if the connection's output `has_room`.
    pub(super) fn take_output(&self, has_room: bool) -> Taken {
        let mut state = self.lock();
        let (output, writer) = if has_room {
            (std::mem::take(&mut state.output), state.writer.take())
        } else {
            (Vec::new(), None)
        };
        let end = match &*state {
            PipeState { task_dropped: true, .. } => OutputEnd::Dropped,
            PipeState { output_ended: true, .. } => OutputEnd::ShutDown,
            _ => OutputEnd::Open,
        };
        let unread = state.input.len();
        let has_more = !state.output.is_empty();
        let held = unread + state.output.len();
        drop(state);
        wake([writer]);
        Taken { output, has_more, end, held, unread }
    }

    /// The connection has ended, because of `error`. The task may still read what arrived before.
    pub(super) fn end_connection(&self, error: io::Error) {
        let mut state = self.lock();
        state.connection_ended = true;
        state.input_end.get_or_insert(Err(error));
        state.output = Vec::new();
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wake(wakers);
    }
}

/// For the task.
impl Pipe {
    /// Passes up to `max` bytes of input to `read`, in one piece. At the end of the input, returns
    /// `Ok` without calling `read`. If the input ended with an error, the first such call returns
    /// the error.
    pub(super) fn poll_read(
        &self,
        waker: &Waker,
        max: usize,
        read: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.input.is_empty() {
            return match &mut state.input_end {
                Some(end) => Poll::Ready(std::mem::replace(end, Ok(()))),
                None => {
                    state.reader = Some(waker.clone());
                    Poll::Pending
                }
            };
        }
        let count = max.min(state.input.len());
        read(&state.input[..count]);
        state.input.advance(count);
        if state.input.is_empty() {
            // Frees the memory, so that an idle connection holds none.
            state.input = BytesMut::new();
        }
        let wakes = state.wakes_when_read && state.input.len() < LOW_INPUT;
        state.wakes_when_read &= !wakes;
        drop(state);
        if wakes {
            self.wake_event_loop();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as many of `bytes` as there is room for.
    pub(super) fn poll_write(&self, waker: &Waker, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.connection_ended || state.output_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(MAX_OUTPUT - state.output.len());
        if count == 0 && !bytes.is_empty() {
            state.writer = Some(waker.clone());
            return Poll::Pending;
        }
        // If the pipe already held output, the event loop takes all of it without another wake-up.
        let is_first = state.output.is_empty() && count > 0;
        state.output.extend_from_slice(&bytes[..count]);
        drop(state);
        if is_first {
            self.wake_event_loop();
        }
        Poll::Ready(Ok(count))
    }

    /// Ends the output.
    pub(super) fn shut_down(&self) {
        self.lock().output_ended = true;
        self.wake_event_loop();
    }

    /// Called when the task drops its end.
    pub(super) fn drop_task_end(&self) {
        let mut state = self.lock();
        state.task_dropped = true;
        state.input = BytesMut::new();
        drop(state);
        self.wake_event_loop();
    }
}

fn wake<const N: usize>(wakers: [Option<Waker>; N]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}
