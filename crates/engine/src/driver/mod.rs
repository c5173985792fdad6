//! The seam to the kernel: everything that the engine needs from outside itself.
//!
//! A [`Driver`] owns the poller and the clock of one shard. [`Epoll`] is the real one; a simulated
//! network is another; the shape is that of completions, so that io_uring can be a third:
//!
//! - A send owns its output from [`Driver::send`] until it is done, be that at once
//!   ([`Sending::Done`]) or later ([`IoEvent::Sent`]).
//! - Received bytes are lent, for as long as the driver isn't called again ([`Received`]): the
//!   shard's scratch buffer on epoll, a provided buffer on io_uring.
//! - [`IoEvent::Ready`] is a hint that a call is worth making: on epoll an edge, elsewhere a
//!   completion that waits to be fetched. A call that finds nothing says `WouldBlock`.
//!
//! The engine makes no other system call while it runs, and reads no other clock.

mod bind;
mod epoll;
mod heap;
mod interface;
mod listener;
mod unacknowledged;

pub(crate) use bind::BACKLOG;
pub use bind::{BindError, Bound, Incoming, bind_all};
pub use epoll::{Calls, Epoll, Socket};
pub use heap::return_freed_memory;
pub(crate) use heap::trim_heaps;
pub use interface::{Driver, IoEvent, QUANTUM, Received, Sending, Sent, Target, Then, Wake};
pub use listener::Listener;
