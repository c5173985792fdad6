//! Step 8: answers JSON, which asks for a search, with the result, and other content with its first
//! 10 bytes. Each connection has a thread.

mod answers;
mod frames;
mod message;

use std::env;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn serve(mut connection: TcpStream) -> io::Result<()> {
    loop {
        match frames::read(&mut connection) {
            Ok(Some(request)) => connection.write_all(&answers::answer(&request).to_frame())?,
            Ok(None) => return Ok(()),
            // After an invalid frame, it is unknown where the next one begins. So this is the last
            // answer.
            Err(error) => {
                let answer = answers::refusal(&error.to_string());
                connection.write_all(&answer.to_frame())?;
                return Err(error);
            }
        }
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on port {}", listener.local_addr()?.port());
    loop {
        let (connection, peer) = listener.accept()?;
        println!("connection from {peer}");
        thread::spawn(move || {
            if let Err(error) = serve(connection) {
                println!("error of {peer}: {error}");
            }
        });
    }
}
