//! A client that a fuzzing server of Autobahn|Testsuite drives: see `scripts/websocket-suite`.
//!
//! ```text
//! websocket_suite_client HOST:PORT [--deflate]
//! ```
//!
//! The client asks for the number of test cases, then runs each one as an echo. It passes bytes
//! between a blocking socket and the protocol, without an engine.

use std::cell::RefCell;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use sockeye_http::Fields;
use sockeye_http::ws::{
    ClientHandshake, Config, Connection, DeflateOptions, Handler, Limits, MaskKeys, Message,
    Opening, Socket,
};
use sockeye_proto::harness::Harness;

/// A read from the socket fails if the server sends nothing for this long.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let (address, deflates) = match &words[..] {
        [address] => (address, false),
        [address, flag] if flag == "--deflate" => (address, true),
        _ => return Err("usage: websocket_suite_client HOST:PORT [--deflate]".into()),
    };
    // Enough for the largest message and the smallest fragments in group 9 of the suite.
    let limits = Limits { message: 16 << 20, fragments: 65_536, ..Limits::default() };
    let config = Config::new(limits);
    let config = if deflates { config.deflating(DeflateOptions::new()) } else { config };
    let client = Client { address, config: Rc::new(config) };
    let count = Rc::<RefCell<String>>::default();
    client.run("/getCaseCount", Note(Rc::clone(&count)))?;
    let count: usize = count.borrow().parse()?;
    for case in 1..=count {
        // An error ends a case, not the run.
        if let Err(error) = client.run(&format!("/runCase?case={case}&agent=sockeye"), Echo) {
            eprintln!("case {case} of {count}: {error}");
        }
    }
    client.run("/updateReports?agent=sockeye", Echo)
}

struct Client<'a> {
    address: &'a str,
    config: Rc<Config>,
}

impl Client<'_> {
    /// Opens a WebSocket, and calls the handler until it is closed.
    fn run(&self, target: &str, handler: impl Handler + 'static) -> Result<(), Box<dyn Error>> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_nodelay(true)?;
        // The server is a test on this machine, so the nonce and the masks may be predictable.
        let handshake = ClientHandshake::new([7; 16], &self.config);
        socket.write_all(&handshake.request(self.address, target, &Fields::new()))?;
        let mut buffer = vec![0; 256 * 1024];
        let mut input = Vec::new();
        let extension = loop {
            match handshake.read(&input).map_err(|bad| bad.0)? {
                Opening::Open { len, extension, .. } => {
                    input.drain(..len);
                    break extension;
                }
                Opening::Refused { status } => return Err(format!("status {status}").into()),
                Opening::NeedMore => {}
            }
            match socket.read(&mut buffer)? {
                0 => return Err("the server has ended the connection".into()),
                len => input.extend_from_slice(&buffer[..len]),
            }
        };
        let masks = MaskKeys::new([7; 16]);
        let connection = Connection::client(Rc::clone(&self.config), masks, handler);
        let mut side = Harness::new(connection.with_extension(extension));
        side.input(&input);
        loop {
            // The handler may write more when the output has room.
            loop {
                let output = side.output();
                if output.is_empty() {
                    break;
                }
                // The write fails if the server has found an error, and stopped reading.
                let _ = socket.write_all(&output);
            }
            if side.fault().is_some() || side.end().is_some() {
                let _ = socket.shutdown(Shutdown::Write);
                // Waits until the server closes the connection (RFC 6455, 7.1.1).
                while let Ok(1..) = socket.read(&mut buffer) {}
                return Ok(());
            }
            match socket.read(&mut buffer)? {
                0 => side.eof(),
                len => side.input(&buffer[..len]),
            }
        }
    }
}

/// Sends messages back.
struct Echo;

impl Handler for Echo {
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        socket.send(message);
    }
}

/// Stores the last text message.
struct Note(Rc<RefCell<String>>);

impl Handler for Note {
    fn on_message(&mut self, message: Message<'_>, _: &mut Socket<'_, '_>) {
        if let Message::Text(text) = message {
            text.clone_into(&mut self.0.borrow_mut());
        }
    }
}
