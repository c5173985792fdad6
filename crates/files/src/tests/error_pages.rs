//! Errors as pages for browsers, and as plain text for other clients.

use super::*;
use crate::store::memory::InjectedFault;
use crate::{Absent, Options, Permission};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

fn with_options(files: &[(&str, &str)], options: Options) -> Site {
    let store = Memory::new();
    for (name, content) in files {
        store.write(name, *content);
    }
    store.pass(1_000_000);
    Folder::new(store).with_options(options).site(CacheLimits::default())
}

fn page(site: &Site, path: &str) -> Response {
    Client::new(site).request("GET", path, BROWSER)
}

#[test]
fn browsers_get_a_page_and_other_clients_text() {
    let (_, site) = memory(&[("index.html", "home")]);
    let shown = page(&site, "/missing");
    assert_eq!(
        (shown.status, shown.field("Content-Type")),
        (404, Some("text/html; charset=utf-8"))
    );
    assert!(shown.text().contains("<h1>Nothing is here</h1>"), "{}", shown.text());
    assert!(shown.text().contains("<bdi>/missing</bdi>"), "{}", shown.text());
    for fields in
        ["", "Accept: */*\r\n", "Accept: image/avif,*/*;q=0.8\r\n", "Accept: text/css\r\n"]
    {
        let plain = Client::new(&site).request("GET", "/missing", fields);
        assert_eq!((plain.status, plain.text()), (404, "404 Not Found\n"), "{fields}");
        assert_eq!(plain.field("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(plain.field("Vary"), Some("Accept"));
        assert_eq!(plain.field("Content-Security-Policy"), None);
    }
}

#[test]
fn a_page_is_neither_cached_nor_run() {
    let (_, site) = memory(&[]);
    let shown = page(&site, "/missing");
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ] {
        assert_eq!(shown.field(name), Some(value), "{}", shown.head);
        assert_eq!(shown.head.matches(name).count(), 1, "{}", shown.head);
    }
    let policy = shown.field("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert_eq!((shown.field("ETag"), shown.field("Last-Modified")), (None, None));
}

#[test]
fn headers_of_the_owner_are_sent_but_not_the_policy() {
    let mut headers = crate::Headers::none();
    headers.set("Strict-Transport-Security", "max-age=9").unwrap();
    headers.set("Content-Security-Policy", "default-src *").unwrap();
    let site = with_options(&[], Options { headers, ..Options::default() });
    let shown = page(&site, "/missing");
    assert_eq!(shown.field("Strict-Transport-Security"), Some("max-age=9"));
    assert_eq!(shown.head.matches("Content-Security-Policy").count(), 1, "{}", shown.head);
    assert!(!shown.head.contains("default-src *"), "{}", shown.head);
    assert_eq!(shown.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(shown.field("X-Frame-Options"), None);
}

#[test]
fn a_hostile_path_is_shown_as_text_and_cut() {
    let (_, site) = memory(&[]);
    let shown = page(&site, "/<script>alert(1)</script>\"onload='x'");
    assert!(
        !shown.text().contains("<script") && !shown.text().contains("\"onload"),
        "{}",
        shown.text()
    );
    assert!(shown.text().contains("&lt;script&gt;"), "{}", shown.text());
    for part in ["<", "%C3%A9", "a/", "%", "&"] {
        let long = page(&site, &format!("/{}", part.repeat(6000 / part.len())));
        assert!(long.body.len() < 6000, "{part}: {}", long.body.len());
    }
}

#[test]
fn head_and_conditions_are_answered_like_get() {
    let (_, site) = memory(&[]);
    let (get, head) =
        (page(&site, "/missing"), Client::new(&site).request("HEAD", "/missing", BROWSER));
    assert_eq!((head.status, &head.head, &*head.body), (404, &get.head, &b""[..]));
    let conditions = ["If-None-Match: *\r\n", "If-Match: \"a\"\r\n", "Range: bytes=0-1\r\n"];
    for condition in conditions {
        let shown =
            Client::new(&site).request("GET", "/missing", &(BROWSER.to_owned() + condition));
        assert_eq!((shown.status, &shown.body), (404, &get.body), "{condition}");
    }
}

#[test]
fn a_page_leads_back_to_the_nearest_folder_that_shows_something() {
    let files = [("index.html", "home"), ("a/index.html", "a"), ("a/b/c/file", "file")];
    let link = |site: &Site, path: &str| {
        let shown = page(site, path);
        assert_eq!(shown.status, 404, "{path}");
        let link = shown.text().split("<a class=\"back\" href=\"").nth(1);
        link.map(|link| link.split('"').next().unwrap().to_owned())
    };
    // Folders that were looked up before are known: a store in memory is not read on event loops.
    let (_, site) = memory(&files);
    page(&site, "/a/");
    for (path, expected) in [
        ("/missing", "./"),
        ("/a/missing", "./"),
        ("/a/b/c/missing", "../../"),
        ("/a/b/c/", "../../"),
        ("/x/y/missing", "../../"),
        ("/a/x/1/2/3/missing", "../../../../../"),
        ("/.git/config", "../"),
        ("/a//missing", "../../"),
    ] {
        assert_eq!(link(&site, path).as_deref(), Some(expected), "{path}");
    }
    let listed = with_options(&files, Options { listing: true, ..Options::default() });
    for folder in ["/a/", "/a/b/", "/a/b/c/"] {
        page(&listed, folder);
    }
    assert_eq!(link(&listed, "/a/b/c/missing").as_deref(), Some("./"));
    assert_eq!(link(&listed, "/a/b/x/missing").as_deref(), Some("../"));
    // A folder that shows nothing either.
    let (_, empty) = memory(&[("file", "file")]);
    assert_eq!(link(&empty, "/missing").as_deref(), Some("./"));
    assert_eq!(link(&empty, "/"), None);
}

#[test]
fn folders_on_disk_are_looked_up_for_the_link_back() {
    let Some((scratch, _)) = event_loop::scratch() else { return };
    std::fs::create_dir_all(scratch.path().join("a/b/c")).unwrap();
    std::fs::write(scratch.path().join("a/index.html"), "a").unwrap();
    let site = Folder::open(scratch.path()).unwrap().site(CacheLimits::default());
    for (path, expected) in [
        ("/a/b/c/missing", "../../\">Go to <bdi>/a/<"),
        // The fifth folder above is not looked up.
        ("/a/1/2/3/missing", "../../../\">Go to <bdi>/a/<"),
        ("/a/1/2/3/4/missing", "../../../../../\">Go to the start page"),
    ] {
        let shown = page(&site, path);
        assert!(shown.text().contains(&format!("href=\"{expected}")), "{path}: {}", shown.text());
    }
}

#[test]
fn a_folder_that_shows_nothing_looks_like_a_missing_one() {
    let (_, site) = memory(&[("a/file", "file")]);
    let shown = |path| page(&site, path).text().replace(path, "");
    assert_eq!(shown("/a/"), shown("/b/"));
    let start = page(&site, "/");
    assert!(start.text().contains("<h1>There is no start page</h1>"), "{}", start.text());
}

#[test]
fn the_error_page_of_the_folder_is_sent_instead() {
    let (_, site) = memory(&[("404.html", "our own")]);
    assert_eq!(page(&site, "/missing").text(), "our own");
}

#[test]
fn other_errors_have_pages_with_their_own_texts() {
    let files = [("docs/file", "file")];
    let site = with_options(&files, Options { listing: true, ..Options::default() });
    for (path, status, expected_texts) in [
        ("/%zz", 400, ["This address is not valid", "href=\"./\">Go to the start page"]),
        ("/docs/?page=0", 400, ["A page is a number from 1 on.", "href=\"./\">Go to <bdi>/docs/"]),
    ] {
        let shown = page(&site, path);
        assert_eq!((shown.status, shown.field("Vary")), (status, Some("Accept")), "{path}");
        for expected_text in expected_texts {
            assert!(shown.text().contains(expected_text), "{path}: {}", shown.text());
        }
        let plain = Client::new(&site).get(path);
        assert!(plain.text().starts_with("400 Bad Request\n"), "{path}: {}", plain.text());
    }
}

#[test]
fn failures_have_pages_that_say_what_to_expect() {
    for (absent, status, expected_text) in [
        (Absent::Denied(Permission::Read), 403, "The server has no permission to read"),
        (Absent::Exhausted, 503, "Try again in a moment."),
        (Absent::Failed(5), 500, "The server could not read what is at this address."),
    ] {
        let (store, site) = memory(&[("docs/file", "file")]);
        store.fail("docs/file", Some(InjectedFault::Absent(absent)));
        let shown = page(&site, "/docs/file");
        assert_eq!(shown.status, status, "{}", shown.head);
        assert_eq!(shown.field("Retry-After"), (status == 503).then_some("1"));
        assert!(shown.text().contains(expected_text), "{}", shown.text());
        assert!(shown.text().contains("href=\"../\">Go to the start page"), "{}", shown.text());
    }
}

#[test]
fn pages_of_an_app_vary_with_the_fields_that_select_its_page() {
    let site = with_options(&[("index.html", "app")], Options { spa: true, ..Options::default() });
    let shown = page(&site, "/app.js");
    assert_eq!((shown.status, shown.field("Vary")), (404, Some("Accept, Sec-Fetch-Mode")));
    // The app's own error page, too. Without an app, no field selects it.
    let files = [("index.html", "app"), ("404.html", "our own")];
    for spa in [true, false] {
        let site = with_options(&files, Options { spa, ..Options::default() });
        for _ in ["looked up", "cached"] {
            let got = Client::new(&site).request("GET", "/nope", "Accept: image/png\r\n");
            assert_eq!((got.status, got.text()), (404, "our own"));
            let varies = got.head.contains("\r\nVary: Accept, Sec-Fetch-Mode\r\n");
            assert_eq!(varies, spa, "{}", got.head);
        }
    }
}
