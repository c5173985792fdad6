//! Step 1: sends a text, and prints the response.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"Hello World")?;
    let mut buffer = [0; 1024];
    let received = connection.read(&mut buffer)?;
    println!("received: {}", String::from_utf8_lossy(&buffer[..received]));
    Ok(())
}
