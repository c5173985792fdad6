//! Step 5: one thread sends two messages on each of many connections. Usage:
//! `step5-client ADDRESS COUNT`.

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

const MESSAGES: [&[u8]; 2] = [b"Message 1 from client.", b"Message 2 from client."];

struct Connection {
    number: usize,
    socket: TcpStream,
    unsent: Vec<&'static [u8]>,
    received: Vec<u8>,
}

impl Connection {
    /// Begins to connect. The standard library would wait until the server has answered.
    fn open(number: usize, address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { number, socket: socket.into(), unsent: MESSAGES.into(), received: Vec::new() })
    }

    /// Sends and reads what is possible. Returns false when all bytes have come back, or the server
    /// has closed.
    fn proceed(&mut self) -> io::Result<bool> {
        // If the connection could not be established, this is the reason.
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        while let Some(message) = self.unsent.first_mut()
            && let Some(sent) = if_ready(self.socket.write(message))?
        {
            *message = &message[sent..];
            if message.is_empty() {
                self.unsent.remove(0);
            }
        }
        let expected = MESSAGES.concat();
        let mut buffer = [0; 1024];
        while let Some(received) = if_ready(self.socket.read(&mut buffer))? {
            self.received.extend(&buffer[..received]);
            if received == 0 || self.received.len() >= expected.len() {
                let is_complete = self.received == expected;
                let verdict = if is_complete { "complete" } else { "wrong" };
                println!("connection {} {verdict}", self.number);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the kernel is to report: room to send while something is unsent, then input. A socket
    /// has room to send as soon as it is connected.
    fn interest(&self) -> EventFlags {
        if self.unsent.is_empty() { EventFlags::IN } else { EventFlags::OUT }
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

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let address = address.parse().expect("an address, such as 127.0.0.1:5000");
    let count = env::args().nth(2).map_or(3, |count| count.parse().expect("a number"));

    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut connections = HashMap::new();
    for number in 1..=count {
        let connection = Connection::open(number, address)?;
        // The kernel returns this with each event, to say which socket the event is about.
        let name = EventData::new_u64(connection.socket.as_raw_fd() as u64);
        epoll::add(&epoll, &connection.socket, name, connection.interest())?;
        connections.insert(name, connection);
    }
    let mut events = Vec::with_capacity(64);
    while !connections.is_empty() {
        events.clear();
        retry_on_intr(|| epoll::wait(&epoll, spare_capacity(&mut events), None))?;
        for event in &events {
            let name = event.data;
            let connection = connections.get_mut(&name).expect("it is open");
            let before = connection.interest();
            if !connection.proceed()? {
                connections.remove(&name);
            } else if connection.interest() != before {
                epoll::modify(&epoll, &connection.socket, name, connection.interest())?;
            }
        }
    }
    Ok(())
}
