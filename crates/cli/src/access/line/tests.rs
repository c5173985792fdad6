//! Log lines of requests to a [`Server`], which the harness drives.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;
use sockeye::http_core::{
    Answer, Body, Fields, Handler, Limits, Log, Responder, Server, ServerConfig, Status,
};
use sockeye::proto::harness::Harness;
use sockeye::proto::{Peer, Reason};

use super::*;

/// A log in memory.
#[derive(Debug)]
struct MemoryLog {
    format: Format,
    lines: RefCell<Vec<u8>>,
}

impl Log for MemoryLog {
    fn on_request(
        &self,
        request: RequestHead<'_>,
        peer: &Peer,
        when: WallTime,
        notes: &mut Vec<u8>,
    ) {
        let mut date = Vec::new();
        write_date(when, self.format, &mut date);
        let source = RequestSource { client: peer.address, has_proxies: false, peer };
        begin(self.format, &date, source, request, notes);
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        let mut lines = self.lines.borrow_mut();
        let before = lines.len();
        end(self.format, notes, outcome, &mut lines);
        assert!(lines.len() - before <= notes.len() + MAX_END_LEN);
    }
}

/// Responds with five bytes, but never to `/never`.
struct Hello;

impl Handler for Hello {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        if request.path() == b"/never" {
            return responder.later();
        }
        responder.send(Status::OK, &Fields::new(), Body::Static(b"hello"))
    }
}

/// The log after the client has sent `input`.
fn log_of(format: Format, input: &[u8]) -> String {
    log_with(format, |client| client.input(input))
}

/// The log after the client has done `act`.
fn log_with(format: Format, act: impl FnOnce(&mut Harness)) -> String {
    log_over(None, format, act)
}

/// The same on a connection that has TLS.
fn log_over(tls: Option<TlsInfo>, format: Format, act: impl FnOnce(&mut Harness)) -> String {
    let log = Rc::new(MemoryLog { format, lines: RefCell::default() });
    let mut peer = Peer::new(SocketAddr::from(([127, 0, 0, 1], 9)).into(), 0);
    peer.tls = tls.map(Arc::new);
    let config = ServerConfig::new(Limits::default()).logging(log.clone());
    let mut client = Harness::with_peer(Server::new(Rc::new(config), |_: &Peer| Hello), peer);
    act(&mut client);
    client.output();
    client.end_for(&Reason::Reset);
    String::from_utf8(log.lines.take()).unwrap()
}

const REQUEST: &str = "GET /a?b HTTP/1.1\r\nHost: a.example:8000\r\n\
    User-Agent: Mozilla/5.0 (X11; \"Linux\") \\ \u{e9}\tx\r\nReferer: http://b/\r\nreferer: c\r\n\r\n";

#[test]
fn a_combined_line_adds_two_columns_to_that_of_apache() {
    assert_eq!(
        log_of(Format::Combined, REQUEST.as_bytes()),
        "127.0.0.1 - - [21/Oct/2015:07:28:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \"http://b/\" \
         \"Mozilla/5.0 (X11; \\x22Linux\\x22) \\x5c \\xc3\\xa9\\x09x\" 0.000000 complete\n"
    );
    assert_eq!(
        log_of(Format::Combined, b"HEAD / HTTP/1.0\r\n\r\n"),
        "127.0.0.1 - - [21/Oct/2015:07:28:00 +0000] \"HEAD / HTTP/1.0\" 200 0 \"-\" \"-\" \
         0.000000 complete\n"
    );
    assert_eq!(
        log_of(Format::Combined, b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"),
        "127.0.0.1 - - [21/Oct/2015:07:28:00 +0000] \"GET /never HTTP/1.1\" 000 0 \"-\" \"-\" \
         0.000000 client-aborted\n"
    );
    let line = log_of(Format::Combined, b"\x16\x03\x01\"\x9b\n");
    assert!(line.contains(" \"\\x16\\x03\\x01\\x22\\x9b\" 400 "), "{line}");
}

#[test]
fn a_json_line_always_has_the_same_members() {
    let line = log_of(Format::Json, REQUEST.as_bytes());
    assert!(line.contains("\\u00e9\\u0009x"), "{line}");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "time": "2015-10-21T07:28:00Z", "address": "127.0.0.1",
        "method": "GET", "target": "/a?b", "version": "HTTP/1.1", "host": "a.example:8000",
        "referer": "http://b/", "user_agent": "Mozilla/5.0 (X11; \"Linux\") \\ \u{e9}\tx",
        "status": 200, "bytes": 5, "seconds": 0.0, "ended": "complete",
    });
    assert_eq!(line, expected);

    let line = log_of(Format::Json, b"GET /never HTTP/1.0\r\n\r\n");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for member in ["host", "referer", "user_agent", "status"] {
        assert_eq!(line.get(member), Some(&serde_json::Value::Null), "{member}");
    }
    let line = log_of(Format::Json, b"GET /\xf0\x9f\x98\x80\xff HTTP/1.1\r\n\r\n");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    // The whole first line of a head that is not valid.
    assert_eq!(line["unread"], "GET /\u{1f600}\u{fffd} HTTP/1.1");
    assert_eq!((&line["target"], &line["status"]), (&serde_json::Value::Null, &400.into()));
}

/// A client's certificate, with the subject `O=Example`, `CN=ann`.
const CERTIFICATE: &str = "\
    3081fa3081ad02140dfcf476073e34a0b3b8224ea5f17cc3758e22c4300506032b657030203110300e060355\
    040a0c074578616d706c65310c300a06035504030c03616e6e301e170d3236313132363230353432355a170d\
    3336313132333230353432355a30203110300e060355040a0c074578616d706c65310c300a06035504030c03\
    616e6e302a300506032b6570032100272acd180f2dd99afebbc616cfba4c280710f16eca46155b81d9dd0067\
    412864300506032b6570034100e5a91f79e7b1fd46536964400ae458bd6b1fd67d250130f90260500f534d14\
    2939194994c8c817e960a2b23a6ce2563aaebab2ac5fa619bc10f4518d0092e202";

#[test]
fn a_json_line_says_what_tls_has_agreed_on() {
    let mut tls = TlsInfo::default();
    (tls.version, tls.cipher_suite) = ("TLSv1.3", "TLS_AES_128_GCM_SHA256");
    let line = |tls: &TlsInfo, format| {
        log_over(Some(tls.clone()), format, |client| client.input(REQUEST.as_bytes()))
    };
    let members = |tls: &TlsInfo| {
        let line: serde_json::Value = serde_json::from_str(&line(tls, Format::Json)).unwrap();
        assert_eq!(line["ended"], "complete");
        let line = line.as_object().unwrap().clone();
        serde_json::Value::from_iter(line.into_iter().filter(|(name, _)| name.starts_with("tls")))
    };
    let expected = serde_json::json!({
        "tls_version": "TLSv1.3", "tls_cipher": "TLS_AES_128_GCM_SHA256", "tls_resumed": false,
    });
    assert_eq!(members(&tls), expected);
    let byte = |at| u8::from_str_radix(&CERTIFICATE[at..at + 2], 16).unwrap();
    let certificate: Vec<u8> = (0..CERTIFICATE.len()).step_by(2).map(byte).collect();
    tls.client_certificates = vec![certificate.into()];
    (tls.resumed, tls.server_name) = (true, Some("a.example".into()));
    let expected = serde_json::json!({
        "tls_version": "TLSv1.3", "tls_cipher": "TLS_AES_128_GCM_SHA256", "tls_resumed": true,
        "tls_server_name": "a.example", "tls_client": "CN=ann,O=Example",
    });
    assert_eq!(members(&tls), expected);
    tls.client_certificates = vec![(*b"nonsense").into()];
    assert_eq!(members(&tls)["tls_client"], serde_json::Value::Null);
    // Formats for people, and for tools that read those of other servers, are the same with TLS.
    for format in [Format::Combined, Format::Terminal { color: false }] {
        assert_eq!(line(&tls, format), log_of(format, REQUEST.as_bytes()));
    }
}

#[test]
fn a_terminal_line_has_aligned_columns_and_says_how_a_request_ended() {
    const PLAIN: Format = Format::Terminal { color: false };
    let line = |input: &str| log_of(PLAIN, input.as_bytes());
    let pad = " ".repeat(44);
    assert_eq!(line(REQUEST), format!("GET  /a?b{pad}  200         5 B     <1 ms\n"));
    let pad = " ".repeat(47);
    assert_eq!(
        line("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("HEAD /{pad}  200           -     <1 ms\n")
    );
    let line_of_never = line("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        line_of_never.ends_with("  ---           -     <1 ms  client aborted\n"),
        "{line_of_never}"
    );
    // What a browser sends for https://, and what the server says about it.
    let refused = log_of(PLAIN, b"\x16\x03\x01 \x1b[2J\n");
    assert!(refused.starts_with("-    \\x16\\x03\\x01 \\x1b[2J "), "{refused}");
    assert!(refused.contains("  400  ") && refused.ends_with("  tls_on_plain_port\n"), "{refused}");

    // Of a line without a target, everything after the method.
    let refused = log_of(PLAIN, b"GET /\x1b[2J HTTP/1.1\r\n\r\n");
    assert!(refused.starts_with("GET  /\\x1b[2J HTTP/1.1 "), "{refused}");

    let colored = log_of(Format::Terminal { color: true }, REQUEST.as_bytes());
    assert!(colored.contains("  \x1b[32m200\x1b[0m  "), "{colored}");
}

#[test]
fn extension_methods_are_written_as_they_were_sent() {
    for method in ["PROPFIND", "get", "!#$%&'*+-.^_`|~"] {
        let input = format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n");
        let line = log_of(Format::Combined, input.as_bytes());
        assert!(line.contains(&format!(" \"{method} /a HTTP/1.1\" 200 5 ")), "{line}");
        let line = log_of(Format::Json, input.as_bytes());
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["method"], &line["target"]), (&method.into(), &"/a".into()));
    }
}

/// Without escaping, a client could end the value, and append others.
#[test]
fn quotes_and_backslashes_in_a_target_are_escaped() {
    let target = r#"/"200`{|}^<>?a="\""#;
    let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let line = log_of(Format::Combined, input.as_bytes());
    let shown = r#"] "GET /\x22200`{|}^<>?a=\x22\x5c\x22 HTTP/1.1" 200 5 "-" "-" "#;
    assert!(line.contains(shown), "{line}");
    let line = log_of(Format::Json, input.as_bytes());
    assert!(line.contains(r#""target":"/\"200`{|}^<>?a=\"\\\"""#), "{line}");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["target"], &line["status"]), (&target.into(), &200.into()));
}

#[test]
fn a_malformed_request_is_logged_with_its_complete_parts_and_the_reason() {
    let after = |seconds: u64, input: &[u8]| {
        let lines = [Format::Combined, Format::Json].map(|format| {
            let wait = Duration::from_secs(seconds);
            log_with(format, |client| {
                client.input(input);
                client.pass(wait);
            })
        });
        let [combined, json] = lines;
        (combined, serde_json::from_str::<serde_json::Value>(&json).unwrap())
    };
    let slow = b"GET /slow HTTP/1.1\r\nHost: a.example\r\nX-Never: en";
    let (combined, json) = after(11, slow);
    assert!(combined.contains("] \"GET /slow HTTP/1.1\" 408 "), "{combined}");
    assert!(combined.ends_with(" timed-out\n"), "{combined}");
    let expected = serde_json::json!({
        "time": "2015-10-21T07:28:10Z", "address": "127.0.0.1",
        "method": "GET", "target": "/slow", "version": "HTTP/1.1", "host": "a.example",
        "unread": "GET /slow HTTP/1.1", "referer": null, "user_agent": null,
        "status": 408, "bytes": json["bytes"], "seconds": json["seconds"], "ended": "timed-out",
        "reason": "head_timeout",
    });
    assert_eq!(json, expected);
    assert!(json["bytes"].as_u64() > Some(0));

    // A part is logged if it is complete and valid.
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000));
    type Row<'a> = (&'a [u8], u64, u16, [Option<&'a str>; 4]);
    let table: [Row<'_>; 12] = [
        (b"GE", 11, 408, [None; 4]),
        (b"GET /sl", 11, 408, [Some("GET"), None, None, None]),
        (b"GET /slow HTTP", 11, 408, [Some("GET"), Some("/slow"), None, None]),
        (b"GET / HTTP/3.0\r\n\r\n", 0, 505, [Some("GET"), Some("/"), Some("HTTP/3.0"), None]),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            0,
            400,
            [Some("GET"), Some("/"), Some("HTTP/1.1"), Some("a")],
        ),
        (b"GET /a b HTTP/1.1\r\n\r\n", 0, 400, [Some("GET"), None, None, None]),
        (b"GET /a|b?c\\d HTTP", 11, 408, [Some("GET"), Some("/a|b?c\\d"), None, None]),
        (b"GET /a\\b HTTP", 11, 408, [Some("GET"), None, None, None]),
        (b"GET /a#b HTTP", 11, 408, [Some("GET"), None, None, None]),
        (b"GET /?a#b HTTP", 11, 408, [Some("GET"), None, None, None]),
        (b"\x16\x03\x01 \x80 HTTP/1.1\r\n\r\n", 0, 400, [None, None, Some("HTTP/1.1"), None]),
        (long.as_bytes(), 0, 414, [Some("GET"), Some("/aaaa"), Some("HTTP/1.1"), None]),
    ];
    for (input, seconds, status, [method, target, version, host]) in table {
        let (combined, json) = after(seconds, input);
        assert!(combined.contains(&format!("\" {status} ")), "{combined}");
        assert_eq!(json["status"], status);
        assert!(json["reason"].is_string(), "{json}");
        for (member, value) in [("method", method), ("version", version), ("host", host)] {
            assert_eq!(json[member].as_str(), value, "{member} of {json}");
        }
        match target {
            Some(target) => assert!(json["target"].as_str().unwrap().starts_with(target)),
            None => assert_eq!(json["target"], serde_json::Value::Null),
        }
    }
    // Parsed, and then refused.
    let (_, json) = after(0, b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!((&json["target"], &json["reason"]), (&"/a".into(), &"bad_request".into()));
    // A successful request has no reason.
    let (_, json) = after(0, REQUEST.as_bytes());
    assert_eq!(json.get("reason"), None);
}

#[test]
fn long_values_are_truncated_and_end_with_dots() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {}\r\n\r\n", "a".repeat(20_000));
    for format in [Format::Combined, Format::Json] {
        let line = log_of(format, long.as_bytes());
        assert!(line.len() < 1500 && line.contains("aaa...\""), "{}", line.len());
        // Also a request that is refused for its length.
        let line = log_of(format, format!("GET /{}", "a".repeat(9000)).as_bytes());
        assert!(line.len() < 1500 && line.contains("aaa...\""), "{line}");
    }
}

#[test]
fn addresses_and_durations_have_the_usual_form() {
    for (text, shown) in [
        ("192.0.2.1:8", "192.0.2.1"),
        ("255.0.10.100:8", "255.0.10.100"),
        ("[2001:db8::1]:8", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:8", "192.0.2.1"),
    ] {
        let mut line = Vec::new();
        write_address(Address::Ip(text.parse().unwrap()), &mut line);
        assert_eq!(line, shown.as_bytes());
    }
    let mut line = Vec::new();
    write_address(Address::Unix, &mut line);
    assert_eq!(line, b"unix");
    for (nanos, shown) in [(0, "0.000000"), (1_234_567_890, "1.234567"), (50_000, "0.000050")] {
        let mut line = Vec::new();
        write_seconds(Duration::from_nanos(nanos), &mut line);
        assert_eq!(line, shown.as_bytes());
    }
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        ".{0,80}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn every_line_is_one_line_of_printable_ascii(
        target in anything(),
        agent in anything(),
        whole in any::<bool>(),
    ) {
        let mut input = [b"GET /", &target[..], b" HTTP/1.1\r\nHost: a\r\nUser-Agent: ", &agent].concat();
        if whole {
            input = target;
        }
        input.extend_from_slice(b"\r\n\r\n");
        for format in [Format::Combined, Format::Json, Format::Terminal { color: false }] {
            let log = log_of(format, &input);
            for line in log.split_terminator('\n') {
                prop_assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
                if format == Format::Json {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
                } else if format == Format::Combined {
                    // Only the three quoted values have quotes.
                    prop_assert_eq!(line.matches('"').count(), 6, "{}", line);
                }
            }
            prop_assert!(log.is_empty() || log.ends_with('\n'));
        }
    }
}
