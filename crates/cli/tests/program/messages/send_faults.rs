//! Failures of `sockeye send message://…`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::frames::{frame, json_frame, read_frame};
use super::{FOUND, SEARCH, peer, service, stderr};
use crate::support::{Folder, Running, run, text};

/// Waits until the other side has closed or reset the connection.
fn wait_for_close(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

#[test]
fn an_error_response_is_printed_and_reported_and_the_others_continue() {
    let server = service(&[]);
    let output = run(&["send", server.url(), r#"{"action": "delete"}"#, SEARCH]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).ends_with(FOUND), "{}", text(&output.stdout));
    let stderr = stderr(&output);
    let error = "connection 1: the peer answered with an error: invalid action 'delete'.";
    assert!(stderr.contains(error), "{stderr}");
    assert!(stderr.contains("2 messages: 1 answered, 1 answered with an error; "), "{stderr}");
}

#[test]
fn an_early_error_response_is_read_while_sending() {
    let folder = Folder::new();
    folder.write("content", &vec![0; 8 << 20]);
    let server = service(&["--max-content", "1K"]);
    for flags in [&[][..], &["--keep-alive"]] {
        let line = ["send", server.url(), "--file", &folder.join("content")];
        let output = run(&[&line, flags].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("(too_large)"), "{}", stderr(&output));
    }
}

#[test]
fn a_missing_response_is_an_error_that_says_what_the_peer_did() {
    type Act = fn(TcpStream);
    let half: Act = |mut stream| {
        read_frame(&mut stream);
        stream.write_all(&json_frame(&json!("half"))[..20]).unwrap();
    };
    let table: [(&str, &[&str], Act); 9] = [
        ("closed the connection without a response", &[], |mut stream| {
            drop(read_frame(&mut stream));
        }),
        ("closed the connection without a response", &["--keep-alive"], |mut stream| {
            drop(read_frame(&mut stream));
        }),
        ("closed the connection within a response", &[], half),
        ("reset the connection", &[], |stream| {
            // Closing with input unread resets the connection.
            stream.peek(&mut [0]).unwrap();
        }),
        ("was silent for 50 ms when 1 message had no response", &["--timeout", "50ms"], |stream| {
            wait_for_close(stream);
        }),
        (
            "sent an invalid response: this port speaks HTTP (\"HTTP/1.1 400 Bad",
            &[],
            |mut stream| {
                read_frame(&mut stream);
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
                wait_for_close(stream);
            },
        ),
        ("sent an invalid response: this port speaks something other", &[], |mut stream| {
            stream.write_all(b"SSH-2.0-OpenSSH\r\n").unwrap();
            wait_for_close(stream);
        }),
        ("sent an invalid response", &[], |mut stream| {
            read_frame(&mut stream);
            stream.write_all(b"\0\0").unwrap();
            wait_for_close(stream);
        }),
        ("sent an invalid response", &["--max-content", "10"], |mut stream| {
            read_frame(&mut stream);
            stream.write_all(&json_frame(&json!("more than ten bytes"))).unwrap();
            wait_for_close(stream);
        }),
    ];
    for (expected, flags, act) in table {
        let (url, thread) = peer(1, move |_, stream| act(stream));
        let output = run(&[&["send", &url, "hello", "again"], flags].concat());
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{expected}: {stderr}");
        assert!(
            stderr.contains(&format!("connection 1: the peer {expected}")),
            "{expected}: {stderr}"
        );
        assert!(
            stderr.contains("2 messages: 0 answered, 2 without a response; "),
            "{expected}: {stderr}"
        );
        assert!(output.stdout.is_empty());
        thread.join().unwrap();
    }
}

#[test]
fn a_message_that_is_sent_back_unchanged_is_a_failure() {
    let echo = Running::start(&["echo", "--listen", "127.0.0.1:0"]);
    let url = echo.url().replace("tcp://", "message://");
    for content in [SEARCH, "hello", ""] {
        for flags in [&[][..], &["--keep-alive", "--count", "3"], &["--type", "text/json"]] {
            let output = run(&[&["send", &url, content], flags].concat());
            let stderr = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{content:?} {flags:?}: {stderr}");
            let expected = "connection 1: the peer sent the message back unchanged";
            assert!(stderr.contains(expected), "{content:?} {flags:?}: {stderr}");
            assert!(stderr.contains(": 0 answered, "), "{content:?} {flags:?}: {stderr}");
            assert!(!stderr.contains("without a response"), "{content:?} {flags:?}: {stderr}");
        }
    }
}

#[test]
fn invalid_json_in_a_response_is_an_error_with_the_position() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for (encoding, content, expected) in [
        ("utf-8", &b"{\"a\": nothing}"[..], Some("expected ident at line 1 column 8")),
        ("utf-8", b"", Some("EOF while parsing a value at line 1 column 0")),
        ("utf-8", b"[1]\n2", Some("trailing characters at line 2 column 1")),
        ("utf-8", b"\"\xff\"", Some("not utf-8 at position 1")),
        ("klingon", b"[1]", Some("its encoding 'klingon' is unknown")),
        ("utf-16", b"[\0]\0", None),
        ("utf-8", deep.as_bytes(), None),
    ] {
        let response = frame("text/json", encoding, json!({}), content);
        let (url, thread) = peer(1, move |_, mut stream| {
            read_frame(&mut stream);
            stream.write_all(&response).unwrap();
        });
        let output = run(&["send", &url, "hello"]);
        thread.join().unwrap();
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(i32::from(expected.is_some())), "{stderr}");
        if let Some(expected) = expected {
            let expected = format!("connection 1: the peer answered with invalid JSON: {expected}");
            assert!(stderr.contains(&expected), "{stderr}");
            assert!(
                stderr.contains("1 message: 0 answered, 1 answered with invalid JSON;"),
                "{stderr}"
            );
        }
    }
}

#[test]
fn the_other_connections_continue_when_one_fails() {
    // Three connections twice, except the one that isn't opened again.
    let (url, thread) = peer(5, |n, mut stream| {
        read_frame(&mut stream);
        if n != 1 {
            stream.write_all(&json_frame(&json!(n))).unwrap();
        }
    });
    let output = run(&["send", &url, "a", "b", "--connections", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    assert_eq!(stderr.matches("closed the connection without a response").count(), 1, "{stderr}");
    assert!(stderr.contains("6 messages: 4 answered, 2 without a response; "), "{stderr}");
    thread.join().unwrap();
}

#[test]
fn a_refused_connection_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("message://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&["send", &url, "hello", "--count", "5"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    let error = "connection 1: could not connect: Connection refused";
    assert_eq!(stderr.matches(error).count(), 1, "{stderr}");
    assert!(stderr.contains("5 messages: 0 answered, 5 without a response; "), "{stderr}");
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let (url, thread) = peer(2, |n, mut stream| {
        read_frame(&mut stream);
        stream.write_all(&json_frame(&json!(n))).unwrap();
    });
    // The peer has no IPv6 address, and `localhost` may have one.
    let output = run(&["send", &url.replace("127.0.0.1", "localhost"), "a", "b"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&output.stdout), "0\n1\n");
    thread.join().unwrap();
}

#[test]
fn a_full_output_file_is_an_error() {
    let server = service(&[]);
    let output = run(&["send", server.url(), SEARCH, "--output", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot write to /dev/full: No space left"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn bad_files_and_encodings_are_refused_before_connecting() {
    let folder = Folder::new();
    let (missing, deep) = (folder.join("missing"), folder.join("no/where"));
    let url = "message://127.0.0.1:1";
    let table: [(&[&str], &str); 5] = [
        (&["send", url, "--file", &missing], "No such file"),
        (&["send", url, "x", "--output", &deep], "cannot write to"),
        (&["send", url, "\"é\"", "--encoding", "ascii"], "cannot be sent: not ascii"),
        (&["send", "tcp://127.0.0.1:1", "x", "--keep-alive"], "is for message://HOST:PORT"),
        (&["send", "message://127.0.0.1"], "the port is missing"),
    ];
    for (args, expected) in table {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}
