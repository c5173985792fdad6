//! What a handler returns.

use sockeye_proto::Fault;

use super::content::Message;
use super::fault::Refusal;

/// What a handler returns: that it has answered, or will. Only a [`Responder`](super::Responder) makes one.
#[derive(Debug)]
#[must_use = "a handler returns it"]
pub struct Answer(pub(super) Given);

#[derive(Debug)]
pub(super) enum Given {
    Now(Message),
    /// The peer is at fault. A connection that ends with this response ends for it.
    Refused(Refusal),
    /// We are at fault, likewise.
    Failed(Message, Fault),
    Later,
}
