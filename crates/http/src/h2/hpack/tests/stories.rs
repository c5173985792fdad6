//! Header blocks of other encoders: see `tests/data/hpack/README.md`.

use std::collections::HashMap;

use super::*;
use crate::h2::hpack::encode;

const STORIES: &str = include_str!("../../../../tests/data/hpack/stories.txt");

#[test]
fn blocks_of_other_encoders_are_decoded_and_encoded_again() {
    let (mut blocks, mut again) = (HashMap::new(), 0);
    for story in STORIES.split("# ").skip(1) {
        let mut decoders: HashMap<&str, (Decoder, Vec<Vec<u8>>)> = HashMap::new();
        let mut ours = [Decoder::new(), Decoder::new(), Decoder::new()];
        let (number, cases) = story.split_once('\n').unwrap();
        for case in cases.split("\n\n") {
            let mut fields: Vec<Owned> = Vec::new();
            for line in case.lines() {
                let Some(line) = line.strip_prefix("= ") else {
                    let end = line[1..].find('=').unwrap() + 1;
                    fields.extend(owned(&[(&line[..end], &line[end + 1..])]));
                    continue;
                };
                let (encoder, block) = line.split_once(' ').unwrap();
                let block = unhex(block);
                let new = || (Decoder::new(), Vec::new());
                let (decoder, sent) = decoders.entry(encoder).or_insert_with(new);
                assert_eq!(decode(decoder, &block).as_ref(), Ok(&fields), "{encoder}, {number}");
                sent.push(block);
                *blocks.entry(encoder).or_insert(0) += 1;
            }
            for (way, decoder) in ours.iter_mut().enumerate() {
                let mut block = Vec::new();
                for (name, value) in &fields {
                    match way {
                        0 => encode::field(name, value, false, &mut block),
                        1 => encode::field(name, value, true, &mut block),
                        _ => encode::field_indexed(name, value, &mut block),
                    }
                }
                assert_eq!(decode(decoder, &block).as_ref(), Ok(&fields), "again, {number}");
                again += 1;
            }
        }
        for (_, sent) in decoders.values() {
            check_header_blocks(sent.iter().map(Vec::as_slice));
        }
    }
    assert_eq!(blocks.len(), 4);
    assert!(blocks.values().all(|count| *count == 63), "{blocks:?}");
    assert_eq!(again, 3 * 63);
}
