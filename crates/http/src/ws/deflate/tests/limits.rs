//! Messages that expand too much, and what compression leaves alone.

use super::*;

/// 10 MB of zeros, compressed.
fn bomb() -> Vec<u8> {
    let (mut sender, _) = Side::pair(&DeflateOptions::new(), &DeflateOptions::new());
    let bomb = sender.compress(&vec![0; 10_000_000]).unwrap();
    assert!(bomb.len() < 50_000);
    bomb
}

#[test]
fn a_message_is_at_most_as_long_as_allowed() {
    let (mut sender, _) = Side::pair(&DeflateOptions::new(), &DeflateOptions::new());
    for len in [520, 1024, 1030, 4096, 16 * 1024, 60_000] {
        let message = text(len, 7);
        let compressed = sender.compress(&message).unwrap();
        for step in [1, 7, compressed.len()] {
            let mut receiver = Side::any();
            let mut receive = |max| receiver.parts(compressed.chunks(step), max);
            assert_eq!(receive(len).as_ref(), Ok(&message), "{len}, {step}");
            assert_eq!(receive(len - 1), Err(InflateError::TooLarge), "{len}, {step}");
            assert_eq!(receive(0), Err(InflateError::TooLarge), "{len}, {step}");
        }
    }
    // An empty one is never too long.
    assert_eq!(Side::any().parts([&[0][..]], 0), Ok(Vec::new()));
}

#[test]
fn a_lower_limit_for_a_later_part_is_no_panic() {
    let (mut sender, mut receiver) = Side::pair(&DeflateOptions::new(), &DeflateOptions::new());
    let message = text(5000, 3);
    let compressed = sender.compress(&message).unwrap();
    let (first, second) = compressed.split_at(compressed.len() / 2);
    let mut out = Vec::new();
    let Side { memory, codec } = &mut receiver;
    assert_eq!(codec.inflate(memory, first, false, &mut out, 5000), Ok(()));
    out.shrink_to_fit();
    assert_eq!(codec.inflate(memory, second, true, &mut out, 1), Err(InflateError::TooLarge));
}

#[test]
fn a_bomb_is_refused_early() {
    let bomb = bomb();
    for step in [1, 1000, bomb.len()] {
        let mut receiver = Side::any();
        let mut out = Vec::new();
        let mut result = Ok(());
        for part in bomb.chunks(step) {
            let Side { memory, codec } = &mut receiver;
            result = codec.inflate(memory, part, false, &mut out, NO_LIMIT);
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, Err(InflateError::Ratio(200)), "{step}");
        let allowed = if step == bomb.len() { 200 * bomb.len() } else { 1_300_000 };
        assert!(out.capacity() <= 2 * allowed + 1, "{step}: {}", out.capacity());
        assert_eq!(receiver.codec.held(), 0);
    }
}

#[test]
fn the_ratio_is_limited_beyond_1_mib() {
    let (mut sender, _) = Side::pair(&DeflateOptions::new(), &DeflateOptions::new());
    let offer = "permessage-deflate";
    for (len, ratio, is_allowed) in [
        (1024 * 1024, 1, true),
        (1024 * 1024 + 1, 1, false),
        (1024 * 1024 + 1, 200, false),
        (1024 * 1024 + 1, 1100, true),
        (10_000_000, 1100, true),
        (10_000_000, usize::MAX, true),
    ] {
        let compressed = sender.compress(&vec![b'a'; len]).unwrap();
        let mut receiver = Side::server(offer, &DeflateOptions::new().max_ratio(ratio));
        let result = receiver.decompress(&compressed);
        assert_eq!(result.is_ok(), is_allowed, "{len}, {ratio}");
    }
    // The default lets text through.
    let message = text(1_000_000, 5);
    let compressed = sender.compress(&message).unwrap();
    assert_eq!(Side::any().parts(compressed.chunks(100), NO_LIMIT).as_ref(), Ok(&message));
}

#[test]
fn a_message_is_at_most_1024_streams() {
    for (count, expected) in [(1024, Ok(Vec::new())), (1025, Err(InflateError::Malformed))] {
        let streams = [3, 0].repeat(count);
        assert_eq!(Side::any().decompress(&streams), expected, "{count}");
        assert_eq!(Side::any().parts(streams.chunks(3), NO_LIMIT), expected, "{count}");
    }
}

#[test]
fn short_and_incompressible_messages_stay_as_they_are() {
    let noise = noise(3000);
    for takeover in [false, true] {
        let options = DeflateOptions::new().context_takeover(takeover);
        let (mut sender, mut receiver) = Side::pair(&options, &options);
        for _ in 0..3 {
            assert_eq!(sender.compress(&[b'a'; 511]), None);
            assert_eq!(sender.compress(&noise), None);
            // A message that is sent as it is, is not part of the context.
            let message = text(512, 3);
            let compressed = sender.compress(&message).unwrap();
            assert_eq!(receiver.decompress(&compressed).as_ref(), Ok(&message));
        }
    }
}

/// Its compressor can't make such a window, so it sends messages as they are.
#[test]
fn a_client_whose_server_allows_256_bytes_compresses_nothing() {
    let options = DeflateOptions::new();
    let answer = "permessage-deflate; server_no_context_takeover; client_max_window_bits=8";
    let agreed = confirm([answer.as_bytes()].into_iter(), &options).unwrap().unwrap();
    let mut client = Side::new(&agreed, &options);
    assert_eq!(client.compress(&text(1000, 1)), None);
    let mut server = Side::any();
    let message = text(1000, 1);
    let compressed = server.compress(&message).unwrap();
    assert_eq!(client.decompress(&compressed).as_ref(), Ok(&message));
}
