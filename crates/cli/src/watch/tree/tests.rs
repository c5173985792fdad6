//! Changes in real folders. The kernel queues an event before the call that causes it returns.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A served folder in a temporary one, deleted on drop.
struct Site {
    folder: PathBuf,
    tree: Tree,
}

impl Site {
    /// `fill` gets the path of the served folder.
    fn new(name: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::of(name, fill, |root| vec![root])
    }

    fn of(name: &str, fill: impl FnOnce(&Path), roots: impl FnOnce(Root) -> Vec<Root>) -> Self {
        let folder = format!("sockeye-watch-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let path = folder.join("site");
        fs::create_dir_all(&path).unwrap();
        fill(&path);
        let root = Root { path, prefix: "/".into(), is_file: false, links_into: Vec::new() };
        let mut tree = Tree::new(roots(root)).unwrap();
        tree.look();
        Self { tree, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join("site").join(name)
    }

    fn write(&self, name: &str) {
        fs::write(self.path(name), name).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        let changed = self.tree.read().unwrap().into_iter();
        let changed: Vec<_> = changed.map(|path| String::from_utf8(path).unwrap()).collect();
        assert_eq!(changed, expected);
    }

    /// Like [`Site::expect`], in any order.
    #[track_caller]
    fn expect_all(&mut self, expected: &[&str]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        self.expect(&expected);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn dir(path: PathBuf) {
    fs::create_dir_all(path).unwrap();
}

#[test]
fn files_that_change_appear_and_go() {
    let mut site = Site::new("files", |path| {
        dir(path.join("a/b"));
        fs::write(path.join("a/b/old.css"), "").unwrap();
    });
    site.expect(&[]);
    site.write("a/b/old.css");
    site.expect(&["/a/b/old.css"]);
    site.write("index.html");
    site.write("a/b/old.css");
    site.expect(&["/a/b/old.css", "/index.html"]);
    fs::remove_file(site.path("index.html")).unwrap();
    site.expect(&["/index.html"]);
    fs::set_permissions(site.path("a/b/old.css"), fs::Permissions::from_mode(0o600)).unwrap();
    site.expect(&["/a/b/old.css"]);
    fs::read(site.path("a/b/old.css")).unwrap();
    site.expect(&[]);
}

/// As editors save: a new file replaces the old one, and what is written on the way is ignored.
#[test]
fn a_save_that_renames_is_one_change() {
    let mut site = Site::new("save", |path| fs::write(path.join("a.html"), "").unwrap());
    for (temporary, old) in [
        (".a.html.swp", None),
        ("a.html.tmp", Some("a.html~")),
        ("a.html___jb_tmp___", Some("a.html___jb_old___")),
        ("4913", None),
    ] {
        site.write(temporary);
        old.into_iter().for_each(|old| site.rename("a.html", old));
        site.rename(temporary, "a.html");
        old.into_iter().for_each(|old| fs::remove_file(site.path(old)).unwrap());
        site.expect(&["/a.html"]);
    }
    site.write("#a.html#");
    fs::create_dir(site.path(".git")).unwrap();
    site.write(".git/index");
    site.expect(&[]);
}

#[test]
fn folders_that_appear_are_watched_with_all_that_is_in_them() {
    let mut site = Site::new("folders", |_| {});
    dir(site.path("a/b/c"));
    site.write("a/b/c/x");
    site.expect(&["/a", "/a/"]);
    site.write("a/b/c/x");
    site.expect(&["/a/b/c/x"]);
    dir(site.path(".hidden/a"));
    site.rename(".hidden/a", "a/moved");
    site.expect(&["/a/moved", "/a/moved/"]);
    site.write("a/moved/y");
    site.expect(&["/a/moved/y"]);
    dir(site.path(".well-known"));
    site.expect(&["/.well-known", "/.well-known/"]);
    site.write(".well-known/x");
    site.expect(&["/.well-known/x"]);
}

#[test]
fn a_folder_that_is_renamed_has_its_new_path_and_one_that_is_gone_has_none() {
    let mut site = Site::new("renamed", |path| dir(path.join("a/b")));
    site.rename("a", "z");
    site.expect(&["/a", "/a/", "/z", "/z/"]);
    site.write("z/b/x");
    site.expect(&["/z/b/x"]);
    let watched = site.tree.count;
    site.rename("z/b", ".hidden");
    site.write(".hidden/x");
    site.expect(&["/z/b", "/z/b/"]);
    fs::remove_dir_all(site.path("z")).unwrap();
    site.expect(&["/z", "/z/"]);
    assert_eq!(site.tree.count, watched - 2);
    dir(site.path("z"));
    site.write("z/x");
    site.expect(&["/z", "/z/"]);
    site.write("z/x");
    site.expect(&["/z/x"]);
}

#[test]
fn links_are_followed_where_the_server_follows_them() {
    let mut site = Site::new("links", |path| {
        dir(path.join("real/sub"));
        dir(path.join("../outside"));
        fs::write(path.join("real/file"), "").unwrap();
        symlink("real", path.join("folder")).unwrap();
        symlink("real/file", path.join("file")).unwrap();
        symlink("../outside", path.join("out")).unwrap();
        symlink("..", path.join("real/loop")).unwrap();
        symlink("nowhere", path.join("broken")).unwrap();
    });
    site.write("real/file");
    site.expect(&["/file", "/folder/file", "/real/file"]);
    site.write("real/sub/x");
    site.expect(&["/folder/sub/x", "/real/sub/x"]);
    site.write("out/x");
    site.expect(&[]);
    // An atomic save of a link's target.
    site.write("real/file.tmp");
    site.rename("real/file.tmp", "real/file");
    site.expect(&["/file", "/folder/file", "/real/file"]);
    // A link is switched to another folder, and one is removed.
    dir(site.path("other"));
    site.expect(&["/other", "/other/"]);
    site.link("other", "new");
    site.rename("new", "folder");
    site.expect(&["/folder", "/folder/", "/new"]);
    site.write("real/sub/x");
    site.write("other/y");
    site.expect(&["/folder/y", "/other/y", "/real/sub/x"]);
    fs::remove_file(site.path("file")).unwrap();
    site.expect(&["/file", "/file/"]);
    site.write("real/file");
    site.expect(&["/real/file"]);
}

#[test]
fn links_lead_into_the_folders_that_are_named() {
    let mut site = Site::of(
        "links-into",
        |path| {
            dir(path.join("../outside"));
            symlink("../outside", path.join("out")).unwrap();
        },
        |root| vec![Root { links_into: vec![root.path.join("../outside")], ..root }],
    );
    site.write("out/x");
    site.expect(&["/out/x"]);
}

#[test]
fn the_target_of_a_link_may_go_and_come_back() {
    let mut site = Site::of(
        "targets",
        |path| {
            dir(path.join("../b/dist/sub"));
            fs::write(path.join("../b/dist/app.js"), "").unwrap();
            dir(path.join("../c"));
            dir(path.join("inner"));
            symlink("../b/dist", path.join("assets")).unwrap();
            symlink("../b/dist/app.js", path.join("app.js")).unwrap();
            symlink("inner", path.join("in")).unwrap();
            symlink("../c/later", path.join("later")).unwrap();
        },
        |root| {
            let outside = ["../b", "../c"].map(|name| root.path.join(name));
            vec![Root { links_into: outside.into(), ..root }]
        },
    );
    for is_deleted in [true, false] {
        match is_deleted {
            true => fs::remove_dir_all(site.path("../b/dist")).unwrap(),
            false => site.rename("../b/dist", "../b/old"),
        }
        fs::remove_dir_all(site.path("inner")).unwrap();
        let changed = site.tree.read().unwrap();
        for url in ["/assets/", "/app.js", "/in/"] {
            assert!(changed.contains(url.as_bytes()), "{is_deleted} {url}: {changed:?}");
        }
        dir(site.path("../b/dist/sub"));
        dir(site.path("inner"));
        site.tree.read().unwrap();
        site.write("../b/new.js");
        site.rename("../b/new.js", "../b/dist/app.js");
        site.expect(&["/app.js", "/app.js/", "/assets/app.js"]);
        site.write("../b/dist/app.js");
        site.expect(&["/app.js", "/assets/app.js"]);
        site.write("../b/dist/sub/x");
        site.write("inner/y");
        site.expect(&["/assets/sub/x", "/in/y", "/inner/y"]);
    }
    dir(site.path("../c/later"));
    site.tree.read().unwrap();
    site.write("../c/later/z");
    site.expect(&["/later/z"]);
}

#[test]
fn a_link_on_the_way_to_the_target_of_a_link_may_be_replaced() {
    let mut site = Site::new("through-links", |path| {
        for release in ["releases/1", "releases/2"] {
            dir(path.join(release));
            fs::write(path.join(release).join("index.html"), "").unwrap();
        }
        symlink("releases/1", path.join("current")).unwrap();
        symlink("current/index.html", path.join("index.html")).unwrap();
        symlink("current", path.join("stable")).unwrap();
        symlink("./releases/../stable/index.html", path.join("start.html")).unwrap();
    });
    site.write("releases/1/index.html");
    let both = ["/index.html", "/start.html"];
    let folders = ["/current/index.html", "/releases/1/index.html", "/stable/index.html"];
    site.expect_all(&[&both[..], &folders].concat());
    for (release, file) in [("2", "/releases/2/index.html"), ("1", "/releases/1/index.html")] {
        site.link(&format!("releases/{release}"), "new");
        site.rename("new", "current");
        let links = ["/current", "/current/", "/new", "/stable", "/stable/"];
        site.expect_all(&[&both[..], &links].concat());
        site.write(&file[1..]);
        let folders = ["/current/index.html", file, "/stable/index.html"];
        site.expect_all(&[&both[..], &folders].concat());
    }
    // The target is gone and comes back.
    fs::remove_file(site.path("current")).unwrap();
    let links = ["/current", "/current/", "/stable", "/stable/"];
    let gone = ["/index.html", "/index.html/", "/start.html", "/start.html/"];
    site.expect_all(&[&both[..], &links].concat());
    site.link("releases/2", "current");
    site.expect_all(&[&gone[..], &links].concat());
    site.write("releases/2/index.html");
    let folders = ["/current/index.html", "/releases/2/index.html", "/stable/index.html"];
    site.expect_all(&[&both[..], &folders].concat());
    // Links that lead to each other have no target.
    site.link("b", "a");
    site.link("a", "b");
    site.expect_all(&["/a", "/a/", "/b", "/b/"]);
}

#[test]
fn a_served_folder_that_is_replaced_is_watched_again() {
    let mut site = Site::new("replaced", |path| dir(path.join("a")));
    fs::remove_dir_all(site.path("")).unwrap();
    site.expect(&["/", "/a", "/a/"]);
    dir(site.path("b"));
    site.expect(&["/"]);
    site.write("b/x");
    site.expect(&["/b/x"]);
    // A link that is switched to the next release.
    let current = site.folder.join("current");
    symlink("site", &current).unwrap();
    let root = Root { path: current.clone(), ..site.tree.roots[0].clone() };
    site.tree = Tree::new(vec![root]).unwrap();
    site.tree.look();
    site.write("b/x");
    site.expect(&["/b/x"]);
    dir(site.folder.join("next/c"));
    symlink("next", site.folder.join("new")).unwrap();
    fs::rename(site.folder.join("new"), &current).unwrap();
    site.expect(&["/"]);
    fs::write(current.join("c/y"), "").unwrap();
    site.expect(&["/c/y"]);
    fs::write(site.folder.join("other"), "").unwrap();
    site.expect(&[]);
}

/// As a build does that deletes its output folder, in which the served one is.
#[test]
fn a_served_folder_whose_parents_are_replaced_is_watched_again() {
    let mut site = Site::of(
        "parents",
        |path| {
            dir(path.join("dist/html/a"));
            fs::write(path.join("dist/page.html"), "").unwrap();
        },
        |root| {
            let file = Root { path: root.path.join("dist/page.html"), is_file: true, ..root };
            let folder = Root { path: root.path.join("dist/html"), is_file: false, ..file.clone() };
            vec![folder, Root { prefix: "/one".into(), ..file }]
        },
    );
    for step in 0..3 {
        match step {
            0 => fs::remove_dir_all(site.path("dist")).unwrap(),
            1 => site.rename("dist", "old"),
            // All parents are gone.
            _ => fs::remove_dir_all(&site.folder).unwrap(),
        }
        site.tree.read().unwrap();
        dir(site.path("dist"));
        site.tree.read().unwrap();
        site.write("dist/page.html");
        site.expect(&["/one/page.html"]);
        dir(site.path("dist/html/b"));
        site.expect(&["/"]);
        site.write("dist/html/b/x");
        site.expect(&["/b/x"]);
    }
}

/// As a build does that renames its output folder, which is served, too.
#[test]
fn a_served_file_is_watched_again_after_a_folder_above_it_was_moved_in_another_served_folder() {
    for (name, moved) in [("moved-parent", "dist/html"), ("moved-above", "dist")] {
        let mut site = Site::of(
            name,
            |path| dir(path.join("dist/html")),
            |root| {
                let path = root.path.join("dist/html/page.html");
                let file = Root { path, prefix: "/one".into(), is_file: true, ..root.clone() };
                vec![root, file]
            },
        );
        site.write("dist/html/page.html");
        site.expect(&["/dist/html/page.html", "/one/page.html"]);
        site.rename(moved, "old");
        let changed = site.tree.read().unwrap();
        assert!(changed.contains(&b"/one/page.html"[..]), "{moved}");
        dir(site.path("dist/html"));
        site.tree.read().unwrap();
        site.write("dist/html/page.html");
        site.expect(&["/dist/html/page.html", "/one/page.html"]);
        // The old folder is watched by its new name only.
        site.write("old/x");
        site.expect(&["/old/x"]);
    }
}

#[test]
fn while_a_served_folder_is_replaced_changes_of_others_are_noticed() {
    let root = |root: &Root, name: &str| Root {
        path: root.path.join(name),
        prefix: format!("/{name}"),
        ..root.clone()
    };
    let mut site = Site::of(
        "two",
        |path| ["a", "b", "new-a", "new-b"].iter().for_each(|name| dir(path.join(name))),
        |served| vec![root(&served, "a"), root(&served, "b")],
    );
    let replace = |site: &Site, name: &str| {
        fs::remove_dir(site.path(name)).unwrap();
        site.rename(&format!("new-{name}"), name);
    };
    replace(&site, "a");
    site.write("b/x");
    site.expect(&["/a/", "/b/x"]);
    fs::remove_file(site.path("b/x")).unwrap();
    dir(site.path("new-a"));
    replace(&site, "a");
    replace(&site, "b");
    site.expect(&["/a/", "/b/", "/b/x"]);
    site.write("a/y");
    site.write("b/y");
    site.expect(&["/a/y", "/b/y"]);
}

#[test]
fn several_folders_and_files_have_their_prefixes() {
    let mut site = Site::of(
        "prefixes",
        |path| {
            dir(path.join("docs"));
            fs::write(path.join("page.html"), "").unwrap();
        },
        |root| {
            let docs =
                Root { path: root.path.join("docs"), prefix: "/manual".into(), ..root.clone() };
            let path = root.path.join("page.html");
            let file = Root { path, prefix: "/one".into(), is_file: true, ..root.clone() };
            vec![root, docs, file]
        },
    );
    site.write("docs/x");
    site.expect(&["/docs/x", "/manual/x"]);
    site.write("page.html");
    site.expect(&["/one/page.html", "/page.html"]);
    fs::remove_dir_all(site.path("docs")).unwrap();
    dir(site.path("docs"));
    site.expect(&["/docs", "/docs/", "/docs/x", "/manual/", "/manual/x"]);
    site.write("docs/y");
    site.expect(&["/docs/y", "/manual/y"]);
    // Hidden beneath both paths.
    dir(site.path("docs/.well-known"));
    site.write("docs/.well-known/x");
    site.expect(&[]);
}

#[test]
fn the_number_of_watched_folders_and_of_paths_is_limited() {
    let mut site = Site::new("limits", |path| (0..50).for_each(|n| dir(path.join(n.to_string()))));
    site.tree = Tree::with_max(site.tree.roots.clone(), 20).unwrap();
    site.tree.look();
    assert_eq!((site.tree.count, site.tree.is_full), (20, true));
    site.write("x");
    site.expect(&["/x"]);
    for n in 0..=MAX_PATHS {
        fs::write(site.path(&format!("{n}.txt")), "").unwrap();
    }
    let changed = site.tree.read().unwrap();
    assert!(changed.contains(EVERYTHING) && changed.len() <= MAX_PATHS, "{}", changed.len());
}

/// The kernel's queue is limited.
#[test]
fn after_lost_events_everything_may_have_changed_and_all_is_watched() {
    let mut site = Site::new("overflow", |_| {});
    let flags = ReadFlags::QUEUE_OVERFLOW;
    dir(site.path("a"));
    // As if the event of the new folder were lost.
    site.tree.read_events().unwrap();
    let mut changed = BTreeSet::new();
    site.tree.on_event(&Event { watch: -1, flags, name: None }, &mut changed);
    assert_eq!(changed, BTreeSet::from([EVERYTHING.to_vec()]));
    site.write("a/x");
    site.expect(&["/a/x"]);
}
