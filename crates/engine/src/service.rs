//! Who answers.

use sockeye_proto::{Peer, Protocol, Time, Timed};

/// Makes a connection for each connection that comes in.
///
/// Every shard has a service of its own, made on the shard's thread, so it need be neither `Send`
/// nor `Sync`: what its connections share, they share without locks. Every call is made by the event
/// loop, which serves nobody else meanwhile: it must not block.
///
/// A closure from a [`Peer`] to a [`Protocol`], boxed or not, is a service without a deadline. A pair of
/// something [`Timed`] and a closure is one with the deadline of the former:
///
/// ```
/// use sockeye_engine::Service;
/// use sockeye_proto::{Peer, Timed, echo::Echo};
///
/// fn with_deadline(cache: impl Timed) -> impl Service {
///     (cache, |_: &Peer| Echo::default())
/// }
/// ```
pub trait Service {
    /// A connection with a peer that has just come.
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol>;

    /// When [`Service::on_deadline`] is due next, also when no connection has anything to do.
    /// `None` while there is nothing to do. It is asked once in each turn of the loop.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// The deadline has come, at `now`. It is called once for each deadline.
    fn on_deadline(&mut self, now: Time) {
        let _ = now;
    }
}

impl<T, F, P> Service for (T, F)
where
    T: Timed,
    F: FnMut(&Peer) -> P,
    P: Into<Box<dyn Protocol>>,
{
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        self.1(peer).into()
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }

    fn on_deadline(&mut self, now: Time) {
        self.0.on_deadline(now);
    }
}

impl<F, P> Service for F
where
    F: FnMut(&Peer) -> P,
    P: Into<Box<dyn Protocol>>,
{
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        self(peer).into()
    }
}
