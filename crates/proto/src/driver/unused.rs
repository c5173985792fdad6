//! Input that a protocol has not used: the only input that is copied.

/// Unused input. Owns no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Unused {
    bytes: Vec<u8>,
    // Invariant: start < bytes.len(), or both are 0.
    start: usize,
}

impl Unused {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_kept_and_nothing_left_owns_no_memory() {
        let mut unused = Unused::default();
        unused.push(b"GET / HT");
        unused.consume(4);
        assert_eq!(unused.bytes(), b"/ HT");
        unused.push(b"TP/1.1");
        assert_eq!((unused.bytes(), unused.len()), (&b"/ HTTP/1.1"[..], 10));
        unused.consume(10);
        assert!(unused.is_empty());
        assert_eq!(unused.bytes.capacity(), 0);
    }
}
