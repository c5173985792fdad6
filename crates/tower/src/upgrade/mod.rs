//! Upgrades: a service takes hyper's `OnUpgrade` from a request, answers that it accepts, and then
//! reads and writes the connection in a task of its own. This is how axum's WebSockets work.
//!
//! - [`pending`](self::pending) makes the `OnUpgrade`, and sends the response that accepts.
//! - [`pipe`](self::pipe) connects the task with the event loop from then on. Its ends are
//!   [`connection_end`](self::connection_end), a [`Protocol`](sockeye::Protocol), and
//!   [`task_end`](self::task_end).

mod connection_end;
mod pending;
mod pipe;
mod task_end;
#[cfg(test)]
mod tests;

pub(crate) use self::pending::PendingUpgrade;
