//! Step 2: sends each client's bytes back to it. Each client has a thread of its own.

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on port {}", listener.local_addr()?.port());
    loop {
        let (connection, peer) = listener.accept()?;
        println!("connection from {peer}");
        thread::spawn(move || {
            // An error concerns this client only: the others go on.
            if let Err(error) = echo(connection) {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

fn echo(mut connection: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let received = connection.read(&mut buffer)?;
        if received == 0 {
            return Ok(()); // The client has closed its side.
        }
        connection.write_all(&buffer[..received])?;
    }
}
