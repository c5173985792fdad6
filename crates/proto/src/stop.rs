//! Whether the server is stopping, as its protocols keep it.

/// How far a server has come on its way to stop, as a protocol has heard of it.
///
/// A protocol that hands its connection to another one ([`Turn::switch_to`](crate::Turn::switch_to))
/// passes it on: the other one is not told again of what was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nobody said that it stops.
    No,
    /// It will soon: clients are asked to connect again elsewhere ([`Event::LameDuck`]).
    ///
    /// [`Event::LameDuck`]: crate::Event::LameDuck
    LameDuck,
    /// It is stopping: likewise, and idle connections are closed ([`Event::Drain`]).
    ///
    /// [`Event::Drain`]: crate::Event::Drain
    Drain,
}
