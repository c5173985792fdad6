//! A request's body on its way from the loop to a task.

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
use sockeye::proto::Promise;

/// With so many bytes on their way nothing more is read from the client.
const HIGH: usize = 128 * 1024;

/// With fewer than so many it is again.
const LOW: usize = 32 * 1024;

/// What a promise says when the body has room again.
pub(crate) struct HasRoom;

/// The body of a request, as a service takes it.
///
/// A client that sends faster than this is polled has to wait: at most 192 KiB are held here.
/// Dropping it says that the rest is not wanted. One that will never be complete ends with
/// [`Incomplete`].
pub struct RequestBody {
    shared: Arc<Shared>,
    left: Option<u64>,
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("left", &self.left).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    held: usize,
    end: Option<Result<HeaderMap, Incomplete>>,
    waker: Option<Waker>,
    /// To be kept when there is room.
    room: Option<Promise>,
    unwanted: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whoever waits for that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The loop's end of it. Dropping it says that no more will come.
pub(crate) struct BodyWriter(Arc<Shared>);

/// What became of a piece.
pub(crate) enum Written {
    /// There is room for more.
    HasRoom,
    /// There is none until the promise says so that is to be handed to [`BodyWriter::notify_when_room`].
    Full,
    /// Nobody wants it, nor what follows.
    Unwanted,
}

/// Makes both ends of a body.
pub(crate) fn body(content: Content) -> (BodyWriter, RequestBody) {
    let shared = Arc::new(Shared::default());
    let left = match content {
        Content::None => Some(0),
        Content::Length(length) => Some(length),
        Content::Chunked => None,
    };
    let writer = BodyWriter(Arc::clone(&shared));
    if content == Content::None {
        writer.end(HeaderMap::new());
    }
    (writer, RequestBody { shared, left })
}

impl BodyWriter {
    pub(crate) fn write(&self, piece: &[u8]) -> Written {
        let mut fed = Written::Unwanted;
        self.0.change(|state| {
            if !state.unwanted {
                state.pieces.push_back(Bytes::copy_from_slice(piece));
                state.held += piece.len();
                fed = if state.held >= HIGH { Written::Full } else { Written::HasRoom };
            }
        });
        fed
    }

    /// Has the promise kept when there is room and more is wanted; it is dropped when nothing more
    /// is.
    pub(crate) fn notify_when_room(&self, room: Promise) {
        // Whoever polls looks for it.
        self.0.change(|state| state.room = if state.unwanted { None } else { Some(room) });
    }

    pub(crate) fn end(&self, trailers: HeaderMap) {
        self.0.change(|state| state.end = Some(Ok(trailers)));
    }

    /// Says that no more will come. Returns whether somebody has the body who is told so by an error.
    pub(crate) fn abort(&self) -> bool {
        let mut is_told = false;
        self.0.change(|state| {
            let end = state.end.get_or_insert(Err(Incomplete));
            is_told = end.is_err() && !state.unwanted;
        });
        is_told
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
        state.held -= piece.as_ref().map_or(0, Bytes::len);
        let room = if state.held < LOW { state.room.take() } else { None };
        let polled = match (&piece, &mut state.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece.clone())))),
            (None, Some(Ok(trailers))) if trailers.is_empty() => Poll::Ready(None),
            (None, Some(Ok(trailers))) => {
                Poll::Ready(Some(Ok(Frame::trailers(std::mem::take(trailers)))))
            }
            (None, end @ Some(Err(Incomplete))) => {
                // An error is the last that is said.
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
            room.keep(Box::new(HasRoom));
        }
        if let (Some(left), Some(piece)) = (&mut self.left, piece) {
            *left = left.saturating_sub(piece.len() as u64);
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
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.unwanted = true;
        state.pieces.clear();
        state.held = 0;
        // Abandoning it tells the loop.
        let room = state.room.take();
        drop(state);
        drop(room);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn next(body: &mut RequestBody) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn pieces_trailers_and_the_end_come_in_order() {
        let (writer, mut body) = body(Content::Length(5));
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
    fn a_body_whose_client_has_gone_ends_with_an_error_once() {
        let (writer, mut body) = body(Content::Chunked);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (None, false));
        let _ = writer.write(b"a");
        drop(writer);
        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(next(&mut body), Poll::Ready(Some(Err(Incomplete)))));
        assert!(matches!(next(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn who_has_a_body_is_told_that_it_broke_off() {
        let (writer, mut read) = body(Content::Length(5));
        assert!(next(&mut read).is_pending());
        assert!(writer.abort());
        assert!(matches!(next(&mut read), Poll::Ready(Some(Err(Incomplete)))));
        let (writer, dropped) = body(Content::Length(5));
        drop(dropped);
        assert!(!writer.abort(), "nobody has it");
        let (writer, _whole) = body(Content::Length(5));
        writer.end(HeaderMap::new());
        assert!(!writer.abort(), "it is complete");
    }

    #[test]
    fn a_full_body_takes_no_more_and_a_dropped_one_nothing() {
        let (writer, taken) = body(Content::Chunked);
        assert!(matches!(writer.write(&[0; HIGH - 1]), Written::HasRoom));
        assert!(matches!(writer.write(&[0]), Written::Full));
        drop(taken);
        assert!(matches!(writer.write(b"a"), Written::Unwanted));
        assert!(body(Content::None).1.is_end_stream());
    }
}
