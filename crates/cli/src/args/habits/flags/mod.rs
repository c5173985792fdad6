//! The flags of other programs, and what to do when one is typed.

mod clients;
mod servers;
mod types;

use self::clients::{CLIENT_TLS, HEALTH, LOAD, SEND};
use self::servers::{ECHO, FOLDERS, LOGGING, MESSAGE, SERVER};
pub(super) use self::types::{Meaning, Table, TlsPart};

/// The tables for a command. If several tables have a flag, the first one is used.
pub(super) fn tables(command: &str) -> &'static [Table] {
    match command {
        "http" | "explain" => &[FOLDERS, SERVER, LOGGING],
        "echo" => &[ECHO, SERVER, LOGGING],
        "message" => &[MESSAGE, SERVER, LOGGING],
        "load" => &[LOAD, CLIENT_TLS, LOGGING],
        "send" => &[SEND, CLIENT_TLS, LOGGING],
        "health" => &[HEALTH, CLIENT_TLS],
        _ => &[],
    }
}

/// What to do with `flag` (with its dashes) if `command` doesn't have it. `None` if it is unknown.
pub(super) fn meaning(command: &str, flag: &str) -> Option<Meaning> {
    let mut rows = tables(command).iter().copied().flatten();
    rows.find(|(flags, _)| flags.contains(&flag)).map(|(_, meaning)| *meaning)
}
