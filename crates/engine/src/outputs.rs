//! A pool of outputs (bytes to send): a connection has one only while it has something to send.

use sockeye_proto::Output;

use crate::driver::QUANTUM;

/// Maximum number of unused outputs that are kept.
const MAX_KEPT: usize = 1024;
/// Maximum size of the byte buffer that an unused output keeps, in bytes.
const MAX_KEPT_BYTES: usize = 8 * 1024;
/// Capacity for the TLS records of one send: at most [`QUANTUM`] bytes of plaintext, and 4 KiB for
/// the headers and tags of the records, which is enough even if each record is as small as a TCP
/// segment.
const RECORDS_CAPACITY: usize = QUANTUM as usize + 4 * 1024;
/// Maximum number of unused outputs with this capacity that are kept: together about 1 MiB.
const MAX_FOR_RECORDS: usize = 8;

/// The outputs of a worker (event loop) that no connection uses, for reuse.
// They are boxed so that moving an output to the driver and back moves a pointer.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// Unused outputs with small buffers, at most [`MAX_KEPT_BYTES`].
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    free: Vec<Box<Output>>,
    /// Unused outputs with a capacity of [`RECORDS_CAPACITY`] bytes. They are reused because new
    /// memory of this size costs more: the kernel clears each page of it.
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    for_records: Vec<Box<Output>>,
    /// How many outputs are in use.
    lent: usize,
}

impl Outputs {
    pub(crate) fn lend(&mut self) -> Box<Output> {
        self.lent += 1;
        self.free.pop().unwrap_or_default()
    }

    /// Lends an output for the TLS records of `bytes` bytes of plaintext, at most [`QUANTUM`].
    pub(crate) fn lend_for_records(&mut self, bytes: u64) -> Box<Output> {
        if bytes <= MAX_KEPT_BYTES as u64 {
            return self.lend();
        }
        if let Some(out) = self.for_records.pop() {
            self.lent += 1;
            return out;
        }
        let mut out = self.lend();
        out.write_with(|records| records.reserve_exact(RECORDS_CAPACITY));
        out
    }

    #[inline(always)] // The fast path; the slow one is split out below.
    pub(crate) fn take_back(&mut self, out: Box<Output>) {
        self.lent -= 1;
        // Most outputs are empty and small.
        if !out.is_empty() || out.is_oversized(MAX_KEPT_BYTES) {
            self.reset(out);
        } else if self.free.len() < MAX_KEPT {
            self.free.push(out);
        }
    }

    #[cold]
    fn reset(&mut self, mut out: Box<Output>) {
        out.clear();
        // Whether its capacity is exactly `RECORDS_CAPACITY`.
        let is_for_records =
            out.is_oversized(RECORDS_CAPACITY - 1) && !out.is_oversized(RECORDS_CAPACITY);
        if is_for_records && self.for_records.len() < MAX_FOR_RECORDS {
            self.for_records.push(out);
        } else if self.free.len() < MAX_KEPT {
            out.shrink(MAX_KEPT_BYTES);
            self.free.push(out);
        }
    }

    /// How many outputs are in use.
    pub(crate) fn lent(&self) -> usize {
        self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_outputs_keep_their_room_for_records() {
        let mut outputs = Outputs::default();
        let mut lent: Vec<_> =
            (0..MAX_FOR_RECORDS + 2).map(|_| outputs.lend_for_records(QUANTUM)).collect();
        for out in &mut lent {
            out.write(&[0; QUANTUM as usize]);
        }
        for out in lent {
            assert!(!out.is_oversized(RECORDS_CAPACITY));
            outputs.take_back(out);
        }
        assert_eq!(
            (outputs.lent(), outputs.for_records.len(), outputs.free.len()),
            (0, MAX_FOR_RECORDS, 2)
        );
        assert!(outputs.free.iter().all(|out| !out.is_oversized(MAX_KEPT_BYTES)));
        let out = outputs.lend_for_records(QUANTUM);
        assert!(out.is_empty() && out.is_oversized(RECORDS_CAPACITY - 1));
        outputs.take_back(out);
        // A small response takes no output from `for_records`.
        assert!(!outputs.lend_for_records(200).is_oversized(MAX_KEPT_BYTES));
        assert_eq!((outputs.lent(), outputs.for_records.len()), (1, MAX_FOR_RECORDS));
    }
}
