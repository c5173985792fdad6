//! The last bytes sent or received, to which later messages refer (context takeover).

/// The last bytes of the messages in one direction.
#[derive(Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    max: usize,
}

impl History {
    /// Keeps at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory that this history holds, in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends bytes. Drops the oldest ones beyond the maximum.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.max)..];
        let len = self.bytes.len() + bytes.len();
        self.bytes.drain(..len.saturating_sub(self.max));
        // The capacity doubles, as that of any `Vec` does, but only up to the maximum.
        if len > self.bytes.capacity() && self.bytes.capacity() < self.max {
            let capacity = len.max(2 * self.bytes.capacity()).min(self.max);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}
