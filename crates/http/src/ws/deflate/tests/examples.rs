//! The examples of RFC 7692, 7.2.3, and messages of other senders.

use super::*;

const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const HELLO_WITH_FINAL_BLOCK: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];

fn with_takeover() -> Side {
    let options = DeflateOptions::new().context_takeover(true);
    Side::server("permessage-deflate; client_max_window_bits", &options)
}

#[test]
fn messages_of_the_rfc() {
    let stored = [&[0x00, 0x05, 0x00, 0xfa, 0xff], &b"Hello"[..], &[0x00]].concat();
    let mut two_blocks = vec![0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff];
    two_blocks.extend([0xca, 0xc9, 0xc9, 0x07, 0x00]);
    for (name, data, message) in [
        ("7.2.3.1, one block", HELLO, "Hello"),
        ("7.2.3.3, a block without compression", &stored, "Hello"),
        ("7.2.3.4, a final block", HELLO_WITH_FINAL_BLOCK, "Hello"),
        ("7.2.3.5, two blocks", &two_blocks, "Hello"),
        ("7.2.3.6, an empty message", &[0x00], ""),
        ("an empty message of zlib", &[0x02, 0x00], ""),
        ("an empty message without data", &[], ""),
        ("a final block alone", &HELLO_WITH_FINAL_BLOCK[..7], "Hello"),
        ("a final block without data", &[0x03, 0x00], ""),
        (
            "three final blocks",
            &[HELLO_WITH_FINAL_BLOCK.split_last().unwrap().1, &[3, 0, 3, 0], HELLO].concat(),
            "HelloHello",
        ),
    ] {
        for takeover in [false, true] {
            let mut side = if takeover { with_takeover() } else { Side::any() };
            for _ in 0..2 {
                let result = side.decompress(data);
                assert_eq!(result.as_deref(), Ok(message.as_bytes()), "{name}, {takeover}");
                // Output that just fits.
                let mut out = Vec::with_capacity(message.len());
                let Side { memory, codec } = &mut side;
                codec.inflate(memory, data, true, &mut out, message.len()).unwrap();
                assert_eq!(out, message.as_bytes(), "{name}, {takeover}");
                for at in 0..=data.len() {
                    let (first, second) = data.split_at(at);
                    let result = side.parts([first, &[], second], NO_LIMIT);
                    assert_eq!(result.as_deref(), Ok(message.as_bytes()), "{name}, {at}");
                }
                let result = side.parts(data.chunks(1).chain([&[][..]]), NO_LIMIT);
                assert_eq!(result.as_deref(), Ok(message.as_bytes()), "{name} by bytes");
            }
        }
    }
}

/// RFC 7692, 7.2.3.2.
#[test]
fn a_message_refers_to_the_one_before_it() {
    let second: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];
    for first in [HELLO, HELLO_WITH_FINAL_BLOCK] {
        let mut side = with_takeover();
        assert_eq!(side.decompress(first).as_deref(), Ok(&b"Hello"[..]));
        assert_eq!(side.decompress(second).as_deref(), Ok(&b"Hello"[..]));
    }
    let mut side = Side::any();
    assert_eq!(side.decompress(HELLO).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(side.decompress(second), Err(InflateError::Malformed));
}

#[test]
fn the_compressor_makes_the_examples() {
    for takeover in [false, true] {
        let options = DeflateOptions::new().min_len(0).level(6).context_takeover(takeover);
        let (mut server, mut client) = Side::pair(&options, &options);
        for side in [&mut server, &mut client] {
            // "Hello" alone would grow.
            assert_eq!(side.compress(b"Hello"), None);
            assert_eq!(side.compress(b""), None);
            assert_eq!(side.compress(b"HelloHelloHello").unwrap()[..5], HELLO[..5]);
            let second = side.compress(b"HelloHelloHello").unwrap();
            assert_eq!(second.starts_with(&HELLO[..5]), !takeover);
        }
    }
}

#[test]
fn malformed_messages() {
    let unstripped = [HELLO, &[0x00, 0x00, 0xff, 0xff]].concat();
    // The header of a block with codes of its own, and nothing after it.
    let header = &[0x04, 0xc0, 0x31];
    for (name, data) in [
        ("the sender has not removed its tail", &unstripped[..]),
        ("the block does not end", &HELLO[..5]),
        ("the block lacks its last byte", &HELLO[..6]),
        ("a block without compression does not end", &[0x00, 0x05, 0x00, 0xfa, 0xff, b'H']),
        ("it lacks as many bytes as are appended", &[0x00, 0x05, 0x00, 0xfa, 0xff, b'H', b'H']),
        ("it lacks a byte more", &[0x00, 0x04, 0x00, 0xfb, 0xff]),
        ("the length is wrong", &[0x00, 0x05, 0x00, 0xfa, 0xfe]),
        ("the length is cut", &[0x00, 0x05, 0x00]),
        ("a block of type 3", &[0xff]),
        ("a header is cut", header),
        ("a reference before the message", &[0xf2, 0x00, 0x11, 0x00, 0x00]),
        ("a zlib header", &[0x78, 0x9c, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
    ] {
        for takeover in [false, true] {
            let mut side = if takeover { with_takeover() } else { Side::any() };
            assert_eq!(side.decompress(data), Err(InflateError::Malformed), "{name}");
            let parts = data.chunks(1).chain([&[][..]]);
            assert_eq!(side.parts(parts, NO_LIMIT), Err(InflateError::Malformed), "{name}");
            // The memory is as good as new.
            let mut next = Side { memory: side.memory, codec: Side::any().codec };
            assert_eq!(next.decompress(HELLO).as_deref(), Ok(&b"Hello"[..]), "{name}");
        }
    }
}

/// A reference over 257 to 512 bytes needs a window of 9 bits.
#[test]
fn references_reach_back_as_far_as_the_window_that_was_agreed_on() {
    let options = DeflateOptions::new().context_takeover(true).window_bits(10);
    for (bits, kept) in [("=9", 512), ("=10", 1024), ("=15", 1024), ("", 1024)] {
        let offer = format!("permessage-deflate; client_max_window_bits{bits}");
        for (distance, is_valid) in [(kept, true), (kept + 1, false)] {
            let mut side = Side::server(&offer, &options);
            let first = text(1500, 1);
            let mut stored = vec![0x00];
            stored.extend((first.len() as u16).to_le_bytes());
            stored.extend((!(first.len() as u16)).to_le_bytes());
            stored.extend(&first);
            stored.push(0x00);
            assert_eq!(side.decompress(&stored).as_ref(), Ok(&first));

            // A block with fixed codes: length 3, and a distance of 513 and more.
            let (code, base, extra) = match distance {
                257..=384 => unreachable!("no such row"),
                385..=512 => (17, 385, 7),
                513..=768 => (18, 513, 8),
                769..=1024 => (19, 769, 8),
                _ => (20, 1025, 9),
            };
            let code: u32 = code;
            let mut bits = Bits::default();
            bits.push(0b010, 3).push(0b100_0000, 7).push(code.reverse_bits() >> 27, 5);
            bits.push((distance - base) as u32, extra).push(0, 7).push(0, 3);
            let expected = if is_valid {
                Ok(first[first.len() - distance..][..3].to_vec())
            } else {
                Err(InflateError::Malformed)
            };
            assert_eq!(side.decompress(&bits.bytes), expected, "{offer}, {distance}");
        }
    }
}
