//! Step 7: sends each argument after the address as one message, and prints the answers.

mod messages;

use std::env;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::process::ExitCode;

use messages::{read_message, write_message};

fn run(address: &str, texts: &[String]) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    for text in texts {
        write_message(&mut connection, text.as_bytes())?;
        let answer = read_message(&mut connection)?.ok_or(ErrorKind::UnexpectedEof)?;
        println!("received: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:5000".into());
    match run(&address, &arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("step7-client: {error}");
            ExitCode::FAILURE
        }
    }
}
