//! Compression on demand, on a store in memory.

use proptest::prelude::*;

use super::{Client, Response, decompress, memory};
use crate::store::memory::Memory;
use crate::{CacheLimits, Coding, Codings, Folder, MAX_SMALL_FILE, Options, Site};

/// `Accept-Encoding` of browsers.
pub(super) const BROWSER: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n";
pub(super) const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// Text of `len` bytes, which compresses well.
pub(super) fn text(len: usize) -> String {
    let mut text: String = (0..1000).map(|number| format!("This is line {number}.\n")).collect();
    text = text.repeat(len / text.len() + 1);
    text.truncate(len);
    text
}

/// Bytes that do not compress.
pub(super) fn noise() -> impl Iterator<Item = u8> {
    let step = |state: &u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    std::iter::successors(Some(1_u64), move |state| Some(step(state)))
        .map(|state| (state >> 56) as u8)
}

pub(super) fn compressed(coding: Coding, content: &str) -> Vec<u8> {
    crate::tests::compressed(coding, content.as_bytes())
}

/// A site with options; its clock is past all changes.
pub(super) fn site_with(store: &Memory, codings: Codings) -> Site {
    store.pass(1_000_000);
    let options = Options { codings, ..Options::default() };
    Folder::new(store.clone()).with_options(options).site(CacheLimits::default())
}

pub(super) fn accepting(names: &str) -> String {
    format!("Accept-Encoding: {names}\r\n")
}

/// The content of a response, decoded as a client does.
pub(super) fn content(got: &Response) -> Vec<u8> {
    match got.field("Content-Encoding") {
        Some(coding) => decompress(coding, &got.body),
        None => got.body.clone(),
    }
}

/// The status, `Content-Encoding` and `Vary` of a response.
pub(super) fn summary(got: &Response) -> (u16, Option<&str>, Option<&str>) {
    (got.status, got.field("Content-Encoding"), got.field("Vary"))
}

pub(super) const VARY: Option<&str> = Some("Accept-Encoding");

#[test]
fn text_is_compressed_in_the_preferred_coding_of_each_client() {
    let page = text(5000);
    let (_, site) = memory(&[("page.html", &page)]);
    let mut client = Client::new(&site);
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip, deflate", Some("gzip")),
        ("gzip;q=1.0, br;q=0.9", Some("gzip")),
        ("*", Some("zstd")),
        ("zstd;q=0, *", Some("br")),
        ("identity;q=0, gzip", Some("gzip")),
        ("gzip;q=0.5, identity", None),
        ("deflate", None),
        ("identity", None),
        ("", None),
        ("*;q=0", None),
        ("gzip;q=5", None),
    ] {
        // Compressed, and cached.
        for _ in 0..2 {
            let got = client.request("GET", "/page.html", &accepting(accepted));
            assert_eq!(summary(&got), (200, coding, VARY), "{accepted}");
            assert_eq!(content(&got), page.as_bytes(), "{accepted}");
            assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
            assert_eq!(got.field("Content-Length"), Some(&*got.body.len().to_string()));
            assert_eq!(coding.is_some(), got.body.len() < page.len() / 2);
        }
    }
    let got = client.get("/page.html");
    assert_eq!((summary(&got), got.text()), ((200, None, VARY), &*page));
}

#[test]
fn small_large_and_incompressible_files_are_sent_uncompressed() {
    let store = Memory::new();
    for (name, content) in [
        ("small.txt", text(500).into_bytes()),
        ("large.txt", text(9 << 20).into_bytes()),
        ("photo.jpg", text(5000).into_bytes()),
        ("unknown", text(5000).into_bytes()),
        ("noise.txt", noise().take(5000).collect()),
    ] {
        store.write(name, content.clone());
        let site = site_with(&store, Codings::default());
        let mut client = Client::new(&site);
        for _ in 0..2 {
            let got = client.request("GET", &format!("/{name}"), BROWSER);
            // Noise is known to be incompressible only after compressing it.
            let vary = if name == "noise.txt" { VARY } else { None };
            assert_eq!(summary(&got), (200, None, vary), "{name}");
            assert!(got.body == content, "{name}");
        }
    }
}

#[test]
fn owners_choose_the_codings() {
    let page = text(5000);
    let store = Memory::new();
    store.write("page.html", &*page);
    store.write("page.html.gz", compressed(Coding::Gzip, &page));
    let get = |codings: Codings| {
        let site = site_with(&store, codings);
        let got = Client::new(&site).request("GET", "/page.html", BROWSER);
        assert_eq!(content(&got), page.as_bytes());
        (got.field("Content-Encoding").map(str::to_owned), got.field("Vary").is_some())
    };
    let all = Codings::default();
    assert_eq!(get(all.clone()), (Some("gzip".into()), true));
    assert_eq!(get(Codings { precompressed: false, ..all.clone() }), (Some("zstd".into()), true));
    let only = vec![Coding::Brotli];
    let brotli = Codings { precompressed: false, on_demand: only };
    assert_eq!(get(brotli), (Some("br".into()), true));
    assert_eq!(get(Codings::NONE), (None, false));
}

#[test]
fn each_encoding_has_its_own_etag_in_200_304_and_head() {
    let page = text(5000);
    let store = Memory::new();
    store.write("page.html", &*page);
    store.write("page.html.gz", compressed(Coding::Gzip, &page));
    let site = site_with(&store, Codings::default());
    let mut client = Client::new(&site);
    let mut tags = Vec::new();
    for names in ["identity", "gzip", "br", "zstd"] {
        let fields = accepting(names);
        let got = client.request("GET", "/page.html", &fields);
        let etag = got.field("ETag").unwrap().to_owned();
        let coding = Some(names).filter(|names| *names != "identity");
        assert_eq!(summary(&got), (200, coding, VARY), "{names}");

        let head = Client::new(&site).request("HEAD", "/page.html", &fields);
        assert_eq!((head.head, head.body), (got.head.clone(), Vec::new()), "{names}");
        // HEAD compresses nothing: fields that depend on the compressed content are left out.
        let fresh_site = site_with(&store, Codings::default());
        let mut client = Client::new(&fresh_site);
        client.ask("HEAD", "/page.html", &fields);
        assert_eq!(client.0.run_jobs(), 1, "one lookup");
        let head = client.response().unwrap();
        let unknown = match names {
            "br" | "zstd" => &["ETag", "Content-Length", "Accept-Ranges"][..],
            _ => &[],
        };
        let is_known = |line: &&str| !unknown.iter().any(|name| line.starts_with(name));
        let mut expected: Vec<_> = got.head.lines().filter(is_known).collect();
        let mut lines: Vec<_> = head.head.lines().collect();
        expected.sort_unstable();
        lines.sort_unstable();
        assert_eq!(lines, expected, "{names}");

        let known =
            client.request("GET", "/page.html", &format!("{fields}If-None-Match: {etag}\r\n"));
        assert_eq!((summary(&known), known.field("ETag")), ((304, None, VARY), Some(&*etag)));
        assert!(known.body.is_empty());
        let other = format!("{fields}If-Match: \"other\"\r\n");
        assert_eq!(summary(&client.request("GET", "/page.html", &other)), (412, None, VARY));
        tags.push(etag);
    }
    // The ETag of one encoding does not match another.
    let cross = format!("{GZIP}If-None-Match: {}, {}, {}\r\n", tags[0], tags[2], tags[3]);
    assert_eq!(client.request("GET", "/page.html", &cross).status, 200);
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "{tags:?}");
}

#[test]
fn only_changed_text_is_compressed_again() {
    let (first, second) = (text(100_000), text(100_000).replace("This", "That"));
    let (store, site) = memory(&[("page.html", &first)]);
    let mut client = Client::new(&site);
    let before = client.request("GET", "/page.html", BROWSER);
    assert_eq!(content(&before), first.as_bytes());
    // Looked up again, it is the same: the request waits for the lookup only.
    client.pass(1000);
    client.ask("GET", "/page.html", BROWSER);
    assert_eq!(client.0.run_jobs(), 1);
    let again = client.response().unwrap();
    assert_eq!((&again.body, again.field("ETag")), (&before.body, before.field("ETag")));
    store.write("page.html", &*second);
    store.pass(1_000_000);
    client.pass(1000);
    let after = client.request("GET", "/page.html", BROWSER);
    assert_eq!(content(&after), second.as_bytes());
    assert_ne!(before.field("ETag"), after.field("ETag"));
}

#[test]
fn a_file_that_changes_while_it_is_compressed_is_not_cached_compressed() {
    let (first, second) = (text(100_000), text(100_000).replace("This", "That"));
    let (store, site) = memory(&[("page.html", &first)]);
    let mut client = Client::new(&site);
    client.get("/page.html");
    client.ask("GET", "/page.html", BROWSER);
    store.write("page.html", &*second);
    store.pass(1_000_000);
    client.0.run_jobs();
    // The open file has changed: the response is aborted rather than wrong.
    let got = client.response().unwrap();
    assert_eq!((summary(&got), got.body.len()), ((200, None, VARY), 0));
    client = Client::new(&site);
    client.pass(1000);
    let got = client.request("GET", "/page.html", BROWSER);
    assert_eq!((summary(&got), &*content(&got)), ((200, Some("zstd"), VARY), second.as_bytes()));
}

/// The compressed old file is ready after another connection has found the new file.
#[test]
fn late_compression_results_do_not_replace_newer_files() {
    let (first, second) = (text(5000), text(5000).replace("This", "That"));
    let (store, site) = memory(&[("page.html", &first)]);
    let (mut early, mut late) = (Client::new(&site), Client::new(&site));
    early.get("/page.html");
    early.ask("GET", "/page.html", BROWSER);
    store.replace("page.html", &*second);
    store.pass(1_000_000);
    late.pass(1000);
    assert_eq!(late.get("/page.html").text(), second);
    assert_eq!(early.0.run_jobs(), 1, "the compression that began before the change");
    assert_eq!(content(&early.response().unwrap()), first.as_bytes());
    for fields in ["", BROWSER] {
        let got = late.request("GET", "/page.html", fields);
        assert!(content(&got) == second.as_bytes(), "the old content is back: {}", got.head);
    }
}

#[test]
fn requests_for_one_coding_share_a_job() {
    let page = text(5000);
    let (_, site) = memory(&[("page.html", &page)]);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::new(&site)).collect();
    clients[0].get("/page.html");
    for client in &mut clients {
        client.ask("GET", "/page.html", BROWSER);
    }
    let ran: usize = clients.iter_mut().map(|client| client.0.run_jobs()).sum();
    assert_eq!(ran, 1);
    for client in &mut clients {
        client.0.deliver();
        assert_eq!(content(&client.response().unwrap()), page.as_bytes());
    }
}

#[test]
fn workers_share_compressed_contents() {
    let page = text(100_000);
    let store = Memory::new();
    store.write("page.html", &*page);
    store.pass(1_000_000);
    let folder = Folder::new(store.clone());
    let [first, second] = [(), ()].map(|()| folder.site(CacheLimits::default()));
    let got = Client::new(&first).request("GET", "/page.html", BROWSER);
    let mut client = Client::new(&second);
    client.get("/page.html");
    // A read would overwrite it, and be compressed.
    store.change_when_read("page.html", ["read"]);
    assert_eq!(client.request("GET", "/page.html", BROWSER), got);
}

#[test]
fn refused_compression_jobs_are_answered_with_the_original() {
    let page = text(5000);
    let (_, site) = memory(&[("page.html", &page)]);
    let (mut first, mut second) = (Client::new(&site), Client::new(&site));
    first.get("/page.html");
    first.ask("GET", "/page.html", BROWSER);
    second.ask("GET", "/page.html", BROWSER);
    first.0.drop_jobs();
    second.0.deliver();
    for client in [&mut first, &mut second] {
        let got = client.response().unwrap();
        assert_eq!((summary(&got), got.text()), ((200, None, VARY), &*page));
    }
    assert_eq!(summary(&first.request("GET", "/page.html", BROWSER)), (200, Some("zstd"), VARY));
}

#[test]
fn refused_compression_jobs_are_answered_with_what_the_file_has_become() {
    let page = text(5000);
    for (removed, written, target, status) in [
        ("page.html", Some("page.html/index.html"), "/page.html", 301),
        ("index.html", None, "/", 200),
        ("page.html", None, "/page.html", 404),
    ] {
        let store = Memory::new();
        ["page.html", "index.html"].iter().for_each(|name| store.write(name, &*page));
        store.pass(1_000_000);
        let options = Options { listing: true, ..Options::default() };
        let site = Folder::new(store.clone()).with_options(options).site(CacheLimits::default());
        let (mut first, mut second) = (Client::new(&site), Client::new(&site));
        first.get(target);
        first.ask("GET", target, BROWSER);
        store.remove(removed);
        written.iter().for_each(|name| store.write(name, &*page));
        second.pass(2000);
        assert_eq!(second.get(target).status, status);
        first.0.drop_jobs();
        first.run_all();
        assert_eq!(first.response().unwrap().status, status, "{target}");
    }
}

#[test]
fn abandoned_compression_jobs_are_not_run() {
    let page = text(5000);
    let (_, site) = memory(&[("page.html", &page)]);
    let mut first = Client::new(&site);
    first.get("/page.html");
    first.ask("GET", "/page.html", BROWSER);
    first.close();
    assert_eq!(first.0.run_jobs(), 0);
    let got = Client::new(&site).request("GET", "/page.html", BROWSER);
    assert_eq!((summary(&got), &*content(&got)), ((200, Some("zstd"), VARY), page.as_bytes()));
}

#[test]
fn files_too_large_for_the_cache_are_still_sent_compressed() {
    let page = text(100_000);
    let store = Memory::new();
    store.write("page.html", &*page);
    store.pass(1_000_000);
    let none = CacheLimits { entries: 0, bytes: 0, descriptors: 0 };
    let site = Folder::new(store).site(none);
    let mut client = Client::new(&site);
    for _ in 0..3 {
        let got = client.request("GET", "/page.html", BROWSER);
        assert_eq!((summary(&got), &*content(&got)), ((200, Some("zstd"), VARY), page.as_bytes()));
    }
}

#[test]
fn encodings_count_against_the_cache_limits() {
    // Compressed to half of it, and so kept as a descriptor, too.
    let large: String =
        noise().take(2 * MAX_SMALL_FILE as usize).map(|byte| format!("{byte:02x}")).collect();
    let precompressed = compressed(Coding::Zstd, &large);
    assert!(precompressed.len() > MAX_SMALL_FILE as usize);
    let store = Memory::new();
    for number in 0..4 {
        store.write(&format!("{number}.txt"), &*large);
        store.write(&format!("{number}.txt.zst"), precompressed.clone());
    }
    store.pass(1_000_000);
    let limits = CacheLimits { entries: 100, bytes: 200_000, descriptors: 3 };
    let site = Folder::new(store).site(limits);
    let mut client = Client::new(&site);
    for number in 0..4 {
        for names in ["zstd", "gzip", "identity"] {
            let got = client.request("GET", &format!("/{number}.txt"), &accepting(names));
            assert_eq!(content(&got), large.as_bytes());
            for (name, most) in [("bytes", limits.bytes), ("descriptors", limits.descriptors)] {
                assert!(super::debug_number(&site, name) <= most, "{name} of {site:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For all requests, the decoded content of the response is the file.
    #[test]
    fn responses_decode_to_the_file_for_any_accept_encoding(
        members in proptest::collection::vec(
            (
                prop_oneof![
                    Just("gzip"), Just("br"), Just("zstd"), Just("identity"), Just("*"),
                    Just("deflate"), Just("x-gzip"),
                ],
                prop_oneof![
                    Just(""), Just(";q=0"), Just(";q=1"), Just(";q=0.5"), Just(";q=0.001"),
                    Just(";q=7"), Just("; Q=0.9"), Just(";level=9"),
                ],
            ),
            0..6,
        ),
        len in prop_oneof![Just(0_usize), Just(900), Just(1500), 0..100_000_usize],
        precompressed in proptest::collection::vec((0..3_usize, any::<bool>()), 0..3),
        compresses in any::<bool>(),
    ) {
        let page = text(len);
        let store = Memory::new();
        store.write("page.html", &*page);
        for (coding, stale) in precompressed {
            let coding = Coding::ALL[coding];
            let content = if stale { format!("{page}!") } else { page.clone() };
            let extension = ["zst", "br", "gz"][coding as usize];
            store.write(&format!("page.html.{extension}"), compressed(coding, &content));
        }
        let on_demand = if compresses { Coding::ALL.to_vec() } else { Vec::new() };
        let site = site_with(&store, Codings { on_demand, ..Codings::default() });
        let mut client = Client::new(&site);
        let value: Vec<String> =
            members.iter().map(|(name, weight)| format!("{name}{weight}")).collect();
        let fields = accepting(&value.join(", "));
        for _ in 0..2 {
            let got = client.request("GET", "/page.html", &fields);
            prop_assert_eq!(got.status, 200);
            prop_assert!(content(&got) == page.as_bytes());
            if let Some(coding) = got.field("Content-Encoding") {
                let accepts = |(name, weight): &(&str, &str)| {
                    let names = *name == "*" || name.trim_start_matches("x-") == coding;
                    names && !matches!(*weight, ";q=0" | ";q=7" | ";level=9")
                };
                prop_assert!(members.iter().any(accepts), "{} for {}", coding, fields);
                prop_assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
            }
        }
    }
}

/// RFC 9110, 8.6: HEAD states no `Content-Length` but that of the same GET.
#[test]
fn head_before_the_file_is_compressed_states_no_length_or_etag() {
    let page = text(5000);
    let conditions = [
        ("", 200),
        ("If-None-Match: \"x\"\r\n", 200),
        ("If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n", 200),
        ("If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n", 304),
        ("If-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n", 200),
        ("If-Match: \"x\"\r\n", 412),
        ("Range: bytes=0-1\r\n", 200),
    ];
    let requests = [("/page.html", 200, false), ("/none", 404, false), ("/none", 200, true)];
    for (path, status, spa) in requests {
        for (condition, with_condition) in conditions {
            let store = Memory::new();
            for name in ["index.html", "page.html", "404.html"] {
                store.write(name, &*page);
            }
            store.pass(1_000_000);
            let options = Options { spa, ..Options::default() };
            let folder = Folder::new(store).with_options(options);
            let mut client = Client::new(&folder.site(CacheLimits::default()));
            let fields = format!("{GZIP}{condition}");
            let status = if status == 404 { 404 } else { with_condition };
            let names = ["Content-Length", "ETag"];
            let head = client.request("HEAD", path, &fields);
            assert_eq!((head.status, head.body.len()), (status, 0), "{path} {condition}");
            if status == 412 {
                continue;
            }
            let is_compressed = status != 304;
            assert_eq!(head.field("Content-Encoding").is_some(), is_compressed, "{path} {fields}");
            if is_compressed {
                assert_eq!(names.map(|name| head.field(name)), [None, None], "{path} {condition}");
            }
            let fields = fields.replace("Range: bytes=0-1\r\n", "");
            let get = client.request("GET", path, &fields);
            let again = client.request("HEAD", path, &fields);
            assert_eq!((again.status, again.head), (get.status, get.head.clone()), "{path}");
            assert_eq!(get.status, status, "{path} {condition}");
            let varying = ["Content-Length", "ETag", "Accept-Ranges", "Date"];
            let mut lines = [&head.head, &get.head].map(|head| {
                let varies = |line: &&str| varying.iter().any(|name| line.starts_with(name));
                head.lines().filter(|line| !varies(line)).collect::<Vec<_>>()
            });
            lines.iter_mut().for_each(|lines| lines.sort_unstable());
            assert_eq!(lines[0], lines[1], "{path} {condition}");
        }
    }
}
