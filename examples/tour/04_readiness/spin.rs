//! Step 4: one thread asks every socket, again and again. It serves many clients, and never rests.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

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
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on port {}", listener.local_addr()?.port());
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        while let Some((socket, peer)) = if_ready(listener.accept())? {
            println!("connection from {peer}");
            socket.set_nonblocking(true)?;
            connections.push(Connection { socket, unsent: Vec::new() });
        }
        let mut open = Vec::new();
        for mut connection in connections {
            if connection.proceed()? {
                open.push(connection);
            }
        }
        connections = open;
    }
}
