//! Step 8: answers searches, and bytes with their beginning. A thread per connection.

mod frames;

use std::env;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use frames::Frame;
use serde_json::{Value, json};

/// What to answer to the request.
fn answer(request: &Frame) -> Result<Frame, String> {
    if request.kind != "text/json" {
        let mut content = b"First 10 bytes of request: ".to_vec();
        content.extend(request.content.iter().take(10));
        return Ok(Frame::binary("binary/custom-server-binary-type", content));
    }
    if request.encoding != "utf-8" {
        return Err(format!("the encoding '{}' is not supported", request.encoding));
    }
    let request: Value = serde_json::from_slice(&request.content)
        .map_err(|error| format!("the content is not JSON: {error}"))?;
    match (request["action"].as_str(), request["value"].as_str()) {
        (Some("search"), Some(value)) => Ok(Frame::json(&json!({ "result": search(value) }))),
        (Some("search"), None) => Err("the search has no text 'value'".into()),
        (action, _) => Err(format!("invalid action '{}'.", action.unwrap_or("None"))),
    }
}

fn search(value: &str) -> String {
    match value {
        "morpheus" => "Follow the white rabbit. 🐰".into(),
        "ring" => "In the caves beneath the Misty Mountains. 💍".into(),
        "🐶" => "🐾 Playing ball! 🏐".into(),
        _ => format!("No match for '{value}'."),
    }
}

/// An answer that says what is wrong.
fn refusal(error: &str) -> Frame {
    Frame::json(&json!({ "result": format!("Error: {error}") }))
}

fn serve(mut connection: TcpStream) -> io::Result<()> {
    loop {
        match Frame::read(&mut connection) {
            Ok(Some(request)) => {
                let answer = answer(&request).unwrap_or_else(|error| refusal(&error));
                answer.write(&mut connection)?;
            }
            Ok(None) => return Ok(()),
            // Where the next frame begins is unknown now, so this is the last answer.
            Err(error) => {
                refusal(&error.to_string()).write(&mut connection)?;
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
