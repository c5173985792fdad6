//! Compares our parser of heads with another one: `httparse` accepts every head that ours accepts,
//! and finds the same parts in it. It also accepts heads that ours refuses, for example with a bare
//! LF.

use proptest::prelude::*;

use crate::h1::cached_fields::CachedFields;
use crate::h1::head::{self, Progress};
use crate::{Content, Limits, Request};

type Parts = (String, Vec<u8>, u8, Vec<(Vec<u8>, Vec<u8>)>, usize);

fn ours(input: &[u8]) -> Option<Parts> {
    ours_after(&mut CachedFields::default(), input)
}

/// The head in `input`, parsed with the cached head in `cached`.
fn ours_after(cached: &mut CachedFields, input: &[u8]) -> Option<Parts> {
    let head = head::parse(input, &mut Progress::default(), &Limits::default(), cached);
    let head = head.ok()??;
    let (fields, head, control) = (&input[head.fields_start..], &input[..head.len], &head.control);
    let (content, upgrade) = (Content::None, false);
    let CachedFields { spans, index, .. } = cached;
    let request = Request { head, control, section: fields, spans, index, content, upgrade };
    let fields = request.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    let minor = request.version() as u8;
    Some((request.method().to_string(), request.target().to_vec(), minor, fields, head.len()))
}

fn theirs(input: &[u8]) -> Option<Parts> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(len) = request.parse(input).ok()? else { return None };
    let fields = request.headers.iter().map(|f| (f.name.as_bytes().to_vec(), f.value.to_vec()));
    Some((
        request.method?.to_owned(),
        request.path?.as_bytes().to_vec(),
        request.version?,
        fields.collect(),
        len,
    ))
}

fn heads() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("OPTIONS")];
    let target = "/[a-zA-Z0-9._~%&=?/:@!$'()*+,;\\[\\]-]{0,20}";
    let value = "[ \t]{0,2}[!-~\u{80}-\u{ff}]{0,3}[ \t!-~]{0,30}[ \t]{0,2}";
    let field = ("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}", value);
    (method, target, 0u8..2, proptest::collection::vec(field, 0..8), any::<[u8; 4]>()).prop_map(
        |(method, target, minor, fields, after)| {
            let mut head = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
            for (name, value) in fields {
                head.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            }
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(&after);
            head
        },
    )
}

proptest! {
    #[test]
    fn good_heads_are_read_alike_by_both(head in heads()) {
        let found = ours(&head);
        prop_assert!(found.is_some(), "{}", head.escape_ascii());
        prop_assert_eq!(found, theirs(&head));
    }

    #[test]
    fn damaged_heads_that_are_accepted_are_read_alike_by_both(
        head in heads(),
        damage in proptest::collection::vec(
            (any::<usize>(), prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':')]),
            1..4,
        ),
    ) {
        let mut head = head;
        for (at, byte) in damage {
            let at = at % head.len();
            head[at] = byte;
        }
        if let Some(found) = ours(&head) {
            prop_assert_eq!(Some(found), theirs(&head), "{}", head.escape_ascii());
        }
    }
}

proptest! {
    #[test]
    fn the_cached_head_changes_nothing(
        one in heads(),
        other in heads(),
        same_fields in any::<bool>(),
    ) {
        // Another request line with the same fields, and with a part of them.
        let fields = one.iter().position(|byte| *byte == b'\n').map_or(&one[..], |at| &one[at..]);
        let other = if same_fields { [b"HEAD /x HTTP/1.1\r", fields].concat() } else { other };
        let mut cached = CachedFields::default();
        prop_assert_eq!(ours_after(&mut cached, &one), ours(&one));
        prop_assert_eq!(ours_after(&mut cached, &other), ours(&other));
        prop_assert_eq!(ours_after(&mut cached, &one), ours(&one));
        for cut in (0..other.len()).rev().step_by(7) {
            prop_assert_eq!(ours_after(&mut cached, &other[..cut]), ours(&other[..cut]));
            prop_assert_eq!(ours_after(&mut cached, &other), ours(&other));
        }
    }
}
