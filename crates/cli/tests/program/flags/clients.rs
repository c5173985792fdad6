//! Probes for the flags of clients.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use serde_json::json;

use super::Run;
use super::servers::BEFORE_DEFAULT;
use crate::messages::frames::{frame, read_frame};
use crate::support::Running;
use crate::tls_clients::peers::{Authority, serve_both_versions};

fn echo() -> Running {
    Running::start(&["echo", "--listen", "127.0.0.1:0"])
}

/// Starts a server that calls `act` for each connection, with its number from 0.
pub(super) fn peer(act: impl Fn(usize, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            act(number, stream.unwrap());
        }
    });
    address
}

/// Sends to our echo server.
pub(super) fn to_echo(run: &Run<'_>, contents: &[&str]) -> String {
    let server = echo();
    run.run(&[&[server.url()], contents].concat())
}

/// Sends to a server that responds after the client has closed its sending side.
pub(super) fn to_server_that_waits_for_eof(run: &Run<'_>) -> String {
    let address = peer(|_, mut stream| {
        let mut request = String::new();
        if stream.read_to_string(&mut request).is_ok() {
            // Without --half-close, the client has closed.
            let _ = write!(stream, "after the end of {request}");
        }
    });
    run.run(&[&format!("tcp://{address}"), "hi"])
}

/// Sends to a server that describes each message in its response.
pub(super) fn to_messages(run: &Run<'_>, contents: &[&str]) -> String {
    let address = peer(|_, mut stream| {
        while stream.peek(&mut [0]).is_ok_and(|count| count > 0) {
            let request = read_frame(&mut stream);
            let header = &request.header;
            let observed = json!({
                "type": header["content-type"],
                "encoding": header["content-encoding"],
                "connection": header["connection"],
                "length": request.content.len(),
            });
            let mut extra = json!({});
            if header["connection"] == "keep-alive" {
                extra = json!({ "connection": "keep-alive", "id": header["id"] });
            }
            let response = frame("text/json", "utf-8", extra, observed.to_string().as_bytes());
            // The client may have closed.
            let _ = stream.write_all(&response);
        }
    });
    run.run(&[&[&*format!("message://{address}")], contents].concat())
}

pub(super) fn output_of_message(run: &Run<'_>) -> String {
    let printed = to_messages(run, &["x"]);
    let written = fs::read_to_string(run.folder.join("out"));
    written.unwrap_or_else(|_| format!("no file: {}", printed.replace("binary", "text")))
}

/// A peer that keeps clients waiting. Dropping it closes its sockets.
pub(super) struct SlowPeer {
    url: String,
    _server: Option<Running>,
    _listener: Option<TcpListener>,
    _first: Option<TcpStream>,
}

/// Accepts connections, and sends nothing.
pub(super) fn silent_peer() -> SlowPeer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    SlowPeer { url, _server: None, _listener: Some(listener), _first: None }
}

/// Has a full accept queue, so connecting takes until the timeout.
pub(super) fn full_peer() -> SlowPeer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Listening again sets the length of the queue: one connection fits.
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let first = TcpStream::connect(address).unwrap();
    let url = format!("tcp://{address}");
    SlowPeer { url, _server: None, _listener: Some(listener), _first: Some(first) }
}

pub(super) fn our_echo() -> SlowPeer {
    let server = echo();
    let url = server.url().to_owned();
    SlowPeer { url, _server: Some(server), _listener: None, _first: None }
}

/// Runs the command with the default timeout, and meanwhile twice with the row's flag, one run
/// after the other. The second of these certainly starts after the run with the default. Returns
/// [`BEFORE_DEFAULT`] if both end before the first.
pub(super) fn ends_before_default(
    run: &Run<'_>,
    contents: &[&str],
    peer: fn() -> SlowPeer,
) -> String {
    let peer = peer();
    let args = [&[&*peer.url], contents].concat();
    let mut command = run.plain().command(&args);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut with_default = command.spawn().unwrap();
    run.run(&args);
    let printed = run.run(&args);
    let ended = with_default.try_wait().unwrap();
    let _ = with_default.kill();
    let _ = with_default.wait();
    if ended.is_none() {
        BEFORE_DEFAULT.into()
    } else {
        format!("the default ended first; {printed}")
    }
}

/// Loads our echo server.
/// Loads our server over HTTP.
pub(super) fn load_http(run: &Run<'_>) -> String {
    let server = Running::start(&["http", &run.folder.join("one.txt"), "--listen", "127.0.0.1:0"]);
    run.run(&[server.url()])
}

/// Loads a server with TLS that prefers HTTP/2.
pub(super) fn load_https(run: &Run<'_>) -> String {
    let identity = Authority::new("Root").issue(&["localhost"]);
    run.run(&[&format!("https://{}/", serve_both_versions(&identity))])
}

pub(super) fn load_echo(run: &Run<'_>) -> String {
    let server = echo();
    run.run(&[server.url()])
}

/// The number of bytes that an echo server is sent by default.
const DEFAULT_ECHO_SIZE: usize = 64;

/// Loads an echo server that waits for two requests before it responds, except on the first
/// connection, on which the client learns the response.
pub(super) fn load_in_pairs(run: &Run<'_>) -> String {
    let address = peer(|number, mut stream| {
        let mut bytes =
            vec![0; if number == 0 { DEFAULT_ECHO_SIZE } else { 2 * DEFAULT_ECHO_SIZE }];
        if stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes).unwrap();
        }
    });
    run.run(&[&format!("tcp://{address}"), "--requests", "2"])
}

/// Loads a server whose later responses differ from the first.
pub(super) fn load_falsified(run: &Run<'_>) -> String {
    let address = peer(|number, stream| {
        let content = if number == 0 { "ok" } else { "no" };
        answer_all(stream, content, &mut String::new());
    });
    run.run(&[&format!("http://{address}/")])
}

/// Loads a server over HTTP. Returns the first request, and what was printed.
pub(super) fn load_recorded(run: &Run<'_>) -> String {
    let (sender, requests) = mpsc::channel();
    let address = peer(move |_, stream| {
        let mut request = String::new();
        answer_all(stream, "ok", &mut request);
        let _ = sender.send(request);
    });
    let printed = run.run(&[&format!("http://{address}/")]);
    requests.recv().unwrap() + &printed
}

/// Answers all requests of a connection. Leaves the last one in `request`.
fn answer_all(mut stream: TcpStream, content: &str, request: &mut String) {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len());
    let mut received = String::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        if is_complete(&received) {
            *request = std::mem::take(&mut received);
            let _ = stream.write_all(response.as_bytes());
        }
    }
}

/// Whether `request` is complete, with its body.
fn is_complete(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    if head.contains("chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    body.len() == length.map_or(0, |length| length.parse().unwrap())
}

/// Loads a port without a listener, unless --unix-socket is set.
pub(super) fn load_socket(run: &Run<'_>) -> String {
    let unix = format!("unix:{}", run.folder.join("socket"));
    let _server = Running::start(&["http", run.folder.text(), "--listen", &unix]);
    run.run(&["http://127.0.0.1:1/about"])
}

/// An echo server with TLS, whose authority is in the run's folder.
fn tls_echo(run: &Run<'_>, needs_certificate: bool) -> SocketAddr {
    let authority = Authority::new("Root");
    fs::write(run.folder.join("ca.pem"), authority.pem()).unwrap();
    authority.issue(&["client"]).write(run.folder.join("client.pem"));
    let client_ca = needs_certificate.then_some(&authority);
    authority.issue(&["127.0.0.1", "example.org"]).serve(client_ca, |mut stream| {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let _ = stream.write_all(&buffer[..count]);
        }
    })
}

/// Runs a client of an echo server with TLS.
pub(super) fn to_tls(run: &Run<'_>, scheme: &str, contents: &[&str]) -> String {
    let target = format!("{scheme}://{}", tls_echo(run, false));
    run.run(&[&[&*target], contents].concat())
}

/// As [`to_tls`], with a name that is not a loopback address.
pub(super) fn to_tls_by_name(run: &Run<'_>, scheme: &str, contents: &[&str]) -> String {
    let address = tls_echo(run, false).to_string();
    let target = format!("{scheme}://example.org:1");
    run.run(&[&[&*target, "--connect-to", &address], contents].concat())
}

/// Runs a client of an echo server with TLS that requires a certificate.
pub(super) fn to_tls_with_client_ca(run: &Run<'_>, scheme: &str, contents: &[&str]) -> String {
    let target = format!("{scheme}://{}", tls_echo(run, true));
    run.run(&[&[&*target], contents].concat())
}
