//! WebSockets: `echo --websocket`, and `send`, `load` and `health` with `ws://` and `wss://`.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::thread;

use rustix::process::Signal;

use crate::load::load;
use crate::support::{Folder, Running, open_terminal, run, sockeye, text};
use crate::tls_clients::peers::Authority;

fn echo(flags: &[&str]) -> Running {
    Running::start(&[&["echo", "--websocket", "--listen", "127.0.0.1:0"], flags].concat())
}

fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

/// Runs `send` with `input` on its standard input.
fn send_input(args: &[&str], input: &[u8]) -> Output {
    let mut command = sockeye(&[&["send"], args].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end without reading all.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn messages_come_back_and_the_start_screen_has_the_url() {
    let server = echo(&[]);
    assert_eq!(server.screen[0], "Echoing at");
    assert!(server.url().starts_with("ws://127.0.0.1:"), "{:?}", server.screen);
    // The path is not needed, and any will do.
    for url in [server.url().to_owned(), format!("{}/any?path", server.url())] {
        let output = run(&["send", &url, "hello", "wörld"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(text(&output.stdout), "hello\nwörld\n");
        let summary =
            "1 connection: 1 finished; sent 2 messages (11 B), received 2 messages (11 B) in";
        assert!(stderr(&output).starts_with(summary), "{}", stderr(&output));
    }
    let output = run(&["send", server.url(), "a\n", "--connections", "2", "--count", "2"]);
    let printed = text(&output.stdout);
    for number in 1..=2 {
        let line = format!("connection {number}: received \"a\\n\"\n");
        assert_eq!(printed.matches(&line).count(), 2, "{printed}");
    }
}

#[test]
fn lines_of_standard_input_are_messages_and_binary_is_one() {
    let server = echo(&["--max-message", "4M"]);
    let output = send_input(&[server.url()], b"one\r\n\ntwo");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&output.stdout), "one\n\ntwo\n");
    assert!(stderr(&output).contains("sent 3 messages (6 B)"), "{}", stderr(&output));
    let lines: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
    assert!(text(&send_input(&[server.url()], lines.as_bytes()).stdout) == lines);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let output = send_input(&[server.url(), "--binary"], &bytes);
    assert!(output.stdout == bytes, "{}", stderr(&output));
    let output = send_input(&[server.url()], b"good\n\xff\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not UTF-8: --binary sends"), "{}", stderr(&output));
}

#[test]
fn lines_that_are_typed_go_out_and_messages_come_in_until_ctrl_d() {
    let server = echo(&[]);
    let (mut pty, terminal) = open_terminal();
    let mut command = sockeye(&["send", server.url()]);
    command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop((command, terminal));
    // A terminal shows what is typed.
    pty.write_all(b"a\x1b\n").unwrap();
    assert_eq!(shown(&mut pty, "\n"), "a^[\r\n");
    assert_eq!(shown(&mut pty, "\n"), "a\\u{1b}\r\n");
    pty.write_all(b"more\n").unwrap();
    assert_eq!(shown(&mut pty, "more\r\nmore\r\n"), "more\r\nmore\r\n");
    pty.write_all(b"\x04").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("sent 2 messages (6 B), received 2"), "{}", stderr(&output));
}

#[test]
fn on_a_terminal_send_says_how_to_end() {
    let server = echo(&[]);
    let (mut pty, terminal) = open_terminal();
    let mut command = sockeye(&["send", server.url()]);
    command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
    let mut child = command.stderr(terminal).spawn().unwrap();
    drop(command);
    let hint = "Connected. Each line that you type is a message; Ctrl-D closes.\r\n";
    assert_eq!(shown(&mut pty, "\n"), hint);
    pty.write_all(b"\x04").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn on_a_terminal_a_server_that_stops_is_shown() {
    let mut server = echo(&[]);
    let (mut pty, terminal) = open_terminal();
    let mut command = sockeye(&["send", server.url()]);
    command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop((command, terminal));
    pty.write_all(b"hello\n").unwrap();
    shown(&mut pty, "hello\r\nhello\r\n");
    server.signal(Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let expected = "connection 1: the peer closed the WebSocket with 1001 (going away)\n";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
}

/// Reads from a terminal until it has shown this.
fn shown(pty: &mut File, end: &str) -> String {
    let (mut shown, mut byte) = (String::new(), [0]);
    while !shown.ends_with(end) {
        pty.read_exact(&mut byte).unwrap();
        shown.push(char::from(byte[0]));
    }
    shown
}

#[test]
fn a_server_of_something_else_is_named() {
    let folder = Folder::new();
    folder.write("index.html", b"<p>hi");
    let http = Running::start(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
    let bytes = Running::start(&["echo", "--listen", "127.0.0.1:0"]);
    let websocket = echo(&[]);
    let url = |server: &Running, scheme: &str| format!("{scheme}://{}/", server.address());
    for (target, flags, expected) in [
        (
            url(&http, "ws"),
            &[][..],
            "opened no WebSocket: 200 OK; there is no WebSocket at this path",
        ),
        (url(&http, "ws") + "none", &[], "404 Not Found; write the path of a WebSocket"),
        (url(&bytes, "ws"), &[], "the peer sends back what it receives, as sockeye echo does"),
        (url(&websocket, "wss"), &["--insecure"], "answered without TLS: try ws://127.0.0.1:"),
        (
            url(&websocket, "ws"),
            &["-H", "Origin: https://a.example"],
            "--origin URL.); -H 'Origin: URL' sends another origin",
        ),
        ("ws://127.0.0.1:1/".into(), &[], "(os error 111); check that a server listens there\n"),
    ] {
        let output = run(&[&["send", &target, "hello"], flags].concat());
        assert_eq!(output.status.code(), Some(1), "{target}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{target}: {}", stderr(&output));
        let output = run(&[&["load", &target, "--requests", "1"], flags].concat());
        assert_eq!(output.status.code(), Some(1), "{target}: {}", stderr(&output));
    }
    // A browser gets a hint.
    let mut stream = websocket.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("sockeye send ws://HOST:PORT/ hello"), "{response}");
}

#[test]
fn with_tls_it_is_wss_and_plain_requests_are_sent_there() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    authority.issue(&["127.0.0.1"]).write(folder.join("both.pem"));
    folder.write("ca.pem", authority.pem().as_bytes());
    let (both, ca) = (folder.join("both.pem"), folder.join("ca.pem"));
    let server = echo(&["--tls", &both]);
    assert!(server.screen.iter().any(|line| line.starts_with("wss://")), "{:?}", server.screen);
    let url = server.url();
    let output = run(&["send", url, "hello", "--ca", &ca]);
    assert_eq!(text(&output.stdout), "hello\n", "{}", stderr(&output));
    let (code, report) = load(&[url, "--ca", &ca, "--requests", "20", "--connections", "2"]);
    assert_eq!((code, &report["responses"]), (Some(0), &20.into()), "{report:#}");
    let plain = url.replace("wss:", "ws:");
    let output = run(&["send", &plain, "hello"]);
    let expected = format!("308 Permanent Redirect; this port speaks TLS: write {url}");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    let output = run(&["load", &plain, "--requests", "1"]);
    assert!(stderr(&output).contains(&format!("write {url}")), "{}", stderr(&output));
}

#[test]
fn every_message_of_a_load_is_counted_and_compared() {
    let server = echo(&[]);
    let folder = Folder::new();
    folder.write("bytes", &[0xff; 100_000]);
    let bytes = folder.join("bytes");
    for (flags, size) in [
        (&["--connections", "5"][..], 64),
        (&["--connections", "3", "--threads", "2", "--pipeline", "8", "--body", "hello"], 5),
        (&["--connections", "2", "--close", "--body", ""], 0),
        (&["--connections", "2", "--pipeline", "3", "--body-file", &bytes], 100_000),
        (&["--connections", "4", "--rate", "20k"], 64),
    ] {
        let (code, report) = load(&[&[server.url(), "--requests", "100"], flags].concat());
        assert_eq!(code, Some(0), "{flags:?}: {report:#}");
        assert_eq!(report["responses"], 100, "{flags:?}: {report:#}");
        assert_eq!(report["content_bytes"], 100 * size, "{flags:?}: {report:#}");
        assert_eq!(report["errors"], serde_json::json!({}), "{flags:?}: {report:#}");
    }
    let output = run(&["health", server.url()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let two = [server.url().to_owned() + "/a", server.url().to_owned() + "/b"];
    let output = run(&["load", &two[0], &two[1]]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a WebSocket has one path"), "{}", stderr(&output));
}

#[test]
fn load_says_what_it_needs_and_guesses_no_tls_where_a_websocket_was_opened() {
    let folder = Folder::new();
    folder.write("index.html", b"hi");
    let site = Running::start(&["http", folder.text(), "--listen", "127.0.0.1:0", "--live"]);
    let message = Running::start(&["message", "--listen", "127.0.0.1:0"]);
    let small = echo(&["--max-message", "1KiB"]);
    let websocket = |url: &str| {
        let (_, rest) = url.split_once("://").unwrap();
        format!("ws://{}", rest.trim_end_matches('/'))
    };
    let large = "x".repeat(2000);
    for (url, flags, expected) in [
        (websocket(site.url()) + "/", &[][..], "there is no WebSocket at this path"),
        (websocket(site.url()) + "/none", &[], "404 Not Found; write the path of a WebSocket"),
        (websocket(message.url()) + "/", &[], "write message://HOST:PORT"),
        (small.url().to_owned(), &["--body", &large], "closed the WebSocket with 1009"),
    ] {
        let output = run(&[&["load", &url, "--requests", "1"], flags].concat());
        assert_eq!(output.status.code(), Some(1), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{url}: {}", stderr(&output));
        assert!(!stderr(&output).contains("TLS"), "{url}: {}", stderr(&output));
    }
}

#[test]
fn the_close_of_a_server_that_refuses_a_huge_message_is_shown() {
    let server = echo(&[]);
    let folder = Folder::new();
    // More than all connections of a server may buffer.
    folder.write("huge", &vec![0; 48 << 20]);
    let output = run(&["send", server.url(), "--binary", "--file", &folder.join("huge")]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let expected = "closed the WebSocket with 1009 (message too large)";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert!(!stderr(&output).contains("WARN"), "{}", stderr(&output));
}

#[test]
fn a_server_that_resets_during_the_handshake_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let peer = thread::spawn(move || {
        let stream: TcpStream = listener.accept().unwrap().0;
        // Closing with input unread resets the connection.
        stream.peek(&mut [0]).unwrap();
    });
    let output = run(&["send", &url, "hello"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "connection 1: the peer reset the connection; if the port speaks TLS, write {}",
        url.replace("ws:", "wss:")
    );
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    peer.join().unwrap();
}

#[test]
fn wrong_command_lines_say_what_to_type() {
    for (args, expected) in [
        (&["send", "ws://localhost/a#b", "x"][..], "write ws://localhost/a, or write %23"),
        (&["send", "http://localhost/a", "x"], "for a WebSocket, write ws://localhost/a"),
        (&["send", "ws://localhost", "x", "--half-close"], "--half-close is for tcp://"),
        (
            &["send", "ws://localhost", "x", "--type", "a/b", "--keep-alive"],
            "--type and --keep-alive are for message://HOST:PORT; ws://localhost/ takes messages of",
        ),
        (
            &["send", "tcp://localhost:1", "x", "--binary"],
            "--binary is for ws[s]://HOST[:PORT]/PATH",
        ),
        (&["send", "message://h:1", "x", "-H", "a: b"], "--header is for ws[s]://HOST[:PORT]/PATH"),
        (&["send", "ws://127.0.0.1:1", "x", "-H", "a"], "'a' has no colon: write 'Name: value'"),
        (
            &["send", "ws://127.0.0.1:1", "x", "-H", "Upgrade: b"],
            "'Upgrade': it is set automatically",
        ),
        (
            &["send", "ws://127.0.0.1:1", "x", "-H", "Keep-Alive: b"],
            "'Keep-Alive': a request for a WebSocket can't have it",
        ),
        (&["send", "ws://127.0.0.1:1", "x", "-H", "Host: b"], "--connect-to HOST:PORT connects"),
        (&["send", "ws://127.0.0.1:1/ä", "x"], "write it as %C3%A4"),
        (&["send", "ws://127.0.0.1:1/a b", "x"], "can't contain ' ': write it as %20"),
        (&["load", "ws://127.0.0.1:1/", "--requests", "0"], "write a number above zero, as 100"),
        (&["send", "ws://127.0.0.1:1", "x", "--ca", "ca.pem"], "write wss://127.0.0.1:1/"),
        (&["load", "ws://localhost", "--http2"], "--http2 is for http[s]://"),
        (&["echo", "--max-message", "1M"], "--websocket"),
        (&["echo", "--websocket", "--origin", "*"], "name each allowed origin"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}
