//! States that connections share.

use flate2::FlushCompress;

use super::*;

/// The settings of each connection are its own, and so are their contexts.
#[test]
fn connections_share_states() {
    let offers = [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits; server_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    ];
    let mut sides = Vec::new();
    for level in [1, 9, 2] {
        for takeover in [true, false] {
            for offer in offers {
                let options = DeflateOptions::new().level(level).context_takeover(takeover);
                let own = Side::server(offer, &options);
                sides.push((Side::server(offer, &options).codec, own));
            }
        }
    }
    let mut memory = DeflateMemory::default();
    for seed in 0..3 {
        let mut parts = Vec::new();
        let message = text(3000, seed);
        for (codec, own) in &mut sides {
            let mut compressed = Vec::new();
            assert!(codec.deflate(&mut memory, &message, &mut compressed));
            assert_eq!(own.compress(&message).as_ref(), Some(&compressed));
            parts.push((compressed, Vec::new()));
        }
        // Each message is decompressed while all others are incomplete.
        for at in [0, 1, 2] {
            for ((codec, _), (compressed, out)) in sides.iter_mut().zip(&mut parts) {
                let third = compressed.len() / 3;
                let part = [0..third, third..2 * third, 2 * third..compressed.len()][at].clone();
                let part = &compressed[part];
                codec.inflate(&mut memory, part, at == 2, out, NO_LIMIT).unwrap();
            }
        }
        for (_, out) in parts {
            assert_eq!(out, message);
        }
    }
}

#[test]
fn a_higher_level_makes_messages_smaller() {
    let len = |level| {
        let options = DeflateOptions::new().level(level);
        Side::server("permessage-deflate", &options).compress(&text(5000, 1)).unwrap().len()
    };
    assert!(len(1) > len(9), "{}, {}", len(1), len(9));
}

#[test]
fn a_compressor_that_still_has_output_is_discarded() {
    let (mut sender, mut receiver) = Side::pair(&DeflateOptions::new(), &DeflateOptions::new());
    for level in 1..=9 {
        let mut out = Vec::with_capacity(100);
        let compressor = sender.memory.compressor(15, level, &[]);
        compressor.compress_vec(&noise(200_000), &mut out, FlushCompress::Sync).unwrap();
        assert_eq!(out.len(), out.capacity());
        sender.memory.discard_compressor(15);

        sender.codec =
            Side::server("permessage-deflate", &DeflateOptions::new().level(level)).codec;
        let message = text(200_000, 1);
        let compressed = sender.compress(&message).unwrap();
        assert_eq!(receiver.decompress(&compressed).as_ref(), Ok(&message), "{level}");
    }
}
