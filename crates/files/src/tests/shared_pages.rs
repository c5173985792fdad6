//! Pages of listings: rendered and compressed once for all requests, and charged to clients.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use sockeye_proto::{CancelToken, Client as Payer, Time, Waiter};

use super::*;
use crate::listing::cache::{ListingRequest, ListingResult};
use crate::listing::page::PageContent;
use crate::listing::query::{Format, ListingQuery};
use crate::store::absent::Absent;
use crate::tar::manifest::ArchiveError;
use crate::{BudgetLimits, Budgets, Child, Codings, Omitted, Opened, Options, Stamp};

const ALICE: Payer = Payer::V4([192, 0, 2, 1]);
const BOB: Payer = Payer::V4([192, 0, 2, 2]);

fn folder(names: usize, budgets: &Arc<Budgets>) -> (Memory, Folder) {
    let store = Memory::new();
    (0..names).for_each(|at| store.write(&format!("d/file {at:05}.txt"), ""));
    store.pass(3_000_000_000);
    let options = Options { listing: true, ..Options::default() };
    (store.clone(), Folder::new(store).with_options(options).with_budgets(budgets))
}

fn make(
    folder: &Folder,
    client: Payer,
    coding: Option<Coding>,
    query: &str,
) -> Result<PageContent, ArchiveError> {
    let (_waiter, cancel) = Waiter::new();
    make_from(&*folder.store, folder, request(client, coding, query, cancel))
}

fn request(
    client: Payer,
    coding: Option<Coding>,
    query: &str,
    cancel: CancelToken,
) -> ListingRequest {
    ListingRequest {
        name: b"d".as_slice().into(),
        is_file: false,
        path: b"/d/".as_slice().into(),
        title: b"d".as_slice().into(),
        query: ListingQuery::parse(Some(query.as_bytes()), true).unwrap(),
        format: Format::Html,
        archives: true,
        links_pages: false,
        always_read: false,
        script: Box::default(),
        coding,
        client,
        arrived: Time::ZERO,
        cancel,
    }
}

fn make_from(
    store: &dyn Store,
    folder: &Folder,
    request: ListingRequest,
) -> Result<PageContent, ArchiveError> {
    match folder.listings.make(store, &folder.encoder, request)? {
        ListingResult::Page(page) => Ok(page),
        other => panic!("not a page: {other:?}"),
    }
}

/// A store whose clock moves on with each look at it.
#[derive(Debug)]
struct Ticking {
    memory: Memory,
    looks: AtomicUsize,
}

impl Store for Ticking {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        self.memory.open(name)
    }

    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        self.memory.list(name, each)
    }

    fn now(&self) -> Stamp {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        assert!(looks < 100, "reads the folder again and again");
        self.memory.pass(1_000_000);
        self.memory.now()
    }

    fn single_file(&self) -> Option<&[u8]> {
        self.memory.single_file()
    }
}

#[test]
fn a_page_is_made_though_the_clock_moves_on_before_its_listing_is_read() {
    let (memory, folder) = folder(3, &Budgets::new(BudgetLimits::default()));
    let store = Ticking { memory, looks: AtomicUsize::new(0) };
    let (_waiter, cancel) = Waiter::new();
    let page = make_from(&store, &folder, request(ALICE, None, "", cancel)).unwrap();
    assert!(String::from_utf8_lossy(&page.bytes).contains("file 00002.txt"));
}

#[test]
fn a_hundred_simultaneous_requests_render_and_compress_a_page_once() {
    const REQUESTS: usize = 100;
    let budgets = Budgets::new(BudgetLimits::default());
    let (store, folder) = folder(10_000, &budgets);
    let before = store.opens();
    let all = Barrier::new(REQUESTS);
    let contents: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..REQUESTS)
            .map(|at| {
                let (folder, all) = (&folder, &all);
                let coding = (at % 2 == 0).then_some(Coding::Gzip);
                let client = if at % 4 < 2 { ALICE } else { BOB };
                scope.spawn(move || {
                    all.wait();
                    make(folder, client, coding, "").unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(store.opens() - before, 1, "the folder is read once");
    let (plain, compressed) = (&contents[1], &contents[0]);
    assert_eq!((plain.coding, compressed.coding), (None, Some(Coding::Gzip)));
    assert_eq!(decompress("gzip", &compressed.bytes), plain.bytes);
    for content in &contents {
        let same = if content.coding.is_some() { compressed } else { plain };
        assert_eq!(content.bytes.as_ptr(), same.bytes.as_ptr(), "the same memory");
        assert_eq!(content.etag, same.etag);
    }
    assert_ne!(plain.etag, compressed.etag);
}

#[test]
fn each_client_is_charged_once_for_a_page_until_the_last_part_is_sent() {
    let budgets = Budgets::new(BudgetLimits { listings: 16 << 20, ..BudgetLimits::default() });
    let (store, folder) = folder(1000, &budgets);
    // What the client may still take of its quarter.
    let has_left = |bytes: u64| budgets.listings.charge(ALICE, bytes).is_some();
    let mut held: Vec<_> = (0..20).map(|_| make(&folder, ALICE, None, "").unwrap()).collect();
    let len = held[0].bytes.len() as u64;
    assert!(has_left((4 << 20) - len) && !has_left((4 << 20) - len + 1));
    held.push(make(&folder, ALICE, None, "sort=size").unwrap());
    assert!(!has_left((4 << 20) - len), "another page");
    let share = budgets.listings.charge(ALICE, (4 << 20) - 2 * len - 100).unwrap();
    let refused = make(&folder, ALICE, None, "sort=date").map(|page| page.bytes.len());
    assert_eq!(refused, Err(ArchiveError::Absent(Absent::Exhausted)));
    assert!(make(&folder, ALICE, None, "").is_ok(), "the client has it");
    assert!(make(&folder, BOB, None, "sort=date").is_ok());
    drop(share);
    assert!(make(&folder, ALICE, None, "sort=date").is_ok());
    let part = held[0].bytes.slice(10..20);
    held.clear();
    store.pass(1_000_000_000);
    folder.listings.remove_stale(folder.store.now());
    assert!(budgets.listings.used() >= len && !has_left(4 << 20), "a part of the page is left");
    drop(part);
    assert!(budgets.listings.used() == 0 && has_left(4 << 20));
}

#[test]
fn clients_beyond_their_share_of_compressed_bytes_get_pages_uncompressed() {
    let budgets = Budgets::new(BudgetLimits { compressed: 2 << 20, ..BudgetLimits::default() });
    let (_, folder) = folder(1000, &budgets);
    let held = budgets.compressed.charge(ALICE, (1 << 19) - 100).unwrap();
    assert_eq!(make(&folder, ALICE, Some(Coding::Zstd), "").unwrap().coding, None);
    assert_eq!(make(&folder, BOB, Some(Coding::Zstd), "").unwrap().coding, Some(Coding::Zstd));
    drop(held);
    assert_eq!(make(&folder, ALICE, Some(Coding::Zstd), "").unwrap().coding, Some(Coding::Zstd));
}

#[test]
fn only_pages_of_all_entries_are_cached_and_compressed() {
    let budgets = Budgets::new(BudgetLimits::default());
    let (_, folder) = folder(1000, &budgets);
    for (query, is_shared) in
        [("", true), ("sort=size", true), ("q=file", false), ("per=10", false), ("page=9", false)]
    {
        let one = make(&folder, ALICE, Some(Coding::Zstd), query).unwrap();
        assert_eq!(one.coding.is_some(), is_shared, "{query}");
        let [plain, other] = [(); 2].map(|()| make(&folder, ALICE, None, query).unwrap());
        assert_eq!(plain.bytes.as_ptr() == other.bytes.as_ptr(), is_shared, "{query}");
        assert_eq!((&plain.bytes, &plain.etag), (&other.bytes, &other.etag), "{query}");
    }
}

/// A page is not cached longer than the listing that it is made of.
#[test]
fn pages_are_as_fresh_as_listings() {
    let budgets = Budgets::new(BudgetLimits::default());
    let (store, folder) = folder(10, &budgets);
    let rows = |query| {
        let page = make(&folder, ALICE, None, query).unwrap();
        String::from_utf8_lossy(&page.bytes).matches("<tr class").count()
    };
    assert_eq!(rows(""), 10);
    store.write("d/new", "");
    store.pass(600_000_000);
    assert_eq!(rows("sort=size"), 10, "the cached listing in another order");
    store.pass(400_000_000);
    assert_eq!((rows(""), rows("sort=size")), (11, 11));
}

/// A client that has spent its share can't hide a README from others.
#[test]
fn a_page_without_a_readme_for_lack_of_memory_is_not_shared() {
    let budgets = Budgets::new(BudgetLimits { listings: 64 << 20, ..BudgetLimits::default() });
    let (store, folder) = folder(10, &budgets);
    store.write("d/README.md", "# Read *me*");
    store.pass(3_000_000_000);
    let has_readme = |client| {
        let page = make(&folder, client, None, "").unwrap();
        String::from_utf8_lossy(&page.bytes).contains("Read <em>me</em>")
    };
    // Enough is left for the page, but not for reading a README.
    let spent = budgets.listings.charge(ALICE, (16 << 20) - (200 << 10)).unwrap();
    assert!(!has_readme(ALICE) && has_readme(BOB));
    assert!(has_readme(ALICE), "the page is shared now");
    drop(spent);
    store.pass(1_000_000_000);
    assert!(has_readme(ALICE));
}

/// Sends a request, and reads the response to its end.
fn ask(site: &Site, method: &str, target: &str, fields: &str) -> Response {
    let mut client = Client::new(site);
    client.ask(method, target, fields);
    let mut bytes = Vec::new();
    loop {
        let (ran, more) = (client.0.run_jobs(), client.0.output());
        if ran == 0 && more.is_empty() {
            return parse_response(&bytes);
        }
        bytes.extend(more);
    }
}

#[test]
fn pages_are_sent_compressed_with_their_length_and_etag() {
    let (_, folder) = folder(3000, &Budgets::new(BudgetLimits::default()));
    let site = folder.clone().site(CacheLimits::default());
    let plain = ask(&site, "GET", "/d/", "");
    assert_eq!(plain.field("Content-Length"), Some(&*plain.body.len().to_string()));
    assert_eq!(plain.text().matches("<tr class").count(), 3000);
    assert_eq!(plain.field("Content-Encoding"), None);
    for coding in Coding::ALL.map(Coding::name) {
        let accept = format!("Accept-Encoding: {coding}\r\n");
        let got = ask(&site, "GET", "/d/", &accept);
        assert_eq!(got.field("Content-Encoding"), Some(coding));
        assert_eq!(got.field("Content-Length"), Some(&*got.body.len().to_string()));
        assert_eq!(got.field("Vary"), Some("Accept, Accept-Encoding"));
        assert!(got.body.len() < plain.body.len() / 10);
        assert!(decompress(coding, &got.body) == plain.body);
        assert_ne!(got.field("ETag"), plain.field("ETag"));
        let known = format!("{accept}If-None-Match: {}\r\n", got.field("ETag").unwrap());
        let again = ask(&site, "GET", "/d/", &known);
        assert_eq!((again.status, again.field("Content-Encoding")), (304, None));
        assert_eq!(again.field("ETag"), got.field("ETag"));
    }
    let head = ask(&site, "HEAD", "/d/", "Accept-Encoding: gzip\r\n");
    assert_eq!((head.field("Content-Encoding"), head.body.len()), (None, 0));
    assert_eq!(head.field("Vary"), Some("Accept, Accept-Encoding"));
    let options = Options { codings: Codings::NONE, ..(*folder.options).clone() };
    let site = folder.with_options(options).site(CacheLimits::default());
    let got = ask(&site, "GET", "/d/", "Accept-Encoding: gzip\r\n");
    assert_eq!((got.field("Content-Encoding"), got.field("Vary")), (None, Some("Accept")));
}

#[test]
fn pages_are_written_only_while_there_is_room() {
    let (_, folder) = folder(9000, &Budgets::new(BudgetLimits::default()));
    let mut client = Client::new(&folder.site(CacheLimits::default()));
    client.ask("GET", "/d/", "");
    client.run_all();
    let held = client.0.held();
    assert!(held > 0 && held < Harness::ROOM + 100 * 1024, "{held}");
}
