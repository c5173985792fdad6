//! The load client: connections that keep a number of streams open, in one thread.

use std::{
    io::{BufRead, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use rustls::ClientConnection;

use super::{
    frames::{Frames, check_no_failure, check_status, kind},
    request::{ENOUGH_WINDOW, Requests, Sender, write_window_update},
};
use crate::{Result, tls};

/// Maximum number of bytes that are received at once.
const RECEIVED_MAX: usize = 128 << 10;
/// The client sends a WINDOW_UPDATE for a connection when it has received more than this much
/// content since the last one: half of the window that it grants to each new connection.
const WIDEN_BY: u32 = ENOUGH_WINDOW / 2;
/// A run fails if no socket has an event for this long.
const TIMEOUT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// What the connections request, and what they expect.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) requests: &'a Requests,
    /// The length of the content of the response to each of the different requests, as the server
    /// sent it before the run.
    pub(crate) lengths: Vec<u32>,
    pub(crate) connections: usize,
    /// The number of open streams of a connection.
    pub(crate) streams: usize,
    /// The number of requests in all.
    pub(crate) max_requests: u64,
}

/// The connections.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    poll: OwnedFd,
    connections: Vec<Connection<'a>>,
    lengths: Vec<u32>,
    responses: u64,
    /// The number of requests that may still be made.
    requests_left: u64,
    received: Vec<u8>,
}

impl<'a> Client<'a> {
    /// Connects, and makes the first requests.
    pub(crate) fn new(
        load: Load<'a>,
        server: SocketAddr,
        tls: Option<&tls::Client>,
    ) -> Result<Self> {
        let mut client = Self {
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            lengths: load.lengths,
            responses: 0,
            requests_left: load.max_requests,
            received: vec![0; RECEIVED_MAX],
        };
        for index in 0..load.connections {
            let socket = TcpStream::connect(server)?;
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            epoll::add(&client.poll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
            let tls = tls.map(tls::Client::connection).transpose()?;
            let mut connection = Connection::new(socket, tls, load.requests);
            connection.request(load.streams as u64, &client.lengths, &mut client.requests_left);
            connection.flush(&client.poll, index)?;
            client.connections.push(connection);
        }
        Ok(client)
    }

    /// Runs for a time, or until all requests are answered. Returns the number of responses.
    pub(crate) fn run(&mut self, time: Option<Duration>) -> Result<u64> {
        let before = self.responses;
        let until = time.map(|time| Instant::now() + time);
        let mut events = Vec::with_capacity(256);
        while until.is_none_or(|until| Instant::now() < until) && !self.is_done() {
            match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&TIMEOUT)) {
                Ok(0) => return Err("no response for five seconds".into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                self.turn(usize::try_from(event.data.u64())?)?;
            }
        }
        Ok(self.responses - before)
    }

    fn is_done(&self) -> bool {
        self.requests_left == 0
            && self.connections.iter().all(|connection| connection.streams.open.is_empty())
    }

    fn turn(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        let count = match recv(&connection.socket, &mut *self.received, RecvFlags::empty()) {
            Ok((0, _)) => return Err("the server has closed a connection".into()),
            Ok((count, _)) => count,
            // There is nothing to read: the event says that the socket is writable.
            Err(Errno::AGAIN) => return connection.flush(&self.poll, index),
            Err(error) => return Err(error.into()),
        };
        let ended = connection.receive(&self.received[..count])?;
        self.responses += ended;
        connection.request(ended, &self.lengths, &mut self.requests_left);
        connection.flush(&self.poll, index)
    }
}

/// One connection.
#[derive(Debug)]
struct Connection<'a> {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    sender: Sender<'a>,
    streams: Streams,
    /// Bytes to send, before TLS encrypts them.
    out: Vec<u8>,
    waits_for_room: bool,
}

impl<'a> Connection<'a> {
    fn new(socket: TcpStream, mut tls: Option<ClientConnection>, requests: &'a Requests) -> Self {
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        let mut out = Vec::new();
        let sender = Sender::open(requests, &mut out);
        let streams = Streams::default();
        Self { socket, tls, sender, streams, out, waits_for_room: false }
    }

    /// Writes `count` requests, or `requests_left` if that is less.
    fn request(&mut self, count: u64, lengths: &[u32], requests_left: &mut u64) {
        let count = count.min(*requests_left);
        *requests_left -= count;
        for _ in 0..count {
            let (stream, at) = self.sender.write(&mut self.out);
            self.streams.open.push((stream, lengths[at]));
        }
    }

    /// Reads received bytes. Returns the number of responses that have ended.
    fn receive(&mut self, mut bytes: &[u8]) -> Result<u64> {
        let Self { streams, out, .. } = self;
        let Some(tls) = &mut self.tls else { return streams.read(bytes, out) };
        let mut ended = 0;
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            tls.process_new_packets()?;
            let mut reader = tls.reader();
            loop {
                match reader.fill_buf() {
                    Ok([]) => return Err("the server has closed a connection".into()),
                    Ok(plain) => {
                        let count = plain.len();
                        ended += streams.read(plain, out)?;
                        reader.consume(count);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(ended)
    }

    /// Sends what the kernel accepts. If some is left, asks the kernel to report when the socket is
    /// writable.
    fn flush(&mut self, poll: &OwnedFd, index: usize) -> Result<()> {
        let is_empty = match &mut self.tls {
            None => {
                if !self.out.is_empty() {
                    match send(&self.socket, &self.out, SendFlags::NOSIGNAL) {
                        Ok(sent) if sent == self.out.len() => self.out.clear(),
                        Ok(sent) => drop(self.out.drain(..sent)),
                        Err(Errno::AGAIN) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                self.out.is_empty()
            }
            Some(tls) => {
                tls.writer().write_all(&self.out)?;
                self.out.clear();
                while tls.wants_write() {
                    match tls.write_tls(&mut self.socket) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                !tls.wants_write()
            }
        };
        if is_empty == self.waits_for_room {
            self.waits_for_room = !is_empty;
            let room = if is_empty { EventFlags::empty() } else { EventFlags::OUT };
            let data = EventData::new_u64(index as u64);
            epoll::modify(poll, &self.socket, data, EventFlags::IN | room)?;
        }
        Ok(())
    }
}

/// The open streams of a connection.
#[derive(Debug, Default)]
struct Streams {
    frames: Frames,
    /// The number of each open stream, and how much of its content has not arrived yet. The length
    /// of the whole content is from [`Load::lengths`]. A list is fast enough: it has few entries,
    /// and servers mostly answer the oldest stream first.
    open: Vec<(u32, u32)>,
    /// The length of the content that was received since the last WINDOW_UPDATE.
    used: u32,
}

impl Streams {
    /// Reads frames, and writes their acknowledgements. Returns the number of streams that have
    /// ended.
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<u64> {
        let Self { frames, open, used } = self;
        let before = open.len();
        frames.read(bytes, |frame| {
            let length = match frame.header.kind {
                kind::HEADERS => {
                    check_status(frame.payload)?;
                    0
                }
                kind::DATA => frame.payload.len() as u32,
                _ => {
                    frame.acknowledge(out);
                    return check_no_failure(frame);
                }
            };
            if length == 0 && !frame.ends_stream() {
                return Ok(());
            }
            *used += length;
            let stream = frame.header.stream;
            let place = open.iter().position(|(open, _)| *open == stream);
            let place = place.ok_or("a frame of a stream that has ended")?;
            let missing = &mut open[place].1;
            let longer = "a response is longer than before the run";
            *missing = missing.checked_sub(length).ok_or(longer)?;
            if frame.ends_stream() {
                if *missing > 0 {
                    return Err("a response is shorter than before the run".into());
                }
                open.remove(place);
            }
            Ok(())
        })?;
        let ended = before - open.len();
        if *used > WIDEN_BY {
            write_window_update(*used, out);
            *used = 0;
        }
        Ok(ended as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frames::FrameHeader, *};

    fn response(stream: u32, content: &[u8], is_end: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        FrameHeader::headers(stream, 1, false).write(&mut bytes);
        bytes.push(0x88);
        FrameHeader::data(stream, content.len(), is_end).write(&mut bytes);
        bytes.extend_from_slice(content);
        bytes
    }

    #[test]
    fn responses_end_with_their_streams_and_have_the_expected_lengths() {
        let mut out = Vec::new();
        let mut streams = Streams::default();
        streams.open.extend([(1, 3), (3, 2)]);
        let both = [response(1, b"ab", false), response(3, b"cd", true)].concat();
        assert_eq!(streams.read(&both, &mut out).unwrap(), 1);
        assert_eq!(streams.read(&response(1, b"c", true), &mut out).unwrap(), 1);
        assert!(streams.open.is_empty() && out.is_empty());

        for (length, content, message) in [
            (3, &b"ab"[..], "a response is shorter than before the run"),
            (3, b"abcd", "a response is longer than before the run"),
        ] {
            let mut streams = Streams::default();
            streams.open.push((1, length));
            let error = streams.read(&response(1, content, true), &mut out).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
