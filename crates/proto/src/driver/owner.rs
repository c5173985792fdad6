//! The interface of a session (a protocol with its input and output) to its owner, such as the
//! engine or the test harness.

use crate::protocol::Context;
use crate::remote::Key;
use crate::{Output, Peer};

/// What the methods of a session need from its owner.
pub trait Owner {
    /// What a call into the protocol may use, such as the clocks, in a session with `peer`.
    fn context(&self, peer: &Peer) -> Context<'_>;

    /// The high-water mark in bytes: a session that holds this much output gets no input. If a
    /// protocol asked for room (space in the output), [`Event::Room`](crate::Event::Room) follows
    /// once the session holds at most a quarter of the mark.
    fn high_water(&self) -> usize;

    /// How many bytes of unused input a session may hold. A session that holds more fails.
    fn max_unused_input(&self) -> usize;

    /// The number of the stream in which the session runs. Each [`Turn`](crate::Turn) of the
    /// session and each message to it carries this number. 0 if the session runs in no stream of
    /// another session.
    fn stream(&self) -> u32 {
        0
    }

    /// Lends an empty output for a call into the protocol. If the output is still empty after the
    /// call, the session gives it back at once.
    fn lend_output(&mut self) -> Box<Output>;

    /// Takes an output back. It may hold bytes that will not be sent.
    fn take_back_output(&mut self, output: Box<Output>);

    /// [`Session::charged`](super::Session::charged) of the session with this key has changed.
    fn charge(&mut self, key: Key);

    /// Applies [`Turn::limit_unsent`](crate::Turn::limit_unsent) to the session with this key.
    fn limit_unsent(&mut self, key: Key, bytes: u32);

    /// Runs `call`, in which code of the protocol runs: a call into it, or a destructor. If that
    /// code panics, the owner returns `None` or, as the test harness does, lets the panic through.
    fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T>;
}
