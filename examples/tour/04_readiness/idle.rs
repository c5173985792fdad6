//! Step 4: a client that opens many connections: step4-idle ADDRESS COUNT. It keeps them open
//! until it is killed.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let count = env::args().nth(2).map_or(1000, |count| count.parse().expect("a number"));
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = TcpStream::connect(&address)?;
        // A byte that comes back shows that the server has accepted the connection.
        connection.write_all(b"?")?;
        connection.read_exact(&mut [0])?;
        connections.push(connection);
    }
    println!("open connections: {count}");
    loop {
        thread::park();
    }
}
