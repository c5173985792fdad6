//! Precompressed files, in an in-memory store.

use super::Client;
use super::codings::{
    BROWSER, GZIP, VARY, accepting, compressed, content, site_with, summary, text,
};
use crate::store::memory::{InjectedFault, Memory};
use crate::{Coding, Codings};

#[test]
fn with_equal_weights_the_smallest_precompressed_file_is_sent() {
    let script = text(5000);
    let store = Memory::new();
    store.write("app.js", &*script);
    let [zstd, br, gzip] = Coding::ALL.map(|coding| compressed(coding, &script));
    let lens = [zstd.len(), br.len(), gzip.len()];
    store.write("app.js.zst", zstd);
    store.write("app.js.br", br);
    store.write("app.js.gz", gzip);
    let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
    let mut client = Client::new(&site);
    let got = client.request("GET", "/app.js", BROWSER);
    assert_eq!(got.body.len(), *lens.iter().min().unwrap());
    assert_eq!(got.field("Content-Type"), Some("text/javascript; charset=utf-8"));
    for (names, coding, len) in
        [("zstd", "zstd", lens[0]), ("br", "br", lens[1]), ("gzip, br;q=0.9", "gzip", lens[2])]
    {
        let got = client.request("GET", "/app.js", &accepting(names));
        assert_eq!((summary(&got), got.body.len()), ((200, Some(coding), VARY), len));
        assert_eq!(content(&got), script.as_bytes());
    }
    // Requested by its own name, a precompressed file is an ordinary file.
    let got = client.request("GET", "/app.js.gz", BROWSER);
    assert_eq!(summary(&got), (200, None, None));
    assert_eq!(got.field("Content-Type"), Some("application/gzip"));
}

/// If a file has a precompressed form, its responses have `Vary`, whatever its type and size.
#[test]
fn precompressed_files_are_used_for_every_type() {
    let content = text(100_000);
    for name in ["model.bin", "font.woff2", "page.html", "data"] {
        let store = Memory::new();
        store.write(name, &*content);
        store.write(&format!("{name}.br"), compressed(Coding::Brotli, &content));
        let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
        let mut client = Client::new(&site);
        let got = client.request("GET", &format!("/{name}"), BROWSER);
        assert_eq!(
            (summary(&got), &*self::content(&got)),
            ((200, Some("br"), VARY), content.as_bytes())
        );
        assert_eq!(summary(&client.get(&format!("/{name}"))), (200, None, VARY));
    }
}

#[test]
fn precompressed_index_and_clean_url_pages_are_found() {
    let page = text(3000);
    let store = Memory::new();
    for name in ["docs/index.html", "about.html", "404.html"] {
        store.write(name, &*page);
        store.write(&format!("{name}.br"), compressed(Coding::Brotli, &page));
    }
    let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
    let mut client = Client::new(&site);
    for (path, status) in [("/docs/", 200), ("/about", 200), ("/missing", 404)] {
        let got = client.request("GET", path, BROWSER);
        assert_eq!(summary(&got), (status, Some("br"), VARY), "{path}");
        assert_eq!(content(&got), page.as_bytes(), "{path}");
        let plain = client.get(path);
        assert_eq!((summary(&plain), plain.text()), ((status, None, VARY), &*page), "{path}");
    }
}

#[test]
fn ranges_are_of_the_selected_representation() {
    let page = text(5000);
    let store = Memory::new();
    for name in ["plain.html", "compressed.html"] {
        store.write(name, &*page);
    }
    let brotli = compressed(Coding::Brotli, &page);
    store.write("compressed.html.br", brotli.clone());
    let site = site_with(&store, Codings::default());
    let mut client = Client::new(&site);
    let plain = client.get("/compressed.html");

    // If a file is compressed on demand, a range selects bytes of the uncompressed file, even when
    // the compressed form is cached.
    client.request("GET", "/plain.html", BROWSER);
    let got = client.request("GET", "/plain.html", &format!("{BROWSER}Range: bytes=10-19\r\n"));
    assert_eq!((summary(&got), got.text()), ((206, None, VARY), &page[10..20]));
    let etag = client.request("GET", "/plain.html", BROWSER).field("ETag").unwrap().to_owned();
    let resume = format!("{BROWSER}Range: bytes=10-19\r\nIf-Range: {etag}\r\n");
    let got = client.request("GET", "/plain.html", &resume);
    assert_eq!(
        (summary(&got), got.text()),
        ((200, None, VARY), &*page),
        "another ETag: sent whole"
    );

    // If the client accepts a precompressed file, a range selects bytes of that file.
    let whole = client.request("GET", "/compressed.html", BROWSER);
    assert_eq!(summary(&whole), (200, Some("br"), VARY));
    let etag = whole.field("ETag").unwrap().to_owned();
    for extra in [String::new(), format!("If-Range: {etag}\r\n")] {
        let fields = format!("{BROWSER}Range: bytes=10-19\r\n{extra}");
        let got = client.request("GET", "/compressed.html", &fields);
        assert_eq!((summary(&got), &*got.body), ((206, Some("br"), VARY), &brotli[10..20]));
        let range = format!("bytes 10-19/{}", brotli.len());
        assert_eq!(got.field("Content-Range"), Some(&*range));
        assert_eq!(got.field("ETag"), Some(&*etag));
    }
    // A download in one encoding is not resumed in another.
    let plain_tag = plain.field("ETag").unwrap();
    let got = client.request(
        "GET",
        "/compressed.html",
        &format!("{BROWSER}Range: bytes=10-19\r\nIf-Range: {plain_tag}\r\n"),
    );
    assert_eq!((got.status, content(&got)), (200, page.clone().into_bytes()));
    let got = client.request(
        "GET",
        "/compressed.html",
        &format!("Range: bytes=10-19\r\nIf-Range: {etag}\r\n"),
    );
    assert_eq!((summary(&got), got.text()), ((200, None, VARY), &*page));
    let got = client.request("GET", "/compressed.html", "Range: bytes=10-19\r\n");
    assert_eq!((summary(&got), got.text()), ((206, None, VARY), &page[10..20]));
    let beyond = format!("{BROWSER}Range: bytes=4000-\r\n");
    let got = client.request("GET", "/compressed.html", &beyond);
    let size = format!("bytes */{}", brotli.len());
    assert_eq!((summary(&got), got.field("Content-Range")), ((416, None, VARY), Some(&*size)));
}

#[test]
fn precompressed_files_with_other_content_are_never_sent() {
    let (old, new) = (text(5000), text(5000).replace("This", "That"));
    for (name, bytes) in [
        ("stale", compressed(Coding::Gzip, &old)),
        ("longer", compressed(Coding::Gzip, &format!("{new}."))),
        ("shorter", compressed(Coding::Gzip, &new[1..])),
        ("cut off", compressed(Coding::Gzip, &new)[..500].to_vec()),
        ("empty", Vec::new()),
        ("of another coding", compressed(Coding::Brotli, &new)),
        ("not compressed", new.as_bytes()[..1000].to_vec()),
        ("a decompression bomb", compressed(Coding::Gzip, &"\0".repeat(4 << 20))[..4000].to_vec()),
        ("with a trailing byte", [compressed(Coding::Gzip, &new), vec![0]].concat()),
        ("no smaller", [compressed(Coding::Gzip, &new), vec![0; 5000]].concat()),
    ] {
        let store = Memory::new();
        // With equal modification times, then with a newer precompressed file.
        for nanos in [0, 5_000_000_000] {
            store.write("page.html", &*new);
            store.pass(nanos);
            store.write("page.html.gz", bytes.clone());
            let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
            let mut client = Client::new(&site);
            for _ in 0..3 {
                let got = client.request("GET", "/page.html", GZIP);
                assert_eq!((summary(&got), got.text()), ((200, None, VARY), &*new), "{name}");
                client.pass(1000);
            }
        }
    }
}

#[test]
fn older_precompressed_files_with_the_same_content_are_sent() {
    let page = text(5000);
    let store = Memory::new();
    store.write("page.html.gz", compressed(Coding::Gzip, &page));
    store.pass(5_000_000_000);
    store.write("page.html", &*page);
    let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
    let got = Client::new(&site).request("GET", "/page.html", GZIP);
    assert_eq!((summary(&got), &*content(&got)), ((200, Some("gzip"), VARY), page.as_bytes()));
}

#[test]
fn changes_of_original_and_precompressed_files_are_visible_after_a_second() {
    let (first, second) = (text(5000), text(5000).replace("This", "That"));
    let store = Memory::new();
    store.write("page.html", &*first);
    let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
    let mut client = Client::new(&site);
    let mut after = |change: &dyn Fn()| {
        change();
        store.pass(1_000_000);
        client.pass(1000);
        let got = client.request("GET", "/page.html", GZIP);
        let page = content(&got);
        let page =
            if page == first.as_bytes() { 1 } else { usize::from(page == second.as_bytes()) * 2 };
        (got.field("Content-Encoding").is_some(), got.field("Vary").is_some(), page)
    };
    assert_eq!(after(&|| {}), (false, false, 1));
    assert_eq!(
        after(&|| store.write("page.html.gz", compressed(Coding::Gzip, &first))),
        (true, true, 1)
    );
    assert_eq!(after(&|| {}), (true, true, 1));
    assert_eq!(after(&|| store.write("page.html", &*second)), (false, true, 2));
    assert_eq!(
        after(&|| store.replace("page.html.gz", compressed(Coding::Gzip, &second))),
        (true, true, 2)
    );
    assert_eq!(
        after(&|| store.write("page.html.gz", compressed(Coding::Gzip, &first))),
        (false, true, 2)
    );
    assert_eq!(after(&|| store.write("page.html", &*first)), (true, true, 1));
    assert!(!after(&|| store.remove("page.html.gz")).0);
    // A 404 has a page for browsers.
    assert_eq!(after(&|| store.remove("page.html")), (false, true, 0));
}

#[test]
fn unreadable_precompressed_files_are_ignored() {
    let page = text(5000);
    let store = Memory::new();
    store.write("page.html", &*page);
    store.write("page.html.gz/inside", "a folder of that name");
    store.write("page.html.br", compressed(Coding::Brotli, &page));
    store.fail("page.html.br", Some(InjectedFault::Absent(crate::Absent::Exhausted)));
    let site = site_with(&store, Codings { on_demand: Vec::new(), ..Codings::default() });
    let got = Client::new(&site).request("GET", "/page.html", BROWSER);
    assert_eq!((summary(&got), got.text()), ((200, None, None), &*page));
}
