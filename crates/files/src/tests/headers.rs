//! Response headers: caching, security, CORS.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Client, Response, memory};
use crate::store::memory::InjectedFault;
use crate::{
    Absent, ByName, CacheLimits, ContentTypes, Cors, Folder, Headers, MAX_SMALL_FILE, Options, Site,
};

fn site(files: &[(&str, &str)], options: Options) -> Site {
    let (store, _) = memory(files);
    Folder::new(store).with_options(options).site(CacheLimits::default())
}

#[test]
fn cache_control_depends_on_name_and_type() {
    let expected = [
        ("index.html", "no-cache"),
        ("index.3f9a2b1c.html", "no-cache"),
        ("style.css", "no-cache"),
        ("app.js", "no-cache"),
        ("data.json", "no-cache"),
        ("app.3f9a2b1c.js", "public, max-age=31536000, immutable"),
        ("assets/index-BxYz12ab.css", "public, max-age=31536000, immutable"),
        ("live.m3u8", "no-cache"),
        ("radio.M3U", "no-cache"),
        ("logo.png", "max-age=600"),
        ("font.woff2", "max-age=600"),
        ("film.mp4", "max-age=600"),
        ("unknown", "max-age=600"),
    ];
    let files: Vec<(&str, &str)> = expected.iter().map(|(name, _)| (*name, "x")).collect();
    let site = site(&files, Options::default());
    let mut client = Client::new(&site);
    for (name, caching) in expected {
        let got = client.get(&format!("/{name}"));
        assert_eq!((got.status, got.field("Cache-Control")), (200, Some(caching)), "{name}");
        // A 304 has it, too.
        let condition = format!("If-None-Match: {}\r\n", got.field("ETag").unwrap());
        let got = client.request("GET", &format!("/{name}"), &condition);
        assert_eq!((got.status, got.field("Cache-Control")), (304, Some(caching)), "{name}");
    }
}

/// The first table of docs/caching.md with this column.
#[test]
fn the_documentation_has_the_cache_control_of_the_program() {
    let page = include_str!("../../../../docs/caching.md");
    let table = page.split("| URL | `Cache-Control` |").nth(1).unwrap();
    let rows = table.lines().skip(2).map(str::trim).take_while(|line| line.starts_with('|'));
    let in_code = |cell: &'static str| cell.split('`').skip(1).step_by(2);
    let mut seen = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let caching = in_code(cells[1]).next();
        // In parentheses is what a URL leads to.
        for url in cells[0].split(", ").filter_map(|cell| in_code(cell).next()) {
            let name = match url {
                "/" => "index.html",
                "/about" => "about.html",
                "/docs" => "docs/index.html",
                "/none" => "404.html",
                url => &url[1..],
            };
            let mut client = Client::new(&site(&[(name, "x")], Options::default()));
            assert_eq!(client.get(url).field("Cache-Control"), caching, "{url}");
            seen += 1;
        }
    }
    assert!(seen > 12, "{seen} URLs in the table");

    let flag = page.split("--cache-control '").nth(1).unwrap();
    let (pattern, value) = flag.split_once('\'').unwrap().0.split_once(": ").unwrap();
    let mut options = Options::default();
    options.caching.add(pattern, value).unwrap();
    let mut client = Client::new(&site(&[("fonts/a.woff2", "x")], options));
    assert_eq!(client.get("/fonts/a.woff2").field("Cache-Control"), Some(value));
}

#[test]
fn owners_may_set_caching_and_types() {
    let mut caching = ByName::new();
    caching.add("*.html", "").unwrap();
    caching.add("/img/*", "max-age=5").unwrap();
    let mut content_types = ContentTypes::new();
    content_types.add("*.log", "text/plain").unwrap();
    let options = Options { caching, content_types, ..Options::default() };
    let files = [("a.html", ""), ("img/a.png", ""), ("a.png", ""), ("a.log", "")];
    let site = site(&files, options);
    let mut client = Client::new(&site);
    for (path, caching, kind) in [
        ("/a.html", None, "text/html; charset=utf-8"),
        ("/a", None, "text/html; charset=utf-8"),
        ("/img/a.png", Some("max-age=5"), "image/png"),
        ("/a.png", Some("max-age=600"), "image/png"),
        ("/a.log", Some("no-cache"), "text/plain"),
    ] {
        let got = client.get(path);
        assert_eq!(got.field("Cache-Control"), caching, "{path}");
        assert_eq!(got.field("Content-Type"), Some(kind), "{path}");
    }
}

/// `.ts` is TypeScript or an MPEG transport stream.
#[test]
fn first_byte_decides_the_type_of_ts() {
    let hashed_up_to = 2 * MAX_SMALL_FILE;
    let text = "text/plain; charset=utf-8";
    for (first, kind) in [("G", "video/mp2t"), ("i", text), ("<", text)] {
        for size in [1, MAX_SMALL_FILE, MAX_SMALL_FILE + 1, hashed_up_to, hashed_up_to + 1] {
            let content = [first, &"x".repeat(size as usize - 1)].concat();
            let files =
                [("a.ts", &*content), ("B.TS", &content), ("a.rs", &content), ("own.ts", &content)];
            let mut content_types = ContentTypes::new();
            content_types.add("own.ts", "text/x-own").unwrap();
            let options = Options { hashed_up_to, content_types, ..Options::default() };
            let site = site(&files, options);
            let mut client = Client::new(&site);
            for (path, kind) in
                [("/a.ts", kind), ("/B.TS", kind), ("/a.rs", text), ("/own.ts", "text/x-own")]
            {
                let got = client.request("HEAD", path, "");
                assert_eq!(got.field("Content-Type"), Some(kind), "{path} {first} {size}");
            }
        }
    }
    let empty = Client::new(&site(&[("a.ts", "")], Options::default())).get("/a.ts");
    assert_eq!(empty.field("Content-Type"), Some(text));
}

/// Above the limit for hashes, lookups read only what the type needs.
#[test]
fn lookup_of_a_large_file_reads_it_only_for_its_type() {
    let mut content_types = ContentTypes::new();
    content_types.add("*.own", "text/plain").unwrap();
    let options = Options { hashed_up_to: MAX_SMALL_FILE, content_types, ..Options::default() };
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    for (name, is_read) in
        [("a.ts", true), ("a.txt", true), ("a.json", false), ("a.own", false), ("a.mp4", false)]
    {
        let (store, _) = memory(&[(name, &large)]);
        let site =
            Folder::new(store.clone()).with_options(options.clone()).site(CacheLimits::default());
        store.change_when_read(name, ["read"]);
        let mut client = Client::new(&site);
        let path = format!("/{name}");
        client.request("HEAD", &path, "");
        client.pass(1001);
        let length = if is_read { "4".to_owned() } else { large.len().to_string() };
        let got = client.request("HEAD", &path, "");
        assert_eq!(got.field("Content-Length"), Some(&*length), "{name}");
    }
}

#[test]
fn pages_get_security_headers_that_owners_may_change() {
    let names =
        ["X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Permissions-Policy"];
    let sent = |options: Options, path: &str| {
        let files = [("a.html", ""), ("a.css", ""), ("feed.rss", "")];
        let got = Client::new(&site(&files, options)).get(path);
        names.map(|name| got.field(name).map(str::to_owned))
    };
    let some = |values: [Option<&str>; 4]| values.map(|value| value.map(str::to_owned));
    let policy = Some("strict-origin-when-cross-origin");
    let nosniff = Some("nosniff");
    assert_eq!(
        sent(Options::default(), "/a.html"),
        some([nosniff, policy, Some("SAMEORIGIN"), None])
    );
    // Browsers render every type of XML.
    assert_eq!(sent(Options::default(), "/feed.rss"), sent(Options::default(), "/a.html"));
    assert_eq!(sent(Options::default(), "/a.css"), some([nosniff, None, None, None]));
    let mut headers = Headers::default();
    headers.set("X-Frame-Options", "DENY").unwrap();
    headers.set("Permissions-Policy", "camera=()").unwrap();
    headers.remove("Referrer-Policy");
    let changed = Options { headers, ..Options::default() };
    assert_eq!(
        sent(changed.clone(), "/a.html"),
        some([nosniff, None, Some("DENY"), Some("camera=()")])
    );
    assert_eq!(sent(changed, "/a.css"), some([nosniff, None, None, Some("camera=()")]));
    let none = Options { headers: Headers::none(), ..Options::default() };
    assert_eq!(sent(none, "/a.html"), some([None; 4]));
}

/// Errors and redirects are not cached as long as files.
#[test]
fn errors_and_redirects_are_not_cached_like_files() {
    let mut caching = ByName::new();
    caching.add("*", "public, max-age=31536000").unwrap();
    let options = Options { caching, spa: true, ..Options::default() };
    let files =
        [("index.html", "app"), ("404.html", "lost"), ("docs/index.html", ""), ("about.html", "")];
    let site = site(&files, options);
    let mut client = Client::new(&site);
    let etag = client.get("/").field("ETag").unwrap().to_owned();
    let known = format!("If-None-Match: {etag}\r\n");
    for (path, fields, status, caching) in [
        ("/", "", 200, Some("public, max-age=31536000")),
        ("/", &*known, 304, Some("public, max-age=31536000")),
        ("/users/7", "", 200, Some("no-cache")),
        ("/users/7", &known, 304, Some("no-cache")),
        ("/docs", "", 301, Some("no-cache")),
        ("/about/", "", 301, Some("no-cache")),
        ("/none.js", "", 404, Some("no-cache")),
        ("/", "If-Match: \"x\"\r\n", 412, None),
        ("/", "Range: bytes=9-\r\n", 416, None),
    ] {
        let got = client.request("GET", path, fields);
        assert_eq!((got.status, got.field("Cache-Control")), (status, caching), "{path} {fields}");
    }
}

/// The responses that a script of this origin may want to read.
fn responses(cors: Cors, origin: &str) -> Vec<(&'static str, Response)> {
    let files = [("a.txt", "Hello"), ("docs/index.html", "docs"), ("404.html", "lost")];
    let site = site(&files, Options { cors, ..Options::default() });
    let mut client = Client::new(&site);
    let etag = client.get("/a.txt").field("ETag").unwrap().to_owned();
    let mut ask = |path: &str, field: String| {
        client.request("GET", path, &format!("Origin: {origin}\r\n{field}"))
    };
    vec![
        ("200", ask("/a.txt", String::new())),
        ("206", ask("/a.txt", "Range: bytes=0-1\r\n".into())),
        ("301", ask("/docs", String::new())),
        ("304", ask("/a.txt", format!("If-None-Match: {etag}\r\n"))),
        ("404", ask("/none", String::new())),
        ("412", ask("/a.txt", "If-Match: \"x\"\r\n".into())),
        ("416", ask("/a.txt", "Range: bytes=9-\r\n".into())),
    ]
}

#[test]
fn no_other_site_may_read_by_default() {
    for (status, got) in responses(Cors::default(), "https://a.example") {
        assert_eq!(got.status.to_string(), status);
        assert!(!got.head.contains("Access-Control") && !got.head.contains("Vary"), "{}", got.head);
    }
}

#[test]
fn any_site_may_read_if_all_are_allowed() {
    for (status, got) in responses(Cors::any(), "https://a.example") {
        assert_eq!(got.status.to_string(), status);
        assert_eq!(got.field("Access-Control-Allow-Origin"), Some("*"), "{status}");
        let exposed = got.field("Access-Control-Expose-Headers");
        assert_eq!(exposed, Some("Accept-Ranges, Content-Encoding, Content-Range, ETag"));
        assert_eq!(got.field("Vary"), None);
    }
}

#[test]
fn only_listed_sites_may_read() {
    let some = || Cors::origins(["https://a.example", "https://b.example"]).unwrap();
    for (origin, granted) in [
        ("https://a.example", Some("https://a.example")),
        ("https://b.example", Some("https://b.example")),
        ("https://c.example", None),
        ("null", None),
        ("https://a.example\r\nOrigin: https://a.example", None),
    ] {
        for (status, got) in responses(some(), origin) {
            assert_eq!(got.status.to_string(), status);
            assert_eq!(got.field("Access-Control-Allow-Origin"), granted, "{status} {origin}");
            assert_eq!(got.field("Vary"), Some("Origin"), "{status} {origin}");
        }
    }
}

#[test]
fn preflight_requests_are_answered() {
    let options = Options { cors: Cors::any(), ..Options::default() };
    let site = site(&[("a.txt", "Hello")], options);
    let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";
    let names = "Access-Control-Request-Headers: range\r\n";
    let mut client = Client::new(&site);
    let got = client.request("OPTIONS", "/a.txt", &format!("{asks}{names}"));
    assert_eq!(got.status, 204);
    assert_eq!(got.field("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(got.field("Access-Control-Allow-Methods"), Some("GET, HEAD"));
    assert_eq!(got.field("Access-Control-Allow-Headers"), Some("range"));
    assert_eq!(got.field("Access-Control-Max-Age"), Some("86400"));
    // Without a preflight's fields, the response names the methods.
    for fields in ["", "Origin: https://a.example\r\n", "Access-Control-Request-Method: GET\r\n"] {
        let got = client.request("OPTIONS", "/a.txt", fields);
        assert_eq!((got.status, got.field("Allow")), (204, Some("GET, HEAD, OPTIONS")));
        assert_eq!(got.field("Access-Control-Allow-Methods"), None);
    }
    let got = client.request("OPTIONS", "*", asks);
    assert_eq!((got.status, got.field("Access-Control-Allow-Methods")), (204, None));
}

/// A script sees only a network error if a response lacks the headers of CORS.
#[test]
fn errors_of_listings_may_be_read_by_listed_sites() {
    let (store, _) =
        memory(&[("docs/a.txt", "Hello"), ("busy/a.txt", ""), ("panic.txt", ""), ("panic/a", "")]);
    store.fail("busy", Some(InjectedFault::Absent(Absent::Exhausted)));
    ["panic.txt", "panic"].iter().for_each(|name| store.fail(name, Some(InjectedFault::Panic)));
    let mut headers = Headers::default();
    headers.set("X-Mine", "here").unwrap();
    let cors = Cors::origins(["https://a.example"]).unwrap();
    let options = Options { listing: true, cors, headers, ..Options::default() };
    let site = Folder::new(store).with_options(options).site(CacheLimits::default());
    for (path, status) in [
        ("/docs/?sort=x", 400),
        ("/busy/?format=json", 503),
        ("/panic.txt", 500),
        ("/panic/?format=json", 500),
        ("/none", 404),
    ] {
        let mut client = Client::new(&site);
        client.ask("GET", path, "Origin: https://a.example\r\n");
        if status == 500 {
            assert!(catch_unwind(AssertUnwindSafe(|| client.0.run_jobs())).is_err());
            client.0.deliver();
        }
        client.run_all();
        let got = client.response().unwrap();
        assert_eq!(got.status, status, "{path}");
        let allowed = got.field("Access-Control-Allow-Origin");
        assert_eq!(allowed, Some("https://a.example"), "{path}");
        assert!(got.head.contains("\r\nVary: Origin\r\n"), "{path}: {}", got.head);
    }
    // A page has the headers of pages, as the page of a 404 has.
    for (path, status) in [("/docs/?sort=x", 400), ("/none", 404)] {
        let got = Client::new(&site).request("GET", path, "Accept: text/html\r\n");
        assert_eq!((got.status, got.field("X-Mine")), (status, Some("here")), "{path}");
    }
    let head = Client::new(&site).request("HEAD", "/docs/?sort=x", "Accept: text/html\r\n");
    assert_eq!((head.status, head.field("X-Mine")), (400, Some("here")));
}
