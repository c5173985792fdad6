//! Windows of flow control (RFC 9113, 5.2 and 6.9).

/// How many bytes a sender may still send in payloads of DATA frames, padding included, on a stream
/// or a connection. Negative if the receiver has lowered its initial window by more than was left
/// (6.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window(i32);

/// The error of a change after which a window would be larger than 2^31-1 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Window {
    /// The window of a new connection, and of a new stream if no setting says otherwise.
    pub(crate) const DEFAULT: Self = Self(65_535);

    /// A window of this many bytes.
    pub(crate) fn new(bytes: u32) -> Result<Self, TooLarge> {
        i32::try_from(bytes).map(Self).map_err(|_| TooLarge)
    }

    /// The number of bytes that may be sent.
    pub(crate) fn available(self) -> u64 {
        u64::from(self.0.max(0).unsigned_abs())
    }

    /// Takes `bytes` out of the window if it is large enough. Returns whether it was. For 0 bytes,
    /// even a negative window is large enough (6.9.1).
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let left = i64::from(self.0) - i64::try_from(bytes).unwrap_or(i64::MAX);
        let is_enough = left >= 0 || bytes == 0;
        if is_enough {
            self.0 = left as i32;
        }
        is_enough
    }

    /// Enlarges the window.
    pub(crate) fn add(&mut self, bytes: u32) -> Result<(), TooLarge> {
        let sum = i64::from(self.0) + i64::from(bytes);
        self.0 = i32::try_from(sum).map_err(|_| TooLarge)?;
        Ok(())
    }

    /// Adjusts the window of an open stream when the peer's setting of the initial window changes
    /// from `before` to `after`.
    pub(crate) fn adjust(&mut self, before: Self, after: Self) -> Result<(), TooLarge> {
        let sum = i64::from(self.0) + i64::from(after.0) - i64::from(before.0);
        self.0 = i32::try_from(sum).map_err(|_| TooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_becomes_negative_and_never_exceeds_31_bits() {
        let mut window = Window::DEFAULT;
        assert!(window.take(65_535) && !window.take(1) && window.take(0));
        window.adjust(Window::DEFAULT, Window(0)).unwrap();
        assert_eq!((window, window.available()), (Window(-65_535), 0));
        assert!(window.take(0) && !window.take(1));
        window.add(65_536).unwrap();
        assert_eq!(window.available(), 1);
        assert_eq!(window.add(i32::MAX as u32), Err(TooLarge));
        assert_eq!(Window::new(1 << 31), Err(TooLarge));
        let mut full = Window(i32::MAX);
        assert_eq!(full.adjust(Window(0), Window(1)), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn a_window_is_the_sum_of_its_changes(
            changes in proptest::collection::vec((0..4, 0_u32..1 << 31), 0..50),
        ) {
            let (mut window, mut initial, mut sum) = (Window::DEFAULT, Window::DEFAULT, 65_535_i64);
            for (kind, amount) in changes {
                let amount_wide = i64::from(amount);
                match kind {
                    0 => if window.add(amount).is_ok() { sum += amount_wide },
                    1 => if window.take(amount as usize) { sum -= amount_wide },
                    _ => {
                        let after = Window::new(amount).unwrap();
                        if window.adjust(initial, after).is_ok() {
                            sum += amount_wide - i64::from(initial.0);
                            initial = after;
                        }
                    }
                }
                prop_assert_eq!(i64::from(window.0), sum);
                prop_assert!(sum <= i64::from(i32::MAX));
            }
        }
    }
}
