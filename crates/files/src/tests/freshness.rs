//! When a change to a file becomes visible, and that no response mixes two versions of a file.
//!
//! `store.pass` advances the clock of file timestamps, in nanoseconds. `client.pass` advances the
//! event loop's clock, in milliseconds.

use sockeye_proto::Access;

use super::{Client, memory, site};
use crate::MAX_SMALL_FILE;
use crate::store::memory::Memory;

#[test]
fn a_path_is_looked_up_once_a_second_and_changes_are_visible_then() {
    let (store, site) = memory(&[("a.txt", "old")]);
    let mut client = Client::new(&site);
    assert_eq!(client.get("/a.txt").text(), "old");
    store.pass(1_000_000);
    store.write("a.txt", "new");
    client.pass(999);
    assert_eq!(client.get("/a.txt").text(), "old");
    assert_eq!(store.opens(), 1);
    client.pass(1);
    store.pass(1_000_000);
    assert_eq!(client.get("/a.txt").text(), "new");
    assert_eq!(store.opens(), 2);
}

#[test]
fn created_removed_and_retyped_names_are_noticed() {
    let (store, site) = memory(&[("a", "file")]);
    let mut client = Client::new(&site);
    let mut after = |change: &dyn Fn()| {
        change();
        store.pass(1_000_000);
        client.pass(1000);
        let got = client.get("/a");
        (got.status, got.text().to_owned())
    };
    assert_eq!(after(&|| {}), (200, "file".into()));
    assert_eq!(after(&|| store.remove("a")), (404, "404 Not Found\n".into()));
    assert_eq!(after(&|| store.write("a/index.html", "")).0, 301);
    assert_eq!(after(&|| store.remove("a/index.html")), (404, "404 Not Found\n".into()));
    assert_eq!(after(&|| store.write("a", "back")), (200, "back".into()));
    assert_eq!(after(&|| store.replace("a", "other")), (200, "other".into()));
}

#[test]
fn unchanged_files_are_not_read_again() {
    let (store, site) = memory(&[("a.txt", "Hello")]);
    let mut client = Client::new(&site);
    let first = client.get("/a.txt");
    // If the file were read again, this would change its content.
    store.change_when_read("a.txt", ["read"]);
    client.pass(1000);
    store.pass(1_000_000_000);
    let second = client.get("/a.txt");
    assert_eq!((second.text(), second.field("ETag")), ("Hello", first.field("ETag")));
    assert_eq!(store.opens(), 2);
}

/// Two versions of the same size, written in one clock tick, have the same metadata. So lookups
/// read a file again if it may have changed in the tick in which it was read.
#[test]
fn two_writes_in_one_clock_tick_are_distinguished() {
    let store = Memory::new();
    store.pass(5);
    store.write("a.txt", "one");
    let site = site(store.clone());
    let mut client = Client::new(&site);
    let first = client.get("/a.txt");
    store.write("a.txt", "two");
    client.pass(1000);
    let second = client.get("/a.txt");
    assert_eq!((first.text(), second.text()), ("one", "two"));
    assert_ne!(first.field("ETag"), second.field("ETag"));

    // The ETag is the same after the clock tick.
    store.pass(5);
    client.pass(1000);
    let third = client.get("/a.txt");
    client.pass(1000);
    let fourth = client.get("/a.txt");
    assert_eq!((third.text(), third.field("ETag")), ("two", fourth.field("ETag")));
    assert_eq!(third.field("ETag"), second.field("ETag"), "the ETag depends only on the content");
}

#[test]
fn workers_agree_on_etags() {
    let (store, first) = memory(&[("a.txt", "Hello")]);
    let second = site(store);
    let etag = |site| Client::new(site).get("/a.txt").field("ETag").map(str::to_owned);
    assert_eq!(etag(&first), etag(&second));
}

#[test]
fn a_small_file_that_changes_while_it_is_read_is_read_again() {
    let (store, site) = memory(&[("a.txt", "old")]);
    store.pass(1_000_000);
    store.change_when_read("a.txt", ["n", "ne", "newer"]);
    let got = Client::new(&site).get("/a.txt");
    assert_eq!((got.text(), got.field("Content-Length")), ("newer", Some("5")));
    assert_eq!(store.opens(), 4);
}

#[test]
fn small_files_that_keep_changing_without_growing_get_503() {
    let (store, site) = memory(&[("a.txt", "old")]);
    store.change_when_read("a.txt", (1..100).map(|size| "x".repeat(200 - size)));
    let got = Client::new(&site).get("/a.txt");
    assert_eq!((got.status, got.field("Retry-After")), (503, Some("1")));
}

#[test]
fn changing_a_large_file_aborts_its_response() {
    let content = "l".repeat(MAX_SMALL_FILE as usize * 2);
    let (store, site) = memory(&[("large", &content)]);
    store.pass(1_000_000);
    let mut client = Client::new(&site);
    client.ask("GET", "/large", "");
    client.run_all();
    store.write("large", "m".repeat(content.len()));
    let got = client.response().unwrap();
    assert_eq!(got.field("Content-Length"), Some("65536"));
    assert!(
        got.body.is_empty(),
        "the last part, here all of it, is sent only if the file is unchanged"
    );
}

#[test]
fn replaced_large_files_are_sent_to_the_end() {
    let content = "l".repeat(MAX_SMALL_FILE as usize * 2);
    let (store, site) = memory(&[("large", &content)]);
    store.pass(1_000_000);
    let mut client = Client::new(&site);
    client.ask("GET", "/large", "");
    client.run_all();
    store.replace("large", "m".repeat(content.len()));
    assert_eq!(client.response().unwrap().text(), content);
    client.pass(1000);
    assert!(client.get("/large").text().starts_with('m'));
}

#[test]
fn large_files_changed_in_place_are_looked_up_again_before_sending() {
    let content = "l".repeat(MAX_SMALL_FILE as usize * 2);
    let (store, site) = memory(&[("large", &content)]);
    let mut client = Client::new(&site);
    assert_eq!(client.get("/large").text(), content);
    store.pass(1_000_000);
    store.write("large", "short");
    store.pass(1_000_000);
    client.pass(10);
    assert_eq!(client.get("/large").text(), "short");
}

/// A request that joins a slow lookup late must see a change made after the lookup started.
#[test]
fn requests_that_join_an_old_lookup_start_another() {
    let (store, site) = memory(&[("a.txt", "old")]);
    let (mut early, mut late) = (Client::new(&site), Client::new(&site));
    early.ask("GET", "/a.txt", "");
    late.pass(1000);
    late.ask("GET", "/a.txt", "");
    assert_eq!(early.0.run_jobs(), 1);
    assert_eq!(early.response().unwrap().text(), "old");
    store.pass(1_000_000);
    store.write("a.txt", "new");
    late.0.deliver();
    assert_eq!(late.response(), None);
    assert_eq!(late.0.run_jobs(), 1);
    assert_eq!(late.response().unwrap().text(), "new");
}

/// A cached open file is checked for changes every 10 ms. If only a thread may read it, the check
/// may block, so a lookup opens the file again instead.
#[test]
fn files_that_only_threads_may_read_are_checked_by_lookups() {
    for access in [Access::Direct, Access::Probe, Access::Thread] {
        let (store, site) = memory(&[("large.jpg", &"x".repeat(MAX_SMALL_FILE as usize + 1))]);
        store.pass(1_000_000);
        store.set_access(access);
        let mut client = Client::new(&site);
        assert_eq!(client.get("/large.jpg").status, 200);
        let opens = store.opens();
        client.pass(9);
        assert_eq!((client.get("/large.jpg").status, store.opens()), (200, opens));
        client.pass(1);
        assert_eq!(client.get("/large.jpg").status, 200);
        assert_eq!(store.opens() > opens, access == Access::Thread, "{access:?}");
    }
}
