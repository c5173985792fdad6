//! A pool of outputs: a connection has one only while it has something to send.

use sockeye_proto::Output;

/// Maximum number of unused outputs that are kept.
const MAX_KEPT: usize = 1024;
/// Maximum size of the buffer of plain bytes that an unused output keeps.
const MAX_KEPT_BYTES: usize = 8 * 1024;

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
        if self.free.len() < MAX_KEPT {
            // Most are empty and small.
            if !out.is_empty() || out.is_oversized(MAX_KEPT_BYTES) {
                reset(&mut out);
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
fn reset(out: &mut Output) {
    out.clear();
    out.shrink(MAX_KEPT_BYTES);
}
