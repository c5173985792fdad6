//! The engine's interface to the kernel. From here, programs need only [`Bound`], [`BindError`],
//! [`Target`] and [`return_freed_memory`]: see [`Server`](crate::Server).
//!
//! A [`Driver`] owns the poller and the clock of one worker (event loop). [`Epoll`] is the driver
//! for Linux, and the simulator has a driver of its own. The interface suits completions too, so a
//! third driver could use io_uring:
//!
//! - A send owns its output until it is done, at once ([`Sending::Done`]) or later
//!   ([`IoEvent::Sent`]).
//! - Received bytes are borrowed until the next call ([`Received`]): from the worker's receive
//!   buffer with epoll, from a provided buffer with io_uring.
//! - [`IoEvent::Ready`] is a hint that a call such as [`Driver::receive`] is worthwhile: an edge of
//!   epoll, or a completion. If the hint was wrong, the call fails with `WouldBlock`.
//!
//! All system calls for connections go through the driver, and the event loop's time is that of the
//! driver's clock.

mod bind;
mod epoll;
mod heap;
mod interface;
mod listener;
mod unacknowledged;

pub(crate) use bind::BACKLOG;
pub use bind::{BindError, Bound, BoundListeners, bind_all};
pub use epoll::{Epoll, Socket, SyscallCounts};
pub use heap::return_freed_memory;
pub(crate) use heap::trim_heaps;
pub use interface::{Driver, IoEvent, QUANTUM, Received, SendStatus, Sending, Sent, Target, Wake};
pub use listener::Listener;
