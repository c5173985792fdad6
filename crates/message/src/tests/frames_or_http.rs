//! Frames and HTTP on one port.

use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Time, Turn};

use super::super::PeerProtocol;
use super::*;

fn connect() -> Harness {
    Harness::new(FramesOrHttp::new(Rc::new(ServerConfig::new(Limits::default())), Slow::default()))
}

fn post(content: &str) -> Vec<u8> {
    let len = content.len();
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/json\r\nContent-Length: {len}\r\n\r\n\
         {content}"
    )
    .into_bytes()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Whether RFC 9110, 5.6.2, lists `byte` as part of a token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[test]
fn three_bytes_are_always_enough_to_detect_the_protocol() {
    for a in 0..=255u8 {
        for b in 0..=255u8 {
            for c in 0..=255u8 {
                let whole = PeerProtocol::detect(&[a, b, c]).expect("three bytes are enough");
                let expected = match (a, b, c) {
                    (0x16, 3, 0..5) => PeerProtocol::Tls,
                    _ if [a, b, c].into_iter().all(is_token) => PeerProtocol::Http,
                    _ => PeerProtocol::Frames,
                };
                assert_eq!(whole, expected, "{a} {b} {c}");
                // A result for fewer bytes holds for all continuations.
                assert_eq!(PeerProtocol::detect(&[a, b]).unwrap_or(whole), whole);
                assert_eq!(PeerProtocol::detect(&[a]).unwrap_or(whole), whole);
                assert_eq!(PeerProtocol::detect(&[a, b, c, 7]), Some(whole));
            }
            let could_be_more = is_token(a) && is_token(b) || (a, b) == (0x16, 3);
            assert_eq!(PeerProtocol::detect(&[a, b]).is_none(), could_be_more, "{a} {b}");
        }
        assert_eq!(PeerProtocol::detect(&[a]).is_none(), is_token(a) || a == 0x16, "{a}");
    }
    assert_eq!(PeerProtocol::detect(b""), None);
}

#[test]
fn frames_and_http_are_answered_on_one_port_in_pieces_of_any_size() {
    let frame = request("\"now\"");
    for cut in 0..=frame.len() {
        let mut client = connect();
        client.input(&frame[..cut]);
        client.input(&frame[cut..]);
        assert_eq!(results(&client.output()), [(None, "now".to_owned())], "cut at {cut}");
        assert_eq!(client.end(), Some(End::Close));
    }
    let request = post("\"now\"");
    for cut in 0..=request.len() {
        let mut client = connect();
        client.input(&request[..cut]);
        client.input(&request[cut..]);
        let output = text(client.output());
        assert!(output.starts_with("HTTP/1.1 200 OK\r\n"), "cut at {cut}: {output}");
        assert!(output.ends_with("\r\n\r\n{\"result\": \"now\"}"), "cut at {cut}: {output}");
        assert_eq!(client.end(), None);
    }
    let mut client = connect();
    client.drip(&[post("\"now\""), post("\"later\"")].concat());
    client.run_jobs();
    let output = text(client.output());
    assert_eq!(output.matches("HTTP/1.1 200 OK\r\n").count(), 2);
    assert!(output.ends_with("{\"result\": \"later\"}"), "{output}");
}

#[test]
fn a_frame_whose_length_looks_like_a_method_is_a_frame() {
    // 18,245 bytes: "GE".
    for blank in ["", " ", "\n", "\r\n\t"] {
        let json = format!(
            "{blank}{{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
             \"content-encoding\": \"utf-8\", \"content-length\": 5"
        );
        let header = format!("{json}{}}}", " ".repeat(0x4745 - json.len() - 1));
        let input = framed(&header, b"\"now\"");
        assert!(input.starts_with(b"GE"));
        let mut client = connect();
        client.drip(&input);
        assert_eq!(results(&client.output()), [(None, "now".to_owned())], "{blank:?}");
    }
}

#[test]
fn errors_use_the_protocol_of_the_request() {
    for input in [&b"\0\0"[..], b"\x01\0x", b"\r\nPOST", b"PO\0", b"PO\x80", b"\x16\x03\x05"] {
        let mut client = connect();
        for byte in input {
            if client.fault().is_none() {
                client.input(&[*byte]);
            }
        }
        assert_eq!(error_code(&client.output()), "bad_header", "{}", input.escape_ascii());
    }
    for (input, status, code) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], "400 Bad Request", "tls_on_plain_port"),
        (b"PRI * HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported", "unsupported_version"),
        (b"NEWS / HTTP/1.1\r\nHost: a\r\n\r\n", "501 Not Implemented", "unknown_method"),
        (&b"NEWS".repeat(17), "501 Not Implemented", "unknown_method"),
        (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", "bad_header"),
    ] {
        let mut client = connect();
        client.input(input);
        let output = text(client.output());
        assert!(output.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{output}");
        let body: Value = serde_json::from_str(output.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert!(body["result"].as_str().unwrap().starts_with("Error: the client "), "{body}");
        assert_eq!(body["error"]["code"], code);
    }
}

#[test]
fn a_connection_without_a_detected_protocol_gets_errors_in_frames() {
    for (sent, ended) in [(&b""[..], true), (b"P", false), (b"PO", false), (b"\x16\x03", false)] {
        let mut client = connect();
        client.drip(sent);
        client.eof();
        let output = client.output();
        if ended {
            assert_eq!((&output[..], client.end()), (&b""[..], Some(End::Close)));
        } else {
            assert_eq!(error_code(&output), "incomplete");
        }

        let mut client = connect();
        client.drip(sent);
        client.pass(seconds(9));
        assert!(client.fault().is_none());
        client.pass(seconds(51));
        let (fault, output) = (client.fault().unwrap().code, client.output());
        if ended {
            assert_eq!((&output[..], fault), (&b""[..], "idle_timeout"));
        } else {
            assert_eq!((error_code(&output).as_str(), fault), ("timeout", "timeout"));
        }
    }
}

#[test]
fn a_second_byte_does_not_extend_the_timeout() {
    let mut client = connect();
    client.input(b"P");
    client.pass(seconds(9));
    client.input(b"O");
    client.pass(seconds(2));
    assert_eq!(client.fault().unwrap().code, "timeout");
}

#[test]
fn draining_ends_idle_connections_and_answers_started_requests() {
    let mut client = connect();
    client.drain();
    client.pass(seconds(1) - Duration::from_millis(1));
    assert_eq!(client.end(), None);
    client.pass(Duration::from_millis(1));
    assert_eq!(client.end(), Some(End::Linger));

    for request in [post("\"now\""), request_with_id(7, "\"now\"")] {
        for cut in 0..request.len() {
            let mut client = connect();
            client.input(&request[..cut]);
            client.drain();
            assert!(client.end().is_none(), "cut at {cut}");
            client.input(&request[cut..]);
            let output = String::from_utf8_lossy(&client.output()).into_owned();
            assert_eq!(output.matches("{\"result\": \"now\"}").count(), 1, "{output}");
            assert!(output.contains("close"), "{output}");
            client.pass(seconds(1));
            assert_eq!(client.end(), Some(End::Linger));
        }
    }
}

#[test]
fn frames_only_refuses_http() {
    struct Opened(Box<dyn Protocol>);

    impl Protocol for Opened {
        fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
            self.0.on_bytes(input, turn)
        }
        fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
            self.0.on_event(event, turn)
        }
        fn deadline(&self) -> Option<Time> {
            self.0.deadline()
        }
    }

    for (frames_only, begins) in [(false, &b"HTTP/1.1 200 OK\r\n"[..]), (true, b"\0")] {
        let shared = Rc::new(ServerConfig::new(Limits::default()).frames_only(frames_only));
        let mut client = Harness::new(Opened(shared.open(Slow::default())));
        client.input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.output().starts_with(begins));
    }
}

#[test]
fn no_input_is_consumed_before_the_protocol_is_detected() {
    let mut client = connect();
    client.input(b"PO");
    assert_eq!(client.unused(), 2);
    client.input(b"ST");
    assert_eq!(client.unused(), 4, "the HTTP server waits for a complete head");
}
