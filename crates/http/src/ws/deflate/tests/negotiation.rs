//! Offers and answers.

use super::*;
use crate::ws::deflate::negotiation::Direction;
use crate::ws::deflate::parameters::BadExtensions;

const NONE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn options(takeover: bool) -> DeflateOptions {
    DeflateOptions::new().context_takeover(takeover)
}

fn answer(fields: &[&str], options: &DeflateOptions) -> Result<Option<String>, BadExtensions> {
    let agreed = accept(fields.iter().map(|field| field.as_bytes()), options)?;
    Ok(agreed.map(|agreed| agreed.answer().to_string()))
}

/// Offers, and the server's answers without and with context takeover.
#[test]
fn a_server_answers_offers() {
    let both = |text: &'static str| (text, text);
    for (offer, (without, with)) in [
        // Examples of RFC 7692, 5 and 7.1.3.
        ("permessage-deflate", (NONE, "permessage-deflate; client_no_context_takeover")),
        (
            "permessage-deflate; client_max_window_bits",
            (NONE, "permessage-deflate; client_max_window_bits=11"),
        ),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=10",
                "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
            ),
        ),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10, \
             permessage-deflate; client_max_window_bits",
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=10",
                "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
            ),
        ),
        // A window of 256 bytes for the server, which zlib can't make.
        ("permessage-deflate; server_max_window_bits=8", both("")),
        (
            "permessage-deflate; server_max_window_bits=8, \
             permessage-deflate; client_max_window_bits",
            (NONE, "permessage-deflate; client_max_window_bits=11"),
        ),
        // The client's window.
        (
            "permessage-deflate; client_max_window_bits=8",
            (NONE, "permessage-deflate; client_max_window_bits=8"),
        ),
        (
            "permessage-deflate; client_max_window_bits=15",
            (NONE, "permessage-deflate; client_max_window_bits=11"),
        ),
        // Context takeover.
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            (NONE, "permessage-deflate; server_no_context_takeover; client_max_window_bits=11"),
        ),
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
            (NONE, "permessage-deflate; client_no_context_takeover"),
        ),
        (NONE, both(NONE)),
        // Quotes, escapes, whitespace, empty elements.
        (
            "permessage-deflate; client_max_window_bits=\"10\"",
            (NONE, "permessage-deflate; client_max_window_bits=10"),
        ),
        (
            "\t, ,permessage-deflate ;client_max_window_bits = \"1\\0\" ,",
            (NONE, "permessage-deflate; client_max_window_bits=10"),
        ),
        // Other extensions.
        ("", both("")),
        (",", both("")),
        ("x-webkit-deflate-frame", both("")),
        (
            "foo; x=\"a\\bc\"; y, permessage-deflate; server_no_context_takeover",
            (NONE, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        ("permessage-deflat", both("")),
        ("permessage-deflates", both("")),
        // Parameters that make an offer unacceptable (RFC 7692, 7.1).
        ("permessage-deflate; foo", both("")),
        ("permessage-deflate; foo=1", both("")),
        ("permessage-deflate; server_no_context_takeover=1", both("")),
        ("permessage-deflate; client_no_context_takeover=\"true\"", both("")),
        ("permessage-deflate; server_max_window_bits", both("")),
        ("permessage-deflate; server_max_window_bits=7", both("")),
        ("permessage-deflate; server_max_window_bits=16", both("")),
        ("permessage-deflate; server_max_window_bits=09", both("")),
        ("permessage-deflate; server_max_window_bits=1", both("")),
        ("permessage-deflate; server_max_window_bits=0", both("")),
        ("permessage-deflate; server_max_window_bits=+9", both("")),
        ("permessage-deflate; server_max_window_bits=100", both("")),
        ("permessage-deflate; server_max_window_bits=10x", both("")),
        ("permessage-deflate; client_max_window_bits=7", both("")),
        ("permessage-deflate; client_max_window_bits=16", both("")),
        ("permessage-deflate; client_max_window_bits=010", both("")),
        ("permessage-deflate; Client_Max_Window_Bits", both("")),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", both("")),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", both("")),
        ("permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", both("")),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=9", both("")),
        (
            "permessage-deflate; foo, permessage-deflate; bar, permessage-deflate",
            (NONE, "permessage-deflate; client_no_context_takeover"),
        ),
    ] {
        for (takeover, expected) in [(false, without), (true, with)] {
            let expected = Some(expected).filter(|text| !text.is_empty()).map(str::to_owned);
            assert_eq!(answer(&[offer], &options(takeover)), Ok(expected), "{offer}");
        }
    }
}

#[test]
fn an_offer_may_be_in_any_field() {
    let fields = ["foo", "permessage-deflate; foo", "permessage-deflate", "permessage-deflate; x"];
    assert_eq!(answer(&fields, &options(false)), Ok(Some(NONE.to_owned())));
    assert_eq!(answer(&[], &options(false)), Ok(None));
}

#[test]
fn a_window_of_32_kib_needs_no_limit() {
    let options = options(true).window_bits(15);
    for (offer, expected) in [
        ("permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=15",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            "permessage-deflate; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(answer(&[offer], &options), Ok(Some(expected.to_owned())));
    }
}

#[test]
fn a_malformed_field_fails_the_handshake() {
    for field in [
        "permessage-deflate;",
        "permessage-deflate; ;client_max_window_bits",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; =10",
        "permessage-deflate; client_max_window_bits=\"10",
        "permessage-deflate; client_max_window_bits=\"10\\",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; client_max_window_bits=\"1 0\"",
        "permessage-deflate; client_max_window_bits=\"10\"x",
        "permessage-deflate; client_max_window_bits=10=10",
        "permessage-deflate foo",
        "permessage-deflate/foo",
        "; client_max_window_bits",
        "\"permessage-deflate\"",
        "foo; x=\"\u{1}\"",
        "é",
        "permessage-deflate, é",
    ] {
        for fields in [&[field][..], &["permessage-deflate", field], &[field, "foo"]] {
            assert!(answer(fields, &options(false)).is_err(), "{fields:?}");
        }
        let fields = [field.as_bytes()].into_iter();
        assert!(confirm(fields, &options(false)).is_err(), "{field}");
    }
}

#[test]
fn a_client_offers() {
    for (options, expected) in [
        (
            options(false),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             client_max_window_bits",
        ),
        (
            options(true),
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits, \
             permessage-deflate; server_no_context_takeover; client_max_window_bits",
        ),
        (
            options(true).window_bits(15),
            "permessage-deflate; client_max_window_bits, \
             permessage-deflate; server_no_context_takeover; client_max_window_bits",
        ),
    ] {
        assert_eq!(offer(&options), expected);
    }
}

/// Answers, and how far the server and the client may refer back to earlier messages; `None` if
/// the client refuses the answer.
#[test]
fn a_client_checks_the_answer() {
    let window = |direction: &Direction| match direction.context_takeover {
        true => direction.window_bits,
        false => 0,
    };
    for (answer, without, with) in [
        ("permessage-deflate", None, None),
        ("permessage-deflate; server_no_context_takeover", Some((0, 0)), Some((0, 15))),
        (NONE, Some((0, 0)), Some((0, 0))),
        ("permessage-deflate; server_max_window_bits=11", None, Some((11, 15))),
        ("permessage-deflate; server_max_window_bits=8", None, Some((8, 15))),
        ("permessage-deflate; server_max_window_bits=12", None, None),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
            Some((0, 0)),
            Some((0, 15)),
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=\"9\"",
            Some((0, 0)),
            Some((0, 9)),
        ),
        (
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12",
            None,
            Some((10, 12)),
        ),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits", None, None),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=7", None, None),
        ("permessage-deflate; server_no_context_takeover; foo", None, None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None, None),
        ("foo", None, None),
        ("permessage-deflate; server_no_context_takeover, foo", None, None),
        (
            "permessage-deflate; server_no_context_takeover, \
             permessage-deflate; server_no_context_takeover",
            None,
            None,
        ),
    ] {
        for (takeover, expected) in [(false, without), (true, with)] {
            let agreed = confirm([answer.as_bytes()].into_iter(), &options(takeover));
            let windows = agreed.ok().map(|agreed| {
                let agreed = agreed.expect("an extension");
                (window(&agreed.receives), window(&agreed.sends))
            });
            assert_eq!(windows, expected, "{answer}, {takeover}");
        }
    }
    assert_eq!(confirm([].into_iter(), &options(true)), Ok(None));
    assert_eq!(confirm([&b""[..]].into_iter(), &options(true)), Ok(None));
}

#[test]
fn a_server_and_a_client_agree_on_the_same() {
    for server in [options(false), options(true), options(true).window_bits(15)] {
        for client in [options(false), options(true), options(true).window_bits(9)] {
            let (servers, clients) = negotiate(&server, &client);
            assert_eq!(servers.sends, clients.receives);
            assert_eq!(servers.receives, clients.sends);
        }
    }
}

#[test]
#[should_panic(expected = "window_bits is 8: use 9 to 15")]
fn options_have_no_window_of_256_bytes() {
    let _ = DeflateOptions::new().window_bits(8);
}

#[test]
#[should_panic(expected = "level is 0: use 1 to 9")]
fn options_have_no_level_that_does_nothing() {
    let _ = DeflateOptions::new().level(0);
}
