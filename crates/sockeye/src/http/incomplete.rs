//! Tells whoever waits for a request's body that the body is incomplete.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The rest of a request's body will never come: the client left, ended its side of the connection,
/// was too slow, or sent an invalid or too large body; or the budget for bodies is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete;

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body is incomplete")
    }
}

impl std::error::Error for Incomplete {}

/// Waits for the rest of a body. If it is dropped before the body is complete, it tells `inner`.
pub(super) struct BodyWaiter<T> {
    inner: Option<T>,
    on_incomplete: fn(T),
}

impl<T> BodyWaiter<T> {
    pub(super) fn new(inner: T, on_incomplete: fn(T)) -> Self {
        Self { inner: Some(inner), on_incomplete }
    }

    /// Takes `inner` out, for a part of the body that has come.
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.inner.take()
    }
}

impl<T> Drop for BodyWaiter<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            // The panic hook reports a panic. It is no reason to end the connection.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.on_incomplete)(inner)));
        }
    }
}
