//! Runs one connection to its end.

use std::fmt;
use std::time::Duration;

use sockeye_proto::harness::Harness;

/// Longer than the sum of all deadlines of a connection.
const LONG: Duration = Duration::from_secs(3600);
/// Number of bytes of the output that a failure shows.
const MAX_SHOWN: usize = 4096;

/// The result of a connection.
#[derive(PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The output.
    pub(crate) output: Vec<u8>,
    /// The fault that ended the connection, if any.
    pub(crate) fault: Option<String>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.output[..self.output.len().min(MAX_SHOWN)];
        write!(f, "{} bytes, \"{}\", {:?}", self.output.len(), shown.escape_ascii(), self.fault)
    }
}

/// What happens after the client's last byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The client closes its sending side.
    Eof,
    /// The client sends nothing more, and all deadlines pass.
    Silence,
    /// The server drains. The client sends nothing more, as in [`Ending::Silence`].
    Drain,
}

/// When the protocol's jobs (work for other threads) run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// After each part.
    Quick,
    /// After the ending.
    Slow,
}

/// Sends `parts` one by one, and reads the output after each. Then ends the connection.
pub(crate) fn run_connection<'a>(
    mut peer: Harness,
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> Outcome {
    let mut output = Vec::new();
    for part in parts {
        // An ended connection gets no more input.
        if peer.fault().is_some() || peer.end().is_some() {
            break;
        }
        peer.input(part);
        output.extend(peer.output());
        if jobs == Jobs::Quick {
            settle(&mut peer, &mut output);
        }
    }
    match ending {
        Ending::Eof => peer.eof(),
        Ending::Silence => peer.pass(LONG),
        Ending::Drain => peer.drain(),
    }
    settle(&mut peer, &mut output);
    // After its last output, the server may wait for the client again. A WebSocket then sends a
    // ping, and waits a second time, for the pong.
    for _ in 0..2 {
        peer.pass(LONG);
        settle(&mut peer, &mut output);
    }
    assert!(
        peer.fault().is_some() || peer.end().is_some(),
        "nothing is in flight and nothing will come, but the connection does not end: {ending:?}"
    );
    Outcome { output, fault: peer.fault().map(ToString::to_string) }
}

/// Reads output and runs jobs until there is neither.
fn settle(peer: &mut Harness, output: &mut Vec<u8>) {
    loop {
        let before = output.len();
        output.extend(peer.output());
        let ran = peer.run_jobs();
        output.extend(peer.output());
        if ran == 0 && output.len() == before {
            return;
        }
    }
}
