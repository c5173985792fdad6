//! The lines about connections on a terminal: one when a connection opens, and one when it ends.
//! The second line says why the connection ended, unless one side closed it in the usual way.
//!
//! ```text
//! 127.0.0.1:61354 connected
//! 127.0.0.1:61354 closed: received 13 B, sent 13 B
//! 127.0.0.1:61360 closed: received 5 B, sent 0 B; the peer reset the connection
//! … and 312 more connected, 309 closed
//! ```
//!
//! If there are too many lines in a second, some are left out, and a line like the last one above
//! counts them.

use std::time::Instant;

use sockeye::Service;
use sockeye::engine::Closed;
use sockeye::proto::{Peer, Protocol, Reason, Time};

use super::limit::{Decision, Kind};
use super::queue::Lines;
use super::terminal_line::{RED, paint};
use crate::text;

/// A longer reason is truncated to this number of bytes.
const MAX_REASON: usize = 200;

/// Writes the lines about connections.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(super) lines: Lines,
    pub(super) color: bool,
}

impl Connections {
    /// Wraps the service of one worker, so that its connections are shown.
    pub(crate) fn wrap<S: Service>(&self, service: S, worker: usize) -> WithLines<S> {
        WithLines { service, worker, connections: self.clone() }
    }

    /// Writes a line, or counts it as left out if there are too many.
    fn put(&self, worker: usize, kind: Kind, line: impl FnOnce() -> Vec<u8>) {
        match self.lines.count(kind, Instant::now()) {
            Decision::Write => {
                let line = line();
                self.lines.put(worker, line.len(), |lines| lines.extend_from_slice(&line));
            }
            // The thread that writes has to report later how many lines were left out.
            Decision::LeaveOutFirst => self.lines.wake(),
            Decision::LeaveOut => {}
        }
    }
}

/// A service whose connections are shown.
pub(crate) struct WithLines<S> {
    service: S,
    worker: usize,
    connections: Connections,
}

impl<S> WithLines<S> {
    fn show_open(&self, peer: &Peer) {
        let line = || format!("{} connected\n", peer.address).into_bytes();
        self.connections.put(self.worker, Kind::Connected, line);
    }
}

impl<S: Service> Service for WithLines<S> {
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        let protocol = self.service.open(peer);
        self.show_open(peer);
        protocol
    }

    // For a client that speaks plain text where TLS is expected. `None` closes the connection.
    fn open_plain(&mut self, peer: &Peer) -> Option<Box<dyn Protocol>> {
        let protocol = self.service.open_plain(peer)?;
        self.show_open(peer);
        Some(protocol)
    }

    fn on_closed(&mut self, closed: &Closed<'_>) {
        self.service.on_closed(closed);
        let line = || closed_line(closed, self.connections.color);
        self.connections.put(self.worker, Kind::Closed, line);
    }

    fn deadline(&self) -> Option<Time> {
        self.service.deadline()
    }

    fn on_deadline(&mut self, now: Time) {
        self.service.on_deadline(now);
    }
}

fn closed_line(closed: &Closed<'_>, color: bool) -> Vec<u8> {
    let Closed { peer, reason, received, sent, .. } = closed;
    let (address, received, sent) = (peer.address, text::bytes(*received), text::bytes(*sent));
    let mut line = format!("{address} closed: received {received}, sent {sent}").into_bytes();
    if !matches!(reason, Reason::Finished | Reason::PeerClosed) {
        line.extend_from_slice(b"; ");
        let color = (color && !reason.is_orderly()).then_some(RED);
        paint(color, &mut line, |line| line.extend_from_slice(shown(reason).as_bytes()));
    }
    line.push(b'\n');
    line
}

/// A reason as part of a line: escaped and truncated, since it may contain text from the peer.
fn shown(reason: &Reason) -> String {
    let mut text = text::escape_controls(&reason.to_string());
    if text.len() > MAX_REASON {
        text.truncate(text.floor_char_boundary(MAX_REASON));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use sockeye::proto::Fault;

    use super::*;

    #[test]
    fn a_reason_cannot_forge_a_line_and_is_cut() {
        let reason = |what: &str| Reason::Fault(Fault::peer("test", what.to_owned()));
        let forged = shown(&reason("sent\n192.0.2.1:1 connected\x1b[2J"));
        assert_eq!(forged, "the peer sent\\n192.0.2.1:1 connected\\u{1b}[2J");
        let long = shown(&reason(&"é".repeat(MAX_REASON)));
        assert!(long.len() <= MAX_REASON + "...".len() && long.ends_with("é..."), "{long}");
    }
}
