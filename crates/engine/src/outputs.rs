//! A pool of outputs: a connection has one only while it has something to send.

use sockeye_proto::Output;

/// How many unused outputs are kept.
const KEPT: usize = 1024;
/// The buffer of plain bytes, in bytes, that an unused output keeps at most.
const KEPT_BYTES: usize = 8 * 1024;

// Boxed, so that moving one to the driver and back moves a pointer.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    free: Vec<Box<Output>>,
    lent: usize,
}

impl Outputs {
    pub(crate) fn lend(&mut self) -> Box<Output> {
        self.lent += 1;
        self.free.pop().unwrap_or_default()
    }

    #[inline(always)] // The fast path; the slow one is split out below.
    pub(crate) fn take_back(&mut self, mut out: Box<Output>) {
        self.lent -= 1;
        if self.free.len() < KEPT {
            // Most are empty and small.
            if !out.is_empty() || out.is_oversized(KEPT_BYTES) {
                tidy(&mut out);
            }
            self.free.push(out);
        }
    }

    /// How many are in use.
    pub(crate) fn lent(&self) -> usize {
        self.lent
    }
}

#[cold]
fn tidy(out: &mut Output) {
    out.clear();
    out.shrink(KEPT_BYTES);
}
