//! Step 3: sends everything, then reads everything. With more bytes than the buffers hold, it waits
//! forever: the echo server stops reading while nobody reads the echo.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:5000".into());
    let size = args.next().map_or(100_000_000, |size| size.parse().expect("a number of bytes"));

    let mut connection = TcpStream::connect(address)?;
    let sent = vec![b'x'; size];
    connection.write_all(&sent)?;
    let mut received = vec![0; size];
    connection.read_exact(&mut received)?;
    println!("sent {} bytes, received {}", sent.len(), received.len());
    Ok(())
}
