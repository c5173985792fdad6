//! The bare server ([`limit`](super)) for WebSockets: it answers the handshake, and then passes the
//! connection to [`Frames`]. All frames of a client must have the same length.

use std::{io, os::fd::OwnedFd};

use memchr::memmem;
use rustix::net::{RecvFlags, recv};
use sockeye::http_core::ws::accept_value;

use super::{
    echo::send_some,
    response::ResponseConnection,
    serve::{Connection, Next},
};

/// Answers the frames of a WebSocket.
pub(super) trait Frames: Connection {
    /// Called once, after the response to the handshake was sent.
    fn open(&mut self, socket: &OwnedFd) -> io::Result<()>;
}

/// Sends a constant frame for each frame that has arrived. Only counts bytes, since all frames of a
/// client have the same length.
impl Frames for ResponseConnection<'_> {
    fn open(&mut self, _: &OwnedFd) -> io::Result<()> {
        Ok(())
    }
}

const KEY: &[u8] = b"Sec-WebSocket-Key: ";

/// One connection. A client must not send a frame before it has the response to its handshake.
#[derive(Debug)]
pub(super) struct WebSocketConnection<F> {
    /// What has arrived of the request, until the WebSocket is open.
    opening: Option<Vec<u8>>,
    frames: F,
}

impl<F> WebSocketConnection<F> {
    pub(super) fn new(frames: F) -> Self {
        Self { opening: Some(Vec::new()), frames }
    }
}

impl<F: Frames> Connection for WebSocketConnection<F> {
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next> {
        let Some(opening) = &mut self.opening else { return self.frames.ready(socket, scratch) };
        let (received, _) = recv(socket, &mut *scratch, RecvFlags::empty())?;
        if received == 0 {
            return Ok(Next::Close);
        }
        opening.extend_from_slice(&scratch[..received]);
        if opening.ends_with(b"\r\n\r\n") {
            let Some(response) = response(opening) else { return Ok(Next::Close) };
            // The response fits into the socket's send buffer, which is still empty.
            send_some(socket, response.as_bytes())?;
            self.opening = None;
            self.frames.open(socket)?;
        }
        Ok(Next::Input)
    }
}

/// The response to a request that asks for a WebSocket.
fn response(request: &[u8]) -> Option<String> {
    let start = memmem::find(request, KEY)? + KEY.len();
    let len = memchr::memchr(b'\r', &request[start..])?;
    let accept = accept_value(&request[start..start + len]);
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_proves_that_the_key_was_read() {
        // RFC 6455, 1.3.
        let request = b"GET /chat HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let response = response(request).unwrap();
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_eq!(super::response(b"GET / HTTP/1.1\r\n\r\n"), None);
    }
}
