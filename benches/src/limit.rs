//! The bare server, `limit`: it parses almost nothing, so that nearly all of its CPU time is the
//! kernel's. The CPU times of other servers are shown as multiples of its CPU time.
//!
//! ```text
//! sockeye-benches limit response FILE [MAX]     FILE is the whole response, from memory
//! sockeye-benches limit file HEAD BODY         HEAD from memory, BODY by sendfile
//! sockeye-benches limit frames N FILE [MAX]   FILE for every N bytes: frames of the same length
//! sockeye-benches limit cycle N,M,… FILE…       requests of N, M, … bytes in turn, a FILE for each
//! sockeye-benches limit http2 BLOCK FILE …      HTTP/2: header blocks and contents, in turn
//! sockeye-benches limit websocket N FILE    WebSockets: FILE, a frame, for every frame of N bytes
//! sockeye-benches limit broadcast N FILE    FILE to all WebSockets, for every frame of any of them
//! sockeye-benches limit echo
//! ```
//!
//! The server closes a connection after MAX responses. For `frames`, each request is a frame of
//! Sockeye's message protocol, of N bytes. `http2` takes pairs of files: a response's header block,
//! and its content. For `websocket` and `broadcast`, FILE is a whole WebSocket frame. `broadcast`
//! sends it to all open WebSockets for every frame of N bytes from any of them.
//!
//! The server has one thread and one epoll instance. Per wake-up of a connection, it makes one
//! receive, and usually one send for all requests that it received. It prints its address as
//! `sockeye` does. It trusts its clients: use it for measurements only.

mod broadcast;
mod cycle;
mod echo;
mod http2;
mod response;
mod serve;
mod websocket;

use std::{fs, io};

use self::serve::serve;
use crate::Result;

/// Runs the server that `words` describe, until the process is killed.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["echo"] => serve("tcp", echo::Echo::default),
        ["response", file, ref max_responses @ ..] if max_responses.len() < 2 => {
            let response =
                response::Response::from_memory(fs::read(file)?, number(max_responses.first())?);
            serve("http", || response.connection(response::RequestEnd::blank_line()))
        }
        ["file", head, body] => {
            let response = response::Response::from_file(fs::read(head)?, fs::File::open(body)?)?;
            serve("http", || response.connection(response::RequestEnd::blank_line()))
        }
        ["frames", len, file, ref max_responses @ ..] if max_responses.len() < 2 => {
            let len = len.parse()?;
            let response =
                response::Response::from_memory(fs::read(file)?, number(max_responses.first())?);
            serve("message", || response.connection(response::RequestEnd::every(len)))
        }
        ["websocket", len, file] => {
            let len = len.parse()?;
            let frame = response::Response::from_memory(fs::read(file)?, None);
            let frames = || frame.connection(response::RequestEnd::every(len));
            serve("ws", || websocket::WebSocketConnection::new(frames()))
        }
        ["broadcast", len, file] => {
            let len = len.parse()?;
            let room = broadcast::Room::new(fs::read(file)?);
            serve("ws", || websocket::WebSocketConnection::new(room.member(len)))
        }
        ["cycle", lengths, ref files @ ..] if !files.is_empty() => {
            let lengths: Vec<usize> =
                lengths.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
            if lengths.len() != files.len() {
                return Err("cycle needs a length for each file".into());
            }
            let responses = files.iter().map(fs::read).collect::<io::Result<_>>()?;
            let cycle = cycle::Cycle::new(&lengths, responses);
            serve("http", || cycle.connection())
        }
        ["http2", ref files @ ..] if !files.is_empty() => {
            let (pairs, []) = files.as_chunks() else {
                return Err("http2 needs a file for each header block".into());
            };
            let responses = pairs.iter().map(|[header_block, content]| {
                let (header_block, content) = (fs::read(header_block)?, fs::read(content)?);
                Ok(http2::Response { header_block, content })
            });
            let responses: Vec<_> = responses.collect::<io::Result<_>>()?;
            serve("http", || http2::Http2Connection::new(&responses))
        }
        _ => Err("limit needs: response FILE [MAX], file HEAD BODY, frames N FILE [MAX], \
                  cycle N,M,… FILE…, http2 BLOCK FILE …, websocket N FILE, broadcast N FILE, or echo"
            .into()),
    }
}

fn number(word: Option<&&str>) -> Result<Option<usize>> {
    Ok(word.map(|word| word.parse()).transpose()?)
}
