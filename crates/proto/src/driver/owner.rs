//! What a session needs of whoever owns it.

use crate::protocol::Context;
use crate::{Output, Peer};

/// What a session needs of its owner during a call.
pub trait Owner {
    /// What a call is told, in a session with `peer`.
    fn context(&self, peer: &Peer) -> Context<'_>;

    /// With so many bytes of output in memory a session is not read from. Below a quarter of it the
    /// protocol is told of [`Event::Room`](crate::Event::Room).
    fn high_water(&self) -> usize;

    /// How many bytes of unused input a session may keep.
    fn max_unused_input(&self) -> usize;

    /// An empty output: a session has one only while it has something to send.
    fn lend_output(&mut self) -> Box<Output>;

    /// Takes back an output that was lent. It may hold what nobody will be sent.
    fn take_back_output(&mut self, output: Box<Output>);

    /// Runs a call into the protocol; `None` when it panicked. An owner that contains no panics just
    /// runs it.
    fn contain<T>(call: impl FnOnce() -> T) -> Option<T>;
}
