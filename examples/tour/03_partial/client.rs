//! Step 3: sends bytes in one thread while it receives them in another, and compares them.

use std::env;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:5000".into());
    let size = args.next().map_or(100_000_000, |size| size.parse().expect("a number of bytes"));

    // The bytes have a pattern. So lost or repeated bytes shift all that follow, and are noticed.
    let pattern: Vec<u8> = (0..=250).collect();
    let mut bytes = pattern.repeat(size / pattern.len() + 1);
    bytes.truncate(size);

    let connection = TcpStream::connect(address)?;
    let mut received = Vec::new();
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&connection, &bytes));
        // Reads until 0: the server closes its side when it has sent everything back.
        (&connection).read_to_end(&mut received)?;
        sender.join().expect("the thread that sends does not panic")
    })?;
    println!("sent {} bytes, received {}", bytes.len(), received.len());
    assert!(received == bytes, "other bytes came back");
    Ok(())
}

fn send(mut connection: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    connection.write_all(bytes)?;
    connection.shutdown(Shutdown::Write)
}
