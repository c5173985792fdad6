//! Parses every case of `cases.txt`, as a whole and split at every byte, and rewrites accepted
//! requests.

#![forbid(unsafe_code)]

mod cases;
mod httparse;
mod reads;

use proptest::prelude::*;

use cases::{Case, cases, damaged};
use reads::{InputEnd, Lines, ParsedInput, ParsedRequest, read};

fn verdict(reading: &ParsedInput) -> String {
    let count = reading.requests.len();
    match &reading.end {
        InputEnd::Done => format!("{count} done"),
        InputEnd::Incomplete => format!("{count} incomplete"),
        InputEnd::Refused(status, _) => format!("{count} {status}"),
    }
}

/// Serializes the requests, with chunked bodies in different chunks.
fn write(requests: &[ParsedRequest]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for ParsedRequest { method, target, minor, fields, body, trailers } in requests {
        let target = str::from_utf8(target).expect("a target is ASCII");
        bytes.extend(format!("{method} {target} HTTP/1.{minor}\r\n").bytes());
        bytes.extend(lines(fields));
        if fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"transfer-encoding")) {
            for piece in body.chunks(7) {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend([piece, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n");
            bytes.extend(lines(trailers));
        } else {
            bytes.extend(body);
        }
    }
    bytes
}

fn lines(fields: &Lines) -> Vec<u8> {
    let lines = fields.iter().flat_map(|(name, value)| [name, &b": "[..], value, b"\r\n"].concat());
    lines.chain(*b"\r\n").collect()
}

#[track_caller]
fn assert_rewritten_is_equal(reading: &ParsedInput) {
    let rewritten = read([&write(&reading.requests)[..]]);
    assert_eq!(rewritten.requests, reading.requests);
    assert_eq!(rewritten.end, InputEnd::Done);
}

#[test]
fn every_case_has_the_expected_verdict() {
    let cases = cases();
    assert!(cases.len() > 300);
    for Case { name, verdict: expected, bytes } in &cases {
        let reading = read([&bytes[..]]);
        assert_eq!(verdict(&reading), *expected, "{name}: {reading:?}");
        assert_rewritten_is_equal(&reading);
    }
}

#[test]
fn splitting_the_input_changes_no_result() {
    for Case { name, bytes, .. } in cases() {
        let whole = read([&bytes[..]]);
        assert_eq!(read(bytes.chunks(1)), whole, "{name}, byte by byte");
        // Long cases repeat one byte, so testing some positions is enough.
        let step = 1 + bytes.len() / 500;
        for at in (0..bytes.len()).step_by(step) {
            let (first, second) = bytes.split_at(at);
            assert_eq!(read([first, second]), whole, "{name}, cut at {at}");
        }
    }
}

#[test]
fn bodies_of_cases_are_decoded() {
    let found = |name: &str| {
        let case = cases().into_iter().find(|case| case.name == name).expect(name);
        read([&case.bytes[..]]).requests
    };
    for (name, body) in [
        ("length five", &b"hello"[..]),
        ("length of binary content", b"\x00\xff\r\n"),
        ("what looks like a request in a body", b"GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n."),
        ("chunks: two", b"hello world"),
        ("chunks: a last chunk in data", b"0\r\n\r\n"),
        ("chunks: extension in quotes", b"hello"),
    ] {
        assert_eq!(found(name)[0].body, body, "{name}");
    }
    let trailers = &found("trailers")[0].trailers;
    assert_eq!(trailers.len(), 2);
    assert_eq!(trailers[1], (b"X".to_vec(), b"y".to_vec()));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn accepted_requests_are_parsed_alike_when_rewritten_or_split(
        bytes in damaged(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..5),
    ) {
        let whole = read([&bytes[..]]);
        assert_rewritten_is_equal(&whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let parts = starts.zip(ends).map(|(start, end)| &bytes[start..end]);
        prop_assert_eq!(read(parts), whole);
    }
}
