//! Shows how our HTTP/1.1 server reads what clients send, to compare it with other parsers: see
//! `scripts/foreign-parsers`.
//!
//! Each line of standard input is everything that a client sends on one connection, in hexadecimal.
//! For each line, the program prints one line of JSON: the requests that the server has accepted,
//! and what followed them (`end`): nothing that is read, an incomplete request, or a refused one.

#![forbid(unsafe_code)]

#[path = "../tests/requests/reads.rs"]
mod reads;

use std::error::Error;
use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use reads::{Accepted, End, Lines, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let bytes = unhex(&line?)?;
        let reading = read([&bytes[..]]);
        let (end, why) = match reading.end {
            End::Done => ("done", String::new()),
            End::Incomplete => ("incomplete", String::new()),
            End::Refused(_, why) => ("refused", why),
        };
        let requests: Vec<Value> = reading.requests.iter().map(request).collect();
        writeln!(output, "{}", json!({ "requests": requests, "end": end, "why": why }))?;
    }
    Ok(())
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?)).collect()
}

fn request(request: &Accepted) -> Value {
    let Accepted { method, target, minor, fields, body, trailers } = request;
    json!({
        "method": method,
        "target": latin(target),
        "minor": minor,
        "fields": lines(fields),
        "body": latin(body),
        "trailers": lines(trailers),
    })
}

fn lines(lines: &Lines) -> Vec<[String; 2]> {
    lines.iter().map(|(name, value)| [latin(name), latin(value)]).collect()
}

/// Converts each byte to the character with that number (Latin-1).
fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
