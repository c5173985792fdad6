//! The event loop of the bare server: one thread, one epoll instance.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    net::{SocketFlags, accept_with, sockopt::set_tcp_nodelay},
};

use crate::Result;

/// One connection.
pub(super) trait Connection {
    /// Handles one epoll event: receives, sends, or both. `scratch` is a buffer for received bytes.
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next>;
}

/// What a connection waits for. [`Next::Close`] closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Bytes from the peer.
    Input,
    /// Space in the send buffer of the socket.
    Room,
    Close,
}

struct Conn<P> {
    socket: OwnedFd,
    handler: P,
    next: Next,
}

/// Connections, indexed by their descriptors, which are small numbers.
type Conns<P> = Vec<Option<Conn<P>>>;

/// The epoll data of the listener. That of a connection is its index in [`Conns`].
const LISTENER: u64 = u64::MAX;
/// Size of the receive buffer, the same as Sockeye's: a WebSocket frame of 64 KiB fits with its
/// header.
const RECEIVED: usize = 68 << 10;

/// Serves each connection with a value of its own, which `make` returns, until the process is
/// killed.
pub(super) fn serve<P: Connection>(scheme: &str, make: impl Fn() -> P) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    listener.set_nonblocking(true)?;
    // Accepted sockets inherit this, which saves a call per connection.
    set_tcp_nodelay(&listener, true)?;
    println!("{scheme}://{}", listener.local_addr()?);

    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut conns: Conns<P> = Vec::new();
    let mut scratch = vec![0; RECEIVED];
    let mut events = Vec::with_capacity(256);
    loop {
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => accept(&listener, &poll, &mut conns, &make)?,
                index => turn(index, &poll, &mut conns, &mut scratch)?,
            }
        }
    }
}

fn accept<P: Connection>(
    listener: &TcpListener,
    poll: &OwnedFd,
    conns: &mut Conns<P>,
    make: impl Fn() -> P,
) -> io::Result<()> {
    loop {
        let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        let index = usize::try_from(socket.as_raw_fd()).expect("descriptors are not negative");
        epoll::add(poll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
        if conns.len() <= index {
            conns.resize_with(index + 1, || None);
        }
        conns[index] = Some(Conn { socket, handler: make(), next: Next::Input });
    }
}

/// Passes an event to the connection at `index`. Then closes the connection or, if it now waits for
/// something else, changes its registration with epoll.
fn turn<P: Connection>(
    index: u64,
    poll: &OwnedFd,
    conns: &mut Conns<P>,
    scratch: &mut [u8],
) -> io::Result<()> {
    let slot = &mut conns[index as usize];
    let Some(conn) = slot else { return Ok(()) };
    // An error, such as a reset, ends only this connection.
    let next = conn.handler.ready(&conn.socket, scratch).unwrap_or(Next::Close);
    if next == Next::Close {
        *slot = None;
    } else if next != conn.next {
        conn.next = next;
        let wanted = if next == Next::Room { EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(poll, &conn.socket, EventData::new_u64(index), wanted)?;
    }
    Ok(())
}
