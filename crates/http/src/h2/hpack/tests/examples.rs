//! The examples of RFC 7541, appendix C.

use super::*;
use crate::h2::hpack::{encode, integer};

#[test]
fn integers_of_c_1() {
    let cases: [(usize, u32, &[u8]); 3] =
        [(10, 5, &[0b01010]), (1337, 5, &[0b11111, 0b1001_1010, 0b1010]), (42, 8, &[0b10_1010])];
    for (value, bits, bytes) in cases {
        let mut out = Vec::new();
        integer::encode(0, bits, value, &mut out);
        assert_eq!(out, bytes);
        let mut rest = &bytes[1..];
        let decoded = match bits {
            5 => integer::decode::<5>(bytes[0], &mut rest),
            _ => integer::decode::<8>(bytes[0], &mut rest),
        };
        assert_eq!((decoded, rest), (Ok(value), &[][..]));
    }
}

/// A block, its fields, and the dynamic table after it, the newest entry first.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)]);

/// Decodes blocks with one decoder, whose table has this maximum size.
#[track_caller]
fn assert_decoded(table_size: usize, examples: &[Example<'_>]) {
    let mut decoder = Decoder::new();
    let mut update = Vec::new();
    encode::table_size(table_size, &mut update);
    assert_eq!(decode(&mut decoder, &update), Ok(Vec::new()));
    for (block, fields, table) in examples {
        assert_eq!(decode(&mut decoder, &unhex(block)), Ok(owned(fields)), "{block}");
        let mut entries = Vec::new();
        for index in 62.. {
            let mut block = Vec::new();
            encode::indexed(index, &mut block);
            let Ok(entry) = decode(&mut decoder, &block) else { break };
            entries.extend(entry);
        }
        assert_eq!(entries, owned(table), "the table after {block}");
    }
}

#[test]
fn fields_of_c_2() {
    assert_decoded(
        4096,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &[("custom-key", "custom-header")],
            &[("custom-key", "custom-header")],
        )],
    );
    assert_decoded(
        4096,
        &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], &[])],
    );
    assert_decoded(
        4096,
        &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], &[])],
    );
    assert_decoded(4096, &[("82", &[(":method", "GET")], &[])]);
}

const FIRST_REQUEST: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const SECOND_REQUEST: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
    ("cache-control", "no-cache"),
];
const THIRD_REQUEST: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];
const REQUEST_TABLE: [(&str, &str); 3] = [
    ("custom-key", "custom-value"),
    ("cache-control", "no-cache"),
    (":authority", "www.example.com"),
];

#[test]
fn requests_of_c_3_and_c_4() {
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        assert_decoded(
            4096,
            &[
                (blocks[0], FIRST_REQUEST, &REQUEST_TABLE[2..]),
                (blocks[1], SECOND_REQUEST, &REQUEST_TABLE[1..]),
                (blocks[2], THIRD_REQUEST, &REQUEST_TABLE),
            ],
        );
    }
}

const DATE: &str = "Mon, 21 Oct 2013 20:13:21 GMT";
const LATER_DATE: &str = "Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION: &str = "https://www.example.com";
const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

#[test]
fn responses_of_c_5_and_c_6() {
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 \
             303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 \
             6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 \
             5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 \
             5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b \
             ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad \
             94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 \
             65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        assert_decoded(
            256,
            &[
                (
                    blocks[0],
                    &[
                        (":status", "302"),
                        ("cache-control", "private"),
                        ("date", DATE),
                        ("location", LOCATION),
                    ],
                    &[
                        ("location", LOCATION),
                        ("date", DATE),
                        ("cache-control", "private"),
                        (":status", "302"),
                    ],
                ),
                (
                    blocks[1],
                    &[
                        (":status", "307"),
                        ("cache-control", "private"),
                        ("date", DATE),
                        ("location", LOCATION),
                    ],
                    &[
                        (":status", "307"),
                        ("location", LOCATION),
                        ("date", DATE),
                        ("cache-control", "private"),
                    ],
                ),
                (
                    blocks[2],
                    &[
                        (":status", "200"),
                        ("cache-control", "private"),
                        ("date", LATER_DATE),
                        ("location", LOCATION),
                        ("content-encoding", "gzip"),
                        ("set-cookie", COOKIE),
                    ],
                    &[("set-cookie", COOKIE), ("content-encoding", "gzip"), ("date", LATER_DATE)],
                ),
            ],
        );
    }
}

#[test]
fn an_encoder_with_indexing_writes_the_requests_of_c_4() {
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    for index in [2, 6, 4] {
        encode::indexed(index, &mut first);
        encode::indexed(index, &mut second);
    }
    encode::field_indexed(b":authority", b"www.example.com", &mut first);
    encode::indexed(62, &mut second);
    encode::field_indexed(b"Cache-Control", b"no-cache", &mut second);
    encode::field(b":method", b"GET", false, &mut third);
    encode::field(b":scheme", b"https", false, &mut third);
    encode::field(b":path", b"/index.html", false, &mut third);
    encode::indexed(63, &mut third);
    encode::field_indexed(b"custom-key", b"custom-value", &mut third);
    assert_eq!(first, unhex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"));
    assert_eq!(second, unhex("8286 84be 5886 a8eb 1064 9cbf"));
    assert_eq!(third, unhex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"));
}
