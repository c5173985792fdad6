//! Step 1: sends everything back to one client, then ends.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on port {}", listener.local_addr()?.port());
    let (mut connection, peer) = listener.accept()?;
    println!("connection from {peer}");
    let mut buffer = [0; 1024];
    loop {
        let received = connection.read(&mut buffer)?;
        if received == 0 {
            return Ok(()); // The client has closed its side.
        }
        connection.write_all(&buffer[..received])?;
    }
}
