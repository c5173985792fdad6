//! Compares the server's parser with `httparse`: both parse requests that they accept in the same
//! way, and each difference in what they accept is listed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::cases::{Case, cases, damaged};
use crate::reads::{InputEnd, ParsedInput, ParsedRequest, read};

/// Why the server refuses requests that `httparse` accepts.
const STRICTER: &[&str] = &[
    // `httparse` parses heads only, and doesn't check methods, targets and field values.
    "sent a method of more than 64 bytes",
    "sent a request with a method that is not allowed here",
    "sent a request target in a form that its method does not allow",
    "sent a request target with a bad authority",
    "sent no Host field",
    "sent more than one Host field",
    "sent an invalid Host field",
    "sent a Content-Length that is not a number",
    "sent a Content-Length with a leading zero",
    "sent more than one Content-Length field",
    "sent both Content-Length and Transfer-Encoding",
    "sent Transfer-Encoding in HTTP/1.0",
    "sent a transfer coding other than chunked",
    "sent a chunked coding that is not the last one",
    "sent a malformed Transfer-Encoding field",
    "sent an Expect field other than 100-continue",
    // It deliberately accepts invalid bytes in URIs, and LF for CRLF (RFC 9112, 2.2 and 3.2).
    "sent a request target with an invalid character: percent-encode it",
    "sent an LF without a CR",
    // It accepts any number of blank lines before the request.
    "sent a request line that does not begin with a method and a space",
    // Our limits.
    "sent a request line beyond the limit",
    "sent a request head beyond the limit",
    "sent more header fields than the limit allows",
];

/// Parses the first head with httparse. `None` if it is rejected or incomplete.
fn httparse_result(input: &[u8]) -> Option<ParsedRequest> {
    let mut fields = [::httparse::EMPTY_HEADER; 200];
    let mut request = ::httparse::Request::new(&mut fields);
    if request.parse(input).ok()?.is_partial() {
        return None;
    }
    let fields = request.headers.iter().map(|f| (f.name.as_bytes().to_vec(), f.value.to_vec()));
    Some(ParsedRequest {
        method: request.method?.to_owned(),
        target: request.path?.as_bytes().to_vec(),
        minor: request.version?,
        fields: fields.collect(),
        ..ParsedRequest::default()
    })
}

/// Compares both results for the first head. Returns our reason if only we reject it.
fn compare(name: &str, input: &[u8]) -> Option<String> {
    let ParsedInput { requests, end } = read([input]);
    match (requests.into_iter().next(), httparse_result(input), end) {
        (Some(ours), httparse_result, _) => {
            let ours = ParsedRequest { body: Vec::new(), trailers: Vec::new(), ..ours };
            assert_eq!(httparse_result, Some(ours), "{name}: {}", input.escape_ascii());
            None
        }
        (None, Some(_), InputEnd::Refused(_, reason)) => Some(reason),
        _ => None,
    }
}

#[test]
fn every_difference_to_httparse_is_listed_and_every_listed_one_occurs() {
    let mut found = BTreeSet::new();
    for Case { name, bytes, .. } in cases() {
        // httparse doesn't parse bodies.
        if name.starts_with("chunks: ") || name.starts_with("trailers: ") {
            continue;
        }
        if let Some(reason) = compare(name, &bytes) {
            assert!(STRICTER.contains(&&*reason), "{name}: {reason}");
            found.insert(reason);
        }
    }
    let idle: Vec<_> = STRICTER.iter().filter(|reason| !found.contains(**reason)).collect();
    assert!(idle.is_empty(), "nothing is refused for {idle:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_requests_that_both_accept_are_parsed_alike(bytes in damaged()) {
        compare("damaged", &bytes);
    }
}
