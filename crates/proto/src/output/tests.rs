//! Everything that is appended to an output is sent, in order, in steps of any size.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{Access, FileSource, Validity};

/// A file: its content, whether it is valid, and how it may be read.
#[derive(Debug)]
struct Text(&'static [u8], Validity, Access);

impl FileSource for Text {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.0[offset as usize..], buffer)
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn check(&self) -> Validity {
        assert_ne!(self.2, Access::Thread, "checking such a file may block");
        self.1
    }
    fn access(&self) -> Access {
        self.2
    }
}

fn range(text: &'static [u8], validity: Validity) -> FileRange {
    let source = Arc::new(Text(text, validity, Access::Direct));
    FileRange { source, offset: 0, len: text.len() as u64 }
}

/// Sends everything in steps of at most `step` bytes, as an owner would.
fn send_all(out: &mut Output, step: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    loop {
        match out.part(step as u64) {
            Part::Nothing => return sent,
            Part::Changed => panic!("no file changes in this test"),
            Part::NeedsRead(range) => {
                let mut bytes = vec![0; step.min(range.len as usize)];
                let n = range.source.read_at(range.offset, &mut bytes).unwrap();
                let (unsent, held) = (out.unsent(), out.held());
                out.replace_with_read(bytes.into());
                assert_eq!((out.unsent(), out.held()), (unsent, held + n));
            }
            Part::File(range) => {
                let mut buffer = vec![0; step.min(range.len as usize)];
                let n = range.source.read_at(range.offset, &mut buffer).unwrap();
                sent.extend_from_slice(&buffer[..n]);
                out.advance(n as u64);
            }
            Part::Memory(_) => {
                let mut slices = [IoSlice::new(&[]); 2];
                let (filled, _) = out.slices(&mut slices);
                let bytes: Vec<u8> =
                    slices[..filled].iter().flat_map(|s| s.iter().copied()).collect();
                let n = step.min(bytes.len());
                sent.extend_from_slice(&bytes[..n]);
                out.advance(n as u64);
            }
        }
    }
}

#[test]
fn small_writes_become_one_slice_and_slices_reports_that_a_file_follows() {
    let mut out = Output::new();
    out.write(b"HTTP/1.1 ");
    out.write_all(&[b"200", b"", b" OK\r\n"]);
    out.write_all(&[b"", b""]);
    assert_eq!(out.plain(), Some(&b"HTTP/1.1 200 OK\r\n"[..]));
    out.write_file(range(b"content", Validity::Valid));
    let mut slices = [IoSlice::new(&[]); 4];
    let (filled, file_follows) = out.slices(&mut slices);
    assert_eq!((filled, file_follows), (1, true));
    assert_eq!(&slices[0][..], b"HTTP/1.1 200 OK\r\n");
    assert_eq!((out.held(), out.unsent()), (17, 24));
    assert_eq!(out.plain(), None, "a file range follows the plain bytes");
    out.advance(24);
    assert_eq!(out.plain(), Some(&b""[..]));
}

#[test]
fn only_the_last_part_of_a_changed_file_is_refused() {
    let mut out = Output::new();
    out.write_file(range(b"0123456789", Validity::Changed));
    assert!(matches!(out.part(9), Part::File(_)));
    assert!(matches!(out.part(10), Part::Changed));
    out.advance(8);
    assert!(matches!(out.part(2), Part::Changed));
}

#[test]
fn the_last_part_of_a_file_that_may_have_changed_is_read_by_a_thread() {
    let mut out = Output::new();
    out.write_file(range(b"0123456789", Validity::Unknown));
    assert!(matches!(out.part(9), Part::File(_)));
    assert!(matches!(out.part(10), Part::NeedsRead(_)));
    out.advance(8);
    assert!(matches!(out.part(2), Part::NeedsRead(_)));
    out.replace_with_read(Bytes::from_static(b"8"));
    out.advance(1);
    assert!(matches!(out.part(1), Part::NeedsRead(_)));
    out.replace_with_read(Bytes::from_static(b"9"));
    assert!(matches!(out.part(1), Part::Memory(_)));
}

#[test]
fn of_a_range_that_is_moved_in_parts_only_the_last_bytes_are_checked() {
    for validity in [Validity::Changed, Validity::Unknown] {
        let (mut stream, mut out) = (Output::new(), Output::new());
        stream.write_file(range(b"0123456789", validity));
        stream.move_front(&mut out, 4);
        stream.move_front(&mut out, 3);
        let mut later = Output::new();
        later.append(&mut out);
        assert!(matches!(later.part(100), Part::File(FileRange { len: 4, .. })));
        assert!(matches!(later.range_to_read(100), Some((FileRange { len: 7, .. }, false))));
        later.replace_with_read(Bytes::from_static(b"01"));
        assert!(matches!(later.parts(100).nth(1), Some(Part::File(FileRange { len: 2, .. }))));
        let mut parts = later.parts(100);
        let Some(Part::File(first)) = parts.nth(1) else { panic!("no range of a file") };
        assert_eq!((parts.contiguous(first).offset, parts.contiguous(first).len), (2, 5));
        later.advance(4);
        assert!(matches!(later.part(100), Part::File(FileRange { len: 3, .. })));
        stream.move_front(&mut later, 100);
        let parts: Vec<String> = later.parts(100).map(|part| format!("{part:?}")).collect();
        assert!(parts[0].starts_with("File") && !parts[1].starts_with("File"), "{parts:?}");
        later.advance(3);
        assert!(!matches!(later.part(3), Part::File(_)));
        assert!(matches!(later.range_to_read(3), Some((FileRange { len: 3, .. }, true))));
        assert!(matches!(later.range_to_read(2), Some((FileRange { len: 2, .. }, false))));
    }
}

#[test]
fn parts_of_a_range_are_read_at_once_though_others_are_between_them() {
    let (mut one, mut other) = (Output::new(), Output::new());
    one.write_file(range(b"0123456789", Validity::Valid));
    other.write_file(range(b"0123456789", Validity::Valid));
    let mut out = Output::new();
    for _ in 0..3 {
        out.write(b"[");
        one.move_front(&mut out, 3);
        out.write(b"|");
        other.move_front(&mut out, 3);
    }
    out.advance(1);
    let (read, must_verify) = out.range_to_read(100).unwrap();
    assert_eq!((read.offset, read.len, must_verify), (0, 9, false));
    assert_eq!(out.range_to_read(4).map(|(read, _)| read.len), Some(4));
    out.replace_with_read(Bytes::from_static(b"01234567"));
    assert_eq!((out.file_ranges(), out.held(), out.unsent()), (4, 13, 23));
    one.move_front(&mut out, 100);
    assert_eq!(send_all(&mut out, 100), b"012|012[345|345[678|6789");
    assert!(out.is_empty());
}

#[test]
fn a_permit_is_kept_until_its_piece_is_sent_or_dropped() {
    use crate::{Budget, Client};

    let budget = Budget::new("things", 100);
    let (mut out, mut newer) = (Output::new(), Output::new());
    out.write(b"head");
    out.attach_permit(budget.take(Client::Unix, 1).unwrap());
    out.write_file(range(b"0123456789", Validity::Valid));
    newer.attach_permit(budget.take(Client::Unix, 2).unwrap());
    newer.write_shared(Bytes::from_static(b"shared"));
    newer.attach_permit(budget.take(Client::Unix, 4).unwrap());
    newer.write_file(range(b"0123456789", Validity::Valid));
    assert_eq!(newer.move_front(&mut out, 5), 5);
    assert_eq!((out.pieces(), newer.pieces(), newer.file_ranges()), (2, 2, 1));
    assert_eq!(newer.move_front(&mut out, 100), 11);
    assert_eq!((budget.used(), out.file_ranges(), newer.file_ranges()), (7, 2, 0));
    out.advance(13);
    assert_eq!((budget.used(), out.file_ranges()), (7, 2));
    out.advance(1);
    assert_eq!((budget.used(), out.file_ranges()), (6, 1));
    out.advance(6);
    assert_eq!(budget.used(), 4);
    out.replace_with_read(Bytes::from_static(b"012"));
    assert_eq!((out.pieces(), out.file_ranges()), (2, 1));
    out.advance(3);
    assert_eq!(budget.used(), 4, "the permit stays with the rest of the range");
    out.replace_with_read(Bytes::from_static(b"3456789"));
    assert_eq!((budget.used(), out.file_ranges()), (4, 0));
    out.clear();
    assert_eq!((budget.used(), out.file_ranges()), (0, 0));
}

#[test]
fn appending_an_output_keeps_the_permit_for_the_next_piece() {
    use crate::{Budget, Client};

    let budget = Budget::new("things", 100);
    // Whether the permit is attached to the output to which the other one is appended, and which of
    // the two gets the piece.
    for (is_of_older, piece_is_newer) in [(true, true), (true, false), (false, false)] {
        let (mut older, mut newer) = (Output::new(), Output::new());
        let permit = budget.take(Client::Unix, 1).unwrap();
        if is_of_older { &mut older } else { &mut newer }.attach_permit(permit);
        if piece_is_newer {
            newer.write_shared(Bytes::from_static(b"shared"));
        }
        older.append(&mut newer);
        if !piece_is_newer {
            older.write_shared(Bytes::from_static(b"shared"));
        }
        older.advance(5);
        assert_eq!(budget.used(), 1, "{is_of_older} {piece_is_newer}");
        older.advance(1);
        assert_eq!(budget.used(), 0, "{is_of_older} {piece_is_newer}");
    }
}

#[test]
fn sent_bytes_do_not_pile_up_behind_a_slow_reader() {
    let mut out = Output::new();
    for _ in 0..10_000 {
        out.write(&[7; 1000]);
        out.advance(if out.held() > 64_000 { 1000 } else { 900 });
    }
    assert!(out.plain.capacity() < 512 * 1024, "{}", out.plain.capacity());
}

proptest! {
    #[test]
    fn what_is_appended_is_sent_in_order_at_any_step(
        pieces in proptest::collection::vec((0u8..4, 0usize..40), 0..20),
        step in 1usize..50,
        split in 0usize..20,
    ) {
        const TEXT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";
        let (mut first, mut second) = (Output::new(), Output::new());
        let mut expected = Vec::new();
        for (at, (kind, len)) in pieces.iter().enumerate() {
            let out = if at < split { &mut first } else { &mut second };
            let bytes = &TEXT[..*len];
            expected.extend_from_slice(bytes);
            match kind {
                0 => out.write(bytes),
                1 => out.write_shared(Bytes::from_static(bytes)),
                2 => out.write_file(range(bytes, Validity::Valid)),
                _ => {
                    let source = Arc::new(Text(bytes, Validity::Valid, Access::Thread));
                    out.write_file(FileRange { source, ..range(bytes, Validity::Valid) });
                }
            }
        }
        first.append(&mut second);
        // Moves `first` to another output in parts, and the rest at once.
        for _ in 0..split {
            let (before, max) = (first.unsent(), step as u64);
            let moved = first.move_front(&mut second, max);
            prop_assert_eq!(moved, max.min(before));
            prop_assert_eq!(first.unsent(), before - moved);
        }
        second.append(&mut first);
        mem::swap(&mut first, &mut second);
        prop_assert_eq!(first.unsent(), expected.len() as u64);
        let ahead = first.parts(expected.len() as u64).map(|part| match part {
            Part::Memory(bytes) => bytes.to_vec(),
            Part::File(range) | Part::NeedsRead(range) => {
                let mut bytes = vec![0; range.len as usize];
                range.source.read_at(range.offset, &mut bytes).unwrap();
                bytes
            }
            Part::Nothing | Part::Changed => Vec::new(),
        });
        prop_assert_eq!(ahead.collect::<Vec<_>>().concat(), expected.clone());
        prop_assert_eq!(send_all(&mut first, step), expected);
        prop_assert_eq!((first.held(), first.unsent(), first.pieces()), (0, 0, 0));
        prop_assert_eq!(first.file_ranges(), 0);
        prop_assert!(second.is_empty());
    }
}

#[test]
fn ranges_that_continue_each_other_in_one_file_are_contiguous() {
    let file = range(b"0123456789", Validity::Valid);
    let of = |offset, len| FileRange { offset, len, ..file.clone() };
    for (next, expected) in [
        (of(4, 3), 7),
        // With a gap, of another file, and the same range again.
        (of(5, 3), 4),
        (FileRange { offset: 4, ..range(b"01234", Validity::Valid) }, 4),
        (of(0, 4), 4),
    ] {
        let mut out = Output::new();
        for range in [of(0, 1), of(1, 3), next] {
            out.write(b"header");
            out.write_file(range);
        }
        out.write_shared(Bytes::from_static(b"shared"));
        out.write_file(of(7, 3));
        let mut parts = out.parts(1_000);
        let Some(Part::File(first)) = parts.nth(1) else { panic!("no range of a file") };
        assert_eq!((parts.contiguous(first).offset, parts.contiguous(first).len), (0, expected));
    }
}

/// Bytes whose owner panics when it is dropped.
fn bytes_with_bomb() -> Bytes {
    struct Bomb([u8; 5]);
    impl AsRef<[u8]> for Bomb {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose, in a destructor");
        }
    }
    Bytes::from_owner(Bomb(*b"bytes"))
}

#[test]
fn owners_of_shared_bytes_may_panic_when_they_are_dropped() {
    let mut out = Output::new();
    out.write_shared(bytes_with_bomb());
    out.write(b"and more");
    out.advance(5);
    assert_eq!(out.unsent(), 8);
    for _ in 0..2 {
        out.write_shared(bytes_with_bomb());
    }
    out.clear();
    assert!(out.is_empty());
}
