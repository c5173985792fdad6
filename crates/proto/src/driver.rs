//! What whoever drives a protocol needs, and nobody else: an engine, a harness, a protocol that runs
//! another on a stream of its own.

pub use crate::remote::{Credit, Delivery, Envelope, Key, MailboxSender};
pub use crate::turn::{Effects, ShardHandles, TurnParts};
