//! Several folders at several prefixes.

use std::fs;

use super::Client;
use super::scratch::Scratch;
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
