//! Requests that the Python server doesn't answer, or answers badly, sent at once, byte by byte and
//! pipelined.

use sockeye_proto::End;

use super::*;

/// A valid header with one key replaced or left out.
fn header(key: &str, value: Option<&str>) -> String {
    let usual = [
        ("byteorder", "\"little\""),
        ("content-type", "\"text/json\""),
        ("content-encoding", "\"utf-8\""),
        ("content-length", "2"),
    ];
    let pairs = usual.into_iter().filter_map(|(name, usual)| {
        let value = if name == key { value } else { Some(usual) };
        value.map(|value| format!("\"{name}\": {value}"))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// Sends `input` at once, byte by byte, and followed by more. Returns the one response.
fn in_all_ways(input: &[u8]) -> Vec<u8> {
    let mut at_once = reference_server();
    at_once.input(input);
    let expected = at_once.output();

    let mut dripped = reference_server();
    for byte in input {
        // A connection with a fault takes no more input.
        if dripped.fault().is_none() {
            dripped.input(&[*byte]);
        }
    }
    assert_eq!(dripped.output(), expected, "byte by byte");

    let mut pipelined = reference_server();
    pipelined.input(&[input, &request("{}"), b"\0\0garbage"].concat());
    assert_eq!(pipelined.output(), expected, "pipelined");
    assert!(pipelined.fault().is_some() || pipelined.end() == Some(End::Linger));
    expected
}

#[test]
fn faults_are_answered_with_their_codes() {
    let one = |key, value| framed(&header(key, value), b"{}");
    let mut cases: Vec<(Vec<u8>, &str)> = vec![
        (b"\0\0".to_vec(), "bad_header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "bad_header"),
        (b"\x16\x03\x01\x02\x00".to_vec(), "tls_on_plain_port"),
        (b"\x16\x04\x01\x02\x00".to_vec(), "bad_header"),
        (framed("{\"byteorder\": ", b""), "bad_header"),
        (framed("[1, 2, 3]", b""), "bad_header"),
        (framed("{} {}", b""), "bad_header"),
        (framed(" \n", b""), "bad_header"),
        (b"\x00\x04{\"\xff}".to_vec(), "bad_header"),
        (one("content-encoding", Some("\"utf-32\"")), "unsupported_encoding"),
        (one("content-encoding", Some("\"binary\"")), "unsupported_encoding"),
        (framed(&header("content-length", Some("1")), b"{"), "bad_content"),
        (framed(&header("content-length", Some("1")), b"\xff"), "bad_content"),
        (framed(&header("content-length", Some("0")), b""), "bad_content"),
        (framed(&header("content-encoding", Some("\"ascii\"")), b"\xc3\xa9"), "bad_content"),
        (framed(&header("content-encoding", Some("\"utf-16\"")), b"\0\xd8"), "bad_content"),
        (framed(&header("content-length", Some("16777217")), b""), "too_large"),
        (framed(&header("content-length", Some("18446744073709551616")), b""), "too_large"),
        (request_with(r#", "content-length": 2"#, "{}"), "bad_header"),
        (request_with(r#", "deadline-ms": "soon""#, "{}"), "bad_header"),
        (request_with(r#", "id": {}, "connection": "keep-alive""#, "{}"), "bad_header"),
    ];
    for key in ["byteorder", "content-type", "content-encoding", "content-length"] {
        cases.push((one(key, None), "bad_header"));
    }
    for length in ["-1", "2.0", "2e0", "true", "\"2\"", "null", "[2]", "-0"] {
        cases.push((one("content-length", Some(length)), "bad_header"));
    }
    for (input, expected) in cases {
        assert_eq!(
            error_code(&in_all_ways(&input)),
            expected,
            "{}",
            String::from_utf8_lossy(&input)
        );
    }
}

#[test]
fn a_length_of_zero_is_refused_after_two_bytes_and_other_protocols_after_three() {
    let mut client = reference_server();
    client.drip(b"\0");
    assert!(client.output().is_empty());
    client.drip(b"\0");
    assert_eq!(error_code(&client.output()), "bad_header");

    for (start, code) in [
        (&b"GET"[..], "bad_header"),
        (b"\x16\x03\x01", "tls_on_plain_port"),
        (b"\x01\x00x", "bad_header"),
    ] {
        let mut client = reference_server();
        client.drip(start);
        assert_eq!(client.fault().unwrap().code, code);
    }
}

#[test]
fn content_above_the_limit_is_refused_before_it_arrives() {
    let mut client = reference_server();
    client.input(&framed(&header("content-length", Some("99999999999")), b""));
    assert_eq!(error_code(&client.output()), "too_large");
    let small = Limits { header: 40, ..Limits::default() };
    let mut client = Harness::new(Server::new(Rc::new(small), Reference::default()));
    client.drip(b"\x00\x29{");
    assert_eq!(error_code(&client.output()), "too_large");
}

#[test]
fn empty_and_falsy_content_is_answered() {
    let cases = [
        ("{}", "Error: invalid action 'None'."),
        ("{\"action\": null}", "Error: invalid action 'None'."),
        ("{\"action\": true}", "Error: invalid action 'True'."),
        ("{\"action\": -0}", "Error: invalid action '0'."),
        ("{\"action\": \"\"}", "Error: invalid action ''."),
        ("{\"action\": \"search\"}", "No match for 'None'."),
        ("{\"action\": \"search\", \"value\": false}", "No match for 'False'."),
        (
            "{\"action\": \"search\", \"value\": 123456789012345678901234567890}",
            "No match for '123456789012345678901234567890'.",
        ),
        ("{\"action\": \"x\", \"action\": \"search\", \"value\": 0}", "No match for '0'."),
    ];
    for (content, expected) in cases {
        let output = in_all_ways(&request(content));
        assert_eq!(results(&output), [(None, expected.to_owned())], "{content}");
    }
}

#[test]
fn the_reference_service_refuses_values_of_other_types() {
    let long = format!("{{\"action\": \"search\", \"value\": {}}}", "9".repeat(4301));
    for (content, kind) in [
        ("null", "null"),
        ("0", "an integer"),
        ("[]", "a list"),
        ("\"\"", "a string"),
        ("false", "a boolean"),
        ("{\"action\": 1.5}", "a number with a fraction or an exponent"),
        ("{\"action\": []}", "a list"),
        ("{\"action\": \"search\", \"value\": {}}", "an object"),
        ("{\"action\": \"search\", \"value\": 1e3}", "a number with a fraction or an exponent"),
        (&long, "an integer of more than 4300 digits"),
    ] {
        let output = in_all_ways(&request(content));
        assert_eq!(error_code(&output), "bad_request", "{content}");
        let text = String::from_utf8_lossy(&output);
        assert!(text.contains(&format!(", not {kind}\"")), "{text}");
    }
}

#[test]
fn the_reference_service_finds_integers_as_long_as_python_converts() {
    let value = format!("-{}", "9".repeat(4300));
    let content = format!("{{\"action\": \"search\", \"value\": {value}}}");
    let output = in_all_ways(&request(&content));
    assert_eq!(results(&output), [(None, format!("No match for '{value}'."))]);
}

#[test]
fn text_is_read_in_its_encoding_and_answered_in_utf_8() {
    use super::super::text::Encoding;
    let text = "{\"action\": \"search\", \"value\": \"é\"}";
    for encoding in [Encoding::Utf16, Encoding::Utf16Be, Encoding::Latin1, Encoding::Utf8Sig] {
        let message = Message::text("text/json", encoding, text).unwrap();
        let mut input = frame::head(&Header::of(&message)).unwrap();
        input.extend_from_slice(&message.content);
        let output = in_all_ways(&input);
        assert_eq!(frames(&output)[0].0.content_encoding, "utf-8");
        assert_eq!(results(&output)[0].1, "No match for 'é'.");
    }
}

#[test]
fn without_ids_only_the_first_request_is_answered() {
    let mut client = reference_server();
    client.input(&[request("{}"), request("{}")].concat());
    assert_eq!(results(&client.output()).len(), 1);
    assert_eq!(client.end(), Some(End::Linger), "a reset would destroy the response");
}
