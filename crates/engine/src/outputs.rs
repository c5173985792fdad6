//! Outputs to lend: a connection has one only while it has something to send.

use sockeye_proto::Output;

/// Outputs that are kept for reuse; the rest is freed.
const KEPT: usize = 1024;
/// Plain bytes whose memory an output keeps while it waits for reuse.
const KEPT_BYTES: usize = 8 * 1024;

// Outputs are boxed because they are handed to the driver and back: one pointer moves.
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

    #[inline(always)] // It is little, but for what is seldom done.
    pub(crate) fn take_back(&mut self, mut out: Box<Output>) {
        self.lent -= 1;
        if self.free.len() < KEPT {
            // Most have been sent, and are small.
            if !out.is_empty() || out.is_larger(KEPT_BYTES) {
                tidy(&mut out);
            }
            self.free.push(out);
        }
    }

    /// How many are out.
    pub(crate) fn lent(&self) -> usize {
        self.lent
    }
}

#[cold]
fn tidy(out: &mut Output) {
    out.clear();
    out.shrink(KEPT_BYTES);
}
