//! The protocol of an upgraded connection: it copies bytes between the connection and the task of
//! the tower service.

use std::io;
use std::sync::Arc;

use sockeye::{Consumed, End, Event, Fault, Protocol, Reason, Time, Turn};

use super::pipe::{LOW_INPUT, OutputEnd, Pipe, Taken};
use super::task_end::TaskEnd;

/// Output of at most this many bytes is copied into the connection's output. Sending it as a part
/// of its own, without a copy, would cost more.
const MAX_COPIED: usize = 1024;

/// The event loop's end of a pipe.
///
/// It has no timeouts: the task decides how long a peer may be silent. It ignores
/// [`Event::Drain`], so that the task may go on until the drain deadline.
pub(super) struct ConnectionEnd {
    pipe: Arc<Pipe>,
    /// Whether input waits until the task has read most of what is in the pipe.
    is_paused: bool,
    /// How many bytes in the pipe count towards the memory that the client may hold. It is a
    /// multiple of [`LOW_INPUT`], so that it changes seldom.
    charged: usize,
}

impl ConnectionEnd {
    /// Makes a pipe, and returns both ends.
    pub(super) fn new() -> (Self, TaskEnd) {
        let pipe = Arc::<Pipe>::default();
        let task_end = TaskEnd::new(Arc::clone(&pipe));
        (Self { pipe, is_paused: false, charged: 0 }, task_end)
    }

    /// Writes the task's output, and resumes reading if the task has read most of the input.
    fn copy_output(&mut self, turn: &mut Turn<'_>) {
        let Taken { output, has_more, end, held, unread } = self.pipe.take_output(!turn.is_full());
        if output.len() <= MAX_COPIED {
            turn.out.write(&output);
        } else {
            turn.out.write_shared(output.into());
        }
        match end {
            _ if has_more => turn.want_room(),
            OutputEnd::Open => {}
            OutputEnd::ShutDown => turn.end(End::Finish),
            // The peer may still be sending.
            OutputEnd::Dropped => turn.end(End::Linger),
        }
        if self.is_paused && unread < LOW_INPUT {
            self.is_paused = false;
            turn.resume();
        }
        self.charge(held, turn);
    }

    /// Counts the `held` bytes in the pipe, rounded down to a multiple of [`LOW_INPUT`], towards
    /// the memory that the client may hold.
    fn charge(&mut self, held: usize, turn: &mut Turn<'_>) {
        let charged = held / LOW_INPUT * LOW_INPUT;
        if charged != self.charged {
            self.charged = charged;
            turn.set_held(charged);
        }
    }
}

impl Protocol for ConnectionEnd {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let (used, held) = self.pipe.write_input(input);
        self.charge(held, turn);
        // If not all of the input was used, the pipe is full. It wakes the event loop when the task
        // has read most of it.
        self.is_paused = used < input.len();
        Ok(if self.is_paused { Consumed::pause(used) } else { Consumed::more(used) })
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                self.pipe.open(turn.remote());
                self.copy_output(turn);
            }
            Event::Woken | Event::Room => self.copy_output(turn),
            Event::Truncated => {
                let what = "the peer closed the connection without close_notify";
                self.pipe.end_input(Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
            }
            Event::Eof { .. } => self.pipe.end_input(Ok(())),
            Event::Closed(reason) => self.pipe.end_connection(error(reason)),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl Drop for ConnectionEnd {
    /// Ends the pipe, if no [`Event::Closed`] has ended it: for example because the connection
    /// never switched protocols, or because the event loop has ended.
    fn drop(&mut self) {
        self.pipe.end_connection(io::ErrorKind::ConnectionAborted.into());
    }
}

/// The error that ends the task's input when the connection has ended for this reason. If the input
/// has ended before, the task doesn't get this error.
fn error(reason: &Reason) -> io::Error {
    let kind = match reason {
        Reason::Reset => io::ErrorKind::ConnectionReset,
        Reason::WriteStalled => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, reason.to_string())
}
