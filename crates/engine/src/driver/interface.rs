//! The interface of a driver: its methods and events.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sockeye_proto::driver::Key;
use sockeye_proto::{Address, FileRange, Output, Time, WallTime};

/// Does the I/O of one worker (event loop).
///
/// The driver repeats interrupted system calls: no method fails with `Interrupted`.
pub trait Driver {
    /// A connection.
    type Socket;
    /// A listening socket.
    type Listener;

    /// Whether a send may be [`Sending::Pending`].
    const KEEPS_OUTPUT: bool;

    /// The monotonic clock.
    fn now(&self) -> Time;

    /// The wall clock.
    fn wall(&self) -> WallTime;

    /// A handle that interrupts [`Driver::wait`], from any thread.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Waits for events until `until`, and appends them to `events`. `None` waits without a limit.
    /// `now` is the latest [`Driver::now`]. If `until` is not later than `now`, this doesn't wait,
    /// and takes only the events that are there. So a caller that doesn't want to wait need not
    /// read the clock: it passes the same time as `now` and as `until`. May return early without
    /// events.
    ///
    /// # Errors
    ///
    /// If the poller fails. The worker ends then.
    fn wait(&mut self, now: Time, until: Option<Time>, events: &mut Vec<IoEvent>)
    -> io::Result<()>;

    /// From now on, as long as a connection waits at `listener`, each [`Driver::wait`] reports
    /// [`IoEvent::ListenerReady`] with `id`.
    ///
    /// # Errors
    ///
    /// If the kernel can't register it.
    fn watch_listener(&mut self, listener: &mut Self::Listener, id: u32) -> io::Result<()>;

    /// Ends what [`Driver::watch_listener`] has begun.
    fn unwatch_listener(&mut self, listener: &mut Self::Listener);

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none. Other errors don't end the listener: the connection was reset
    /// before it was accepted, or there is no descriptor or memory at present.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Socket, Address)>;

    /// Lets no new client connect. Handshakes that have started are completed and can be accepted.
    fn block_new_clients(&mut self, listener: &mut Self::Listener);

    /// Stops listening. Connections in the queue are reset.
    fn close_listener(&mut self, listener: Self::Listener);

    /// Sets the key that events of an accepted connection have. The connection can receive and send
    /// from now on.
    fn set_key(&mut self, socket: &mut Self::Socket, key: Key);

    /// From now on, [`Driver::wait`] reports events of an accepted connection, beginning with its
    /// current state. Called in the turn in which the connection was accepted, or in the next one.
    ///
    /// # Errors
    ///
    /// If the kernel can't register it.
    fn watch(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Starts to connect. After [`IoEvent::Ready`] with `key`, [`Driver::connected`] returns the
    /// result.
    ///
    /// # Errors
    ///
    /// If the attempt fails at once.
    fn connect(&mut self, target: &Target, key: Key) -> io::Result<Self::Socket>;

    /// Checks whether an outgoing connection is established: `Ok` if it is.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while it is being established; any other error if it could not be established.
    fn connected(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Receives bytes that have arrived, up to the size of one buffer.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if none have arrived; any other error ends the connection.
    fn receive(&mut self, socket: &mut Self::Socket) -> io::Result<Received<'_>>;

    /// Sends from the front of `out` without waiting, and advances `out`. Stops after about
    /// [`QUANTUM`] bytes.
    fn send(&mut self, socket: &mut Self::Socket, out: Box<Output>) -> Sending;

    /// As [`Driver::send`], for an output that is most likely the last one: if all of it is sent,
    /// [`Driver::finish`] or [`Driver::close`] follows. So the kernel may hold back the last bytes
    /// to send them together with the FIN. Default: [`Driver::send`].
    fn send_before_fin(&mut self, socket: &mut Self::Socket, out: Box<Output>) -> Sending {
        self.send(socket, out)
    }

    /// From now on, the kernel holds at most about `bytes` bytes of `socket` that it has not sent
    /// to the network. No effect on Unix sockets. Only an optimization, so it never fails.
    fn limit_unsent(&mut self, socket: &mut Self::Socket, bytes: u32);

    /// Reads the beginning of `range` into `buffer` without waiting for a disk, at most as much as
    /// fits. `None` if that might block: a thread reads then. Default: `None`.
    fn read_resident(&mut self, range: &FileRange, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let _ = (range, buffer);
        None
    }

    /// Bytes that the kernel has taken to send and the peer has not acknowledged. On a Unix socket,
    /// 0 if the peer has read everything, otherwise more than the unread bytes.
    ///
    /// # Errors
    ///
    /// If the kernel doesn't report it.
    fn unacknowledged(&self, socket: &Self::Socket) -> io::Result<u64>;

    /// Closes the sending side: a FIN follows the sent bytes.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    fn finish(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// The error of a connection that has failed.
    fn failure(&self, socket: &Self::Socket) -> Option<io::Error>;

    /// Closes a connection and abandons a pending send. [`IoEvent::Sent`] still returns its output.
    fn close(&mut self, socket: Self::Socket);
}

/// A send stops after about this many bytes, so that a large file doesn't delay other connections,
/// and its bytes stay in the core's cache. Bytes in memory may exceed this limit. The best sizes
/// measured are from 64 to 256 KiB.
pub const QUANTUM: u64 = 128 * 1024;

/// An event that [`Driver::wait`] reports.
#[derive(Debug)]
pub enum IoEvent {
    /// A listener may have connections to accept.
    ListenerReady(u32),
    /// The state of a connection has changed. Flags other than `ended` may be set although their
    /// condition doesn't hold. Each condition that begins to hold is reported.
    Ready {
        /// The connection.
        key: Key,
        /// There may be bytes, the end of input, or an error to receive.
        readable: bool,
        /// There may be room for output, or the connection is established.
        writable: bool,
        /// The peer has closed its sending side. A receive that returns no bytes reports this end,
        /// after all bytes. So after this flag, one more receive is needed even if
        /// [`Received::more`] is false.
        ended: bool,
        /// The connection may have failed.
        failed: bool,
    },
    /// A pending send is done. It is reported before later changes of the same connection.
    Sent {
        /// The connection.
        key: Key,
        /// Its result.
        sent: Sent,
    },
}

/// Bytes that were received.
#[derive(Debug)]
pub struct Received<'a> {
    /// The bytes; empty at the end of input. The caller may overwrite them.
    pub bytes: &'a mut [u8],
    /// There may be more bytes. No new [`IoEvent::Ready`] reports them.
    pub more: bool,
}

/// The result of a call to send.
#[derive(Debug)]
pub enum Sending {
    /// The send is done.
    Done(Sent),
    /// The driver keeps the output until [`IoEvent::Sent`].
    Pending,
}

/// A send that is done.
#[derive(Debug)]
pub struct Sent {
    /// The output, advanced by what was sent.
    pub out: Box<Output>,
    /// How many bytes were sent, even if the send failed after them.
    pub count: u64,
    /// Why the send ended, and so when to send again.
    pub status: SendStatus,
}

/// Why a send ended, and so when to send again.
#[derive(Debug)]
pub enum SendStatus {
    /// All was sent, or the quantum is used up. Send again when there is output.
    Ready,
    /// The kernel takes no more. Send again when the connection is writable.
    Blocked,
    /// Reading the file range at the front might block. Send again when a thread has read it
    /// ([`Output::replace_with_read`]).
    NeedsRead,
    /// A file has changed since it was opened.
    FileChanged,
    /// A file could not be read.
    FileFailed(io::Error),
    /// The connection failed.
    Failed(io::Error),
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// TCP.
    Ip(std::net::SocketAddr),
    /// A Unix domain socket: its path, or NUL and the name of an abstract one.
    Unix(PathBuf),
}

/// Interrupts [`Driver::wait`].
pub trait Wake: Send + Sync {
    /// Makes the driver's current wait return, or its next one if it isn't waiting.
    fn wake(&self);
}
