//! Step 5: one thread for all clients, which holds a bounded amount of memory for each.

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::listen;

/// How many connections the kernel holds until they are accepted. The standard library sets 128.
const BACKLOG: i32 = 4096;
/// While a connection has this many bytes to send, nothing more is read from it.
const MAX_UNSENT: usize = 64 * 1024;

/// A client's socket, and the bytes for it that the kernel has not taken.
struct Connection {
    socket: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Reads up to the limit, and sends what the kernel takes. Returns false at the end of input.
    fn proceed(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        while self.unsent.len() < MAX_UNSENT
            && let Some(received) = if_ready(self.socket.read(&mut buffer))?
        {
            if received == 0 {
                return Ok(false);
            }
            self.unsent.extend(&buffer[..received]);
        }
        if !self.unsent.is_empty()
            && let Some(sent) = if_ready(self.socket.write(&self.unsent))?
        {
            self.unsent.drain(..sent);
        }
        Ok(true)
    }

    /// What the kernel is to report.
    fn interest(&self) -> EventFlags {
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, self.unsent.len() < MAX_UNSENT);
        interest.set(EventFlags::OUT, !self.unsent.is_empty());
        interest
    }
}

/// `None` if a call could do nothing without blocking.
fn if_ready<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number by which the kernel names a socket in its reports: its file descriptor.
fn name(socket: &impl AsRawFd) -> EventData {
    EventData::new_u64(socket.as_raw_fd() as u64)
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    listen(&listener, BACKLOG)?;
    println!("listening on port {}", listener.local_addr()?.port());

    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, name(&listener), EventFlags::IN)?;
    let mut connections: HashMap<EventData, Connection> = HashMap::new();
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        retry_on_intr(|| epoll::wait(&epoll, spare_capacity(&mut events), None))?;
        for event in &events {
            let ready = event.data;
            if ready == name(&listener) {
                match if_ready(listener.accept()) {
                    Ok(None) => {}
                    Ok(Some((socket, peer))) => {
                        println!("connection from {peer}");
                        socket.set_nonblocking(true)?;
                        epoll::add(&epoll, &socket, name(&socket), EventFlags::IN)?;
                        let connection = Connection { socket, unsent: Vec::new() };
                        connections.insert(name(&connection.socket), connection);
                    }
                    // All descriptors are in use: accept nothing until a connection has closed.
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => {
                        epoll::modify(&epoll, &listener, ready, EventFlags::empty())?;
                    }
                    Err(error) => return Err(error),
                }
            } else if let Some(connection) = connections.get_mut(&ready) {
                let before = connection.interest();
                if !connection.proceed()? {
                    connections.remove(&ready);
                    epoll::modify(&epoll, &listener, name(&listener), EventFlags::IN)?;
                } else if connection.interest() != before {
                    epoll::modify(&epoll, &connection.socket, ready, connection.interest())?;
                }
            }
        }
    }
}
