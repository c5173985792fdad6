//! Drops values of user code, whose destructors may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code that drops a value of user code, as [`drop_caught`] does, where the value is.
#[inline]
pub(crate) fn catch_drop(drop: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(drop)).is_ok()
}

/// Drops a value. Returns whether its destructor did not panic: a panic ends here.
///
/// For code that runs outside of the calls into a protocol, where a panic would end an event loop
/// or a thread of other connections. Drop the items of a list one by one: a second panic while the
/// first one unwinds would end the process.
pub fn drop_caught<T>(value: T) -> bool {
    catch_drop(|| drop(value))
}
