//! Requests for listings and archives.

use std::time::Duration;

use super::*;
use crate::store::absent::{Absent, Permission};
use crate::store::memory::InjectedFault;
use crate::{Mounts, Options, Rule};

fn store_and_client(files: &[(&str, &str)]) -> (Memory, Client) {
    let (store, _) = memory(files);
    store.pass(3_000_000_000);
    let client = Client::new(&listing(&store));
    (store, client)
}

fn listing(store: &Memory) -> Site {
    let options = Options { listing: true, ..Options::default() };
    Folder::new(store.clone()).with_options(options).site(CacheLimits::default())
}

/// Sends a request, and runs jobs until the response is complete.
fn ask(client: &mut Client, method: &str, target: &str, fields: &str) -> Response {
    client.ask(method, target, fields);
    let mut bytes = Vec::new();
    loop {
        let ran = client.0.run_jobs();
        let more = client.0.output();
        if ran == 0 && more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let mut got = parse_response(&bytes);
    if got.field("Transfer-Encoding") == Some("chunked") {
        got.body = dechunked(&got.body);
    }
    got
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a chunk's line");
        let line = std::str::from_utf8(&bytes[..end]).expect("ASCII");
        let size = usize::from_str_radix(line, 16).expect("hexadecimal");
        all.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
        if size == 0 {
            assert!(bytes.is_empty(), "nothing follows the last chunk");
            return all;
        }
    }
}

#[test]
fn folders_are_listed_in_the_accepted_format() {
    let (_, mut client) = store_and_client(&[("docs/a.txt", "A"), ("docs/sub/b.txt", "B")]);
    for (target, accept, kind, part) in [
        ("/docs/", "", "text/html; charset=utf-8", "<bdi>a.txt</bdi>"),
        ("/docs/", "Accept: */*\r\n", "text/html; charset=utf-8", "<bdi>sub/</bdi>"),
        ("/docs/", "Accept: application/json\r\n", "application/json", "{\"name\":\"a.txt\""),
        ("/docs/", "Accept: text/plain\r\n", "text/plain; charset=utf-8", "\t1\ta.txt\n"),
        ("/docs/?format=json", "Accept: text/html\r\n", "application/json", "\"url\":\"sub/\""),
        ("/docs/?format=text", "", "text/plain; charset=utf-8", "\t-\tsub/\n"),
        ("/", "", "text/html; charset=utf-8", "<bdi>docs/</bdi>"),
    ] {
        let got = ask(&mut client, "GET", target, accept);
        assert_eq!((got.status, got.field("Content-Type")), (200, Some(kind)), "{target}");
        let vary = if kind.starts_with("text/html") { "Accept, Accept-Encoding" } else { "Accept" };
        assert_eq!(got.field("Vary"), Some(vary));
        assert_eq!(got.field("Cache-Control"), Some("no-cache"));
        assert_eq!(got.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(got.field("Content-Security-Policy").is_some(), kind.starts_with("text/html"));
        assert!(got.text().contains(part), "{target}: {}", got.text());

        let head = ask(&mut client, "HEAD", target, accept);
        assert_eq!((lines(&head), &*head.body), (fields_of_get_and_head(&got), &b""[..]));
        let known = format!("{accept}If-None-Match: {}\r\n", got.field("ETag").unwrap());
        for method in ["GET", "HEAD"] {
            let again = ask(&mut client, method, target, &known);
            assert_eq!((again.status, again.body), (304, Vec::new()), "{method} {target}");
        }
        let unchanged = known.replace("None-Match", "Match");
        let head = ask(&mut client, "HEAD", target, &unchanged);
        assert_eq!((lines(&head), &*head.body), (lines(&got), &b""[..]));
        let changed = ask(&mut client, "HEAD", target, &format!("{accept}If-Match: \"other\"\r\n"));
        assert_eq!((changed.status, changed.body), (412, Vec::new()), "{target}");
    }
    let got = ask(&mut client, "GET", "/docs/?format=tar", "");
    let known = format!("If-None-Match: {}\r\n", got.field("ETag").unwrap());
    assert_eq!(ask(&mut client, "HEAD", "/docs/?format=tar", &known).status, 304);
}

/// The lines of a head, sorted.
fn lines(got: &Response) -> Vec<&str> {
    let mut lines: Vec<_> = got.head.lines().collect();
    lines.sort_unstable();
    lines
}

/// The headers of GET that HEAD has, too: without those that are known only after reading the
/// folder.
fn fields_of_get_and_head(got: &Response) -> Vec<&str> {
    let mut lines = lines(got);
    lines.retain(|line| {
        !["ETag", "Content-Length", "Transfer-Encoding"].iter().any(|name| line.starts_with(name))
    });
    lines
}

#[test]
fn folders_are_not_listed_by_default() {
    let (_, site) = memory(&[("docs/a.txt", "A")]);
    let mut client = Client::new(&site);
    for target in ["/docs/", "/docs/?format=json", "/docs/?format=tar", "/?format=tar"] {
        let got = client.get(target);
        assert_eq!(got.status, 404, "{target}");
        assert!(!got.text().contains("a.txt"));
    }
    let mounts = Mounts::from(Folder::new(memory(&[("docs/a", "")]).0));
    let why = mounts.explain("/docs/").to_string();
    assert!(why.contains("reason: the folder has no index.html, and listing is off\n"), "{why}");
}

#[test]
fn listings_are_explained() {
    let options = Options { listing: true, ..Options::default() };
    let mounts = Mounts::from(Folder::new(memory(&[("docs/a", "")]).0).with_options(options));
    let why = mounts.explain("/docs/").to_string();
    assert!(why.starts_with("200 OK: the folder has no index.html and is listed\n"), "{why}");
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    for target in
        ["/docs/", "/docs/?sort=size", "/?format=tar", "/docs/?format=tar", "/docs/?format=json"]
    {
        let explained = mounts.explain(target);
        let mut explained: Vec<_> =
            str::from_utf8(explained.fields.as_bytes()).unwrap().lines().collect();
        explained.sort_unstable();
        // HEAD doesn't read the folder, either, so it has no ETag.
        let sent = client.request("HEAD", target, "");
        let mut lines = lines(&sent);
        lines.retain(|line| {
            !line.is_empty() && !line.starts_with("HTTP/") && !line.starts_with("Date: ")
        });
        assert_eq!(explained, lines, "{target}");
    }
    assert_eq!(mounts.explain("/docs/?format=zip").fields.as_bytes(), b"");
}

#[test]
fn several_slashes_redirect_to_the_same_listing() {
    let files = [("docs/a.txt", "A"), ("docs.html", "page"), ("own/index.html", "home")];
    let (store, mut client) = store_and_client(&files);
    let mounts = Mounts::from(
        Folder::new(store).with_options(Options { listing: true, ..Options::default() }),
    );
    for (target, location) in [
        ("//", "/"),
        ("//?format=json", "/?format=json"),
        ("/own//?format=tar", "/own/?format=tar"),
        ("//own?format=text", "/own/?format=text"),
        ("/docs//?format=json&q=a|b", "/docs/?format=json&q=a%7Cb"),
        // The page beside the folder doesn't hide its listing.
        ("/docs//?x", "/docs/?x"),
        ("/docs//", "/docs/"),
    ] {
        for method in ["GET", "HEAD"] {
            let got = ask(&mut client, method, target, "");
            assert_eq!((got.status, got.field("Location")), (301, Some(location)), "{target}");
        }
        let why = mounts.explain(target).to_string();
        assert!(why.contains(&format!("\n  Location: {location}\n")), "{target}: {why}");
    }
    let got = ask(&mut client, "GET", "/docs/?format=json&q=a", "");
    assert!(got.text().contains("a.txt"), "{}", got.text());
}

#[test]
fn a_listing_escapes_the_characters_of_its_url() {
    let (_, mut client) = store_and_client(&[("<b>\"|^{`/x.txt", "")]);
    for query in ["", "?q=<b>\"\\|^{`"] {
        let got = ask(&mut client, "GET", &format!("/<b>\"|^{{`/{query}"), "Accept: text/html\r\n");
        assert_eq!(got.status, 200);
        let page = got.text();
        assert!(page.contains("<h1><bdi>&lt;b&gt;&quot;|^{`</bdi></h1>"), "{page}");
        assert!(!page.contains("<b>") && !page.contains("b>\""), "{page}");
    }
}

#[test]
fn without_archives_tar_is_an_unknown_format() {
    let options = Options { listing: true, archives: false, ..Options::default() };
    let files = [("docs/a.txt", "A"), ("own/index.html", "home")];
    let mounts = Mounts::from(Folder::new(memory(&files).0).with_options(options));
    let site = mounts.site(CacheLimits::default());
    let mut client = Client::new(&site);
    for method in ["GET", "HEAD"] {
        let answers = ["tar", "zip"].map(|format| {
            let got = ask(&mut client, method, &format!("/docs/?format={format}"), "");
            (got.status, got.text().to_owned())
        });
        assert_eq!(answers[0], answers[1], "{method}");
        assert_eq!(answers[0].0, 400, "{method}");
        assert!(!answers[0].1.contains("tar"), "{method}: {}", answers[0].1);
    }
    assert_eq!(ask(&mut client, "GET", "/own/?format=tar", "").text(), "home");
    let page = ask(&mut client, "GET", "/docs/", "");
    assert!(page.text().contains("a.txt") && !page.text().contains("format=tar"));
    for (target, status, rule) in [
        ("/docs/?format=tar", 400, Rule::BadQuery),
        ("/docs/?format=json", 200, Rule::Format),
        ("/docs/?page=2", 200, Rule::Listing),
        ("/own/?format=json", 200, Rule::Format),
        ("/own/?format=tar", 200, Rule::Index),
    ] {
        let why = mounts.explain(target);
        assert_eq!((why.status.code(), why.rule), (status, rule), "{target}");
    }
}

/// The links of a page are part of its ETag.
#[test]
fn the_etag_of_a_listing_changes_with_what_it_offers() {
    let etag = |archives| {
        let options = Options { listing: true, archives, ..Options::default() };
        let mounts = Mounts::from(Folder::new(memory(&[("a.txt", "A")]).0).with_options(options));
        let site = mounts.site(CacheLimits::default());
        let got = ask(&mut Client::new(&site), "GET", "/", "");
        got.field("ETag").unwrap().to_owned()
    };
    assert_ne!(etag(true), etag(false));
}

#[test]
fn index_html_precedes_the_listing_unless_a_format_is_requested() {
    let (_, mut client) = store_and_client(&[("index.html", "home"), ("a.txt", "A")]);
    assert_eq!(ask(&mut client, "GET", "/", "").text(), "home");
    assert_eq!(ask(&mut client, "GET", "/?sort=size", "").text(), "home");
    assert_eq!(ask(&mut client, "GET", "/", "Accept: application/json\r\n").text(), "home");
    assert_eq!(ask(&mut client, "GET", "/?format=nonsense", "").text(), "home");
    let page = ask(&mut client, "GET", "/?format=html", "");
    assert!(page.text().contains("<bdi>a.txt</bdi>"));
    assert!(page.text().contains("href=\"?format=html&amp;sort=size&amp;order=desc\""));
    assert!(page.text().contains("<input type=\"hidden\" name=\"format\" value=\"html\">"));
}

#[test]
fn unlistable_folders_get_their_status() {
    let (store, mut client) = store_and_client(&[("docs/a.txt", "A"), ("closed/b", "")]);
    store.fail("closed", Some(InjectedFault::Absent(Absent::Denied(Permission::Read))));
    for (target, status) in [
        ("/docs/a.txt/?format=json", 404),
        ("/nothing/?format=json", 404),
        ("/nothing/?format=tar", 404),
        ("/.git/?format=json", 404),
        ("/docs/?format=zip", 400),
        ("/docs/?page=0", 400),
        ("/docs?format=json", 301),
        ("/closed/?format=json", 403),
        ("/closed/?format=tar", 403),
        ("/docs/?format=json", 200),
    ] {
        assert_eq!(ask(&mut client, "GET", target, "").status, status, "{target}");
    }
    client.ask("GET", "/docs/?format=json", "");
    client.0.drop_jobs();
    assert_eq!(client.response().map(|got| got.status), Some(500), "the job was dropped");
}

#[test]
fn a_header_says_what_a_text_listing_leaves_out() {
    let (store, mut client) = store_and_client(&[("a", ""), ("out", "")]);
    let text = ask(&mut client, "GET", "/?format=text", "");
    assert_eq!((text.field("Listing-Omitted"), text.text().lines().count()), (None, 2));
    store.fail("out", Some(InjectedFault::Absent(Absent::Outside)));
    store.pass(1_000_000_000);
    let text = ask(&mut client, "GET", "/?format=text", "");
    assert_eq!(
        (text.field("Listing-Omitted"), text.text().lines().count()),
        (Some("outside=1"), 1)
    );
    let json = ask(&mut client, "GET", "/?format=json", "");
    assert_eq!(json.field("Listing-Omitted"), None, "it is in the content");
}

#[test]
fn large_listings_are_sent_in_pieces_until_complete() {
    let store = Memory::new();
    (0..5000).for_each(|at| store.write(&format!("file {at:05}.txt"), ""));
    let mut client = Client::new(&listing(&store));
    let got = ask(&mut client, "GET", "/", "Accept: application/json\r\n");
    assert_eq!(got.field("Transfer-Encoding"), Some("chunked"));
    let names: Vec<_> = got.text().matches("{\"name\":\"file ").collect();
    assert_eq!(names.len(), 5000);
    assert!(got.text().ends_with("\n]}\n"));
    // The connection stays usable.
    let page = ask(&mut client, "GET", "/?page=5", "");
    assert_eq!(page.text().matches("<tr class=\"n\" ").count(), 1000);
    assert!(page.text().contains("Page 5 of 5"));
}

#[test]
fn listings_are_written_only_while_there_is_room() {
    let store = Memory::new();
    (0..20_000).for_each(|at| store.write(&format!("file {at:05}.txt"), ""));
    let mut client = Client::new(&listing(&store));
    client.ask("GET", "/?format=text", "");
    assert!(client.0.run_jobs() > 0);
    let held = client.0.held();
    assert!(held > 0 && held < Harness::ROOM + 100 * 1024, "{held}");
}

#[test]
fn concurrent_requests_read_a_folder_once() {
    let (store, _) = store_and_client(&[("docs/a.txt", "A")]);
    let site = listing(&store);
    let mut clients: Vec<_> = (0..10).map(|_| Client::new(&site)).collect();
    let before = store.opens();
    for client in &mut clients {
        assert_eq!(ask(client, "GET", "/docs/?format=json", "").status, 200);
    }
    assert_eq!(store.opens() - before, 1);
    store.write("docs/b.txt", "B");
    store.pass(Duration::from_secs(1).as_nanos() as u64);
    let got = ask(&mut clients[0], "GET", "/docs/?format=json", "");
    assert!(got.text().contains("b.txt"), "a second later it is read again");
}

#[test]
fn aborted_archive_downloads_can_be_resumed() {
    let large = "0123456789".repeat(20_000);
    let (store, mut client) = store_and_client(&[("docs/a.txt", "A"), ("docs/large", &large)]);
    let whole = ask(&mut client, "GET", "/docs/?format=tar", "");
    assert_eq!((whole.status, whole.field("Content-Type")), (200, Some("application/x-tar")));
    assert_eq!(whole.field("Content-Length"), Some(&*whole.body.len().to_string()));
    assert_eq!(whole.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(whole.field("Content-Disposition"), Some("attachment; filename=\"docs.tar\""));
    let etag = whole.field("ETag").unwrap().to_owned();

    let size = whole.body.len();
    for cut in [0, 1, 511, 512, 513, 1024, 1025, 70_000, size - 1025, size - 1] {
        let fields = format!("Range: bytes={cut}-\r\nIf-Range: {etag}\r\n");
        let rest = ask(&mut client, "GET", "/docs/?format=tar", &fields);
        assert_eq!(rest.status, 206);
        assert!(rest.body == whole.body[cut..], "{cut}");
        let range = format!("bytes {cut}-{}/{size}", size - 1);
        assert_eq!(rest.field("Content-Range"), Some(&*range));
    }
    let got = ask(&mut client, "GET", "/docs/?format=tar", "Range: bytes=5-9,9000-9009\r\n");
    assert_eq!((got.status, got.body.len()), (200, size), "several ranges get the whole archive");
    let got = ask(&mut client, "GET", "/docs/?format=tar", "Range: bytes=99999999-\r\n");
    assert_eq!(got.field("Content-Range"), Some(&*format!("bytes */{size}")));
    let got = ask(&mut client, "HEAD", "/docs/?format=tar", "");
    assert_eq!((lines(&got), &*got.body), (fields_of_get_and_head(&whole), &b""[..]));
    let known = format!("If-None-Match: {etag}\r\n");
    assert_eq!(ask(&mut client, "GET", "/docs/?format=tar", &known).status, 304);
    let fields = "If-Match: \"other\"\r\n".to_owned();
    assert_eq!(ask(&mut client, "GET", "/docs/?format=tar", &fields).status, 412);

    store.write("docs/a.txt", "B");
    store.pass(3_000_000_000);
    let fields = format!("Range: bytes=5-\r\nIf-Range: {etag}\r\n");
    let got = ask(&mut client, "GET", "/docs/?format=tar", &fields);
    assert_eq!((got.status, got.body.len()), (200, size), "another archive is sent whole");
}

#[test]
fn archives_keep_few_files_open() {
    let large = "x".repeat(100_000);
    let names: Vec<_> = (0..50).map(|at| format!("f{at:02}")).collect();
    let files: Vec<_> = names.iter().map(|name| (&**name, &*large)).collect();
    let (store, mut client) = store_and_client(&files);
    client.ask("GET", "/?format=tar", "");
    // The client does not read, so no more files are opened than allowed.
    for _ in 0..20 {
        client.0.run_jobs();
    }
    assert!(store.opens() < 2 + 1 + 2 + 2, "{}", store.opens());
    let mut bytes = Vec::new();
    loop {
        let more = client.0.output();
        if client.0.run_jobs() == 0 && more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let got = parse_response(&bytes);
    assert_eq!(got.field("Content-Length"), Some(&*got.body.len().to_string()));
}

#[test]
fn a_changed_file_aborts_an_archive_response() {
    let large = "x".repeat(300_000);
    let (store, mut client) = store_and_client(&[("a", &large), ("b", &large), ("c", "small")]);
    client.ask("GET", "/?format=tar", "");
    client.0.run_jobs();
    store.write("c", "other");
    let mut bytes = Vec::new();
    loop {
        let more = client.0.output();
        if client.0.run_jobs() == 0 && more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let got = parse_response(&bytes);
    let announced: usize = got.field("Content-Length").unwrap().parse().unwrap();
    assert!(got.body.len() < announced, "{} {announced}", got.body.len());
    assert!(client.0.fault().is_some(), "the connection ends");
}

#[test]
fn each_mount_has_its_own_listing_options() {
    let options = Options { listing: true, ..Options::default() };
    let (open, closed) = (memory(&[("a", "")]).0, memory(&[("b", "")]).0);
    let mounts =
        Mounts::from(Folder::new(closed)).at("/pub", Folder::new(open).with_options(options));
    let mut client = Client::new(&mounts.unwrap().site(CacheLimits::default()));
    assert_eq!(ask(&mut client, "GET", "/", "").status, 404);
    assert_eq!(ask(&mut client, "GET", "/?format=tar", "").status, 404);
    assert_eq!(ask(&mut client, "GET", "/pub", "").status, 301);
    let got = ask(&mut client, "GET", "/pub/", "");
    assert!(got.text().contains("<h1><bdi>pub</bdi></h1>") && got.text().contains("<bdi>a</bdi>"));
    let got = ask(&mut client, "GET", "/pub/?format=tar", "");
    assert_eq!(got.field("Content-Disposition"), Some("attachment; filename=\"pub.tar\""));
}
