//! The service: makes a protocol for each connection.

use sockeye_proto::{Peer, Protocol, Reason, Time, Timed};

/// Makes a protocol for each connection that a worker (event loop) accepts.
///
/// Each worker has a service of its own, made on the worker's thread. It need be neither `Send` nor
/// `Sync`, so the connections of a worker can share state without locks. Calls run on the event
/// loop and must not block.
///
/// A closure that takes a [`Peer`] and returns a [`Protocol`] (boxed or not) is a service. A pair
/// of a [`Timed`] value and such a closure is a service with a deadline:
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
    /// Makes the protocol for a connection with `peer`.
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol>;

    /// Makes the protocol for a connection on which `peer` should have begun a TLS handshake, but
    /// whose first byte is a letter, as in a plain HTTP request. `None` closes the connection.
    /// Default: `None`.
    fn open_plain(&mut self, peer: &Peer) -> Option<Box<dyn Protocol>> {
        let _ = peer;
        None
    }

    /// Called when a connection has ended, after its protocol got [`Event::Closed`]: once for each
    /// protocol that [`Service::open`] or [`Service::open_plain`] has made. Default: does nothing.
    ///
    /// [`Event::Closed`]: sockeye_proto::Event::Closed
    fn on_closed(&mut self, closed: &Closed<'_>) {
        let _ = closed;
    }

    /// When [`Service::on_deadline`] is due; `None` while there is nothing to do. Called once in
    /// each pass of the event loop.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// Called once for each deadline, when it has passed. If [`Service::deadline`] returns the same
    /// time afterwards, that is ignored. `now` is the current time.
    fn on_deadline(&mut self, now: Time) {
        let _ = now;
    }
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Closed<'a> {
    /// Who was at the other end.
    pub peer: &'a Peer,
    /// Why it ended.
    pub reason: &'a Reason,
    /// How many bytes were received. With TLS, bytes of plaintext.
    pub received: u64,
    /// How many bytes the kernel has accepted for sending. With TLS, bytes of plaintext.
    pub sent: u64,
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
