//! Precompressed files on a real disk: with wrong times, and replaced while they are served.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::scratch::Scratch;
use super::{Client, Got, decompress};
use crate::{CacheLimits, Coding, Codings, Folder, Options, Site};

/// A site on disk that compresses nothing on demand.
fn site(root: &Path) -> Site {
    let codings = Codings { on_demand: Vec::new(), ..Codings::default() };
    let options = Options { codings, ..Options::default() };
    Folder::open(root).unwrap().with(options).site(CacheLimits::default())
}

/// Content of the same length for all versions.
fn page(version: u64) -> Vec<u8> {
    format!("<p>version {version:09}</p>\n").repeat(200).into_bytes()
}

fn version(page: &[u8]) -> u64 {
    let number = std::str::from_utf8(&page[b"<p>version ".len()..][..9]).unwrap();
    let version = number.parse().unwrap();
    assert!(page == self::page(version), "a page is of one version");
    version
}

fn compressed(coding: Coding, content: &[u8]) -> Vec<u8> {
    crate::tests::compressed(coding, content)
}

fn date(path: &Path, secs: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn get(client: &mut Client) -> Got {
    client.request("GET", "/page.html", "Accept-Encoding: br, gzip, zstd\r\n")
}

fn content(got: &Got) -> Vec<u8> {
    assert_eq!((got.status, got.field("Vary")), (200, Some("Accept-Encoding")), "{}", got.head);
    match got.field("Content-Encoding") {
        Some(coding) => decompress(coding, &got.body),
        None => got.body.clone(),
    }
}

#[test]
fn contents_decide_and_not_times() {
    let good = compressed(Coding::Brotli, &page(2));
    for (name, precompressed, is_sent) in [
        ("the file", good.clone(), true),
        ("yesterday's", compressed(Coding::Brotli, &page(1)), false),
        ("cut off", good[..good.len() - 1].to_vec(), false),
        ("a bomb", compressed(Coding::Brotli, &vec![b'x'; 64 << 20]), false),
        ("nothing", Vec::new(), false),
        ("in another coding", compressed(Coding::Gzip, &page(2)), false),
    ] {
        // Older, equal, with dates of reproducible builds, newer, and in the future.
        for dates in
            [(2000, 1000), (1000, 1000), (1, 1), (0, 0), (1000, 2000), (1000, 4_000_000_000)]
        {
            let scratch = Scratch::new();
            let (file, beside) =
                (scratch.path().join("page.html"), scratch.path().join("page.html.br"));
            fs::write(&file, page(2)).unwrap();
            fs::write(&beside, &precompressed).unwrap();
            date(&file, dates.0);
            date(&beside, dates.1);
            let mut client = Client::new(&site(scratch.path()));
            for _ in 0..2 {
                let got = get(&mut client);
                assert_eq!(version(&content(&got)), 2, "{name} {dates:?}");
                let coding = got.field("Content-Encoding");
                assert_eq!(coding.is_some(), is_sent, "{name} {dates:?}");
                client.pass(1000);
            }
        }
    }
}

/// Beyond the part that is compared, the times decide.
#[test]
fn large_files_are_compared_by_beginning_and_times() {
    let scratch = Scratch::new();
    let (file, beside) = (scratch.path().join("data"), scratch.path().join("data.zst"));
    let mut data = page(1).repeat(18 << 20 >> 12);
    assert!(data.len() as u64 > crate::coding::checks::COMPARED);
    fs::write(&file, &data).unwrap();
    let times = File::open(&file).unwrap().metadata().unwrap().modified().unwrap();
    let sent = |data: &[u8], earlier: u64| {
        fs::write(&beside, compressed(Coding::Zstd, data)).unwrap();
        let time = FileTimes::new().set_modified(times - Duration::from_secs(earlier));
        File::options().write(true).open(&beside).unwrap().set_times(time).unwrap();
        let mut client = Client::new(&site(scratch.path()));
        let got = client.request("HEAD", "/data", "Accept-Encoding: zstd\r\n");
        (got.status, got.field("Content-Encoding").is_some())
    };
    assert_eq!(sent(&data, 0), (200, true), "of the same time");
    assert_eq!(sent(&data, 1), (200, false), "older");
    data[0] ^= 1;
    assert_eq!(sent(&data, 0), (200, false), "of another beginning");
}

/// Repeated deploys, of the page first and of its precompressed files after it: every request gets a page
/// that is at least as new as the one at the time of the request.
#[test]
fn files_swapped_while_served_are_never_stale() {
    let scratch = Scratch::new();
    let root = scratch.path().to_owned();
    let replace = |name: &str, content: &[u8]| {
        let temporary = root.join("temporary");
        fs::write(&temporary, content).unwrap();
        fs::rename(&temporary, root.join(name)).unwrap();
    };
    let deploy = |version: u64, deployed: &AtomicU64| {
        replace("page.html", &page(version));
        deployed.store(version, Ordering::SeqCst);
        // Some deploys leave one out.
        for (at, (coding, name)) in
            [(Coding::Brotli, "page.html.br"), (Coding::Gzip, "page.html.gz")]
                .into_iter()
                .enumerate()
        {
            if version % 3 != at as u64 {
                replace(name, &compressed(coding, &page(version)));
            }
        }
    };
    let (deployed, over) = (AtomicU64::new(0), AtomicBool::new(false));
    deploy(1, &deployed);
    let (mut coded, mut view) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for version in 2..400 {
                deploy(version, &deployed);
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut client = Client::new(&site(scratch.path()));
        while !over.load(Ordering::SeqCst) || coded == 0 {
            // Late enough for a new lookup.
            client.pass(1000);
            let least = deployed.load(Ordering::SeqCst);
            let got = get(&mut client);
            if got.status == 503 {
                // It changed during each of eight reads.
                continue;
            }
            let version = version(&content_of(&got));
            assert!(version >= least, "{version} after {least} was deployed");
            coded += u64::from(got.field("Content-Encoding").is_some());
            view += 1;
        }
    });
    assert!(coded > 0 && view > 0);
}

/// As [`content`], if there may be no precompressed file now.
fn content_of(got: &Got) -> Vec<u8> {
    assert_eq!(got.status, 200);
    match got.field("Content-Encoding") {
        Some(coding) => decompress(coding, &got.body),
        None => got.body.clone(),
    }
}
