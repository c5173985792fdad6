//! The cost of a request for a cached file, and the limits of the cache.

use allocation_counter::measure;

use super::budgets::{ALICE, h2_frame, h2_get};
use super::{Client, Harness, Rc, Server, debug_number, memory};
use crate::store::memory::Memory;
use crate::{CacheLimits, Coding, FileHandler, Folder, MAX_SMALL_FILE};

/// The harness copies input and output, so requests are compared with one of the same shape that
/// touches no file.
#[test]
fn cached_files_are_sent_without_an_allocation() {
    let large = "l".repeat(MAX_SMALL_FILE as usize + 1);
    let shared = "s".repeat(MAX_SMALL_FILE as usize);
    let files = [("a.txt", "Hello"), ("a b", "Hello"), ("shared", &*shared), ("large", &*large)];
    let (store, site) = memory(&files);
    let mut client = Client::new(&site);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let mut count = |request: &[u8]| {
        // The first rounds look it up, and grow the buffers.
        for _ in 0..3 {
            client.0.input(request);
            while client.0.run_jobs() > 0 {}
            client.0.output();
        }
        let info = measure(|| client.0.input(request));
        let response = client.0.output();
        (info.count_total, response)
    };
    let (baseline, response) = count(&b"OPTIONS /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]);
    assert!(response.starts_with(b"HTTP/1.1 204"));
    for path in ["/a.txt", "/a%20b", "/shared", "/large", "/none"] {
        let (hot, response) = count(&ask(path));
        assert!(response.starts_with(b"HTTP/1.1 "));
        assert!(hot <= baseline, "{path}: {hot} allocations, {baseline} without a file");
    }
    // One for each of the four files, and a second one for the file that is read whole. Three for
    // the missing name: none, none.html and 404.html. Three names of precompressed files for each
    // of the two larger files.
    assert_eq!(store.opens(), 4 + 1 + 3 + 2 * 3);
}

/// The same, over HTTP/2, for files that are sent in parts and in turns.
#[test]
fn cached_files_of_a_page_are_sent_over_http2_without_an_allocation() {
    const REQUESTS: u64 = 32;
    let files: Vec<_> = (0..20).map(|at: usize| (format!("{at}"), "x".repeat(1500 * at))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let (_, site) = memory(&files);
    let mut client = Harness::new(Server::new(Rc::default(), site));
    client.input(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.input(&h2_frame(4, 0, 0, &[0, 4, 0, 16, 0, 0]));
    client.input(&h2_frame(8, 0, 0, &[0x40, 0, 0, 0]));
    let mut stream = 1_u32;
    let mut round = || {
        let mut input = Vec::new();
        for _ in 0..REQUESTS {
            let mut request = h2_get(0, &format!("/{}", stream / 2 % 20), ALICE);
            request[5..9].copy_from_slice(&stream.to_be_bytes());
            input.extend(request);
            stream += 2;
        }
        let info = measure(|| {
            client.input(&input);
            assert!(!client.output().is_empty());
        });
        while client.run_jobs() > 0 {}
        client.output();
        info.count_total
    };
    // The first rounds look them up, and grow the buffers.
    (0..5).for_each(|_| _ = round());
    let counts = [round(), round(), round(), round(), round()];
    // The test's own buffer for the output grows some times.
    assert!(counts.iter().all(|count| *count < REQUESTS / 2), "{counts:?}");
}

/// The same, for compressed files.
#[test]
fn cached_compressed_files_are_sent_without_an_allocation() {
    let text = "A line of some text.\n".repeat(5000);
    let (store, site) = memory(&[("on-demand.txt", &text), ("beside.txt", &text)]);
    store.write("beside.txt.br", crate::tests::compressed(Coding::Brotli, text.as_bytes()));
    store.pass(1_000_000);
    let mut client = Client::new(&site);
    let fields = "Host: localhost\r\nAccept-Encoding: gzip, deflate, br, zstd";
    let mut count = |line: &str| {
        let request = format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n").into_bytes();
        for _ in 0..3 {
            client.0.input(&request);
            while client.0.run_jobs() > 0 {}
            client.0.output();
        }
        let info = measure(|| client.0.input(&request));
        (info.count_total, String::from_utf8_lossy(&client.0.output()).into_owned())
    };
    let (baseline, _) = count("OPTIONS /made.txt");
    for (name, coding) in [("on-demand", "zstd"), ("beside", "br")] {
        let (hot, response) = count(&format!("GET /{name}.txt"));
        assert!(response.contains(&format!("\r\nContent-Encoding: {coding}\r\n")), "{response}");
        assert!(hot <= baseline, "{name}: {hot} allocations, {baseline} without a file");
    }
}

#[test]
fn scans_stay_within_the_limits_and_keep_hot_entries() {
    let store = Memory::new();
    for number in 0..200 {
        store.write(&format!("small/{number}"), "x".repeat(1000));
        store.write(&format!("large/{number}"), "x".repeat(MAX_SMALL_FILE as usize + 1));
    }
    store.write("hot", "hot");
    store.pass(1_000_000);
    let limits = CacheLimits { entries: 40, bytes: 20_000, descriptors: 3 };
    let site = Folder::new(store.clone()).site(limits);
    let mut client = Client::new(&site);
    client.get("/hot");
    for number in 0..200 {
        client.get(&format!("/small/{number}"));
        client.get(&format!("/large/{number}"));
        client.get(&format!("/none/{number}"));
        let opens = store.opens();
        assert_eq!(client.get("/hot").text(), "hot");
        assert_eq!(store.opens(), opens, "the hot one stayed, at {number}");
    }
    for (name, most) in
        [("entries", limits.entries), ("bytes", limits.bytes), ("descriptors", limits.descriptors)]
    {
        assert!((1..=most).contains(&debug_number(&site, name)), "{name} of {site:?}");
    }
}

#[test]
fn idle_handlers_are_two_words_large() {
    assert_eq!(size_of::<FileHandler>(), 2 * size_of::<usize>());
}

#[test]
fn requests_are_answered_with_a_cache_of_size_zero() {
    let (store, _) = memory(&[("a.txt", "Hello")]);
    let none = CacheLimits { entries: 0, bytes: 0, descriptors: 0 };
    let site = Folder::new(store).site(none);
    let mut client = Client::new(&site);
    for _ in 0..3 {
        assert_eq!(client.get("/a.txt").text(), "Hello");
    }
}

/// A cached entry is found by the path as it was sent, if it needs no decoding. A key that
/// contains a `%` is another name than the equal raw path.
#[test]
fn names_with_a_percent_sign_are_not_found_by_their_raw_path() {
    let files = [("a%62", "percent"), ("ab", "letters"), ("%2e%2e", "dots"), ("100%", "all")];
    let (_store, site) = memory(&files);
    let mut client = Client::new(&site);
    for _ in 0..3 {
        for (path, content) in [
            ("/a%2562", Some("percent")),
            ("/a%62", Some("letters")),
            ("/ab", Some("letters")),
            ("/%252e%252e", Some("dots")),
            ("/%2e%2e", None),
            ("/100%25", Some("all")),
            ("/100%", None),
        ] {
            let got = client.get(path);
            assert_eq!(got.status == 200, content.is_some(), "{path}");
            if let Some(content) = content {
                assert_eq!(got.body, content.as_bytes(), "{path}");
            }
        }
    }
}
