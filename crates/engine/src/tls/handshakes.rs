//! Limits on the handshakes of a worker: how many are in progress, and how much they do in a turn
//! (a pass of the event loop).

use std::collections::VecDeque;
use std::sync::Arc;

use sockeye_proto::TlsInfo;
use sockeye_proto::driver::Key;

/// Maximum number of handshakes in progress with clients. Each may hold the beginning of a client
/// hello in memory. Above this number, each new handshake closes the connection whose handshake
/// began first: that client is the slowest one, because it is far away or an attacker.
const MAX_IN_PROGRESS: usize = 4096;
/// Maximum number of handshake steps in one turn. A step is a read on the event loop after which
/// the handshake has an answer to send. A step may compute keys or a signature, which takes from
/// 0.1 ms (P-256) to some milliseconds (RSA). Meanwhile, all other connections of the worker wait.
/// After this many steps, the only handshake messages that are still read in this turn are client
/// hellos, since threads can answer them.
const MAX_STEPS_PER_TURN: u32 = 4;
/// Maximum number of client hellos that the event loop answers in one turn. An answer takes a
/// signature, unless the client resumes a TLS session.
const MAX_SIGNATURES_PER_TURN: u32 = 1;
/// Maximum number of results of handshakes that are kept for later connections to share.
const MAX_SHARED: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// The handshakes with clients, the oldest first. Some may have ended: they are removed later.
    started: VecDeque<Key>,
    /// How many handshakes with clients are in progress.
    in_progress: usize,
    /// Steps in this turn.
    steps: u32,
    /// Client hellos that the event loop has answered in this turn.
    signatures: u32,
    /// The key that was found for the last client hello is RSA.
    signs_slowly: bool,
    /// Recent results of handshakes, all different, the oldest first. Most handshakes of a server
    /// have the same result.
    shared: VecDeque<Arc<TlsInfo>>,
}

impl Handshakes {
    /// To be called when a turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.steps = 0;
        self.signatures = 0;
    }

    /// Whether the event loop may answer one more client hello in this turn. It may not if the
    /// last hello needed an RSA key: which key the next one needs is unknown, but most servers have
    /// keys of one kind.
    pub(crate) fn may_sign(&self) -> bool {
        self.may_sign_with_any_key() && !self.signs_slowly
    }

    /// As [`Handshakes::may_sign`], whatever the last key was: for a client hello that no thread
    /// can answer, because too many wait for threads.
    pub(crate) fn may_sign_with_any_key(&self) -> bool {
        self.signatures < MAX_SIGNATURES_PER_TURN
    }

    /// Notes which kind of key was found for a client hello. `signs_slowly`: it is RSA.
    pub(crate) fn note_key(&mut self, signs_slowly: bool) {
        self.signs_slowly = signs_slowly;
    }

    /// Counts a client hello that the event loop answers.
    pub(crate) fn count_signature(&mut self) {
        self.signatures += 1;
    }

    /// Whether one more step may be done in this turn.
    pub(crate) fn may_step(&self) -> bool {
        self.steps < MAX_STEPS_PER_TURN
    }

    /// Counts a step.
    pub(crate) fn count_step(&mut self) {
        self.steps += 1;
    }

    /// Counts the handshake of connection `key`, which begins. `is_in_progress` says whether the
    /// handshake of a connection is still in progress. If more than [`MAX_IN_PROGRESS`] are,
    /// returns the connection to close.
    pub(crate) fn begin(
        &mut self,
        key: Key,
        mut is_in_progress: impl FnMut(Key) -> bool,
    ) -> Option<Key> {
        self.started.push_back(key);
        self.in_progress += 1;
        if self.started.len() > 2 * MAX_IN_PROGRESS {
            self.started.retain(|key| is_in_progress(*key));
        }
        if self.in_progress <= MAX_IN_PROGRESS {
            return None;
        }
        while let Some(key) = self.started.pop_front() {
            if is_in_progress(key) {
                return Some(key);
            }
        }
        None
    }

    /// Returns `info`. If it equals that of a recent connection, both connections share one copy.
    pub(crate) fn share(&mut self, info: TlsInfo) -> Arc<TlsInfo> {
        if let Some(same) = self.shared.iter().find(|shared| ***shared == info) {
            return Arc::clone(same);
        }
        let info = Arc::new(info);
        // Certificates of clients are large, and rarely the same for two connections.
        if info.client_certificates.is_empty() {
            if self.shared.len() == MAX_SHARED {
                self.shared.pop_front();
            }
            self.shared.push_back(Arc::clone(&info));
        }
        info
    }

    /// How many handshakes with clients are in progress.
    pub(crate) fn in_progress(&self) -> usize {
        self.in_progress
    }

    /// Counts the end of a handshake with a client: it is complete, or has failed, or its
    /// connection closes.
    pub(crate) fn end(&mut self) {
        self.in_progress -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_the_limit_the_first_that_is_in_progress_is_closed() {
        let mut handshakes = Handshakes::default();
        let max = MAX_IN_PROGRESS as u64;
        for key in 0..max {
            assert_eq!(handshakes.begin(Key(key), |_| true), None);
        }
        assert_eq!(handshakes.begin(Key(max), |key| key != Key(0)), Some(Key(1)));
        handshakes.end();
        handshakes.end();
        assert_eq!(handshakes.begin(Key(max + 1), |_| true), None);
    }

    #[test]
    fn those_that_have_ended_are_forgotten() {
        let mut handshakes = Handshakes::default();
        for key in 0..10 * MAX_IN_PROGRESS as u64 {
            assert_eq!(handshakes.begin(Key(key), |other| other == Key(key)), None);
            handshakes.end();
            assert!(handshakes.started.len() <= 2 * MAX_IN_PROGRESS);
        }
    }

    #[test]
    fn connections_that_agree_on_the_same_share_it() {
        let info = |name: &str, certificates: &[&[u8]]| {
            let mut info = TlsInfo::default();
            info.server_name = Some(name.into());
            info.client_certificates = certificates.iter().map(|der| (*der).into()).collect();
            info
        };
        let mut handshakes = Handshakes::default();
        let first = handshakes.share(info("a.example", &[]));
        assert!(Arc::ptr_eq(&first, &handshakes.share(info("a.example", &[]))));
        let named = handshakes.share(info("a.example", &[b"der"]));
        assert!(!Arc::ptr_eq(&named, &handshakes.share(info("a.example", &[b"der"]))));
        for other in 0..MAX_SHARED {
            let name = other.to_string();
            assert_eq!(handshakes.share(info(&name, &[])).server_name.as_deref(), Some(&*name));
        }
        assert_eq!(handshakes.shared.len(), MAX_SHARED);
        assert!(!Arc::ptr_eq(&first, &handshakes.share(info("a.example", &[]))));
    }

    #[test]
    fn a_turn_does_few_steps() {
        let mut handshakes = Handshakes::default();
        for _ in 0..2 {
            handshakes.begin_turn();
            for _ in 0..4 {
                assert!(handshakes.may_step());
                handshakes.count_step();
            }
            assert!(!handshakes.may_step());
        }
    }
}
