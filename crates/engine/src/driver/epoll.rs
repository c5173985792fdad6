//! The driver for Linux: epoll, edge-triggered for connections and level-triggered for listeners.
//!
//! A receive that returns less than the buffer holds has usually emptied the socket's receive
//! queue: the next one waits for an edge. Sends wait for an edge only after one has blocked. An
//! accepted connection is registered for reading at the end of the turn (pass of the event loop) in
//! which it was accepted, if it is still open. It is registered for writing when a send first
//! blocks; on most connections, no send blocks. A connection that we open is registered for both at
//! once. The module `send` has the code that sends.

mod send;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendFlags, Shutdown, SocketFlags, acceptfrom_with,
    recv, recvmsg, shutdown, sockopt,
};
use rustix::time::{ClockId, clock_gettime};
use socket2::SockRef;
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, FileRange, Output, Time, WallTime};

use super::listener::Listener;
use super::{Driver, IoEvent, Received, Sending, Target, Wake, bind};

/// One receive takes at most this many bytes. Peers often send 64 KiB at once. The rest is for
/// headers of frames, such as those of WebSocket.
const RECEIVE_BUFFER: usize = 68 * 1024;
/// One wait reports at most this many events; the next wait reports those beyond.
const MAX_EVENTS: usize = 1024;
/// No wait takes longer than a day. `epoll_wait` counts milliseconds in an int, which overflows
/// after 24 days. `epoll_pwait2` has no such limit, but is newer than the oldest Linux that we
/// support.
const MAX_WAIT: u64 = 24 * 60 * 60 * NANOS_PER_SEC;
const NANOS_PER_SEC: u64 = 1_000_000_000;
/// Event data of the waker, and the bit that marks the ids of listeners. No connection's key has
/// this bit.
const WAKER: u64 = u64::MAX;
const LISTENERS: u64 = 1 << 63;

/// Edges for input, for urgent data, and for the end of input.
const READING: EventFlags =
    EventFlags::IN.union(EventFlags::PRI).union(EventFlags::RDHUP).union(EventFlags::ET);
/// As `READING`, and for room to send.
const READING_AND_WRITING: EventFlags = READING.union(EventFlags::OUT);

/// The flags that report each condition: there may be something to read, there may be room to send,
/// the peer has closed its sending side. For a failed connection, all of them may be set.
const READABLE: EventFlags = ENDED.union(EventFlags::IN).union(EventFlags::ERR);
const WRITABLE: EventFlags = EventFlags::OUT.union(EventFlags::HUP).union(EventFlags::ERR);
const ENDED: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP);

/// The driver: an epoll instance, and the system's clocks.
pub struct Epoll {
    poller: OwnedFd,
    waker: Arc<Waker>,
    receive_buffer: Box<[u8]>,
    /// For files that are sent from memory. Empty until it is needed.
    file_buffer: Vec<u8>,
    /// Connections on which a receive may return only a part of what has arrived: the kernel stops
    /// before urgent data (`MSG_OOB`), and on a Unix socket after bytes that came with file
    /// descriptors. Usually empty. A receive that doesn't fill the buffer removes the connection,
    /// and so does closing it.
    cut_short: HashSet<Key>,
    calls: SyscallCounts,
}

/// A connection's socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    key: Key,
    /// Whether the socket is registered with the poller.
    watched: bool,
    /// Whether the registration includes room to send. Set when a send first blocks, and from the
    /// start if we opened the connection.
    watches_writing: bool,
    /// Whether the kernel may hold back the last bytes until our FIN.
    holds_back: bool,
    is_unix: bool,
}

impl Socket {
    fn new(fd: OwnedFd, is_unix: bool) -> Self {
        let key = Key(0);
        Self { fd, key, watched: false, watches_writing: false, holds_back: false, is_unix }
    }
}

/// How often a driver has made each of these system calls. Others are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyscallCounts {
    /// `epoll_wait`.
    pub wait: u64,
    /// `accept4`.
    pub accept: u64,
    /// `epoll_ctl` that registers an accepted connection.
    pub watch: u64,
    /// `recv`, and `recvmsg` on Unix sockets.
    pub receive: u64,
    /// `send` and `sendmsg`.
    pub send: u64,
    /// `sendfile`.
    pub sendfile: u64,
    /// `preadv2` that doesn't wait for a disk: to find out whether a `sendfile` would block, or to
    /// read from the page cache.
    pub probe: u64,
}

/// Wakes [`Epoll::wait`] by an eventfd. Nobody reads the eventfd: each write to it is an edge.
struct Waker(OwnedFd);

impl Wake for Waker {
    fn wake(&self) {
        // Fails only after 2^64 writes.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Epoll {
    /// A driver with a new poller.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let waker = Waker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let edges = EventFlags::IN | EventFlags::ET;
        epoll::add(&poller, &waker.0, EventData::new_u64(WAKER), edges)?;
        Ok(Self {
            poller,
            waker: Arc::new(waker),
            receive_buffer: vec![0; RECEIVE_BUFFER].into_boxed_slice(),
            file_buffer: Vec::new(),
            cut_short: HashSet::new(),
            calls: SyscallCounts::default(),
        })
    }

    /// The counts of this driver's system calls.
    #[must_use]
    pub fn calls(&self) -> SyscallCounts {
        self.calls
    }

    fn register(&self, fd: &OwnedFd, number: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.poller, fd, EventData::new_u64(number), flags)?)
    }

    /// Receives from a Unix socket, and drops descriptors that come with the bytes. Returns the
    /// number of bytes received.
    #[inline(never)] // Keeps the code for TCP small.
    fn receive_unix(&mut self, socket: &Socket) -> rustix::io::Result<usize> {
        let (mut buffers, mut no_descriptors) =
            ([IoSliceMut::new(&mut self.receive_buffer)], RecvAncillaryBuffer::default());
        let received = recvmsg(&socket.fd, &mut buffers, &mut no_descriptors, RecvFlags::empty())?;
        if received.flags.contains(ReturnFlags::CTRUNC) {
            // Descriptors came with the bytes, and the empty buffer has no space for them.
            self.cut_short.insert(socket.key);
        }
        Ok(received.bytes)
    }
}

/// Turns an IPv4-mapped address into the IPv4 address. A socket for IPv6 and IPv4 reports IPv4
/// peers by mapped addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

impl Driver for Epoll {
    type Socket = Socket;
    type Listener = Listener;

    const KEEPS_OUTPUT: bool = false;

    fn now(&self) -> Time {
        let now = clock_gettime(ClockId::Monotonic);
        Time::from_nanos(now.tv_sec as u64 * NANOS_PER_SEC + now.tv_nsec as u64)
    }

    fn wall(&self) -> WallTime {
        // The coarse clock is a few milliseconds late, as mtimes are, and cheaper to read.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        WallTime::from_secs(u64::try_from(now.tv_sec).unwrap_or(0))
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.waker) as Arc<dyn Wake>
    }

    fn wait(
        &mut self,
        now: Time,
        until: Option<Time>,
        io_events: &mut Vec<IoEvent>,
    ) -> io::Result<()> {
        let timeout = until.map(|until| {
            let nanos = until.as_nanos().saturating_sub(now.as_nanos()).min(MAX_WAIT);
            Timespec {
                tv_sec: (nanos / NANOS_PER_SEC) as i64,
                tv_nsec: (nanos % NANOS_PER_SEC) as i64,
            }
        });
        let mut events = [const { MaybeUninit::uninit() }; MAX_EVENTS];
        self.calls.wait += 1;
        let events = match epoll::wait(&self.poller, &mut events, timeout.as_ref()) {
            Ok((events, _)) => &*events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for epoll::Event { flags, data } in events.iter().copied() {
            io_events.push(match data.u64() {
                WAKER => continue,
                number if number & LISTENERS != 0 => IoEvent::ListenerReady(number as u32),
                key => {
                    if flags.contains(EventFlags::PRI) {
                        self.cut_short.insert(Key(key));
                    }
                    IoEvent::Ready {
                        key: Key(key),
                        readable: flags.intersects(READABLE),
                        writable: flags.intersects(WRITABLE),
                        ended: flags.intersects(ENDED),
                        failed: flags.intersects(EventFlags::ERR),
                    }
                }
            });
        }
        Ok(())
    }

    fn watch_listener(&mut self, listener: &mut Listener, id: u32) -> io::Result<()> {
        self.register(&listener.fd, LISTENERS | u64::from(id), EventFlags::IN)
    }

    fn unwatch_listener(&mut self, listener: &mut Listener) {
        // Fails only if the listener isn't registered.
        let _ = epoll::delete(&self.poller, &listener.fd);
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
                    let is_unix = matches!(address, Address::Unix);
                    return Ok((Socket::new(fd, is_unix), address));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn block_new_clients(&mut self, listener: &mut Listener) {
        listener.block_new_clients();
    }

    fn close_listener(&mut self, mut listener: Listener) {
        // Another process may share the socket. Then closing our descriptor alone would not remove
        // it from the poller.
        self.unwatch_listener(&mut listener);
    }

    fn set_key(&mut self, socket: &mut Socket, key: Key) {
        socket.key = key;
    }

    fn watch(&mut self, socket: &mut Socket) -> io::Result<()> {
        socket.watched = true;
        self.calls.watch += 1;
        // If a send has blocked already, this reports an edge as soon as there is room.
        self.register(
            &socket.fd,
            socket.key.0,
            if socket.watches_writing { READING_AND_WRITING } else { READING },
        )
    }

    fn connect(&mut self, target: &Target, key: Key) -> io::Result<Socket> {
        let fd = bind::connect(target)?;
        let is_unix = matches!(target, Target::Unix(_));
        let mut socket = Socket::new(fd, is_unix);
        (socket.key, socket.watched, socket.watches_writing) = (key, true, true);
        self.register(&socket.fd, key.0, READING_AND_WRITING)?;
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

    #[inline(always)] // Runs for each request, and is not inlined otherwise.
    fn receive(&mut self, socket: &mut Socket) -> io::Result<Received<'_>> {
        loop {
            self.calls.receive += 1;
            let result = match socket.is_unix {
                false => recv(&socket.fd, &mut self.receive_buffer[..], RecvFlags::empty())
                    .map(|(len, _)| len),
                true => self.receive_unix(socket),
            };
            match result {
                Ok(len) => {
                    let more = len == self.receive_buffer.len()
                        || (!self.cut_short.is_empty() && self.cut_short.remove(&socket.key));
                    return Ok(Received { bytes: &mut self.receive_buffer[..len], more });
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn send(&mut self, socket: &mut Socket, out: Box<Output>) -> Sending {
        self.send_with(socket, out, SendFlags::NOSIGNAL)
    }

    fn send_before_fin(&mut self, socket: &mut Socket, out: Box<Output>) -> Sending {
        // `sendfile` has no flag that holds back the last bytes.
        if socket.is_unix || out.file_ranges() > 0 {
            return self.send(socket, out);
        }
        socket.holds_back = true;
        self.send_with(socket, out, SendFlags::NOSIGNAL.union(SendFlags::MORE))
    }

    fn limit_unsent(&mut self, socket: &mut Socket, bytes: u32) {
        // Fails for Unix sockets, which don't have this option.
        let _ = SockRef::from(&socket.fd).set_tcp_notsent_lowat(bytes);
    }

    fn read_resident(&mut self, range: &FileRange, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        self.read_cached(range, buffer)
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
        if socket.holds_back {
            // If there is unread input, closing alone would send a reset instead of the output that
            // the kernel holds back.
            let _ = shutdown(&socket.fd, Shutdown::Write);
        }
        if !self.cut_short.is_empty() {
            self.cut_short.remove(&socket.key);
        }
        // Closing the descriptor also removes it from the poller.
        drop(socket);
    }
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("calls", &self.calls).finish_non_exhaustive()
    }
}
