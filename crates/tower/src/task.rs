//! The task that has a request answered, and hands the response to the loop as that takes it.

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

/// Bytes of a response that travel together: what is ready, up to about so many.
const TOGETHER: usize = 64 * 1024;

/// With so many empty frames in a row, a body is taken to give nothing else for ever.
const MOST_EMPTY: u32 = 1024;

/// A response's head on its way, with what was ready of its body.
pub(crate) struct ResponseStart {
    pub(crate) head: response::Parts,
    /// How long the body is, where it says so.
    pub(crate) length: Option<u64>,
    pub(crate) first: Batch,
}

/// Some of a response's body on its way.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) end: Option<BodyEnd>,
}

/// How a response's body ended.
pub(crate) enum BodyEnd {
    Complete(HeaderMap),
    Failed,
    /// It gave nothing but empty frames, for so long that it may do so for ever.
    EmptyFrames,
}

/// Answers a request. `answer` is kept with the [`ResponseStart`], and each promise of `pulls` with a
/// [`Batch`] when there is one. `unpolled` is dropped when this is first polled.
pub(crate) async fn answer<S, B>(
    mut service: S,
    request: Request<RequestBody>,
    answer: Promise,
    mut pulls: mpsc::UnboundedReceiver<Promise>,
    unpolled: PollToken,
) where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: fmt::Display,
    B: Body,
    B::Error: fmt::Display,
{
    drop(unpolled);
    let head_only = request.method() == Method::HEAD;
    let called = match poll_fn(|cx| service.poll_ready(cx)).await {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    // Dropping the promise is a 500.
    let (head, body) = match called {
        Ok(response) => response.into_parts(),
        Err(error) => {
            failed("a service failed", &error, &pulls);
            return;
        }
    };
    let length = body.size_hint().exact();
    if head_only {
        // Nothing of it is sent.
        answer.keep(Box::new(ResponseStart { head, length, first: Batch::default() }));
        return;
    }
    let mut body = pin!(body);
    // What is ready goes with the head; that nothing is, is no reason to wait.
    let mut empty = 0;
    let first = poll_fn(|cx| Poll::Ready(gather(body.as_mut(), &mut empty, &pulls, cx))).await;
    let first = match first {
        Poll::Ready(batch) => batch,
        Poll::Pending => Batch::default(),
    };
    let mut over = first.end.is_some();
    answer.keep(Box::new(ResponseStart { head, length, first }));
    while !over && let Some(pull) = pulls.recv().await {
        let batch = poll_fn(|cx| gather(body.as_mut(), &mut empty, &pulls, cx)).await;
        over = batch.end.is_some();
        pull.keep(Box::new(batch));
    }
}

/// Tells the log of a failure. Without anybody who pulls the request is over, and what its client broke
/// off is no fault of the service.
fn failed(what: &str, error: &impl fmt::Display, pulls: &mpsc::UnboundedReceiver<Promise>) {
    if pulls.is_closed() {
        debug!(target: "sockeye", %error, what, "the request was broken off");
    } else {
        error!(target: "sockeye", %error, "{what}");
    }
}

/// Gathers what is ready of a body, whose last frames were `empty` ones.
fn gather<B: Body>(
    mut body: Pin<&mut B>,
    empty: &mut u32,
    pulls: &mpsc::UnboundedReceiver<Promise>,
    cx: &mut Context<'_>,
) -> Poll<Batch>
where
    B::Error: fmt::Display,
{
    let mut batch = Batch::default();
    let mut bytes = 0;
    while bytes < TOGETHER && batch.end.is_none() {
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(mut data) => {
                    let piece = data.copy_to_bytes(data.remaining());
                    if piece.is_empty() {
                        *empty += 1;
                        if *empty >= MOST_EMPTY {
                            batch.end = Some(BodyEnd::EmptyFrames);
                        }
                        continue;
                    }
                    *empty = 0;
                    bytes += piece.len();
                    batch.pieces.push(piece);
                }
                Err(frame) => {
                    batch.end = Some(BodyEnd::Complete(frame.into_trailers().unwrap_or_default()));
                }
            },
            Poll::Ready(Some(Err(error))) => {
                failed("a response's body failed", &error, pulls);
                batch.end = Some(BodyEnd::Failed);
            }
            Poll::Ready(None) => batch.end = Some(BodyEnd::Complete(HeaderMap::new())),
            Poll::Pending if bytes == 0 => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(batch)
}
