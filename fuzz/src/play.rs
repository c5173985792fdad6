//! Plays the peer of one conversation to its end.

use std::time::Duration;

use sockeye_proto::harness::Harness;

/// Longer than every deadline of a conversation, all of them together.
const LONG: Duration = Duration::from_secs(3600);

/// What came of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// All that was said.
    pub(crate) output: Vec<u8>,
    /// Why it ended, if not in order.
    pub(crate) fault: Option<String>,
}

/// What happens after the peer's last byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The peer ends its side.
    Eof,
    /// The peer stays, and says nothing.
    Silence,
}

/// Sends `parts` one by one, reading what comes back after each and running jobs as they are
/// spawned; then ends.
pub(crate) fn play<'a>(
    mut peer: Harness,
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
) -> Outcome {
    let mut output = Vec::new();
    for part in parts {
        // What comes behind the end of a conversation is not offered to it.
        if peer.fault().is_some() || peer.end().is_some() {
            break;
        }
        peer.input(part);
        settle(&mut peer, &mut output);
    }
    match ending {
        Ending::Eof => peer.eof(),
        Ending::Silence => peer.pass(LONG),
    }
    settle(&mut peer, &mut output);
    assert!(
        peer.fault().is_some() || peer.end().is_some(),
        "nothing is owed and nothing will come, and the conversation does not end: {ending:?}"
    );
    Outcome { output, fault: peer.fault().map(ToString::to_string) }
}

fn settle(peer: &mut Harness, output: &mut Vec<u8>) {
    loop {
        let before = output.len();
        output.extend(peer.output());
        if peer.run_jobs() == 0 && output.len() == before {
            return;
        }
    }
}
