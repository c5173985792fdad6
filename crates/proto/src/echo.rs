//! Echo (RFC 862): the smallest protocol, and the one to read first.
//!
//! Sends all input back. When the peer closes its sending side, the remaining output is sent, and
//! then our sending side is closed, too. The engine does everything else: it stops reading from a
//! peer that doesn't read, and closes the connection when the write timeout passes.

use std::time::Duration;

use crate::{Consumed, End, Event, Fault, Protocol, Time, Turn};

/// Echoes until the peer closes its sending side, the idle timeout passes or the server stops.
#[derive(Debug)]
pub struct Echo {
    /// The idle timeout.
    idle: Duration,
    /// When the idle timeout passes.
    expires: Time,
}

impl Echo {
    /// An echo with the idle timeout `idle`.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { idle, expires: Time::NEVER }
    }
}

impl Default for Echo {
    /// An idle timeout of 60 s.
    fn default() -> Self {
        Self::new(Duration::from_secs(60))
    }
}

impl Protocol for Echo {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(input);
        self.expires = turn.now() + self.idle;
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.expires = turn.now() + self.idle,
            Event::Eof { .. } => turn.end(End::Finish),
            Event::Drain { .. } => turn.end(End::Linger),
            // While output is unsent, the connection is not idle. The write timeout limits how long
            // the peer may accept no output.
            Event::Deadline if turn.unsent() == 0 => return Err(Fault::idle(self.idle)),
            Event::Deadline => self.expires = turn.now() + self.idle,
            Event::Room
            | Event::Sent(_)
            | Event::Message(..)
            | Event::Woken
            | Event::HalfClosed
            | Event::Truncated
            | Event::LameDuck
            | Event::Closed(_) => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Harness;

    #[test]
    fn everything_comes_back_in_order_and_a_half_close_loses_nothing() {
        let mut peer = Harness::new(Echo::default());
        peer.input(b"Message 1 from client.");
        peer.input(b"Message 2 from client.");
        peer.eof();
        assert!(!peer.finished(), "all output is sent before our side ends");
        assert_eq!(peer.output(), b"Message 1 from client.Message 2 from client.");
        assert!(peer.finished());
    }

    #[test]
    fn a_silent_peer_is_disconnected_after_a_minute() {
        let mut peer = Harness::new(Echo::default());
        peer.pass(Duration::from_secs(59));
        peer.input(b"x");
        assert_eq!(peer.output(), b"x");
        peer.pass(Duration::from_secs(59));
        assert!(peer.fault().is_none());
        peer.pass(Duration::from_secs(1));
        assert_eq!(
            peer.fault().unwrap().to_string(),
            "the peer was silent for 60 s with no request in flight"
        );
    }

    #[test]
    fn a_silent_echo_connection_is_never_evicted_as_idle() {
        assert_eq!(Echo::default().idle_since(), None);
    }

    #[test]
    fn draining_sends_the_remaining_output() {
        let mut peer = Harness::new(Echo::default());
        peer.input(b"last words");
        peer.drain();
        assert_eq!(peer.output(), b"last words");
        assert!(peer.finished());
    }
}
