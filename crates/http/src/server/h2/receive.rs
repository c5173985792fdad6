//! The content of a request on its way to the handler.

use std::mem;

use super::limits::{READ_STREAM_WINDOW, STREAM_WINDOW};
use crate::Content;
use crate::h2::head::Head;
use crate::h2::trailers::OwnedTrailers;
use crate::h2::window::Window;

/// The content of a request on its way to the handler.
pub(super) struct RequestContent {
    /// How many bytes of payload the peer may still send on the stream.
    window: Window,
    /// How many bytes were consumed since the window was last enlarged.
    consumed: u32,
    /// The handler reads: the window was enlarged to [`READ_STREAM_WINDOW`].
    is_enlarged: bool,
    /// Content that has arrived and waits for the handler.
    pub(super) unread: Vec<u8>,
    /// How many waiting bytes of this stream are counted in the connection's total.
    pub(super) counted: usize,
    /// Number of bytes of content that have not arrived; `None` if no length was announced.
    pub(super) remaining: Option<u64>,
    /// The request is an extended CONNECT: the bytes that arrive are not content of a request.
    pub(super) is_connect: bool,
    /// The end of the content, which waits for the handler: the trailers, which may be empty.
    /// `None` before the content ends, and after the handler got the end.
    pub(super) end: Option<OwnedTrailers>,
    /// The peer has ended its side of the stream.
    pub(super) has_ended: bool,
}

impl RequestContent {
    pub(super) fn new(head: &Head, has_ended: bool) -> Self {
        let is_connect = head.is_extended_connect;
        Self {
            window: Window::DEFAULT,
            consumed: 0,
            is_enlarged: false,
            unread: Vec::new(),
            counted: 0,
            remaining: match head.content {
                Content::None if is_connect => None,
                // With `Content-Length: 0`, an empty DATA frame may follow.
                Content::None => Some(0),
                Content::Length(length) => Some(length),
                Content::Chunked => None,
            },
            is_connect,
            // An extended CONNECT has no content, so a handler that reads content gets the end at
            // once.
            end: (has_ended || is_connect).then(OwnedTrailers::default),
            has_ended,
        }
    }

    /// Takes the bytes that wait for the handler.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        mem::take(&mut self.unread)
    }

    /// The length of the trailers that wait for the handler.
    pub(super) fn trailers_len(&self) -> usize {
        self.end.as_ref().map_or(0, OwnedTrailers::len)
    }

    /// How many bytes the peer may still send.
    pub(super) fn window(&self) -> u32 {
        self.window.available() as u32
    }

    /// How many waiting bytes of this stream are counted in the connection's total.
    pub(super) fn counted(&self) -> usize {
        self.counted
    }

    /// Takes `len` bytes, the payload of a DATA frame, out of the window. Returns false if the
    /// window is smaller.
    pub(super) fn take_window(&mut self, len: usize) -> bool {
        self.window.take(len)
    }

    /// Counts bytes of content or padding that were used or dropped: the window can be enlarged by
    /// them.
    pub(super) fn consume(&mut self, len: usize) {
        self.consumed += len as u32;
    }

    /// By how many bytes to enlarge the window now: 0 if it is not to be enlarged. `is_read`: a
    /// handler reads the content.
    pub(super) fn take_increment(&mut self, is_read: bool) -> u32 {
        let window = if self.is_enlarged { READ_STREAM_WINDOW } else { STREAM_WINDOW };
        if self.has_ended || self.consumed < window / 4 {
            return 0;
        }
        let mut increment = mem::take(&mut self.consumed);
        if is_read && !mem::replace(&mut self.is_enlarged, true) {
            increment += READ_STREAM_WINDOW - STREAM_WINDOW;
        }
        // The window can't get too large: it never exceeds [`READ_STREAM_WINDOW`].
        let _ = self.window.add(increment);
        increment
    }
}
