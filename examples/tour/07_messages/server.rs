//! Step 7: answers each message with its text in capitals, with a thread for each connection.

mod messages;

use std::env;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use messages::{read_message, write_message};

fn serve(mut connection: TcpStream) -> io::Result<()> {
    while let Some(message) = read_message(&mut connection)? {
        write_message(&mut connection, &message.to_ascii_uppercase())?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on port {}", listener.local_addr()?.port());
    loop {
        let (connection, peer) = listener.accept()?;
        println!("connection from {peer}");
        thread::spawn(move || match serve(connection) {
            Ok(()) => println!("end of {peer}"),
            Err(error) => println!("error of {peer}: {error}"),
        });
    }
}
