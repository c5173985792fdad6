//! Forms that are made, shared, dropped and refused.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Weak, mpsc};
use std::thread;

use bytes::Bytes;

use super::*;

const TAG: &str = "\"tag\"";
const LEN: u64 = 10_000;
const NOW: Time = Time::ZERO;

/// Room for as many forms of [`LEN`] bytes.
fn forms(room: u64) -> CompressedCache {
    within(room * (LEN + OVERHEAD), 64 << 20)
}

/// A cache within budgets, in bytes: for compressed contents, and for compressors.
fn within(compressed: u64, working: u64) -> CompressedCache {
    CompressedCache::new(
        &Budget::new("compressed bytes", compressed),
        &Budget::new("working", working),
    )
}

fn key(etag: &str, coding: Coding) -> Key {
    Key { folder: 1, etag: etag.into(), coding }
}

fn content(byte: u8) -> io::Result<Option<Vec<u8>>> {
    Ok(Some(vec![byte; LEN as usize]))
}

fn get(forms: &CompressedCache, etag: &str, byte: u8) -> CompressionResult {
    forms.get(&key(etag, Coding::Zstd), LEN, NOW, || content(byte)).unwrap()
}

fn made(outcome: CompressionResult) -> Arc<Compressed> {
    match outcome {
        CompressionResult::Done(form) => form,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_form_is_made_once_for_each_content_and_coding() {
    let forms = forms(8);
    let count = Cell::new(0);
    let make = || {
        count.set(count.get() + 1);
        content(b'a')
    };
    for _ in 0..3 {
        for (etag, coding) in [(TAG, Coding::Zstd), (TAG, Coding::Gzip), ("\"b\"", Coding::Gzip)] {
            assert_eq!(
                made(forms.get(&key(etag, coding), LEN, NOW, make).unwrap()).bytes()[0],
                b'a'
            );
        }
    }
    assert_eq!(count.get(), 3);
    // That it doesn't pay is known, too.
    for _ in 0..2 {
        let outcome = forms.get(&key("\"noise\"", Coding::Zstd), LEN, NOW, || Ok(None)).unwrap();
        assert!(matches!(outcome, CompressionResult::Futile));
    }
    let outcome =
        forms.get(&key("\"noise\"", Coding::Zstd), LEN, NOW, || panic!("it is known")).unwrap();
    assert!(matches!(outcome, CompressionResult::Futile));
}

#[test]
fn what_went_wrong_is_tried_again_and_leaves_nothing_behind() {
    let forms = forms(8);
    let failed =
        forms.get(&key(TAG, Coding::Zstd), LEN, NOW, || Err(io::ErrorKind::UnexpectedEof.into()));
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        forms.get(&key(TAG, Coding::Zstd), LEN, NOW, || panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    assert!(!forms.in_progress.contains(&key(TAG, Coding::Zstd)));
    let CompressedCache { compressed, working, .. } = &forms;
    assert_eq!((compressed.used(), working.used()), (0, 0));
    assert_eq!(made(get(&forms, TAG, b'a')).len(), LEN as usize);
    assert_eq!(working.used(), 0);
}

#[test]
fn a_second_shard_waits_for_the_first() {
    let forms = forms(8);
    let (started, hears_of_it) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let first = scope.spawn({
            let forms = &forms;
            move || {
                let make = || {
                    started.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    content(b'1')
                };
                made(forms.get(&key(TAG, Coding::Zstd), LEN, NOW, make).unwrap()).bytes()[0]
            }
        });
        hears_of_it.recv().unwrap();
        let second = scope.spawn(|| made(get(&forms, TAG, b'2')).bytes()[0]);
        go_on.send(()).unwrap();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (b'1', b'1'));
    });
}

#[test]
fn forms_that_nobody_has_make_room_and_those_that_are_sent_are_shared_and_stay() {
    let forms = forms(4);
    let sent: Vec<Bytes> =
        (0..2).map(|etag| made(get(&forms, &etag.to_string(), b's')).content()).collect();
    for etag in 2..20 {
        assert!(
            matches!(get(&forms, &etag.to_string(), b'x'), CompressionResult::Done(_)),
            "{etag}"
        );
        assert!(forms.compressed.used() <= forms.compressed.total());
    }
    // Those that are sent were not made anew.
    for etag in ["0", "1"] {
        assert_eq!(made(get(&forms, etag, b'y')).bytes()[0], b's');
    }
    let more: Vec<Bytes> =
        (20..22).map(|etag| made(get(&forms, &etag.to_string(), b't')).content()).collect();
    // All that fits is being sent.
    assert!(matches!(get(&forms, "22", b'z'), CompressionResult::Refused));
    drop((sent, more));
    assert!(matches!(get(&forms, "22", b'z'), CompressionResult::Done(_)));
}

#[test]
fn a_form_that_an_entry_knows_is_dropped_all_the_same_and_gone_then() {
    let forms = forms(4);
    let known = Arc::downgrade(&made(get(&forms, TAG, b'a')));
    assert_eq!(living(&known).map(|content| content[0]), Some(b'a'));
    for etag in 0..8 {
        get(&forms, &etag.to_string(), b'x');
    }
    assert_eq!(living(&known), None);
}

#[test]
fn what_compressors_need_is_taken_before_they_begin() {
    let forms = within(32 << 20, 1 << 20);
    let outcome =
        forms.get(&key(TAG, Coding::Zstd), LEN, NOW, || panic!("there is no memory")).unwrap();
    assert!(matches!(outcome, CompressionResult::Refused));
    assert!(matches!(
        forms.get(&key(TAG, Coding::Gzip), LEN, NOW, || content(b'a')),
        Ok(CompressionResult::Done(_))
    ));
}

#[test]
fn a_form_that_is_dropped_again_and_again_is_not_made_for_a_while() {
    let forms = forms(1);
    let at = |secs| Time::ZERO + Duration::from_secs(secs);
    for second in 0..2 {
        assert!(forms.may_compress(&key(TAG, Coding::Zstd), at(second)));
        let make = || content(b'a');
        made(forms.get(&key(TAG, Coding::Zstd), LEN, at(second), make).unwrap());
        assert!(forms.may_compress(&key(TAG, Coding::Zstd), at(second)), "it is there");
        get(&forms, "\"another\"", b'b');
    }
    assert!(!forms.may_compress(&key(TAG, Coding::Zstd), at(59)));
    assert!(forms.may_compress(&key(TAG, Coding::Gzip), at(59)), "another form");
    assert!(forms.may_compress(&key(TAG, Coding::Zstd), at(60)));
}

#[test]
fn a_form_that_is_being_sent_is_not_taken_from_those_that_know_it() {
    let forms = forms(2);
    let form = made(get(&forms, TAG, b'a'));
    let known = Arc::downgrade(&form);
    let sent = form.content();
    drop(form);
    for etag in 0..8 {
        get(&forms, &etag.to_string(), b'x');
    }
    assert_eq!(living(&known).as_ref(), Some(&sent));
}

/// The content of a form, if it was not dropped.
fn living(form: &Weak<Compressed>) -> Option<Bytes> {
    form.upgrade().map(|form| form.content())
}
