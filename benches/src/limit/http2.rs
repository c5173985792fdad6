//! The bare server for HTTP/2. It sends prepared responses in turn, one for each request. Of the
//! received frames, it uses only those that end requests, and SETTINGS and PING, which it
//! acknowledges. It ignores the client's windows, which must be large.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    ops::Range,
    os::fd::OwnedFd,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg},
};

use super::{
    echo::send_some,
    response::QUANTUM,
    serve::{Connection, Next},
};
use crate::http2::{FrameHeader, Frames, PREFACE, kind};

/// The maximum payload of a frame, unless the client allows more (RFC 9113, section 4.2).
const FRAME_MAX: usize = 16 << 10;
/// Parts of a content up to this length are copied behind their frame headers. Longer parts are
/// sent without a copy.
const COPIED_MAX: usize = 1 << 10;

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) header_block: Vec<u8>,
    pub(super) content: Vec<u8>,
}

/// A part of the content of a response, which is sent without a copy.
#[derive(Debug)]
struct Part {
    /// The number of bytes of [`Http2Connection::plain`] that are sent before this part.
    after: usize,
    response: usize,
    range: Range<usize>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Http2Connection<'a> {
    responses: &'a [Response],
    /// The number of bytes of the preface that have yet to arrive.
    preface_left: usize,
    frames: Frames,
    /// The streams whose responses are not completely prepared for sending, oldest first.
    requested: VecDeque<u32>,
    /// The index of the response for the first of these streams, and how many bytes of its content
    /// are prepared.
    response: usize,
    position: usize,
    /// The prepared output: bytes, and the parts that are sent between them.
    plain: Vec<u8>,
    parts: Vec<Part>,
    /// The number of prepared bytes that were sent.
    sent: usize,
}

impl<'a> Http2Connection<'a> {
    pub(super) fn new(responses: &'a [Response]) -> Self {
        let mut plain = Vec::new();
        FrameHeader::of_connection(kind::SETTINGS, 0, 0).write(&mut plain);
        Self {
            responses,
            preface_left: PREFACE.len(),
            frames: Frames::default(),
            requested: VecDeque::new(),
            response: 0,
            position: 0,
            plain,
            parts: Vec::new(),
            sent: 0,
        }
    }

    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let skipped = self.preface_left.min(bytes.len());
        self.preface_left -= skipped;
        let Self { frames, requested, plain, .. } = self;
        let read = frames.read(&bytes[skipped..], |frame| {
            if frame.ends_stream() {
                requested.push_back(frame.header.stream);
            } else {
                frame.acknowledge(plain);
            }
            Ok(())
        });
        read.map_err(|error| io::Error::other(error.to_string()))
    }

    /// Prepares frames until they have [`QUANTUM`] bytes of content or no request is left. The last
    /// frame may exceed the quantum.
    fn prepare(&mut self) {
        let mut prepared = 0;
        while prepared < QUANTUM
            && let Some(&stream) = self.requested.front()
        {
            let Response { header_block, content } = &self.responses[self.response];
            if self.position == 0 {
                let header = FrameHeader::headers(stream, header_block.len(), content.is_empty());
                header.write(&mut self.plain);
                self.plain.extend_from_slice(header_block);
            }
            let range = self.position..content.len().min(self.position + FRAME_MAX);
            let is_end = range.end == content.len();
            if !range.is_empty() {
                FrameHeader::data(stream, range.len(), is_end).write(&mut self.plain);
            }
            prepared += range.len();
            self.position = range.end;
            if range.len() <= COPIED_MAX {
                self.plain.extend_from_slice(&content[range]);
            } else {
                self.parts.push(Part { after: self.plain.len(), response: self.response, range });
            }
            if is_end {
                self.requested.pop_front();
                self.response = (self.response + 1) % self.responses.len();
                self.position = 0;
            }
        }
    }

    /// Makes one system call to send the prepared output. Returns whether all of it was sent.
    fn send(&mut self, socket: &OwnedFd) -> io::Result<bool> {
        if self.parts.is_empty() {
            self.sent += send_some(socket, &self.plain[self.sent..])?;
            return Ok(self.sent == self.plain.len());
        }
        let mut slices = Vec::with_capacity(2 * self.parts.len() + 1);
        let mut at = 0;
        for Part { after, response, range } in &self.parts {
            slices.push(IoSlice::new(&self.plain[at..*after]));
            slices.push(IoSlice::new(&self.responses[*response].content[range.clone()]));
            at = *after;
        }
        slices.push(IoSlice::new(&self.plain[at..]));
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, self.sent);
        match sendmsg(socket, rest, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL) {
            Ok(sent) => self.sent += sent,
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.sent == all)
    }

    /// Prepares more output, unless parts wait to be sent, then calls [`Self::send`] at most once,
    /// so that other connections have their turns before the next call.
    fn send_rest(&mut self, socket: &OwnedFd) -> io::Result<Next> {
        if self.parts.is_empty() {
            self.prepare();
        }
        if self.sent < self.plain.len() || !self.parts.is_empty() {
            if !self.send(socket)? {
                return Ok(Next::Room);
            }
            self.plain.clear();
            self.parts.clear();
            self.sent = 0;
        }
        Ok(if self.requested.is_empty() { Next::Input } else { Next::Room })
    }
}

impl Connection for Http2Connection<'_> {
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next> {
        if !self.plain.is_empty() || !self.requested.is_empty() {
            return self.send_rest(socket);
        }
        let (count, _) = recv(socket, &mut *scratch, RecvFlags::empty())?;
        if count == 0 {
            return Ok(Next::Close);
        }
        self.read(&scratch[..count])?;
        self.send_rest(socket)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use super::*;
    use crate::http2::{Requests, Sender};

    /// Reads the responses to four requests on one connection. The largest response exceeds the
    /// socket's send buffer.
    #[test]
    fn each_request_has_the_next_response_whatever_its_size() {
        let responses = [(1, 0), (2, 5), (3, 300_000)].map(|(head, content)| Response {
            header_block: vec![0x88; head],
            content: (0..content).map(|at| at as u8).collect(),
        });
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let server = OwnedFd::from(server);
        let mut connection = Http2Connection::new(&responses);

        let requests = Requests::new(["/a".to_owned()].into_iter(), false, None);
        let mut bytes = Vec::new();
        let mut sender = Sender::open(&requests, &mut bytes);
        let streams = [(); 4].map(|()| sender.write(&mut bytes).0);
        client.write_all(&bytes).unwrap();

        let mut found = streams.map(|_| (Vec::new(), Vec::new()));
        let mut frames = Frames::default();
        let (mut scratch, mut received) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        client.set_nonblocking(true).unwrap();
        let mut ended = 0;
        while ended < streams.len() {
            match connection.ready(&server, &mut scratch) {
                Ok(next) => assert_ne!(next, Next::Close),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            let Ok((count, _)) = recv(&client, &mut received, RecvFlags::empty()) else { continue };
            let read = frames.read(&received[..count], |frame| {
                let place = streams.iter().position(|stream| *stream == frame.header.stream);
                match (place, frame.header.kind) {
                    (Some(at), kind::HEADERS) => found[at].0.extend_from_slice(frame.payload),
                    (Some(at), kind::DATA) => found[at].1.extend_from_slice(frame.payload),
                    (place, _) => assert_eq!(place, None),
                }
                ended += usize::from(frame.ends_stream());
                Ok(())
            });
            read.unwrap();
        }
        for (at, (block, content)) in found.iter().enumerate() {
            let expected = &responses[at % responses.len()];
            assert!(*block == expected.header_block && *content == expected.content, "{at}");
        }
    }
}
