//! Compares the server with another parser, `httparse`: both find the same in requests that both accept,
//! and each difference in what they accept is listed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::cases::{Case, cases, damaged};
use crate::reads::{Accepted, End, Reading, read};

/// Why the server refuses requests that `httparse` accepts.
const STRICTER: &[&str] = &[
    // `httparse` reads heads only, and not what methods, targets and fields mean.
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
    // Bytes that no URI has, and LF for CRLF, which it takes on purpose (RFC 9112, 2.2 and 3.2).
    "sent a request target with an invalid character: percent-encode it",
    "sent an LF without a CR",
    // It takes any number of blank lines in front.
    "sent a request line that does not begin with a method and a space",
    // Our limits.
    "sent a request line beyond the limit",
    "sent a request head beyond the limit",
    "sent more header fields than the limit allows",
];

/// What httparse makes of the first head; `None` where it refuses, or waits for more.
fn theirs(input: &[u8]) -> Option<Accepted> {
    let mut fields = [::httparse::EMPTY_HEADER; 200];
    let mut request = ::httparse::Request::new(&mut fields);
    if request.parse(input).ok()?.is_partial() {
        return None;
    }
    let fields = request.headers.iter().map(|f| (f.name.as_bytes().to_vec(), f.value.to_vec()));
    Some(Accepted {
        method: request.method?.to_owned(),
        target: request.path?.as_bytes().to_vec(),
        minor: request.version?,
        fields: fields.collect(),
        ..Accepted::default()
    })
}

/// Compares the two about the first head. Returns the reason where we are stricter.
fn compare(name: &str, input: &[u8]) -> Option<String> {
    let Reading { requests, end } = read([input]);
    match (requests.into_iter().next(), theirs(input), end) {
        (Some(ours), theirs, _) => {
            let ours = Accepted { body: Vec::new(), trailers: Vec::new(), ..ours };
            assert_eq!(theirs, Some(ours), "{name}: {}", input.escape_ascii());
            None
        }
        (None, Some(_), End::Refused(_, why)) => Some(why),
        _ => None,
    }
}

#[test]
fn what_is_stricter_than_httparse_is_listed_and_what_is_listed_is() {
    let mut found = BTreeSet::new();
    for Case { name, bytes, .. } in cases() {
        // What is refused behind a good head is not httparse's to see.
        if name.starts_with("chunks: ") || name.starts_with("trailers: ") {
            continue;
        }
        if let Some(why) = compare(name, &bytes) {
            assert!(STRICTER.contains(&&*why), "{name}: {why}");
            found.insert(why);
        }
    }
    let idle: Vec<_> = STRICTER.iter().filter(|why| !found.contains(**why)).collect();
    assert!(idle.is_empty(), "nothing is refused for {idle:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_requests_that_are_accepted_are_read_alike_by_both(bytes in damaged()) {
        compare("damaged", &bytes);
    }
}
