//! What a driver does, and what it says of connections: no system call is made here.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Output, Time, WallTime};

/// What a driver does for a shard.
///
/// Interrupted system calls (`EINTR`) are the driver's own business: no method fails with
/// `Interrupted`.
pub trait Driver {
    /// A connection.
    type Socket;
    /// A socket that connections come in by.
    type Listener;

    /// Whether a send may be [`Sending::Pending`]: otherwise nothing need be remembered of what is
    /// handed over.
    const KEEPS_OUTPUT: bool;

    /// The monotonic clock.
    fn now(&self) -> Time;

    /// The wall clock.
    fn wall(&self) -> WallTime;

    /// What wakes this driver out of [`Driver::wait`], from any thread.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Waits until something happens or `until` has come (`None`: however long it takes; no later than
    /// `now`: not at all), and appends what happened to `events`. `now` is what [`Driver::now`] has
    /// just said, or not after `until`. May return early with nothing.
    ///
    /// # Errors
    ///
    /// When the poller itself fails: the shard can't go on.
    fn wait(&mut self, now: Time, until: Option<Time>, events: &mut Vec<IoEvent>)
    -> io::Result<()>;

    /// Begins to report what comes in by `listener`, as [`IoEvent::Incoming`] with `id`.
    ///
    /// # Errors
    ///
    /// When the kernel has no room for it.
    fn attach_listener(&mut self, listener: &mut Self::Listener, id: u32) -> io::Result<()>;

    /// Takes a connection that has come in.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none. An error of the one connection (it was reset before we
    /// took it) doesn't end the listener; running out of descriptors or memory passes.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Socket, Address)>;

    /// Lets nobody begin to connect to a listener. Whoever has can still be accepted.
    fn hold_off(&mut self, listener: &mut Self::Listener);

    /// Stops listening. What waits in the queue is reset.
    fn close_listener(&mut self, listener: Self::Listener);

    /// Gives an accepted connection the `key` that events about it carry. It can be received from and
    /// sent to from now on.
    fn attach(&mut self, socket: &mut Self::Socket, key: Key);

    /// Begins to report on an accepted connection; first of all on what is true of it at this
    /// moment. Called before the next [`Driver::wait`].
    ///
    /// # Errors
    ///
    /// When the kernel has no room for it.
    fn watch(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Begins to connect; [`IoEvent::Ready`] under `key` says when to ask
    /// [`Driver::connected`].
    ///
    /// # Errors
    ///
    /// When it is clear at once that it won't work.
    fn connect(&mut self, target: &Target, key: Key) -> io::Result<Self::Socket>;

    /// Whether the connection is established.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while it is being established; any other if it failed.
    fn connected(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Receives what has arrived, up to the size of one buffer.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing has; any other when the connection is over.
    fn receive(&mut self, socket: &mut Self::Socket) -> io::Result<Received<'_>>;

    /// Sends from the front of `out`, which it advances, as much as is taken without waiting, at
    /// most about [`QUANTUM`] bytes.
    fn send(&mut self, socket: &mut Self::Socket, out: Box<Output>) -> Sending;

    /// Bytes that were sent and that the peer has not acknowledged.
    ///
    /// # Errors
    ///
    /// Where the kernel can't tell.
    fn unacknowledged(&self, socket: &Self::Socket) -> io::Result<u64>;

    /// Ends our side: a FIN follows what was sent.
    ///
    /// # Errors
    ///
    /// When the connection is over already.
    fn finish(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// The error that a connection failed with, if it did.
    fn failure(&self, socket: &Self::Socket) -> Option<io::Error>;

    /// Closes a connection. A pending send is abandoned; its [`IoEvent::Sent`] still comes, with the
    /// output.
    fn close(&mut self, socket: Self::Socket);
}

/// How many bytes one send takes at the most, so that a large file doesn't hold up the others and
/// what is sent stays in the cache of the core: measured best between 64 and 256 KiB.
pub const QUANTUM: u64 = 128 * 1024;

/// Something that happened, as [`Driver::wait`] reports it.
#[derive(Debug)]
pub enum IoEvent {
    /// A listener may have connections to accept.
    Incoming(u32),
    /// A connection may have something for us. Each flag may be set without need, and none is
    /// missing when it is needed.
    Ready {
        /// Which.
        key: Key,
        /// It may have bytes, or the end of input, or an error to receive.
        readable: bool,
        /// It may take more output, or is established.
        writable: bool,
        /// The peer has ended its side: receive until the end, a short receive isn't the last. This
        /// one is not set without need.
        ended: bool,
        /// It has failed.
        failed: bool,
    },
    /// A pending send is done. It comes before any [`IoEvent::Ready`] of the same
    /// connection that tells of a later moment.
    Sent {
        /// The connection.
        key: Key,
        /// How it went.
        sent: Sent,
    },
}

/// Bytes that were received.
#[derive(Debug)]
pub struct Received<'a> {
    /// The bytes; empty at the end of input.
    pub bytes: &'a [u8],
    /// More may be there already, for which no new [`IoEvent::Ready`] comes.
    pub more: bool,
}

/// How a send went.
#[derive(Debug)]
pub enum Sending {
    /// It is done.
    Done(Sent),
    /// The driver keeps the output until [`IoEvent::Sent`].
    Pending,
}

/// A send that is done.
#[derive(Debug)]
pub struct Sent {
    /// The output, advanced by what was sent.
    pub out: Box<Output>,
    /// How many bytes were sent, also when it failed afterwards.
    pub count: u64,
    /// What follows.
    pub then: Then,
}

/// What follows a send.
#[derive(Debug)]
pub enum Then {
    /// Send again whenever there is something to send: all was taken, or the quantum was used up.
    Again,
    /// Nothing more is taken until the connection is ready to be written to.
    Blocked,
    /// Send again when a thread has read the range of a file at the front
    /// ([`Output::put_read`]): to read it here might block.
    Read,
    /// A file is no longer the one that was opened, or has become shorter.
    FileChanged,
    /// A file could not be read.
    FileFailed(io::Error),
    /// The connection failed.
    Failed(io::Error),
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// TCP.
    Ip(std::net::SocketAddr),
    /// A Unix domain socket: its path, or NUL and the name of an abstract one.
    Unix(PathBuf),
}

/// Wakes a driver out of [`Driver::wait`].
pub trait Wake: Send + Sync {
    /// Makes the driver's present wait, or its next one, return.
    fn wake(&self);
}
