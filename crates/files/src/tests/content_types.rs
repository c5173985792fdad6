//! `Content-Type` and `Content-Encoding` by name and content: charsets, and files stored
//! compressed.

use super::{Client, compressed, decompress, memory};
use crate::store::memory::Memory;
use crate::{
    CacheLimits, Coding, ContentEncodings, ContentTypes, Folder, MAX_SMALL_FILE, Options, Site,
};

fn folder(files: &[(&str, &[u8])], options: Options) -> Folder {
    let (store, _) = memory(&[]);
    for (name, content) in files {
        store.write(name, *content);
    }
    store.pass(1_000_000);
    Folder::new(store).with_options(options)
}

fn site(files: &[(&str, &[u8])], options: Options) -> Site {
    folder(files, options).site(CacheLimits::default())
}

fn kind(client: &mut Client, path: &str) -> String {
    client.request("HEAD", path, "").field("Content-Type").expect("a type").to_owned()
}

/// A page in Shift_JIS that says so.
const JAPANESE: &[u8] =
    b"<!doctype html><meta charset=\"Shift_JIS\"><title>\x93\xFA\x96\x7B\x8C\xEA</title>";

#[test]
fn utf8_is_claimed_only_for_content_that_is_and_declares_nothing_else() {
    let files: &[(&str, &[u8], &str)] = &[
        ("utf8.html", "<!doctype html><p>\u{65e5}".as_bytes(), "text/html; charset=utf-8"),
        ("ascii.html", b"<!doctype html><p>plain", "text/html; charset=utf-8"),
        ("meta8.html", b"<meta charset=UTF-8><p>plain", "text/html; charset=utf-8"),
        ("sjis.html", JAPANESE, "text/html"),
        ("latin1.html", b"<meta charset=iso-8859-1>caf\xE9", "text/html"),
        ("undeclared.html", b"<p>caf\xE9", "text/html"),
        (
            "pragma.html",
            b"<meta http-equiv=Content-Type content='text/html; charset=euc-kr'>ascii",
            "text/html",
        ),
        ("utf16.html", b"\xFF\xFE<\0p\0>\0", "text/html"),
        ("mark.html", b"\xEF\xBB\xBF<meta charset=big5>", "text/html; charset=utf-8"),
        ("old.xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>", "text/xml"),
        ("ascii.xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "text/xml"),
        ("new.xml", b"<?xml version='1.0' encoding='utf-8'?><a/>", "text/xml; charset=utf-8"),
        ("old.svg", b"<?xml version='1.0' encoding='koi8-r'?><svg/>", "image/svg+xml"),
        ("new.svg", b"<svg/>", "image/svg+xml; charset=utf-8"),
        ("old.xhtml", b"<?xml version='1.0' encoding='big5'?><html/>", "application/xhtml+xml"),
        ("feed.atom", b"<?xml version='1.0' encoding='gbk'?><feed/>", "application/atom+xml"),
        ("old.css", b"@charset \"windows-1251\"; a {}", "text/css"),
        ("new.css", b"a {}", "text/css; charset=utf-8"),
        ("old.js", b"alert('\xE9')", "text/javascript"),
        ("new.js", "alert('\u{e9}')".as_bytes(), "text/javascript; charset=utf-8"),
        ("old.txt", b"caf\xE9", "text/plain"),
        ("new.txt", b"", "text/plain; charset=utf-8"),
        ("old.csv", b"\xC4,\xD6,\xDC", "text/csv"),
        ("new.md", "caf\u{e9}".as_bytes(), "text/markdown; charset=utf-8"),
        ("a.json", b"{}", "application/json"),
        ("a.png", b"plain", "image/png"),
    ];
    for len in [0, MAX_SMALL_FILE, 2 * MAX_SMALL_FILE, 4 * MAX_SMALL_FILE] {
        let padded: Vec<(&str, Vec<u8>)> = files
            .iter()
            .map(|(name, content, _)| {
                let mut content = content.to_vec();
                content.resize(content.len().max(len as usize), b' ');
                (*name, content)
            })
            .collect();
        let padded: Vec<(&str, &[u8])> =
            padded.iter().map(|(name, content)| (*name, &**content)).collect();
        // In memory, hashed, and larger than that.
        let options = Options { hashed_up_to: 2 * MAX_SMALL_FILE, ..Options::default() };
        let mut client = Client::new(&site(&padded, options));
        for (name, _, expected) in files {
            assert_eq!(kind(&mut client, &format!("/{name}")), *expected, "{name} {len}");
        }
    }
}

#[test]
fn all_of_a_hashed_file_and_the_start_of_a_larger_one_decide() {
    const UTF8: &str = "text/plain; charset=utf-8";
    let len = 300_000;
    let with = |at: usize, bytes: &[u8]| {
        let mut content = vec![b'x'; len];
        content[at..at + bytes.len()].copy_from_slice(bytes);
        content
    };
    let emoji = "\u{1f600}".as_bytes();
    for (content, hashed, not_hashed) in [
        (with(0, b""), UTF8, UTF8),
        // A file is hashed in pieces of 128 KiB.
        (with(128 * 1024 - 2, emoji), UTF8, UTF8),
        (with(64 * 1024 - 1, emoji), UTF8, UTF8),
        (with(64 * 1024 - 3, emoji), UTF8, UTF8),
        (with(64 * 1024 - 1, b"\xE9"), "text/plain", UTF8),
        (with(64 * 1024 - 2, b"\xE9"), "text/plain", "text/plain"),
        (with(64 * 1024, b"\xE9"), "text/plain", UTF8),
        (with(len - 1, b"\xE9"), "text/plain", UTF8),
        (with(len - 2, &emoji[..2]), "text/plain", UTF8),
    ] {
        for (hashed_up_to, expected) in [(len as u64, hashed), (len as u64 - 1, not_hashed)] {
            let options = Options { hashed_up_to, ..Options::default() };
            let mut client = Client::new(&site(&[("a.txt", &content)], options));
            assert_eq!(kind(&mut client, "/a.txt"), expected);
        }
    }
}

/// A file that ends with its checked start is known whole.
#[test]
fn cut_character_at_the_end_of_a_file_is_not_utf8() {
    let emoji = "\u{1f600}".as_bytes();
    for (missing, expected) in [(0, "text/plain; charset=utf-8"), (1, "text/plain")] {
        for len in [MAX_SMALL_FILE as usize, 64 * 1024] {
            let text = vec![b'x'; len - (emoji.len() - missing)];
            let content = [&text, &emoji[..emoji.len() - missing]].concat();
            let options = Options { hashed_up_to: 0, ..Options::default() };
            let mut client = Client::new(&site(&[("a.txt", &content)], options));
            assert_eq!(kind(&mut client, "/a.txt"), expected, "{len}");
        }
    }
}

/// The result is kept with the file's hash, so that no worker reads the file again.
#[test]
fn charset_of_a_known_file_is_known() {
    let page = [JAPANESE, &b" ".repeat(MAX_SMALL_FILE as usize)].concat();
    let store = Memory::new();
    store.write("a.html", page);
    store.pass(1_000_000);
    let folder = Folder::new(store.clone()).with_options(Options::default());
    let mut first = Client::new(&folder.clone().site(CacheLimits::default()));
    let read = first.request("HEAD", "/a.html", "");
    store.change_when_read("a.html", ["another content"]);
    let mut second = Client::new(&folder.site(CacheLimits::default()));
    let known = second.request("HEAD", "/a.html", "");
    assert_eq!(known.field("Content-Type"), Some("text/html"));
    assert_eq!(known.field("ETag"), read.field("ETag"));
    first.pass(1001);
    assert_eq!(first.request("HEAD", "/a.html", "").field("ETag"), read.field("ETag"));
}

#[test]
fn every_response_with_a_file_has_its_type() {
    let page = [JAPANESE, &b"<p>text".repeat(1000)].concat();
    let brotli = compressed(Coding::Brotli, &page);
    let files: &[(&str, &[u8])] = &[
        ("index.html", &page),
        ("about.html", &page),
        ("about.html.br", &brotli),
        ("404.html", &page),
    ];
    let mut client = Client::new(&site(files, Options::default()));
    for (path, fields, status, coding) in [
        ("/", "", 200, None),
        ("/", "Accept-Encoding: gzip\r\n", 200, Some("gzip")),
        ("/about", "Accept-Encoding: br\r\n", 200, Some("br")),
        ("/about", "Range: bytes=0-9\r\n", 206, None),
        ("/none", "Accept: text/html\r\n", 404, None),
    ] {
        let got = client.request("GET", path, fields);
        assert_eq!((got.status, got.field("Content-Encoding")), (status, coding), "{path}");
        assert_eq!(got.field("Content-Type"), Some("text/html"), "{path} {fields}");
    }
    let got = client.request("GET", "/", "Range: bytes=0-1,4000-4001\r\n");
    assert!(got.text().contains("\r\nContent-Type: text/html\r\n"), "{}", got.text());
    let mut app = Client::new(&site(files, Options { spa: true, ..Options::default() }));
    let got = app.request("GET", "/any/route", "Accept: text/html\r\n");
    assert_eq!((got.status, got.field("Content-Type")), (200, Some("text/html")));
}

#[test]
fn types_that_the_owner_chose_are_sent_as_given() {
    let mut content_types = ContentTypes::new();
    content_types.add("bare.html", "text/html").unwrap();
    content_types.add("*.html", "text/html;charset=\"Shift_JIS\"").unwrap();
    content_types.add("*.svgz", "image/x-own").unwrap();
    let options = Options { content_types, ..Options::default() };
    let gzip = compressed(Coding::Gzip, b"<svg/>");
    let files: &[(&str, &[u8])] = &[("bare.html", b"x"), ("a.html", b"x"), ("a.svgz", &gzip)];
    let mut client = Client::new(&site(files, options));
    for (path, expected) in [
        ("/bare.html", "text/html"),
        ("/a.html", "text/html;charset=\"Shift_JIS\""),
        ("/a.svgz", "image/x-own"),
    ] {
        assert_eq!(kind(&mut client, path), expected, "{path}");
    }
    assert_eq!(client.get("/a.svgz").field("Content-Encoding"), Some("gzip"));
}

#[test]
fn svgz_is_sent_as_svg_in_gzip() {
    let image = [&b"<svg>"[..], &b"<g></g>".repeat(20_000), b"</svg>"].concat();
    let stored = compressed(Coding::Gzip, &image);
    let large = [&stored[..], &vec![0; MAX_SMALL_FILE as usize]].concat();
    let again = compressed(Coding::Gzip, &stored);
    let files: &[(&str, &[u8])] = &[
        ("a.svgz", &stored),
        ("A.SVGZ", &large),
        ("plain.svgz", b"<svg/>"),
        ("empty.svgz", b""),
        // Not a precompressed form of it.
        ("a.svgz.gz", &again[..60]),
    ];
    let mut client = Client::new(&site(files, Options::default()));
    for fields in ["", "Accept-Encoding: br, gzip, zstd\r\n", "Accept-Encoding: identity\r\n"] {
        let got = client.request("GET", "/a.svgz", fields);
        assert_eq!(got.field("Content-Type"), Some("image/svg+xml"), "{fields}");
        assert_eq!(got.field("Content-Encoding"), Some("gzip"), "{fields}");
        assert_eq!(got.field("Vary"), None);
        assert_eq!(got.body, stored);
        assert_eq!(decompress("gzip", &got.body), image);
        assert_eq!(got.field("X-Frame-Options"), Some("SAMEORIGIN"), "an SVG is a page");
    }
    let got = client.request("GET", "/a.svgz", "Range: bytes=2-11\r\n");
    assert_eq!((got.status, &got.body[..]), (206, &stored[2..12]));
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
    let got = client.request("GET", "/A.SVGZ", "Accept-Encoding: zstd\r\n");
    assert_eq!(got.field("Content-Type"), Some("image/svg+xml"));
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
    assert!(got.field("Vary").is_none() && got.body == large, "it isn't compressed again");
    // Content that isn't gzip.
    for path in ["/plain.svgz", "/empty.svgz"] {
        let got = client.get(path);
        assert_eq!(got.field("Content-Type"), Some("image/svg+xml; charset=utf-8"), "{path}");
        assert_eq!(got.field("Content-Encoding"), None, "{path}");
    }
}

#[test]
fn files_stored_compressed_are_sent_in_their_coding() {
    let script = b"console.log(1);".repeat(100);
    let [gzip, brotli, zstd] =
        [Coding::Gzip, Coding::Brotli, Coding::Zstd].map(|coding| compressed(coding, &script));
    let files: &[(&str, &[u8])] = &[
        ("app.js", &script),
        ("app.js.gz", &gzip),
        ("unpacked.js.gz", b"console.log('\xE9')"),
        ("game.wasm.br", &brotli),
        ("game.data.gz", &gzip),
        ("game.js.zst", &zstd),
        ("game.dat", &brotli),
        ("backup.gz", &gzip),
        ("a.svgz", &gzip),
    ];
    let plain = site(files, Options::default());
    let mut content_encodings = ContentEncodings::new();
    content_encodings.add("backup.*", None);
    content_encodings.add("*.svgz", None);
    content_encodings.add("*.gz", Some(Coding::Gzip));
    content_encodings.add("*.br", Some(Coding::Brotli));
    content_encodings.add("*.zst", Some(Coding::Zstd));
    content_encodings.add("/*.dat", Some(Coding::Brotli));
    let chosen = site(files, Options { content_encodings, ..Options::default() });
    let (mut plain, mut chosen) = (Client::new(&plain), Client::new(&chosen));
    for (path, before, coding, kind) in [
        ("/app.js.gz", "application/gzip", Some("gzip"), "text/javascript"),
        ("/unpacked.js.gz", "application/gzip", None, "text/javascript"),
        ("/game.wasm.br", "application/octet-stream", Some("br"), "application/wasm"),
        ("/game.data.gz", "application/gzip", Some("gzip"), "application/octet-stream"),
        ("/game.js.zst", "application/zstd", Some("zstd"), "text/javascript"),
        ("/game.dat", "application/octet-stream", Some("br"), "application/octet-stream"),
        ("/backup.gz", "application/gzip", None, "application/gzip"),
        ("/a.svgz", "image/svg+xml", None, "application/gzip"),
    ] {
        assert_eq!(plain.get(path).field("Content-Type"), Some(before), "{path}");
        let got = chosen.get(path);
        assert_eq!(got.field("Content-Type"), Some(kind), "{path}");
        assert_eq!(got.field("Content-Encoding"), coding, "{path}");
        assert_eq!(got.field("Vary"), None, "{path}");
        let (_, stored) = files.iter().find(|(name, _)| path[1..] == **name).unwrap();
        assert_eq!(got.body, *stored, "{path}");
        if let Some(coding) = coding {
            assert_eq!(decompress(coding, &got.body), script, "{path}");
            let condition = format!("If-None-Match: {}\r\n", got.field("ETag").unwrap());
            assert_eq!(chosen.request("GET", path, &condition).status, 304, "{path}");
        }
    }
    // The file beside a precompressed one is negotiated as always.
    for (accepted, coding) in [("gzip", Some("gzip")), ("identity", None)] {
        let got = chosen.request("GET", "/app.js", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(got.field("Content-Encoding"), coding);
        assert_eq!(got.field("Content-Type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
    }
}
