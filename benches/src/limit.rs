//! The limit: a server that parses nothing, and so costs what the kernel costs.
//!
//! ```text
//! sockeye-benches limit reply FILE [MOST]     FILE is the reply, head and all, from memory
//! sockeye-benches limit file HEAD BODY        HEAD from memory, BODY by sendfile
//! sockeye-benches limit frames N FILE [MOST]  FILE for every N bytes: frames that are all alike
//! sockeye-benches limit cycle N,M,… FILE…     requests of N, M, … bytes in turn, a FILE for each
//! sockeye-benches limit echo
//! ```
//!
//! It closes a connection after MOST replies.
//!
//! One thread, one epoll, one receive per wake-up and one send per batch of requests. It prints its
//! address as `sockeye` does. It is no server to copy: it trusts its peer in everything.

mod cycle;
mod echo;
mod reply;

use std::{
    fs, io,
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

/// Runs until it is killed.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["echo"] => serve("tcp", echo::Echo::default),
        ["reply", file, ref most @ ..] if most.len() < 2 => {
            let reply = reply::Reply::from_memory(fs::read(file)?, number(most.first())?);
            serve("http", || reply.peer(reply::Ends::blank_line()))
        }
        ["file", head, body] => {
            let reply = reply::Reply::from_file(fs::read(head)?, fs::File::open(body)?)?;
            serve("http", || reply.peer(reply::Ends::blank_line()))
        }
        ["frames", len, file, ref most @ ..] if most.len() < 2 => {
            let len = len.parse()?;
            let reply = reply::Reply::from_memory(fs::read(file)?, number(most.first())?);
            serve("message", || reply.peer(reply::Ends::every(len)))
        }
        ["cycle", lengths, ref files @ ..] if !files.is_empty() => {
            let lengths: Vec<usize> =
                lengths.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
            if lengths.len() != files.len() {
                return Err("a length for each file is wanted".into());
            }
            let replies = files.iter().map(fs::read).collect::<io::Result<_>>()?;
            let cycle = cycle::Cycle::new(&lengths, replies);
            serve("http", || cycle.peer())
        }
        _ => Err("limit wants: reply FILE [MOST], file HEAD BODY, frames N FILE [MOST], \
                  cycle N,M,… FILE…, or echo"
            .into()),
    }
}

fn number(word: Option<&&str>) -> Result<Option<usize>> {
    Ok(word.map(|word| word.parse()).transpose()?)
}

/// One connection's part.
trait Peer {
    /// Does what can be done now. `scratch` is lent for received bytes.
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next>;
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Input,
    Room,
    Close,
}

struct Conn<P> {
    socket: OwnedFd,
    peer: P,
    next: Next,
}

/// Connections stand at the index of their descriptor, which the kernel keeps small.
type Conns<P> = Vec<Option<Conn<P>>>;

const LISTENER: u64 = u64::MAX;

fn serve<P: Peer>(scheme: &str, make: impl Fn() -> P) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    listener.set_nonblocking(true)?;
    // Accepted sockets inherit it, which saves a call per connection.
    set_tcp_nodelay(&listener, true)?;
    println!("{scheme}://{}", listener.local_addr()?);

    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut conns: Conns<P> = Vec::new();
    let mut scratch = vec![0; 64 << 10];
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

fn accept<P: Peer>(
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
        conns[index] = Some(Conn { socket, peer: make(), next: Next::Input });
    }
}

fn turn<P: Peer>(
    index: u64,
    poll: &OwnedFd,
    conns: &mut Conns<P>,
    scratch: &mut [u8],
) -> io::Result<()> {
    let slot = &mut conns[index as usize];
    let Some(conn) = slot else { return Ok(()) };
    // A peer that resets is gone, and no more than that.
    let next = conn.peer.ready(&conn.socket, scratch).unwrap_or(Next::Close);
    if next == Next::Close {
        *slot = None;
    } else if next != conn.next {
        conn.next = next;
        let wanted = if next == Next::Room { EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(poll, &conn.socket, EventData::new_u64(index), wanted)?;
    }
    Ok(())
}
