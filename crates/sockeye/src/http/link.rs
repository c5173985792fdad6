//! The link between a response and the code on another thread that makes it.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use sockeye_proto::Remote;

/// A handle to a response, for other threads.
#[derive(Clone, Debug)]
pub(super) struct ResponseLink {
    pub(super) remote: Remote,
    /// [`OpenResponse`] owns the state, and is dropped when the response is over.
    state: Weak<LinkState>,
}

/// The event loop's side of a [`ResponseLink`]. Dropping it marks the response as over.
#[derive(Debug)]
pub(super) struct OpenResponse(Arc<LinkState>);

/// What both sides of a link share.
#[derive(Debug, Default)]
struct LinkState {
    /// The server drains.
    draining: AtomicBool,
    end: Mutex<End>,
}

/// Whether the response is over, and the task that waits for that.
#[derive(Debug, Default)]
struct End {
    is_over: bool,
    /// The waker of the task that polled a [`Gone`] last.
    waker: Option<Waker>,
}

impl LinkState {
    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResponseLink {
    /// Makes both sides of the link. `remote` sends to the connection or HTTP/2 stream of the
    /// response.
    pub(super) fn new(remote: Remote) -> (Self, OpenResponse) {
        let state = Arc::default();
        (Self { remote, state: Arc::downgrade(&state) }, OpenResponse(state))
    }

    /// Whether the response is over or its connection closed.
    pub(super) fn is_gone(&self) -> bool {
        self.state.strong_count() == 0 || self.remote.is_gone()
    }

    /// Whether the server drains.
    pub(super) fn is_draining(&self) -> bool {
        self.state.upgrade().is_some_and(|state| state.draining.load(Ordering::Relaxed))
    }

    /// A future that is ready when the response is over.
    pub(super) fn gone(&self) -> Gone {
        Gone(Weak::clone(&self.state))
    }
}

impl OpenResponse {
    /// Tells the other side of the link that the server drains.
    pub(super) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}

impl Drop for OpenResponse {
    fn drop(&mut self) {
        // Dropping the state is not enough to mark the response as over: while another thread polls
        // a `Gone`, the `Gone` holds the state, too.
        let waker = {
            let mut end = self.0.end();
            end.is_over = true;
            end.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A future that is ready when nobody waits for a response any more: see
/// [`PendingReply::gone`](super::PendingReply::gone).
#[must_use = "a future does nothing unless it is awaited"]
pub struct Gone(Weak<LinkState>);

impl Future for Gone {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(state) = self.0.upgrade() else { return Poll::Ready(()) };
        let mut end = state.end();
        if end.is_over {
            return Poll::Ready(());
        }
        match &mut end.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl fmt::Debug for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gone").finish_non_exhaustive()
    }
}
