//! Requests that the server refuses.

use super::*;
use crate::{Limits, OwnedRequest};

/// An otherwise valid request with `line` as a field line.
fn with_field(line: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n").into_bytes()
}

/// A request that must not be read after a refused one.
const NEXT: &[u8] = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";

#[track_caller]
fn refused(input: &[u8], status: u16, code: &str) {
    let shown = input.escape_ascii();
    for cut in [false, true] {
        let mut client = connect();
        let input = [input, NEXT].concat();
        if cut {
            // The driver passes no input after a fault.
            for byte in input {
                if client.fault().is_none() {
                    client.input(&[byte]);
                }
            }
        } else {
            client.input(&input);
        }
        let output = text(&mut client);
        let fault = client.fault().unwrap_or_else(|| panic!("no fault: {shown}: {output}"));
        assert_eq!((codes(&output), fault.code), (vec![status], code), "{shown}: {fault}");
        assert!(output.contains("\r\nConnection: close\r\n"), "{output}");
        assert!(output.ends_with(&format!("\nThe client {}.\n", fault.what)), "{output}");
    }
}

#[test]
fn request_lines() {
    for line in [
        "GET",
        "GET /",
        "GET / ",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET /a b HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTP/1.",
        "GET / HTTP/-1.1",
        "GET / HTTPS/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /a?b#c HTTP/1.1",
        "GET /a\\b?c HTTP/1.1",
        "GET /a?b c HTTP/1.1",
        "GET http://a|b/ HTTP/1.1",
        "GET http://a\\b/ HTTP/1.1",
        "GET /é HTTP/1.1",
        "GET /?é HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\r HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET: / HTTP/1.1",
        "\0GET / HTTP/1.1",
        "http://a/ HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "",
        "\r\n\r\nGET / HTTP/1.1",
    ] {
        // One blank line before the request line is allowed.
        let start = if line.is_empty() { "\r\n" } else { "" };
        refused(format!("{start}{line}\r\nHost: a\r\n\r\n").as_bytes(), 400, "bad_request");
    }
    refused(b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_request");
    refused(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request");
    refused(b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request");
    refused(b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request");
}

/// Browsers and other clients send `|`, `^`, braces and others as they are.
#[test]
fn all_visible_characters_but_two_are_accepted_in_a_target() {
    for prefix in ["/a", "/a?", "http://a/", "http://a/?", "http://a?"] {
        for byte in 0..=255 {
            let target = [prefix.as_bytes(), &[byte], b"b"].concat();
            let input = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let is_backslash_in_path = byte == b'\\' && !prefix.contains('?');
            if byte.is_ascii_graphic() && byte != b'#' && !is_backslash_in_path {
                let (output, client) = output_for(&input);
                assert_eq!(codes(&output), [200], "{}: {output}", input.escape_ascii());
                assert!(client.fault().is_none());
                assert_eq!(OwnedRequest::read(&input).unwrap().view().target(), target);
            } else {
                refused(&input, 400, "bad_request");
            }
        }
    }
}

#[test]
fn methods_and_versions() {
    for method in ["get", "Get", "FOO", "GETT", "PROPFIND", "!#$%&'*+-.^_`|~", &"M".repeat(64)] {
        let input = format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n");
        let (output, client) = output_for(input.as_bytes());
        assert!(output.starts_with("HTTP/1.1 200 "), "{output}");
        assert!(output.ends_with(&format!("\r\n\r\n{method} /a")), "{output}");
        assert!(client.fault().is_none());
    }
    let input = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(65));
    refused(input.as_bytes(), 501, "unknown_method");
    refused(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "refused_method");
    refused(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "refused_method");
    for version in ["0.9", "1.2", "1.9", "2.0", "3.0", "9.9"] {
        let input = format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n");
        refused(input.as_bytes(), 505, "unsupported_version");
    }
}

#[test]
fn a_bad_method_is_refused_at_its_first_wrong_byte() {
    let longest = "M".repeat(65);
    for (begin, status, what) in [
        (&b"\0"[..], 400, "does not begin with a method"),
        (b"{", 400, "does not begin with a method"),
        (b"\x80", 400, "does not begin with a method"),
        (b"\xff", 400, "does not begin with a method"),
        (b" ", 400, "does not begin with a method"),
        (b"\"", 400, "does not begin with a method"),
        (b"\x16\x05", 400, "does not begin with a method"),
        (b"\r\n\0", 400, "does not begin with a method"),
        (b"\r\n\r\n", 400, "does not begin with a method"),
        (b"GE\0", 400, "does not begin with a method"),
        (b"GET\t", 400, "does not begin with a method"),
        (b"GET:", 400, "does not begin with a method"),
        (b"GET\r\n", 400, "does not begin with a method"),
        (b"EHLO\x7f", 400, "does not begin with a method"),
        (b"\x16\x03", 400, "TLS client hello"),
        (b"\n", 400, "an LF without a CR"),
        (b"GET\n", 400, "an LF without a CR"),
        (b"\rG", 400, "a CR without an LF"),
        (b"\r\r", 400, "a CR without an LF"),
        (b"GET\r/", 400, "a CR without an LF"),
        (longest.as_bytes(), 501, "a method of more than 64 bytes"),
    ] {
        let shown = begin.escape_ascii();
        for whole in [false, true] {
            let mut client = connect();
            if !whole {
                client.drip(&begin[..begin.len() - 1]);
                assert_eq!(client.fault(), None, "{shown}");
                client.input(&begin[begin.len() - 1..]);
            } else {
                client.input(&[begin, &b"x".repeat(10_000)].concat());
            }
            let output = text(&mut client);
            assert_eq!(codes(&output), [status], "{shown}");
            assert!(client.fault().unwrap().what.contains(what), "{shown}: {output}");
        }
    }
}

#[test]
fn a_method_without_an_end_is_501_at_any_limit() {
    for request_line in [0, 1, 20, 64, 65, 66, 8192] {
        let limits = Limits { request_line, ..Limits::default() };
        let shared = Rc::new(ServerConfig::new(limits));
        for input in
            [&b"M".repeat(9000)[..], &[&b"M".repeat(9000)[..], b" / HTTP/1.1\r\n"].concat()]
        {
            for cut in [1, 7, 9000] {
                let mut client =
                    Harness::new(Server::new(Rc::clone(&shared), |_: &Peer| Mirror::default()));
                for part in input.chunks(cut) {
                    if client.fault().is_none() {
                        client.input(part);
                    }
                }
                let output = text(&mut client);
                assert_eq!(codes(&output), [501], "{request_line}, {cut}");
            }
        }
    }
}

#[test]
fn an_lf_without_a_cr_is_named_wherever_a_line_ends() {
    for input in [
        "\n",
        "\r\n\n",
        "GET\n",
        "GET \n",
        "GET /\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/2.0\n",
        "GET / HTTP/1.1\r\n\n",
        "GET / HTTP/1.1\r\nA\n",
        "GET / HTTP/1.1\r\nA:\n",
        "GET / HTTP/1.1\r\nA: b\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
    ] {
        refused(format!("{input}Host: a\r\n\r\n").as_bytes(), 400, "bad_request");
        let (output, _) = output_for(input.as_bytes());
        assert!(output.ends_with("\nThe client sent an LF without a CR.\n"), "{input:?}: {output}");
    }
}

#[test]
fn other_protocols_get_a_helpful_error() {
    // HTTP/2 begins with its preface, and nothing else may precede that.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let (output, client) = output_for(&[get("/a").as_bytes(), preface.as_bytes()].concat());
    assert_eq!((codes(&output), client.fault().unwrap().code), (vec![200, 505], "http2_preface"));
    let after_blank_line = format!("\r\n{preface}");
    for len in 0..after_blank_line.len() {
        let mut client = connect();
        let (part, rest) = after_blank_line.as_bytes().split_at(len);
        client.input(part);
        if client.fault().is_none() {
            client.input(rest);
        }
        let output = text(&mut client);
        assert_eq!(
            (codes(&output), client.fault().unwrap().code),
            (vec![505], "http2_preface"),
            "{len}"
        );
    }
    let config = Rc::new(ServerConfig::default().http2(false));
    let mut client = Harness::new(Server::new(config, |_: &Peer| Mirror::default()));
    client.input(preface.as_bytes());
    assert_eq!(
        (codes(&text(&mut client)), client.fault().unwrap().code),
        (vec![505], "http2_preface")
    );
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    refused(hello, 400, "tls_on_plain_port");
    let (output, client) = output_for(hello);
    for part in ["a TLS client hello", "use http:// instead", "turn TLS on with --tls"] {
        assert!(output.contains(part) && client.fault().unwrap().what.contains(part), "{output}");
    }
    // Every command has the flag, so the text names none of them.
    assert!(!output.contains("sockeye"), "{output}");
}

#[test]
fn field_lines() {
    for line in [
        "A : b",
        "A\t: b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A b: c",
        "A\0: b",
        "A: \0",
        "A: b\0c",
        "A: \x07",
        "A: \x1b[31m",
        "A: b\x7f",
        "A: b\rc",
        "A: b\nc: d",
        "A: b\r\r",
        "A: b\r\n c",
        "A: b\r\n\tc",
        "A: b\r\n : c",
        "é: a",
        "A(b): c",
        "\"A\": b",
        "A: b\r\n\0",
    ] {
        refused(&with_field(line), 400, "bad_request");
    }
    let after_line = b"GET / HTTP/1.1\r\n folded\r\nHost: a\r\n\r\n";
    refused(after_line, 400, "bad_request");
    for folded in [&after_line[..], &with_field("A: b\r\n c"), &with_field("A: b\r\n\tc")] {
        let (output, _) = output_for(folded);
        assert!(output.ends_with("\nThe client sent a field line that begins with a space.\n"));
    }
}

#[test]
fn hosts() {
    for fields in [
        "",
        "A: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: u@a\r\n",
        "Host: a/b\r\n",
        "Host: a:x\r\n",
        "Host: a:65536\r\n",
        "Host: [v.x]\r\n",
        "Host: http://a\r\n",
        "Host: [::1\r\n",
        "Host: a\\b\r\n",
        "Host: é\r\n",
    ] {
        let input = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        refused(input.as_bytes(), 400, "bad_request");
        if fields.starts_with("Host") {
            // HTTP/1.0 needs no Host field, but no invalid one is accepted.
            refused(input.replace("1.1", "1.0").as_bytes(), 400, "bad_request");
        }
    }
    refused(b"GET http://a/ HTTP/1.1\r\n\r\n", 400, "bad_request");
}

#[test]
fn framing() {
    for fields in [
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5_0",
        "Content-Length: 5, 5",
        "Content-Length: 5,5",
        "Content-Length:",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: five",
        "Content-Length: \u{666}",
        "Content-Length: 00",
        "Content-Length: 05",
        "Content-Length: 010",
        "Content-Length: 00000000000000000000000000000001",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\ncontent-length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked, gzip",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding:",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunk ed",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: gzip, chunked;a=b",
        "Transfer-Encoding: chunked;a=b, gzip",
        // Without a final chunked, the body has no end (RFC 9112, 6.3).
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip;a=b",
        "Transfer-Encoding: gzip, deflate",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: gzip",
        "Transfer-Encoding: gzip;a=\"b, chunked\"",
        "transfer-encoding: chunked-x",
        // Malformed parameters.
        "Transfer-Encoding: gzip;, chunked",
        "Transfer-Encoding: gzip;a, chunked",
        "Transfer-Encoding: gzip;=b, chunked",
        "Transfer-Encoding: gzip;a=, chunked",
        "Transfer-Encoding: gzip;a=b c, chunked",
        "Transfer-Encoding: gzip;a=\"b, chunked",
        "Transfer-Encoding: gzip;a=\"b\\\", chunked",
        "Transfer-Encoding: gzip;a=\"b\"c, chunked",
        "Transfer-Encoding: ;a=b, chunked",
    ] {
        refused(&with_field(fields), 400, "bad_request");
    }
    for fields in [
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: xchunked,chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nA: b\r\ntransfer-encoding: deflate,\tCHUNKED",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: foo;a=b, chunked",
        "Transfer-Encoding: foo \t; a = b ;c=\"d, \\\"e\" ,chunked",
        "Transfer-Encoding: foo;a=\"\"\r\nTransfer-Encoding: chunked",
    ] {
        refused(&with_field(fields), 501, "unknown_coding");
    }
    for fields in ["Content-Length: 0", "Content-Length: 10"] {
        assert_eq!(codes(&output_for(&with_field(fields)).0), [200], "{fields}");
    }
    refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request");
}

#[test]
fn limits_are_exact() {
    // The longest request line has 8 KiB with its CRLF.
    let line = |len: usize| {
        let target = "a".repeat(len - "GET / HTTP/1.1\r\n".len());
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    assert_eq!(codes(&output_for(line(8 * 1024).as_bytes()).0), [200]);
    refused(line(8 * 1024 + 1).as_bytes(), 414, "uri_too_long");

    let head = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
        format!("{start}{}\r\n\r\n", "a".repeat(len - start.len() - 4))
    };
    assert_eq!(codes(&output_for(head(32 * 1024).as_bytes()).0), [200]);
    refused(head(32 * 1024 + 1).as_bytes(), 431, "head_too_large");

    let fields =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert_eq!(codes(&output_for(fields(128).as_bytes()).0), [200]);
    refused(fields(129).as_bytes(), 431, "too_many_fields");
}

#[test]
fn endless_heads_are_refused_at_the_limit() {
    for (start, more, status) in [
        ("", "A", 501),
        ("", "(", 400),
        ("PUT", " ", 414),
        ("GET /", "a", 414),
        ("GET / HTTP/1.1\r\n", "a", 431),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: ", "b", 431),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "A: b\r\n", 431),
    ] {
        let (output, client) = output_for(format!("{start}{}", more.repeat(40_000)).as_bytes());
        assert_eq!(codes(&output), [status], "{start}");
        assert!(client.fault().is_some());
    }
}

/// Also if it is refused before its head is complete, and whichever part of the server refuses it.
#[test]
fn a_refused_head_request_gets_no_page() {
    for (input, seconds, code) in [
        ("HEAD / HTTP/1.1\r\nbad field\r\n", 0, 400),
        ("HEAD / HTTP/1.1\r\n\r\n", 0, 400),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 0, 417),
        ("HEAD / HTTP/1.2\r\n", 0, 505),
        ("HEAD ", 10, 408),
        ("\r\nHEAD / HTTP/1.1\r\nHost: a\r\n", 10, 408),
        ("HEAD /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", 30, 408),
        ("HEAD /read HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 0, 413),
        ("HEAD /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 0, 400),
        ("HEAD /panic HTTP/1.1\r\nHost: a\r\n\r\n", 0, 500),
    ] {
        for cut in [input.len(), 1] {
            let mut client = connect();
            for part in input.as_bytes().chunks(cut) {
                if client.fault().is_none() {
                    client.input(part);
                }
            }
            client.pass(std::time::Duration::from_secs(seconds));
            let output = text(&mut client);
            assert_eq!(codes(&output), [code], "{input}");
            assert!(output.ends_with("\r\n\r\n"), "{input}: {output}");
            assert!(output.contains("\r\nContent-Length: "), "{input}: {output}");
        }
    }
}

#[test]
fn a_bad_line_is_refused_before_the_head_is_complete() {
    let (output, _) = output_for(b"GET / HTTP/1.1\r\nbad field\r\n");
    assert_eq!(codes(&output), [400]);
}
