//! Clean URLs, single-page apps and error pages.

use super::{Client, Response, memory};
use crate::store::memory::{InjectedFault, Memory};
use crate::{
    Absent, CacheLimits, Folder, MAX_SMALL_FILE, Mounts, OpenFilesOf, Options, Permission, Site,
    Special,
};

fn site(files: &[(&str, &str)], options: impl FnOnce(&mut Options)) -> (Memory, Site) {
    let (store, _) = memory(files);
    let mut chosen = Options::default();
    options(&mut chosen);
    (store.clone(), Folder::new(store).with_options(chosen).site(CacheLimits::default()))
}

/// The responses to each, first looked up and then cached.
fn answers(site: &Site, expected: &[(&str, u16, &str)]) {
    let mut client = Client::new(site);
    for (path, status, text) in expected {
        for _ in 0..2 {
            let got = client.get(path);
            let location_or_text = got.field("Location").unwrap_or_else(|| got.text());
            assert_eq!((got.status, location_or_text), (*status, *text), "{path}");
        }
    }
}

#[test]
fn pages_are_found_without_their_extension() {
    let files = [
        ("index.html", "home"),
        ("about.html", "about"),
        ("about.txt", "text"),
        ("release-1.2.html", "release"),
        ("both", "file"),
        ("both.html", "page"),
        ("blog.html", "blog"),
        ("blog/first.html", "first"),
        ("docs.html", "beside"),
        ("docs/index.html", "docs"),
        ("docs/deep.html", "deep"),
    ];
    let (_, site) = site(&files, |_| {});
    answers(
        &site,
        &[
            ("/about", 200, "about"),
            ("/about?x=1", 200, "about"),
            ("/about.html", 200, "about"),
            ("/about.txt", 200, "text"),
            ("/release-1.2", 200, "release"),
            ("/docs/deep", 200, "deep"),
            // A file with exactly this name comes first.
            ("/both", 200, "file"),
            ("/docs", 301, "/docs/"),
            ("/docs/", 200, "docs"),
            // A folder without a page does not hide the page beside it.
            ("/blog", 200, "blog"),
            ("/blog/first", 200, "first"),
            // A page has one URL.
            ("/about/", 301, "/about"),
            ("/about/?a=/b/&c", 301, "/about?a=/b/&c"),
            ("/blog/", 301, "/blog"),
            ("/docs/deep/", 301, "/docs/deep"),
            ("/about.html/", 404, "404 Not Found\n"),
            ("/none", 404, "404 Not Found\n"),
            ("/none/", 404, "404 Not Found\n"),
            ("/about/none", 404, "404 Not Found\n"),
        ],
    );
    let got = Client::new(&site).get("/about");
    assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
}

#[test]
fn clean_urls_can_be_turned_off() {
    let (_, site) =
        site(&[("about.html", "about"), ("blog.html", ""), ("blog/a.html", "")], |it| {
            it.clean_urls = false;
        });
    answers(
        &site,
        &[
            ("/about.html", 200, "about"),
            ("/about", 404, "404 Not Found\n"),
            ("/about/", 404, "404 Not Found\n"),
            ("/blog", 301, "/blog/"),
            ("/blog/", 404, "404 Not Found\n"),
        ],
    );
}

#[test]
fn created_and_removed_pages_are_noticed_under_clean_urls() {
    let (store, site) = site(&[("a.html", "page")], |_| {});
    let mut client = Client::new(&site);
    let mut after = |change: &dyn Fn()| {
        change();
        store.pass(1_000_000);
        client.pass(1000);
        let got = client.get("/a");
        let kind = got.field("Content-Type").map(str::to_owned);
        (got.status, got.text().to_owned(), kind.unwrap_or_default())
    };
    let html = "text/html; charset=utf-8";
    assert_eq!(after(&|| {}), (200, "page".into(), html.into()));
    assert_eq!(after(&|| store.write("a", "file")).2, "application/octet-stream");
    assert_eq!(after(&|| store.remove("a")), (200, "page".into(), html.into()));
    assert_eq!(after(&|| store.remove("a.html")).0, 404);
}

/// A page that may not be read gets 403, not 404.
#[test]
fn unreadable_pages_get_their_status_under_clean_urls() {
    let (store, site) = site(&[("a.html", "page")], |_| {});
    store.fail("a.html", Some(InjectedFault::Absent(Absent::Exhausted)));
    assert_eq!(Client::new(&site).get("/a").status, 503);
}

#[test]
fn navigations_get_the_page_of_a_single_page_app() {
    let files = [("index.html", "app"), ("app.js", "script"), ("docs/index.html", "docs")];
    let (_, site) = site(&files, |it| it.spa = true);
    let ask = |method: &str, path: &str, fields: &str| -> Response {
        Client::new(&site).request(method, path, fields)
    };
    for (path, fields, status, text) in [
        ("/users/7", "", 200, "app"),
        ("/users/7?tab=1", "", 200, "app"),
        ("/users/", "", 200, "app"),
        ("/users.html", "", 200, "app"),
        ("/users/7", "Accept: text/html,*/*;q=0.8\r\n", 200, "app"),
        ("/users/7", "Accept: */*\r\nSec-Fetch-Mode: navigate\r\n", 200, "app"),
        ("/", "", 200, "app"),
        ("/app.js", "", 200, "script"),
        ("/docs/", "", 200, "docs"),
        ("/docs", "", 301, "301 Moved Permanently\n"),
        ("/docs/none", "", 200, "app"),
        // Assets, data and refused paths are not pages.
        ("/app.2.js", "", 404, "404 Not Found\n"),
        ("/img/logo.png", "Accept: text/html\r\n", 404, "404 Not Found\n"),
        ("/api/users", "Accept: application/json\r\n", 404, "404 Not Found\n"),
        ("/api/users", "Accept: */*\r\nSec-Fetch-Mode: cors\r\n", 404, "404 Not Found\n"),
        ("/.git/config", "", 404, "404 Not Found\n"),
        ("/users//7", "", 404, "404 Not Found\n"),
        ("/%00", "", 400, "400 Bad Request\n"),
    ] {
        let got = ask("GET", path, fields);
        let title = format!("<title>{}</title>", text.trim_end());
        assert_eq!(got.status, status, "{path} {fields}");
        assert!(got.text() == text || got.text().contains(&title), "{path} {fields}");
        let head = ask("HEAD", path, fields);
        assert_eq!((head.status, head.head), (status, got.head), "{path} {fields}");
    }
    let got = ask("GET", "/users/7", "");
    assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(got.field("Vary"), Some("Accept, Sec-Fetch-Mode"));
    // By its own name it is an ordinary file.
    let etag = got.field("ETag").unwrap();
    assert_eq!(ask("GET", "/users/8", &format!("If-None-Match: {etag}\r\n")).status, 304);
    assert_eq!(ask("GET", "/users/8", "Range: bytes=1-\r\n").text(), "pp");
    assert_eq!(ask("POST", "/users/8", "Content-Length: 0\r\n").status, 405);
}

#[test]
fn several_slashes_are_no_path_of_an_app() {
    let (_, site) = site(&[("index.html", "app"), ("a.html", "a")], |it| it.spa = true);
    let mut client = Client::new(&site);
    for (path, status, location) in [
        ("/users/7", 200, None),
        ("//users/7", 404, None),
        ("/users//7", 404, None),
        ("//a", 301, Some("/a")),
        ("//", 301, Some("/")),
    ] {
        let got = client.get(path);
        assert_eq!((got.status, got.field("Location")), (status, location), "{path}");
    }
}

#[test]
fn single_page_apps_without_a_page_get_404() {
    let (_, site) = site(&[("app.js", "script")], |it| it.spa = true);
    answers(&site, &[("/users/7", 404, "404 Not Found\n"), ("/", 404, "404 Not Found\n")]);
}

/// Not a 404, which caches could keep.
#[test]
fn the_page_of_an_app_that_cannot_be_opened_fails_as_it_does_itself() {
    for (fault, status) in [
        (Absent::Denied(Permission::Read), 403),
        (Absent::TooManyOpenFiles(OpenFilesOf::Process), 503),
        (Absent::Failed(5), 500),
        (Absent::Outside, 404),
    ] {
        let files = [("index.html", "app"), ("404.html", "lost")];
        let (store, site) = site(&files, |it| it.spa = true);
        store.fail("index.html", Some(InjectedFault::Absent(fault)));
        let mut client = Client::new(&site);
        for path in ["/", "/users/7"] {
            assert_eq!(client.get(path).status, status, "{path} {fault:?}");
        }
    }
}

#[test]
fn without_spa_there_is_no_fallback_page() {
    let (_, site) = site(&[("index.html", "app")], |_| {});
    answers(&site, &[("/users/7", 404, "404 Not Found\n")]);
}

#[test]
fn missing_names_get_the_folders_404_page() {
    let (store, site) = site(&[("404.html", "<p>Lost?"), ("empty/a.txt", "")], |_| {});
    let mut client = Client::new(&site);
    let direct = client.get("/404.html");
    assert_eq!((direct.status, direct.text()), (200, "<p>Lost?"));
    let etag = format!("If-None-Match: {}\r\n", direct.field("ETag").unwrap());
    for path in ["/none", "/none/", "/empty/", "/.git/config", "/a//b", "/404.html/"] {
        // An error page has no validators and no ranges.
        for fields in ["", &*etag, "Range: bytes=0-1\r\n", "If-Match: \"x\"\r\n"] {
            for _ in 0..2 {
                let got = client.request("GET", path, fields);
                assert_eq!((got.status, got.text()), (404, "<p>Lost?"), "{path} {fields}");
                assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
                assert_eq!(got.field("Content-Length"), Some("8"));
                for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
                    assert_eq!(got.field(name), None, "{path}");
                }
                let head = client.request("HEAD", path, fields);
                assert_eq!((head.head, head.body), (got.head, Vec::new()));
            }
        }
    }
    assert_eq!(client.get("/%00").text(), "400 Bad Request\n");
    store.remove("404.html");
    client.pass(1000);
    assert_eq!(client.get("/none").text(), "404 Not Found\n");
}

#[test]
fn large_404_pages_are_sent() {
    let page = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let (_, site) = site(&[("404.html", &page)], |_| {});
    answers(&site, &[("/none", 404, &page)]);
}

/// The error page is looked up once for all missing names.
#[test]
fn missing_names_share_the_404_page() {
    let (store, site) = site(&[("404.html", "lost")], |it| it.clean_urls = false);
    let mut client = Client::new(&site);
    for number in 0..10 {
        assert_eq!(client.get(&format!("/{number}")).text(), "lost");
    }
    assert_eq!(store.opens(), 11);
}

#[test]
fn an_unreadable_404_page_is_replaced_by_the_default() {
    let (store, site) = site(&[("404.html", "lost")], |_| {});
    store.fail("404.html", Some(InjectedFault::Absent(Absent::Exhausted)));
    answers(&site, &[("/none", 404, "404 Not Found\n")]);
}

#[test]
fn a_folder_with_the_extension_of_a_page_is_no_circle_of_redirects() {
    let files = [("x.html/a.txt", ""), ("x.html.html", "page"), ("y.html.html", "page")];
    for (listing, status) in [(false, 404), (true, 200)] {
        let options = Options { listing, ..Options::default() };
        let mounts = Mounts::from(Folder::new(memory(&files).0).with_options(options));
        let mut client = Client::new(&mounts.site(CacheLimits::default()));
        for (path, status, location) in [
            ("/x.html", 301, Some("/x.html/")),
            ("/x.html/", status, None),
            ("/y.html", 404, None),
            ("/y.html/", 404, None),
            ("/y.html.html", 200, None),
        ] {
            for _ in 0..2 {
                let got = client.get(path);
                assert_eq!((got.status, got.field("Location")), (status, location), "{path}");
                assert_eq!(mounts.explain(path).status.code(), status, "{path}");
            }
        }
    }
}

/// Where folders are listed, a folder's URL shows its names, and so do the links of listings.
#[test]
fn a_page_beside_a_listed_folder_does_not_hide_its_listing() {
    let files = [
        ("blog.html", "blog"),
        ("blog/a.txt", ""),
        ("docs.html", "beside"),
        ("docs/index.html", "docs"),
        ("about.html", "about"),
    ];
    for (listing, of_folder) in [(false, (301, Some("/blog"))), (true, (200, None))] {
        let options = Options { listing, ..Options::default() };
        let mounts = Mounts::from(Folder::new(memory(&files).0).with_options(options));
        let mut client = Client::new(&mounts.site(CacheLimits::default()));
        let sorted = (of_folder.0, of_folder.1.map(|_| "/blog?sort=size"));
        for (path, (status, location)) in [
            ("/blog", (200, None)),
            ("/blog/", of_folder),
            ("/blog/?sort=size", sorted),
            ("/docs", (301, Some("/docs/"))),
            ("/docs/", (200, None)),
            // There is no such folder.
            ("/about/", (301, Some("/about"))),
        ] {
            for _ in 0..2 {
                let got = client.get(path);
                assert_eq!((got.status, got.field("Location")), (status, location), "{path}");
                assert_eq!(mounts.explain(path).status.code(), status, "{path}");
            }
        }
        let texts = ["/blog", "/docs/"].map(|path| client.get(path).text().to_owned());
        assert_eq!(texts, ["blog", "docs"]);
        assert_eq!(client.get("/blog/").text().contains("<bdi>a.txt</bdi>"), listing);
    }
}

#[test]
fn a_bad_page_beside_a_folder_does_not_hide_the_folder() {
    use Absent::{Denied, NotRegular, Outside};
    let files = [
        ("a/index.html", "index"),
        ("a.html", ""),
        ("b/c.txt", ""),
        ("b.html", ""),
        ("d.html", ""),
    ];
    for (fault, status) in [
        (Outside, 404),
        (NotRegular(Special::Pipe), 404),
        (Denied(Permission::Read), 403),
        (Absent::Exhausted, 503),
    ] {
        let (store, _) = memory(&files);
        let [plain, listed] = [false, true].map(|listing| {
            let options = Options { listing, ..Options::default() };
            Mounts::from(Folder::new(store.clone()).with_options(options))
        });
        for name in ["a.html", "b.html", "d.html"] {
            store.fail(name, Some(InjectedFault::Absent(fault)));
        }
        let found = if fault == Absent::Exhausted { status } else { 301 };
        for (mounts, path, status) in [
            (&plain, "/a", found),
            (&listed, "/a", found),
            (&listed, "/b", found),
            // Neither the folder nor the page beside it can be shown.
            (&plain, "/b", status),
            (&plain, "/d", status),
        ] {
            let got = Client::new(&mounts.site(CacheLimits::default())).get(path);
            let location = (status == 301).then(|| format!("{path}/"));
            assert_eq!(
                (got.status, got.field("Location")),
                (status, location.as_deref()),
                "{path}"
            );
            assert_eq!(mounts.explain(path).status.code(), status, "{path}");
        }
        let [mut plain, mut listed] =
            [plain, listed].map(|mounts| Client::new(&mounts.site(CacheLimits::default())));
        assert_eq!((plain.get("/a/").text(), listed.get("/b/").status), ("index", 200));
    }
}
