//! One core's event loop.
//!
//! A worker owns its driver, its listeners and its connections. It shares the
//! [`ConnectionCounts`](crate::ConnectionCounts) with other workers, and updates them when a
//! connection opens or closes. It runs turns:
//!
//! ```text
//! wait ─▶ now ─▶ events ─▶ mailbox ─▶ accept ─▶ read ─▶ timers ─▶ flush ─▶ watch
//!  ▲      (the clocks,            (each ready connection  (each dirty connection │
//!  │       read once)              once, one buffer)       once, one quantum)    │
//!  └─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! In the last step, the driver begins to report the events of new connections. A connection is
//! ready if there may be input to read. It is dirty if it may have output to send, or may have to
//! be ended.
//!
//! If a turn stops reading from a connection because its input filled the buffer, or stops sending
//! because a quantum (the most bytes of one send) is used up, the kernel reports no new edge. So
//! the connection stays ready or dirty, and the next wait returns at once.
//!
//! | file | what |
//! |---|---|
//! | `state` | what a worker holds, and how one of its connections is served |
//! | `turn` | the loop: events, mailbox, timers |
//! | `accept` | connections that come in, and those that we open |
//! | `evict` | closing an idle connection for a new one |
//! | `input`, `output` | reading; flushing, and ending when all is flushed |
//! | `read` | files that threads read |
//! | `secure` | TLS: decrypting, encrypting |
//! | `handshake` | TLS: how handshakes begin, end and fail |
//! | `hello` | client hellos that threads answer |
//! | `close` | the end of a connection; draining |
//! | `slow` | turns that take too long |

mod accept;
mod close;
mod evict;
mod handshake;
mod hello;
mod input;
mod output;
mod read;
mod secure;
mod slow;
mod state;
mod turn;

pub use state::{Footprint, Handover, Worker, WorkerParts};
