//! Input that a protocol has not used, and input that arrived after it. No other input is copied.

/// Unused input. While it is empty, it takes no memory beyond a pointer: most connections have none
/// most of the time.
#[derive(Debug, Default)]
pub(super) struct Unused(Option<Box<Rest>>);

/// The rest of some input; never empty.
#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    /// Bytes before this index were used. It is always less than `bytes.len()`.
    start: usize,
}

impl Unused {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |rest| &rest.bytes[rest.start..])
    }

    /// Appends `bytes`, which must not be empty.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let rest = self.0.get_or_insert_default();
        if rest.start > 0 {
            rest.bytes.drain(..rest.start);
            rest.start = 0;
        }
        rest.bytes.extend_from_slice(bytes);
    }

    pub(super) fn consume(&mut self, count: usize) {
        let Some(rest) = &mut self.0 else { return };
        rest.start += count;
        if rest.start == rest.bytes.len() {
            self.0 = None;
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
        assert!(unused.0.is_none());
    }
}
