//! Drops values of user code, whose destructors may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Like [`drop_caught`], but calls a closure that drops the value in place.
#[inline]
pub(crate) fn catch_drop(drop: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(drop)).is_ok()
}

/// Drops a value. If its destructor panics, catches the panic and returns false.
///
/// For code that runs outside of the calls into a protocol, where a panic would end an event loop
/// or a thread that other connections need. Drop the items of a list one by one: a second panic
/// while the first one unwinds would end the process.
pub fn drop_caught<T>(value: T) -> bool {
    catch_drop(|| drop(value))
}
