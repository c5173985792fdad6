//! Step 6: one thread for all clients. A connection ends when its client is done, fails or is idle,
//! and the server goes on. Usage: `step6-server ADDRESS IDLE_SECONDS`.

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
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
    peer: SocketAddr,
    unsent: Vec<u8>,
    /// The client has closed its sending side. It may still read.
    input_has_ended: bool,
    /// When the connection is closed, unless the kernel reports it as ready before.
    deadline: Instant,
}

impl Connection {
    /// Reads what has arrived, until [`MAX_UNSENT`] bytes are to be sent. Sends what the kernel
    /// takes. Returns false when the input has ended and everything is sent.
    fn proceed(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        while self.wants_input()
            && let Some(received) = if_ready(self.socket.read(&mut buffer))?
        {
            self.input_has_ended = received == 0;
            self.unsent.extend(&buffer[..received]);
        }
        if !self.unsent.is_empty()
            && let Some(sent) = if_ready(self.socket.write(&self.unsent))?
        {
            self.unsent.drain(..sent);
        }
        Ok(!self.input_has_ended || !self.unsent.is_empty())
    }

    /// Whether more input may come, and fewer than [`MAX_UNSENT`] bytes are to be sent.
    fn wants_input(&self) -> bool {
        !self.input_has_ended && self.unsent.len() < MAX_UNSENT
    }

    /// What the kernel is to report.
    fn interest(&self) -> EventFlags {
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, self.wants_input());
        interest.set(EventFlags::OUT, !self.unsent.is_empty());
        interest
    }
}

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: HashMap<EventData, Connection>,
    /// How long a connection may be idle.
    idle: Duration,
}

impl Server {
    /// Accepts one connection. If more are waiting, the kernel reports the listener again.
    fn accept(&mut self) -> io::Result<()> {
        let (socket, peer) = match if_ready(self.listener.accept()) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return Ok(()),
            // All descriptors are in use: accept nothing until a connection has closed.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => {
                return self.listen_for(EventFlags::empty());
            }
            // Most other errors concern one connection: its client ended it before it was accepted.
            Err(error) => {
                println!("not accepted: {error}");
                return Ok(());
            }
        };
        println!("connection from {peer}");
        socket.set_nonblocking(true)?;
        epoll::add(&self.epoll, &socket, name(&socket), EventFlags::IN)?;
        let deadline = Instant::now() + self.idle;
        let connection =
            Connection { socket, peer, unsent: Vec::new(), input_has_ended: false, deadline };
        self.connections.insert(name(&connection.socket), connection);
        Ok(())
    }

    /// Reads from and writes to the connection that the kernel reports as ready.
    fn serve(&mut self, ready: EventData) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&ready) else { return Ok(()) };
        connection.deadline = Instant::now() + self.idle;
        let before = connection.interest();
        match connection.proceed() {
            Ok(true) if connection.interest() == before => Ok(()),
            Ok(true) => {
                Ok(epoll::modify(&self.epoll, &connection.socket, ready, connection.interest())?)
            }
            Ok(false) => self.close(ready, "all is sent"),
            Err(error) => self.close(ready, &error.to_string()),
        }
    }

    /// Closes a connection. Its descriptor is free then, so the server can accept again.
    fn close(&mut self, name: EventData, why: &str) -> io::Result<()> {
        if let Some(connection) = self.connections.remove(&name) {
            println!("closed {}: {why}", connection.peer);
        }
        self.listen_for(EventFlags::IN)
    }

    /// Closes the connections whose deadline has passed.
    fn close_idle(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let expired = self.connections.iter().filter(|(_, each)| each.deadline <= now);
        for name in expired.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.close(name, "idle")?;
        }
        Ok(())
    }

    /// Changes what the kernel reports of the listener.
    fn listen_for(&self, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, &self.listener, name(&self.listener), interest)?)
    }

    /// The time until the first deadline. `None` without connections.
    fn time_left(&self) -> Option<Timespec> {
        let first = self.connections.values().map(|each| each.deadline).min()?;
        let left = first.saturating_duration_since(Instant::now());
        Some(left.try_into().expect("the deadline is near"))
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
    let idle = env::args().nth(2).map_or(60, |idle| idle.parse().expect("a number of seconds"));
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    listen(&listener, BACKLOG)?;
    println!("listening on port {}", listener.local_addr()?.port());

    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, name(&listener), EventFlags::IN)?;
    let idle = Duration::from_secs(idle);
    let mut server = Server { listener, epoll, connections: HashMap::new(), idle };
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        let time = server.time_left();
        retry_on_intr(|| epoll::wait(&server.epoll, spare_capacity(&mut events), time.as_ref()))?;
        for event in &events {
            let ready = event.data;
            if ready == name(&server.listener) {
                server.accept()?;
            } else {
                server.serve(ready)?;
            }
        }
        server.close_idle()?;
    }
}
