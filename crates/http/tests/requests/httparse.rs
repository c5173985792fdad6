//! Compares the server with another parser, `httparse`. Both find the same parts in a request that
//! both accept, and a list has all reasons for which only the server refuses a request.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::cases::{Case, cases, damaged};
use crate::reads::{Accepted, End, Reading, read};

/// Why the server refuses requests that `httparse` accepts.
const STRICTER: &[&str] = &[
    // `httparse` reads only heads, and doesn't interpret methods, targets and fields.
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
    "sent a chunked coding with a parameter",
    "sent a Transfer-Encoding whose last coding is not chunked",
    "sent a malformed Transfer-Encoding field",
    "sent an Expect field other than 100-continue",
    // It deliberately accepts bytes that no URI has, and LF for CRLF (RFC 9112, 2.2 and 3.2).
    "sent a request target with an invalid character: percent-encode it",
    "sent an LF without a CR",
    // It accepts any number of blank lines before a request.
    "sent a request line that does not begin with a method and a space",
    // Our limits.
    "sent a request line beyond the limit",
    "sent a request head beyond the limit",
    "sent more header fields than the limit allows",
];

/// The first head as `httparse` reads it; `None` if it refuses the head, or needs more input.
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

/// Compares how the two parsers read the first head. Returns the reason if only the server refuses
/// it.
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
fn the_list_has_exactly_the_reasons_for_which_only_the_server_refuses() {
    let mut found = BTreeSet::new();
    for Case { name, bytes, .. } in cases() {
        // `httparse` doesn't see what follows a valid head.
        if name.starts_with("chunks: ") || name.starts_with("trailers: ") {
            continue;
        }
        if let Some(why) = compare(name, &bytes) {
            assert!(STRICTER.contains(&&*why), "{name}: {why}");
            found.insert(why);
        }
    }
    let unused: Vec<_> = STRICTER.iter().filter(|why| !found.contains(**why)).collect();
    assert!(unused.is_empty(), "nothing is refused for {unused:?}");
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
