//! A client of HTTP/2 on a blocking stream, with or without TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A blocking stream for asynchronous code, which tries to read again and again.
struct Polled<S>(S);

/// How long each try to read waits.
const TRY: Duration = Duration::from_millis(1);

/// Connects to `address`, without TLS.
pub(crate) async fn connect(address: &str) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    start(&socket.try_clone().unwrap(), socket).await
}

/// Starts HTTP/2 on `stream`, which uses `socket`.
pub(crate) async fn start(
    socket: &TcpStream,
    stream: impl Read + Write + Unpin + Send + 'static,
) -> SendRequest<Bytes> {
    socket.set_read_timeout(Some(TRY)).unwrap();
    let (requests, connection) = h2::client::handshake(Polled(stream)).await.unwrap();
    // It ends with an error if the server closes the connection.
    tokio::spawn(async move { drop(connection.await) });
    requests.ready().await.unwrap()
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) head: Response<()>,
    pub(crate) content: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Received {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    /// The value of a field, empty without one.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.head.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }
}

/// Sends a request without content. Returns its response, or why the stream was reset.
pub(crate) async fn exchange(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Result<Received, Option<Reason>> {
    let (response, _) = requests.send_request(request, true).map_err(|error| error.reason())?;
    receive(response.await.map_err(|error| error.reason())?).await
}

/// Receives the rest of a response.
pub(crate) async fn receive(response: Response<RecvStream>) -> Result<Received, Option<Reason>> {
    let (head, mut body) = response.into_parts();
    let mut content = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| error.reason())?;
        body.flow_control().release_capacity(piece.len()).unwrap();
        content.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.map_err(|error| error.reason())?;
    Ok(Received { head: Response::from_parts(head, ()), content: content.into(), trailers })
}

impl<S: Read + Unpin> AsyncRead for Polled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.read(buffer.initialize_unfilled()) {
            Ok(count) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: Write + Unpin> AsyncWrite for Polled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
