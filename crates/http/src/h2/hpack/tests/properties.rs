//! Any fields, and any bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::h2::hpack::{encode, integer};

/// One representation of a field, or any bytes.
#[derive(Clone, Debug)]
enum Part {
    Indexed(usize),
    Literal { first: u8, bits: u32, name: Name, value: Vec<u8> },
    Raw(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Name {
    Index(usize),
    Text(Vec<u8>),
}

/// Texts that are often equal, often empty, and sometimes as long as the table.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-z0-9-]{0,12}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..20),
        1 => (0..4200_usize).prop_map(|len| vec![b'x'; len]),
    ]
}

/// An index of the static table, or one above. [`Writer`] chooses an entry of the dynamic table for
/// the latter.
fn index() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 1..62_usize, 2 => 62..200_usize]
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![index().prop_map(Name::Index), text().prop_map(Name::Text)]
}

fn part() -> impl Strategy<Value = Part> {
    let kind = prop_oneof![3 => Just((0x40, 6)), 1 => Just((0x00, 4)), 1 => Just((0x10, 4))];
    prop_oneof![
        20 => index().prop_map(Part::Indexed),
        40 => (kind, name(), text()).prop_map(|((first, bits), name, value)| {
            Part::Literal { first, bits, name, value }
        }),
        1 => vec(any::<u8>(), 0..8).prop_map(Part::Raw),
    ]
}

fn block() -> impl Strategy<Value = (Vec<usize>, Vec<Part>)> {
    let size = prop_oneof![4 => 0..300_usize, 4 => 0..4097_usize, 1 => 0..9000_usize];
    let sizes = prop_oneof![3 => Just(Vec::new()), 1 => vec(size, 1..3)];
    (sizes, vec(part(), 0..12))
}

/// Writes blocks of one connection.
struct Writer {
    /// A decoder of what was written, which knows the entries of the table.
    decoder: Decoder,
}

impl Writer {
    fn write(&mut self, (sizes, parts): &(Vec<usize>, Vec<Part>)) -> Vec<u8> {
        let mut block = Vec::new();
        for size in sizes {
            encode::table_size(*size, &mut block);
        }
        let _ = decode(&mut self.decoder, &block);
        for part in parts {
            let mut out = Vec::new();
            match part {
                Part::Indexed(index) => encode::indexed(self.existing(*index), &mut out),
                Part::Raw(bytes) => out.extend(bytes),
                Part::Literal { first, bits, name, value } => {
                    match name {
                        Name::Index(index) => {
                            integer::encode(*first, *bits, self.existing(*index), &mut out);
                        }
                        Name::Text(text) => {
                            out.push(*first);
                            string(text, &mut out);
                        }
                    }
                    string(value, &mut out);
                }
            }
            let _ = decode(&mut self.decoder, &out);
            block.extend(out);
        }
        block
    }

    /// The index itself if it is one of the static table, otherwise one of the dynamic table if
    /// that has an entry.
    fn existing(&mut self, index: usize) -> usize {
        let mut exists = |index: &usize| {
            let mut block = Vec::new();
            encode::indexed(*index, &mut block);
            decode(&mut self.decoder, &block).is_ok()
        };
        match (62..).take_while(&mut exists).count() {
            _ if index < 62 => index,
            0 => 1,
            count => 62 + index % count,
        }
    }
}

/// Writes a string, in Huffman code if its length is odd.
fn string(text: &[u8], out: &mut Vec<u8>) {
    if text.len().is_multiple_of(2) {
        integer::encode(0, 7, text.len(), out);
        out.extend(text);
        return;
    }
    let mut coded = Vec::new();
    huffman::encode(text.iter().copied(), &mut coded);
    integer::encode(0x80, 7, coded.len(), out);
    out.extend(coded);
}

proptest! {
    #[test]
    fn bytes_are_decoded_as_the_reference_does(blocks in vec(vec(any::<u8>(), 0..40), 1..6)) {
        check_header_blocks(blocks.iter().map(Vec::as_slice));
    }

    #[test]
    fn huffman_codes_are_decoded_as_the_reference_does(mut coded in vec(any::<u8>(), 0..64)) {
        let mut block = vec![0x04];
        integer::encode(0x80, 7, coded.len(), &mut block);
        block.append(&mut coded);
        check_header_blocks([&block[..]]);
    }

    #[test]
    fn integers_are_read_as_they_are_written(value in 0..1_usize << 28, first in any::<u8>()) {
        for bits in 4..=7 {
            let mut out = Vec::new();
            integer::encode(first & !((1 << bits) - 1), bits, value, &mut out);
            let (first, mut rest) = (out[0], &out[1..]);
            let read = match bits {
                4 => integer::decode::<4>(first, &mut rest),
                5 => integer::decode::<5>(first, &mut rest),
                6 => integer::decode::<6>(first, &mut rest),
                _ => integer::decode::<7>(first, &mut rest),
            };
            prop_assert_eq!((read, rest), (Ok(value), &[][..]));
        }
    }
}

proptest! {
    // The reference copies its table for each block.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn blocks_are_decoded_as_the_reference_does(blocks in vec(block(), 1..12)) {
        let mut writer = Writer { decoder: Decoder::new() };
        let blocks: Vec<_> = blocks.iter().map(|block| writer.write(block)).collect();
        check_header_blocks(blocks.iter().map(Vec::as_slice));
    }

    /// The table is filled and evicted many times, at any size.
    #[test]
    fn many_insertions_keep_the_table_in_step(
        size in 0..=4096_usize,
        lens in vec((0..8_usize, 0..300_usize), 1..100),
    ) {
        let mut blocks = vec![Vec::new()];
        encode::table_size(size, &mut blocks[0]);
        for (at, (name, value)) in lens.iter().enumerate() {
            let mut block = Vec::new();
            let value = vec![b'a' + (at % 26) as u8; *value];
            encode::field_indexed(format!("x-{name}").as_bytes(), &value, &mut block);
            blocks.push(block);
        }
        check_header_blocks(blocks.iter().map(Vec::as_slice));
    }
}
