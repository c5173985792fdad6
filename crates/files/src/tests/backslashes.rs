//! Names with a backslash, which is a character like any other on Linux.

use std::fs;

use super::scratch::Scratch;
use super::{Client, compressed};
use crate::{CacheLimits, Coding, Disk, Folder, Mounts, Options};

fn options() -> Options {
    let mut options = Options { listing: true, ..Options::default() };
    options.caching.add("a\\b*", "max-age=7").unwrap();
    options
}

fn mounts() -> (Scratch, Mounts) {
    let scratch = Scratch::new();
    let page = "<p>text</p>".repeat(500);
    fs::create_dir_all(scratch.path().join("d\\e")).unwrap();
    for (name, content) in [
        ("a\\b.txt", &b"AB"[..]),
        ("d\\e/index.html", page.as_bytes()),
        ("d\\e/index.html.gz", &compressed(Coding::Gzip, page.as_bytes())),
        ("d\\e/p\\.html", b"clean"),
        ("\\", b"one"),
    ] {
        fs::write(scratch.path().join(name), content).unwrap();
    }
    let folder = Folder::new(Disk::open(scratch.path()).unwrap()).with_options(options());
    (scratch, Mounts::from(folder))
}

#[test]
fn names_with_a_backslash_are_served() {
    let (_scratch, mounts) = mounts();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    for _ in 0..2 {
        for (path, status, text) in [
            ("/a%5Cb.txt", 200, "AB"),
            ("/a%5cb.txt", 200, "AB"),
            ("/%5C", 200, "one"),
            ("/d%5Ce/p%5C", 200, "clean"),
            ("/d%5Ce", 301, "301 Moved Permanently\n"),
            ("/a/b.txt", 404, "404 Not Found\n"),
            ("/d/e/", 404, "404 Not Found\n"),
            ("/..%5Ca", 404, "404 Not Found\n"),
        ] {
            let got = client.get(path);
            assert_eq!((got.status, got.text()), (status, text), "{path}");
        }
    }
    let location = client.get("/d%5Ce?x");
    assert_eq!(location.field("Location"), Some("/d%5Ce/?x"));
    assert_eq!(client.get("/a%5Cb.txt").field("Cache-Control"), Some("max-age=7"));
    let page = client.request("GET", "/d%5Ce/", "Accept-Encoding: gzip\r\n");
    assert_eq!(page.field("Content-Encoding"), Some("gzip"), "a precompressed file");
    assert_eq!(client.get("/a\\b.txt").status, 400, "it has to be encoded");
}

#[test]
fn names_with_a_backslash_are_listed_and_archived() {
    let (_scratch, mounts) = mounts();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    for (format, parts) in [
        ("html", [r#"<a href="a%5Cb.txt">"#, r"<bdi>a\b.txt</bdi>", r#"<a href="d%5Ce/">"#]),
        ("json", [r#"{"name":"a\\b.txt""#, r#""url":"a%5Cb.txt"}"#, r#""complete":true"#]),
        ("text", ["\t2\ta\\b.txt\n", "\t-\td\\e/\n", "\t3\t\\\n"]),
    ] {
        let listing = client.get(&format!("/?format={format}"));
        for part in parts {
            assert!(listing.text().contains(part), "{format}: {part} in {}", listing.text());
        }
    }
    let page = client.get("/d%5Ce/?format=html");
    assert!(page.text().contains(r"<h1><bdi>d\e</bdi></h1>"));
    client.ask("GET", "/?format=tar", "");
    let mut bytes = Vec::new();
    while client.0.run_jobs() > 0 {
        bytes.extend(client.0.output());
    }
    let got = super::parse_response(&bytes);
    let mut archive = tar::Archive::new(&got.body[..]);
    let names = archive
        .entries()
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap());
    let expected = [
        "files/\\",
        "files/a\\b.txt",
        "files/d\\e/",
        "files/d\\e/index.html",
        "files/d\\e/index.html.gz",
        "files/d\\e/p\\.html",
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn names_with_a_backslash_are_explained() {
    let (_scratch, mounts) = mounts();
    let why = mounts.explain("/a%5Cb.txt").to_string();
    assert!(why.contains("\n  file: a\\b.txt\n"), "{why}");
    let why = mounts.explain("/a\\b.txt").to_string();
    assert!(why.starts_with("400 Bad Request"), "{why}");
    assert!(
        why.contains("reason: the path holds a backslash: in a name, write it as %5C"),
        "{why}"
    );
    let under = Mounts::new().at("/x\\y", Folder::new(crate::memory::Memory::new()));
    assert_eq!(under.unwrap().explain("/x%5Cy").status.code(), 301);
}
