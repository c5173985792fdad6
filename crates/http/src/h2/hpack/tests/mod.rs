//! Tests of the whole of HPACK.

mod errors;
mod examples;
mod properties;
mod stories;
mod tables;

use super::reference::check_header_blocks;
use super::{CompressionError, Decoder, huffman};

type Owned = (Vec<u8>, Vec<u8>);

/// Decodes a block to its fields, and checks that each says correctly where its name is from.
fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Owned>, CompressionError> {
    let (mut fields, mut scratch) = (Vec::new(), Vec::new());
    decoder.decode(block, &mut scratch, |field| {
        let static_name = usize::from(field.static_name);
        if static_name > 0 {
            assert_eq!(super::static_table::entry(static_name).name, field.name);
        }
        fields.push((field.name.to_vec(), field.value.to_vec()));
        true
    })?;
    Ok(fields)
}

fn owned(fields: &[(&str, &str)]) -> Vec<Owned> {
    fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}
