//! Step 4: one thread for all clients. It sleeps until the kernel says which sockets are ready.

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::retry_on_intr;

/// A client's socket, and the bytes for it that the kernel has not taken.
struct Connection {
    socket: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Reads all that is there, and sends what the kernel takes. Returns false at the end of input.
    fn proceed(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        while let Some(received) = if_ready(self.socket.read(&mut buffer))? {
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
        if self.unsent.is_empty() { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT }
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
    println!("listening on port {}", listener.local_addr()?.port());

    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, name(&listener), EventFlags::IN)?;
    let mut connections: HashMap<EventData, Connection> = HashMap::new();
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        // If the process is stopped (Ctrl-Z) and continued, `wait` fails with EINTR: try again.
        retry_on_intr(|| epoll::wait(&epoll, spare_capacity(&mut events), None))?;
        for event in &events {
            let ready = event.data;
            if ready == name(&listener) {
                while let Some((socket, peer)) = if_ready(listener.accept())? {
                    println!("connection from {peer}");
                    socket.set_nonblocking(true)?;
                    epoll::add(&epoll, &socket, name(&socket), EventFlags::IN)?;
                    connections.insert(name(&socket), Connection { socket, unsent: Vec::new() });
                }
            } else if let Some(connection) = connections.get_mut(&ready) {
                let before = connection.interest();
                if !connection.proceed()? {
                    connections.remove(&ready); // This closes the socket: its registration ends.
                } else if connection.interest() != before {
                    epoll::modify(&epoll, &connection.socket, ready, connection.interest())?;
                }
            }
        }
    }
}
