//! Requests that a browser sends for another website: to a host name that resolves to this machine,
//! or from a page of another origin.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::support::{Folder, Running, run, sockeye, text};

const EVIL: &str = "evil.example";

/// The response to a request for `/` with these header lines.
fn response_to(mut stream: impl Read + Write, method: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("{method} / HTTP/1.1\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The status of the response to a GET for that host.
fn status(stream: impl Read + Write, host: &str) -> String {
    response_to(stream, "GET", &[&format!("Host: {host}")])[9..12].to_owned()
}

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    folder
}

fn server(folder: &Folder, flags: &[&str]) -> Running {
    Running::start(&[&["http", folder.text(), "--listen", "127.0.0.1:0"], flags].concat())
}

/// Stops the server. Returns its log.
fn logged(mut server: Running) -> String {
    server.signal(Signal::TERM);
    server.end().1
}

#[test]
fn unknown_hosts_are_refused_at_loopback_addresses_and_logged() {
    let folder = site();
    let server = server(&folder, &["--workers", "2"]);
    let local = server.address().to_string();
    for host in ["localhost", "app.localhost:1", "[::1]", "10.0.0.7", &local] {
        assert_eq!(status(server.connect(), host), "200", "{host}");
    }
    for host in [EVIL, "EVIL.example:80", "localhost.evil.example", "www.example.org"] {
        assert_eq!(status(server.connect(), host), "421", "{host}");
    }
    let response = response_to(server.connect(), "GET", &["Host: evil.example:80"]);
    assert!(
        response.contains("asked for the host evil.example, which is not allowed"),
        "{response}"
    );
    assert!(response.ends_with("To allow a name, start sockeye with --host NAME.\n"), "{response}");
    let response = response_to(server.connect(), "GET", &["Host: $(reboot)"]);
    assert!(response.contains("asked for a host that is not allowed"), "{response}");

    let logged = logged(server);
    for host in [EVIL, "localhost.evil.example", "www.example.org", "(not a name)"] {
        let how = "--host NAME, or --trusted-proxy if a proxy forwards it";
        let line = format!("allow it with {how} host=\"{host}\"\n");
        assert!(logged.contains(&line), "{line} in {logged}");
    }
}

#[test]
fn hosts_are_allowed_by_flags_and_the_environment() {
    let folder = site();
    let typed = server(&folder, &["--host", "a.example", "--host", "B.example.,c.example:80"]);
    let mut command = sockeye(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
    let set = Running::start_by(command.env("SOCKEYE_HOST", "a.example,b.example,c.example"));
    for server in [typed, set] {
        for host in ["a.example", "A.EXAMPLE:8000", "b.example", "c.example.", "localhost"] {
            assert_eq!(status(server.connect(), host), "200", "{host}");
        }
        assert_eq!(status(server.connect(), EVIL), "421");
    }
}

#[test]
fn only_loopback_addresses_without_a_proxy_are_checked() {
    let folder = site();
    let socket = folder.join("socket");
    let unix = format!("unix:{socket}");
    let listening = server(&folder, &["--listen", &unix, "--listen", "[::1]:0"]);
    assert_eq!(status(UnixStream::connect(&socket).unwrap(), EVIL), "200");
    let urls = listening.screen.iter().filter_map(|line| line.strip_prefix("http://"));
    for address in urls {
        assert_eq!(status(std::net::TcpStream::connect(address).unwrap(), EVIL), "421");
    }
    for (flags, expected) in [
        (["--trusted-proxy", "127.0.0.0/8"], "200"),
        (["--trusted-proxy", "10.0.0.0/8"], "421"),
        (["--trusted-proxy", "unix"], "421"),
    ] {
        let server = server(&folder, &flags);
        assert_eq!(status(server.connect(), EVIL), expected, "{flags:?}");
    }
    let any = Running::start(&["http", folder.text(), "--listen", "0.0.0.0:0"]);
    assert_eq!(status(any.connect(), EVIL), "200");
}

#[test]
fn a_message_server_refuses_pages_of_other_sites() {
    let flags = ["message", "--listen", "127.0.0.1:0"];
    let host = "Host: localhost";
    let json = "Content-Type: text/plain";
    let length = "Content-Length: 0";
    let status = |server: &Running, host: &str, line: &str| {
        let lines = [host, json, length, line];
        let lines = lines.iter().filter(|line| !line.is_empty()).copied().collect::<Vec<_>>();
        response_to(server.connect(), "POST", &lines)
    };
    let closed = Running::start(&flags);
    let open = [&flags[..], &["--host", "a.example", "--origin", "https://app.example"]].concat();
    let open = Running::start(&open);
    for (server, host, line, expected, expected_text) in [
        (&closed, host, "", "200", ""),
        (&closed, host, "Origin: http://localhost", "200", ""),
        (&closed, host, "Origin: http://evil.example", "403", "start sockeye with --origin URL"),
        (&closed, host, "Origin: null", "403", "\"code\": \"forbidden_origin\""),
        (&closed, host, "Sec-Fetch-Site: cross-site", "403", "a page of another site"),
        (&closed, host, "Origin: https://app.example", "403", ""),
        (&open, host, "Origin: https://app.example", "200", ""),
        (&open, host, "Origin: https://b.example", "403", ""),
        (&closed, "Host: evil.example", "Origin: http://evil.example", "421", "--host NAME"),
        (&closed, "Host: a.example", "", "421", "\"code\": \"host_not_allowed\""),
        (&open, "Host: a.example", "", "200", ""),
    ] {
        let response = status(server, host, line);
        assert_eq!(&response[9..12], expected, "{host} {line}: {response}");
        assert!(response.contains(expected_text), "{host} {line}: {response}");
    }
    assert!(
        response_to(closed.connect(), "GET", &["Host: evil.example"]).starts_with("HTTP/1.1 421 ")
    );

    let mut command = sockeye(&flags);
    let set = command.env("SOCKEYE_ORIGIN", "https://a.example,https://app.example");
    let set = Running::start_by(set);
    let response = status(&set, host, "Origin: https://app.example");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[test]
fn an_echo_server_of_websockets_refuses_pages_of_other_sites() {
    let flags = ["echo", "--websocket", "--listen", "127.0.0.1:0"];
    let status = |server: &Running, host: &str, origin: &str| {
        let lines = [
            &format!("Host: {host}"),
            &format!("Origin: {origin}"),
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let mut stream = server.connect();
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        stream.write_all(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        text(&start[9..])
    };
    let closed = Running::start(&flags);
    let own = closed.address().to_string();
    let open = Running::start(&[&flags[..], &["--host", "a.example,b.example"]].concat());
    let mut command = sockeye(&flags);
    let set = Running::start_by(command.env("SOCKEYE_HOST", "b.example"));
    for (server, host, expected) in [
        (&closed, "localhost", "101"),
        (&closed, &*own, "101"),
        (&closed, EVIL, "421"),
        (&closed, "b.example", "421"),
        (&open, "a.example", "101"),
        (&open, "b.example:80", "101"),
        (&open, EVIL, "421"),
        (&set, "b.example", "101"),
        (&set, EVIL, "421"),
    ] {
        assert_eq!(status(server, host, &format!("http://{host}")), expected, "{host}");
    }
    assert_eq!(status(&closed, "localhost", "http://evil.example"), "403");
    let any = Running::start(&["echo", "--websocket", "--listen", "0.0.0.0:0"]);
    assert_eq!(status(&any, EVIL, "http://evil.example"), "101");

    let logged = logged(closed);
    let line = "allow it with --host NAME host=\"evil.example\"\n";
    assert!(logged.contains(line), "{logged}");
    // This machine doesn't have that address, so no server starts if the flag is accepted.
    let output = run(&["echo", "--host", "a.example", "--listen", "192.0.2.1:0"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--websocket"), "{stderr}");
}

#[test]
fn explain_says_which_hosts_are_refused() {
    let folder = site();
    let url = "https://www.example.org/";
    for (flags, code, expected_text) in [
        (&[][..], 1, "421 Misdirected Request: the host www.example.org is not allowed"),
        (&["--host", "www.example.org"], 0, "200 OK"),
        (&["--listen", ":80"], 0, "200 OK"),
        (&["--listen", "unix:/run/s", "--trusted-proxy", "unix"], 0, "200 OK"),
        (&["--listen", ":80", "--listen", "[::1]:80"], 0, "\n  at: [::1]:80\n"),
        (&["--trusted-proxy", "127.0.0.1"], 0, "For some clients: 421 Misdirected Request"),
        (&["--trusted-proxy", "unix"], 1, "421 Misdirected Request: "),
    ] {
        let output = run(&[&["explain", url, folder.text()], flags].concat());
        let stderr = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {stderr}");
        assert!(stderr.contains(expected_text), "{flags:?}: {stderr}");
        let refused = flags.is_empty() || stderr.contains("421");
        assert_eq!(stderr.contains("fix: allow it with --host"), refused, "{flags:?}: {stderr}");
    }
}

#[test]
fn wildcards_and_invalid_names_are_refused() {
    // This machine doesn't have that address, so no server starts if the flags are accepted.
    let at = ["--listen", "192.0.2.1:0"];
    for (args, code, expected_text) in [
        (["http", "--host", "*"], 2, "such as www.example.org"),
        (["http", "--host", "http://a.example/"], 2, "such as www.example.org"),
        (["message", "--origin", "a.example"], 2, "https://example.org"),
        (["message", "--origin", "null"], 2, "https://example.org"),
        (["message", "--origin", "*"], 2, "name each allowed origin"),
    ] {
        let output = run(&[&args[..], &at].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected_text), "{args:?}: {stderr}");
    }
    for flag in [["--host", "a.example"], ["--origin", "https://a.example"]] {
        let output = run(&[&["message", "--frames-only"], &flag[..], &at].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--frames-only turns off"), "{stderr}");
    }
}
