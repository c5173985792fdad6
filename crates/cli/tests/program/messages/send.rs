//! `sockeye send message://…`, against our server and simulated peers.

use std::io::{Read, Write};
use std::process::Stdio;

use serde_json::json;

use super::frames::{Frame, frame, json_frame, read_frame, vectors};
use super::{FOUND, SEARCH, peer, service, stderr};
use crate::support::{Folder, run, sockeye, text};

#[test]
fn frames_are_byte_for_byte_those_of_the_reference_client() {
    for (at, vector) in vectors().into_iter().enumerate() {
        let Frame { bytes, header, content } = read_frame(&mut &vector.request[..]);
        // Another client, which sends more keys than ours.
        if !header["id"].is_null() {
            continue;
        }
        assert_eq!(bytes, vector.request);
        let closes = at % 2 == 0;
        let response = vector.response.clone();
        let (url, thread) = peer(1, move |_, mut stream| {
            let mut request = vec![0; vector.request.len()];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(text(&request[2..]), text(&vector.request[2..]));
            let Some(response) = &vector.response else { return };
            stream.write_all(response).unwrap();
            if !closes {
                // The client closes when it has its response, and has sent nothing else.
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            }
        });
        let output = run(&["send", &url, "--", &text(&content)]);
        thread.join().unwrap();
        let Some(response) = response else {
            assert_eq!(output.status.code(), Some(1));
            continue;
        };
        let response = read_frame(&mut &response[..]);
        let is_text = response.header["content-type"] == "text/json";
        let end = if is_text { "\n" } else { "" };
        assert_eq!(text(&output.stdout), text(&response.content) + end);
        let is_error = text(&response.content).contains("Error: ");
        assert_eq!(output.status.code(), Some(i32::from(is_error)), "{}", stderr(&output));
    }
}

#[test]
fn each_message_has_its_own_connection() {
    let (url, thread) = peer(4, |n, mut stream| {
        let request = read_frame(&mut stream);
        assert!(request.header["id"].is_null(), "{:?}", request.header);
        assert_eq!(text(&request.content), ["one", "two"][n % 2]);
        stream.write_all(&json_frame(&json!(n))).unwrap();
    });
    let output = run(&["send", &url, "one", "two", "--count", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&output.stdout), "0\n1\n2\n3\n");
    let summary = "4 messages: 4 answered; received 4 B of content in ";
    assert!(stderr(&output).starts_with(summary), "{}", stderr(&output));
    thread.join().unwrap();
}

#[test]
fn our_server_answers_over_one_connection_and_over_many() {
    let server = service(&[]);
    let url = server.url();
    let output = run(&["send", url, SEARCH, "hello world"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&output.stdout), format!("{FOUND}First 10 bytes of request: hello worl"));

    let flags = ["--keep-alive", "--count", "100", "--connections", "3"];
    let output = run(&[&["send", url, SEARCH], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for number in 1..=3 {
        let line = format!("connection {number}: {FOUND}");
        assert_eq!(text(&output.stdout).matches(&line).count(), 100);
    }
    assert!(stderr(&output).starts_with("300 messages: 300 answered; "), "{}", stderr(&output));

    let output = run(&["send", url, SEARCH, "--encoding", "utf-16"]);
    assert_eq!(text(&output.stdout), FOUND, "text is printed as UTF-8");
}

#[test]
fn keep_alive_uses_one_connection_if_the_peer_supports_it() {
    let (url, thread) = peer(1, |_, mut stream| {
        for n in 0..5 {
            let request = read_frame(&mut stream);
            assert_eq!(request.header["connection"], "keep-alive");
            let id = request.header["id"].clone();
            let content = json!(n).to_string();
            let extra = json!({ "id": id, "connection": "keep-alive" });
            let response = frame("text/json", "utf-8", extra, content.as_bytes());
            stream.write_all(&response).unwrap();
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let output = run(&["send", &url, "x", "--keep-alive", "--count", "5"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "2", "3", "4"]);
    thread.join().unwrap();
}

#[test]
fn keep_alive_falls_back_to_one_connection_per_message() {
    let (url, thread) = peer(3, |n, mut stream| {
        let request = read_frame(&mut stream);
        assert_eq!(request.header["id"].is_null(), n > 0, "{:?}", request.header);
        stream.write_all(&json_frame(&json!(n))).unwrap();
        // The client has sent nothing more on a connection whose server would have ignored it.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let output = run(&["send", &url, "a", "b", "c", "--keep-alive"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&output.stdout), "0\n1\n2\n");
    thread.join().unwrap();
}

#[test]
fn large_contents_are_sent_received_and_written_to_files() {
    let folder = Folder::new();
    let content: Vec<u8> = (0..8_u32 << 20).map(|n| (n % 251) as u8).collect();
    folder.write("content", &content);
    let expected = content.clone();
    let (url, thread) = peer(1, move |_, mut stream| {
        let request = read_frame(&mut stream);
        assert!(request.content == expected, "{} bytes", request.content.len());
        assert_eq!(request.header["content-type"], "image/fish");
        assert_eq!(request.header["content-encoding"], "binary");
        stream.write_all(&frame("c/d", "binary", json!({}), &request.content)).unwrap();
    });
    let (file, out) = (folder.join("content"), folder.join("out"));
    let flags = ["--file", &file, "--type", "image/fish", "--output", &out];
    let output = run(&[&["send", &url], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    assert!(std::fs::read(&out).unwrap() == content);
    thread.join().unwrap();

    let server = service(&[]);
    let output = run(&["send", server.url(), "--file", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, [b"First 10 bytes of request: ", &content[..10]].concat());
}

#[test]
fn standard_input_is_one_message() {
    let server = service(&[]);
    let mut command = sockeye(&["send", server.url()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(SEARCH.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), FOUND, "{}", stderr(&output));
}

#[test]
fn a_closed_pipe_on_standard_output_is_no_error() {
    let server = service(&[]);
    for flags in [&[][..], &["--keep-alive"]] {
        let line = ["send", server.url(), SEARCH, "--count", "1000000000"];
        let mut command = sockeye(&[&line, flags].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 1000]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("standard output has no reader"), "{}", stderr(&output));
    }
}
