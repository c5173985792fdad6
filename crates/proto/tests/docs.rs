//! What `docs/` says in bytes and numbers is true.

#![forbid(unsafe_code)]

use std::rc::Rc;

use sockeye_proto::harness::Harness;
use sockeye_proto::message::reference::Reference;
use sockeye_proto::message::{Id, Limits, Server};

const MESSAGE: &str = include_str!("../../../docs/message.md");

/// The bytes of each block of this kind: an offset, sixteen bytes and their text on a line.
fn blocks(kind: &str) -> Vec<Vec<u8>> {
    let begin = format!("```hex {kind}\n");
    let blocks = MESSAGE.split(&begin).skip(1);
    blocks.map(|rest| bytes(rest.split("```").next().unwrap())).collect()
}

fn bytes(block: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in block.lines() {
        let (offset, rest) = line.split_once("  ").unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let (hex, text) = rest.split_at(3 * 16 - 1);
        let row: Vec<u8> =
            hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let shown: String = row
            .iter()
            .map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' })
            .collect();
        assert_eq!(text, format!("  |{shown}|"), "{line}");
        bytes.extend(row);
    }
    bytes
}

// The page's replies are those of a little-endian machine.
#[cfg(target_endian = "little")]
#[test]
fn every_exchange_on_the_page_about_messages_is_what_the_server_says() {
    let (requests, replies) = (blocks("request"), blocks("reply"));
    assert_eq!((requests.len(), replies.len()), (3, 3));
    for (request, reply) in requests.iter().zip(&replies) {
        for drip in [false, true] {
            let server = Server::new(Rc::new(Limits::default()), Reference::default());
            let mut client = Harness::new(server);
            if drip {
                client.drip(request);
            } else {
                client.input(request);
            }
            assert_eq!(
                client.output().escape_ascii().to_string(),
                reply.escape_ascii().to_string()
            );
        }
    }
    let [request, reply] = [&requests[0], &replies[0]].map(Vec::len);
    for says in [format!("a search, {request} bytes"), format!("with {reply} bytes")] {
        assert!(MESSAGE.contains(&says), "{says}");
    }
}

#[test]
fn the_limits_on_the_page_about_messages_are_the_defaults() {
    let limits = Limits::default();
    for line in [
        format!("| header | {},{:03} bytes |", limits.header / 1000, limits.header % 1000),
        format!("| content | {} MiB |", limits.content >> 20),
        format!(
            "| requests of one connection that wait for their answers | {} |",
            limits.in_flight
        ),
        format!("| a header, from its first byte | {} s |", limits.header_timeout.as_secs()),
        format!("| content that makes no progress | {} s |", limits.content_timeout.as_secs()),
        format!("| the first byte of a frame | {} s |", limits.idle_timeout.as_secs()),
        format!("at most {}\nbytes as written", Id::MAX_LEN),
    ] {
        assert!(MESSAGE.contains(&line), "{line}");
    }
}
