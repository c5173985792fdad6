//! The bare server for HTTP/1.1, where each request ends at a blank line, and for frames (of
//! WebSockets or of Sockeye's message protocol) that all have the same length. It sends the same
//! response for every request.

use std::{fs::File, io, os::fd::OwnedFd};

use memchr::memmem;
use rustix::{
    fs::sendfile,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::{
    echo::send_some,
    serve::{Connection, Next},
};

/// Maximum number of copies of a small response that are sent with one call.
const BATCH: usize = 64;
/// Maximum size of these copies together, in bytes. A larger response is sent as one copy.
const BATCH_BYTES: usize = 256 << 10;
/// Maximum number of bytes of a file that one `sendfile` sends. [`Connection::ready`] returns when
/// it has sent at least this many bytes. A smaller number would take more system calls. With a
/// larger one, a response of 1 MiB costs two or three times as much if there are 64 connections.
pub(super) const QUANTUM: usize = 128 << 10;
const BLANK_LINE: &[u8; 4] = b"\r\n\r\n";

/// The response, which is the same for every request.
#[derive(Debug)]
pub(super) struct Response {
    body: Body,
    /// The length of one response with its head, in bytes.
    len: usize,
    /// The connection closes after this number of responses.
    max_responses: Option<usize>,
}

#[derive(Debug)]
enum Body {
    /// Copies of the whole response.
    Copies(Vec<u8>),
    File {
        head: Vec<u8>,
        file: File,
    },
}

impl Response {
    pub(super) fn from_memory(response: Vec<u8>, max_responses: Option<usize>) -> Self {
        let len = response.len();
        let copies = (BATCH_BYTES / len.max(1)).clamp(1, BATCH);
        Self { body: Body::Copies(response.repeat(copies)), len, max_responses }
    }

    pub(super) fn from_file(head: Vec<u8>, file: File) -> io::Result<Self> {
        let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let len = head.len() + size;
        Ok(Self { body: Body::File { head, file }, len, max_responses: None })
    }

    pub(super) fn connection(&self, end: RequestEnd) -> ResponseConnection<'_> {
        ResponseConnection { response: self, end, unsent: 0, responses_left: self.max_responses }
    }

    /// Makes one call to send a part of the `owed` bytes, which are still to be sent to `socket`.
    /// Returns how many bytes the kernel accepted, and how many it was offered.
    fn send(&self, socket: &OwnedFd, owed: usize) -> io::Result<(usize, usize)> {
        // All responses are equal, so `owed` also gives the position in a response.
        let at = (self.len - owed % self.len) % self.len;
        let (head, file) = match &self.body {
            Body::Copies(copies) => {
                let end = copies.len().min(at + owed);
                return Ok((send_some(socket, &copies[at..end])?, end - at));
            }
            Body::File { head, file } => (head, file),
        };
        let (sent, offered) = if at < head.len() {
            let rest = &head[at..];
            (send(socket, rest, SendFlags::NOSIGNAL | SendFlags::MORE), rest.len())
        } else {
            let offered = QUANTUM.min(self.len - at);
            let mut offset = (at - head.len()) as u64;
            (sendfile(socket, file, Some(&mut offset), offered), offered)
        };
        match sent {
            Ok(sent) => Ok((sent, offered)),
            Err(Errno::AGAIN) => Ok((0, offered)),
            Err(error) => Err(error.into()),
        }
    }
}

/// How a connection finds the ends of requests, and how much of the current request has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestEnd {
    /// At a blank line. `matched` is the number of bytes of CR LF CR LF that have arrived.
    BlankLine { matched: usize },
    /// After `len` bytes. `received` is the number of those that have arrived.
    Every { len: usize, received: usize },
}

impl RequestEnd {
    pub(super) fn blank_line() -> Self {
        Self::BlankLine { matched: 0 }
    }

    /// A length of zero counts as one.
    pub(super) fn every(len: usize) -> Self {
        Self::Every { len: len.max(1), received: 0 }
    }

    /// Counts the requests that end in `bytes`.
    pub(super) fn count(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::BlankLine { matched } => blank_lines(matched, bytes),
            Self::Every { len, received } => {
                let all = *received + bytes.len();
                *received = all % *len;
                all / *len
            }
        }
    }
}

/// One connection: the progress of its request, and the number of bytes to send.
#[derive(Debug)]
pub(super) struct ResponseConnection<'a> {
    response: &'a Response,
    end: RequestEnd,
    unsent: usize,
    /// Number of responses until the connection closes.
    responses_left: Option<usize>,
}

impl ResponseConnection<'_> {
    fn send_rest(&mut self, socket: &OwnedFd) -> io::Result<Next> {
        let mut quantum = QUANTUM;
        while self.unsent > 0 {
            let (sent, offered) = self.response.send(socket, self.unsent)?;
            self.unsent -= sent;
            quantum = quantum.saturating_sub(sent);
            if self.unsent > 0 && (sent < offered || quantum == 0) {
                return Ok(Next::Room);
            }
        }
        Ok(if self.responses_left == Some(0) { Next::Close } else { Next::Input })
    }
}

impl Connection for ResponseConnection<'_> {
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next> {
        if self.unsent > 0 {
            return self.send_rest(socket);
        }
        let (received, _) = recv(socket, &mut *scratch, RecvFlags::empty())?;
        if received == 0 {
            return Ok(Next::Close);
        }
        match self.end.count(&scratch[..received]) {
            0 => Ok(Next::Input),
            requests => {
                self.unsent = requests * self.response.len;
                self.responses_left = self.responses_left.map(|left| left.saturating_sub(requests));
                self.send_rest(socket)
            }
        }
    }
}

/// Counts the blank lines that end in `bytes`. `matched` is the number of bytes of a blank line
/// that arrived before `bytes`; the call updates it.
fn blank_lines(matched: &mut usize, mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while *matched > 0
        && let Some((&first, rest)) = bytes.split_first()
    {
        *matched = match first {
            b if b == BLANK_LINE[*matched] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        bytes = rest;
        if *matched == BLANK_LINE.len() {
            *matched = 0;
            count += 1;
        }
    }
    if *matched > 0 {
        return count;
    }
    for at in memmem::find_iter(bytes, BLANK_LINE) {
        count += 1;
        *matched = at + BLANK_LINE.len();
    }
    let tail = &bytes[std::mem::take(matched)..];
    *matched = (1..BLANK_LINE.len()).rev().find(|n| tail.ends_with(&BLANK_LINE[..*n])).unwrap_or(0);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_counted_however_the_bytes_are_split() {
        for (text, count) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
            ("a\r\n\r\nb\r\n\r\nc\r\n\r", 2),
            ("\r\n\r\n\r\n\r\n", 2),
            ("\r\r\n\r\r\n\r\n", 1),
            ("\r\n\r\r\n\n", 0),
            ("a\n\n", 0),
        ] {
            let bytes = text.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let mut matched = 0;
                    let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    let found: usize = parts.iter().map(|p| blank_lines(&mut matched, p)).sum();
                    assert_eq!(found, count, "{text:?} split at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn requests_of_one_length_are_counted_however_the_bytes_are_split() {
        let mut end = RequestEnd::every(4);
        let counts: Vec<usize> = [3, 1, 8, 5, 2, 1].map(|len| end.count(&vec![0; len])).into();
        assert_eq!(counts, [0, 1, 2, 1, 0, 1]);
    }

    #[test]
    fn a_batch_holds_whole_responses() {
        for (size, copies) in [(1, BATCH), (8 << 10, 32), (300 << 10, 1)] {
            let response = Response::from_memory(vec![b'x'; size], None);
            let Body::Copies(bytes) = response.body else { panic!("from memory") };
            assert_eq!(bytes.len(), copies * size);
        }
    }
}
