//! Markdown files as pages.

use std::fs;
use std::os::unix::fs::symlink;

use super::scratch::Scratch;
use super::*;
use crate::store::absent::{Absent, Permission};
use crate::store::memory::InjectedFault;
use crate::{BudgetLimits, Budgets, Live, Mounts, Options, Rule};

const HTML: &str = "text/html; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";

fn options() -> Options {
    Options { listing: true, ..Options::default() }
}

fn store(files: &[(&str, &str)]) -> Memory {
    let (store, _) = memory(files);
    store.pass(3_000_000_000);
    store
}

fn folder(files: &[(&str, &str)]) -> Folder {
    Folder::new(store(files)).with_options(options())
}

fn client(folder: Folder) -> Client {
    Client::new(&folder.site(CacheLimits::default()))
}

#[test]
fn a_query_asks_for_a_markdown_file_as_a_page() {
    let files =
        [("docs/a b.md", "Before.\n\n## The *first*\n\n# Next"), ("docs/index.html", "own")];
    let mut client = client(folder(&files));
    let got = client.get("/docs/a%20b.md?format=html");
    assert_eq!((got.status, got.field("Content-Type")), (200, Some(HTML)));
    assert_eq!(got.field("Cache-Control"), Some("no-cache"));
    assert!(got.field("Content-Security-Policy").unwrap().starts_with("default-src 'none';"));
    for part in [
        "<title>The first</title>",
        "<li><a href=\"../\"><bdi class=\"host\">Files</bdi></a></li>",
        "<li><a href=\"./\"><bdi>docs</bdi></a></li></ol></nav>\n<h1><bdi>a b.md</bdi></h1>",
        "· <a href=\"a%20b.md\">Source</a>",
        "<p>Before.</p>\n<h3 id=\"readme-the-first\">The <em>first</em></h3>\n",
        "<h2 id=\"readme-next\">Next</h2>",
    ] {
        assert!(got.text().contains(part), "{part} is missing: {}", got.text());
    }
    assert!(!got.text().contains("class=\"note\""));
    let plain = client.get("/docs/a%20b.md");
    assert_eq!((plain.field("Content-Type"), plain.text()), (Some(MARKDOWN), files[0].1));
    assert_eq!(client.get("/docs/").text(), "own");
}

#[test]
fn the_memory_of_a_page_includes_its_links_to_the_folders_above() {
    let path = format!("{}a.md", "x/".repeat(500));
    let mut client = client(folder(&[(&path, "text")]));
    let got = client.get(&format!("/{path}?format=html"));
    // One link leads up 499 levels, one 498, and so on.
    let links = "../".len() * (1..500).sum::<usize>();
    assert_eq!(got.status, 200);
    assert!(got.text().len() > links && got.text().contains("<p>text</p>"));
}

#[test]
fn pages_are_revalidated_and_compressed_and_heads_are_the_same() {
    let mut client = client(folder(&[("a.md", &"# A\n\nword ".repeat(500))]));
    let got = client.get("/a.md?format=html");
    let etag = got.field("ETag").unwrap().to_owned();
    let head = client.request("HEAD", "/a.md?format=html", "");
    assert_eq!((head.head, head.body.len()), (got.head.clone(), 0));
    for method in ["GET", "HEAD"] {
        let known = format!("If-None-Match: {etag}\r\n");
        let unchanged = client.request(method, "/a.md?format=html", &known);
        assert_eq!((unchanged.status, unchanged.field("ETag")), (304, Some(&*etag)), "{method}");
        let other = client.request(method, "/a.md?format=html", "If-Match: \"x\"\r\n");
        assert_eq!(other.status, 412, "{method}");
    }
    let small = client.request("GET", "/a.md?format=html", "Accept-Encoding: gzip\r\n");
    assert_eq!(small.field("Content-Encoding"), Some("gzip"));
    assert_eq!(small.field("Vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(decompress("gzip", &small.body), got.body);
    let ranged = client.request("GET", "/a.md?format=html", "Range: bytes=0-3\r\n");
    assert_eq!((ranged.status, ranged.body), (200, got.body));
}

#[test]
fn only_markdown_in_folders_that_may_be_listed_has_pages() {
    let files = [("a.md", "# A"), ("a.txt", "# T"), ("d.md/x", "x"), ("c.md.html", "clean")];
    let mut listed = client(folder(&files));
    for (target, status, part) in [
        ("/a.md?format=html", 200, "<title>A</title>"),
        ("/a.md?x&format=html&utm=1", 200, "<title>A</title>"),
        ("/a.md?format=json", 200, "# A"),
        ("/a.md?format=text", 200, "# A"),
        ("/a.md?format=tar", 200, "# A"),
        ("/a.md?format=html&sort=bad", 200, "# A"),
        ("/a.md?", 200, "# A"),
        ("/a.txt?format=html", 200, "# T"),
        // Paths that lead elsewhere are answered as without the query.
        ("/c.md?format=html", 200, "clean"),
        ("/d.md?format=html", 301, ""),
        ("/a.md/?format=html", 404, ""),
        ("/b.md?format=html", 404, ""),
        ("/.md?format=html", 404, ""),
        ("/.git/a.md?format=html", 404, ""),
    ] {
        for method in ["GET", "HEAD"] {
            let got = listed.request(method, target, "");
            assert_eq!(got.status, status, "{method} {target}");
            let has_part = got.text().contains(part);
            assert!(has_part || method == "HEAD", "{target}: {}", got.text());
        }
    }
    let redirect = listed.get("//a.md?format=html");
    assert_eq!((redirect.status, redirect.field("Location")), (301, Some("/a.md?format=html")));
    let mut unlisted = client(Folder::new(store(&files)));
    assert_eq!(unlisted.get("/a.md?format=html").text(), "# A");
    let scratch = Scratch::new();
    fs::write(scratch.path().join("a.md"), "# A").unwrap();
    let single = Folder::open(scratch.path().join("a.md")).unwrap().with_options(options());
    assert_eq!(client(single).get("/a.md?format=html").text(), "# A");
}

#[test]
fn what_is_not_served_has_no_page() {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    for name in ["outside.md", "root/.hidden.md", "root/a.md"] {
        fs::write(scratch.path().join(name), "# Secret").unwrap();
    }
    for (target, name) in
        [("../outside.md", "out.md"), (".hidden.md", "shown.md"), ("a.md", "in.md")]
    {
        symlink(target, root.join(name)).unwrap();
    }
    let mut client = client(Folder::open(&root).unwrap().with_options(options()));
    for (path, status) in [("out.md", 404), ("shown.md", 404), (".hidden.md", 404), ("in.md", 200)]
    {
        let got = client.get(&format!("/{path}?format=html"));
        assert_eq!((got.status, got.text().contains("Secret")), (status, status == 200), "{path}");
    }
    let memory = store(&[("a.md", "# A")]);
    memory.fail("a.md", Some(InjectedFault::Absent(Absent::Denied(Permission::Read))));
    let folder = Folder::new(memory).with_options(options());
    assert_eq!(
        Client::new(&folder.site(CacheLimits::default())).get("/a.md?format=html").status,
        403
    );
}

#[test]
fn a_file_that_vanishes_between_lookup_and_page_is_missed() {
    let store = store(&[("a.md", "# A")]);
    let site = Folder::new(store.clone()).with_options(options()).site(CacheLimits::default());
    let mut client = Client::new(&site);
    assert_eq!(client.get("/a.md").status, 200);
    store.remove("a.md");
    // The lookup is cached.
    assert_eq!(client.get("/a.md?format=html").status, 404);
    store.write("a.md/b", "");
    assert_eq!(client.get("/a.md?format=html").status, 503, "a folder");
}

#[test]
fn what_cannot_be_rendered_is_shown_as_text() {
    let store = store(&[]);
    let long = format!("# <Long>\n{}", "word ".repeat(60_000));
    for (name, content, why) in [
        ("a.md", long.as_bytes(), "it is longer than 256 KiB"),
        ("a.md", b"# <Long> caf\xe9", "it is not in UTF-8"),
        ("a.md", &[b"# <Long>\n", &*b">".repeat(99)].concat(), "it has too much markup"),
    ] {
        store.write(name, content);
        store.pass(3_000_000_000);
        let site = Folder::new(store.clone()).with_options(options()).site(CacheLimits::default());
        let got = Client::new(&site).get("/a.md?format=html");
        assert_eq!((got.status, got.field("Content-Type")), (200, Some(HTML)));
        for part in [
            &*format!("This file is shown as plain text, because {why}."),
            "<pre tabindex=\"0\"># &lt;Long&gt;",
            "<title>a.md</title>",
            "<a href=\"a.md\">Source</a>",
        ] {
            assert!(got.text().contains(part), "{part} is missing: {}", got.text());
        }
        let is_cut = got.text().contains("This is only the beginning of <a href=\"a.md\">a.md</a>");
        assert_eq!(is_cut, content.len() > 64 * 1024);
        assert!(got.body.len() < 128 * 1024);
    }
}

#[test]
fn queries_that_differ_share_one_rendering() {
    let store = store(&[("a.md", "# A"), ("b.md", "# B")]);
    let site = Folder::new(store.clone()).with_options(options()).site(CacheLimits::default());
    let mut client = Client::new(&site);
    let first = client.get("/a.md?format=html");
    let before = store.opens();
    for at in 0..50 {
        let target = format!("/a.md?per={}&format=html&x={at}&q={at}&sort=size", at + 1);
        assert_eq!(client.get(&target), first);
        assert_eq!(client.get(&target.replacen("/a", "/%61", 1)), first, "the same path");
    }
    assert_eq!(store.opens(), before);
    assert!(client.get("/b.md?format=html").text().contains("<title>B</title>"));
    store.write("a.md", "# Changed");
    store.pass(1_000_000_000);
    client.pass(1000);
    let changed = client.get("/a.md?format=html");
    assert!(changed.text().contains("<title>Changed</title>"));
    assert_ne!(changed.field("ETag"), first.field("ETag"));
}

#[test]
fn with_fresh_a_change_is_visible_at_once() {
    let store = store(&[("a.md", "# A")]);
    let options = Options { fresh: true, ..options() };
    let mut client = client(Folder::new(store.clone()).with_options(options));
    for title in ["One", "Two"] {
        store.write("a.md", format!("# {title}"));
        assert!(client.get("/a.md?format=html").text().contains(&format!("<title>{title}<")));
    }
}

#[test]
fn a_page_needs_memory_of_its_client() {
    let limits = BudgetLimits { listings: 64 << 20, ..BudgetLimits::default() };
    let budgets = Budgets::new(limits);
    let store = store(&[("deep.md", &"[".repeat(50_000))]);
    store.write("text.md", vec![0xff; 64 << 10]);
    let folder = Folder::new(store).with_options(options()).with_budgets(&budgets);
    let mut client = client(folder);
    // A text is read, to be rendered, and then escaped.
    for (name, too_little, enough) in [("deep", 8, 24), ("text", 400, 600)] {
        let unit = if name == "deep" { 1 << 20 } else { 1 << 10 };
        for (left, status) in [(too_little * unit, 503), (enough * unit, 200)] {
            let held = budgets.listings.take_shared((64 << 20) - left).unwrap();
            let got = client.get(&format!("/{name}.md?format=html"));
            assert_eq!(got.status, status, "{name}: {left}");
            assert_eq!(got.field("Retry-After"), (status == 503).then_some("1"));
            drop(held);
        }
    }
}

#[test]
fn names_and_titles_are_text_wherever_they_are_shown() {
    let names =
        ["<img src=x onerror=alert(1)>.md", "\"><script>alert(1)<|script>.md", "'&\u{202e}.md"];
    let texts = [
        "# </title><script>alert(1)</script> \u{202e}`</h1>`",
        "# ![</title><script>](x \"'><b>\")\n\n<script>alert(1)</script>\n",
        "[\"><script>](<\"><script>.md#\"><b>>)\n",
        "",
    ];
    for name in names {
        for text in texts {
            let mut path = Vec::new();
            crate::listing::text::url(format!("<b>/{name}").as_bytes(), &mut path);
            let path = String::from_utf8(path).unwrap().replace("%2F", "/");
            let files = [(&*format!("<b>/{name}"), text)];
            let got = client(folder(&files)).get(&format!("/{path}?format=html"));
            assert_eq!(got.status, 200, "{path}");
            let page = got.text();
            assert_eq!(page.matches("<script").count(), 1, "{name} {text}: {page}");
            assert_eq!(page.matches("<title>").count(), 1);
            for bad in ["<b>", "<img src=x", "onerror=alert(1)>", "\u{202e}", "<script>alert"] {
                assert!(!page.contains(bad), "{bad}: {page}");
            }
        }
    }
}

#[test]
fn live_pages_reload_and_are_not_stored() {
    let live = Live::new();
    let options = Options { fresh: true, ..options() };
    let docs = Folder::new(store(&[("a b.md", "# A")])).with_options(options).with_live(&live);
    let site = Mounts::new().at("/docs", docs).unwrap().site(CacheLimits::default());
    let got = Client::new(&site).request(
        "GET",
        "/docs/a%20b.md?format=html",
        "Accept-Encoding: gzip\r\n",
    );
    assert!(got.text().ends_with(&live.tag(b"/docs/a b.md")), "{}", got.text());
    assert_eq!((got.field("ETag"), got.field("Cache-Control")), (None, Some("no-store")));
    assert!(got.field("Content-Security-Policy").unwrap().contains("connect-src 'self'"));
}

#[test]
fn listings_link_to_pages_for_browsers_and_to_files_for_programs() {
    let mut client =
        client(folder(&[("a.md", "# A"), ("b.txt", ""), ("c.md/d", ""), ("e.MD", "")]));
    let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    for query in ["", "?view=grid"] {
        let page = client.request("GET", &format!("/{query}"), browser);
        let folder = if query.is_empty() { "c.md/" } else { "c.md/?view=grid" };
        for href in ["a.md?format=html", "b.txt", folder, "e.MD?format=html"] {
            assert!(page.text().contains(&format!("<a href=\"{href}\"><")), "{href}");
        }
        for accept in ["", "Accept: */*\r\n", "Accept: text/*\r\n"] {
            let page = client.request("GET", &format!("/{query}"), accept);
            assert_eq!(page.field("Content-Type"), Some(HTML));
            assert!(page.text().contains("<a href=\"a.md\"><"), "{accept}");
            assert!(!page.text().contains(".md?"), "{accept}");
        }
    }
}

#[test]
fn pages_are_explained_as_they_are_answered() {
    let files = [("docs/a.md", "# A")];
    let explain = |folder: Folder, target: &str| Mounts::from(folder).explain(target);
    let page = explain(folder(&files), "/docs/a.md?format=html");
    assert_eq!((page.status.code(), page.rule), (200, Rule::MarkdownPage));
    let text = page.to_string();
    assert!(text.starts_with("200 OK: the query asks for a Markdown file as a page\n"), "{text}");
    assert!(text.contains("\n  file: docs/a.md\n") && text.contains(HTML), "{text}");
    assert!(!text.contains("markdown;"), "{text}");
    assert_eq!(explain(folder(&files), "/docs/a.md?format=json").rule, Rule::File);
    assert_eq!(explain(folder(&files), "//docs/a.md?format=html").rule, Rule::MergeSlashes);
    let unlisted = explain(Folder::new(store(&files)), "/docs/a.md?format=html");
    assert_eq!(unlisted.rule, Rule::File);
    assert!(unlisted.to_string().contains(MARKDOWN));
}
