//! Input that a conversation has not used: the only input that is ever copied.

/// Input that was not used yet. Empty, it owns no memory.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    // Invariant: start < bytes.len(), or both are 0.
    start: usize,
}

impl Tail {
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
    fn a_tail_keeps_what_is_left_and_an_empty_one_owns_nothing() {
        let mut tail = Tail::default();
        tail.push(b"GET / HT");
        tail.consume(4);
        assert_eq!(tail.bytes(), b"/ HT");
        tail.push(b"TP/1.1");
        assert_eq!((tail.bytes(), tail.len()), (&b"/ HTTP/1.1"[..], 10));
        tail.consume(10);
        assert!(tail.is_empty());
        assert_eq!(tail.bytes.capacity(), 0);
    }
}
