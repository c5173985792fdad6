//! Parses requests, for comparison with other parsers: see `scripts/foreign-parsers`.
//!
//! Each line of standard input is the input of one connection, in hexadecimal. Each
//! line of standard output has, as JSON, the requests that the HTTP server parsed from it.

#![forbid(unsafe_code)]

#[path = "../tests/requests/reads.rs"]
mod reads;

use std::error::Error;
use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use reads::{InputEnd, Lines, ParsedRequest, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let bytes = unhex(&line?)?;
        let parsed = read([&bytes[..]]);
        let (end, reason) = match parsed.end {
            InputEnd::Done => ("done", String::new()),
            InputEnd::Incomplete => ("incomplete", String::new()),
            InputEnd::Refused(_, reason) => ("refused", reason),
        };
        let requests: Vec<Value> = parsed.requests.iter().map(request).collect();
        writeln!(output, "{}", json!({ "requests": requests, "end": end, "why": reason }))?;
    }
    Ok(())
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?)).collect()
}

fn request(request: &ParsedRequest) -> Value {
    let ParsedRequest { method, target, minor, fields, body, trailers } = request;
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

/// Converts each byte to the character with that code (Latin-1).
fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
