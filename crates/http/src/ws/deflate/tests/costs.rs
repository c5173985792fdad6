//! Memory of the worker, of a connection, and of a message.

use allocation_counter::measure;

use super::*;
use crate::ws::deflate::codec::DECOMPRESSOR;

#[test]
fn a_message_allocates_nothing_without_context_takeover() {
    for takeover in [false, true] {
        let options = DeflateOptions::new().context_takeover(takeover);
        let (mut sender, mut receiver) = Side::pair(&options, &options);
        let (mut compressed, mut out) = (Vec::new(), Vec::new());
        let message = text(5000, 1);
        for round in 0..3 {
            let info = measure(|| {
                compressed.clear();
                out.clear();
                let Side { memory, codec } = &mut sender;
                assert!(codec.deflate(memory, &message, &mut compressed));
                let Side { memory, codec } = &mut receiver;
                let parts = compressed.chunks(1000);
                let count = parts.len();
                for (at, part) in parts.enumerate() {
                    codec.inflate(memory, part, at + 1 == count, &mut out, NO_LIMIT).unwrap();
                }
            });
            assert_eq!(out, message);
            assert_eq!(info.count_total == 0, round > 0, "round {round}: {info:?}");
        }
    }
}

#[test]
fn an_incompressible_message_allocates_its_output_only() {
    for level in 1..=9 {
        let (mut sender, mut receiver) =
            Side::pair(&DeflateOptions::new().level(level), &DeflateOptions::new());
        let (noise, text) = (noise(200_000), text(5000, 1));
        for round in 0..2 {
            for len in [512, 513, 1000, 65_535, 65_536, 200_000] {
                let Side { memory, codec } = &mut sender;
                let mut out = Vec::new();
                let info = measure(|| {
                    // A compressor that was discarded would be made again.
                    assert!(!codec.deflate(memory, &noise[..len], &mut out));
                    assert!(!codec.deflate(memory, &noise[..len], &mut out));
                });
                // The compressor, and the output.
                let expected = if round + len == 512 { 3 } else { 1 };
                assert_eq!(info.count_total, expected, "{level}, {len}");
                let compressed = sender.compress(&text).unwrap();
                assert_eq!(receiver.decompress(&compressed).as_ref(), Ok(&text));
            }
        }
    }
}

#[test]
fn a_connection_holds_what_it_says() {
    for (takeover, bits) in [(false, 11), (true, 9), (true, 11), (true, 15)] {
        let options = DeflateOptions::new().context_takeover(takeover).window_bits(bits);
        let (servers, _) = negotiate(&options, &options);
        let (mut sender, _) = Side::pair(&options, &options);
        let compressed = sender.compress(&text(100_000, 1)).unwrap();
        let mut memory = DeflateMemory::default();
        // Keeps the memory of the worker apart.
        let mut other = Codec::new(&servers, &options);
        let (mut out, mut buffer) = (Vec::with_capacity(300_000), Vec::with_capacity(300_000));
        assert!(other.deflate(&mut memory, &text(100_000, 1), &mut buffer));
        other.inflate(&mut memory, &compressed, true, &mut out, NO_LIMIT).unwrap();

        let mut codec = Codec::new(&servers, &options);
        assert_eq!(codec.held(), 0);
        let mut held = 0;
        for message in [600, 5000, 100_000, 600] {
            buffer.clear();
            out.clear();
            let message = text(message, 1);
            let info = measure(|| {
                assert!(codec.deflate(&mut memory, &message, &mut buffer));
                out.clear();
            });
            held += info.bytes_current;
            let (mut client, _) = Side::pair(&options, &options);
            let compressed = client.compress(&message).unwrap();
            let mut receiver = Codec::new(&servers, &options);
            let info = measure(|| {
                receiver.inflate(&mut memory, &compressed, true, &mut out, NO_LIMIT).unwrap();
            });
            assert_eq!(receiver.held() as i64, info.bytes_current, "{takeover}, {bits}");
            assert_eq!(codec.held() as i64, held, "{takeover}, {bits}");
        }
        let most = if takeover { 1 << bits } else { 0 };
        assert_eq!(codec.held(), most);
    }
}

#[test]
fn a_part_of_a_message_holds_a_decompressor() {
    let mut side = Side::any();
    let mut out = Vec::new();
    let info = measure(|| {
        let Side { memory, codec } = &mut side;
        codec.inflate(memory, &[0xf2], false, &mut out, NO_LIMIT).unwrap();
    });
    let used = info.bytes_current - out.capacity() as i64;
    assert_eq!(side.codec.held(), DECOMPRESSOR);
    assert!((used..used + 2048).contains(&(DECOMPRESSOR as i64)), "{used}");
    let Side { memory, codec } = &mut side;
    let rest = [0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    codec.inflate(memory, &rest, true, &mut out, NO_LIMIT).unwrap();
    assert_eq!(codec.held(), 0);
}

/// The figures in the documentation of [`DeflateMemory`].
#[test]
fn the_memory_of_a_worker_is_bounded() {
    let mut memory = DeflateMemory::default();
    let message = text(100_000, 1);
    let mut out = Vec::with_capacity(200_000);
    let mut offers = vec!["permessage-deflate".to_owned()];
    for bits in 9..15 {
        offers.push(format!("permessage-deflate; server_max_window_bits={bits}"));
    }
    let mut held = 0;
    for (at, offer) in offers.iter().enumerate() {
        let mut sides: Vec<_> =
            (0..20).map(|_| Side::server(offer, &DeflateOptions::new()).codec).collect();
        let info = measure(|| {
            for codec in &mut sides {
                out.clear();
                assert!(codec.deflate(&mut memory, &message, &mut out));
                codec.inflate(&mut memory, &[0xf2], false, &mut out, NO_LIMIT).unwrap();
            }
            let rest = [0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
            for codec in &mut sides {
                codec.inflate(&mut memory, &rest, true, &mut out, NO_LIMIT).unwrap();
            }
        });
        held += info.bytes_current;
        if at == 0 {
            assert!((500_000..560 * 1024).contains(&held), "{held}");
        }
    }
    assert!((2_000_000..2_200 * 1024).contains(&held), "{held}");
}
