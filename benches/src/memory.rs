//! Measures a server's memory per idle connection.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::{
    net::{AddressFamily, SocketType, bind, connect, socket, sockopt::set_socket_linger},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::{Result, http2, probe, rows::Shape, tls::Client, websocket};

/// Number of connections from one source address: fewer than Linux has ephemeral ports by default.
const PER_SOURCE: usize = 20_000;
/// Number of file descriptors of this process that are not connections.
const OTHER_DESCRIPTORS: u64 = 100;

/// A server's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident memory before the idle connections are opened, including shared pages of code.
    pub(crate) start: u64,
    /// Private memory per idle connection.
    pub(crate) per_connection: f64,
}

/// Raises the soft limit of file descriptors to the hard limit, for this process and the servers
/// that it starts. Returns the number of connections that this limit allows.
pub(crate) fn raise_descriptors() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(1 << 20).saturating_sub(OTHER_DESCRIPTORS))
}

/// Opens `count` connections one after the other, over TLS if `tls` is given, makes one request on
/// each, and measures the server's memory while all are open.
pub(crate) fn measure(
    pid: u32,
    target: SocketAddr,
    tls: Option<&Client>,
    load: Shape,
    count: usize,
) -> Result<Memory> {
    let start = field(pid, "Rss:")?;
    // The first connection is not counted, because its request also causes the allocations that
    // the server makes only once. `count` others follow.
    let mut idle = Vec::with_capacity(count + 1);
    let request = Request::of(load)?;
    // Only the socket is kept, so that this process needs little memory.
    let open = |index| {
        let mut socket = connected(target, index)?;
        match tls {
            None => request.exchange(&mut socket)?,
            Some(client) => {
                let mut stream = client.connect(socket)?;
                request.exchange(&mut stream)?;
                socket = stream.sock;
            }
        }
        Ok::<_, Box<dyn std::error::Error>>(socket)
    };
    idle.push(open(0)?);
    let before = field(pid, "Anonymous:")?;
    for index in 0..count {
        idle.push(open(index)?);
    }
    let after = field(pid, "Anonymous:")?;
    let grown = after as f64 - before as f64;
    Ok(Memory { start, per_connection: grown / count as f64 })
}

/// Opens a connection, and makes one request on it. `index` is the number of connections before it,
/// which decides the source address.
pub(crate) fn open(target: SocketAddr, request: &[u8], index: usize) -> Result<TcpStream> {
    let stream = connected(target, index)?;
    probe::exchange(&stream, request)?;
    Ok(stream)
}

/// The request of an idle connection.
enum Request {
    Http1(Vec<u8>),
    Http2(http2::Requests),
    WebSocket(websocket::Echo),
}

impl Request {
    fn of(load: Shape) -> Result<Self> {
        if load.is_http2() {
            return Ok(Self::Http2(load.http2_requests()));
        }
        if let Some(size) = load.websocket_size() {
            return Ok(Self::WebSocket(websocket::Echo::of(size)));
        }
        let prepared = load.prepared()?;
        let first = prepared.first().ok_or("the load has no request")?;
        Ok(Self::Http1(first.keep_alive().to_vec()))
    }

    fn exchange(&self, stream: &mut (impl Read + Write)) -> Result<()> {
        match self {
            Self::Http1(request) => drop(probe::exchange(stream, request)?),
            Self::Http2(requests) => drop(http2::Probe::new(stream, requests).exchange()?),
            Self::WebSocket(echo) => echo.exchange(stream)?,
        }
        Ok(())
    }
}

fn connected(target: SocketAddr, index: usize) -> Result<TcpStream> {
    let stream = from_source(target, index / PER_SOURCE)
        .map_err(|error| format!("connection {index}: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// Connects from 127.0.0.2 (`source` 0), 127.0.0.3 (1) and so on.
fn from_source(target: SocketAddr, source: usize) -> io::Result<TcpStream> {
    let last = u8::try_from(source + 2).map_err(io::Error::other)?;
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    // Close with a reset, so that no ports are in TIME-WAIT when the next server is measured.
    set_socket_linger(&socket, Some(Duration::ZERO))?;
    bind(&socket, &SocketAddr::from(([127, 0, 0, last], 0)))?;
    connect(&socket, &target)?;
    Ok(socket.into())
}

/// Reads a field of a process's `smaps_rollup` in `/proc`, in bytes.
pub(crate) fn field(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse(&text, name).ok_or_else(|| format!("smaps_rollup has no {name}").into())
}

fn parse(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        let text =
            "55d0-7ffc ---p 00000000 00:00 0  [rollup]\nRss:    1752 kB\nAnonymous:   116 kB\n";
        assert_eq!(parse(text, "Rss:"), Some(1752 << 10));
        assert_eq!(parse(text, "Anonymous:"), Some(116 << 10));
        assert_eq!(parse(text, "Pss:"), None);
    }
}
