//! The limit: a server that parses nothing, and so costs what the kernel costs.
//!
//! ```text
//! sockeye-benches limit reply FILE [MOST]     FILE is the reply, head and all, from memory
//! sockeye-benches limit file HEAD BODY        HEAD from memory, BODY by sendfile
//! sockeye-benches limit frames N FILE [MOST]  FILE for every N bytes: frames that are all alike
//! sockeye-benches limit cycle N,M,… FILE…     requests of N, M, … bytes in turn, a FILE for each
//! sockeye-benches limit echo
//! ```
//!
//! It closes a connection after MOST responses.
//!
//! One thread, one epoll, one receive per wake-up and one send per batch of requests. It prints its
//! address as `sockeye` does. It is no server to copy: it trusts its peer in everything.

mod cycle;
mod echo;
mod reply;
mod serve;

use std::{fs, io};

use self::serve::serve;
use crate::Result;

/// Runs until it is killed.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["echo"] => serve("tcp", echo::Echo::default),
        ["reply", file, ref most @ ..] if most.len() < 2 => {
            let reply = reply::Reply::from_memory(fs::read(file)?, number(most.first())?);
            serve("http", || reply.peer(reply::Ends::blank_line()))
        }
        ["file", head, body] => {
            let reply = reply::Reply::from_file(fs::read(head)?, fs::File::open(body)?)?;
            serve("http", || reply.peer(reply::Ends::blank_line()))
        }
        ["frames", len, file, ref most @ ..] if most.len() < 2 => {
            let len = len.parse()?;
            let reply = reply::Reply::from_memory(fs::read(file)?, number(most.first())?);
            serve("message", || reply.peer(reply::Ends::every(len)))
        }
        ["cycle", lengths, ref files @ ..] if !files.is_empty() => {
            let lengths: Vec<usize> =
                lengths.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
            if lengths.len() != files.len() {
                return Err("a length for each file is wanted".into());
            }
            let replies = files.iter().map(fs::read).collect::<io::Result<_>>()?;
            let cycle = cycle::Cycle::new(&lengths, replies);
            serve("http", || cycle.peer())
        }
        _ => Err("limit wants: reply FILE [MOST], file HEAD BODY, frames N FILE [MOST], \
                  cycle N,M,… FILE…, or echo"
            .into()),
    }
}

fn number(word: Option<&&str>) -> Result<Option<usize>> {
    Ok(word.map(|word| word.parse()).transpose()?)
}
