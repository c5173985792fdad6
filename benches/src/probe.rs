//! One careful request before the many: what does this server's reply look like?

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use memchr::memmem;

use crate::Result;

const PATIENCE: Duration = Duration::from_secs(5);
/// No server here sends a head that is longer.
const HEAD_MAX: usize = 8 << 10;

/// A whole reply.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// A connection on which nothing waits for ever.
pub(crate) fn connect(target: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&target, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Sends a request and reads the reply to its last byte.
pub(crate) fn exchange(socket: &mut TcpStream, request: &[u8]) -> Result<Reply> {
    socket.write_all(request)?;
    let mut head = Vec::new();
    let end = loop {
        if let Some(at) = memmem::find(&head, b"\r\n\r\n") {
            break at + 4;
        }
        let mut some = [0; 4096];
        let received = socket.read(&mut some)?;
        if received == 0 || head.len() > HEAD_MAX {
            return Err("the reply has no end of its head".into());
        }
        head.extend_from_slice(&some[..received]);
    };
    let mut body = head.split_off(end);
    let length = content_length(&head)?;
    let present = body.len();
    if present > length {
        return Err("the reply is longer than it says".into());
    }
    body.resize(length, 0);
    socket.read_exact(&mut body[present..])?;
    Ok(Reply { head, body })
}

/// Sends a request in a frame, and returns the frame that answers it.
pub(crate) fn frame(target: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let mut socket = connect(target)?;
    socket.write_all(request)?;
    let mut frame = vec![0; 2];
    socket.read_exact(&mut frame)?;
    let header = usize::from(u16::from_be_bytes([frame[0], frame[1]]));
    frame.resize(2 + header, 0);
    socket.read_exact(&mut frame[2..])?;
    let content = frame_length(&frame[2..])?;
    frame.resize(2 + header + content, 0);
    socket.read_exact(&mut frame[2 + header..])?;
    Ok(frame)
}

/// What a frame's header says of its content. The servers here all space it alike.
fn frame_length(header: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(header)?;
    let (_, rest) = text.split_once("\"content-length\": ").ok_or("no content-length")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Ok(rest[..end].parse()?)
}

fn content_length(head: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(head)?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("not 200: {}", text.lines().next().unwrap_or_default()).into());
    }
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = fields
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("the reply has no Content-Length")?;
    Ok(length.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_the_reply_is() {
        let length = content_length(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 13\r\n\r\n");
        assert_eq!(length.unwrap(), 13);
        assert!(content_length(b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n").is_err());
        assert!(content_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_header_says_how_long_the_content_is() {
        assert_eq!(frame_length(br#"{"content-length": 43, "id": 7}"#).unwrap(), 43);
        assert_eq!(frame_length(br#"{"a": 1, "content-length": 0}"#).unwrap(), 0);
        assert!(frame_length(b"{}").is_err());
    }
}
