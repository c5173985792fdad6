//! Step 7: shows that TCP keeps no boundaries between messages. Both ends of a connection are in
//! this program, so that the order of the calls is certain.

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Reads once, and prints what the read returns.
fn show(connection: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let received = connection.read(&mut buffer)?;
    println!("one read: {:?}", String::from_utf8_lossy(&buffer[..received]));
    Ok(())
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = TcpListener::bind(address)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;

    // The server waits until both messages, 44 bytes, have arrived, as if it had other work. `peek`
    // shows bytes, and leaves them to be read.
    client.write_all(b"Message 1 from client.")?;
    client.write_all(b"Message 2 from client.")?;
    while server.peek(&mut [0; 1024])? < 44 {}
    show(&mut server)?;

    // The client writes the first half of a message, and the second half a moment later, as if the
    // network had divided the message.
    client.write_all(b"Message 1 fr")?;
    show(&mut server)?;
    client.write_all(b"om client.")?;
    show(&mut server)
}
