//! Probes for the flags of servers and of `explain`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::{Run, stop};
use crate::messages::frames::{frame, search};
use crate::support::{Folder, Running};
use crate::tls::certificates::write_for_flags;

/// A run with a timeout of 50 ms ends before one with the default, which is longer, although that
/// one started earlier.
pub(super) const BEFORE_DEFAULT: &str = "ends before the default does";
const NOT_BEFORE_DEFAULT: &str = "lasts as long as with the default";

/// `x` a thousand times, compressed with gzip.
const XS_GZ: [u8; 29] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 168, 24, 5, 163, 96, 20, 12, 119, 0, 0, 230, 201, 65, 59,
    232, 3, 0, 0,
];

/// The folder of every run.
pub(super) fn site() -> Folder {
    let folder = Folder::new();
    folder.write("index.html", b"the app");
    folder.write("about.html", b"about");
    folder.write("a.foo", b"foo");
    folder.write("a.css", "a { color: red }\n".repeat(200).as_bytes());
    folder.write("one.txt", b"the same");
    folder.write("two.txt", b"the same");
    // A time of its own, which is part of an ETag that isn't made of the content.
    let two = File::options().write(true).open(folder.join("two.txt")).unwrap();
    two.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    folder.write("xs.txt", &[b'x'; 1000]);
    folder.write("xs.txt.gz", &XS_GZ);
    folder.write("16k", &vec![b'x'; 16 << 10]);
    folder.write("answers.json", br#"{"one": "eins"}"#);
    // A sparse file, which takes no space on the disk.
    File::create(folder.join("large")).unwrap().set_len(1 << 30).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    fs::create_dir(folder.join(".kept")).unwrap();
    folder.write(".kept/file", b"kept");
    write_for_flags(&folder.path().join(".tls"));
    symlink(".kept/file", folder.join("kept.txt")).unwrap();
    folder
}

fn head(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: text/html\r\n\
         Accept-Encoding: zstd, br, gzip\r\nOrigin: https://a.example\r\n\
         X-Forwarded-For: 198.51.100.9\r\n\r\n"
    )
}

/// Sends a request. Returns everything that the server sends.
pub(super) fn exchange(server: &Running, request: &[u8]) -> String {
    let mut stream = server.connect();
    stream.write_all(request).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

/// The response to a GET.
pub(super) fn get(run: &Run<'_>, path: &str) -> String {
    exchange(&run.start(), head(path).as_bytes())
}

/// The response to a GET of a folder without an index.html, by a server on a terminal.
pub(super) fn get_folder_on_terminal(run: &Run<'_>) -> String {
    exchange(&Running::start_on_terminal(&mut run.server()), head("/sub/").as_bytes())
}

/// The response to a request with the headers of a simple client.
pub(super) fn response_to_curl(run: &Run<'_>) -> String {
    exchange(&run.start(), b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// The response to a request for a host that is not the server's.
pub(super) fn response_for_another_host(run: &Run<'_>) -> String {
    let request = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    exchange(&run.start(), request.as_bytes())
}

/// The response to a request from a page of another origin.
pub(super) fn response_for_another_origin(run: &Run<'_>) -> String {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://www.example.org\r\n\
                   Connection: close\r\n\r\n";
    exchange(&run.start(), request.as_bytes())
}

pub(super) fn explain(run: &Run<'_>, path: &str) -> String {
    run.run(&[path, run.folder.text()])
}

pub(super) fn is_explained(run: &Run<'_>) -> String {
    explain(run, "/about")
}

/// A URL whose name no certificate has.
pub(super) fn https_explained(run: &Run<'_>) -> String {
    explain(run, "https://other.localhost/about")
}

pub(super) fn security_headers(run: &Run<'_>) -> String {
    presence(&get(run, "/about"), "nosniff", "has none", "has nosniff")
}

pub(super) fn no_security_headers_explained(run: &Run<'_>) -> String {
    presence(&explain(run, "/about"), "nosniff", "has none", "has nosniff")
}

/// Whether `explain` says that a server on a terminal lists a folder.
pub(super) fn on_terminal_explained(run: &Run<'_>) -> String {
    let explained = explain(run, "/sub/");
    assert!(explained.contains("404 Not Found"), "{explained}");
    if explained.contains("on a terminal") { "listed on a terminal" } else { "never listed" }.into()
}

/// Whether a response has a Content-Encoding.
pub(super) fn encoding(run: &Run<'_>, path: &str) -> String {
    presence(&get(run, path), "Content-Encoding: ", "as it is", "encoded")
}

/// Whether the response varies with Accept-Encoding.
pub(super) fn varies(run: &Run<'_>, path: &str) -> String {
    presence(&explain(run, path), "Vary: Accept-Encoding", "as it is", "varies")
}

fn presence(observed: &str, what: &str, without: &str, with: &str) -> String {
    assert!(observed.contains("200 OK"), "{observed}");
    if observed.contains(what) { with.into() } else { without.into() }
}

/// Whether the ETags of two files with the same content are the same.
pub(super) fn etags(run: &Run<'_>, observe: fn(&Run<'_>, &str) -> String) -> String {
    let etag = |path| {
        let observed = observe(run, path);
        let etag = observed.lines().find_map(|line| line.trim().strip_prefix("ETag: "));
        etag.unwrap_or_else(|| panic!("no ETag in {observed}")).to_owned()
    };
    if etag("/one.txt") == etag("/two.txt") { "one ETag".into() } else { "two ETags".into() }
}

/// A request that every server responds to.
fn greeting(run: &Run<'_>) -> Vec<u8> {
    match run.command {
        "http" => head("/about").replace("close", "keep-alive").into(),
        "message" => search("one", Some(1)),
        _ => b"hello".into(),
    }
}

/// Sends a request, and waits for the first byte of its response; false if the connection ends.
fn is_answered(run: &Run<'_>, stream: &mut (impl Read + Write)) -> bool {
    // Writing to a refused connection may fail.
    let sent = stream.write_all(&greeting(run)).is_ok();
    sent && stream.read(&mut [0]).is_ok_and(|count| count == 1)
}

/// The response of a message server to a search.
pub(super) fn search_one(run: &Run<'_>) -> String {
    exchange(&run.start(), &search("one", None))
}

/// Opens a WebSocket.
pub(super) const WEBSOCKET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame of a client's WebSocket, with a mask of zeros. `first` is its first byte.
pub(super) fn websocket_frame(first: u8, payload: &str) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    assert!(len < 126, "the length takes one byte");
    [&[first, 0x80 | len, 0, 0, 0, 0], payload.as_bytes()].concat()
}

/// The response of a message server to a search over WebSocket, whose message has two fragments.
pub(super) fn search_over_websocket(run: &Run<'_>) -> String {
    let (start, end) = (r#"{"action": "search", "#, r#""value": "one"}"#);
    let [first, last] = [websocket_frame(0x01, start), websocket_frame(0x80, end)];
    let close = websocket_frame(0x88, "");
    exchange(&run.start(), &[WEBSOCKET.as_bytes(), &first, &last, &close].concat())
}

/// Waits for a ping over WebSocket. Another server with the default timeout, where a WebSocket was
/// opened before, sends none until then.
pub(super) fn pings_before_default(run: &Run<'_>) -> String {
    let open = |run: &Run<'_>| {
        let server = run.start();
        let mut stream = server.connect();
        stream.write_all(WEBSOCKET.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        (server, stream)
    };
    let (_server, with_default) = open(&run.plain());
    let (_other, mut with_flag) = open(run);
    let mut frame = [0; 2];
    with_flag.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x89, 0], "a ping");
    with_default.set_nonblocking(true).unwrap();
    if with_default.peek(&mut [0]).is_ok() { NOT_BEFORE_DEFAULT } else { BEFORE_DEFAULT }.into()
}

/// The log of one connection.
pub(super) fn log_of_one_connection(run: &Run<'_>) -> String {
    let server = run.start();
    assert!(is_answered(run, &mut server.connect()));
    stop(server)
}

pub(super) fn access_log(run: &Run<'_>) -> String {
    let server = run.start();
    assert!(is_answered(run, &mut server.connect()));
    stop(server);
    fs::read_to_string(run.folder.join("log")).unwrap_or_else(|_| "no log".into())
}

/// Whether a server at a host without a port uses its default port.
pub(super) fn port_of_a_host(run: &Run<'_>) -> String {
    let port = run.start_at("127.0.0.1").address().port();
    if [8000, 65432].contains(&port) { "the default" } else { "another port than the default" }
        .into()
}

/// How many sockets listen on the server's port: one for each worker.
pub(super) fn listeners(run: &Run<'_>) -> String {
    const LISTENING: &str = "0A";
    let server = run.start();
    let port = format!(":{:04X}", server.address().port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().is_some_and(|local| local.ends_with(&port));
        local && fields.nth(1) == Some(LISTENING)
    };
    format!(" {} listeners", table.lines().filter(listens).count())
}

/// Whether a second connection is accepted while the first is open, according to the log.
pub(super) fn two_at_once(run: &Run<'_>) -> String {
    let server = run.start();
    let mut first = server.connect();
    assert!(is_answered(run, &mut first));
    let mut second = server.connect();
    first.shutdown(Shutdown::Both).unwrap();
    assert!(is_answered(run, &mut second));
    drop((first, second));
    let stderr = stop(server);
    let events = stderr.lines().filter_map(|line| {
        let events = ["accepted", "closed"];
        events.into_iter().find(|event| line.contains(&format!(" {event} ")))
    });
    let events: Vec<_> = events.collect();
    assert_eq!(events.len(), 4, "{stderr}");
    if events[1] == "accepted" { "at once".into() } else { "in turn".into() }
}

/// Whether the server starts and responds. Loopback is exempt from the limit per address, so tests
/// of the plan and of the engine check the effect.
pub(super) fn is_loopback_answered(run: &Run<'_>) -> String {
    let server = run.start();
    let (mut first, mut second) = (server.connect(), server.connect());
    let answered = [&mut first, &mut second].map(|client| is_answered(run, client));
    format!("{answered:?}")
}

/// Requests whose responses together are larger than the kernel's buffers of a Unix socket.
fn flood_of(command: &str) -> Vec<u8> {
    match command {
        "http" => {
            let padding = "x".repeat(4 << 10);
            let request =
                format!("GET /16k HTTP/1.1\r\nHost: localhost\r\nX-Pad: {padding}\r\n\r\n");
            request.repeat(400).into()
        }
        "message" => search(&"x".repeat(60_000), Some(1)).repeat(20),
        _ => vec![b'x'; 3 << 20],
    }
}

/// Whether a server keeps reading from a peer that reads nothing.
pub(super) fn floods_without_reading(run: &Run<'_>) -> String {
    let socket = run.folder.join("socket");
    let _server = run.start_at(&format!("unix:{socket}"));
    let mut stream = UnixStream::connect(socket).unwrap();
    // Otherwise it stops reading, and closes the connection after the write timeout.
    let all = stream.write_all(&flood_of(run.command)).is_ok();
    if all { "all was read".into() } else { "it stopped reading".into() }
}

pub(super) fn silent(_: &str, _: &TcpStream) {}

pub(super) fn begin_of_head(_: &str, mut stream: &TcpStream) {
    stream.write_all(b"GET /").unwrap();
}

pub(super) fn begin_of_header(_: &str, mut stream: &TcpStream) {
    stream.write_all(&search("one", None)[..1]).unwrap();
}

pub(super) fn begin_of_content(_: &str, mut stream: &TcpStream) {
    let frame = frame("a/b", "binary", serde_json::json!({}), b"content");
    stream.write_all(&frame[..frame.len() - 1]).unwrap();
}

/// Sends requests without end, and reads nothing.
pub(super) fn flood(command: &str, stream: &TcpStream) {
    let mut stream = stream.try_clone().unwrap();
    let requests = match command {
        "http" => head("/large").replace("close", "keep-alive").repeat(100).into(),
        command => flood_of(command),
    };
    thread::spawn(move || while stream.write_all(&requests).is_ok() {});
}

/// Calls `begin` on a connection to a server with the default timeout, and then on two connections,
/// one after the other, to a server with the row's flag: the second certainly starts after the one
/// with the default. Returns [`BEFORE_DEFAULT`] if both are closed before the one with the default.
pub(super) fn closes_before_default(run: &Run<'_>, begin: fn(&str, &TcpStream)) -> String {
    let open = |run: &Run<'_>| {
        let server = run.start();
        let stream = server.connect();
        begin(run.command, &stream);
        (server, stream)
    };
    let with_default = open(&run.plain());
    for _ in 0..2 {
        let with_flag = open(run);
        wait_for_close(&with_flag.1, None);
    }
    if is_closed(&with_default.1) { NOT_BEFORE_DEFAULT.into() } else { BEFORE_DEFAULT.into() }
}

/// Like [`closes_before_default`], for a drain that waits for a connection.
pub(super) fn drains_before_default(run: &Run<'_>) -> String {
    let begin = |run: &Run<'_>| {
        let socket = run.folder.join("socket");
        let mut server = run.start_at(&format!("unix:{socket}"));
        let mut stream = UnixStream::connect(socket).unwrap();
        let requests: Vec<u8> = match run.command {
            "http" => head("/large").into(),
            // More than the kernel's buffers of both directions.
            "message" => search(&"x".repeat(60_000), Some(1)).repeat(9),
            _ => vec![b'x'; 500_000],
        };
        stream.write_all(&requests).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        server.signal(Signal::TERM);
        assert!(server.next_line().starts_with("Shutting down: 1 connection open"));
        (server, stream)
    };
    let (_default, with_default) = begin(&run.plain());
    let (mut server, _stream) = begin(run);
    let (_, stderr) = server.end();
    let last = stderr.lines().last().unwrap_or_default();
    let when = if is_closed(&with_default) { "after" } else { "before" };
    format!("{}, {when} the default", last.trim_end_matches('.'))
}

/// Whether a server still accepts connections after a signal to stop.
pub(super) fn accepts_after_a_signal(run: &Run<'_>) -> String {
    let mut server = run.start();
    server.signal(Signal::TERM);
    assert!(server.next_line().starts_with("Shutting down"));
    let address = server.address();
    // The worker that serves the first of these connections notices the signal.
    let serve = |_| {
        let mut stream = TcpStream::connect(address)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new())
    };
    let is_refused = (0..2).map(serve).any(|served: std::io::Result<_>| served.is_err());
    if is_refused { "refused" } else { "accepted" }.into()
}

/// Waits until the other side has closed, without reading.
fn wait_for_close(stream: &impl AsFd, timeout: Option<&Timespec>) -> bool {
    // `poll` always reports a reset.
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    poll(&mut fds, timeout).unwrap() > 0
}

fn is_closed(stream: &impl AsFd) -> bool {
    wait_for_close(stream, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
}
