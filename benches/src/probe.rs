//! Makes one request over HTTP/1.1, or one in a frame of the message protocol, to learn a server's
//! response.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::Result;

const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum length of a head, which no server here exceeds.
const HEAD_MAX: usize = 8 << 10;

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Opens a connection with timeouts.
pub(crate) fn connect(target: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&target, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// Sends a request and reads the response to its last byte.
pub(crate) fn exchange(mut socket: impl Read + Write, request: &[u8]) -> Result<Response> {
    socket.write_all(request)?;
    // The server sends nothing after this response, so the reader buffers no bytes of a later one.
    let mut reader = BufReader::new(socket);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if line(&mut reader, &mut head)? == 0 || head.len() > HEAD_MAX {
            return Err("the response's head has no end".into());
        }
    }
    let mut body = Vec::new();
    match framing(&head)? {
        Framing::Length(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        Framing::Chunks => chunks(&mut reader, &mut body)?,
    }
    if !reader.buffer().is_empty() {
        return Err("the response is followed by further bytes".into());
    }
    Ok(Response { head, body })
}

/// Reads to the end of a line. Returns its length.
fn line(reader: &mut impl BufRead, into: &mut Vec<u8>) -> Result<usize> {
    Ok(reader.take(HEAD_MAX as u64).read_until(b'\n', into)?)
}

/// Reads chunks up to the last one. No server here sends trailers.
fn chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let mut size = Vec::new();
        line(reader, &mut size)?;
        let size = usize::from_str_radix(str::from_utf8(&size)?.trim_end(), 16)?;
        let begin = body.len();
        body.resize(begin + size, 0);
        reader.read_exact(&mut body[begin..])?;
        let mut end = [0; 2];
        reader.read_exact(&mut end)?;
        if end != *b"\r\n" {
            return Err("a chunk is longer than its size".into());
        }
        if size == 0 {
            return Ok(());
        }
    }
}

/// Sends `request`, a frame of the message protocol, and returns the frame of the response. A frame
/// is the length of its header (2 bytes), the header, and the content, whose length is in the
/// header.
pub(crate) fn exchange_frame(target: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
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

/// The value of the key `content-length` in a frame's header. The JSON isn't parsed, because all
/// servers here write the key and its value with the same spaces.
fn frame_length(header: &[u8]) -> Result<usize> {
    let text = str::from_utf8(header)?;
    let (_, rest) = text.split_once("\"content-length\": ").ok_or("no content-length")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Ok(rest[..end].parse()?)
}

/// How a response ends.
#[derive(Debug, PartialEq)]
enum Framing {
    Length(usize),
    Chunks,
}

fn framing(head: &[u8]) -> Result<Framing> {
    let text = str::from_utf8(head)?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("not 200: {}", text.lines().next().unwrap_or_default()).into());
    }
    let field = |wanted: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    match (field("content-length"), field("transfer-encoding")) {
        (Some(length), None) => Ok(Framing::Length(length.parse()?)),
        (None, Some("chunked")) => Ok(Framing::Chunks),
        _ => Err("the response has neither a length nor chunks".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_response_is_read_from_its_head() {
        let of = |fields: &str| framing(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
        assert_eq!(of("content-LENGTH: 13\r\n").unwrap(), Framing::Length(13));
        assert_eq!(of("transfer-encoding: chunked\r\n").unwrap(), Framing::Chunks);
        assert!(of("").is_err());
        assert!(framing(b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n").is_err());
    }

    #[test]
    fn chunks_are_joined() {
        let mut body = Vec::new();
        chunks(&mut &b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"[..], &mut body).unwrap();
        assert_eq!(body, b"abc0123456789");
        for wrong in [&b"3\r\nabcd\r\n0\r\n\r\n"[..], b"3\r\nab", b"x\r\n", b""] {
            assert!(chunks(&mut &wrong[..], &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn the_content_length_is_read_from_the_header() {
        assert_eq!(frame_length(br#"{"content-length": 43, "id": 7}"#).unwrap(), 43);
        assert_eq!(frame_length(br#"{"a": 1, "content-length": 0}"#).unwrap(), 0);
        assert!(frame_length(b"{}").is_err());
    }
}
