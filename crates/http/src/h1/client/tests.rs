//! Sequences of responses: complete, cut into parts, and invalid.

use proptest::prelude::*;

use super::head::LIMITS;
use super::*;

/// The responses in `input`, which is cut at `cuts`: each as `status content`, with a `!` at its
/// end if it is the last one of the connection.
fn read_all(
    input: &[u8],
    request: RequestKind,
    known: Option<&HeadTemplate>,
    cuts: &[usize],
) -> Result<Vec<String>, BadResponse> {
    let mut reader = ResponseReader::default();
    let (mut read, mut used) = (Vec::new(), 0);
    let mut response = String::new();
    for end in cuts.iter().copied().chain([input.len()]) {
        loop {
            let (count, piece) = reader.read(&input[used..end], request, known)?;
            used += count;
            match piece {
                Piece::NeedMore => break,
                Piece::Head(head) => response = format!("{} ", head.status),
                Piece::Content(bytes) => response.push_str(std::str::from_utf8(bytes).unwrap()),
                Piece::End { persistent } => {
                    read.push(std::mem::take(&mut response) + if persistent { "" } else { "!" });
                }
            }
        }
    }
    if reader.end_of_input()? {
        read.push(response + "!");
    }
    Ok(read)
}

fn whole(input: &str, request: RequestKind) -> Result<Vec<String>, BadResponse> {
    read_all(input.as_bytes(), request, None, &[])
}

const STREAM: &str = "HTTP/1.1 100 Continue\r\n\r\n\
    HTTP/1.1 200 OK\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 5\r\n\r\nHello\
    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n\
    HTTP/1.1 204 No Content\r\n\r\n\
    HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n\
    HTTP/1.1 404 \r\ncontent-length: 0\r\n\r\n\
    HTTP/1.1 200\r\nConnection: close\r\n\r\nto the end";
const READ: [&str; 6] = ["200 Hello", "200 abcde", "204 ", "304 ", "404 ", "200 to the end!"];

#[test]
fn responses_end_where_their_heads_say() {
    assert_eq!(whole(STREAM, RequestKind::Other).unwrap(), READ);
}

#[test]
fn a_response_to_head_has_no_content() {
    let input = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\
                 HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    assert_eq!(whole(input, RequestKind::Head).unwrap(), ["200 ", "200 ", "200 !"]);
}

/// Such a response to GET would have content up to the end of the connection.
#[test]
fn the_connection_persists_after_a_response_to_head_without_a_length() {
    let input = "HTTP/1.1 200 OK\r\n\r\n\
                 HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n\
                 HTTP/1.0 200 OK\r\n\r\n";
    assert_eq!(whole(input, RequestKind::Head).unwrap(), ["200 ", "200 ", "200 !"]);
    // The same if the head isn't parsed.
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    let known = HeadTemplate::of(&head::parse(head).unwrap());
    let read = read_all(&head.repeat(2), RequestKind::Head, Some(&known), &[]);
    assert_eq!(read.unwrap(), ["200 ", "200 "]);
}

#[test]
fn the_connection_persists_if_both_sides_agree() {
    for (head, persistent) in [
        ("HTTP/1.1 204 x\r\n\r\n", true),
        ("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.1 204 x\r\nConnection: x, Close\r\n\r\n", false),
        ("HTTP/1.0 204 x\r\n\r\n", false),
        ("HTTP/1.0 204 x\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let end = if persistent { "204 " } else { "204 !" };
        assert_eq!(whole(head, RequestKind::Other).unwrap(), [end], "{head:?}");
    }
}

#[test]
fn a_bare_lf_ends_a_line_of_a_head() {
    for input in [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nHello",
        "HTTP/1.1 200 OK\nContent-Length: 5\r\n\nHello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nHello",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 200\nDate: then\nContent-Length: 5\n\nHello",
    ] {
        let cuts: Vec<usize> = (0..input.len()).collect();
        assert_eq!(whole(input, RequestKind::Other).unwrap(), ["200 Hello"], "{input:?}");
        let dripped = read_all(input.as_bytes(), RequestKind::Other, None, &cuts);
        assert_eq!(dripped.unwrap(), ["200 Hello"], "{input:?}");
    }
    // A Date field that ends in one may not hide the field after it.
    let known = template(b"HTTP/1.1 200 OK\r\nDate: then\nContent-Length: 5\r\n\r\n");
    assert!(known.find(b"HTTP/1.1 200 OK\r\nDate: then Content-Length: 5\r\n\r\n").is_none());
    assert!(known.find(b"HTTP/1.1 200 OK\r\nDate: when\nContent-Length: 5\r\n\r\n").is_some());
}

#[test]
fn a_folded_field_is_one_field() {
    for (fields, read) in [
        ("Content-Length:\r\n 5\r\n\r\nHello", "200 Hello"),
        ("Content-Length: \r\n\t\r\n  5 \r\n\r\nHello", "200 Hello"),
        ("X: a\r\n b\r\n Content-Length: 9\r\nContent-Length: 5\r\n\r\nHello", "200 Hello"),
        ("Content-Length: 5\nConnection: x,\n close\n\nHello", "200 Hello!"),
        ("X: y\r\n \r\nContent-Length: 5\r\n\r\nHello", "200 Hello"),
    ] {
        let input = format!("HTTP/1.1 200 OK\r\n{fields}");
        assert_eq!(whole(&input, RequestKind::Other).unwrap(), [read], "{input:?}");
    }
    for (fields, says) in [
        ("Content-Length: 1\r\n 2\r\n\r\n", "not a number"),
        ("Content\r\n -Length: 2\r\n\r\n", "sent"),
        (" \r\n Content-Length: 5\r\n\r\n", "sent"),
    ] {
        let error = whole(&format!("HTTP/1.1 200 OK\r\n{fields}"), RequestKind::Other).unwrap_err();
        assert!(error.to_string().contains(says), "{fields:?}: {error}");
    }
}

#[test]
fn a_folded_trailer_is_one_field() {
    for trailers in ["A: b\r\n c\r\n", "A:\r\n\tb\r\n \r\nC: d\r\n", "A: b\r\n  \r\n c\r\n"] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let input = format!("{head}2\r\nok\r\n0\r\n{trailers}\r\n{head}0\r\n\r\n");
        assert_eq!(whole(&input, RequestKind::Other).unwrap(), ["200 ok", "200 "], "{trailers:?}");
        let cuts: Vec<usize> = (0..input.len()).collect();
        let dripped = read_all(input.as_bytes(), RequestKind::Other, None, &cuts);
        assert_eq!(dripped.unwrap(), ["200 ok", "200 "], "{trailers:?}");
    }
    let long = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: {}",
        "b\r\n ".repeat(LIMITS.head / 4)
    );
    let error = whole(&long, RequestKind::Other).unwrap_err();
    assert!(error.to_string().contains("trailers of more than 64 KiB"), "{error}");
}

#[test]
fn interim_responses_are_counted_and_bounded() {
    let interim = |count| {
        let stream = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count);
        stream + "HTTP/1.1 204 No Content\r\n\r\n"
    };
    for known in [None, Some(template(b"HTTP/1.1 204 No Content\r\n\r\n"))] {
        let (mut reader, input) = (ResponseReader::default(), interim(100) + &interim(1));
        let mut input = input.as_bytes();
        for count in [100, 1] {
            let (used, piece) = reader.read(input, RequestKind::Other, known.as_ref()).unwrap();
            assert!(matches!(piece, Piece::Head(head) if head.interim == count), "{piece:?}");
            input = &input[used..];
            reader.read(input, RequestKind::Other, None).unwrap();
        }
    }
    let error = whole(&interim(101), RequestKind::Other).unwrap_err();
    assert!(error.to_string().contains("more than 100 interim"), "{error}");
}

#[test]
fn the_extent_of_an_incomplete_response_is_known() {
    for (input, extent) in [
        ("", Extent::Nothing),
        ("HTTP/1.1 100 x\r\n\r\n", Extent::Nothing),
        ("HTTP/1.1 204 x\r\n\r\n", Extent::Nothing),
        ("HTTP/1.1 2", Extent::Head(10)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Extent::Content),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", Extent::Content),
    ] {
        let (mut reader, mut used) = (ResponseReader::default(), 0);
        loop {
            let (count, piece) =
                reader.read(&input.as_bytes()[used..], RequestKind::Other, None).unwrap();
            used += count;
            if piece == Piece::NeedMore {
                break;
            }
        }
        assert_eq!(reader.interim(), u32::from(input.starts_with("HTTP/1.1 100")), "{input:?}");
        assert_eq!(reader.extent(), extent, "{input:?}");
        assert_eq!(reader.end_of_input().is_err(), extent != Extent::Nothing, "{input:?}");
        assert_eq!(reader.extent(), extent, "{input:?}");
    }
}

#[test]
fn malformed_responses_are_refused() {
    for (input, says) in [
        ("HTTP/2 200 OK\r\n\r\n", "something else"),
        ("SSH-2.0-x\r\n", "something else"),
        ("HTTP/1.2 200 OK\r\n\r\n", "status line"),
        ("HTTP/1.1 600 OK\r\n\r\n", "status line"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        ("HTTP/1.1 200 \x01\r\n\r\n", "status line"),
        ("HTTP/1.1 200 OK\r\n a: b\r\n\r\n", "begins with a space"),
        ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", "between a field's name"),
        ("HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n", "another protocol"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two lengths"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "not a number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "not a number"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "both a length",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "behind the chunked"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nx\n", "a bare LF"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n", "a bare LF"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n", "a bare LF"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n a: b\r\n\r\n", "a space"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na : b\r\n\r\n", "between"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\n", "a bare LF"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", "in the middle"),
        ("HTTP/1.1 200 OK\r\nConte", "in the middle"),
        ("HTTP/1.1 204 x\r\nConnection: close\r\n\r\nHTTP", "after its last"),
    ] {
        let error = whole(input, RequestKind::Other).unwrap_err();
        assert!(error.to_string().contains(says), "{input:?}: {error}");
    }
}

#[test]
fn a_head_without_an_end_is_refused_at_the_limit() {
    let mut reader = ResponseReader::default();
    let mut input = b"HTTP/1.1 200 OK\r\n".to_vec();
    input.resize(LIMITS.head, b'a');
    assert_eq!(reader.read(&input, RequestKind::Other, None), Ok((0, Piece::NeedMore)));
    input.push(b'a');
    assert!(reader.read(&input, RequestKind::Other, None).is_err());
}

/// The template of the first head in `input`.
fn template(input: &[u8]) -> HeadTemplate {
    match ResponseReader::default().read(input, RequestKind::Other, None) {
        Ok((_, Piece::Head(head))) => HeadTemplate::of(&head),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_matches_heads_that_differ_in_their_date_only() {
    let head = |status: &str, date: &str, length: &str| {
        format!("HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n")
    };
    let known = template(head("200 OK", "then", "5").as_bytes());
    for (other, same) in [
        (head("200 OK", "then", "5"), true),
        (head("200 OK", "when", "5"), true),
        (head("200 OK", "t\r\nx", "5"), false),
        (head("200 OK", "later", "5"), false),
        (head("200 OK", "then", "6"), false),
        (head("404 OK", "then", "5"), false),
        (head("200 OK", "then", "5").replace("Date", "Data"), false),
        ("HTTP/1.1 200 OK\r\nDate: then".into(), false),
    ] {
        assert_eq!(known.find(other.as_bytes()).is_some(), same, "{other:?}");
    }
    // A head of which one byte is read twice would be two different heads.
    let first = template(&STREAM.as_bytes()[25..]);
    assert_eq!(read_all(STREAM.as_bytes(), RequestKind::Other, Some(&first), &[]).unwrap(), READ);
}

#[test]
fn a_template_without_a_date_matches_equal_heads_only() {
    let known = template(b"HTTP/1.1 204 x\r\nA: b\r\n\r\n");
    assert!(known.find(b"HTTP/1.1 204 x\r\nA: b\r\n\r\nmore").is_some());
    assert!(known.find(b"HTTP/1.1 204 x\r\nA: c\r\n\r\n").is_none());
}

proptest! {
    #[test]
    fn cuts_change_nothing(mut cuts in proptest::collection::vec(0..STREAM.len(), 0..12), known: bool) {
        cuts.sort_unstable();
        let template = known.then(|| template(&STREAM.as_bytes()[25..]));
        let read = read_all(STREAM.as_bytes(), RequestKind::Other, template.as_ref(), &cuts);
        prop_assert_eq!(read.unwrap(), READ);
    }

    #[test]
    fn no_input_panics(
        start in 0..STREAM.len(),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
        cut in 0..64_usize,
    ) {
        let input = [&STREAM.as_bytes()[..start], &noise].concat();
        let mut at = 0;
        let mut reader = ResponseReader::default();
        for end in [input.len().min(start + cut), input.len()] {
            loop {
                let read = reader.read(&input[at..end], RequestKind::Other, None);
                let Ok((used, piece)) = read else { return Ok(()) };
                prop_assert!(used <= end - at);
                at += used;
                if piece == Piece::NeedMore {
                    break;
                }
            }
        }
        let _ = reader.end_of_input();
    }
}
