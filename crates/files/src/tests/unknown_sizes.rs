//! Files whose size on disk is not that of their content, as in `/proc` and `/sys`: they are read
//! to their end for each request, and never cached.

use sockeye_proto::CancelToken;

use super::codings::{accepting, compressed, site_with};
use super::scratch::Scratch;
use super::{Client, memory, site};
use crate::lookup::find::look_up_fully;
use crate::lookup::mounts::Mounts;
use crate::store::memory::Memory;
use crate::tar::manifest::Manifest;
use crate::{Coding, Codings, MAX_SMALL_FILE};

/// A store with one file that has this content, and another size.
fn store(content: &str, size: u64) -> Memory {
    let store = Memory::new();
    store.write("f.txt", content);
    store.claim_size("f.txt", size);
    store.pass(1_000_000);
    store
}

#[test]
fn the_content_is_sent_whole_without_validators() {
    let large = "line\n".repeat(200_000);
    for (content, size) in [
        ("x", 0),
        ("two\nlines\n", 0),
        ("short", 4096),
        ("", 4096),
        ("short", MAX_SMALL_FILE),
        (&large[..131_071], 0),
        (&large[..131_072], 0),
        (&large[..131_073], 0),
        (&large, 0),
        (&large, 0),
    ] {
        let mut client = Client::new(&site(store(content, size)));
        for fields in [
            "",
            "Range: bytes=1-2\r\n",
            "Accept-Encoding: br, gzip\r\n",
            "If-Modified-Since: Sun, 09 Sep 2035 01:46:40 GMT\r\n",
            "If-None-Match: \"\"\r\n",
        ] {
            let got = client.request("GET", "/f.txt", fields);
            assert_eq!((got.status, got.text() == content), (200, true), "{size} {fields}");
            assert_eq!(got.field("Content-Length"), Some(&*content.len().to_string()));
            assert_eq!(got.field("Cache-Control"), Some("no-store"));
            assert_eq!(got.field("Content-Type").map(|kind| &kind[..10]), Some("text/plain"));
            for absent in
                ["ETag", "Last-Modified", "Accept-Ranges", "Content-Range", "Content-Encoding"]
            {
                assert_eq!(got.field(absent), None, "{size} {fields}");
            }
            let head = client.request("HEAD", "/f.txt", fields);
            assert_eq!((head.head, head.body.len()), (got.head, 0), "{size} {fields}");
        }
        let got = client.request("GET", "/f.txt", "If-Match: \"x\"\r\n");
        assert_eq!(got.status, 412, "it has no ETag");
    }
}

#[test]
fn the_file_is_read_for_each_request() {
    let store = store("one", 0);
    let site = site(store.clone());
    let mut client = Client::new(&site);
    for content in ["one", "other", "third", ""] {
        store.set_content("f.txt", content);
        assert_eq!(client.get("/f.txt").text(), content);
    }
    // Now it seems to be an empty file, whose next content has the same identity.
    store.pass(1);
    client.pass(1000);
    assert_eq!(client.get("/f.txt").text(), "");
    store.set_content("f.txt", "third");
    client.pass(1000);
    assert_eq!(client.get("/f.txt").text(), "third");
    // A request that joins the lookup of an earlier one reads the file again.
    let mut late = Client::new(&site);
    client.ask("GET", "/f.txt", "");
    late.pass(2001);
    late.ask("GET", "/f.txt", "");
    assert_eq!(client.0.run_jobs(), 1);
    assert_eq!(client.response().unwrap().text(), "third");
    store.set_content("f.txt", "fourth");
    late.0.deliver();
    late.run_all();
    assert_eq!(late.response().unwrap().text(), "fourth");
}

#[test]
fn a_file_is_cached_as_usual_when_its_size_is_right_again() {
    let (store, site) = memory(&[("f.txt", "right")]);
    let mut client = Client::new(&site);
    assert!(client.get("/f.txt").field("ETag").is_some());
    store.claim_size("f.txt", 0);
    client.pass(1000);
    assert_eq!(client.get("/f.txt").field("ETag"), None);
    store.claim_size("f.txt", 5);
    assert!(client.get("/f.txt").field("ETag").is_some());
}

#[test]
fn more_than_a_mebibyte_is_refused_and_not_cut() {
    for (size, status) in [(1 << 20, 200), ((1 << 20) + 1, 500), (3 << 20, 500)] {
        let content = "x".repeat(size);
        let store = store(&content, 0);
        let got = Client::new(&site(store.clone())).get("/f.txt");
        assert_eq!((got.status, got.body.len() == size), (status, status == 200), "{size}");
        let folder = crate::Folder::new(store);
        let entry = look_up_fully(&Mounts::new().at("/", folder).unwrap(), b"f.txt");
        let shown = format!("{:?}", entry.target);
        assert_eq!(shown.contains("TooLong"), status == 500, "{size}");
    }
}

/// A slow client holds the bytes of its response, so it is charged for them.
#[test]
fn large_contents_are_charged_to_their_clients() {
    let store = store(&"x".repeat(1 << 20), 0);
    let budgets =
        crate::Budgets::new(crate::BudgetLimits { listings: 5 << 20, ..Default::default() });
    let folder = crate::Folder::new(store).with_budgets(&budgets);
    let site = folder.site(crate::CacheLimits::default());
    let mut clients = [(); 3].map(|()| Client::new(&site));
    let mut statuses = Vec::new();
    for client in &mut clients {
        client.ask("GET", "/f.txt", "");
        client.run_all();
    }
    assert!(budgets.listings.used() >= 2 << 20);
    for client in &mut clients {
        statuses.push(client.response().unwrap().status);
    }
    assert_eq!(statuses, [200, 200, 503]);
    drop(clients);
    assert_eq!(budgets.listings.used(), 0);
    assert_eq!(Client::new(&site).get("/f.txt").status, 200);
}

/// Such a file is sent uncompressed, and is not sent as the precompressed form of another.
#[test]
fn files_without_a_size_have_no_encodings() {
    let text = "A line of some text.\n".repeat(1000);
    for (lying, size) in [("f.txt", 30_000), ("f.txt.gz", 0), ("f.txt.gz", 10_000)] {
        let store = Memory::new();
        store.write("f.txt", &*text);
        store.write("f.txt.gz", compressed(Coding::Gzip, &text));
        store.claim_size(lying, size);
        store.pass(1_000_000);
        let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
        let got = Client::new(&site).request("GET", "/f.txt", &accepting("gzip"));
        assert_eq!(got.field("Content-Encoding"), None, "{lying} {size}");
        assert_eq!(got.text(), text, "{lying} {size}");
        assert_eq!(got.field("ETag").is_some(), lying != "f.txt");
    }
}

#[test]
fn files_of_the_kernel_are_sent() {
    for (folder, path) in [("/proc/self", "/status"), ("/proc/sys/kernel", "/ostype")] {
        let Ok(disk) = crate::Disk::open(folder) else { continue };
        let expected = std::fs::read_to_string(format!("{folder}{path}")).unwrap();
        let got = Client::new(&site(disk)).get(path);
        assert_eq!(got.status, 200);
        assert_eq!(got.text().lines().next(), expected.lines().next());
        assert_eq!(got.text().lines().count(), expected.lines().count());
        assert_eq!(got.field("Cache-Control"), Some("no-store"));
    }
    let path = "/sys/class/net/lo";
    if let Ok(expected) = std::fs::read_to_string(format!("{path}/mtu")) {
        let got = Client::new(&site(crate::Disk::open(path).unwrap())).get("/mtu");
        assert_eq!((got.status, got.text()), (200, &*expected));
    }
}

/// Archives have the size of a file before its content, which `/proc` and `/sys` don't know.
#[test]
fn files_of_the_kernel_are_left_out_of_archives_and_counted() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("file"), "content").unwrap();
    for (name, target) in [("zero", "/proc/version"), ("page", "/proc/sys/kernel/ostype")] {
        std::os::unix::fs::symlink(target, scratch.path().join(name)).unwrap();
    }
    let disk = crate::Disk::open(scratch.path()).unwrap().links_into("/proc").unwrap();
    let names = |disk: &crate::Disk, folder: &[u8]| {
        let cancel = CancelToken::default();
        let lease = crate::tests::lease(1 << 30);
        let manifest = Manifest::make(disk, folder, b"top", lease, &cancel).unwrap();
        let last = manifest.count() - 1;
        let note = String::from_utf8(manifest.note(last).unwrap().to_vec()).unwrap();
        let names = (0..last).map(|at| manifest.with_entry(at, |entry| entry.name.to_vec()));
        (names.collect::<Vec<_>>(), note)
    };
    let (found, note) = names(&disk, b"");
    assert_eq!(found, [b"top/file"]);
    assert_eq!(note, "Not in this archive: 2 files whose size is unknown.\n");
    let (found, _) = names(&crate::Disk::open("/proc/sys/kernel").unwrap(), b"random");
    assert!(found.is_empty(), "{found:?}");
}
