//! `sockeye message` and `sockeye send message://…`.

pub(crate) mod frames;
mod http;
mod send;
mod send_faults;
mod serve;
mod websocket;

use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread::{self, JoinHandle};

use crate::support::{Running, text};

/// A search as a user types it, and the response of our server.
const SEARCH: &str = r#"{"action": "search", "value": "ring"}"#;
const FOUND: &str = "{\"result\": \"In the caves beneath the Misty Mountains. 💍\"}\n";

/// Starts a server that accepts this number of connections, and calls `act` for each.
fn peer(
    connections: usize,
    mut act: impl FnMut(usize, TcpStream) + Send + 'static,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("message://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        for n in 0..connections {
            act(n, listener.accept().unwrap().0);
        }
    });
    (url, thread)
}

fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

fn service(flags: &[&str]) -> Running {
    Running::start(&[&["message", "--listen", "127.0.0.1:0"], flags].concat())
}
