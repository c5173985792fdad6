//! tungstenite as a client, over HTTP/1.1 and HTTP/2.

use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::{SinkExt, StreamExt};
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::client::TIMEOUT;

/// How a WebSocket begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// By a GET with `Upgrade: websocket` (RFC 6455).
    Http1,
    /// By a CONNECT with `:protocol` (RFC 8441), on a connection of its own.
    Http2,
}

pub(crate) const WIRES: [Wire; 2] = [Wire::Http1, Wire::Http2];

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(crate) type Client = WebSocketStream<Box<dyn Io>>;

/// Opens a WebSocket. Returns the response's fields, too.
pub(crate) async fn open_with(
    wire: Wire,
    address: &str,
    path: &str,
    fields: &[(&'static str, &str)],
) -> (Client, HeaderMap) {
    let stream = TcpStream::connect(address).await.unwrap();
    match wire {
        Wire::Http1 => {
            let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
            for (name, value) in fields {
                request.headers_mut().insert(*name, value.parse().unwrap());
            }
            let stream: Box<dyn Io> = Box::new(stream);
            let opened = tokio_tungstenite::client_async(request, stream);
            let (client, response) = within(opened).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            (client, response.headers().clone())
        }
        Wire::Http2 => {
            let mut requests = start_http2(stream, address).await;
            let request = connect(address, path, "websocket", fields);
            let response = within(requests.send_request(request)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let fields = response.headers().clone();
            let upgraded = within(hyper::upgrade::on(response)).await.unwrap();
            let stream: Box<dyn Io> = Box::new(TokioIo::new(upgraded));
            (WebSocketStream::from_raw_socket(stream, Role::Client, None).await, fields)
        }
    }
}

/// A connection of HTTP/2 whose server allows extended CONNECT.
pub(crate) async fn start_http2(stream: TcpStream, address: &str) -> http2::SendRequest<String> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut requests, connection) = within(handshake).await.unwrap();
    tokio::spawn(connection);
    // The server's settings arrive before its first response.
    let request = Request::get(format!("http://{address}/nowhere")).body(String::new()).unwrap();
    let response = within(requests.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    requests
}

/// A request for an upgrade to `protocol`.
pub(crate) fn connect(
    address: &str,
    path: &str,
    protocol: &'static str,
    fields: &[(&'static str, &str)],
) -> Request<String> {
    let mut request = Request::connect(format!("http://{address}{path}"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .body(String::new())
        .unwrap();
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

pub(crate) async fn open(wire: Wire, address: &str, path: &str) -> Client {
    open_with(wire, address, path, &[]).await.0
}

/// Far longer than anything here should take.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TIMEOUT, future).await.expect("in time")
}

pub(crate) async fn next(client: &mut Client) -> Message {
    within(client.next()).await.expect("a message").unwrap()
}

pub(crate) async fn send(client: &mut Client, text: &str) {
    within(client.send(Message::text(text))).await.unwrap();
}

/// Closes, and expects that the server closes, too.
pub(crate) async fn close(mut client: Client) {
    within(client.close(None)).await.unwrap();
    assert!(matches!(next(&mut client).await, Message::Close(_)));
    assert!(within(client.next()).await.is_none());
}
