//! Random messages there and back, and random input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The server's and the client's options for every window, with and without context takeover.
fn all_options() -> impl Iterator<Item = DeflateOptions> {
    let options = |bits| {
        [false, true].map(|takeover| {
            DeflateOptions::new().context_takeover(takeover).window_bits(bits).min_len(1)
        })
    };
    (9..=15).flat_map(options)
}

#[test]
fn all_windows_in_both_directions() {
    for server in all_options() {
        for client in all_options() {
            let (mut server, mut client) = Side::pair(&server, &client);
            for seed in 0..2 {
                for len in [100, 10_000] {
                    let message = text(len, seed);
                    let compressed = server.compress(&message).unwrap();
                    assert_eq!(client.decompress(&compressed).as_ref(), Ok(&message));
                    let compressed = client.compress(&message).unwrap();
                    assert_eq!(server.decompress(&compressed).as_ref(), Ok(&message));
                }
            }
        }
    }
}

#[test]
fn references_reach_back_as_far_as_the_client_allows() {
    for bits in 9..=15 {
        for level in [1, 2, 6, 9] {
            for takeover in [false, true] {
                let options = DeflateOptions::new().context_takeover(takeover).level(level);
                let options = options.window_bits(15);
                let offer = format!("permessage-deflate; server_max_window_bits={bits}");
                let mut server = Side::server(&offer, &options);
                let (mut out, mut greatest) = (Vec::new(), 0);
                for len in [520, 20_000, 600] {
                    let message = text(len, 9);
                    let compressed = server.compress(&message).unwrap();
                    if !takeover {
                        out.clear();
                    }
                    let start = out.len();
                    greatest = greatest.max(reference::decompress(&compressed, &mut out));
                    assert!(out[start..] == message, "{bits}, {level}, {takeover}");
                }
                let window = 1 << bits;
                let expected = (window / 3).min(4000)..=window;
                assert!(expected.contains(&greatest), "{bits}, {level}, {takeover}: {greatest}");
            }
        }
    }
}

#[test]
fn context_takeover_makes_messages_smaller_and_windows_reach_back() {
    let lens = |takeover, bits| {
        let options = DeflateOptions::new().context_takeover(takeover).window_bits(bits);
        let (mut server, mut client) = Side::pair(&options, &options);
        let message = text(1500, 1);
        let other = text(3000, 77);
        [&message, &message, &other, &message].map(|message| {
            let compressed = server.compress(message).unwrap();
            assert_eq!(client.decompress(&compressed).as_ref(), Ok(message));
            compressed.len()
        })
    };
    let [first, second, _, fourth] = lens(false, 11);
    assert_eq!((first, first), (second, fourth));
    let [first, second, _, fourth] = lens(true, 11);
    assert!(second < first / 10 && fourth > first / 2, "{first}, {second}, {fourth}");
    let [first, _, _, fourth] = lens(true, 13);
    assert!(fourth < first / 10, "{first}, {fourth}");
}

#[test]
fn fragments_split_at_every_byte() {
    for takeover in [false, true] {
        let options = DeflateOptions::new().context_takeover(takeover).min_len(1);
        let (mut server, mut client) = Side::pair(&options, &options);
        for seed in 0..2 {
            let message = text(700, seed);
            let len = server.compress(&message).unwrap().len();
            client = Side { codec: Side::pair(&options, &options).1.codec, ..client };
            server = Side { codec: Side::pair(&options, &options).0.codec, ..server };
            for at in 0..=len {
                let compressed = server.compress(&message).unwrap();
                let (first, second) = compressed.split_at(at.min(compressed.len()));
                assert_eq!(client.parts([first, second], NO_LIMIT).as_ref(), Ok(&message));
            }
            let compressed = server.compress(&message).unwrap();
            assert_eq!(client.parts(compressed.chunks(1), NO_LIMIT).as_ref(), Ok(&message));
        }
    }
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let noise = vec(any::<u8>(), 0..2000);
    let letters = vec(b'a'..=b'c', 0..5000);
    let long = (0usize..150_000, any::<u32>()).prop_map(|(len, seed)| text(len, seed));
    let zeros = (0usize..60_000).prop_map(|len| vec![0; len]);
    vec(prop_oneof![noise, letters, long, zeros], 1..6)
}

proptest! {
    #[test]
    fn round_trips(
        messages in messages(),
        takeover: [bool; 2],
        bits in [9u8..=15, 9u8..=15],
        level in 1u8..=9,
        step in 1usize..3000,
    ) {
        let [server, client] = [0, 1].map(|at| {
            let options = DeflateOptions::new().context_takeover(takeover[at]).level(level);
            options.window_bits(bits[at]).min_len(1).max_ratio(2000)
        });
        let (mut server, mut client) = Side::pair(&server, &client);
        for message in &messages {
            for is_from_server in [true, false] {
                let (sender, receiver) = match is_from_server {
                    true => (&mut server, &mut client),
                    false => (&mut client, &mut server),
                };
                if let Some(compressed) = sender.compress(message) {
                    prop_assert!(compressed.len() < message.len());
                    let result = receiver.parts(compressed.chunks(step), message.len());
                    prop_assert_eq!(result.as_ref(), Ok(message));
                }
            }
        }
    }

    #[test]
    fn garbage_ends_in_a_result_within_the_limits(
        parts in vec(vec(any::<u8>(), 0..50), 1..6), takeover: bool, max in 0usize..5000,
    ) {
        let options = DeflateOptions::new().context_takeover(takeover);
        let mut side = Side::server("permessage-deflate; client_max_window_bits", &options);
        for _ in 0..2 {
            match side.parts(parts.iter().map(Vec::as_slice), max) {
                Ok(message) => prop_assert!(message.len() <= max),
                Err(_) => prop_assert!(side.codec.held() <= 2048),
            }
        }
    }

    #[test]
    fn changed_messages_end_in_a_result(
        seed: u32, changes in vec((0usize..700, any::<u8>()), 1..4), cut in 0usize..1000,
    ) {
        let (mut server, mut client) = Side::pair(&DeflateOptions::new(), &DeflateOptions::new());
        let message = text(1000, seed);
        let mut compressed = server.compress(&message).unwrap();
        for (at, byte) in changes {
            let len = compressed.len();
            compressed[at % len] = byte;
        }
        compressed.truncate(cut);
        let whole = client.decompress(&compressed);
        let parts = client.parts(compressed.chunks(1).chain([&[][..]]), NO_LIMIT);
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn fields_are_parsed_without_a_panic(
        field in "(permessage-deflate|;|,|=| |\"|\\\\|server_max_window_bits|client_max_window_bits|[0-9]{1,2}|é|x){0,12}",
    ) {
        let options = DeflateOptions::new().context_takeover(true);
        let fields = || [field.as_bytes()].into_iter();
        if let Ok(Some(agreed)) = accept(fields(), &options) {
            let answer = agreed.answer().to_string();
            prop_assert!(accept([answer.as_bytes()].into_iter(), &options).is_ok());
        }
        let _ = confirm(fields(), &options);
    }
}
