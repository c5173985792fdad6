//! Standard input, for several connections at once, in bounded memory.
//!
//! A thread reads a piece when every connection has asked for one, and answers all of them with
//! it: the slowest peer sets the pace, and one piece is held for each connection besides what its
//! output holds. Connections ask by a promise. Sending by a [`Remote`](sockeye::proto::Remote)
//! under credit would fill the output up to its high-water mark, where the engine stops reading
//! from the peer; and a peer that echoes stops reading us then.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use sockeye::proto::Promise;

/// Bytes that are read at once.
pub(super) const PIECE: usize = 64 * 1024;

/// What a connection gets for its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The next bytes, at least one.
    Bytes(Bytes),
    /// There are no more.
    End,
    /// They could not be read, and why.
    Failed(String),
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Connections that want all of the input and have not ended.
    seats: usize,
    /// Those that have asked: at most one promise for each seat.
    asking: Vec<(usize, Promise)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place. Dropping it leaves the others to go on.
pub(super) struct Seat {
    shared: Arc<Shared>,
    number: usize,
}

impl Seat {
    /// Asks for the next piece, which comes as a message when all have asked.
    pub(super) fn ask(&self, promise: Promise) {
        self.shared.lock().asking.push((self.number, promise));
        self.shared.changed.notify_all();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.seats -= 1;
        let place = state.asking.iter().position(|(number, _)| *number == self.number);
        let promise = place.map(|place| state.asking.swap_remove(place));
        drop(state);
        self.shared.changed.notify_all();
        // Dropped outside of the lock: it posts a letter.
        drop(promise);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Places for `count` connections, and the thread that serves them from `input`. The thread ends
/// with the input, or when no connection is left and it isn't waiting for input just then.
pub(super) fn share(input: impl Read + Send + 'static, count: usize) -> io::Result<Vec<Seat>> {
    let (shared, seats) = seats(count);
    thread::Builder::new().name("input".into()).spawn(move || serve(&shared, input))?;
    Ok(seats)
}

fn seats(count: usize) -> (Arc<Shared>, Vec<Seat>) {
    let shared = Arc::<Shared>::default();
    shared.lock().seats = count;
    let seat = |number| Seat { shared: Arc::clone(&shared), number };
    let seats = (0..count).map(seat).collect();
    (shared, seats)
}

fn serve(shared: &Shared, mut input: impl Read) {
    let mut buffer = vec![0; PIECE];
    loop {
        let waiting = |state: &mut State| state.asking.len() < state.seats;
        let state = shared.changed.wait_while(shared.lock(), waiting);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.seats == 0 {
            return;
        }
        // Connections that end while we read have no use for their answer; they don't get one.
        drop(state);
        let piece = read(&mut input, &mut buffer);
        state = shared.lock();
        let asking = mem::take(&mut state.asking);
        drop(state);
        for (_, promise) in asking {
            promise.keep(Box::new(piece.clone()));
        }
        if !matches!(piece, Piece::Bytes(_)) {
            return;
        }
    }
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> Piece {
    loop {
        return match input.read(buffer) {
            Ok(0) => Piece::End,
            Ok(count) => Piece::Bytes(Bytes::copy_from_slice(&buffer[..count])),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Piece::Failed(error.to_string()),
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A seat whose promises a test answers, by the function that comes with it.
    pub(in crate::send) fn seat_alone() -> (Seat, impl Fn(Piece)) {
        let (shared, mut seats) = seats(1);
        let answer = move |piece| {
            let (_, promise) = shared.lock().asking.pop().expect("the conversation has asked");
            promise.keep(Box::new(piece));
        };
        (seats.remove(0), answer)
    }

    #[test]
    fn input_that_fails_says_so_and_an_interrupted_read_is_tried_again() {
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
    fn nothing_is_read_for_nobody() {
        let (shared, seats) = seats(2);
        drop(seats);
        struct Untouched;
        impl Read for Untouched {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("nobody asked")
            }
        }
        serve(&shared, Untouched);
    }
}
