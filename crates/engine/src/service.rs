//! Who answers.

use sockeye_proto::{Peer, Protocol};

/// Makes a conversation for each connection that comes in.
///
/// Every shard has a service of its own, made on the shard's thread, so it need be neither `Send`
/// nor `Sync`: what its conversations share, they share without locks.
pub trait Service {
    /// A conversation with a peer that has just come.
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol>;
}

impl<F> Service for F
where
    F: FnMut(&Peer) -> Box<dyn Protocol>,
{
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        self(peer)
    }
}
