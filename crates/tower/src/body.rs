//! The body of a request: the event loop writes it, and the task of the request polls it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use sockeye::http::Incomplete;
use sockeye::http_core::Content;
use sockeye::proto::{Permit, Promise};

/// The event loop stops reading a body when this number of bytes is buffered.
const HIGH_WATER: usize = 128 * 1024;

/// The event loop reads the body again when fewer bytes are buffered.
const LOW_WATER: usize = 32 * 1024;

/// The message to the event loop that a body has room again. A promise sends it.
pub(crate) struct HasRoom;

/// The body of a request.
///
/// It slows down a client that sends faster than the service polls. Over HTTP/1.1, it buffers up to
/// 196 KiB: 128 KiB, and one receive of 68 KiB. Over HTTP/2, it buffers up to 544 KiB: 32 KiB, and
/// a stream's window of 512 KiB. Since an HTTP/2 connection has many bodies, their buffered bytes
/// are charged to [`Options::collected`]. Once that budget, or the client's share of it, is spent,
/// a body that buffers anything counts as full. After a `RequestBody` is dropped, the rest of the
/// body is not read. An incomplete body ends with [`Incomplete`].
///
/// [`Options::collected`]: sockeye::http::Options::collected
pub struct RequestBody {
    shared: Arc<SharedBody>,
    /// Number of bytes that have not been polled yet, if known.
    remaining: Option<u64>,
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

/// What both ends of a body share.
#[derive(Default)]
struct SharedBody(Mutex<BodyState>);

#[derive(Default)]
struct BodyState {
    pieces: VecDeque<Bytes>,
    /// Number of bytes in `pieces`.
    buffered: usize,
    /// Charges the client for the buffered bytes, over HTTP/2.
    permit: Option<Permit>,
    /// How the body ends after `pieces`: with trailers or with an error. `None` while more may
    /// follow.
    end: Option<Result<HeaderMap, Incomplete>>,
    /// Wakes the task that polls the body.
    waker: Option<Waker>,
    /// The promise to fulfill when there is room.
    room: Option<Promise>,
    /// Whether the [`RequestBody`] was dropped.
    dropped: bool,
}

impl BodyState {
    /// Charges the client for the buffered bytes, even if the budget has no room for them, because
    /// they are in memory anyway. Returns whether the budget had room.
    fn charge(&mut self) -> bool {
        let Some(permit) = &mut self.permit else { return true };
        let buffered = self.buffered as u64;
        let has_room = permit.resize(buffered);
        if !has_room {
            permit.set(buffered);
        }
        has_room
    }
}

impl SharedBody {
    fn lock(&self) -> MutexGuard<'_, BodyState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the task that polls the body.
    fn change<T>(&self, change: impl FnOnce(&mut BodyState) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }
}

/// Writes a request's body to its [`RequestBody`]. If the writer is dropped before it has called
/// [`end`](BodyWriter::end), the body is incomplete.
pub(crate) struct BodyWriter(Arc<SharedBody>);

/// The state of a body after [`BodyWriter::write`].
pub(crate) enum Written {
    /// There is room for more.
    HasRoom,
    /// There is no room: see [`BodyWriter::notify_when_room`].
    Full,
    /// The body was dropped.
    BodyDropped,
}

/// Makes both ends of a body. The bytes that it buffers are charged to `permit`, if there is one.
pub(crate) fn body(content: Content, permit: Option<Permit>) -> (BodyWriter, RequestBody) {
    let shared = Arc::new(SharedBody(Mutex::new(BodyState { permit, ..BodyState::default() })));
    let remaining = match content {
        Content::None => Some(0),
        Content::Length(length) => Some(length),
        Content::Chunked => None,
    };
    let writer = BodyWriter(Arc::clone(&shared));
    if content == Content::None {
        writer.end(HeaderMap::new());
    }
    (writer, RequestBody { shared, remaining })
}

impl BodyWriter {
    /// Passes a piece to the body. Drops the piece if the body was dropped.
    pub(crate) fn write(&self, piece: &[u8]) -> Written {
        self.0.change(|state| {
            if state.dropped {
                return Written::BodyDropped;
            }
            state.pieces.push_back(Bytes::copy_from_slice(piece));
            state.buffered += piece.len();
            let has_room = state.charge() && state.buffered < HIGH_WATER;
            if has_room { Written::HasRoom } else { Written::Full }
        })
    }

    /// Fulfills the promise `room` when a poll leaves fewer than [`LOW_WATER`] bytes in the body.
    /// Abandons the promise when the body is dropped.
    pub(crate) fn notify_when_room(&self, room: Promise) {
        self.0.change(|state| state.room = if state.dropped { None } else { Some(room) });
    }

    /// Ends the body as complete.
    pub(crate) fn end(&self, trailers: HeaderMap) {
        self.0.change(|state| state.end = Some(Ok(trailers)));
    }

    /// Ends the body with [`Incomplete`], if it is not complete. Returns whether a task will see
    /// that error.
    pub(crate) fn abort(&self) -> bool {
        self.0.change(|state| {
            let end = state.end.get_or_insert(Err(Incomplete));
            end.is_err() && !state.dropped
        })
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let mut state = self.shared.lock();
        let piece = state.pieces.pop_front();
        if let Some(piece) = &piece {
            state.buffered -= piece.len();
            state.charge();
        }
        let room = if state.buffered < LOW_WATER { state.room.take() } else { None };
        let polled = match (&piece, &mut state.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece.clone())))),
            (None, Some(Ok(trailers))) if trailers.is_empty() => Poll::Ready(None),
            (None, Some(Ok(trailers))) => {
                Poll::Ready(Some(Ok(Frame::trailers(std::mem::take(trailers)))))
            }
            (None, end @ Some(Err(Incomplete))) => {
                // Nothing follows an error.
                *end = Some(Ok(HeaderMap::new()));
                Poll::Ready(Some(Err(Incomplete)))
            }
            (None, None) => Poll::Pending,
        };
        if polled.is_pending() {
            state.waker = Some(cx.waker().clone());
        }
        drop(state);
        if let Some(room) = room {
            room.fulfill(Box::new(HasRoom));
        }
        if let (Some(remaining), Some(piece)) = (&mut self.remaining, piece) {
            *remaining = remaining.saturating_sub(piece.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        let ended =
            state.end.as_ref().is_some_and(|end| end.as_ref().is_ok_and(HeaderMap::is_empty));
        ended && state.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.dropped = true;
        state.pieces.clear();
        state.buffered = 0;
        state.permit = None;
        let room = state.room.take();
        drop(state);
        // Dropping the promise abandons it, which notifies the event loop. The lock is not held
        // meanwhile.
        drop(room);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use sockeye::proto::{Budget, Client};

    use super::*;

    fn next(body: &mut RequestBody) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn pieces_trailers_and_the_end_come_in_order() {
        let (writer, mut body) = body(Content::Length(5), None);
        assert!(next(&mut body).is_pending());
        assert!(matches!(writer.write(b"ab"), Written::HasRoom));
        assert!(matches!(writer.write(b"cde"), Written::HasRoom));
        let mut trailers = HeaderMap::new();
        trailers.insert("a", "b".parse().unwrap());
        writer.end(trailers);
        drop(writer);
        let mut seen = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = next(&mut body) {
            match frame.into_data() {
                Ok(data) => seen.extend_from_slice(&data),
                Err(frame) => assert_eq!(frame.trailers_ref().unwrap()["a"], "b"),
            }
        }
        assert_eq!((&*seen, body.size_hint().exact()), (&b"abcde"[..], Some(0)));
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_body_whose_client_has_left_ends_with_an_error_once() {
        let (writer, mut body) = body(Content::Chunked, None);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (None, false));
        let _ = writer.write(b"a");
        drop(writer);
        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(next(&mut body), Poll::Ready(Some(Err(Incomplete)))));
        assert!(matches!(next(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn a_body_that_is_not_dropped_ends_with_incomplete_when_it_is_aborted() {
        let (writer, mut read) = body(Content::Length(5), None);
        assert!(next(&mut read).is_pending());
        assert!(writer.abort());
        assert!(matches!(next(&mut read), Poll::Ready(Some(Err(Incomplete)))));
        let (writer, dropped) = body(Content::Length(5), None);
        drop(dropped);
        assert!(!writer.abort(), "no task will see the error");
        let (writer, _whole) = body(Content::Length(5), None);
        writer.end(HeaderMap::new());
        assert!(!writer.abort(), "it is complete");
    }

    #[test]
    fn a_writer_learns_that_its_body_is_full_or_dropped() {
        let (writer, reader) = body(Content::Chunked, None);
        assert!(matches!(writer.write(&[0; HIGH_WATER - 1]), Written::HasRoom));
        assert!(matches!(writer.write(&[0]), Written::Full));
        drop(reader);
        assert!(matches!(writer.write(b"a"), Written::BodyDropped));
        assert!(body(Content::None, None).1.is_end_stream());
    }

    #[test]
    fn what_is_buffered_is_charged_and_a_spent_budget_leaves_room_for_one_piece() {
        let budget = Budget::new("bytes", 12);
        let client = Client::V4([192, 0, 2, 1]); // Its share is a quarter of the budget: 3 bytes.
        let (writer, mut reader) = body(Content::Chunked, Some(budget.empty_permit(client)));
        assert!(matches!(writer.write(b"abc"), Written::HasRoom));
        assert!(matches!(writer.write(b"de"), Written::Full));
        assert_eq!(budget.used(), 5);
        for left in [2, 0] {
            assert!(next(&mut reader).is_ready());
            assert_eq!(budget.used(), left);
        }
        assert!(matches!(writer.write(b"f"), Written::HasRoom));
        drop(writer);
        assert_eq!(budget.used(), 1);
        drop(reader);
        assert_eq!(budget.used(), 0);
    }
}
