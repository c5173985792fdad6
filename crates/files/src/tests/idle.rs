//! Closing files that are not requested any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sockeye_proto::{Time, Timed};

use super::scratch::Scratch;
use super::{Client, debug_number, memory};
use crate::{BudgetLimits, Budgets, CacheLimits, Folder, MAX_SMALL_FILE, Options, Site};

const SECOND: Duration = Duration::from_secs(1);

/// Calls the site at its deadlines up to `now`, as the engine does.
fn drive(site: &Site, now: Time) {
    if site.deadline().is_some_and(|deadline| deadline <= now) {
        site.clone().on_deadline(now);
    }
}

#[test]
fn files_are_closed_after_five_seconds_without_a_request() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let (_store, site) = memory(&[("small", "x"), ("one", &large), ("other", &large)]);
    let mut client = Client::new(&site);
    client.get("/small");
    assert_eq!(site.deadline(), None, "no file is open");
    client.get("/one");
    let first = site.deadline().unwrap();
    client.get("/other");
    drive(&site, first.checked_sub(Duration::from_nanos(1)).unwrap());
    assert_eq!(debug_number(&site, "descriptors"), 2);

    // A second lookup, and requests that the cache answers.
    client.pass(3900);
    client.get("/other");
    client.pass(500);
    client.get("/other");
    drive(&site, first);
    assert_eq!(debug_number(&site, "descriptors"), 1);
    let second = site.deadline().unwrap();
    assert_eq!(second.since(first), SECOND * 44 / 10);
    drive(&site, second);
    assert_eq!((debug_number(&site, "descriptors"), site.deadline()), (0, None));
    assert!(debug_number(&site, "entries") > 0, "what is in memory stays");

    client.pass(10_000);
    assert_eq!(client.get("/one").body.len(), large.len());
    assert!(site.deadline() > Some(second), "open again");
}

#[test]
fn open_files_are_searched_at_most_once_per_second() {
    let names: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let (_store, site) = memory(&names.iter().map(|name| (&**name, &*large)).collect::<Vec<_>>());
    let mut client = Client::new(&site);
    for name in &names {
        client.get(&format!("/{name}"));
        client.pass(100);
    }
    let mut rounds = 0;
    while let Some(deadline) = site.deadline() {
        drive(&site, deadline);
        rounds += 1;
    }
    assert_eq!(
        (rounds, debug_number(&site, "descriptors")),
        (5, 0),
        "all were requested within four seconds"
    );
}

/// The open files of this process below `root`.
fn open_below(root: &Path) -> Vec<PathBuf> {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let files = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    files.filter(|path| path.starts_with(root) && path != root).collect()
}

#[test]
fn deleted_files_free_their_space() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("large.txt"), "A line of text.\n".repeat(10_000)).unwrap();
    let site = Folder::open(scratch.path()).unwrap().site(CacheLimits::default());
    let mut client = Client::new(&site);
    client.get("/large.txt");
    client.request("GET", "/large.txt", "Accept-Encoding: gzip\r\n");
    fs::remove_file(scratch.path().join("large.txt")).unwrap();
    assert_eq!(open_below(scratch.path()).len(), 1);
    drive(&site, site.deadline().unwrap());
    assert_eq!(open_below(scratch.path()), Vec::<PathBuf>::new());
}

#[test]
fn cached_listings_are_dropped() {
    let (store, _) = memory(&[("d/a", ""), ("d/b", "")]);
    store.pass(3_000_000_000);
    let budgets = Budgets::new(BudgetLimits::default());
    let options = Options { listing: true, ..Options::default() };
    let folder = Folder::new(store.clone()).with_options(options).with_budgets(&budgets);
    let site = folder.site(CacheLimits::default());
    let mut client = Client::new(&site);
    assert_eq!(client.get("/d/").status, 200);
    assert_eq!(client.get("/d/?format=tar").status, 200);
    while client.0.run_jobs() > 0 {}
    client.0.output();
    assert!(budgets.listings.used() > 0, "it may be asked for again");
    let deadline = site.deadline().unwrap();
    // By the store's clock it is too early.
    drive(&site, deadline);
    assert!(budgets.listings.used() > 0);
    store.pass(1_000_000_000);
    drive(&site, site.deadline().unwrap());
    assert_eq!((budgets.listings.used(), site.deadline()), (0, None));
}
