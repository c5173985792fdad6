//! ETags: hashes of the content of small files, and of size and modification time of larger ones.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use super::scratch::Scratch;
use super::{Client, memory};
use crate::store::memory::Memory;
use crate::{CacheLimits, Folder, MAX_SMALL_FILE, Options, Site};

const LIMIT: usize = 2 * MAX_SMALL_FILE as usize;

fn folder(store: &Memory) -> Folder {
    let options = Options { hashed_up_to: LIMIT as u64, ..Options::default() };
    Folder::new(store.clone()).with_options(options)
}

fn site(store: &Memory) -> Site {
    folder(store).site(CacheLimits::default())
}

fn etag(site: &Site, path: &str) -> String {
    Client::new(site).get(path).field("ETag").expect("an ETag").to_owned()
}

#[test]
fn etags_of_small_files_survive_a_deployment() {
    for (size, survives) in [
        (0, true),
        (MAX_SMALL_FILE as usize, true),
        (MAX_SMALL_FILE as usize + 1, true),
        (LIMIT, true),
        (LIMIT + 1, false),
    ] {
        let content = "x".repeat(size);
        let (store, _) = memory(&[("file", &content), ("copy", &content)]);
        let before = etag(&site(&store), "/file");
        assert_eq!(etag(&site(&store), "/copy"), before, "it has the same time, too: {size}");
        store.pass(5_000_000_000);
        store.replace("file", content.as_str());
        store.pass(1_000_000);
        assert_eq!(etag(&site(&store), "/file") == before, survives, "{size}");
        if size > 0 {
            store.replace("file", "y".repeat(size));
            store.pass(1_000_000);
            assert_ne!(etag(&site(&store), "/file"), before, "{size}");
        }
    }
}

/// The kind of ETag depends on the size only: all requests get the same ETag, in any state of the
/// caches.
#[test]
fn etags_are_equal_on_every_worker_and_before_and_after_caching() {
    for size in [10, MAX_SMALL_FILE as usize + 10, LIMIT, LIMIT + 10] {
        let (store, _) = memory(&[("file", &"x".repeat(size))]);
        let folder = folder(&store);
        let none = CacheLimits { entries: 0, bytes: 0, descriptors: 0 };
        let workers = [folder.site(CacheLimits::default()), folder.site(none), site(&store)];
        let first = etag(&workers[0], "/file");
        for worker in &workers {
            let mut client = Client::new(worker);
            for _ in 0..3 {
                assert_eq!(client.get("/file").field("ETag"), Some(&*first), "{size}");
                client.pass(1000);
            }
        }
    }
}

#[test]
fn contents_are_read_once_for_all_workers() {
    let (store, _) = memory(&[("file", &"x".repeat(LIMIT))]);
    let folder = folder(&store);
    let first = etag(&folder.site(CacheLimits::default()), "/file");
    // A second read would overwrite it.
    store.change_when_read("file", ["read"]);
    let second = Client::new(&folder.site(CacheLimits::default())).request("HEAD", "/file", "");
    assert_eq!(second.field("ETag"), Some(&*first));
    assert_eq!(second.field("Content-Length"), Some(&*LIMIT.to_string()));
}

#[test]
fn files_that_change_while_hashed_are_read_again() {
    let (store, _) = memory(&[("file", &"x".repeat(LIMIT))]);
    let expected = {
        let (store, _) = memory(&[("file", &"z".repeat(LIMIT))]);
        etag(&site(&store), "/file")
    };
    store.pass(1_000_000);
    store.change_when_read("file", ["y".repeat(LIMIT - 1), "z".repeat(LIMIT)]);
    assert_eq!(etag(&site(&store), "/file"), expected);
}

#[test]
fn two_contents_within_one_clock_tick_have_different_etags() {
    for size in [LIMIT, LIMIT + 1] {
        let store = Memory::new();
        store.write("file", "x".repeat(size));
        let site = site(&store);
        let mut client = Client::new(&site);
        let first = client.get("/file");
        store.write("file", "y".repeat(size));
        client.pass(1000);
        let second = client.get("/file");
        assert!(second.text().starts_with('y'));
        assert_ne!(first.field("ETag"), second.field("ETag"), "{size}");
    }
}

/// The date of a reproducible build is not sent as `Last-Modified`.
#[test]
fn artificial_modification_dates_are_not_sent() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a.txt");
    for (secs, dated) in [(0, false), (1, false), (315_532_800, false), (316_000_000, true)] {
        fs::write(&path, "Hello").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        file.set_times(FileTimes::new().set_modified(modified)).unwrap();
        let site = Folder::open(scratch.path()).unwrap().site(CacheLimits::default());
        let mut client = Client::new(&site);
        let got = client.get("/a.txt");
        assert_eq!(got.field("Last-Modified").is_some(), dated, "{secs}");
        assert!(got.field("ETag").is_some());
        // It is not used for conditions either.
        let since = "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
        assert_eq!(client.request("GET", "/a.txt", since).status, if dated { 304 } else { 200 });
    }
}
