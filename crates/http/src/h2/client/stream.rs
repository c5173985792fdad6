//! The streams of a connection: requests whose responses are incomplete.

use std::collections::VecDeque;

use bytes::Bytes;

use super::limits::WINDOW;
use crate::h2::window::Window;

/// A stream: a request whose response is incomplete.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub(super) id: u32,
    /// The number of its request in [`RequestHeads`](super::RequestHeads).
    pub(super) number: usize,
    /// Whether the method of its request is HEAD.
    pub(super) is_head: bool,
    pub(super) expects: Expects,
    /// How many interim responses have arrived.
    pub(super) interim: u32,
    /// Bytes that were received since the stream's window was last enlarged.
    pub(super) received: u32,
    /// Content of the request that is not sent yet.
    pub(super) unsent: Bytes,
    /// The stream's flow-control window for the content of its request.
    pub(super) send_window: Window,
    /// The caller's data about the request.
    pub(super) data: T,
}

/// What the server sends next on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// A head: of the final response or of an interim one.
    Head,
    /// Content, or trailers.
    Content {
        /// The bytes that are left of the announced length; `None` if no length was announced.
        remaining: Option<u64>,
    },
}

/// Streams, the oldest first.
#[derive(Debug)]
pub(super) struct Streams<T>(VecDeque<Stream<T>>);

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Streams<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a stream. Its `id` must be higher than those of all other streams.
    pub(super) fn push(&mut self, stream: Stream<T>) {
        self.0.push_back(stream);
    }

    /// The position of a stream. Tries the oldest one first, because responses mostly arrive in the
    /// order of their requests.
    #[inline]
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        match self.0.front() {
            Some(first) if first.id == id => Some(0),
            _ => self.0.binary_search_by_key(&id, |stream| stream.id).ok(),
        }
    }

    /// The stream at this position, which [`Streams::find`] has returned.
    #[inline]
    pub(super) fn at(&mut self, at: usize) -> &mut Stream<T> {
        &mut self.0[at]
    }

    #[inline]
    pub(super) fn remove(&mut self, at: usize) -> Option<Stream<T>> {
        if at == 0 { self.0.pop_front() } else { self.0.remove(at) }
    }

    /// Removes and returns the newest stream, if `is_taken` returns true for it.
    pub(super) fn pop_if(
        &mut self,
        is_taken: impl FnOnce(&Stream<T>) -> bool,
    ) -> Option<Stream<T>> {
        self.0.pop_back_if(|stream| is_taken(stream))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream<T>> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.0.iter_mut()
    }
}

/// Adds `len` to `received`, the bytes received since a window of [`WINDOW`] bytes was last
/// enlarged. Returns the number of bytes by which to enlarge the window now, which may be 0.
/// `None`: the server has sent more than the window allowed.
#[inline]
pub(super) fn receive(received: &mut u32, len: usize) -> Option<u32> {
    *received = u32::try_from(len).ok()?.checked_add(*received)?;
    match *received {
        0..WINDOW_STEP => Some(0),
        WINDOW_STEP..=WINDOW => Some(std::mem::take(received)),
        _ => None,
    }
}

/// A window is enlarged when this many bytes of it were used.
const WINDOW_STEP: u32 = WINDOW / 2;
