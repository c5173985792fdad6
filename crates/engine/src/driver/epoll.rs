//! The driver for Linux: edge-triggered epoll, through mio.
//!
//! A receive or a send is tried at once and waits for an edge only after `WouldBlock`. A connection
//! is registered for reading when it is accepted, and for writing when a send first blocks: most
//! never do. What is tied to Linux beyond the poller is `accept4` and `sendfile`.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Interest, Token};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, acceptfrom_with, recv,
    sendmsg, shutdown, sockopt,
};
use sockeye_proto::{Address, FileRange, Key, Output, Part, Time, Wall};

use super::{Driver, Happening, QUANTUM, Received, Sending, Sent, Target, Then, Wake, bind};

/// One receive takes at most so many bytes.
const SCRATCH: usize = 64 * 1024;
/// One wait reports at most so many events; the rest comes with the next.
const EVENTS: usize = 1024;
/// One `sendmsg` takes at most so many slices.
const SLICES: usize = 64;

const WAKER: Token = Token(usize::MAX);

/// The token of a listener: counted down from the waker's, where no connection's key can be.
fn listener_token(id: u32) -> Token {
    Token(WAKER.0 - 1 - id as usize)
}

/// A poller and a clock.
pub struct Epoll {
    poll: mio::Poll,
    events: mio::Events,
    waker: Arc<Waker>,
    scratch: Box<[u8]>,
    origin: Instant,
    calls: Calls,
}

/// A connection's socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    key: Key,
    /// Registered for writing too: since it first blocked.
    armed: bool,
}

/// A socket that connections come in by, bound and listening.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl Listener {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

/// How many system calls a driver has made, for tests and for the curious.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// `epoll_wait`.
    pub wait: u64,
    /// `accept4`.
    pub accept: u64,
    /// `recv`.
    pub receive: u64,
    /// `send` and `sendmsg`.
    pub send: u64,
    /// `sendfile`.
    pub sendfile: u64,
}

struct Waker(mio::Waker);

impl Wake for Waker {
    fn wake(&self) {
        // It can fail only when the counter behind it is full, and then the driver is awake.
        let _ = self.0.wake();
    }
}

impl Epoll {
    /// A poller of its own.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(Waker(mio::Waker::new(poll.registry(), WAKER)?));
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(EVENTS),
            waker,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            origin: Instant::now(),
            calls: Calls::default(),
        })
    }

    /// How many system calls it has made.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls
    }

    fn register(&self, fd: &OwnedFd, token: Token, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, interest)
    }

    /// Sends from the front of `out` until it is empty, the socket blocks or the quantum is used.
    fn send_some(&mut self, fd: &OwnedFd, out: &mut Output) -> (u64, Then) {
        let mut count = 0;
        loop {
            let left = QUANTUM.saturating_sub(count);
            let (sent, asked) = match out.part(left) {
                Part::Nothing => return (count, Then::Again),
                _ if left == 0 => return (count, Then::Again),
                Part::Changed => return (count, Then::FileChanged),
                Part::Memory => self.send_memory(fd, out),
                Part::File(range) => match self.send_file(fd, range, left) {
                    // The file ends before its range does.
                    Ok(0) => return (count, Then::FileChanged),
                    // A short `sendfile` doesn't mean that the socket is full: the next one tells.
                    Ok(sent) => (Ok(sent), sent),
                    Err(error) => (Err(error), 0),
                },
            };
            match sent {
                Ok(sent) => {
                    out.advance(sent as u64);
                    count += sent as u64;
                    if sent < asked {
                        return (count, Then::Blocked);
                    }
                    if out.is_empty() {
                        return (count, Then::Again);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (count, Then::Blocked),
                Err(error) => return (count, Then::Failed(error.into())),
            }
        }
    }

    /// Sends slices of memory; returns how many bytes were sent and how many were offered.
    fn send_memory(&mut self, fd: &OwnedFd, out: &Output) -> (Result<usize, Errno>, usize) {
        /// Most of the others are a head and a body: don't clear more slices than that for them.
        const FEW: usize = 3;
        self.calls.send += 1;
        if let Some(bytes) = out.plain() {
            (rustix::net::send(fd, bytes, SendFlags::NOSIGNAL), bytes.len())
        } else if out.pieces() <= 1 {
            send_slices(fd, out, &mut [IoSlice::new(&[]); FEW])
        } else {
            send_slices(fd, out, &mut [IoSlice::new(&[]); SLICES])
        }
    }

    /// Sends from a file: by the kernel alone where it can, else through the scratch buffer.
    fn send_file(&mut self, fd: &OwnedFd, range: &FileRange, max: u64) -> Result<usize, Errno> {
        let len = range.len.min(max) as usize;
        if let Some(file) = range.source.descriptor() {
            self.calls.sendfile += 1;
            let mut offset = range.offset;
            return sendfile(fd, file, Some(&mut offset), len);
        }
        let len = len.min(self.scratch.len());
        let read = range
            .source
            .read_at(range.offset, &mut self.scratch[..len])
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        if read == 0 {
            return Ok(0);
        }
        self.calls.send += 1;
        rustix::net::send(fd, &self.scratch[..read], SendFlags::NOSIGNAL)
    }
}

/// An IPv4 peer of a socket for both families comes as an IPv6 address. It is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// One `sendmsg` of what lies in memory at the front of `out`. When a file follows, the kernel is
/// told to wait for it, so that a head and the beginning of its body share a segment.
#[inline(never)] // Its slices would take room, and registers, from the plain way.
fn send_slices<'a>(
    fd: &OwnedFd,
    out: &'a Output,
    slices: &mut [IoSlice<'a>],
) -> (Result<usize, Errno>, usize) {
    let (filled, file_follows) = out.slices(slices);
    let slices = &slices[..filled];
    let offered = slices.iter().map(|slice| slice.len()).sum();
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::MORE, file_follows);
    (sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), flags), offered)
}

impl Driver for Epoll {
    type Socket = Socket;
    type Listener = Listener;

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    fn wall(&self) -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Wall::from_secs(since.as_secs())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.waker) as Arc<dyn Wake>
    }

    fn wait(&mut self, until: Option<Time>, happenings: &mut Vec<Happening>) -> io::Result<()> {
        let timeout = match until {
            None => None,
            Some(Time::ZERO) => Some(Duration::ZERO),
            Some(until) => Some(until.since(self.now())),
        };
        self.calls.wait += 1;
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            let Token(token) = event.token();
            if token == WAKER.0 {
                continue;
            }
            let id = (WAKER.0 - 1).wrapping_sub(token);
            happenings.push(match u32::try_from(id) {
                Ok(id) => Happening::Incoming(id),
                Err(_) => Happening::Ready {
                    key: Key(token as u64),
                    readable: event.is_readable() || event.is_read_closed(),
                    writable: event.is_writable() || event.is_write_closed(),
                    ended: event.is_read_closed(),
                    failed: event.is_error(),
                },
            });
        }
        Ok(())
    }

    fn attach_listener(&mut self, listener: &mut Listener, id: u32) -> io::Result<()> {
        self.register(&listener.fd, listener_token(id), Interest::READABLE)
    }

    fn accept(&mut self, listener: &mut Listener) -> io::Result<(Socket, Address)> {
        loop {
            self.calls.accept += 1;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(&listener.fd, flags) {
                Ok((fd, address)) => {
                    let address = match address.map(SocketAddr::try_from) {
                        Some(Ok(address)) => Address::Ip(canonical(address)),
                        _ => Address::Unix,
                    };
                    return Ok((Socket { fd, key: Key(0), armed: false }, address));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn close_listener(&mut self, listener: Listener) {
        drop(listener);
    }

    fn attach(&mut self, socket: &mut Socket, key: Key) -> io::Result<()> {
        socket.key = key;
        self.register(&socket.fd, Token(key.0 as usize), Interest::READABLE)
    }

    fn connect(&mut self, target: &Target, key: Key) -> io::Result<Socket> {
        let fd = bind::connect(target)?;
        let socket = Socket { fd, key, armed: true };
        let both = Interest::READABLE | Interest::WRITABLE;
        self.register(&socket.fd, Token(key.0 as usize), both)?;
        Ok(socket)
    }

    fn connected(&mut self, socket: &mut Socket) -> io::Result<()> {
        sockopt::socket_error(&socket.fd)??;
        match rustix::net::getpeername(&socket.fd) {
            Ok(_) => Ok(()),
            Err(Errno::NOTCONN) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self, socket: &mut Socket) -> io::Result<Received<'_>> {
        loop {
            self.calls.receive += 1;
            match recv(&socket.fd, &mut self.scratch[..], RecvFlags::empty()) {
                Ok((len, _)) => {
                    let more = len == self.scratch.len();
                    return Ok(Received { bytes: &self.scratch[..len], more });
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn send(&mut self, socket: &mut Socket, mut out: Box<Output>) -> Sending {
        let (count, mut then) = self.send_some(&socket.fd, &mut out);
        if matches!(then, Then::Blocked) && !socket.armed {
            // A fresh registration reports an edge for what is true at once, so none is missed.
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(socket.key.0 as usize);
            let raw = socket.fd.as_raw_fd();
            match self.poll.registry().reregister(&mut SourceFd(&raw), token, both) {
                Ok(()) => socket.armed = true,
                Err(error) => then = Then::Failed(error),
            }
        }
        Sending::Done(Sent { out, count, then })
    }

    fn unacknowledged(&self, socket: &Socket) -> io::Result<u64> {
        super::unacknowledged::bytes(socket.fd.as_fd())
    }

    fn finish(&mut self, socket: &mut Socket) -> io::Result<()> {
        Ok(shutdown(&socket.fd, Shutdown::Write)?)
    }

    fn failure(&self, socket: &Socket) -> Option<io::Error> {
        match sockopt::socket_error(&socket.fd) {
            Ok(Ok(())) => None,
            Ok(Err(error)) | Err(error) => Some(error.into()),
        }
    }

    fn close(&mut self, socket: Socket) {
        // Closing the descriptor takes it out of the poller too: nobody else holds it.
        drop(socket);
    }
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("calls", &self.calls).finish_non_exhaustive()
    }
}
