//! The static table, the Huffman code, and the dynamic table.

use super::*;
use crate::h2::hpack::{encode, huffman, static_table};

#[test]
fn every_static_entry_is_decoded_and_encoded() {
    let mut first = 0;
    let mut before = Vec::new();
    for index in 1..=static_table::LAST {
        let mut block = Vec::new();
        encode::indexed(index, &mut block);
        let (mut found, mut scratch) = (None, Vec::new());
        Decoder::new()
            .decode(&block, &mut scratch, |field| {
                assert!(field.is_from_table);
                found = Some((
                    field.name.to_vec(),
                    field.value.to_vec(),
                    usize::from(field.static_name),
                ));
                true
            })
            .unwrap();
        let (name, value, static_name) = found.unwrap();
        if name != before {
            first = index;
        }
        assert_eq!(static_name, first, "the first entry with the name of {index}");
        before.clone_from(&name);
        // Encoded from its text, in any case.
        for name in [name.clone(), name.to_ascii_uppercase()] {
            let mut again = Vec::new();
            encode::field(&name, &value, true, &mut again);
            assert_eq!(again, block);
            // With another value, the name has the index of its first entry.
            let mut other = Vec::new();
            encode::field_indexed(&name, b"~", &mut other);
            assert_eq!(other, [0x40 | first as u8, 1, b'~']);
        }
    }
}

/// Entries of RFC 7541, appendix A, at both ends of each group of names.
#[test]
fn static_entries_have_the_indices_of_the_rfc() {
    for (index, name, value) in [
        (1, ":authority", ""),
        (2, ":method", "GET"),
        (3, ":method", "POST"),
        (4, ":path", "/"),
        (5, ":path", "/index.html"),
        (6, ":scheme", "http"),
        (7, ":scheme", "https"),
        (8, ":status", "200"),
        (14, ":status", "500"),
        (15, "accept-charset", ""),
        (16, "accept-encoding", "gzip, deflate"),
        (17, "accept-language", ""),
        (19, "accept", ""),
        (28, "content-length", ""),
        (31, "content-type", ""),
        (33, "date", ""),
        (38, "host", ""),
        (44, "last-modified", ""),
        (54, "server", ""),
        (58, "user-agent", ""),
        (61, "www-authenticate", ""),
    ] {
        let entry = static_table::entry(index);
        assert_eq!((entry.name, entry.value), (name.as_bytes(), value.as_bytes()));
    }
}

/// FNV-1a of what the tables contain. The expected hashes are of the tables of python's hpack 4.2.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[test]
fn both_tables_equal_those_of_another_implementation() {
    let entries = (1..=static_table::LAST).map(static_table::entry);
    let text = entries.flat_map(|entry| [entry.name, b"=", entry.value, b"\n"].concat());
    assert_eq!(hash(text), 0xe369_eca4_5d65_17d1);
    let codes = (0..=huffman::EOS).map(huffman::code_of);
    let bytes = codes.flat_map(|(len, code)| [&[len][..], &code.to_be_bytes()].concat());
    assert_eq!(hash(bytes), 0xaac2_29e5_7955_57dd);
}

#[test]
fn only_names_of_the_static_table_are_found() {
    for name in [
        "",
        ":",
        "hos",
        "hosts",
        "hosu",
        "content\rtype",
        "\x1apath",
        "content-typ\x05",
        "x-forwarded-for",
        &"x".repeat(300),
        &format!("host{:>256}", "t"),
    ] {
        assert_eq!(static_table::find_name(name.as_bytes()), None, "{name}");
    }
}

/// The first and last symbol of some lengths, from RFC 7541, appendix B.
#[test]
fn codes_are_those_of_the_rfc() {
    for (symbol, len, code) in [
        (b'0', 5, 0x0),
        (b't', 5, 0x9),
        (b' ', 6, 0x14),
        (b'u', 6, 0x2d),
        (b':', 7, 0x5c),
        (b'z', 7, 0x7b),
        (b'&', 8, 0xf8),
        (b'Z', 8, 0xfd),
        (b'!', 10, 0x3f8),
        (b'?', 10, 0x3fc),
        (b'|', 11, 0x7fc),
        (b'>', 12, 0xffb),
        (0, 13, 0x1ff8),
        (b'~', 13, 0x1ffd),
        (b'}', 14, 0x3ffd),
        (b'{', 15, 0x7ffe),
        (b'\\', 19, 0x7fff0),
        (128, 20, 0xfffe6),
        (1, 23, 0x7fffd8),
        (9, 24, 0xffffea),
        (199, 25, 0x1ffffec),
        (255, 26, 0x3ffffee),
        (254, 27, 0x7fffff0),
        (2, 28, 0xfffffe2),
        (249, 28, 0xffffffe),
        (10, 30, 0x3ffffffc),
        (22, 30, 0x3ffffffe),
    ] {
        assert_eq!(huffman::code_of(usize::from(symbol)), (len, code), "{symbol}");
    }
    assert_eq!(huffman::code_of(huffman::EOS), (30, 0x3fffffff));
}

/// Each symbol at each position of a byte, alone and between others.
#[test]
fn every_symbol_is_coded_and_decoded() {
    for symbol in 0..=u8::MAX {
        for before in 0..9 {
            for after in [0, 1, 20] {
                let mut string = vec![b'0'; before];
                string.push(symbol);
                string.extend(vec![b'z'; after]);
                let mut coded = Vec::new();
                huffman::encode(string.iter().copied(), &mut coded);
                assert_eq!(coded.len(), huffman::encoded_len(string.iter().copied()));
                let (len, code) = huffman::code_of(usize::from(symbol));
                let bits = u64::from_be_bytes(
                    [&coded[..], &[0; 8]].concat()[before * 5 / 8..][..8].try_into().unwrap(),
                );
                assert_eq!(bits << (before * 5 % 8) >> (64 - len), u64::from(code));
                let mut decoded = b"x".to_vec();
                huffman::decode(&coded, &mut decoded).unwrap();
                assert_eq!(decoded[1..], string);
            }
        }
    }
}

#[test]
fn strings_are_coded_only_where_this_is_shorter() {
    for (value, expected) in [
        (&b"ab"[..], &b"\x04\x02ab"[..]),
        (b"aa", b"\x04\x02aa"),
        (b"aaaaa", b"\x04\x84\x18\xc6\x31\xff"),
        (b"\x00\x01", b"\x04\x02\x00\x01"),
        (b"", b"\x04\x00"),
    ] {
        let mut block = Vec::new();
        encode::field(b":path", value, true, &mut block);
        assert_eq!(block, expected);
    }
    let mut block = Vec::new();
    encode::field(b"X-Name", b"aaaaa", false, &mut block);
    assert_eq!(block, b"\x00\x06x-name\x05aaaaa");
}

#[test]
fn statuses_are_indexed_or_have_three_digits() {
    for code in 100..=999 {
        let mut block = Vec::new();
        encode::status(code, &mut block);
        let text = code.to_string();
        assert_eq!(decode(&mut Decoder::new(), &block), Ok(owned(&[(":status", &text)])));
        let is_indexed = [200, 204, 206, 304, 400, 404, 500].contains(&code);
        assert_eq!(block.len(), if is_indexed { 1 } else { 5 }, "{code}");
    }
}

#[test]
fn secrets_are_never_indexed() {
    for (name, first) in [
        ("Set-Cookie", &b"\x1f\x28"[..]),
        ("Cookie", b"\x1f\x11"),
        ("Authorization", b"\x1f\x08"),
        ("Proxy-Authorization", b"\x1f\x22"),
        ("Location", b"\x0f\x1f"),
    ] {
        let mut block = Vec::new();
        encode::field(name.as_bytes(), b"v", true, &mut block);
        assert_eq!(block, [first, b"\x01v"].concat(), "{name}");
    }
}

#[test]
fn entries_are_evicted_when_the_size_changes() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, b"\x40\x01a\x01b\x40\x01c\x01d").unwrap();
    // Two entries of 34 bytes. The older one goes first, and a larger size restores nothing
    // (RFC 7541, 4.3).
    for (size, count) in [(4096, 2), (68, 2), (67, 1), (4096, 1), (34, 1), (33, 0), (4096, 0)] {
        let mut block = Vec::new();
        encode::table_size(size, &mut block);
        decode(&mut decoder, &block).unwrap();
        for at in 0..2 {
            let fields = decode(&mut decoder, &[0xbe + at]);
            assert_eq!(fields.is_ok(), at < count, "entry {at} after {size}");
        }
        if count > 0 {
            assert_eq!(decode(&mut decoder, b"\xbe"), Ok(owned(&[("c", "d")])));
        }
    }
}

#[test]
fn the_name_of_an_evicted_entry_is_used() {
    let mut decoder = Decoder::new();
    // A table of 64 bytes has room for one of the entries. The second one evicts the first one,
    // whose name it uses (RFC 7541, 4.4).
    let block = b"\x3f\x21\x40\x04name\x05value\x7e\x06longer\xbe";
    let fields = owned(&[("name", "value"), ("name", "longer"), ("name", "longer")]);
    assert_eq!(decode(&mut decoder, block), Ok(fields));
    assert_eq!(decode(&mut decoder, b"\xbf"), Err(CompressionError::BadIndex));
}

#[test]
fn the_static_name_of_a_dynamic_entry_is_known() {
    let mut decoder = Decoder::new();
    // `cookie` by its index; by the index of that entry; as text.
    let block = b"\x60\x01a\x7e\x01b\x40\x06cookie\x01c\xbe\xbf\xc0";
    let mut found = Vec::new();
    decoder
        .decode(block, &mut Vec::new(), |field| {
            assert_eq!(field.name, b"cookie");
            found.push((field.value[0], field.static_name, field.is_from_table));
            true
        })
        .unwrap();
    let expected = [
        (b'a', 32, false),
        (b'b', 32, false),
        (b'c', 0, false),
        (b'c', 0, true),
        (b'b', 32, true),
        (b'a', 32, true),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_generation_tells_changes() {
    let mut decoder = Decoder::new();
    let mut generation = decoder.generation();
    for (block, changes) in [
        (&b"\x82\x84"[..], false),
        (b"\x00\x01a\x01b", false),
        (b"\x10\x01a\x01b", false),
        (b"\x40\x01a\x01b", true),
        (b"\xbe", false),
        (b"\x0f\x2f\x01c", false),
        (b"\x40\x01a\x01b", true),
        (b"\x3f\xe1\x1f", false),
        (b"\x20", true),
        (b"\x20", false),
        (b"\x40\x01a\x01b", true),
    ] {
        decode(&mut decoder, block).unwrap();
        assert_eq!(decoder.generation() != generation, changes, "{block:02x?}");
        generation = decoder.generation();
    }
}

#[test]
fn a_table_of_few_entries_is_small() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, b"\x82\x84\x00\x01a\x01b").unwrap();
    assert_eq!(decoder.memory(), 0);
    for at in 0..4 {
        let mut block = Vec::new();
        encode::field_indexed(b"user-agent", format!("client/{at}").as_bytes(), &mut block);
        decode(&mut decoder, &block).unwrap();
    }
    assert!(decoder.memory() <= 256, "{}", decoder.memory());
}
