//! Why a URL is answered as it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode};

use super::scratch::{Scratch, as_unprivileged};
use crate::{Cors, Folder, Mounts, Options, Rule};

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
        ("//", 301, Rule::MergeSlashes, None, None),
        ("//about.html", 301, Rule::MergeSlashes, None, None),
        ("//docs", 301, Rule::MergeSlashes, None, None),
        ("//none", 404, Rule::ErrorPage, Some("404.html"), Some("the path has an empty segment")),
        ("//.git", 404, Rule::ErrorPage, Some("404.html"), Some("the path has an empty segment")),
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
    for (target, location) in [("//docs?a=b|c", "/docs/?a=b%7Cc"), ("/docs///", "/docs/")] {
        let redirect = mounts.explain(target).to_string();
        assert_eq!(line(&redirect, "Location: ").as_deref(), Some(location), "{redirect}");
    }
    let file = mounts.explain("/about").to_string();
    assert_eq!(line(&file, "Content-Type: ").as_deref(), Some("text/html; charset=utf-8"));
}

#[test]
fn redirects_of_a_folder_with_cors_have_its_headers() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("docs")).unwrap();
    fs::write(scratch.path().join("docs/index.html"), "x").unwrap();
    let options = Options { cors: Cors::origins(["*"]).unwrap(), ..Options::default() };
    let mounts = Mounts::from(Folder::open(scratch.path()).unwrap().with_options(options));
    for target in ["/docs", "//docs/"] {
        let explained = mounts.explain(target);
        let text = explained.to_string();
        assert_eq!(explained.status.code(), 301, "{text}");
        assert_eq!(line(&text, "Access-Control-Allow-Origin: ").as_deref(), Some("*"), "{text}");
    }
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

/// The file that can't be read is named, whichever path, rule or link led to it.
#[test]
fn the_unreadable_file_is_named_and_not_the_requested_path() {
    let scratch = Scratch::new();
    let root = scratch.path().join("site");
    for folder in ["docs", "listed", "closed/deep", "listed-closed"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for name in ["about.html", "docs/index.html", "closed/deep/file", "unread"] {
        fs::write(root.join(name), "x").unwrap();
    }
    symlink(root.join("unread"), root.join("absolute")).unwrap();
    symlink("closed", root.join("to-closed")).unwrap();
    symlink("to-closed/deep/file", root.join("chain")).unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["about.html", "docs/index.html", "unread"] {
        mode(name, 0o200);
    }
    mode("closed", 0o600);
    mode("listed-closed", 0o300);
    let options = Options { listing: true, ..Options::default() };
    let mounts = Mounts::from(Folder::open(&root).unwrap().with_options(options));
    for (target, name, need, denied) in [
        ("/about", Some("about.html"), "r, to read", "about.html"),
        ("/about.html", None, "r, to read", "about.html"),
        ("/docs/", Some("docs/index.html"), "r, to read", "docs/index.html"),
        ("/absolute", None, "r, to read", "unread"),
        ("/chain", None, "x, to pass through", "closed"),
        ("/to-closed/deep/file", None, "x, to pass through", "closed"),
        ("/listed-closed/", None, "r, to read", "listed-closed"),
        ("/listed-closed/?format=json", None, "r, to read", "listed-closed"),
        ("/listed-closed/?format=tar", None, "r, to read", "listed-closed"),
    ] {
        let explained = as_unprivileged(|| mounts.explain(target));
        let text = explained.to_string();
        assert_eq!(explained.status.code(), 403, "{target}: {text}");
        assert_eq!(line(&text, "name: ").as_deref(), name, "{target}: {text}");
        let permission = format!("{need}: {}", root.join(denied).display());
        assert_eq!(line(&text, "permission: "), Some(permission), "{target}: {text}");
    }
    let listed = mounts.explain("/listed/").to_string();
    assert!(listed.starts_with("200 OK: the folder has no index.html and is listed"), "{listed}");
    let missing = mounts.explain("/about/?format=json").to_string();
    assert!(missing.starts_with("404 Not Found"), "{missing}");
    mode("closed", 0o700);
    mode("listed-closed", 0o700);
}

/// Another file that can't be read either is not the reason.
#[test]
fn of_two_unreadable_files_the_one_that_decides_is_named() {
    let scratch = Scratch::new();
    let root = scratch.path();
    for folder in ["a", "b"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    for name in ["a.html", "a/index.html"] {
        fs::write(root.join(name), "x").unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o200)).unwrap();
    }
    symlink("nowhere", root.join("b.html")).unwrap();
    symlink("nowhere", root.join("b/index.html")).unwrap();
    let mounts = Mounts::from(Folder::open(root).unwrap());
    for (target, status, name) in [
        ("/a", 403, "a.html"),
        ("/a/", 403, "a/index.html"),
        // The page doesn't decide about the folder.
        ("/b/", 404, "b/index.html"),
    ] {
        let explained = as_unprivileged(|| mounts.explain(target));
        let text = explained.to_string();
        assert_eq!(explained.status.code(), status, "{target}: {text}");
        assert_eq!(line(&text, "name: ").as_deref(), Some(name), "{target}: {text}");
    }
}

#[test]
fn an_app_without_its_page_says_so() {
    const WITHOUT: &str =
        "nothing is found, and the folder has no index.html, the page of a single-page app";
    let scratch = Scratch::new();
    let root = scratch.path().join("app");
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::write(root.join("app.js"), "x").unwrap();
    symlink("/etc/passwd", root.join("out")).unwrap();
    let index = root.join("index.html");
    let options = Options { spa: true, ..Options::default() };
    let mounts = Mounts::from(Folder::open(&root).unwrap().with_options(options));
    let explain = |target: &str| as_unprivileged(|| mounts.explain(target));
    let reason = |target: &str| {
        let explained = explain(target);
        let text = explained.to_string();
        (explained.status.code(), line(&text, "reason: ").unwrap(), line(&text, "name: "))
    };
    let why = |status: u16, reason: &str, name: Option<&str>| {
        (status, reason.to_owned(), name.map(str::to_owned))
    };
    let outside = "a symbolic link leads out of the folder";
    assert_eq!(reason("/users/7"), why(404, WITHOUT, None));
    assert_eq!(reason("/folder/"), why(404, WITHOUT, None));
    assert_eq!(reason("/users/7.png"), why(404, "there is no such file", None));
    assert_eq!(reason("/.env"), why(404, "names that begin with a dot are hidden", None));
    assert_eq!(reason("/out"), why(404, outside, None));
    symlink("/etc/passwd", &index).unwrap();
    assert_eq!(reason("/users/7"), why(404, outside, Some("index.html")));
    let link = line(&explain("/users/7").to_string(), "link: ");
    assert_eq!(link.as_deref(), Some("index.html -> /etc/passwd"));
    fs::remove_file(&index).unwrap();
    fs::write(&index, "app").unwrap();
    fs::set_permissions(&index, fs::Permissions::from_mode(0o200)).unwrap();
    let unread = "this process has no permission to read it";
    assert_eq!(reason("/users/7"), why(403, unread, Some("index.html")));
    let permission = line(&explain("/users/7").to_string(), "permission: ");
    assert_eq!(permission, Some(format!("r, to read: {}", index.display())));
    fs::set_permissions(&index, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(explain("/users/7").rule, Rule::Fallback);
}

#[test]
fn the_nearest_folder_on_the_way_to_a_missing_file_is_named() {
    let scratch = Scratch::new();
    let root = scratch.path().join("site");
    fs::create_dir_all(root.join("docs/old")).unwrap();
    symlink("docs/old", root.join("latest")).unwrap();
    let mounts = Mounts::from(Folder::open(&root).unwrap());
    for (target, nearest) in [
        ("/Docs/old/a.html", Some("")),
        ("/docs/new/a/b.html", Some("docs")),
        ("/latest/a.html", Some("docs/old")),
        // The folder has a line of its own.
        ("/a.html", None),
    ] {
        let text = mounts.explain(target).to_string();
        let nearest = nearest.map(|nearest| match nearest {
            "" => root.display().to_string(),
            nearest => root.join(nearest).display().to_string(),
        });
        assert_eq!(line(&text, "nearest folder: "), nearest, "{target}: {text}");
    }
}
