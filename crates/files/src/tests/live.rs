//! Pages that reload by a script.

use std::rc::Rc;
use std::sync::Arc;

use sockeye_http::Server;
use sockeye_proto::harness::Harness;

use super::budgets::{h2_block, h2_frame};
use super::{Client, Response};
use crate::live::page::SCRIPT;
use crate::live::problems::{MAX_LEN, Problem};
use crate::store::memory::Memory;
use crate::{
    BudgetLimits, Budgets, CacheLimits, Coding, ContentEncodings, Folder, Live, MAX_SMALL_FILE,
    Mounts, Options,
};

const PAGE: &str = "<!doctype html><title>t</title><body><p>page</body></html>\n";

/// The files, as a folder without and with a script in its pages.
fn folders(files: &[(&str, &[u8])], options: &Options) -> (Arc<Live>, [Folder; 2]) {
    let store = Memory::new();
    for (name, content) in files {
        store.write(name, content.to_vec());
    }
    store.pass(1_000_000);
    let plain = Folder::new(store).with_options(Options { fresh: true, ..options.clone() });
    let live = Live::new();
    let with_script = plain.clone().with_live(&live);
    (live, [plain, with_script])
}

fn client(folder: &Folder) -> Client {
    Client::new(&folder.site(CacheLimits::default()))
}

fn page(content: &str) -> Vec<u8> {
    PAGE.replace("page", content).into_bytes()
}

/// `html` with the tag of `file` before its first element that is not `<html>` or `<head>`.
fn with_tag(live: &Live, file: &str, html: &str) -> String {
    let is_element = |at: usize| {
        let rest = &html[at + 1..];
        rest.starts_with(|first: char| first.is_ascii_alphabetic())
            && !rest.starts_with("html")
            && !rest.starts_with("head>")
    };
    let at = html.match_indices('<').map(|(at, _)| at).find(|at| is_element(*at)).unwrap_or(0);
    format!("{}{}{}", &html[..at], live.tag(file.as_bytes()), &html[at..])
}

#[track_caller]
fn expect_live(got: &Response, status: u16, expected: &str) {
    assert_eq!((got.status, got.text()), (status, expected));
    assert_eq!(got.field("Content-Length"), Some(&*expected.len().to_string()));
    assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(got.field("Cache-Control"), Some("no-store"));
    for absent in ["ETag", "Last-Modified", "Accept-Ranges", "Content-Range", "Content-Encoding"] {
        assert_eq!(got.field(absent), None);
    }
}

#[test]
fn explain_knows_the_paths_of_the_script_and_its_websocket() {
    let (_, folders) = folders(&[], &Options::default());
    let [plain, live] = folders.map(Mounts::from);
    for (target, expected, field) in [
        ("/.sockeye/live.js", "200 OK: live pages: the script", "text/javascript"),
        ("/.sockeye/live?since=1", "400 Bad Request: live pages: a WebSocket", ""),
    ] {
        let text = live.explain(target).to_string();
        assert!(text.starts_with(expected) && text.contains(field), "{text}");
        let path = target.split('?').next().unwrap();
        let status = Client::new(&live.site(CacheLimits::default())).get(path).status;
        assert_eq!(live.explain(target).status.code(), status, "{target}");
        assert_eq!(plain.explain(target).status.code(), 404, "{target}");
    }
}

#[test]
fn pages_get_the_script_and_are_never_stored_or_compressed_or_cut() {
    let long = page(&"long ".repeat(MAX_SMALL_FILE as usize / 5));
    let files = [
        ("index.html", &page("start")[..]),
        ("docs/about.html", &page("about")),
        ("long.html", &long),
        ("fragment.html", b"<p>fragment"),
        ("index.html.br", &super::compressed(Coding::Brotli, &page("start"))),
    ];
    let (live, [_, folder]) = folders(&files, &Options::default());
    let mounts = Mounts::from(folder.clone()).at("/manual", folder).unwrap();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    for (path, file, html) in [
        ("/", "/index.html", &page("start")[..]),
        ("/index.html", "/index.html", &page("start")),
        ("/docs/about", "/docs/about.html", &page("about")),
        ("/manual/docs/about.html", "/manual/docs/about.html", &page("about")),
        ("/long.html", "/long.html", &long),
        ("/fragment", "/fragment.html", b"<p>fragment"),
    ] {
        let expected = with_tag(&live, file, std::str::from_utf8(html).unwrap());
        for fields in [
            "",
            "Range: bytes=1-2\r\n",
            "Accept-Encoding: zstd, br, gzip\r\n",
            "If-Modified-Since: Sun, 09 Sep 2035 01:46:40 GMT\r\n",
            "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n",
        ] {
            let got = client.request("GET", path, fields);
            expect_live(&got, 200, &expected);
            let head = client.request("HEAD", path, fields);
            assert_eq!((head.head, head.body.len()), (got.head, 0), "{path} {fields}");
        }
    }
}

#[test]
fn a_page_has_the_token_of_before_it_was_read() {
    let (live, [_, folder]) = folders(&[("index.html", PAGE.as_bytes())], &Options::default());
    let mut client = client(&folder);
    let old = with_tag(&live, "/index.html", PAGE);
    assert_eq!(client.get("/").text(), old);
    live.changed([&b"/x.css"[..]]);
    let new = with_tag(&live, "/index.html", PAGE);
    assert_ne!(old, new);
    assert_eq!(client.get("/").text(), new);
}

#[test]
fn everything_else_is_as_without_the_script() {
    let utf16: Vec<u8> = PAGE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files = [
        ("a.css", &b"p { color: red }"[..]),
        ("long.js", &b"let a;\n".repeat(10_000)),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a.xhtml", b"<html xmlns='http://www.w3.org/1999/xhtml'><body></body></html>"),
        ("a.html.txt", PAGE.as_bytes()),
        ("utf-16.html", &[b"\xFF\xFE", &utf16[..]].concat()),
        ("zip.html.gz", &super::compressed(Coding::Gzip, PAGE.as_bytes())),
        ("large.html", &b"<p>".repeat(MAX_LEN / 3 + 1)),
    ];
    let mut content_encodings = ContentEncodings::new();
    content_encodings.add("*.html.gz", Some(Coding::Gzip));
    let options = Options { content_encodings, ..Options::default() };
    let (live, [plain, with_script]) = folders(&files, &options);
    let (mut plain, mut with_script) = (client(&plain), client(&with_script));
    let names = files.iter().map(|(name, _)| format!("/{name}"));
    for path in names.chain(["/missing".into(), "/docs".into(), "/.sockeye/live.css".into()]) {
        for fields in ["", "Range: bytes=1-2\r\n", "Accept-Encoding: br\r\n"] {
            for method in ["GET", "HEAD", "OPTIONS", "POST"] {
                let expected = plain.request(method, &path, fields);
                assert_eq!(with_script.request(method, &path, fields), expected, "{path} {fields}");
            }
        }
    }
    // The pages among them are named.
    for (page, problem) in [
        ("/utf-16.html", Problem::Encoding),
        ("/zip.html.gz", Problem::Compressed),
        ("/large.html", Problem::TooLarge),
    ] {
        assert_eq!(live.problems.of(page), Some(problem), "{page}");
    }
}

#[test]
fn listings_and_errors_get_the_script_and_their_policies_allow_it() {
    let files = [("docs/a b/x.txt", &b"x"[..]), ("404.html", PAGE.as_bytes())];
    let options = Options { listing: true, ..Options::default() };
    let (live, [_, folder]) = folders(&files, &options);
    let mounts = Mounts::new().at("/m", folder.clone()).unwrap();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    let html = "Accept: text/html\r\n";
    for (path, status, file) in [
        ("/m/docs/a%20b/", 200, "/m/docs/a b/"),
        ("/m/docs/?sort=size", 200, "/m/docs/"),
        // The sites's own page.
        ("/m/missing", 404, "/m/404.html"),
        // Pages of this crate.
        ("/outside", 404, ""),
        ("/m/docs/?sort=x", 400, ""),
    ] {
        let got = client.request("GET", path, &format!("{html}Accept-Encoding: br\r\n"));
        let expected = live.tag(file.as_bytes());
        assert_eq!(got.text().matches(&*expected).count(), 1, "{path}: {}", got.text());
        expect_live(&got, status, got.text());
        let policy = got.field("Content-Security-Policy").unwrap_or_default();
        let sources = ["script-src 'self'", "connect-src 'self'"];
        let is_allowed = sources.iter().all(|source| policy.contains(source));
        assert!(file.ends_with("404.html") || is_allowed, "{policy}");
        let vary = got.field("Vary").unwrap_or_default();
        assert!(!vary.contains("Encoding"), "{vary}");
        let head = client.request("HEAD", path, html);
        let without_length = |head: &str| {
            let lines = head.lines().filter(|line| !line.starts_with("Content-Length"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_length(&head.head), without_length(&got.head), "{path}");
    }
    for format in ["json", "text", "tar"] {
        let got = client.get(&format!("/m/docs/?format={format}"));
        assert!(got.field("ETag").is_some(), "{format}");
    }
}

#[test]
fn a_page_whose_policy_forbids_the_script_is_named_until_it_allows_it() {
    let meta = |policy: &str| {
        page(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">"))
    };
    let forbidding = meta("default-src 'none'");
    let files = [("a.html", &forbidding[..]), ("b.html", PAGE.as_bytes())];
    let (live, [_, folder]) = folders(&files, &Options::default());
    let mut with_meta = client(&folder);
    expect_live(&with_meta.get("/a"), 200, &with_tag(&live, "/a.html", str(&forbidding)));
    expect_live(&with_meta.get("/b"), 200, &with_tag(&live, "/b.html", PAGE));
    let problem = |is_header| Problem::Policy {
        change: "add 'self' to connect-src and 'self' to script-src".into(),
        is_header,
    };
    assert_eq!(live.problems.of("/a.html"), Some(problem(false)));
    assert_eq!(live.problems.of("/b.html"), None);

    let mut options = Options::default();
    options.headers.set("content-security-policy", "default-src 'none'").unwrap();
    let (live, [_, folder]) = folders(&files, &options);
    client(&folder).get("/b");
    assert_eq!(live.problems.of("/b.html"), Some(problem(true)));
    assert_eq!(
        problem(true).to_string(),
        "the header Content-Security-Policy forbids it; while you edit, add 'self' to connect-src \
         and 'self' to script-src"
    );
}

#[test]
fn the_script_has_a_path_only_where_pages_use_it() {
    let (_, [plain, with_script]) =
        folders(&[("index.html", PAGE.as_bytes())], &Options::default());
    const PATH: &str = "/.sockeye/live.js";
    let mut client_of_script = client(&with_script);
    let got = client_of_script.get(PATH);
    assert_eq!((got.status, got.text()), (200, SCRIPT));
    assert_eq!(got.field("Content-Type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(got.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(got.field("Cache-Control"), Some("no-cache"));
    let head = client_of_script.request("HEAD", PATH, "");
    assert_eq!((head.head, head.body.len()), (got.head, 0));
    assert_eq!(client(&plain).get(PATH).status, 404);
}

fn str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Pages of more than 32 KiB are charged to the clients that hold them.
#[test]
fn the_memory_of_pages_is_limited() {
    const LEN: usize = 1 << 20;
    let large = page(&"x".repeat(LEN));
    let (_, [_, folder]) = folders(&[("large.html", &large)], &Options::default());
    let limits = BudgetLimits { listings: 5 * LEN as u64, ..BudgetLimits::default() };
    let budgets = Budgets::new(limits);
    let site = folder.with_budgets(&budgets).site(CacheLimits::default());
    let mut clients = [(); 3].map(|()| Client::new(&site));
    for client in &mut clients {
        client.ask("GET", "/large.html", "");
        client.run_all();
    }
    assert!(budgets.listings.used() >= 2 * LEN as u64);
    let statuses = clients.each_mut().map(|client| client.response().unwrap().status);
    assert_eq!(statuses, [200, 200, 503]);
    drop(clients);
    assert_eq!(budgets.listings.used(), 0);
}

/// Opens a page's WebSocket. Returns the response.
fn open(client: &mut Client, query: &str, origin: &str) -> Response {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.ask("GET", &format!("/.sockeye/live{query}"), &format!("{fields}Origin: {origin}\r\n"));
    client.run_all();
    client.response().expect("an answer")
}

/// The texts in frames that a server has sent.
fn texts(mut frames: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [0x81, length, rest @ ..] = frames {
        let (len, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(*short), rest),
        };
        texts.push(str(&rest[..len]).to_owned());
        frames = &rest[len..];
    }
    assert!(frames.is_empty(), "{frames:?}");
    texts
}

#[test]
fn open_pages_are_told_what_has_changed_since_they_were_made() {
    let (live, [plain, folder]) = folders(&[], &Options::default());
    let site = folder.site(CacheLimits::default());
    let (token, here) = (live.token(), "http://localhost");
    live.changed([&b"/a.css"[..]]);
    let [mut early, mut new, mut unknown] = [(); 3].map(|()| Client::new(&site));
    let queries = [format!("?since={token}"), format!("?since={}", live.token()), String::new()];
    let expected: [&[&str]; 3] = [&["/a.css"], &[], &["/"]];
    let clients = [&mut early, &mut new, &mut unknown];
    for ((client, query), expected) in clients.into_iter().zip(&queries).zip(expected) {
        client.ask("GET", "/.sockeye/live", "");
        let refused = client.response().unwrap();
        assert_eq!((refused.status, open(client, query, "http://evil.example").status), (400, 403));
        let opened = open(client, query, here);
        assert_eq!(opened.status, 101);
        let told = texts(&opened.body);
        assert_eq!(told.iter().flat_map(|it| it.lines().skip(1)).collect::<Vec<_>>(), expected);
    }
    live.changed([&b"/b c/"[..]]);
    for client in [&mut early, &mut new, &mut unknown] {
        client.0.deliver();
        assert_eq!(texts(&client.0.output()), [format!("{}\n/b%20c/", live.token())]);
    }
    drop(early);
    live.changed([&b"/d"[..]]);
    new.0.deliver();
    assert_eq!(texts(&new.0.output()), [format!("{}\n/d", live.token())]);
    // Without `with_live`, there is no such path.
    assert_eq!(open(&mut Client::new(&plain.site(CacheLimits::default())), "", here).status, 404);
}

#[test]
fn a_page_that_sends_something_is_disconnected() {
    let (_, [_, folder]) = folders(&[], &Options::default());
    let mut client = client(&folder);
    assert_eq!(open(&mut client, "", "http://localhost").status, 101);
    client.0.input(b"\x81\x80\0\0\0\0");
    assert!(client.0.output().starts_with(b"\x88\x26\x03\xf0"), "a close frame with 1008");
}

/// Neither its output nor anything else grows.
#[test]
fn a_page_that_reads_nothing_is_told_that_everything_has_changed_when_it_reads_again() {
    let (live, [_, folder]) = folders(&[], &Options::default());
    let mut client = client(&folder);
    let query = format!("?since={}", live.token());
    assert_eq!(open(&mut client, &query, "http://localhost").status, 101);
    let path = format!("/{}", "x".repeat(60_000));
    for _ in 0..200 {
        live.changed([path.as_bytes()]);
        client.0.deliver();
    }
    let told = texts(&client.0.output());
    assert!((3..10).contains(&told.len()), "{}", told.len());
    assert_eq!(told.last(), Some(&format!("{}\n/", live.token())));
}

/// Over HTTP/2, a WebSocket is a stream that CONNECT opens (RFC 8441).
#[test]
fn open_pages_follow_the_changes_over_http2() {
    let (live, folders) = folders(&[], &Options::default());
    let query = format!("/.sockeye/live?since={}", live.token());
    let mut clients = folders.map(|folder| {
        let site = folder.site(CacheLimits::default());
        let mut client = Harness::new(Server::new(Rc::default(), site));
        client.input(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.input(&h2_frame(4, 0, 0, &[]));
        for (stream, path, protocol) in [
            (1, &*query, "websocket"),
            (3, "/.sockeye/live.js", "websocket"),
            (5, "/", "websocket"),
            (7, &query, "other"),
        ] {
            let block = h2_block(&[
                (":method", "CONNECT"),
                (":protocol", protocol),
                (":scheme", "http"),
                (":path", path),
                (":authority", "localhost"),
                ("origin", "http://localhost"),
                ("sec-websocket-version", "13"),
            ]);
            client.input(&h2_frame(1, 4, stream, &block));
        }
        client
    });
    let successes = clients.each_mut().map(|client| {
        let frames = frames_of(&client.output());
        let heads = frames.into_iter().filter(|(kind, ..)| *kind == 1);
        heads
            .filter(|(.., block)| block[0] == 0x88)
            .map(|(_, stream, _)| stream)
            .collect::<Vec<_>>()
    });
    assert_eq!(successes, [vec![], vec![1]]);
    live.changed([&b"/a.css"[..]]);
    let [_, client] = &mut clients;
    client.deliver();
    let frames = frames_of(&client.output());
    let sent: Vec<u8> =
        frames.into_iter().filter(|frame| frame.0 == 0).flat_map(|it| it.2).collect();
    assert_eq!(texts(&sent), [format!("{}\n/a.css", live.token())]);
}

/// The kind, stream and payload of each HTTP/2 frame.
fn frames_of(mut output: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [0, high, low, kind, _, 0, 0, 0, stream, rest @ ..] = output {
        let (payload, rest) = rest.split_at(usize::from(*high) << 8 | usize::from(*low));
        frames.push((*kind, *stream, payload.to_vec()));
        output = rest;
    }
    assert!(output.is_empty());
    frames
}
