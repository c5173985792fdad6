//! The task that calls the service, and passes the response to the event loop in batches that the
//! event loop requests.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Request, Response, response};
use http_body::Body;
use sockeye::proto::Promise;
use tokio::sync::mpsc;
use tower_service::Service;
use tracing::{debug, error};

use crate::RequestBody;
use crate::watch::PollToken;

/// A [`Batch`] ends when it has at least this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Number of empty frames in a row that abort a response.
const MAX_EMPTY_FRAMES: u32 = 1024;

/// A response's head, and the part of its body that was ready with it.
pub(crate) struct ResponseStart {
    pub(crate) head: response::Parts,
    /// The length of the body, if known.
    pub(crate) length: Option<u64>,
    pub(crate) first_batch: Batch,
}

/// A part of a response's body.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) pieces: Vec<Bytes>,
    /// `None` if more batches follow, and for HEAD.
    pub(crate) end: Option<BodyEnd>,
}

/// How a response's body ended.
pub(crate) enum BodyEnd {
    /// The body is complete, with these trailers.
    Complete(HeaderMap),
    /// The body returned an error, which has been logged.
    Failed,
    /// The body returned [`MAX_EMPTY_FRAMES`] empty frames in a row.
    EmptyFrames,
}

/// Calls the service. Fulfills `start` with the [`ResponseStart`], and each promise from
/// `batch_requests` with the next [`Batch`]. Drops `poll_token` at the first poll, which tells the
/// [`Watchdog`](crate::watch::Watchdog) that the runtime runs.
pub(crate) async fn answer<S, B>(
    mut service: S,
    request: Request<RequestBody>,
    start: Promise,
    mut batch_requests: mpsc::UnboundedReceiver<Promise>,
    poll_token: PollToken,
) where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: fmt::Display,
    B: Body,
    B::Error: fmt::Display,
{
    drop(poll_token);
    let head_only = request.method() == Method::HEAD;
    let response = match poll_fn(|cx| service.poll_ready(cx)).await {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    let (head, body) = match response {
        Ok(response) => response.into_parts(),
        Err(error) => {
            log_failure("a service failed", &error, &batch_requests);
            return; // Dropping the promise `start` makes the event loop answer 500.
        }
    };
    let length = body.size_hint().exact();
    if head_only {
        start.fulfill(Box::new(ResponseStart { head, length, first_batch: Batch::default() }));
        return;
    }
    let mut body = pin!(body);
    let mut empty_frames = 0;
    // The head is sent with the part of the body that is ready, and doesn't wait for more.
    let first_batch = poll_fn(|cx| {
        Poll::Ready(match poll_batch(body.as_mut(), &mut empty_frames, &batch_requests, cx) {
            Poll::Ready(batch) => batch,
            Poll::Pending => Batch::default(),
        })
    })
    .await;
    let mut ended = first_batch.end.is_some();
    start.fulfill(Box::new(ResponseStart { head, length, first_batch }));
    while !ended && let Some(promise) = batch_requests.recv().await {
        let batch =
            poll_fn(|cx| poll_batch(body.as_mut(), &mut empty_frames, &batch_requests, cx)).await;
        ended = batch.end.is_some();
        promise.fulfill(Box::new(batch));
    }
}

/// Logs that the service failed. If the request has already ended, for example because its client
/// left, the service isn't to blame, and the level is `debug` instead of `error`.
fn log_failure(
    what: &str,
    error: &impl fmt::Display,
    batch_requests: &mpsc::UnboundedReceiver<Promise>,
) {
    if batch_requests.is_closed() {
        debug!(target: "sockeye", %error, what, "the request is over");
    } else {
        error!(target: "sockeye", %error, "{what}");
    }
}

/// Collects the part of a body that is ready. Pending if nothing is ready. `empty_frames` is the
/// number of empty frames in a row so far.
fn poll_batch<B: Body>(
    mut body: Pin<&mut B>,
    empty_frames: &mut u32,
    batch_requests: &mpsc::UnboundedReceiver<Promise>,
    cx: &mut Context<'_>,
) -> Poll<Batch>
where
    B::Error: fmt::Display,
{
    let mut batch = Batch::default();
    let mut len = 0;
    while len < BATCH_BYTES && batch.end.is_none() {
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(mut data) => {
                    let piece = data.copy_to_bytes(data.remaining());
                    if piece.is_empty() {
                        *empty_frames += 1;
                        if *empty_frames >= MAX_EMPTY_FRAMES {
                            batch.end = Some(BodyEnd::EmptyFrames);
                        }
                        continue;
                    }
                    *empty_frames = 0;
                    len += piece.len();
                    batch.pieces.push(piece);
                }
                Err(frame) => {
                    batch.end = Some(BodyEnd::Complete(frame.into_trailers().unwrap_or_default()));
                }
            },
            Poll::Ready(Some(Err(error))) => {
                log_failure("a response's body failed", &error, batch_requests);
                batch.end = Some(BodyEnd::Failed);
            }
            Poll::Ready(None) => batch.end = Some(BodyEnd::Complete(HeaderMap::new())),
            Poll::Pending if len == 0 => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(batch)
}
