//! HTTP/2, with TLS and without: redirects, hosts, HSTS, logs and messages.

#[expect(dead_code, reason = "these tests use only a part of the client")]
#[path = "../../../sockeye/tests/http/h2_client.rs"]
mod h2_client;

use std::future::Future;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustix::process::Signal;
use serde_json::{Value, json};

use self::h2_client::{Received, connect, exchange, receive, start};
use crate::support::{Folder, Running};
use crate::tls::certificates::Certificates;
use crate::tls::client::Client;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    // The client's task is always ready.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.event_interval(1).build().unwrap().block_on(future)
}

/// Connects with TLS.
async fn connect_with_tls(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = Client::new().offering(&["h2"]).connect(address, "localhost").unwrap();
    let socket = stream.sock.try_clone().unwrap();
    start(&socket, stream).await
}

async fn request(client: &mut SendRequest<Bytes>, method: &str, url: &str) -> Received {
    let request = Request::builder().method(method).uri(url).header("user-agent", "probe");
    exchange(client, request.body(()).unwrap()).await.unwrap()
}

/// Sends a message.
async fn post(client: &mut SendRequest<Bytes>, url: &str, content: &'static str) -> Received {
    let request = Request::post(url).header("content-type", "text/json").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(content.into(), true).unwrap();
    receive(response.await.unwrap()).await.unwrap()
}

/// Stops the server. Returns the lines of its access log, which is its standard error, and what
/// else there is.
fn access_log(mut server: Running) -> (Vec<String>, Vec<String>) {
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    stderr.lines().map(str::to_owned).partition(|line| line.contains("HTTP/2.0"))
}

/// A server of a folder with TLS, the address that redirects to it, and the folder.
fn start_https(flags: &[&str]) -> (Running, SocketAddr, Folder) {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    folder.write("a.txt", b"content");
    let pair = certificates.pair("localhost");
    let tls = ["--listen", "127.0.0.1:0", "--tls", &pair, "--https-redirect=127.0.0.1:0"];
    let server = Running::start(&[&["http", folder.text()], &tls[..], flags].concat());
    let line = server.screen.iter().find_map(|line| line.strip_suffix(" redirects to HTTPS."));
    let redirecting = line.unwrap().parse().unwrap();
    (server, redirecting, folder)
}

#[test]
fn responses_over_tls_have_hsts_and_others_have_not() {
    let (server, redirecting, _folder) = start_https(&["--hsts=1h"]);
    block_on(async {
        let mut client = connect_with_tls(server.address()).await;
        for (path, status) in [("/a.txt", 200), ("/none", 404), ("/", 404)] {
            let response = request(&mut client, "GET", &format!("https://localhost{path}")).await;
            assert_eq!(response.field("strict-transport-security"), "max-age=3600", "{path}");
            assert_eq!(response.status(), status, "{response:?}");
        }
        for address in [server.address(), redirecting] {
            let mut client = connect(&address.to_string()).await;
            let response = request(&mut client, "GET", "http://localhost/").await;
            assert_eq!(response.field("strict-transport-security"), "", "{response:?}");
        }
    });
}

#[test]
fn plain_http2_is_redirected_to_https() {
    let (server, redirecting, _folder) = start_https(&["--access-log", "-"]);
    let port = server.address().port();
    block_on(async {
        for (address, host, location) in [
            (redirecting, "localhost:80".to_owned(), format!("https://localhost:{port}/a?b=c")),
            (
                server.address(),
                format!("localhost:{port}"),
                format!("https://localhost:{port}/a?b=c"),
            ),
        ] {
            let mut client = connect(&address.to_string()).await;
            // The connection stays open.
            for method in ["GET", "HEAD"] {
                let response = request(&mut client, method, &format!("http://{host}/a?b=c")).await;
                assert_eq!((response.status(), response.field("location")), (308, &*location));
            }
            let response = request(&mut client, "GET", "http://other.example/").await;
            assert_eq!(response.status(), 421);
        }
        let mut client = connect(&server.address().to_string()).await;
        let url = format!("http://localhost:{port}/");
        let response = post(&mut client, &url, "x").await;
        assert_eq!(response.status(), 400);
        assert!(response.text().contains("This port speaks HTTPS; "), "{response:?}");
    });
    let (log, _) = access_log(server);
    assert_eq!(log.iter().filter(|line| line.contains("\"GET /a?b=c HTTP/2.0\" 308 ")).count(), 2);
}

#[test]
fn unknown_hosts_get_421_and_the_connection_stays_open() {
    let folder = Folder::new();
    folder.write("a.txt", b"content");
    let flags = ["--listen", "127.0.0.1:0", "--host", "www.example.org"];
    let server = Running::start(&[&["http", folder.text()], &flags[..]].concat());
    block_on(async {
        let mut client = connect(&server.address().to_string()).await;
        for (host, status) in [
            ("evil.example", 421),
            ("www.example.org", 200),
            ("localhost:80", 200),
            ("evil.example", 421),
            ("[::1]", 200),
        ] {
            let response = request(&mut client, "GET", &format!("http://{host}/a.txt")).await;
            assert_eq!(response.status(), status, "{host}");
        }
    });
}

#[test]
fn unix_sockets_and_their_proxies_speak_http2() {
    let folder = Folder::new();
    folder.write("a.txt", b"content");
    let path = folder.join("socket");
    let listen = format!("unix:{path}");
    let flags = ["--listen", "127.0.0.1:0", "--listen", &listen, "--access-log", "-"];
    let proxy = ["--trusted-proxy", "unix"];
    let server = Running::start(&[&["http", folder.text()], &flags[..], &proxy].concat());
    let mut stream = UnixStream::connect(path).unwrap();
    // The client of the other tests uses TCP.
    let head = head(&[("x-forwarded-for", "198.51.100.9"), ("user-agent", "probe")]);
    stream.write_all(&[PREFACE, &head].concat()).unwrap();
    read_until_stream_ends(&mut stream);
    drop(stream);
    let (log, _) = access_log(server);
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("198.51.100.9 - - "), "{log:?}");
}

#[test]
fn the_access_log_says_the_version_and_why_a_request_was_refused() {
    let folder = Folder::new();
    folder.write("a.txt", b"content");
    let flags = ["--listen", "127.0.0.1:0", "--access-log", "-", "--access-log-format", "json"];
    // One worker writes the log in order.
    let limits = ["--max-request-line", "100", "--workers", "1"];
    let server = Running::start(&[&["http", folder.text()], &flags[..], &limits].concat());
    let long = format!("http://localhost/{}", "a".repeat(200));
    let many = format!("http://localhost/{}", "b".repeat(10));
    block_on(async {
        let mut client = connect(&server.address().to_string()).await;
        for (method, url, status) in [
            ("GET", "http://localhost/a.txt", 200),
            ("GET", &long, 414),
            ("TRACE", "http://localhost/", 405),
            ("GET", "http://evil.example/", 421),
        ] {
            let response = request(&mut client, method, url).await;
            assert_eq!(response.status(), status, "{response:?}");
        }
        let mut request = Request::get(&many).body(()).unwrap();
        for _ in 0..200 {
            request.headers_mut().append("x", http::HeaderValue::from_static("y"));
        }
        assert_eq!(exchange(&mut client, request).await.unwrap().status(), 431);
    });
    // No client of this kind sends it: the stream is reset.
    let mut stream = server.connect();
    stream.write_all(&[PREFACE, &head(&[("Upper", "case")])].concat()).unwrap();
    read_until_stream_ends(&mut stream);
    drop(stream);

    let (log, others) = access_log(server);
    let fault = " INFO stream failed peer=127.0.0.1:";
    let text = "code=http2_protocol_error reason=the peer sent ";
    assert!(others.iter().any(|line| line.contains(fault) && line.contains(text)), "{others:?}");
    let of = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["version"], "HTTP/2.0", "{line}");
        json!([line["method"], line["status"], line["ended"], line["reason"]])
    };
    let log: Vec<Value> = log.iter().map(of).collect();
    let expected = [
        json!(["GET", 200, "complete", null]),
        json!(["GET", 414, "complete", "uri_too_long"]),
        json!(["TRACE", 405, "complete", "refused_method"]),
        json!(["GET", 421, "complete", "host_not_allowed"]),
        json!(["GET", 431, "complete", "too_many_fields"]),
    ];
    assert_eq!(log[..5], expected);
    assert_eq!(
        (&log[5][0], &log[5][1], &log[5][2]),
        (&json!("GET"), &json!(null), &json!("client-aborted"))
    );
}

/// The preface of HTTP/2, and no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The frame of a request for `/a.txt`, whose fields no client checks.
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let target = [(":method", "GET"), (":scheme", "http"), (":path", "/a.txt")];
    let mut block = Vec::new();
    for (name, value) in target.iter().chain(&[(":authority", "localhost")]).chain(fields) {
        // A literal with a new name (RFC 7541, 6.2.2).
        block.extend([&[0, name.len() as u8], name.as_bytes()].concat());
        block.extend([&[value.len() as u8], value.as_bytes()].concat());
    }
    [&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1], &block[..]].concat()
}

/// Reads frames until the end of a response, or RST_STREAM.
fn read_until_stream_ends(stream: &mut impl Read) {
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).unwrap();
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        stream.read_exact(&mut payload).unwrap();
        match header[3] {
            3 => return,
            0 | 1 if header[4] & 1 == 1 => return,
            _ => {}
        }
    }
}

#[test]
fn a_message_server_answers_http2_with_tls_and_without() {
    let certificates = Certificates::of(&["localhost"]);
    let pair = certificates.pair("localhost");
    for tls in [&[][..], &["--tls", &pair]] {
        let server = Running::start(&[&["message", "--listen", "127.0.0.1:0"], tls].concat());
        block_on(async {
            let mut client = match tls {
                [] => connect(&server.address().to_string()).await,
                _ => connect_with_tls(server.address()).await,
            };
            let url = if tls.is_empty() { "http://localhost/" } else { "https://localhost/" };
            let search = r#"{"action": "search", "value": "ring"}"#;
            let response = post(&mut client, url, search).await;
            assert!(response.text().contains("In the caves beneath the Misty"), "{response:?}");
            let response = request(&mut client, "GET", url).await;
            assert!(
                response.text().contains(&format!("}}' {url}").replace("localhost", "HOST:PORT"))
            );
        });
    }
}

#[test]
fn a_websocket_is_opened_by_extended_connect() {
    let server = Running::start(&["echo", "--websocket", "--listen", "127.0.0.1:0"]);
    block_on(async {
        let mut client = connect(&server.address().to_string()).await;
        // The server's settings arrive with the response.
        let response = request(&mut client, "GET", "http://localhost/").await;
        assert_eq!(response.status(), 400, "{response:?}");
        assert!(client.is_extended_connect_protocol_enabled());
        let open = Request::builder().method("CONNECT").uri("http://localhost/any");
        let open = open.header("sec-websocket-version", "13");
        let open = open.extension(h2::ext::Protocol::from_static("websocket")).body(()).unwrap();
        let (response, mut stream) = client.send_request(open, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200, "{response:?}");
        let mut body = response.into_body();
        // Text, and a close frame, whose masks are zero.
        stream.send_data(Bytes::from_static(b"\x81\x82\0\0\0\0hi"), false).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), &b"\x81\x02hi"[..]);
        stream.send_data(Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xe8"), true).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), &b"\x88\x02\x03\xe8"[..]);
        while let Some(data) = body.data().await {
            assert!(data.unwrap().is_empty());
        }
    });
}
