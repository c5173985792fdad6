//! Step 5: a client that sends zeros and reads nothing. It keeps its connection open until it is
//! killed. Usage: `step5-greedy ADDRESS MEGABYTES`.

use std::env;
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

const MEGABYTE: usize = 1_000_000;
/// Maximum number of megabytes to send. A server without a limit keeps them all: more could fill
/// the machine's memory.
const MAX_MEGABYTES: usize = 200;
/// If the socket takes nothing for this long, the server has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let megabytes =
        env::args().nth(2).map_or(MAX_MEGABYTES, |count| count.parse().expect("a number"));
    let end = megabytes.min(MAX_MEGABYTES) * MEGABYTE;
    let mut connection = TcpStream::connect(address)?;
    connection.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut sent = 0;
    while sent < end {
        let zeros = vec![0; MEGABYTE.min(end - sent)];
        let taken = match connection.write(&zeros) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        sent += taken;
        if taken < zeros.len() {
            break;
        }
    }
    let how = if sent == end { "sent" } else { "blocked after" };
    println!("{how} {} MB", sent / MEGABYTE);
    loop {
        thread::park();
    }
}
