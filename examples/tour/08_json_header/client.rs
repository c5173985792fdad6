//! Step 8: sends one request, and prints the response: `step8-client ADDRESS ACTION VALUE`. If the
//! action is `search`, the request is JSON. Otherwise, it is the bytes of ACTION and VALUE.

mod frames;
mod message;

use std::env;
use std::error::Error;
use std::io::Write;
use std::net::TcpStream;
use std::process::ExitCode;

use message::Message;
use serde_json::{Value, json};

fn run(address: &str, action: &str, value: &str) -> Result<(), Box<dyn Error>> {
    let request = match action {
        "search" => Message::json(&json!({ "action": action, "value": value })),
        _ => {
            Message::binary("binary/custom-client-binary-type", (action.to_owned() + value).into())
        }
    };
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(&request.to_frame())?;
    let response = frames::read(&mut connection)?.ok_or("the server closed")?;
    if response.kind != "text/json" {
        println!("b'{}'", response.content.escape_ascii());
    } else if response.encoding != "utf-8" {
        return Err(format!("the encoding '{}' is not supported", response.encoding).into());
    } else {
        let response: Value = serde_json::from_slice(&response.content)?;
        println!("{}", response["result"].as_str().ok_or("the response has no 'result'")?);
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, action, value] = &arguments[..] else {
        eprintln!("step8-client ADDRESS ACTION VALUE");
        return ExitCode::FAILURE;
    };
    match run(address, action, value) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("step8-client: {error}");
            ExitCode::FAILURE
        }
    }
}
