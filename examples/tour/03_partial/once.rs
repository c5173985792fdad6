//! Step 3: sends bytes with one write, and reads once: step 1's client with more to send.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:5000".into());
    let size = args.next().map_or(200_000, |size| size.parse().expect("a number of bytes"));

    let mut connection = TcpStream::connect(address)?;
    let bytes = vec![b'x'; size];
    let sent = connection.write(&bytes)?;
    println!("write took {sent} of {size} bytes");
    let mut buffer = vec![0; size];
    let received = connection.read(&mut buffer)?;
    println!("read returned {received} of {size} bytes");
    Ok(())
}
