//! Several folders at several prefixes.

use std::fs;
use std::os::unix::fs::symlink;

use super::scratch::Scratch;
use super::{Client, parse_response};
use crate::store::memory::Memory;
use crate::{CacheLimits, Folder, Mounts, Options};

fn folder(files: &[(&str, &str)]) -> Folder {
    let store = Memory::new();
    for (name, content) in files {
        store.write(name, *content);
    }
    store.pass(1_000_000);
    Folder::new(store)
}

#[test]
fn each_folder_is_served_beneath_its_prefix() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("data.csv"), "a,b").unwrap();
    let site = folder(&[
        ("index.html", "home"),
        ("404.html", "lost at home"),
        ("docs/hidden.html", "beneath the other folder"),
        ("docsearch", "search"),
    ]);
    let docs = folder(&[("index.html", "docs"), ("a/b.html", "b"), ("404.html", "lost in docs")]);
    let api = folder(&[("v1", "api")]);
    let single = Folder::open(scratch.path().join("data.csv")).unwrap();
    let mounts = Mounts::from(site)
        .at("/docs", docs)
        .and_then(|mounts| mounts.at("/docs/api", api))
        .and_then(|mounts| mounts.at("/data.csv", single))
        .unwrap();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/docs", 301, "/docs/"),
        ("/docs?x=1", 301, "/docs/?x=1"),
        ("/docs/", 200, "docs"),
        ("/docs/a/b", 200, "b"),
        ("/docs/a/b/", 301, "/docs/a/b"),
        ("/docs/a", 301, "/docs/a/"),
        ("/docs/hidden.html", 404, "lost in docs"),
        ("/docs/none", 404, "lost in docs"),
        ("/docsearch", 200, "search"),
        ("/docs/api", 301, "/docs/api/"),
        ("/docs/api/", 404, "404 Not Found\n"),
        ("/docs/api/v1", 200, "api"),
        ("/docs/api/none", 404, "404 Not Found\n"),
        ("/docs/apis", 404, "lost in docs"),
        ("/data.csv", 200, "a,b"),
        ("/data.csv/", 200, "a,b"),
        ("/data.csv/none", 404, "404 Not Found\n"),
        ("/none", 404, "lost at home"),
        ("/docs/.git", 404, "lost at home"),
        ("//docs", 301, "/docs/"),
        ("//docs//", 301, "/docs/"),
        ("/docs//a/b", 301, "/docs/a/b"),
        ("/docs//a?x=1", 301, "/docs/a/?x=1"),
        ("/docs//api", 301, "/docs/api/"),
        ("/docs//api//v1", 301, "/docs/api/v1"),
        ("//data.csv", 301, "/data.csv"),
        ("/docs//hidden.html", 404, "lost in docs"),
        ("//none", 404, "lost at home"),
    ] {
        for _ in 0..2 {
            let got = client.get(path);
            let location_or_text = got.field("Location").unwrap_or_else(|| got.text());
            assert_eq!((got.status, location_or_text), (status, text), "{path}");
        }
    }
}

#[test]
fn paths_outside_all_mounts_get_404() {
    let mounts = Mounts::new().at("docs", folder(&[("index.html", "docs")])).unwrap();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    for path in ["/", "/none", "/.git", "//", "//none"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    assert_eq!(client.get("/docs/").text(), "docs");
}

#[test]
fn each_folder_keeps_its_own_options() {
    let app = Options { spa: true, ..Options::default() };
    let mounts = Mounts::from(folder(&[("index.html", "home")]))
        .at("/app", folder(&[("index.html", "app")]).with_options(app))
        .unwrap();
    let mut client = Client::new(&mounts.site(CacheLimits::default()));
    assert_eq!(client.get("/app/users/7").text(), "app");
    assert_eq!(client.get("/users/7").status, 404);
}

/// RFC 8615 defines `/.well-known/` only.
#[test]
fn well_known_is_hidden_beneath_a_prefix() {
    let scratch = Scratch::new();
    let root = scratch.path().join("docs");
    fs::create_dir_all(root.join(".well-known")).unwrap();
    fs::write(root.join(".well-known/name.txt"), "content").unwrap();
    symlink(".well-known/name.txt", root.join("link.txt")).unwrap();
    symlink(".well-known", root.join("folder")).unwrap();
    let store = Memory::new();
    store.write(".well-known/name.txt", "content");
    store.pass(1_000_000);
    let listing = Options { listing: true, ..Options::default() };
    for (folder, is_on_disk) in
        [(Folder::open(&root).unwrap(), true), (Folder::new(store.clone()), false)]
    {
        let folder = folder.with_options(listing.clone());
        let mounts = Mounts::from(folder.clone()).at("/docs", folder).unwrap();
        let mut client = Client::new(&mounts.site(CacheLimits::default()));
        // The folder at `/` is the same, and shows what is hidden beneath the other prefix.
        for (prefix, is_shown) in [("", true), ("/docs", false), ("", true)] {
            for format in ["json", "text", "tar"] {
                let target = format!("{prefix}/?format={format}");
                client.ask("GET", &target, "");
                let mut bytes = Vec::new();
                while client.0.run_jobs() > 0 {
                    bytes.extend(client.0.output());
                }
                let got = parse_response(&bytes);
                let has = |text: &str| got.body.windows(text.len()).any(|at| at == text.as_bytes());
                assert_eq!((got.status, has(".well-known")), (200, is_shown), "{target}");
                // In the archive of `/`, that is the link to the folder.
                assert_eq!(has("OMITTED"), is_shown && is_on_disk && format == "tar", "{target}");
            }
            for (path, on_disk) in [
                ("/.well-known/name.txt", false),
                ("/.well-known/", false),
                ("/link.txt", true),
                ("/folder/name.txt", true),
                ("/folder/", true),
            ] {
                let path = format!("{prefix}{path}");
                let status = if is_shown && (is_on_disk || !on_disk) { 200 } else { 404 };
                assert_eq!(client.get(&path).status, status, "{path}");
                assert_eq!(mounts.explain(&path).status.code(), status, "{path}");
            }
        }
    }
}
