//! Standard input, shared by several connections in bounded memory.
//!
//! When every connection has requested a piece, a thread reads one and sends it to all of them. So
//! all connections send at the speed of the slowest peer. Besides its output, each connection holds
//! at most one piece, and for a WebSocket also a line that is not complete yet. When its output has
//! room, a connection requests a piece: it gives the thread a [`Promise`], with which the thread
//! sends it one message. If the thread sent pieces without a request, by a
//! [`Remote`](sockeye::proto::Remote), it would fill the output up to the limit at which the engine
//! stops reading. Then an echo server would stop reading, too, and neither side would continue.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use sockeye::proto::Promise;

use crate::writer::lock;

/// Maximum size of a piece.
pub(in crate::send) const PIECE: usize = 64 * 1024;

/// A piece of standard input. The thread fulfills promises with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::send) enum Piece {
    /// At least one byte.
    Bytes(Bytes),
    /// The end of standard input.
    End,
    /// Reading failed, for this reason.
    Failed(String),
}

/// What the thread and all inputs share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of [`Input`]s that have not been dropped.
    inputs: usize,
    /// The requests for the next piece, at most one of each input, with the input's number.
    requests: Vec<(usize, Promise)>,
}

/// One connection's handle to standard input. After it is dropped, the other connections don't wait
/// for this one.
pub(in crate::send) struct Input {
    shared: Arc<Shared>,
    number: usize,
}

impl Input {
    /// Requests the next piece. When all inputs have requested it, it arrives as a message with the
    /// promise's ticket.
    pub(in crate::send) fn request(&self, promise: Promise) {
        lock(&self.shared.state).requests.push((self.number, promise));
        self.shared.changed.notify_all();
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.inputs -= 1;
        let place = state.requests.iter().position(|(number, _)| *number == self.number);
        let promise = place.map(|place| state.requests.swap_remove(place));
        drop(state);
        self.shared.changed.notify_all();
        // Dropping an unfulfilled promise sends a message, so drop it after the lock is released.
        drop(promise);
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Starts the thread that reads `source` for `count` connections. The thread ends when the source
/// ends or fails, or when all inputs are dropped. But while a read blocks, the thread can't end.
pub(in crate::send) fn share(
    source: impl Read + Send + 'static,
    count: usize,
) -> io::Result<Vec<Input>> {
    let (shared, inputs) = inputs(count);
    thread::Builder::new().name("input".into()).spawn(move || serve(&shared, source))?;
    Ok(inputs)
}

/// Creates `count` inputs, without the thread.
fn inputs(count: usize) -> (Arc<Shared>, Vec<Input>) {
    let shared = Arc::<Shared>::default();
    lock(&shared.state).inputs = count;
    let input = |number| Input { shared: Arc::clone(&shared), number };
    let inputs = (0..count).map(input).collect();
    (shared, inputs)
}

/// Runs on the thread: answers requests until the source ends or fails, or no input is left.
fn serve(shared: &Shared, mut source: impl Read) {
    let mut buffer = vec![0; PIECE];
    loop {
        let waiting = |state: &mut State| state.requests.len() < state.inputs;
        let state = shared.changed.wait_while(lock(&shared.state), waiting);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if state.inputs == 0 {
            return;
        }
        drop(state);
        let piece = read(&mut source, &mut buffer);
        let requests = mem::take(&mut lock(&shared.state).requests);
        for (_, promise) in requests {
            promise.fulfill(Box::new(piece.clone()));
        }
        if !matches!(piece, Piece::Bytes(_)) {
            return;
        }
    }
}

fn read(source: &mut impl Read, buffer: &mut [u8]) -> Piece {
    loop {
        return match source.read(buffer) {
            Ok(0) => Piece::End,
            Ok(count) => Piece::Bytes(Bytes::copy_from_slice(&buffer[..count])),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Piece::Failed(error.to_string()),
        };
    }
}

#[cfg(test)]
pub(in crate::send) mod tests {
    use super::*;

    /// Returns an input, and a function that answers the input's last request.
    pub(in crate::send) fn input_alone() -> (Input, impl Fn(Piece)) {
        let (shared, mut inputs) = inputs(1);
        let answer = move |piece| {
            let (_, promise) = lock(&shared.state).requests.pop().expect("a request");
            promise.fulfill(Box::new(piece));
        };
        (inputs.remove(0), answer)
    }

    #[test]
    fn read_errors_are_reported_and_interrupted_reads_repeated() {
        struct Stubborn(u32);
        impl Read for Stubborn {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                Err(if self.0 < 3 { ErrorKind::Interrupted } else { ErrorKind::IsADirectory }
                    .into())
            }
        }
        assert_eq!(read(&mut Stubborn(0), &mut [0; 8]), Piece::Failed("is a directory".into()));
    }

    #[test]
    fn nothing_is_read_without_connections() {
        let (shared, inputs) = inputs(2);
        drop(inputs);
        struct Untouched;
        impl Read for Untouched {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("no input is left")
            }
        }
        serve(&shared, Untouched);
    }
}
