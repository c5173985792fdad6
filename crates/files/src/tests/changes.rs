//! Files that change while they are sent: a response is completed if the file still has what was
//! promised, else cut.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use sockeye_proto::Access;

use super::scratch::Scratch;
use super::{Client, Response};
use crate::store::memory::Memory;
use crate::{CacheLimits, Folder, MAX_SMALL_FILE, Options, Site, Store};

/// Larger files are not hashed.
const LIMIT: usize = 3 * MAX_SMALL_FILE as usize;
const SIZES: [usize; 2] = [LIMIT, LIMIT + 1000];

fn site(store: impl Store + 'static) -> Site {
    let options = Options { hashed_up_to: LIMIT as u64, ..Options::default() };
    Folder::new(store).with_options(options).site(CacheLimits::default())
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

/// The requests of the tables: all of the file, a range up to its 1000th byte, and two ranges.
const REQUESTS: [(&str, u16); 3] =
    [("", 200), ("Range: bytes=10-999\r\n", 206), ("Range: bytes=0-9,500-999\r\n", 206)];

/// Whether all that was announced has arrived, and is what was in `before`.
fn is_complete(got: &Response, before: &[u8]) -> bool {
    let len = got.field("Content-Length").unwrap().parse::<usize>().unwrap();
    assert!(got.body.len() <= len);
    if got.body.len() < len {
        return false;
    }
    if got.field("Content-Type").unwrap().starts_with("multipart/") {
        let has = |part: &[u8]| got.body.windows(part.len()).any(|window| window == part);
        assert!(has(&before[..10]) && has(&before[500..1000]));
    } else {
        let start = if got.status == 206 { 10 } else { 0 };
        assert!(got.body == before[start..][..len]);
    }
    true
}

/// Whether a response is completed, for files that are hashed and for larger ones.
#[derive(Clone, Copy)]
struct Completed {
    hashed: bool,
    larger: bool,
}

const BOTH: Completed = Completed { hashed: true, larger: true };
const NONE: Completed = Completed { hashed: false, larger: false };

#[test]
fn responses_are_completed_if_the_file_keeps_what_was_promised() {
    type Change = fn(&Memory, usize);
    let changes: [(&str, Change, Completed); 8] = [
        ("chmod, rename, link", |store, _| store.change_metadata("f"), BOTH),
        ("replaced by renaming", |store, size| store.replace("f", vec![1; size]), BOTH),
        ("touch", |store, _| store.touch("f"), Completed { larger: false, ..BOTH }),
        ("append", |store, _| store.append("f", b"more"), BOTH),
        ("rewrite", |store, size| store.write("f", vec![1; size]), NONE),
        ("truncate below the range's end", |store, _| store.write("f", content(999)), NONE),
        ("truncate above it", |store, size| store.write("f", content(size - 1)), NONE),
        ("removed", |store, _| store.remove("f"), BOTH),
    ];
    for size in SIZES {
        for (name, change, completed) in changes {
            for access in [Access::Direct, Access::Thread] {
                for (range, status) in REQUESTS {
                    let store = Memory::new();
                    store.set_access(access);
                    store.write("f", content(size));
                    store.pass(1_000_000);
                    let mut client = Client::new(&site(store.clone()));
                    client.ask("GET", "/f", range);
                    client.run_all();
                    store.pass(1_000_000);
                    change(&store, size);
                    let got = client.response().unwrap();
                    assert_eq!(got.status, status);
                    let expected = if size > LIMIT { completed.larger } else { completed.hashed };
                    let case = format!("{name}: {size} {access:?} {range}");
                    assert_eq!(is_complete(&got, &content(size)), expected, "{case}");
                }
            }
        }
    }
}

/// Whether the content is still the same is found out once for all responses with it.
#[test]
fn a_changed_file_is_hashed_once_for_its_responses() {
    let store = Memory::new();
    store.write("f", content(LIMIT));
    store.pass(1_000_000);
    let site = site(store.clone());
    let mut clients = [(); 3].map(|()| Client::new(&site));
    for client in &mut clients {
        client.ask("GET", "/f", "");
        client.run_all();
    }
    store.pass(1_000_000);
    store.touch("f");
    let reads = clients.map(|mut client| {
        let before = store.reads();
        assert!(is_complete(&client.response().unwrap(), &content(LIMIT)));
        store.reads() - before
    });
    assert_eq!(reads, [2, 1, 1], "each sends it, and the first one hashes it");
}

/// On disk, with the changes that programs make.
#[test]
fn responses_with_files_on_disk_are_completed_if_the_file_keeps_what_was_promised() {
    type Change = fn(&Path, usize);
    fn open(path: &Path) -> File {
        OpenOptions::new().write(true).open(path).unwrap()
    }
    /// Sets a time that no write has, so that the test doesn't depend on the clock's ticks.
    fn touch(path: &Path) {
        let time = SystemTime::now() + Duration::from_secs(100);
        open(path).set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    let changes: [(&str, Change, Completed); 9] = [
        ("chmod", |f, _| fs::set_permissions(f, PermissionsExt::from_mode(0o600)).unwrap(), BOTH),
        ("rename", |f, _| fs::rename(f, f.with_extension("new")).unwrap(), BOTH),
        ("link", |f, _| fs::hard_link(f, f.with_extension("new")).unwrap(), BOTH),
        ("remove", |f, _| fs::remove_file(f).unwrap(), BOTH),
        ("touch", |f, _| touch(f), Completed { larger: false, ..BOTH }),
        (
            "append",
            |f, _| OpenOptions::new().append(true).open(f).unwrap().write_all(b"more").unwrap(),
            BOTH,
        ),
        (
            "rewrite",
            |f, size| {
                open(f).write_all(&vec![1; size]).unwrap();
                touch(f);
            },
            NONE,
        ),
        ("truncate below the range's end", |f, _| open(f).set_len(999).unwrap(), NONE),
        ("truncate above it", |f, size| open(f).set_len(size as u64 - 1).unwrap(), NONE),
    ];
    for size in SIZES {
        for (name, change, completed) in changes {
            for (range, status) in REQUESTS {
                let scratch = Scratch::new();
                let path = scratch.path().join("f");
                fs::write(&path, content(size)).unwrap();
                let site = site(crate::Disk::open(scratch.path()).unwrap());
                let mut client = Client::new(&site);
                client.ask("GET", "/f", range);
                client.run_all();
                change(&path, size);
                let got = client.response().unwrap();
                assert_eq!(got.status, status);
                let expected = if size > LIMIT { completed.larger } else { completed.hashed };
                assert_eq!(is_complete(&got, &content(size)), expected, "{name}: {size} {range}");
            }
        }
    }
}

#[test]
fn a_rewrite_that_sets_the_time_back_is_noticed_up_to_the_limit() {
    let scratch = Scratch::new();
    let path = scratch.path().join("f");
    let time = SystemTime::now() - Duration::from_secs(100);
    let write = |byte| {
        fs::write(&path, vec![byte; LIMIT]).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    };
    write(1);
    let disk = crate::Disk::open(scratch.path()).unwrap();
    // Until the clock has ticked, the change couldn't be seen.
    let start = disk.now();
    while disk.now() == start {
        std::thread::yield_now();
    }
    let mut client = Client::new(&site(disk));
    client.ask("GET", "/f", "");
    client.run_all();
    write(2);
    assert!(client.response().unwrap().body.is_empty());
}

#[test]
fn metadata_change_neither_the_etag_nor_the_date() {
    for size in [10, LIMIT, LIMIT + 1] {
        let store = Memory::new();
        store.write("f", content(size));
        store.pass(1_000_000);
        let mut client = Client::new(&site(store.clone()));
        let before = client.get("/f");
        let etag = before.field("ETag").unwrap();
        for change in [Memory::change_metadata, |store: &Memory, _: &str| store.pass(1_000_000)] {
            change(&store, "f");
            client.pass(1000);
            let fields = format!("If-None-Match: {etag}\r\n");
            assert_eq!(client.request("GET", "/f", &fields).status, 304, "{size}");
            let fields = format!("If-Range: {etag}\r\nRange: bytes=5-\r\n");
            let got = client.request("GET", "/f", &fields);
            assert_eq!((got.status, got.body), (206, content(size)[5..].to_vec()), "{size}");
        }
    }
}

/// A copy that keeps the time has the same ETag, above the limit too; a later write has another.
#[test]
fn etags_above_the_limit_are_made_of_size_and_modification_time() {
    let etag = |store: &Memory, path: &str| {
        store.pass(1_000_000);
        let got = Client::new(&site(store.clone())).request("HEAD", path, "");
        got.field("ETag").unwrap().to_owned()
    };
    let store = Memory::new();
    store.write("f", content(LIMIT + 1));
    store.write("copy", content(LIMIT + 1));
    let before = etag(&store, "/f");
    assert_eq!(etag(&store, "/copy"), before);
    store.touch("copy");
    assert_ne!(etag(&store, "/copy"), before);
    store.append("f", b"x");
    assert_ne!(etag(&store, "/f"), before);
}

/// Two files with one size and time have one ETag, and are compressed separately nevertheless.
#[test]
fn files_with_the_same_etag_are_not_mixed_up_when_compressed() {
    let store = Memory::new();
    let [one, other] = ["one line\n", "two line\n"].map(|line| line.repeat(20_000));
    store.write("one.txt", &*one);
    store.write("other.txt", &*other);
    store.pass(1_000_000);
    let options = Options { hashed_up_to: 0, ..Options::default() };
    let site = Folder::new(store.clone()).with_options(options).site(CacheLimits::default());
    let mut client = Client::new(&site);
    let mut etags = Vec::new();
    for (path, content) in [("/one.txt", &one), ("/other.txt", &other)] {
        let plain = client.get(path);
        etags.push(plain.field("ETag").unwrap().to_owned());
        let got = client.request("GET", path, "Accept-Encoding: gzip\r\n");
        assert_eq!(got.field("Content-Encoding"), Some("gzip"));
        assert_eq!(super::decompress("gzip", &got.body), content.as_bytes(), "{path}");
    }
    assert_eq!(etags[0], etags[1]);
}

/// A file that grows whenever it is read is sent as long as it was when it was opened.
#[test]
fn a_file_that_always_grows_is_sent_as_long_as_it_was() {
    for size in [10, MAX_SMALL_FILE as usize + 10, LIMIT, LIMIT + 10] {
        for range in ["", "Range: bytes=5-\r\n"] {
            let store = Memory::new();
            let whole = content(size + 400);
            store.write("f", &whole[..size]);
            store.pass(1_000_000);
            let mut client = Client::new(&site(store.clone()));
            store.change_when_read("f", (1..400).map(|more| &whole[..size + more]));
            let got = client.request("GET", "/f", range);
            assert_eq!(got.status, if range.is_empty() { 200 } else { 206 }, "{size}");
            let len = got.field("Content-Length").unwrap().parse::<usize>().unwrap();
            let start = if range.is_empty() { 0 } else { 5 };
            assert!(start + len >= size, "{size}");
            assert!(got.body == whole[start..start + len], "{size}: {} of {len}", got.body.len());
        }
    }
}

/// What was hashed while the file changed otherwise is not completed.
#[test]
fn a_file_that_is_rewritten_while_it_grows_is_cut() {
    let store = Memory::new();
    store.write("f", content(LIMIT - 1000));
    store.pass(1_000_000);
    let mut client = Client::new(&site(store.clone()));
    let rewritten = (1..400).map(|byte| vec![byte as u8; LIMIT - 1000 + byte]);
    store.change_when_read("f", rewritten);
    let got = client.get("/f");
    assert_eq!((got.status, got.body.len()), (200, 0));
}

#[test]
fn a_busy_log_on_disk_is_sent_as_long_as_it_was() {
    let scratch = Scratch::new();
    let path = scratch.path().join("log");
    for size in [1000, 2 * MAX_SMALL_FILE as usize, 2 * LIMIT] {
        fs::write(&path, content(size)).unwrap();
        let site = site(crate::Disk::open(scratch.path()).unwrap());
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut log = OpenOptions::new().append(true).open(&path).unwrap();
                let mut written = 0;
                while !is_done.load(Ordering::Relaxed) && written < 4 * LIMIT {
                    written += log.write(b"x").unwrap();
                }
            });
            let mut client = Client::new(&site);
            for _ in 0..20 {
                let got = client.get("/log");
                assert_eq!(got.status, 200);
                let len = got.field("Content-Length").unwrap().parse::<usize>().unwrap();
                assert_eq!(got.body.len(), len);
                assert!(got.body[..size] == content(size));
                assert!(got.body[size..].iter().all(|byte| *byte == b'x'));
                client.pass(1000);
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }
}
