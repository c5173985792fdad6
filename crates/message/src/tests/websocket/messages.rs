//! The forms of messages over WebSocket.

use super::*;
use crate::JSON;

#[test]
fn text_is_json_and_binary_is_a_frame() {
    let mut socket = Socket::new(Limits::default(), Reference::default());
    socket.text(SEARCH);
    assert_eq!(socket.received(), [text(FOUND)]);
    socket.text(&format!("{{\"id\": 7}}\n{SEARCH}"));
    assert_eq!(socket.received(), [text(&format!("{{\"id\": 7}}\n{FOUND}"))]);

    let found = Message::json_text(FOUND.into());
    for (frame, id, content) in [
        (request(SEARCH), None, FOUND),
        (request_with_id(7, SEARCH), Some(7), FOUND),
        // An id alone is enough, since the WebSocket stays open anyway.
        (request_with(", \"id\": 7", SEARCH), Some(7), FOUND),
    ] {
        socket.binary(&frame);
        let id = id.map(Id::number);
        let is_open = id.is_some();
        assert_eq!(socket.received(), [Received::Binary(id, found.clone(), is_open)], "{content}");
    }
    let other = Message::binary("a/b", "hello world");
    let head = frame::head(&Header::of(&other)).unwrap();
    socket.binary(&[&head, &other.content[..]].concat());
    let expected = Message::binary(
        "binary/custom-server-binary-type",
        "First 10 bytes of request: hello worl",
    );
    assert_eq!(socket.received(), [Received::Binary(None, expected, false)]);
    assert!(socket.0.end().is_none() && socket.0.fault().is_none());
}

#[test]
fn a_header_is_a_first_line_that_is_an_object_in_front_of_more() {
    let invalid = "Error: invalid action 'None'.";
    let no_object = "Error: the content must be an object";
    let not_json = "Error: the content is not JSON";
    for (sent, begins) in [
        // Headers.
        ("{}\n{}", format!("{{\"result\": \"{invalid}\"")),
        ("{\"id\":1}\n{}", format!("{{\"id\": 1}}\n{{\"result\": \"{invalid}\"")),
        (
            " {\"id\": \"\\u00e9\"} \r\n\r\n[]",
            format!("{{\"id\": \"\\u00e9\"}}\n{{\"result\": \"{no_object}"),
        ),
        ("{\"x\": 1, \"content-length\": 9}\n1", format!("{{\"result\": \"{no_object}")),
        (
            "{\"content-type\": \"text/json\", \"content-encoding\": \"UTF8\"}\n[",
            format!("{{\"result\": \"{not_json}"),
        ),
        ("{\"id\": 1}\n{\"id\": 2}\n{}", format!("{{\"id\": 1}}\n{{\"result\": \"{not_json}")),
        // Content.
        ("{\"id\": 1}\n \n", format!("{{\"result\": \"{invalid}\"")),
        ("{\n\"action\": null}", format!("{{\"result\": \"{invalid}\"")),
        (
            "{\"action\": {}\n}",
            format!("{{\"result\": \"{no_object}")
                .replace(no_object, "Error: the \\\"action\\\" must be"),
        ),
        ("[1,\n2]", format!("{{\"result\": \"{no_object}")),
        ("{\"id\": 1,}\n{}", format!("{{\"result\": \"{not_json}")),
        ("{} {}\n{}", format!("{{\"result\": \"{not_json}")),
        ("", format!("{{\"result\": \"{not_json}")),
        ("\n", format!("{{\"result\": \"{not_json}")),
    ] {
        let response = respond(sent);
        assert!(response.starts_with(&begins), "{sent:?}: {response}");
    }
    // The limit on headers applies to the line.
    let limits = Limits { header: 20, ..Limits::default() };
    for (len, is_header) in [(20, true), (21, false)] {
        let mut socket = Socket::new(limits.clone(), Slow::default());
        let line = "{\"id\": 1}";
        socket.text(&format!("{line}{}\n\"now\"", " ".repeat(len - line.len())));
        let expected = "{\"id\": 1}\n{\"result\": \"now\"}";
        assert_eq!(socket.received_text() == expected, is_header, "{len}");
    }
}

proptest::proptest! {
    #[test]
    fn one_json_value_is_content_however_it_is_laid_out(
        layout in "[ \n]{4}",
        value in "\\{\"id\":(1|\\{\\}|\"x\"),\"action\":(null|\"search\")\\}",
    ) {
        let mut spaces = layout.chars();
        let parts = value.split_inclusive([',', '{']).flat_map(|part| {
            [part.to_owned(), spaces.next().map(String::from).unwrap_or_default()]
        });
        let sent: String = parts.chain(["\n".to_owned()]).collect();
        let (header, content) = Header::read_text(&sent, &Limits::default()).unwrap();
        proptest::prop_assert_eq!((header.id, content), (None, &*sent));
    }
}

#[test]
fn an_invalid_message_is_answered_and_the_websocket_stays_open() {
    let mut socket = Socket::new(Limits { content: 100, ..Limits::default() }, Slow::default());
    for (sent, code) in [
        ("{\"id\": {}}\n1", "bad_header"),
        ("{\"id\": 1, \"id\": 2}\n1", "bad_header"),
        ("{\"deadline-ms\": -1}\n1", "bad_header"),
        ("{\"content-type\": \"text/plain\"}\n1", "bad_header"),
        ("{\"content-encoding\": \"utf-16\"}\n1", "bad_header"),
        (&format!("\"{}\"", "x".repeat(99)), "too_large"),
        ("not JSON", "no"),
    ] {
        socket.text(sent);
        assert_eq!(socket.error_code(), code, "{sent}");
    }
    socket.text(&format!("{{\"id\": 5}}\n\"{}\"", "x".repeat(99)));
    let response = socket.received_text();
    let error = response.strip_prefix("{\"id\": 5}\n").expect("the id");
    assert_eq!(code(error), "too_large");

    let frame = request("\"now\"");
    for (sent, expected) in [
        (&b""[..], "incomplete"),
        (&b"\0"[..], "incomplete"),
        (&frame[..50], "incomplete"),
        (&frame[..frame.len() - 1], "incomplete"),
        (&[&frame[..], b" "].concat(), "bad_header"),
        (b"\0\0", "bad_header"),
        (b"POST / HTTP/1.1", "bad_header"),
        (&request(&"x".repeat(101)), "too_large"),
        (
            &framed(
                "{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
                   \"content-encoding\": \"x\", \"content-length\": 1}",
                b"1",
            ),
            "unsupported_encoding",
        ),
    ] {
        socket.binary(sent);
        match &socket.received()[..] {
            [Received::Binary(None, message, false)] => {
                assert_eq!(code(&message.to_text().unwrap()), expected, "{}", sent.escape_ascii());
            }
            other => panic!("{other:?}"),
        }
    }
    socket.text("\"now\"");
    assert_eq!(socket.received_text(), "{\"result\": \"now\"}");
    assert!(socket.0.fault().is_none() && socket.0.end().is_none());
}

#[test]
fn a_message_that_fits_no_content_closes_the_websocket() {
    let limits = Limits { content: 100, header: 1000, ..Limits::default() };
    for (len, is_closed) in [(1102, false), (1103, true)] {
        let mut socket = Socket::new(limits.clone(), Slow::default());
        socket.text(&"x".repeat(len));
        match &socket.received()[..] {
            [Received::Close(code)] => assert_eq!((*code, is_closed), (1009, true)),
            [Received::Text(text)] => assert_eq!((&*code(text), is_closed), ("too_large", false)),
            other => panic!("{other:?}"),
        }
    }
    // The default has room for a header and the largest content.
    let limits = Limits::default();
    assert_eq!(limits.websocket().message as u64, limits.content + 65_535 + 2);
}

/// Answers with a message that is not JSON in UTF-8, according to the request.
struct Other;

const OTHERS: [(&str, &str, &[u8]); 4] = [
    ("text/plain", "utf-8", b"hello"),
    (JSON, "utf-16-le", b"1\0"),
    (JSON, "utf-8", b"\"\xff\""),
    (JSON, "utf-8-sig", b"\xef\xbb\xbf1"),
];

impl Handler for Other {
    fn on_message(&mut self, message: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        let number = message.to_json().unwrap().as_u64().unwrap() as usize;
        let (content_type, encoding, content) = OTHERS[number];
        responder.send(Message {
            content_type: content_type.into(),
            content_encoding: encoding.into(),
            content: content.into(),
        })
    }
}

#[test]
fn a_response_that_is_not_json_in_utf8_is_binary() {
    let mut socket = Socket::new(Limits::default(), Other);
    for (number, (content_type, encoding, content)) in OTHERS.into_iter().enumerate() {
        socket.text(&format!("{{\"id\": 1}}\n{number}"));
        let message = Message {
            content_type: content_type.into(),
            content_encoding: encoding.into(),
            content: content.into(),
        };
        assert_eq!(socket.received(), [Received::Binary(Some(Id::number(1)), message, true)]);
    }
}

#[test]
fn large_json_is_parsed_on_another_thread_and_charged() {
    let budget = sockeye_proto::Budget::new("bytes", 1 << 20);
    let limits = Limits { collected: std::sync::Arc::clone(&budget), ..Limits::default() };
    let mut socket = Socket::new(limits.clone(), Reference::default());
    let long = format!("\"{}\"", "x".repeat(400 << 10));
    socket.text(&format!("{{\"id\": 1}}\n{long}"));
    assert!(budget.used() > 300 << 10);
    // One client on the same machine has half of the budget.
    let mut second = Socket::new(limits, Reference::default());
    second.text(&long);
    assert_eq!(second.error_code(), "busy");
    assert!(socket.received().is_empty());
    assert_eq!(socket.0.run_jobs(), 1);
    assert!(
        matches!(&socket.received()[..], [Received::Text(text)] if text.contains("bad_request"))
    );
    assert_eq!(budget.used(), 0);

    let limits = Limits { json_nodes: 10, ..Limits::default() };
    let mut socket = Socket::new(limits, Reference::default());
    socket.text("[1,2,3,4,5,6,7,8,9,10]");
    assert_eq!(socket.error_code(), "too_complex");
}

/// Takes content piece by piece, and answers with its length.
#[derive(Default)]
struct Streams(usize);

impl Handler for Streams {
    fn content_mode(&mut self, _: &Header) -> ContentMode {
        ContentMode::Stream
    }

    fn on_message(&mut self, _: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        responder.fail("the content is streamed")
    }

    fn on_content(&mut self, piece: &[u8], _: &mut Responder<'_, '_>) -> Flow {
        self.0 += piece.len();
        Flow::More
    }

    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.send(result(&std::mem::take(&mut self.0).to_string()))
    }
}

#[test]
fn a_handler_that_streams_gets_content_in_one_piece() {
    let mut socket = Socket::new(Limits::default(), Streams::default());
    socket.text("\"hello\"");
    socket.binary(&request("123"));
    let expected = [text("{\"result\": \"7\"}"), Received::Binary(None, result("3"), false)];
    assert_eq!(socket.received(), expected);
}
