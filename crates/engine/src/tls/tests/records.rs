//! Records in and out, and what is not a record.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustls::AlertDescription;
use sockeye_proto::{FileRange, FileSource, Output};

use super::{NOW, Pair, assert_is_failed, refused, server};
use crate::driver::{Epoll, QUANTUM};
use crate::tls::connection::MAX_UNUSED;
use crate::tls::limits::may_complete_message;
use crate::tls::{Secure, Tls, TlsError};

#[test]
fn plaintext_passes_both_ways_however_records_are_split() {
    for step in [1, 2, 3, 5, 100, usize::MAX] {
        let mut pair = Pair::new();
        pair.run(step).unwrap();
        assert!(!pair.server.is_handshaking() && !pair.client.is_handshaking());
        assert_eq!(pair.server.unused(), 0);
        let request: Vec<u8> = (0..40_000_u32).map(|at| at as u8).collect();
        pair.client.writer().write_all(&request).unwrap();
        pair.run(step).unwrap();
        assert_eq!(pair.received, request);
        let mut records = Vec::new();
        let response: Vec<u8> = (0..15_000_u32).map(|at| (at / 7) as u8).collect();
        pair.server.seal(&response, &mut records).unwrap();
        pair.server.close(&mut records);
        pair.deliver_to_client(&records).unwrap();
        assert_eq!(pair.received_by_client(), response);
        pair.client.send_close_notify();
        pair.run(step).unwrap();
        assert!(pair.server.is_closed_by_peer());
    }
}

#[test]
fn what_is_not_tls_gets_an_alert() {
    let (error, out) = refused(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(error.fault().code, "tls_malformed");
    assert_eq!(out.first(), Some(&21), "an alert: {out:?}");
}

#[test]
fn an_error_in_the_middle_of_a_handshake_message_is_an_error() {
    // The beginning of a client hello, then another record: rustls keeps where the beginning is.
    let input = b"\x16\x03\x01\0\x05\x01\0\0\x64\0\x17\x03\x03\0\x01\0";
    for step in 1..=input.len() {
        let (mut server, mut out) = (server(), Vec::new());
        let result = input
            .to_vec()
            .chunks_mut(step)
            .try_for_each(|piece| server.read(NOW, piece, &mut out, |_| panic!("no plaintext")));
        assert_eq!(result.unwrap_err().fault().code, "tls_malformed");
        assert_is_failed(&mut server);
    }
}

#[test]
fn a_corrupt_record_fails_the_connection_for_good() {
    let mut pair = Pair::connected();
    pair.client.writer().write_all(b"whole").unwrap();
    let mut records = pair.records();
    pair.client.writer().write_all(b"corrupt").unwrap();
    let mut corrupt = pair.records();
    corrupt[8] ^= 1;
    records.append(&mut corrupt);
    // The beginning of one more.
    records.extend([23, 3, 3, 0, 99, 1, 2, 3]);
    let (result, out) = pair.read(&mut records);
    assert_eq!(result.unwrap_err().fault().code, "tls_malformed");
    assert_eq!(pair.received, b"whole");
    let error = pair.deliver_to_client(&out).unwrap_err();
    assert_eq!(error, rustls::Error::AlertReceived(AlertDescription::BadRecordMac));
    assert_is_failed(&mut pair.server);
}

#[test]
fn a_panic_of_our_code_fails_one_connection() {
    let mut pair = Pair::connected();
    pair.client.writer().write_all(b"Hello").unwrap();
    let mut records = pair.records();
    let result = pair.server.read(NOW, &mut records, &mut Vec::new(), |_| panic!("on purpose"));
    assert!(matches!(result, Err(TlsError::Panicked)), "{result:?}");
    assert_is_failed(&mut pair.server);
}

#[test]
fn an_incomplete_record_keeps_no_more_memory_than_it_needs() {
    let mut pair = Pair::connected();
    let mut records = Vec::new();
    for _ in 0..4 {
        pair.client.writer().write_all(&[1; 60_000]).unwrap();
        records.append(&mut pair.records());
    }
    for piece in records.chunks_mut(50_000) {
        let (result, _) = pair.read(piece);
        result.unwrap();
        assert!(pair.server.unused_capacity() <= MAX_UNUSED, "{}", pair.server.unused_capacity());
    }
    assert!(pair.received == [1; 240_000]);
}

#[test]
fn nothing_is_read_after_close_notify() {
    let mut pair = Pair::connected();
    pair.client.writer().write_all(b"last").unwrap();
    pair.client.send_close_notify();
    let mut records = pair.records();
    records.extend([23; 100]);
    pair.read(&mut records).0.unwrap();
    assert!(pair.server.is_closed_by_peer());
    assert_eq!((&pair.received[..], pair.server.unused()), (&b"last"[..], 0));
    for _ in 0..100 {
        pair.read(&mut [0; 1000]).0.unwrap();
    }
    assert_eq!(pair.server.unused_capacity(), 0);
    let mut records = Vec::new();
    pair.server.seal(b"answer", &mut records).unwrap();
    pair.deliver_to_client(&records).unwrap();
    assert_eq!(pair.received_by_client(), b"answer");
}

#[test]
fn key_updates_are_answered_and_a_flood_ends_the_connection() {
    let mut pair = Pair::connected();
    for round in 0..100_u8 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.run(usize::MAX).unwrap();
        pair.client.writer().write_all(&[round]).unwrap();
        pair.run(usize::MAX).unwrap();
        let mut records = Vec::new();
        pair.server.seal(&[round], &mut records).unwrap();
        pair.deliver_to_client(&records).unwrap();
        assert_eq!(pair.received_by_client(), [round]);
    }
    assert_eq!(pair.received, (0..100).collect::<Vec<u8>>());
    let flooded = (0..1000).find_map(|_| {
        pair.client.refresh_traffic_keys().unwrap();
        pair.run(usize::MAX).err()
    });
    assert_eq!(flooded.expect("an end").fault().code, "tls_malformed");
    assert_is_failed(&mut pair.server);
}

/// The lengths in the headers of `records`.
fn lengths(mut records: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, after @ ..] = records {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(len);
        records = &after[len..];
    }
    lengths
}

#[test]
fn records_are_small_at_the_beginning() {
    let mut pair = Pair::connected();
    let lengths = |server: &mut Tls, count: usize| {
        let mut records = Vec::new();
        server.seal(&vec![0; count], &mut records).unwrap();
        lengths(&records)
    };
    assert!(lengths(&mut pair.server, 30_000).iter().all(|len| *len < 1400));
    lengths(&mut pair.server, 10_000);
    assert_eq!(lengths(&mut pair.server, 16_384).len(), 1);
    pair.server.reset_record_size();
    assert!(lengths(&mut pair.server, 10_000).iter().all(|len| *len < 1400));
}

#[test]
fn a_message_is_whole_with_its_last_byte_however_it_is_split() {
    let in_one = [&[22, 3, 1, 1, 2, 1, 0, 0, 0xfe][..], &[7; 0xfe]].concat();
    let in_two = [&[22, 3, 1, 0, 9, 1, 0, 0, 9][..], &[7; 5], &[22, 3, 1, 0, 4], &[7; 4]].concat();
    let short = [22, 3, 1, 0, 3, 1, 0, 0];
    let other = [20, 3, 3, 0, 1, 1];
    // Where it may be whole: the header of the second record isn't looked at.
    for (records, whole) in
        [(&in_one[..], in_one.len()), (&in_two, in_two.len() - 5), (&short, 8), (&other, 6)]
    {
        for end in 0..=records.len() {
            for split in [0, 1, 4, 5, 6, end] {
                let (unused, input) = records[..end].split_at(split.min(end));
                assert_eq!(may_complete_message(unused, input), end >= whole, "{split} {end}");
            }
        }
    }
}

/// A file of zeros.
#[derive(Debug)]
struct Zeros;

impl FileSource for Zeros {
    fn read_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The lengths of the records that `plain` becomes, and how many calls sealed them.
fn records_of(server: Tls, mut plain: Output) -> (Vec<usize>, usize) {
    let mut driver = Epoll::new().unwrap();
    let (mut secure, mut out, mut buffer) = (Secure::new(server, true), Output::new(), Vec::new());
    let mut calls = 0;
    while !plain.is_empty() {
        let sealed = secure.seal_front(&mut driver, &plain, QUANTUM, &mut buffer, &mut out);
        plain.advance(sealed.unwrap() as u64);
        calls += 1;
    }
    (lengths(out.plain().unwrap()), calls)
}

#[test]
fn consecutive_parts_share_records() {
    const FRAME: u64 = 16 * 1024;
    for kind in 0..3 {
        let mut pair = Pair::connected();
        // Small records are over.
        pair.server.seal(&[0; 40_000], &mut Vec::new()).unwrap();
        let mut plain = Output::new();
        for _ in 0..8 {
            plain.write(b"a header.");
            match kind {
                0 => plain.write(&[0; FRAME as usize]),
                1 => plain.write_shared(vec![0; FRAME as usize].into()),
                _ => {
                    let source = Arc::new(Zeros);
                    plain.write_file(FileRange { source, offset: 0, len: FRAME });
                }
            }
        }
        let (records, calls) = records_of(pair.server, plain);
        // 8 of 16 KiB, and 72 bytes; each with 5 bytes of header, 16 of tag and 1 of type.
        let mut expected = vec![FRAME as usize + 17; 8];
        expected.push(8 * 9 + 17);
        assert_eq!(records, expected, "{kind}");
        assert!(calls <= 3, "{calls}");
    }
}

#[test]
fn records_are_small_at_the_beginning_whatever_they_are_made_of() {
    let mut plain = Output::new();
    for _ in 0..3 {
        plain.write(b"a header.");
        plain.write_file(FileRange { source: Arc::new(Zeros), offset: 0, len: 10_000 });
    }
    let (records, _) = records_of(Pair::connected().server, plain);
    assert!(records.iter().all(|len| *len < 1400), "{records:?}");
    assert_eq!(records.len(), 30_027_usize.div_ceil(1300));
}
