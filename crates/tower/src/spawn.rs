//! An async block as the response of a closure.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sockeye::http::Reply;
use tokio::runtime::Handle;

/// Runs `future` as a task of `runtime`, and responds with its output: for closures of
/// [`sockeye::http::serve`] that have to await something.
///
/// ```
/// use sockeye::http::{self, Body, Options, Reply, Request};
///
/// let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
/// let tasks = runtime.handle().clone();
/// // Runs on the event loop: don't block.
/// let answer = move |request: Request<Body>| match request.uri().path() {
///     "/slow" => sockeye_tower::spawn(&tasks, async {
///         tokio::task::yield_now().await; // A query, say.
///         "Hello from a task\n"
///     }),
///     _ => "Hello\n".into(),
/// };
/// let serving = http::serve(&["127.0.0.1:0".parse()?], Options::default(), answer)?;
/// # use std::io::{Read, Write};
/// # let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
/// # client.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
/// # let mut response = String::new();
/// # client.read_to_string(&mut response)?;
/// # assert!(response.ends_with("Hello from a task\n"), "{response}");
/// # serving.handle().drain();
/// serving.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// If the future needs the request's body, call this in the closure of
/// [`Body::collect`](sockeye::http::Body::collect).
///
/// The future is dropped where it waits (while it runs: where it waits next) when the connection
/// (in HTTP/2, the stream) is gone, for example because the client has reset it, or when the client
/// gets a 503 after [`Limits::response_timeout`](sockeye::http::Limits::response_timeout). If the
/// future panics, or `runtime` has shut down, the client gets a 500. Some thread has to drive
/// `runtime`: see [the runtime](crate#the-runtime). Unlike [`serve`](crate::serve), this function
/// logs no warning if no thread drives it.
pub fn spawn<R: Into<Reply>>(
    runtime: &Handle,
    future: impl Future<Output = R> + Send + 'static,
) -> Reply {
    let runtime = runtime.clone();
    Reply::later(move |pending| {
        // If the task ends without a response, dropping `pending` makes the response a 500.
        runtime.spawn(async move {
            let mut gone = pin!(pending.gone());
            let mut future = pin!(future);
            let output = poll_fn(|cx| match gone.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => future.as_mut().poll(cx).map(Some),
            });
            if let Some(output) = output.await {
                pending.send(output);
            }
        });
    })
}
