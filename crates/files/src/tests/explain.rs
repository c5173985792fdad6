//! Why a URL is answered as it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode};

use super::scratch::{Scratch, as_unprivileged};
use crate::{Folder, Mounts, Options, Rule};

/// The rest of the line that starts with this.
fn line(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(name)).map(str::to_owned)
}

#[test]
fn every_rule_is_explained() {
    let scratch = Scratch::new();
    let root = scratch.path().join("site");
    fs::create_dir_all(root.join("docs")).unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    for name in ["index.html", "about.html", "404.html", "docs/index.html", "a b\u{7f}.txt"] {
        fs::write(root.join(name), "x").unwrap();
    }
    symlink("/etc/passwd", root.join("out")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let mounts = Mounts::from(Folder::open(&root).unwrap());
    for (target, status, rule, file, why) in [
        ("/", 200, Rule::Index, Some("index.html"), None),
        ("/about.html", 200, Rule::File, Some("about.html"), None),
        ("/about?x=1", 200, Rule::CleanUrl, Some("about.html"), None),
        ("/a%20b%7f.txt", 200, Rule::File, Some("a b\\u{7f}.txt"), None),
        ("/docs", 301, Rule::AddSlash, None, None),
        ("/about/", 301, Rule::DropSlash, None, None),
        ("/none", 404, Rule::ErrorPage, Some("404.html"), Some("there is no such file")),
        (
            "/dangling",
            404,
            Rule::ErrorPage,
            Some("404.html"),
            Some("a symbolic link leads to a name that does not exist"),
        ),
        (
            "/empty/",
            404,
            Rule::ErrorPage,
            Some("404.html"),
            Some("the folder has no index.html, and listing is off"),
        ),
        (
            "/404.html/",
            404,
            Rule::ErrorPage,
            Some("404.html"),
            Some("the path ends with a slash but leads to a file"),
        ),
        (
            "/.git/config",
            404,
            Rule::ErrorPage,
            Some("404.html"),
            Some("names that begin with a dot are hidden"),
        ),
        (
            "/out",
            404,
            Rule::ErrorPage,
            Some("404.html"),
            Some("a symbolic link leads out of the folder"),
        ),
        (
            "/loop",
            404,
            Rule::ErrorPage,
            Some("404.html"),
            Some("symbolic links lead in circles, or are more than 40"),
        ),
        ("/pipe", 404, Rule::ErrorPage, Some("404.html"), Some("it is a pipe, not a file")),
        ("/socket", 404, Rule::ErrorPage, Some("404.html"), Some("it is a socket, not a file")),
        (
            "/%zz",
            400,
            Rule::Error,
            None,
            Some("a percent sign in the path is not followed by two hex digits"),
        ),
    ] {
        let explained = mounts.explain(target);
        let text = explained.to_string();
        assert_eq!((explained.status.code(), explained.rule), (status, rule), "{text}");
        assert_eq!(line(&text, "file: ").as_deref(), file, "{text}");
        assert_eq!(line(&text, "reason: ").as_deref(), why, "{text}");
        assert!(text.starts_with(&format!("{}: {}\n", explained.status, rule)), "{text}");
        assert_eq!(line(&text, "folder: "), Some(format!("/ is {}", root.display())), "{text}");
    }
    let redirect = mounts.explain("/docs?a=b").to_string();
    assert_eq!(line(&redirect, "Location: ").as_deref(), Some("/docs/?a=b"));
    let file = mounts.explain("/about").to_string();
    assert_eq!(line(&file, "Content-Type: ").as_deref(), Some("text/html; charset=utf-8"));
}

#[test]
fn apps_and_single_files_are_explained() {
    let scratch = Scratch::new();
    let index = scratch.path().join("index.html");
    fs::write(&index, "x").unwrap();
    let options = Options { spa: true, ..Options::default() };
    let mounts = Mounts::new()
        .at("/app", Folder::open(scratch.path()).unwrap().with_options(options))
        .and_then(|mounts| mounts.at("/one", Folder::open(&index).unwrap()))
        .unwrap();
    for (target, rule, mount) in [
        ("/app/users/7", Rule::Fallback, Some("/app")),
        ("/app/users/7.png", Rule::Error, Some("/app")),
        ("/one", Rule::SingleFile, Some("/one")),
        ("/", Rule::Error, None),
    ] {
        let explained = mounts.explain(target);
        assert_eq!((explained.rule, explained.mount.as_deref()), (rule, mount), "{explained}");
    }
    assert!(mounts.explain("/").to_string().contains("reason: no folder is served there"));
}

#[test]
fn the_exact_permission_is_named() {
    let scratch = Scratch::new();
    let root = scratch.path().join("site");
    fs::create_dir_all(root.join("a/closed/deep")).unwrap();
    fs::write(root.join("a/closed/deep/file"), "x").unwrap();
    fs::write(root.join("a/unread"), "x").unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("a/closed", 0o600);
    mode("a/unread", 0o200);
    let mounts = Mounts::new().at("/m", Folder::open(&root).unwrap()).unwrap();
    let why = |target: &str| {
        let explained = as_unprivileged(|| mounts.explain(target));
        (explained.status.code(), line(&explained.to_string(), "permission: "))
    };
    let at = |need: &str, name: &str| {
        let name = if name.is_empty() { root.clone() } else { root.join(name) };
        (403, Some(format!("{need}: {}", name.display())))
    };
    assert_eq!(why("/m/a/unread"), at("r, to read", "a/unread"));
    assert_eq!(why("/m/a/closed/deep/file"), at("x, to pass through", "a/closed"));
    mode("a/closed", 0o700);
    assert_eq!(why("/m/a/closed/deep/file"), (200, None));
    mode("", 0o600);
    assert_eq!(why("/m/a/closed/deep/file"), at("x, to pass through", ""));
    mode("", 0o700);
}
