//! `sockeye send`, against our echo server and peers that misbehave.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::thread::{self, JoinHandle};

use crate::support::{Folder, Running, run, run_on_terminal, sockeye, text};

const MESSAGES: [&str; 2] = ["Message 1 from client.", "Message 2 from client."];

/// Starts a server that accepts this number of connections, and calls `act` for each.
fn peer(
    connections: usize,
    mut act: impl FnMut(usize, TcpStream) + Send + 'static,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        for n in 0..connections {
            act(n, listener.accept().unwrap().0);
        }
    });
    (url, thread)
}

/// Reads this number of bytes and sends them back.
fn echo_bytes(stream: &mut TcpStream, bytes: usize) {
    let mut buffer = vec![0; bytes];
    stream.read_exact(&mut buffer).unwrap();
    stream.write_all(&buffer).unwrap();
}

/// Waits until the other side has closed or reset the connection.
fn wait_for_close(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

fn echo() -> Running {
    Running::start(&["echo", "--listen", "127.0.0.1:0"])
}

/// Runs `send` with `input` on its standard input.
fn send_input(args: &[&str], input: Vec<u8>) -> Output {
    let mut command = sockeye(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || match stdin.write_all(&input) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
        _ => {}
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn every_connection_prints_what_comes_back() {
    let server = echo();
    let args = [&["send", server.url()], &MESSAGES[..], &["--connections", "3"]].concat();
    let output = run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The network may split the bytes of a connection anywhere.
    for number in 1..=3 {
        let label = format!("connection {number}: received \"");
        let pieces: String = text(&output.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix(&label)?.strip_suffix('"'))
            .collect();
        assert_eq!(pieces, MESSAGES.concat());
    }
    let summary = "3 connections: 3 finished; sent 132 B, received 132 B in ";
    assert!(stderr(&output).starts_with(summary), "{}", stderr(&output));
}

#[test]
fn one_connection_prints_bytes_unchanged() {
    let server = echo();
    let output = run(&["send", server.url(), "\u{1b}[1m", "two"]);
    assert_eq!(output.stdout, b"\x1b[1mtwo");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn on_a_terminal_the_output_is_escaped_and_the_report_is_on_a_new_line() {
    let server = echo();
    for (content, shown) in [
        ("Hello World", "Hello World\n"),
        ("a line\n", "a line\n"),
        ("\u{1b}[2J\u{9b}1m\tx\r\u{7f}", "\\u{1b}[2J\\u{9b}1m\tx\\r\\u{7f}\n"),
    ] {
        let (printed, code) = run_on_terminal(&["send", server.url(), content]);
        let report = "1 connection: 1 finished; sent ";
        assert!(printed.starts_with(&format!("{shown}{report}")), "{printed:?}");
        assert_eq!(code, Some(0));
    }
    let (url, thread) = peer(1, |_, mut stream| {
        stream.read_exact(&mut [0; 11]).unwrap();
        stream.write_all(b"Hello").unwrap();
    });
    let (printed, code) = run_on_terminal(&["send", &url, "Hello World"]);
    let start = "Hello\nconnection 1: the peer closed the connection when 5 of 11 bytes";
    assert!(printed.starts_with(start), "{printed:?}");
    assert_eq!(code, Some(1));
    thread.join().unwrap();
}

#[test]
fn standard_input_is_sent_unchanged() {
    let server = echo();
    let input: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    let output = send_input(&["send", server.url()], input.clone());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());

    let output = send_input(&["send", server.url(), "--connections", "4"], b"shared\n".to_vec());
    let lines = text(&output.stdout);
    assert_eq!(lines.matches(r#"received "shared\n""#).count(), 4, "{lines}");

    let output = send_input(&["send", server.url()], Vec::new());
    assert!(
        stderr(&output).starts_with("1 connection: 1 finished; sent 0 B"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn half_close_reads_everything_until_the_peers_end() {
    let response: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 253) as u8).collect();
    let answer = response.clone();
    let (url, thread) = peer(2, move |_, mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        stream.write_all(if request.is_empty() { b"nothing" } else { &answer }).unwrap();
    });
    let output = send_input(&["send", &url, "--half-close"], b"all".to_vec());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout == response, "{} bytes came", output.stdout.len());
    let output = send_input(&["send", &url, "--half-close"], Vec::new());
    assert_eq!(output.stdout, b"nothing");
    thread.join().unwrap();

    let server = echo();
    let output = run(&["send", server.url(), "--half-close", "one", "two", "--connections", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&output.stdout).matches("received \"onetwo\"").count(), 2);
    let output = run(&["send", "message://127.0.0.1:1", "--half-close", "x"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--half-close is for tcp://"), "{}", stderr(&output));
}

#[test]
fn an_http_server_is_recognized() {
    let folder = Folder::new();
    folder.write("index.html", &[b'x'; 300]);
    let args = ["http", folder.text(), "--listen", "127.0.0.1:0"];
    let server = Running::start(&args);
    let (http, request) = (server.url(), "GET / HTTP/1.0\r\n\r\n");
    let tcp = http.replace("http://", "tcp://");
    let output = run(&["send", &tcp, request]);
    let expected_text =
        "connection 1: the peer speaks HTTP (\"HTTP/1.1 200 OK\"), and only as many";
    assert!(stderr(&output).starts_with(expected_text), "{}", stderr(&output));
    let output = run(&["send", &tcp, request, "--half-close"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text(&output.stdout).ends_with(&"x".repeat(300)), "{}", text(&output.stdout));
    assert!(stderr(&output).starts_with("1 connection: 1 finished"), "{}", stderr(&output));
    let output = run(&["send", &http.replace("http://", "message://"), "hello"]);
    assert_eq!(output.status.code(), Some(1));
    let expected_text =
        "this port speaks HTTP (\"HTTP/1.1 400 Bad Request\"), and not messages in frames";
    assert!(stderr(&output).contains(expected_text), "{}", stderr(&output));
}

#[test]
fn a_closed_pipe_on_standard_output_is_no_error() {
    let server = echo();
    let mut command = sockeye(&["send", server.url()]);
    command.stdin(std::fs::File::open("/dev/zero").unwrap());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1000]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("standard output has no reader"), "{}", stderr(&output));
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let (url, thread) = peer(1, |_, mut stream| echo_bytes(&mut stream, 5));
    // The peer has no IPv6 address, and `localhost` may have one.
    let output = run(&["send", &url.replace("127.0.0.1", "localhost"), "hello"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, b"hello");
    thread.join().unwrap();
}

#[test]
fn a_refused_connection_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&["send", &url, "hello", "--connections", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    for number in 1..=2 {
        let error = format!("connection {number}: could not connect: Connection refused");
        assert!(stderr.contains(&error), "{stderr}");
    }
    assert!(stderr.contains("2 connections: 0 finished, 2 failed; sent 0 B"), "{stderr}");
}

#[test]
fn an_early_close_is_an_error_with_the_progress() {
    let (url, thread) = peer(1, |_, mut stream| {
        stream.read_exact(&mut [0; 11]).unwrap();
        stream.write_all(b"Hello").unwrap();
    });
    let output = run(&["send", &url, "Hello World"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"Hello");
    let error = "connection 1: the peer closed the connection when 5 of 11 bytes had come back";
    assert!(stderr(&output).contains(error), "{}", stderr(&output));
    thread.join().unwrap();
}

#[test]
fn a_peer_that_resets_is_an_error() {
    let (url, thread) = peer(1, |_, stream| {
        // Closing with input unread resets the connection.
        stream.peek(&mut [0]).unwrap();
    });
    let output = run(&["send", &url, "Hello World"]);
    assert_eq!(output.status.code(), Some(1));
    let error = "connection 1: the peer reset the connection";
    assert!(stderr(&output).contains(error), "{}", stderr(&output));
    thread.join().unwrap();
}

#[test]
fn a_silent_peer_is_an_error_after_the_timeout() {
    let (url, thread) = peer(1, |_, stream| wait_for_close(stream));
    let output = run(&["send", &url, "Hello World", "--timeout", "50ms"]);
    assert_eq!(output.status.code(), Some(1));
    let error = "connection 1: the peer was silent for 50 ms when 0 of 11 bytes had come back";
    assert!(stderr(&output).contains(error), "{}", stderr(&output));
    thread.join().unwrap();
}

#[test]
fn a_peer_that_reads_nothing_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    // Nobody accepts, but the kernel still connects and buffers some bytes.
    let mut command = sockeye(&["send", &format!("tcp://{address}"), "--timeout", "50ms"]);
    command.stdin(std::fs::File::open("/dev/zero").unwrap());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the peer was silent for 50 ms"), "{}", stderr(&output));
    drop(listener);
}

#[test]
fn the_other_connections_continue_when_one_fails() {
    let (url, thread) = peer(3, |n, mut stream| match n {
        1 => drop(stream.read_exact(&mut [0; 5])),
        _ => echo_bytes(&mut stream, 5),
    });
    let output = run(&["send", &url, "hello", "--connections", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    assert!(stderr.contains("the peer closed the connection when 0 of 5 bytes"), "{stderr}");
    assert!(stderr.contains("3 connections: 2 finished, 1 failed; sent 15 B"), "{stderr}");
    assert!(stderr.contains("received 10 B"), "{stderr}");
    thread.join().unwrap();
}
