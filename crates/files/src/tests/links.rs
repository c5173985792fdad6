//! Symbolic links to hidden names: the links are hidden, too.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::attacks::Stop;
use super::codings::{GZIP, compressed, text};
use super::scratch::{Scratch, as_unprivileged};
use super::{Client, Response};
use crate::{Absent, CacheLimits, Coding, Disk, Folder, Mounts, Options, Store};

const SECRET: &str = "not one byte of this";

/// Links, and what they lead to: relative to the folder that they are in.
const LINKS: &[(&str, &str)] = &[
    ("env", ".env"),
    ("config", ".git/config"),
    ("git", ".git"),
    ("roundabout", "sub/../.git/./config"),
    ("chain", "chain2"),
    ("chain2", "sub/chain3"),
    ("sub/chain3", "../.env"),
    ("sub/up", "../.git/"),
    ("inner", "sub/.private"),
    ("inner-file", "sub/.private/file"),
    ("nested", "sub/.well-known/file"),
    ("nothing", ".missing"),
    ("no-folder", ".env/"),
    ("hidden-first", ".visible"),
    (".visible", "sub/file"),
    ("through", ".git/../sub/file"),
    ("top", ".well-known/file"),
    ("root", "."),
    ("sub/root", ".."),
    ("out", "../secret"),
    ("circle", "circle"),
    ("absolute", "/etc/passwd"),
];

/// A folder with hidden names, and links to them.
fn folder() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    for name in [".git", "sub/.private", "sub/.well-known", ".well-known"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in [".env", ".git/config", "sub/.private/file", "sub/.well-known/file", "../secret"] {
        fs::write(root.join(name), SECRET).unwrap();
    }
    for name in ["sub/file", ".well-known/file"] {
        fs::write(root.join(name), "shown").unwrap();
    }
    for (name, target) in LINKS {
        symlink(target, root.join(name)).unwrap();
    }
    (scratch, root)
}

fn client(root: &Path, options: Options) -> Client {
    Client::new(&Folder::open(root).unwrap().with_options(options).site(CacheLimits::default()))
}

/// Sends a request, and runs jobs until the response is complete.
fn ask(client: &mut Client, target: &str) -> Response {
    client.ask("GET", target, "");
    let mut bytes = Vec::new();
    loop {
        let ran = client.0.run_jobs();
        let more = client.0.output();
        if ran == 0 && more.is_empty() {
            return super::parse_response(&bytes);
        }
        bytes.extend_from_slice(&more);
    }
}

#[test]
fn links_to_hidden_names_are_hidden() {
    let (_scratch, root) = folder();
    let mounts = Mounts::from(Folder::open(&root).unwrap());
    let mut client = client(&root, Options::default());
    let hidden = Absent::Hidden;
    for (path, expected) in [
        ("/env", Err(hidden)),
        ("/config", Err(hidden)),
        ("/git/config", Err(hidden)),
        ("/git/", Err(hidden)),
        ("/git", Err(hidden)),
        ("/git/nothing", Err(hidden)),
        ("/roundabout", Err(hidden)),
        ("/chain", Err(hidden)),
        ("/sub/chain3", Err(hidden)),
        ("/sub/up/config", Err(hidden)),
        ("/inner/file", Err(hidden)),
        ("/inner-file", Err(hidden)),
        ("/nested", Err(hidden)),
        ("/nothing", Err(hidden)),
        ("/no-folder", Err(hidden)),
        ("/env/x", Err(hidden)),
        ("/root/env", Err(hidden)),
        // Links to what is not hidden are followed.
        ("/hidden-first", Ok("shown")),
        ("/through", Ok("shown")),
        ("/top", Ok("shown")),
        ("/root/sub/file", Ok("shown")),
        ("/sub/root/sub/root/top", Ok("shown")),
        ("/out", Err(Absent::Outside)),
        ("/absolute", Err(Absent::Outside)),
        ("/circle", Err(Absent::LinkLoop)),
        ("/sub/file/x", Err(Absent::Missing)),
        ("/top/x", Err(Absent::Missing)),
    ] {
        let got = client.get(path);
        let explained = mounts.explain(path);
        assert_eq!(explained.absent, expected.err(), "{path}");
        match expected {
            Ok(content) => assert_eq!((got.status, got.text()), (200, content), "{path}"),
            Err(_) => assert_eq!((got.status, got.text().contains(SECRET)), (404, false), "{path}"),
        }
    }
    let why = mounts.explain("/env").to_string();
    assert!(
        why.contains("  reason: a symbolic link leads to a name that begins with a dot"),
        "{why}"
    );
}

#[test]
fn listings_and_archives_leave_out_links_to_hidden_names() {
    let (_scratch, root) = folder();
    let mut client = client(&root, Options { listing: true, ..Options::default() });
    let list = ask(&mut client, "/?format=text");
    let names: Vec<_> = list.text().lines().filter_map(|line| line.rsplit('\t').next()).collect();
    assert_eq!(names, [".well-known/", "root/", "sub/", "hidden-first", "through", "top"]);
    assert_eq!(ask(&mut client, "/git/?format=text").status, 404);

    for target in ["/?format=tar", "/sub/?format=tar"] {
        let got = ask(&mut client, target);
        assert_eq!(got.status, 200);
        let has = |text: &str| got.body.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("shown") && !has(SECRET) && !has("config"), "{target}");
    }
    assert_eq!(ask(&mut client, "/git/?format=tar").status, 404);
}

/// The status does not tell what is beneath a hidden name.
#[test]
fn unreadable_hidden_names_are_not_disclosed() {
    let (_scratch, root) = folder();
    fs::set_permissions(root.join(".git"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(root.join(".env"), fs::Permissions::from_mode(0o000)).unwrap();
    let mounts = Mounts::from(Folder::open(&root).unwrap());
    for path in ["/env", "/config", "/git/config", "/git/"] {
        let explained = as_unprivileged(|| mounts.explain(path));
        assert_eq!(explained.absent, Some(Absent::Hidden), "{path}");
    }
}

#[test]
fn links_to_hidden_names_get_no_fallback_page() {
    let (_scratch, root) = folder();
    fs::write(root.join("index.html"), "app").unwrap();
    let mut client = client(&root, Options { spa: true, ..Options::default() });
    assert_eq!(client.get("/users").text(), "app");
    assert_eq!(client.get("/.env").status, 404);
    assert_eq!(client.get("/env").status, 404);
}

#[test]
fn precompressed_links_to_hidden_names_are_ignored() {
    let scratch = Scratch::new();
    let root = scratch.path();
    let page = text(5000);
    fs::write(root.join("shown.html"), &page).unwrap();
    fs::write(root.join("page.html"), &page).unwrap();
    fs::write(root.join("compressed"), compressed(Coding::Gzip, &page)).unwrap();
    fs::write(root.join(".compressed"), compressed(Coding::Gzip, &page)).unwrap();
    symlink("compressed", root.join("shown.html.gz")).unwrap();
    symlink(".compressed", root.join("page.html.gz")).unwrap();
    let codings = crate::Codings { on_demand: Vec::new(), ..crate::Codings::default() };
    let mut client = client(root, Options { codings, ..Options::default() });
    let got = client.request("GET", "/shown.html", GZIP);
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
    let got = client.request("GET", "/page.html", GZIP);
    assert_eq!((got.field("Content-Encoding"), got.text()), (None, &*page));
}

/// Links are read and checked before their targets are opened, and may be replaced meanwhile.
#[test]
fn a_link_swapped_in_a_loop_never_exposes_hidden_names() {
    const ATTEMPTS: usize = 3000;
    let (_scratch, root) = folder();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/file"), "shown").unwrap();
    fs::write(root.join(".git/file"), SECRET).unwrap();
    symlink("real", root.join("link")).unwrap();
    symlink(".git", root.join("to-hidden")).unwrap();
    let disk = Disk::open(&root).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // `real` is in turn a folder and a link to a hidden folder.
            while !done.load(Ordering::Relaxed) {
                fs::rename(root.join("real"), root.join("away")).unwrap();
                fs::rename(root.join("to-hidden"), root.join("real")).unwrap();
                fs::rename(root.join("real"), root.join("to-hidden")).unwrap();
                fs::rename(root.join("away"), root.join("real")).unwrap();
            }
        });
        let _stop = Stop(&done);
        for _ in 0..ATTEMPTS {
            match disk.open(b"link/file") {
                Ok(crate::Opened::File(file, identity)) => {
                    let mut content = vec![0; identity.size as usize];
                    file.read_at(0, &mut content).unwrap();
                    assert_eq!(content, b"shown");
                }
                Ok(crate::Opened::Folder) => panic!("a folder"),
                Err(Absent::Hidden | Absent::Missing | Absent::BrokenLink | Absent::Changing) => {}
                Err(absent) => panic!("{absent:?}"),
            }
        }
    });
}

#[test]
fn absolute_links_through_the_root_are_followed_while_it_is_switched() {
    const REQUESTS: usize = 2000;
    let scratch = Scratch::new();
    let [root, next] = ["root", "next"].map(|name| scratch.path().join(name));
    for name in ["old", "new"] {
        let site = scratch.path().join(name);
        fs::create_dir(&site).unwrap();
        fs::write(site.join("file"), name).unwrap();
        symlink(root.join("file"), site.join("link")).unwrap();
        // So that listing them takes as long as a switch.
        for at in 0..100 {
            symlink(root.join("file"), site.join(at.to_string())).unwrap();
        }
    }
    symlink("old", &root).unwrap();
    let options = Options { listing: true, ..Options::default() };
    let mut client = Client::new(
        &Folder::new(Disk::open(&root).unwrap()).with_options(options).site(CacheLimits::default()),
    );
    // How many switches are asked for, and done.
    let (asked, switched) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for (at, site) in ["new", "old"].iter().cycle().take(REQUESTS).enumerate() {
                while asked.load(Ordering::Acquire) <= at {
                    thread::yield_now();
                }
                symlink(site, &next).unwrap();
                fs::rename(&next, &root).unwrap();
                switched.store(at + 1, Ordering::Release);
            }
        });
        let _stop = AskForAll(&asked);
        // Once per request, at any time in it.
        for at in 0..REQUESTS {
            asked.store(at + 1, Ordering::Release);
            let path = ["/link", "/?format=json"][at % 2];
            let got = client.get(path);
            assert_eq!(got.status, 200, "{got:?}");
            let expected: &[&str] =
                if at % 2 == 0 { &["old", "new"] } else { &["\"complete\":true"] };
            assert!(expected.iter().any(|text| got.text().contains(text)), "{got:?}");
            while switched.load(Ordering::Acquire) <= at {
                thread::yield_now();
            }
            client.pass(1000);
        }
    });
}

/// Lets the other thread end, also when an assertion fails.
struct AskForAll<'a>(&'a AtomicUsize);

impl Drop for AskForAll<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::Release);
    }
}
