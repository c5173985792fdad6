//! Frames, headers and text encodings, without a connection.

use proptest::prelude::*;

use super::super::text::{BadText, Encoding};
use super::*;

#[test]
fn encodings_have_the_names_of_python() {
    let cases = [
        ("utf-8", Some(Encoding::Utf8)),
        ("UTF8", Some(Encoding::Utf8)),
        ("Utf_8", Some(Encoding::Utf8)),
        ("u8", Some(Encoding::Utf8)),
        ("utf-8-sig", Some(Encoding::Utf8Sig)),
        ("UTF 16", Some(Encoding::Utf16)),
        ("utf-16le", Some(Encoding::Utf16Le)),
        ("UTF-16-BE", Some(Encoding::Utf16Be)),
        ("latin-1", Some(Encoding::Latin1)),
        ("ISO-8859-1", Some(Encoding::Latin1)),
        ("iso8859_1", Some(Encoding::Latin1)),
        ("L1", Some(Encoding::Latin1)),
        ("ascii", Some(Encoding::Ascii)),
        ("US-ASCII", Some(Encoding::Ascii)),
        ("ANSI_X3.4-1968", Some(Encoding::Ascii)),
        ("iso.8859.1", Some(Encoding::Latin1)),
        ("utf.16le", Some(Encoding::Utf16Le)),
        // Names of Python's modules have no dots, and one of its aliases has one.
        ("latin.1", None),
        ("utf.16.le", None),
        ("iso_646.irv.1991", None),
        ("utf-32", None),
        ("binary", None),
        ("", None),
        ("ut-f8", None),
    ];
    for (name, encoding) in cases {
        assert_eq!(Encoding::of(name), encoding, "{name}");
    }
    assert_eq!(Encoding::of(&"-utf-8".repeat(10_000)), None);
}

#[test]
fn text_is_encoded_and_decoded() {
    let cases: &[(Encoding, &str, &[u8])] = &[
        (Encoding::Utf8, "é🐰", b"\xc3\xa9\xf0\x9f\x90\xb0"),
        (Encoding::Utf8Sig, "a", b"\xef\xbb\xbfa"),
        (Encoding::Utf16, "a🐰", b"\xff\xfea\0\x3d\xd8\x30\xdc"),
        (Encoding::Utf16Le, "\u{feff}a", b"\xff\xfea\0"),
        (Encoding::Utf16Be, "aé", b"\0a\0\xe9"),
        (Encoding::Latin1, "é\u{ff}", b"\xe9\xff"),
        (Encoding::Ascii, "a\x7f", b"a\x7f"),
    ];
    for (encoding, text, bytes) in cases {
        assert_eq!(encoding.encode(text).unwrap(), *bytes, "{encoding:?}");
        assert_eq!(encoding.decode(bytes).unwrap(), *text, "{encoding:?}");
    }
    assert_eq!(Encoding::Utf16.decode(b"\xfe\xff\0a").unwrap(), "a");
    assert_eq!(Encoding::Utf16.decode(b"a\0").unwrap(), "a");
    assert_eq!(Encoding::Utf8Sig.decode(b"a").unwrap(), "a");
}

#[test]
fn invalid_text_is_refused_with_its_position() {
    let cases: &[(Encoding, &[u8], usize)] = &[
        (Encoding::Utf8, b"ab\xff", 2),
        (Encoding::Utf8, b"\xed\xa0\x80", 0),
        (Encoding::Utf8Sig, b"\xef\xbb\xbf\xff", 3),
        (Encoding::Utf16, b"\xff\xfea\0b", 4),
        (Encoding::Utf16Le, b"a\0\x3d\xd8", 2),
        (Encoding::Utf16Be, b"\xdc\x30", 0),
        (Encoding::Ascii, b"a\x80", 1),
    ];
    for (encoding, bytes, at) in cases {
        let bad = BadText { encoding: *encoding, at: *at };
        assert_eq!(encoding.decode(bytes), Err(bad), "{encoding:?}");
    }
    assert_eq!(Encoding::Ascii.encode("aé").unwrap_err().at, 1);
    assert_eq!(Encoding::Latin1.encode("é🐰").unwrap_err().at, 1);
}

#[test]
fn headers_are_read_in_any_order_and_spacing() {
    let header = Header::read(
        br#" {"x":[{"content-length":9}],"content-length":5 ,"content-encoding":"latin-1",
             "content-t\u0079pe":"a/b","byteorder":null,"x":2, "deadline-ms":99999999999999999999}"#,
    )
    .unwrap();
    assert_eq!(header.content_type, "a/b");
    assert_eq!(header.content_encoding, "latin-1");
    assert_eq!(header.content_length, 5);
    assert_eq!(header.deadline_ms, Some(u64::MAX));
    assert!(header.id.is_none() && !header.keep_alive);
}

#[test]
fn an_id_is_kept_as_it_was_written() {
    for (keys, id, keep_alive) in [
        (r#""id": "a\u00e9", "connection": "keep-alive""#, Some(r#""a\u00e9""#), true),
        (
            r#""id": 123456789012345678901234567890, "connection": "keep-alive""#,
            Some("123456789012345678901234567890"),
            true,
        ),
        (r#""id": -1"#, Some("-1"), false),
        (r#""id": [1], "connection": "close""#, None, false),
        (r#""id": 1.5, "connection": 7"#, None, false),
        (r#""connection": "keep-alive""#, None, false),
    ] {
        let json = format!(
            r#"{{"byteorder": 1, "content-type": "", "content-encoding": "", "content-length": 0, {keys}}}"#
        );
        let header = Header::read(json.as_bytes()).unwrap();
        assert_eq!(header.id.as_ref().map(Id::as_json), id, "{keys}");
        assert_eq!(header.keep_alive, keep_alive, "{keys}");
    }
}

#[test]
fn a_header_that_does_not_fit_is_not_written() {
    let message = Message::binary("x".repeat(65_535), "");
    assert!(frame::head(&Header::of(&message)).is_none());
}

proptest! {
    #[test]
    fn a_frame_that_was_written_is_read_again(
        content_type in "\\PC{0,40}", encoding in ".{0,40}",
        length in 0..=Limits::default().content,
        number in any::<Option<u64>>(), keep_alive: bool, deadline in any::<Option<u64>>(),
        behind in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut header = Header::of(&Message::binary(content_type, ""));
        header.content_encoding = encoding.into();
        header.content_length = length;
        header.id = number.map(Id::number);
        header.keep_alive = keep_alive && number.is_some();
        header.deadline_ms = deadline;
        let head = frame::head(&header).unwrap();
        for cut in 0..head.len() {
            prop_assert_eq!(frame::read(&head[..cut], &Limits::default()), Ok(None));
        }
        let read = frame::read(&[&head[..], &behind].concat(), &Limits::default());
        prop_assert_eq!(read, Ok(Some((header, head.len()))));
    }

    #[test]
    fn a_text_that_was_written_is_read_again(text in ".{0,40}") {
        for encoding in [Encoding::Utf8, Encoding::Utf8Sig, Encoding::Utf16, Encoding::Utf16Le,
            Encoding::Utf16Be, Encoding::Latin1, Encoding::Ascii] {
            if let Ok(bytes) = encoding.encode(&text) {
                prop_assert_eq!(encoding.decode(&bytes).unwrap(), &text[..]);
            }
        }
    }
}
