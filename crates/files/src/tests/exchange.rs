//! Requests and their responses.

use super::{Client, memory};
use crate::store::memory::InjectedFault;
use crate::{Absent, MAX_SMALL_FILE, OpenFilesOf, Permission, Special};

#[test]
fn files_are_sent_with_all_their_headers() {
    let (_, site) = memory(&[("a.html", "<p>Hello"), ("empty.txt", "")]);
    let mut client = Client::new(&site);
    let got = client.get("/a.html");
    assert_eq!((got.status, got.text()), (200, "<p>Hello"));
    assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(got.field("Content-Length"), Some("8"));
    assert_eq!(got.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(got.field("Last-Modified"), Some("Sun, 09 Sep 2001 01:46:40 GMT"));
    assert!(got.field("ETag").is_some_and(|etag| etag.len() == 34 && etag.starts_with('"')));
    assert_eq!(got.field("Accept-Ranges"), Some("bytes"));

    let empty = client.get("/empty.txt");
    assert_eq!((empty.status, empty.text()), (200, ""));
    assert_eq!(empty.field("Content-Length"), Some("0"));
}

#[test]
fn head_has_the_fields_of_get_and_no_content() {
    let (_, site) = memory(&[("a.txt", "Hello"), ("docs/index.html", "docs")]);
    let mut client = Client::new(&site);
    for path in ["/a.txt", "/docs/", "/docs", "/none", "/%00"] {
        // Twice: looked up, and cached.
        for _ in 0..2 {
            let head = client.request("HEAD", path, "");
            let get = Client::new(&site).get(path);
            assert_eq!(head.head, get.head.replace("Connection: close\r\n", ""), "{path}");
            assert!(head.body.is_empty() && !get.body.is_empty());
        }
    }
}

#[test]
fn paths_and_their_responses() {
    let files = [
        ("index.html", "home"),
        ("a b.txt", "space"),
        ("docs/index.html", "docs"),
        ("docs/deep/page.html", "page"),
        (".well-known/security.txt", "contact"),
        (".env", "secret"),
        ("index/index.html/strange", "a folder of that name"),
    ];
    let (_, site) = memory(&files);
    let mut client = Client::new(&site);
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/index.html", 200, "home"),
        ("http://localhost/", 200, "home"),
        ("http://localhost", 200, "home"),
        ("/a%20b.txt", 200, "space"),
        ("/docs/", 200, "docs"),
        ("/docs/deep/page.html", 200, "page"),
        ("/.well-known/security.txt", 200, "contact"),
        ("/?a=b", 200, "home"),
        ("/index.html?v=1", 200, "home"),
        ("/none", 404, "404 Not Found\n"),
        ("/docs/deep/", 404, "404 Not Found\n"),
        ("/index.html/", 404, "404 Not Found\n"),
        ("/index.html/x", 404, "404 Not Found\n"),
        ("/none/", 404, "404 Not Found\n"),
        ("/.env", 404, "404 Not Found\n"),
        ("//none", 404, "404 Not Found\n"),
        ("/%00", 400, "400 Bad Request\n"),
        ("/%", 400, "400 Bad Request\n"),
    ] {
        let got = client.get(path);
        assert_eq!((got.status, got.text()), (status, text), "{path}");
    }
}

#[test]
fn folders_without_a_slash_redirect_and_keep_the_query() {
    let (_, site) = memory(&[("docs/deep/index.html", ""), ("a b/index.html", "")]);
    let mut client = Client::new(&site);
    for (path, location) in [
        ("/docs", "/docs/"),
        ("/docs/deep", "/docs/deep/"),
        ("/docs?x=1&y=/a?b", "/docs/?x=1&y=/a?b"),
        ("/docs?", "/docs/?"),
        ("/a%20b", "/a%20b/"),
        ("http://localhost/docs", "/docs/"),
        ("/.//docs", "/docs/"),
        ("/docs/./deep/./", "/docs/deep/"),
    ] {
        for _ in 0..2 {
            let got = client.get(path);
            assert_eq!((got.status, got.field("Location")), (301, Some(location)), "{path}");
        }
    }
    for path in ["/%2fdocs", "/%5cdocs", "//localhost/docs", "/..//docs", "http://h/%2fdocs"] {
        let got = client.get(path);
        assert_eq!((got.status, got.field("Location")), (404, None), "{path}");
    }
}

#[test]
fn several_slashes_in_a_row_redirect_to_one() {
    let (store, site) = memory(&[
        ("index.html", "home"),
        ("docs/deep/index.html", ""),
        ("docs/a b.txt", ""),
        ("page.html", ""),
        ("evil.example/index.html", ""),
        ("%2F/a|b^.txt", ""),
        (".env", "secret"),
    ]);
    let many = "/".repeat(5000);
    let mut client = Client::new(&site);
    for (path, location) in [
        ("//", "/"),
        ("///?", "/?"),
        (&many, "/"),
        ("//index.html", "/index.html"),
        ("/docs//deep/", "/docs/deep/"),
        ("/docs/deep//", "/docs/deep/"),
        ("///docs////deep///", "/docs/deep/"),
        (&format!("{many}docs//deep/"), "/docs/deep/"),
        ("/docs//a%20b.txt?x=//y", "/docs/a%20b.txt?x=//y"),
        // The slash at the end in the same step.
        ("//docs", "/docs/"),
        ("//docs//deep?a=b", "/docs/deep/?a=b"),
        ("//page/", "/page"),
        ("//page", "/page"),
        ("http://localhost//docs/deep/", "/docs/deep/"),
        // Never another host.
        ("//evil.example", "/evil.example/"),
        ("///evil.example/?x", "/evil.example/?x"),
        ("//%252F//a|b^.txt?\"\\<c>", "/%252F/a%7Cb%5E.txt?%22%5C%3Cc%3E"),
    ] {
        for method in ["GET", "HEAD"] {
            // Twice: looked up, and cached.
            for _ in 0..2 {
                let got = client.request(method, path, "");
                assert_eq!((got.status, got.field("Location")), (301, Some(location)), "{path}");
                assert_eq!(got.field("Cache-Control"), Some("no-cache"), "{path}");
            }
        }
    }
    for path in [
        "//none",
        "/docs//none/",
        "//evil.example/none",
        "//.env",
        "/docs//../docs/",
        "//./docs/",
        "//%2F/",
        "/%2F/",
        "/%2F/index.html",
        "/docs/%2F/deep/",
        "/docs%2Fdeep/",
        "/index.html//",
    ] {
        for _ in 0..2 {
            let got = client.get(path);
            assert_eq!((got.status, got.field("Location")), (404, None), "{path}");
        }
    }
    // The name may come and go.
    store.remove("docs/a b.txt");
    store.write("none", "new");
    client.pass(1000);
    assert_eq!(client.get("/docs//a%20b.txt").status, 404);
    assert_eq!(client.get("//none").field("Location"), Some("/none"));
    for path in ["//a%00", "//%zz", "/a//%"] {
        assert!(matches!(client.get(path).status, 400 | 404), "{path}");
    }
}

#[test]
fn several_slashes_and_an_error_get_that_error() {
    for (fault, status) in [
        (Absent::Exhausted, 503),
        (Absent::Failed(5), 500),
        (Absent::Denied(Permission::Read), 403),
        (Absent::Outside, 404),
    ] {
        let (store, site) = memory(&[("a.txt", "")]);
        store.fail("a.txt", Some(InjectedFault::Absent(fault)));
        let got = Client::new(&site).get("//a.txt");
        assert_eq!((got.status, got.field("Location")), (status, None), "{fault:?}");
    }
}

/// Browsers and other clients send these characters as they are.
#[test]
fn names_with_characters_that_no_uri_has_are_served() {
    let name = "a|b^{c}`\"<d>";
    let (_, site) = memory(&[(name, "file"), ("e|f/g.txt", ""), ("index.html", "home")]);
    let mut client = Client::new(&site);
    let encoded = "/a%7Cb%5E%7Bc%7D%60%22%3Cd%3E";
    for _ in 0..2 {
        for path in [&format!("/{name}"), encoded, "/a|b%5E{c}`%22<d>?x|\\^"] {
            assert_eq!((client.get(path).status, client.get(path).text()), (200, "file"), "{path}");
        }
        let got = client.get("/e|f?q={\"x\": \"<\\>\"}".replace(' ', "").as_str());
        let location = "/e%7Cf/?q=%7B%22x%22:%22%3C%5C%3E%22%7D";
        assert_eq!((got.status, got.field("Location")), (301, Some(location)));
        assert_eq!(client.get("/?a|b\\c^`{\"<>}").text(), "home");
        // An error page repeats nothing of the URL.
        let got = client.get("/\"><script>?</script>\\");
        assert_eq!((got.status, got.text()), (404, "404 Not Found\n"));
        assert!(!got.head.contains("script"), "{}", got.head);
    }
    assert_eq!(Client::new(&site).get("/a\\b").status, 400);
}

#[test]
fn other_known_methods_get_405_and_unknown_ones_501() {
    let (_, site) = memory(&[("a.txt", "Hello")]);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let got = Client::new(&site).request(method, "/a.txt", "Content-Length: 0\r\n");
        let allow = got.field("Allow").map(str::to_owned);
        assert_eq!((got.status, allow.as_deref()), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    for method in ["PROPFIND", "get", "MKCOL"] {
        let mut client = Client::new(&site);
        let got = client.request(method, "/a.txt", "Content-Length: 0\r\n");
        assert_eq!((got.status, got.field("Allow")), (501, None), "{method}");
        assert!(got.text().contains(&format!("the method {method}")), "{}", got.text());
        assert_eq!(client.get("/a.txt").status, 200, "the connection stays open");
    }
    for target in ["/a.txt", "*"] {
        let got = Client::new(&site).request("OPTIONS", target, "");
        assert_eq!((got.status, got.field("Allow")), (204, Some("GET, HEAD, OPTIONS")));
    }
    let got = Client::new(&site).request("TRACE", "/a.txt", "");
    assert_eq!((got.status, got.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn matching_etags_and_dates_get_304() {
    let (_, site) = memory(&[("a.txt", "Hello")]);
    let mut client = Client::new(&site);
    let first = client.get("/a.txt");
    let etag = first.field("ETag").unwrap();
    let date = first.field("Last-Modified").unwrap();
    for (fields, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        ("If-None-Match: \"x\"\r\n".to_owned(), 200),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), 200),
        ("If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n".to_owned(), 200),
        ("If-Modified-Since: yesterday\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {date}\r\nIf-Modified-Since: {date}\r\n"), 200),
    ] {
        // Cached, and waiting for a lookup: conditions count either way.
        for millis in [0, 1000] {
            client.pass(millis);
            for method in ["GET", "HEAD"] {
                let got = client.request(method, "/a.txt", &fields);
                assert_eq!((got.status, got.field("ETag")), (status, Some(etag)), "{fields}");
                assert_eq!(got.body.is_empty(), status == 304 || method == "HEAD");
            }
        }
    }
    // Without a file, conditions have no effect.
    for field in ["If-None-Match: *", "If-Match: *", "If-Match: \"x\""] {
        assert_eq!(client.request("GET", "/none", &format!("{field}\r\n")).status, 404);
    }
}

#[test]
fn failed_preconditions_get_412() {
    let (_, site) = memory(&[("a.txt", "Hello")]);
    let mut client = Client::new(&site);
    let first = client.get("/a.txt");
    let etag = first.field("ETag").unwrap();
    let date = first.field("Last-Modified").unwrap();
    for (fields, status) in [
        (format!("If-Match: {etag}\r\n"), 200),
        (format!("If-Match: \"x\"\r\nIf-Match: {etag}\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Unmodified-Since: {date}\r\n"), 200),
        ("If-Match: \"x\"\r\n".to_owned(), 412),
        (format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n".to_owned(), 412),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 412),
        (format!("If-Match: {etag}\r\nIf-None-Match: {etag}\r\n"), 304),
        ("If-Match: \"x\"\r\nRange: bytes=0-1\r\n".to_owned(), 412),
    ] {
        // Cached, and waiting for a lookup: conditions count either way.
        for millis in [0, 1000] {
            client.pass(millis);
            for method in ["GET", "HEAD"] {
                let got = client.request(method, "/a.txt", &fields);
                assert_eq!((got.status, got.field("ETag")), (status, Some(etag)), "{fields}");
            }
        }
    }
}

#[test]
fn large_files_are_sent_from_descriptors_and_small_ones_from_memory() {
    let small = "s".repeat(MAX_SMALL_FILE as usize);
    let large = "l".repeat(MAX_SMALL_FILE as usize + 1);
    let (store, site) = memory(&[("small", &small), ("large", &large)]);
    let mut client = Client::new(&site);
    for (path, content) in [("/small", &small), ("/large", &large)] {
        let got = client.get(path);
        assert_eq!((got.status, got.text() == content), (200, true));
    }
    // Reading it again from the store would overwrite it.
    store.change_when_read("small", ["not read"]);
    assert_eq!(client.get("/small").text(), small);
    store.change_when_read("large", ["read"]);
    assert_eq!(client.get("/large").text(), large);
    store.pass(1_000_000);
    client.pass(10);
    assert_eq!(client.get("/large").text(), "read");
}

#[test]
fn store_errors_map_to_statuses_without_details() {
    let (store, site) = memory(&[("a.txt", "Hello")]);
    let mut client = Client::new(&site);
    for (fault, status, retry) in [
        (Absent::Missing, 404, None),
        (Absent::Outside, 404, None),
        (Absent::LinkLoop, 404, None),
        (Absent::NotRegular(Special::Pipe), 404, None),
        (Absent::Denied(Permission::Read), 403, None),
        (Absent::Changing, 503, Some("1")),
        (Absent::OutOfMemory, 503, Some("1")),
        (Absent::Exhausted, 503, Some("1")),
        (Absent::TooManyOpenFiles(OpenFilesOf::Process), 503, Some("1")),
        (Absent::ClosingHangs, 503, Some("1")),
        (Absent::Failed(5), 500, None),
        (Absent::Forbidden("openat2"), 500, None),
    ] {
        store.fail("a.txt", Some(InjectedFault::Absent(fault)));
        client.pass(1000);
        let got = client.get("/a.txt");
        assert_eq!((got.status, got.field("Retry-After")), (status, retry), "{fault}");
        assert_eq!(got.text(), &format!("{}\n", &got.head[9..got.head.find('\r').unwrap()]));
    }
    store.fail("a.txt", None);
    client.pass(1000);
    assert_eq!(client.get("/a.txt").text(), "Hello");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_, site) = memory(&[("a", "first"), ("b", "second")]);
    let mut client = Client::new(&site);
    for path in ["/a", "/b", "/a"] {
        client.ask("GET", path, "");
    }
    while client.0.run_jobs() > 0 {}
    let responses = String::from_utf8(client.0.output()).unwrap();
    let bodies: Vec<&str> = responses.split("\r\n\r\n").skip(1).map(|part| &part[..5]).collect();
    assert_eq!(bodies, ["first", "secon", "first"]);
}
