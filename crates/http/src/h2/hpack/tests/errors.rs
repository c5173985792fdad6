//! What a decoder must refuse, and what looks like it and is valid.

use super::*;
use crate::h2::hpack::CompressionError::{
    BadHuffman, BadIndex, LongInteger, TableSizeAboveLimit, Truncated, UnexpectedTableSize,
};

/// The section of RFC 7541 and what the block shows, the block, and the error.
type Case<'a> = (&'a str, &'a [u8], Option<CompressionError>);

const CASES: &[Case<'_>] = &[
    ("2.3.3: the last static entry", b"\xbd", None),
    ("2.3.3: an index beyond both tables", b"\xbe", Some(BadIndex)),
    ("2.3.3: an index far beyond both tables", b"\xff\xff\xff\xff\x7f", Some(BadIndex)),
    ("2.3.3: beyond a table of one entry", b"\x40\x01a\x01b\xbf", Some(BadIndex)),
    ("2.3.3: an entry of this block", b"\x40\x01a\x01b\xbe", None),
    ("2.3.3: a name beyond both tables, indexed", b"\x7e\x01b", Some(BadIndex)),
    ("2.3.3: a name beyond both tables, not indexed", b"\x0f\x2f\x01b", Some(BadIndex)),
    ("2.3.3: a name beyond both tables, never indexed", b"\x1f\x2f\x01b", Some(BadIndex)),
    ("4.2: one change of the size first", b"\x20\x82", None),
    ("4.2: two changes of the size first", b"\x20\x3f\xe1\x1f\x82", None),
    ("4.2: three changes of the size", b"\x20\x20\x20\x82", Some(UnexpectedTableSize)),
    ("4.2: a change after an indexed field", b"\x82\x20", Some(UnexpectedTableSize)),
    ("4.2: a change after a literal", b"\x00\x01a\x01b\x20", Some(UnexpectedTableSize)),
    ("4.2: a change between fields", b"\x20\x82\x20\x82", Some(UnexpectedTableSize)),
    ("4.3: an entry evicted by a change", b"\x20\xbe", Some(BadIndex)),
    ("4.4: an entry as large as the table", b"\x3f\x01\x40\x00\x00\xbe", None),
    ("4.4: an entry one byte larger", b"\x3f\x01\x40\x01a\x00\xbe", Some(BadIndex)),
    ("5.1: an integer without its end", b"\xff", Some(Truncated)),
    ("5.1: an integer with half its end", b"\xff\x80", Some(Truncated)),
    ("5.1: trailing zeros of an integer", b"\x3f\x80\x80\x00\x82", None),
    ("5.1: four bytes after the prefix", b"\x3f\x80\x80\x80\x00\x82", None),
    ("5.1: five bytes after the prefix", b"\x3f\x80\x80\x80\x80\x00\x82", Some(LongInteger)),
    (
        "5.1: an integer that overflows",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        Some(LongInteger),
    ),
    ("5.1: a length that overflows", b"\x00\x7f\xff\xff\xff\xff\xff\xff\x7f", Some(LongInteger)),
    ("5.2: a name longer than the block", b"\x40\x03ab", Some(Truncated)),
    ("5.2: a value longer than the block", b"\x40\x01a\x02b", Some(Truncated)),
    ("5.2: a length of 256 MiB", b"\x40\x7f\xff\xff\xff\x7f", Some(Truncated)),
    ("5.2: no name", b"\x40", Some(Truncated)),
    ("5.2: no value", b"\x40\x01a", Some(Truncated)),
    ("5.2: no value of an indexed name", b"\x04", Some(Truncated)),
    ("5.2: an empty string in Huffman code", b"\x04\x80", None),
    ("5.2: padding of three bits", b"\x04\x81\x1f", None),
    ("5.2: padding of seven bits", b"\x04\x82\xf8\x7f", None),
    ("5.2: padding of eight bits", b"\x04\x82\xf8\xff", Some(BadHuffman)),
    ("5.2: padding of eight bits after a symbol", b"\x04\x82\x1f\xff", Some(BadHuffman)),
    ("5.2: padding only", b"\x04\x81\xff", Some(BadHuffman)),
    (
        "5.2: padding of many bytes",
        b"\x04\x89\x1f\xff\xff\xff\xff\xff\xff\xff\xff",
        Some(BadHuffman),
    ),
    ("5.2: padding of zeros", b"\x04\x81\x18", Some(BadHuffman)),
    ("5.2: padding with one zero", b"\x04\x81\x1e", Some(BadHuffman)),
    ("5.2: EOS", b"\x04\x84\xff\xff\xff\xff", Some(BadHuffman)),
    ("5.2: EOS after a symbol", b"\x04\x85\x1f\xff\xff\xff\xff", Some(BadHuffman)),
    (
        "5.2: EOS after nine symbols",
        b"\x04\x8a\x18\xc6\x31\x8c\x63\x1f\xff\xff\xff\xff",
        Some(BadHuffman),
    ),
    ("5.2: EOS before symbols", b"\x04\x88\xff\xff\xff\xfc\x18\xc6\x31\x8c", Some(BadHuffman)),
    ("5.2: EOS in a name", b"\x00\x84\xff\xff\xff\xff\x00", Some(BadHuffman)),
    ("6.1: the index zero", b"\x80", Some(BadIndex)),
    ("6.3: the size at the limit", b"\x3f\xe1\x1f", None),
    ("6.3: the size one above the limit", b"\x3f\xe2\x1f", Some(TableSizeAboveLimit)),
    ("6.3: the second size above the limit", b"\x20\x3f\xe2\x1f", Some(TableSizeAboveLimit)),
    ("6.3: a size without its end", b"\x3f", Some(Truncated)),
];

#[test]
fn invalid_blocks_are_refused() {
    let mut reasons = Vec::new();
    for (name, block, error) in CASES {
        let result = decode(&mut Decoder::new(), block);
        assert_eq!(result.err(), *error, "{name}");
        reasons.extend(error.map(|error| format!("{error:?}")));
        check_header_blocks([*block]);
    }
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), 6, "each reason occurs: {reasons:?}");
}

#[test]
fn a_cut_block_is_truncated_unless_the_cut_is_between_fields() {
    let fields: [&[u8]; 6] = [
        b"\x3f\xe1\x1f",
        b"\x82",
        b"\x40\x85\xf2\xb2\x0b\x4a\xff\x03xyz",
        b"\xbe",
        b"\x0f\x2f\x03abc",
        b"\x10\x01a\x7f\x00".as_slice(),
    ];
    let mut block = fields.concat();
    block.extend([b'v'; 127]);
    let mut ends: Vec<usize> = vec![0];
    ends.extend(fields.iter().scan(0, |end, field| {
        *end += field.len();
        Some(*end)
    }));
    *ends.last_mut().unwrap() += 127;
    for len in 0..=block.len() {
        let result = decode(&mut Decoder::new(), &block[..len]);
        let expected = if ends.contains(&len) { None } else { Some(Truncated) };
        assert_eq!(result.err(), expected, "the first {len} bytes");
    }
}

#[test]
fn fields_before_an_error_are_taken() {
    let mut count = 0;
    let result = Decoder::new().decode(b"\x82\x84\x80", &mut Vec::new(), |_| {
        count += 1;
        true
    });
    assert_eq!((result, count), (Err(BadIndex), 2));
}
