//! Attempts to read files outside a folder on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::scratch::{Scratch, as_unprivileged};
use super::{Client, site};
use crate::{Disk, Folder, OpenError};

const SECRET: &str = "not one byte of this";

/// A folder with a secret file beside it.
fn folder() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(scratch.path().join("secret"), SECRET).unwrap();
    fs::write(root.join("index.html"), "home").unwrap();
    fs::write(root.join("sub/file"), "inside").unwrap();
    fs::write(root.join(".hidden"), SECRET).unwrap();
    (scratch, root)
}

fn client(root: &Path) -> Client {
    Client::new(&site(Disk::open(root).unwrap()))
}

#[test]
fn no_path_leaves_the_folder() {
    let (_scratch, root) = folder();
    symlink("../secret", root.join("link")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    let mut client = client(&root);
    for path in [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/.%2e/secret",
        "/%2e%2e%2fsecret",
        "/..%2fsecret",
        "/..%5csecret",
        "/..%00/secret",
        "/%252e%252e/secret",
        "/%25252e%25252e%25252fsecret",
        "/%c0%ae%c0%ae/secret",
        "/%c0%ae%c0%ae%c0%afsecret",
        "/%e0%80%ae%e0%80%ae/secret",
        "/%u002e%u002e/secret",
        "/..;/secret",
        "/...//secret",
        "/sub/file/../../../secret",
        "/sub%2f..%2f..%2fsecret",
        "//etc/passwd",
        "/.hidden",
        "/%2ehidden",
        "/sub/../.hidden",
        "/link",
        "/up/secret",
        "/up/root/.hidden",
        "/slash/etc/passwd",
        "/magic/etc/passwd",
        "/link/",
        "/up/",
        "/up",
        "http://localhost/../secret",
    ] {
        let got = client.get(path);
        assert!(matches!(got.status, 400 | 404), "{path}: {}", got.status);
        assert!(!got.text().contains(SECRET) && !got.text().contains("root:"), "{path}");
    }
    // Other files are served.
    assert_eq!(client.get("/").text(), "home");
    assert_eq!(client.get("/sub/file").text(), "inside");
}

proptest! {
    #[test]
    fn no_mixture_of_dots_slashes_and_escapes_leaves_the_folder(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("/"), Just(".."), Just("."), Just("%2e"), Just("%2f"), Just("%5c"),
                Just("sub"), Just("up"), Just("secret"), Just("%00"), Just("%25"), Just("%c0%af"),
            ],
            1..10,
        ),
    ) {
        let (_scratch, root) = folder();
        symlink("..", root.join("up")).unwrap();
        let got = client(&root).get(&format!("/{}", parts.concat()));
        prop_assert!(!got.text().contains(SECRET));
    }
}

#[test]
fn a_link_swapped_in_a_loop_never_exposes_files_outside() {
    const REQUESTS: u64 = 3000;
    let (scratch, root) = folder();
    fs::create_dir(scratch.path().join("outside")).unwrap();
    fs::write(scratch.path().join("outside/file"), SECRET).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // The name is a folder, a link out of the root, and missing, in turn.
            while !done.load(Ordering::Relaxed) {
                fs::rename(root.join("sub"), root.join("away")).unwrap();
                symlink("../outside", root.join("sub")).unwrap();
                fs::remove_file(root.join("sub")).unwrap();
                fs::rename(root.join("away"), root.join("sub")).unwrap();
            }
        });
        let _stop = Stop(&done);
        let mut client = client(&root);
        for _ in 0..REQUESTS {
            let got = client.get("/sub/file");
            match got.status {
                200 => assert_eq!(got.text(), "inside"),
                // 503: the kernel couldn't tell whether the name leaves the root, in any attempt.
                status => assert!(matches!(status, 404 | 503), "{got:?}"),
            }
            client.pass(1000);
        }
    });
}

/// Stops the other thread, also when an assertion fails.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn special_and_unreadable_files_are_refused_without_blocking() {
    let (_scratch, root) = folder();
    let (pipe, socket) = (root.join("pipe"), root.join("socket"));
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    symlink("/dev/zero", root.join("zero")).unwrap();
    let mut client = client(&root);
    for path in ["/pipe", "/socket", "/zero"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    fs::set_permissions(root.join("sub/file"), fs::Permissions::from_mode(0o000)).unwrap();
    let status = as_unprivileged(|| self::client(&root).get("/sub/file").status);
    assert_eq!(status, 403);
}

#[test]
fn a_root_that_is_swapped_is_seen_a_second_later() {
    let (scratch, root) = folder();
    let next = scratch.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("index.html"), "the new home").unwrap();
    let current = scratch.path().join("current");
    symlink(&root, &current).unwrap();
    let mut client = client(&current);
    assert_eq!(client.get("/").text(), "home");
    symlink(&next, scratch.path().join("swap")).unwrap();
    fs::rename(scratch.path().join("swap"), &current).unwrap();
    assert_eq!(client.get("/").text(), "home");
    client.pass(1000);
    assert_eq!(client.get("/").text(), "the new home");
    assert_eq!(client.get("/sub/file").status, 404);
}

#[test]
fn links_within_the_folder_are_followed() {
    let (_scratch, root) = folder();
    symlink("sub/file", root.join("short")).unwrap();
    symlink("sub", root.join("other")).unwrap();
    symlink("../index.html", root.join("sub/index.html")).unwrap();
    let mut client = client(&root);
    assert_eq!(client.get("/short").text(), "inside");
    assert_eq!(client.get("/other/file").text(), "inside");
    assert_eq!(client.get("/sub/").text(), "home");
}

#[test]
fn a_single_file_is_served_at_the_root_and_under_its_name() {
    let (_scratch, root) = folder();
    let file = root.join("index.html");
    let folder = Folder::open(&file).unwrap();
    assert!(folder.is_file() && folder.has_index());
    let mut client = client(&file);
    for path in ["/", "/index.html"] {
        let got = client.get(path);
        assert_eq!((got.status, got.text()), (200, "home"));
        assert_eq!(got.field("Content-Type"), Some("text/html; charset=utf-8"));
    }
    for path in ["/sub/file", "/index.html/", "/index.html/x", "/sub", "/.hidden"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    fs::write(&file, "a new home").unwrap();
    client.pass(1000);
    assert_eq!(client.get("/").text(), "a new home");
}

#[test]
fn overwriting_a_large_file_aborts_its_response() {
    let (_scratch, root) = folder();
    let content = "0123456789".repeat(50_000);
    fs::write(root.join("large"), &content).unwrap();
    let mut client = client(&root);
    assert_eq!(client.get("/large").text(), content);
    client.pass(1000);
    client.ask("GET", "/large", "");
    client.run_all();
    fs::write(root.join("large"), "1234567890").unwrap();
    assert!(client.response().unwrap().body.is_empty());
}

#[test]
fn folders_that_can_not_be_opened_say_why() {
    let (scratch, root) = folder();
    let open = |path: &Path| Folder::open(path).unwrap_err();
    let missing = root.join("none");
    assert!(matches!(open(&missing), OpenError::NotFound(_)));
    assert!(matches!(open(&root.join("index.html/x")), OpenError::NotFound(_)));
    let text = open(&missing).to_string();
    assert_eq!(text, format!("{}: no such file or folder", missing.display()));
    let socket = scratch.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(matches!(open(&socket), OpenError::NotServable(_)));
    fs::set_permissions(root.join("sub"), fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may pass.
    let denied = fs::read(root.join("sub/file")).is_err();
    assert_eq!(matches!(Folder::open(root.join("sub")), Err(OpenError::Denied(_))), denied);
    fs::set_permissions(root.join("sub"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!Folder::open(root.join("sub")).unwrap().has_index());
    assert!(Folder::open(&root).unwrap().has_index());
}
