//! Plays the peer of one connection to its end.

use std::fmt;
use std::time::Duration;

use sockeye_proto::harness::Harness;

/// Longer than every deadline of a connection, all of them together.
const LONG: Duration = Duration::from_secs(3600);
/// So much of an output is shown when something is wrong.
const SHOWN: usize = 4096;

/// What came of a connection.
#[derive(PartialEq, Eq)]
pub(crate) struct Outcome {
    /// All that was said.
    pub(crate) output: Vec<u8>,
    /// Why it ended, if not in order.
    pub(crate) fault: Option<String>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = &self.output[..self.output.len().min(SHOWN)];
        write!(f, "{} bytes, \"{}\", {:?}", self.output.len(), said.escape_ascii(), self.fault)
    }
}

/// What happens after the peer's last byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The peer ends its side.
    Eof,
    /// The peer stays, and says nothing for longer than is waited for anything.
    Silence,
    /// The server wants to stop; then silence.
    Drain,
}

/// When jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// After each part.
    Quick,
    /// When the peer has ended, or was silent for long.
    Slow,
}

/// Sends `parts` one by one, reading what comes back after each; then ends.
pub(crate) fn play<'a>(
    mut peer: Harness,
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> Outcome {
    let mut output = Vec::new();
    for part in parts {
        // What comes behind the end of a connection is not offered to it.
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
    // What was answered just now may be followed by silence, too.
    peer.pass(LONG);
    settle(&mut peer, &mut output);
    assert!(
        peer.fault().is_some() || peer.end().is_some(),
        "nothing is owed and nothing will come, and the conversation does not end: {ending:?}"
    );
    Outcome { output, fault: peer.fault().map(ToString::to_string) }
}

/// Reads what is said, and runs jobs, until neither leads to anything.
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
