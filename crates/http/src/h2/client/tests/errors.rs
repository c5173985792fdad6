//! Input that is not valid.

use super::*;
use crate::h2::client::limits::{MAX_CONTINUATIONS, MAX_HEAD, MAX_INTERIM, MAX_OTHER_FRAMES};

/// The error for `input` after the server's settings and three requests, of which the second is
/// HEAD and the third has its head.
fn error(input: &[u8]) -> Error {
    let mut client = Client::new();
    for number in [GET, HEAD, GET] {
        client.request(number, None);
    }
    client.read_all(&[settings(&[]), headers(NONE, 5, 200, &[("content-length", "3")])].concat());
    let mut input = input.to_vec();
    // More input doesn't make it valid.
    input.extend(data(NONE, 1, b"?"));
    let error = client.read(&input).expect_err(&input.escape_ascii().to_string());
    let code = error.code().to_be_bytes();
    let goaway = frame(kind::GOAWAY, NONE, 0, &[&[0; 4][..], &code].concat());
    assert!(client.sent().ends_with(&goaway), "{error}");
    error
}

#[test]
fn each_error_has_its_code_and_text() {
    let headers = |fields: &[(&str, &str)]| headers(NONE, 1, 200, fields);
    let raw = |block: &[u8]| frame(kind::HEADERS, flags::END_HEADERS, 1, block);
    let literal = |name: &str, value: &str| {
        let mut block = vec![0x88, 0, name.len() as u8];
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
        raw(&block)
    };
    let long = "x".repeat(MAX_HEAD / 2);
    let table: Vec<(Vec<u8>, u32, &str)> = vec![
        (frame(kind::PING, NONE, 0, &[0; 16_385]), 6, "longer than allowed"),
        (frame(kind::PING, NONE, 0, b"1234567"), 6, "PING frame of a wrong length"),
        (frame(kind::PING, NONE, 1, b"12345678"), 1, "about the connection on a stream"),
        (frame(kind::SETTINGS, NONE, 0, b"12345"), 6, "SETTINGS frame of a wrong length"),
        (frame(kind::SETTINGS, flags::ACK, 0, b"123456"), 6, "with a payload"),
        (settings(&[(settings::ENABLE_PUSH, 1)]), 1, "ENABLE_PUSH other than 0"),
        (settings(&[(settings::INITIAL_WINDOW_SIZE, 1 << 31)]), 3, "above 2^31-1"),
        (settings(&[(settings::MAX_FRAME_SIZE, 16_383)]), 1, "MAX_FRAME_SIZE"),
        (settings(&[(settings::NO_RFC7540_PRIORITIES, 2)]), 1, "PRIORITIES other than 0 and 1"),
        (frame(kind::PRIORITY, NONE, 0, &[0; 5]), 1, "PRIORITY frame without a stream"),
        (frame(kind::PRIORITY, NONE, 1, &[0; 4]), 6, "PRIORITY frame of a wrong length"),
        (frame(kind::PRIORITY_UPDATE, NONE, 0, b"\0\0\0\x01u=1"), 1, "PRIORITY_UPDATE"),
        (frame(kind::GOAWAY, NONE, 0, b"1234567"), 6, "GOAWAY frame that is too short"),
        (frame(kind::GOAWAY, NONE, 1, b"12345678"), 1, "about the connection on a stream"),
        (frame(kind::WINDOW_UPDATE, NONE, 0, b"123"), 6, "WINDOW_UPDATE frame of a wrong"),
        (frame(kind::WINDOW_UPDATE, NONE, 1, &[0; 4]), 1, "by 0"),
        (frame(kind::WINDOW_UPDATE, NONE, 0, b"\x7f\xff\xff\xff"), 3, "above 2^31-1"),
        (frame(kind::WINDOW_UPDATE, NONE, 1, b"\x7f\xff\xff\xff"), 3, "above 2^31-1"),
        (frame(kind::WINDOW_UPDATE, NONE, 7, b"\0\0\0\x01"), 1, "that has not begun"),
        (frame(kind::RST_STREAM, NONE, 1, b"123"), 6, "RST_STREAM frame of a wrong length"),
        (frame(kind::RST_STREAM, NONE, 0, &[0; 4]), 1, "that has not begun"),
        (frame(kind::RST_STREAM, NONE, 2, &[0; 4]), 1, "that has not begun"),
        (frame(kind::PUSH_PROMISE, NONE, 1, &[0; 4]), 1, "PUSH_PROMISE"),
        (frame(kind::CONTINUATION, NONE, 1, b""), 1, "CONTINUATION frame without HEADERS"),
        (frame(kind::HEADERS, NONE, 1, b""), 1, "within a header block"),
        (
            [frame(kind::HEADERS, NONE, 1, b""), frame(kind::CONTINUATION, NONE, 3, b"")].concat(),
            1,
            "CONTINUATION frame without HEADERS",
        ),
        (
            [
                frame(kind::HEADERS, NONE, 1, b""),
                frame(kind::CONTINUATION, NONE, 1, b"").repeat(MAX_CONTINUATIONS.into()),
                frame(kind::CONTINUATION, NONE, 1, b""),
            ]
            .concat(),
            11,
            "too many CONTINUATION frames",
        ),
        (
            [
                frame(kind::HEADERS, NONE, 1, b""),
                frame(kind::CONTINUATION, NONE, 1, &[0; 16_384]).repeat(5),
            ]
            .concat(),
            11,
            "more than 64 KiB",
        ),
        (frame(kind::HEADERS, flags::PADDED, 1, b""), 6, "HEADERS frame that is too short"),
        (frame(kind::HEADERS, flags::PADDED, 1, b"\x01"), 1, "padding that is longer"),
        (frame(kind::HEADERS, flags::PADDED | 0x20, 1, b"\x0112345"), 1, "padding that is longer"),
        (frame(kind::HEADERS, flags::PRIORITY, 1, b"1234"), 6, "HEADERS frame that is too short"),
        (frame(kind::DATA, flags::PADDED, 5, b"\x02x"), 1, "padding that is longer"),
        (frame(kind::DATA, flags::PADDED, 5, b""), 6, "padded frame without"),
        (data(NONE, 1, b""), 1, "before a response's head"),
        (data(NONE, 0, b""), 1, "without a request"),
        (data(NONE, 7, b""), 1, "without a request"),
        (headers_of(7), 1, "without a request"),
        ([data(END, 5, b"abc"), data(NONE, 5, b"")].concat(), 5, "that has ended"),
        ([data(NONE, 5, b"abc"), headers_of(5)].concat(), 1, ":status in trailers"),
        (raw_trailers(NONE), 1, "don't end their stream"),
        (raw_trailers(END), 1, "another length"),
        (data(NONE, 5, b"abcd"), 1, "another length"),
        (data(END, 5, b"ab"), 1, "another length"),
        ([head_of_head(), data(NONE, 3, b"x")].concat(), 1, "another length"),
        (
            super::headers(END, 1, 200, &[("content-length", "1")]),
            1,
            "another length than its Content-Length",
        ),
        (raw(b""), 1, "without :status"),
        (raw(b"\xff"), 9, "cannot be decoded"),
        (raw(b"\x88\x88"), 1, "not the first field"),
        (raw(b"\x82"), 1, "unknown pseudo-header"),
        (literal(":status", "200"), 1, "not the first field"),
        (raw(b"\x08\x032x0"), 1, "not a number from 100 to 599"),
        (raw(b"\x08\x03600"), 1, "not a number from 100 to 599"),
        (super::headers(NONE, 1, 101, &[]), 1, "sent a 101, which HTTP/2 doesn't have"),
        (super::headers(END, 1, 103, &[]), 1, "ended a stream with an interim"),
        (super::headers(NONE, 1, 103, &[]).repeat(MAX_INTERIM as usize + 1), 11, "100 interim"),
        (headers(&[("content-length", "x")]), 1, "not a number"),
        (headers(&[("content-length", "1"), ("content-length", "2")]), 1, "two lengths"),
        (literal("content-length", "-1"), 1, "not a number"),
        (headers(&[("transfer-encoding", "chunked")]), 1, "HTTP/1.1 connection"),
        (literal("connection", "close"), 1, "HTTP/1.1 connection"),
        (literal("X-Y", "z"), 1, "invalid name"),
        (literal("", "z"), 1, "invalid name"),
        (literal("x-y", "a\nb"), 1, "invalid character"),
        (literal("x-y", " a"), 1, "invalid character"),
        (literal("x-y", "a\t"), 1, "invalid character"),
        (headers(&[("a", &long), ("b", &long)]), 6, "longer than allowed"),
        (frame(kind::PING, NONE, 0, b"12345678").repeat(10_001), 11, "10,000 frames"),
        (data(NONE, 5, b"").repeat(MAX_OTHER_FRAMES as usize + 1), 11, "10,000 frames"),
    ];
    for (input, code, text) in table {
        let error = error(&input);
        let shown = input[..input.len().min(60)].escape_ascii();
        assert!(error.to_string().contains(text), "{error}: {shown}");
        assert_eq!(error.code(), code, "{error}");
    }
}

fn headers_of(id: u32) -> Vec<u8> {
    headers(END, id, 200, &[])
}

fn head_of_head() -> Vec<u8> {
    headers(NONE, 3, 200, &[("content-length", "3")])
}

fn raw_trailers(end: u8) -> Vec<u8> {
    headers(end, 5, 0, &[("a", "b")])
}

#[test]
fn a_head_is_limited_by_its_decoded_size_too() {
    let mut client = Client::new();
    client.request(GET, None);
    let mut block = block(200, &[]);
    encode::field_indexed(b"x", &[b'y'; 4000], &mut block);
    (0..17).for_each(|_| encode::indexed(62, &mut block));
    let head = frame(kind::HEADERS, flags::END_HEADERS, 1, &block);
    let error = client.read(&[settings(&[]), head].concat()).unwrap_err();
    assert!(error.to_string().contains("more than 64 KiB"), "{error}");
}

#[test]
fn another_protocol_is_told_by_its_first_bytes() {
    for (input, text) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "answered in HTTP/1"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "something else than the settings of HTTP/2"),
        (b"\0\0\0\x04\x01\0\0\0\0", "something else than the settings of HTTP/2"),
        (b"\0\0\x08\x06\0\0\0\0\x0012345678", "something else than the settings of HTTP/2"),
    ] {
        let error = Client::new().read(input).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
