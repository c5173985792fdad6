//! Contents that are compressed, shared, evicted and refused.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Weak, mpsc};
use std::thread;

use bytes::Bytes;

use super::*;

const TAG: &str = "\"tag\"";
const LEN: u64 = 10_000;
/// The length of contents whose compressed form may have [`LEN`] bytes.
const CONTENT_LEN: usize = 10_666;
const NOW: Time = Time::ZERO;
const ALICE: Client = Client::V4([192, 0, 2, 1]);
const BOB: Client = Client::V4([192, 0, 2, 2]);

/// A cache with room for this many contents of [`LEN`] bytes.
fn cache(room: u64) -> CompressedCache {
    cache_with(room * (LEN + CONTENT_OVERHEAD), 64 << 20)
}

/// A cache within budgets, in bytes: for compressed contents, and for compressors.
fn cache_with(compressed: u64, compressor_memory: u64) -> CompressedCache {
    CompressedCache::new(
        &Budget::new("compressed bytes", compressed),
        &Budget::new("compressor memory", compressor_memory),
    )
}

fn key(etag: &str, coding: Coding) -> Key {
    Key { folder: 1, etag: etag.into(), identity: None, coding }
}

fn content(byte: u8) -> io::Result<Option<Vec<u8>>> {
    Ok(Some(vec![byte; LEN as usize]))
}

fn get(cache: &CompressedCache, etag: &str, byte: u8) -> CompressionResult {
    cache.get(&key(etag, Coding::Zstd), CONTENT_LEN, (ALICE, NOW), || content(byte)).unwrap()
}

fn expect_done(result: CompressionResult) -> Arc<Compressed> {
    match result {
        CompressionResult::Done(content) => content,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_are_compressed_once_per_content_and_coding() {
    let cache = cache(8);
    let count = Cell::new(0);
    let make = || {
        count.set(count.get() + 1);
        content(b'a')
    };
    for _ in 0..3 {
        for (etag, coding) in [(TAG, Coding::Zstd), (TAG, Coding::Gzip), ("\"b\"", Coding::Gzip)] {
            assert_eq!(
                expect_done(
                    cache.get(&key(etag, coding), CONTENT_LEN, (ALICE, NOW), make).unwrap()
                )
                .bytes()[0],
                b'a'
            );
        }
    }
    assert_eq!(count.get(), 3);
    // That it is not worth compressing is cached, too.
    for _ in 0..2 {
        let result = cache
            .get(&key("\"noise\"", Coding::Zstd), CONTENT_LEN, (ALICE, NOW), || Ok(None))
            .unwrap();
        assert!(matches!(result, CompressionResult::NotSmaller));
    }
    let result = cache
        .get(&key("\"noise\"", Coding::Zstd), CONTENT_LEN, (ALICE, NOW), || {
            panic!("the result is cached")
        })
        .unwrap();
    assert!(matches!(result, CompressionResult::NotSmaller));
}

#[test]
fn failures_are_retried_and_hold_no_budget() {
    let cache = cache(8);
    let failed = cache.get(&key(TAG, Coding::Zstd), CONTENT_LEN, (ALICE, NOW), || {
        Err(io::ErrorKind::UnexpectedEof.into())
    });
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        cache.get(&key(TAG, Coding::Zstd), CONTENT_LEN, (ALICE, NOW), || panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    assert!(!cache.in_progress.contains(&key(TAG, Coding::Zstd)));
    let CompressedCache { compressed, compressor_memory, .. } = &cache;
    assert_eq!((compressed.used(), compressor_memory.used()), (0, 0));
    assert_eq!(expect_done(get(&cache, TAG, b'a')).len(), LEN as usize);
    assert_eq!(compressor_memory.used(), 0);
}

#[test]
fn a_second_worker_waits_for_the_first() {
    let cache = cache(8);
    let (started, is_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let first = scope.spawn({
            let cache = &cache;
            move || {
                let make = || {
                    started.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    content(b'1')
                };
                expect_done(
                    cache.get(&key(TAG, Coding::Zstd), CONTENT_LEN, (ALICE, NOW), make).unwrap(),
                )
                .bytes()[0]
            }
        });
        is_started.recv().unwrap();
        let second = scope.spawn(|| expect_done(get(&cache, TAG, b'2')).bytes()[0]);
        go_on.send(()).unwrap();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (b'1', b'1'));
    });
}

#[test]
fn unused_contents_are_evicted_and_contents_being_sent_are_not() {
    let cache = cache(4);
    let sent: Vec<Bytes> =
        (0..2).map(|etag| expect_done(get(&cache, &etag.to_string(), b's')).content()).collect();
    for etag in 2..20 {
        assert!(
            matches!(get(&cache, &etag.to_string(), b'x'), CompressionResult::Done(_)),
            "{etag}"
        );
        assert!(cache.compressed.used() <= cache.compressed.total());
    }
    // Contents that are being sent were not compressed again.
    for etag in ["0", "1"] {
        assert_eq!(expect_done(get(&cache, etag, b'y')).bytes()[0], b's');
    }
    let more: Vec<Bytes> =
        (20..22).map(|etag| expect_done(get(&cache, &etag.to_string(), b't')).content()).collect();
    // The budget is spent by contents that are being sent.
    assert!(matches!(get(&cache, "22", b'z'), CompressionResult::Refused));
    drop((sent, more));
    assert!(matches!(get(&cache, "22", b'z'), CompressionResult::Done(_)));
}

#[test]
fn contents_that_only_entries_refer_to_are_evicted() {
    let cache = cache(4);
    let known = Arc::downgrade(&expect_done(get(&cache, TAG, b'a')));
    assert_eq!(content_if_alive(&known).map(|content| content[0]), Some(b'a'));
    for etag in 0..8 {
        get(&cache, &etag.to_string(), b'x');
    }
    assert_eq!(content_if_alive(&known), None);
}

#[test]
fn memory_for_a_compressor_is_reserved_before_it_starts() {
    let cache = cache_with(32 << 20, 1 << 20);
    let result = cache
        .get(&key(TAG, Coding::Zstd), CONTENT_LEN, (ALICE, NOW), || panic!("there is no memory"))
        .unwrap();
    assert!(matches!(result, CompressionResult::Refused));
    // Zstd takes more for contents that are longer than 128 KiB, whatever their compressed form.
    let cache = cache_with(32 << 20, 4 << 20);
    for (len, is_refused) in [(128 << 10, false), ((128 << 10) + 1, true)] {
        let key = key(&len.to_string(), Coding::Zstd);
        let result = cache.get(&key, len, (ALICE, NOW), || content(b'a')).unwrap();
        assert_eq!(matches!(result, CompressionResult::Refused), is_refused, "{len}");
    }
    assert!(matches!(
        cache.get(&key(TAG, Coding::Gzip), CONTENT_LEN, (ALICE, NOW), || content(b'a')),
        Ok(CompressionResult::Done(_))
    ));
}

/// Starts compressions of `client` with different ETags, each within the one before, until one is
/// refused. Then calls `refused`. Returns how many were started.
fn start_all(cache: &CompressedCache, client: Client, coding: Coding, refused: &dyn Fn()) -> u32 {
    fn start(
        (cache, client, coding, refused): (&CompressedCache, Client, Coding, &dyn Fn()),
        count: u32,
    ) -> u32 {
        let mut started = count;
        let result = cache.get(&key(&count.to_string(), coding), 1 << 20, (client, NOW), || {
            started = start((cache, client, coding, refused), count + 1);
            content(b'a')
        });
        if let CompressionResult::Refused = result.unwrap() {
            refused();
        }
        started
    }
    start((cache, client, coding, refused), 0)
}

#[test]
fn a_client_beyond_its_share_leaves_memory_for_the_compressors_of_others() {
    // Of this length, brotli takes 16 MiB, zstd 17 MiB and gzip 1 MiB.
    for (client, coding, expected) in [
        // A third one would leave 16 MiB, or 13 MiB.
        (ALICE, Coding::Brotli, 2),
        (Client::Unix, Coding::Brotli, 2),
        (ALICE, Coding::Zstd, 2),
        (ALICE, Coding::Gzip, 44),
    ] {
        let cache = cache_with(1 << 30, 64 << 20);
        let other = || {
            // The largest compressor: 20 MiB.
            let key = key("\"other\"", Coding::Brotli);
            expect_done(cache.get(&key, 8 << 20, (BOB, NOW), || content(b'b')).unwrap());
        };
        assert_eq!(start_all(&cache, client, coding, &other), expected, "{client} {coding:?}");
        assert_eq!(cache.compressor_memory.used(), 0);
    }
}

#[test]
fn contents_evicted_repeatedly_are_not_compressed_for_a_while() {
    let cache = cache(1);
    let at = |secs| Time::ZERO + Duration::from_secs(secs);
    for second in 0..2 {
        assert!(cache.may_compress(&key(TAG, Coding::Zstd), at(second)));
        let make = || content(b'a');
        expect_done(
            cache.get(&key(TAG, Coding::Zstd), CONTENT_LEN, (ALICE, at(second)), make).unwrap(),
        );
        assert!(cache.may_compress(&key(TAG, Coding::Zstd), at(second)), "it is cached");
        get(&cache, "\"another\"", b'b');
    }
    assert!(!cache.may_compress(&key(TAG, Coding::Zstd), at(59)));
    assert!(cache.may_compress(&key(TAG, Coding::Gzip), at(59)), "another coding");
    assert!(cache.may_compress(&key(TAG, Coding::Zstd), at(60)));
}

#[test]
fn contents_being_sent_stay_in_the_cache() {
    let cache = cache(2);
    let content = expect_done(get(&cache, TAG, b'a'));
    let known = Arc::downgrade(&content);
    let sent = content.content();
    drop(content);
    for etag in 0..8 {
        get(&cache, &etag.to_string(), b'x');
    }
    assert_eq!(content_if_alive(&known).as_ref(), Some(&sent));
}

/// The bytes of a content that is still cached.
fn content_if_alive(content: &Weak<Compressed>) -> Option<Bytes> {
    content.upgrade().map(|content| content.content())
}
