//! Lookups on the event loop, on a real disk: requests that are answered before any job has run.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sockeye_proto::Access;

use super::Client;
use super::budgets::ask_as;
use super::scratch::Scratch;
use crate::store::traits::{Opened, Store};
use crate::{BudgetLimits, Budgets, CacheLimits, Disk, Folder, MAX_SMALL_FILE, Options, Site};

/// A folder with `page.txt`. `None` where the kernel or the file
/// system of temporary files don't support lookups on event loops.
pub(super) fn scratch() -> Option<(Scratch, Disk)> {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("page.txt"), "a page").unwrap();
    let disk = Disk::open(scratch.path()).unwrap();
    let Ok(Opened::File(file, _)) = disk.open(b"page.txt") else { panic!("a file") };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let is_overlay = rustix::fs::statfs(scratch.path()).unwrap().f_type as u32 == 0x794C_7630;
    if version < (5, 12) || file.access() == Access::Thread || is_overlay {
        eprintln!("SKIPPED: no lookups on event loops here");
        return None;
    }
    Some((scratch, disk))
}

fn site(root: &Path, options: Options) -> Site {
    Folder::open(root).unwrap().with_options(options).site(CacheLimits::default())
}

/// The text of the response that is sent before any job has run, if there is one.
fn answered_at_once(client: &mut Client, path: &str) -> Option<String> {
    client.ask("GET", path, "");
    client.response().map(|response| response.text().to_owned())
}

#[test]
fn names_in_the_kernels_memory_are_looked_up_on_the_event_loop() {
    let Some((scratch, disk)) = scratch() else { return };
    let root = scratch.path();
    fs::create_dir(root.join("folder")).unwrap();
    symlink("page.txt", root.join("link")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe")).status();
    assert!(pipe.is_ok_and(|status| status.success()));
    let lookup = disk.for_event_loop().unwrap();
    assert!(matches!(lookup.open(b"page.txt"), Ok(Opened::File(..))));
    assert!(matches!(lookup.open(b"folder"), Ok(Opened::Folder)));
    assert!(matches!(lookup.open(b""), Ok(Opened::Folder)));
    assert!(!lookup.would_block());
    for left_to_threads in ["link", "pipe", "page.txt/..", "../"] {
        let lookup = disk.for_event_loop().unwrap();
        assert!(lookup.open(left_to_threads.as_bytes()).is_err(), "{left_to_threads}");
        assert!(lookup.would_block(), "{left_to_threads}");
    }
}

/// Waits until event loops may look names up. A link that was just made is not followed in memory
/// until the clock of the file system ticks, since its access time has to be written.
fn wait_for_event_loop(disk: &Disk) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while disk.for_event_loop().is_none() {
        assert!(disk.open(b"file").is_ok() && Instant::now() < deadline);
        thread::yield_now();
    }
}

#[test]
fn a_root_that_was_replaced_is_left_to_threads() {
    let Some((scratch, _)) = scratch() else { return };
    let [old, new, root] = ["old", "new", "root"].map(|name| scratch.path().join(name));
    for folder in [&old, &new] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("file"), "").unwrap();
    }
    symlink(&old, &root).unwrap();
    let disk = Disk::open(&root).unwrap();
    wait_for_event_loop(&disk);
    fs::remove_file(&root).unwrap();
    symlink(&new, &root).unwrap();
    assert!(disk.for_event_loop().is_none(), "the new root may be anywhere");
    wait_for_event_loop(&disk);
}

#[test]
fn old_entries_and_new_names_are_answered_without_a_job() {
    let Some((scratch, _)) = scratch() else { return };
    let root = scratch.path();
    fs::write(root.join("other.txt"), "other").unwrap();
    let site = site(root, Options::default());
    let mut client = Client::new(&site);
    assert_eq!(client.get("/page.txt").text(), "a page");
    client.pass(1000);
    assert_eq!(answered_at_once(&mut client, "/page.txt").as_deref(), Some("a page"));
    fs::write(root.join("page.txt"), "changed").unwrap();
    client.pass(999);
    assert_eq!(client.get("/page.txt").text(), "a page", "it was confirmed 999 ms ago");
    client.pass(1);
    assert_eq!(answered_at_once(&mut client, "/page.txt").as_deref(), Some("changed"));
    // The kernel remembers a name that is missing once a thread has looked it up: there are none
    // of its encoded forms.
    client.get("/other.txt");
    let mut newcomer = Client::new(&self::site(root, Options::default()));
    assert_eq!(answered_at_once(&mut newcomer, "/other.txt").as_deref(), Some("other"));
}

#[test]
fn a_file_to_be_read_whole_is_left_to_a_job_that_has_it_open() {
    let Some((scratch, _)) = scratch() else { return };
    let (folder, content) = (scratch.path().join("folder"), "ab".repeat(MAX_SMALL_FILE as usize));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("large.bin"), &content).unwrap();
    let site = site(scratch.path(), Options::default());
    let mut client = Client::new(&site);
    assert_eq!(answered_at_once(&mut client, "/folder/large.bin"), None);
    // The job can't open it by its name any more.
    fs::rename(&folder, scratch.path().join("renamed")).unwrap();
    assert_eq!(client.0.run_jobs(), 1, "one job, and no lookup before it");
    let response = client.response().unwrap();
    assert!(response.status == 200 && response.text() == content);
    client.pass(1000);
    assert_eq!(client.get("/folder/large.bin").status, 404);
}

/// Otherwise clients of many addresses could use all descriptors of the process: each has its
/// share.
#[test]
fn open_files_that_wait_for_jobs_leave_half_of_the_budget() {
    let Some((scratch, _)) = scratch() else { return };
    let content = "ab".repeat(MAX_SMALL_FILE as usize);
    let budgets = Budgets::new(BudgetLimits { open_files: 8, ..BudgetLimits::default() });
    let folder = Folder::open(scratch.path()).unwrap().with_budgets(&budgets);
    let site = folder.site(CacheLimits::default());
    let names = ["A", "B", "C", "D", "E", "F"];
    let mut clients = names.map(|name| {
        fs::write(scratch.path().join(name), &content).unwrap();
        ask_as(&site, &format!("/{name}"), name)
    });
    let is_waiting = |file: &io::Result<DirEntry>| {
        let target = file.as_ref().ok().and_then(|file| fs::read_link(file.path()).ok());
        target.is_some_and(|target| names.iter().any(|name| target == scratch.path().join(name)))
    };
    let waiting = fs::read_dir("/proc/self/fd").unwrap().filter(is_waiting).count();
    assert_eq!((waiting, budgets.open_files.used()), (4, 4));
    for client in &mut clients {
        while client.run_jobs() > 0 {}
        assert!(client.output().starts_with(b"HTTP/1.1 200 "));
    }
    assert_eq!(budgets.open_files.used(), 0);
}

#[test]
fn an_event_loop_does_a_few_lookups_in_one_turn() {
    let Some((scratch, _)) = scratch() else { return };
    let names: Vec<String> = (0..20).map(|at| format!("{at}.txt")).collect();
    for name in &names {
        fs::write(scratch.path().join(name), name).unwrap();
    }
    // The kernel knows after this that there are no encoded forms.
    let mut first = Client::new(&site(scratch.path(), Options::default()));
    names.iter().for_each(|name| drop(first.get(&format!("/{name}"))));
    let site = site(scratch.path(), Options::default());
    let answered = names.iter().filter(|name| {
        let mut client = Client::new(&site);
        answered_at_once(&mut client, &format!("/{name}")).is_some()
    });
    assert_eq!(answered.count(), 16);
}

#[test]
fn a_write_is_visible_at_once_if_the_folder_is_kept_fresh() {
    let scratch = Scratch::new();
    let file = scratch.path().join("page.txt");
    let listing = Options { listing: true, ..Options::default() };
    for fresh in [true, false] {
        let site = site(scratch.path(), Options { fresh, ..listing.clone() });
        let mut client = Client::new(&site);
        fs::write(&file, "0").unwrap();
        let caching = client.get("/page.txt").field("Cache-Control").map(str::to_owned);
        assert_eq!(caching.as_deref(), Some("no-cache"));
        let current = (1..100).filter(|at| {
            fs::write(&file, at.to_string()).unwrap();
            client.get("/page.txt").text() == at.to_string()
        });
        assert_eq!(current.count(), if fresh { 99 } else { 0 });
        let names = |client: &mut Client| client.get("/?format=text").text().to_owned();
        let before = names(&mut client);
        fs::write(scratch.path().join(format!("new-{fresh}")), "").unwrap();
        assert_eq!(names(&mut client) != before, fresh);
    }
}

/// A lookup that has started may have read the version before the request.
#[test]
fn requests_do_not_join_a_lookup_if_the_folder_is_kept_fresh() {
    for fresh in [true, false] {
        let (store, _) = super::memory(&[("page.txt", "a page")]);
        let options = Options { fresh, ..Options::default() };
        let site = Folder::new(store).with_options(options).site(CacheLimits::default());
        let mut clients = [Client::new(&site), Client::new(&site)];
        clients.iter_mut().for_each(|client| client.ask("GET", "/page.txt", ""));
        let jobs = clients.each_mut().map(|client| client.0.run_jobs());
        assert_eq!(jobs, [1, usize::from(fresh)]);
        for client in &mut clients {
            client.run_all();
            client.0.deliver();
            assert_eq!(client.response().unwrap().text(), "a page");
        }
    }
}
