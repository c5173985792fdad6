//! `echo` and `message` show connections if standard output is a terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::messages::frames::search;
use crate::support::{Folder, Running, run, sockeye, text};
use crate::tls_clients::peers::Authority;

/// A server with one worker at a port of its own, for a terminal without colours.
fn server(args: &[&str]) -> Command {
    let mut command = sockeye(&[args, &["--listen", "127.0.0.1:0", "--workers", "1"]].concat());
    command.env("TERM", "dumb").env_remove("NO_COLOR");
    command
}

/// Sends `bytes`, and reads until the server closes. Returns the address that the server shows.
fn exchange(server: &Running, bytes: &[u8]) -> SocketAddr {
    let mut peer = server.connect();
    peer.write_all(bytes).unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    peer.read_to_end(&mut Vec::new()).unwrap();
    peer.local_addr().unwrap()
}

/// A server, stopped cleanly: all lines after the start screen.
fn shown(server: &mut Running) -> Vec<String> {
    server.signal(Signal::TERM);
    let lines = std::iter::from_fn(|| Some(server.next_shown()).filter(|line| !line.is_empty()));
    let lines = lines.collect();
    assert_eq!(server.end().0, Some(0));
    lines
}

#[test]
fn a_terminal_shows_when_a_connection_opens_and_ends_and_what_it_carried() {
    let mut server = Running::start_on_terminal(&mut server(&["echo"]));
    let address = exchange(&server, b"Hello, world!");
    assert_eq!(server.next_shown(), format!("{address} connected"));
    assert_eq!(server.next_shown(), format!("{address} closed: received 13 B, sent 13 B"));

    let mut peer = server.connect();
    let address = peer.local_addr().unwrap();
    peer.write_all(b"unread").unwrap();
    peer.peek(&mut [0]).unwrap();
    // Closing with unread bytes resets the connection.
    drop(peer);
    assert_eq!(server.next_shown(), format!("{address} connected"));
    let end = "closed: received 6 B, sent 6 B; the peer reset the connection";
    assert_eq!(server.next_shown(), format!("{address} {end}"));

    let peer = server.connect();
    assert!(server.next_shown().ends_with(" connected"));
    server.signal(Signal::TERM);
    let end = server.next_shown();
    assert!(end.ends_with(" closed: received 0 B, sent 0 B; the server is stopping"), "{end}");
    drop(peer);
    assert_eq!((server.next_shown(), server.end().0), (String::new(), Some(0)));
}

#[test]
fn a_connection_that_times_out_says_so() {
    let mut server = Running::start_on_terminal(&mut server(&["echo", "--idle-timeout", "50ms"]));
    server.connect().read_to_end(&mut Vec::new()).unwrap();
    let lines = shown(&mut server);
    let [connected, end] = &lines[..] else { panic!("{lines:?}") };
    assert!(connected.ends_with(" connected"), "{lines:?}");
    assert!(end.contains(" closed: received 0 B, sent 0 B; the peer was silent for "), "{end}");
}

/// The bytes of an echo are counted without TLS, those of a WebSocket with its headers.
#[test]
fn every_protocol_shows_its_connections() {
    let folder = Folder::new();
    let identity = Authority::new("Root").issue(&["localhost"]);
    identity.write(folder.join("cert.pem"));
    let tls = format!("{0},{0}", folder.join("cert.pem"));
    let search = r#"{"action": "search", "value": "ring"}"#;
    for (args, scheme, content) in [
        (&["echo"][..], "tcp", "hello"),
        (&["echo", "--tls", &tls], "tls", "hello"),
        (&["echo", "--websocket"], "ws", "hello"),
        (&["echo", "--websocket", "--tls", &tls], "wss", "hello"),
        (&["message"], "message", search),
        (&["message"], "ws", search),
        (&["message", "--tls", &tls], "message+tls", search),
        (&["message", "--frames-only"], "message", search),
    ] {
        let mut server = Running::start_on_terminal(&mut server(args));
        let url = format!("{scheme}://{}", server.address());
        let insecure: &[&str] = if args.contains(&"--tls") { &["--insecure"] } else { &[] };
        let output = run(&[&["send", &url, content], insecure].concat());
        assert_eq!(output.status.code(), Some(0), "{url}: {}", text(&output.stderr));
        let mut lines = shown(&mut server);
        lines.retain(|line| !line.starts_with("GET "));
        let [connected, closed] = &lines[..] else { panic!("{url}: {lines:?}") };
        assert!(connected.ends_with(" connected"), "{url}: {lines:?}");
        assert!(closed.contains(" closed: received "), "{url}: {lines:?}");
        if scheme == "tcp" || scheme == "tls" {
            // The client may reset the connection, with close_notify unread.
            let counts = closed.split(';').next().unwrap();
            assert!(counts.ends_with("received 5 B, sent 5 B"), "{url}: {lines:?}");
        }
    }
}

#[test]
fn a_message_server_shows_requests_between_the_lines_of_their_connection() {
    let mut server = Running::start_on_terminal(&mut server(&["message"]));
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let address = exchange(&server, request);
    let lines = shown(&mut server);
    for (line, start) in lines.iter().zip([
        format!("{address} connected"),
        "GET  / ".into(),
        format!("{address} closed: received 54 B, sent "),
    ]) {
        assert!(line.starts_with(&start), "{lines:#?}");
    }
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[test]
fn connections_are_shown_only_on_a_terminal_and_at_log_level_info() {
    for args in [&["echo"][..], &["message"]] {
        let mut warn = Running::start_on_terminal(server(args).args(["--log", "warn"]));
        exchange(&warn, &search("one", None));
        warn.signal(Signal::TERM);
        assert_eq!((warn.next_shown(), warn.end().0), (String::new(), Some(0)));

        let mut child = server(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut screen = stdout.by_ref().lines().map_while(Result::ok);
        let url = screen.find(|line| line.contains("://127.")).unwrap();
        screen.find(|line| line.starts_with("Press Ctrl-C")).unwrap();
        let mut peer = TcpStream::connect(url.split_once("://").unwrap().1).unwrap();
        peer.write_all(&search("one", None)).unwrap();
        peer.read_exact(&mut [0]).unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!((&*rest, child.wait().unwrap().code()), ("", Some(0)), "{args:?}");
    }
}

/// Ctrl-S stops the terminal, and nobody presses Ctrl-Q.
#[test]
fn a_stopped_terminal_delays_neither_the_echo_nor_the_end() {
    let mut server = Running::start_on_terminal(&mut server(&["echo"]));
    server.stop_terminal();
    for _ in 0..3 {
        exchange(&server, b"hello");
    }
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("connection lines lost: not written in time lines=6"), "{stderr}");
}

#[test]
fn of_many_connections_each_is_shown_or_counted() {
    const CONNECTIONS: u64 = 300;
    let mut server = Running::start_on_terminal(&mut server(&["echo"]));
    let peers: Vec<TcpStream> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for mut peer in peers {
        peer.write_all(b"x").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        peer.read_to_end(&mut Vec::new()).unwrap();
    }
    let (mut connected, mut closed) = (0, 0);
    for line in shown(&mut server) {
        match line.strip_prefix("… and ") {
            Some(counts) => {
                for count in counts.split(", ") {
                    let number: u64 = count.split(' ').next().unwrap().parse().unwrap();
                    let is_closed = count.ends_with("closed");
                    *(if is_closed { &mut closed } else { &mut connected }) += number;
                }
            }
            None if line.ends_with(" connected") => connected += 1,
            None if line.ends_with(" closed: received 1 B, sent 1 B") => closed += 1,
            None => panic!("{line}"),
        }
    }
    assert_eq!((connected, closed), (CONNECTIONS, CONNECTIONS));
}
