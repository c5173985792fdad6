//! Absolute symbolic links, and links that lead out of the folder: back in, or into another folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode};

use super::attacks::Stop;
use super::scratch::{Scratch, as_unprivileged};
use crate::{Absent, Disk, Folder, Mounts, OpenError, Opened, Store};

pub(super) const SECRET: &[u8] = b"not one byte of this";

/// What opening a name comes to: the content of a file, or `folder`.
pub(super) type Seen = Result<Vec<u8>, Absent>;

pub(super) fn open(disk: &Disk, name: &str) -> Seen {
    match disk.open(name.as_bytes())? {
        Opened::Folder => Ok(b"folder".to_vec()),
        Opened::File(file, identity) => {
            let mut content = vec![0; identity.size as usize];
            file.read_at(0, &mut content).unwrap();
            Ok(content)
        }
    }
}

pub(super) fn text(text: &str) -> Seen {
    Ok(text.as_bytes().to_vec())
}

/// The names in a listing.
fn list(disk: &Disk, name: &str) -> Vec<String> {
    let mut names = Vec::new();
    let listed = disk.list(name.as_bytes(), &mut |child| {
        names.push(String::from_utf8_lossy(child.name).into_owned());
        std::ops::ControlFlow::Continue(())
    });
    listed.unwrap();
    names.sort();
    names
}

/// `site` with files, and `site2`, `other` and `secret` beside it.
fn folders() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let top = scratch.path();
    for folder in ["site/real/deep", "site/.git", "site/.well-known", "site2", "other/sub/.deep"] {
        fs::create_dir_all(top.join(folder)).unwrap();
    }
    for name in ["site/real/file", "site/top", "site/.well-known/file", "site/real/deep/file"] {
        fs::write(top.join(name), "inside").unwrap();
    }
    for name in ["other/file", "other/sub/file"] {
        fs::write(top.join(name), "other").unwrap();
    }
    let secrets = [
        "secret",
        "site2/file",
        "site/.git/config",
        "site/.env",
        "other/.env",
        "other/sub/.deep/a",
    ];
    for name in secrets {
        fs::write(top.join(name), SECRET).unwrap();
    }
    let site = top.join("site");
    (scratch, site)
}

pub(super) fn link(target: impl AsRef<Path>, name: &Path) {
    symlink(target, name).unwrap();
}

#[test]
fn links_that_lead_back_into_the_folder_are_followed() {
    let (scratch, site) = folders();
    let top = scratch.path();
    let at = |name: &str| site.join(name);
    link(at("real/file"), &at("absolute"));
    link(at("real"), &at("absolute-folder"));
    link(&site, &at("absolute-root"));
    link("../site/real/file", &at("out-and-in"));
    link("../../site/../site/./real", &at("real/out-and-in"));
    link(at("absolute"), &at("chain"));
    link("chain", &at("longer-chain"));
    link(at(".well-known/file"), &at("well-known"));
    link(at(".git/../top"), &at("through-hidden"));
    // The host reads a link outside, too.
    link(&site, &top.join("alias"));
    link("alias", &top.join("alias2"));
    link(top.join("alias2/real/file"), &at("by-alias"));
    link("other/../alias2/real", &top.join("alias3"));
    link(top.join("alias3/file"), &at("links-of-the-host"));
    // The folders above the root are no secret.
    let above = format!("../../{}", site.strip_prefix(top.parent().unwrap()).unwrap().display());
    link(Path::new("..").join(&above).join("top"), &at("real/far-above"));
    link("../alias/real", &at("by-alias-folder"));
    link(at("real/../../site/top"), &at("dots"));
    let disk = Disk::open(&site).unwrap();
    for (name, seen) in [
        ("absolute", text("inside")),
        ("absolute-folder", text("folder")),
        ("absolute-folder/file", text("inside")),
        ("absolute-folder/deep/file", text("inside")),
        ("absolute-folder/out-and-in/file", text("inside")),
        ("absolute-folder/missing", Err(Absent::Missing)),
        ("absolute-root", text("folder")),
        ("absolute-root/absolute-root/top", text("inside")),
        ("out-and-in", text("inside")),
        ("real/out-and-in/out-and-in/file", text("inside")),
        ("links-of-the-host", text("inside")),
        ("absolute-folder/far-above", text("inside")),
        ("longer-chain", text("inside")),
        ("well-known", text("inside")),
        ("through-hidden", text("inside")),
        ("by-alias", text("inside")),
        ("by-alias-folder/file", text("inside")),
        ("dots", text("inside")),
    ] {
        assert_eq!(open(&disk, name), seen, "{name}");
    }
    let names = list(&disk, "");
    for name in ["absolute", "absolute-folder", "absolute-root", "out-and-in", "by-alias", "dots"] {
        assert!(names.iter().any(|listed| listed == name), "{name} is not in {names:?}");
    }
    assert_eq!(list(&disk, "absolute-folder"), ["deep", "far-above", "file", "out-and-in"]);
}

#[test]
fn links_that_lead_elsewhere_say_why_they_are_not_followed() {
    let (scratch, site) = folders();
    let (top, at) = (scratch.path(), |name: &str| site.join(name));
    let pipe = |path: &Path| rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    pipe(&at("pipe"));
    let links: [(&str, PathBuf, Absent); _] = [
        ("prefix", top.join("site2/file"), Absent::Outside),
        ("prefix-folder", top.join("site2"), Absent::Outside),
        ("secret", top.join("secret"), Absent::Outside),
        ("missing-outside", top.join("none"), Absent::Outside),
        ("missing-folder-outside", top.join("none/../site/top"), Absent::Outside),
        ("file-outside-as-folder", top.join("secret/x"), Absent::Outside),
        ("above", top.to_owned(), Absent::Outside),
        ("slash", "/".into(), Absent::Outside),
        ("slashes", "///".into(), Absent::Outside),
        ("passwd", "/etc/passwd".into(), Absent::Outside),
        ("up", "../../../../../../../../../../etc/passwd".into(), Absent::Outside),
        ("magic", "/proc/self/root/etc/passwd".into(), Absent::Outside),
        ("dots", at("../site2/file"), Absent::Outside),
        ("circle-outside", top.join("circle"), Absent::Outside),
        ("hidden", at(".env"), Absent::Hidden),
        ("hidden-folder", at(".git/config"), Absent::Hidden),
        ("hidden-missing", at(".none"), Absent::Hidden),
        ("hidden-relative", "../site/.env".into(), Absent::Hidden),
        ("hidden-beneath", at(".env/x"), Absent::Hidden),
        ("broken", at("none"), Absent::BrokenLink),
        ("broken-relative", "../site/none".into(), Absent::BrokenLink),
        ("broken-folder", at("none/../top"), Absent::BrokenLink),
        ("file-as-folder", at("top/"), Absent::BrokenLink),
        ("circle", at("circle"), Absent::LinkLoop),
        ("circle1", at("circle2"), Absent::LinkLoop),
        ("circle2", "../site/circle1".into(), Absent::LinkLoop),
        ("to-pipe", at("pipe"), Absent::NotRegular(crate::Special::Pipe)),
    ];
    links.iter().for_each(|(name, target, _)| link(target, &at(name)));
    link("circle", &top.join("circle"));
    let disk = Disk::open(&site).unwrap();
    for (name, _, expected) in links {
        assert_eq!(open(&disk, name), Err(expected), "{name}");
        assert!(!list(&disk, "").contains(&name.to_owned()), "{name} is listed");
    }
}

/// Forty links in all, relative and absolute, inside and outside.
#[test]
fn at_most_forty_links_are_followed() {
    let (scratch, site) = folders();
    link(&site, &scratch.path().join("alias"));
    let mut target = PathBuf::from("top");
    for number in 0..41 {
        let name = format!("link{number}");
        link(&target, &site.join(&name));
        target = match number % 2 {
            0 => site.join(name),
            _ => name.into(),
        };
    }
    // Two more links: this one and the alias.
    for number in [37, 38] {
        let target = format!("../alias/link{number}");
        link(target, &site.join(format!("alias{number}")));
    }
    let disk = Disk::open(&site).unwrap();
    assert_eq!(open(&disk, "link39"), text("inside"));
    assert_eq!(open(&disk, "link40"), Err(Absent::LinkLoop));
    assert_eq!(open(&disk, "alias37"), text("inside"));
    assert_eq!(open(&disk, "alias38"), Err(Absent::LinkLoop));
}

/// What is outside is not disclosed by a status either: a closed folder is as good as none.
#[test]
fn closed_folders_outside_are_not_disclosed() {
    let (scratch, site) = folders();
    let top = scratch.path();
    link(top.join("other/file"), &site.join("closed"));
    link(top.join("other/none"), &site.join("missing"));
    link("../other/file", &site.join("relative"));
    fs::set_permissions(top.join("other"), fs::Permissions::from_mode(0o000)).unwrap();
    let disk = Disk::open(&site).unwrap();
    for name in ["closed", "missing", "relative"] {
        assert_eq!(as_unprivileged(|| open(&disk, name)), Err(Absent::Outside), "{name}");
    }
    fs::set_permissions(top.join("other"), fs::Permissions::from_mode(0o700)).unwrap();
}

/// Nor does a link that leads back in tell which folders there are outside.
#[test]
fn links_that_pass_by_a_folder_outside_are_not_followed() {
    let (scratch, site) = folders();
    let top = scratch.path();
    link(&site, &top.join("alias"));
    for (name, target) in [
        ("folder", "../other/../site/top".into()),
        ("missing", "../none/../site/top".into()),
        ("absolute", top.join("other/../site/top")),
        ("after-the-root", site.join("../other/../site/top")),
        ("after-a-link", top.join("alias/../other/../site/top")),
        ("to-folder", "../other".into()),
        ("beyond-folder", "to-folder/../site/top".into()),
        ("to-none", "../none".into()),
        ("beyond-none", "to-none/../site/top".into()),
    ] {
        link(target, &site.join(name));
        assert_eq!(open(&Disk::open(&site).unwrap(), name), Err(Absent::Outside), "{name}");
    }
}

/// The root's present path counts, not the one that the command line named.
#[test]
fn a_switched_root_is_recognised() {
    let (scratch, _) = folders();
    let [old, new, root] = ["old", "new", "root"].map(|name| scratch.path().join(name));
    for (folder, content) in [(&old, "old"), (&new, "new")] {
        fs::create_dir_all(folder.join("real")).unwrap();
        fs::write(folder.join("real/file"), content).unwrap();
        link(old.join("real/file"), &folder.join("to-old"));
        link(new.join("real/file"), &folder.join("to-new"));
        link(root.join("real/file"), &folder.join("to-root"));
    }
    link(&old, &root);
    let disk = Disk::open(&root).unwrap();
    let seen = || ["to-old", "to-new", "to-root"].map(|name| open(&disk, name));
    assert_eq!(seen(), [text("old"), Err(Absent::Outside), text("old")]);
    fs::remove_file(&root).unwrap();
    link(&new, &root);
    assert_eq!(seen(), [Err(Absent::Outside), text("new"), text("new")]);
}

#[test]
fn links_into_a_named_folder_are_followed() {
    let (scratch, site) = folders();
    let (top, at) = (scratch.path(), |name: &str| site.join(name));
    let other = |name: &str| top.join("other").join(name);
    fs::create_dir(at(".store")).unwrap();
    fs::write(at(".store/file"), "stored").unwrap();
    link("file", &other("to-file"));
    link("../site/top", &other("to-site"));
    link("../secret", &other("out"));
    link("../site/.env", &other("to-hidden"));
    for (name, target, with, without) in [
        ("other", top.join("other"), text("folder"), Absent::Outside),
        ("file", other("file"), text("other"), Absent::Outside),
        ("relative", "../other/sub/file".into(), text("other"), Absent::Outside),
        ("link", other("to-file"), text("other"), Absent::Outside),
        ("hidden", other(".env"), Err(Absent::Hidden), Absent::Outside),
        ("deep", other("sub/.deep/a"), Err(Absent::Hidden), Absent::Outside),
        ("broken", other("none"), Err(Absent::BrokenLink), Absent::Outside),
        ("out", other("out"), Err(Absent::Outside), Absent::Outside),
        ("out-again", other("../secret"), Err(Absent::Outside), Absent::Outside),
        ("to-hidden", other("to-hidden"), Err(Absent::Hidden), Absent::Hidden),
        ("elsewhere", top.join("site2/file"), Err(Absent::Outside), Absent::Outside),
        // A hidden folder of the site that is named itself, as for git-annex.
        ("stored", ".store/file".into(), text("stored"), Absent::Hidden),
        ("beside", ".store/../.env".into(), Err(Absent::Hidden), Absent::Hidden),
    ] {
        link(target, &at(name));
        let disk = Disk::open(&site).unwrap();
        assert_eq!(open(&disk, name), Err(without), "{name}");
        assert!(!list(&disk, "").contains(&name.to_owned()), "{name} is listed");
        let disk = disk.links_into(top.join("other")).unwrap().links_into(at(".store")).unwrap();
        assert_eq!(open(&disk, name), with, "{name}");
        assert_eq!(list(&disk, "").contains(&name.to_owned()), with.is_ok(), "{name}");
    }
    link(at("real/file"), &at("absolute"));
    let disk = Disk::open(&site).unwrap().links_into(top.join("other")).unwrap();
    for (name, seen) in [
        ("absolute", text("inside")),
        ("other/file", text("other")),
        ("other/sub", text("folder")),
        ("other/to-file", text("other")),
        ("other/to-site", text("inside")),
        ("other/out", Err(Absent::Outside)),
        ("other/none", Err(Absent::Missing)),
    ] {
        assert_eq!(open(&disk, name), seen, "{name}");
    }
    assert_eq!(list(&disk, "other"), ["file", "sub", "to-file", "to-site"]);
    // A folder that is not there now is no folder that links lead into, and no error.
    fs::rename(top.join("other"), top.join("away")).unwrap();
    assert_eq!(open(&disk, "file"), Err(Absent::Outside));
    assert_eq!(open(&disk, "absolute"), text("inside"));
}

/// A named folder that contains the served one, or is in it.
#[test]
fn the_innermost_folder_decides_what_is_hidden() {
    let (scratch, _) = folders();
    let top = scratch.path();
    let site = top.join(".site");
    fs::create_dir_all(site.join("sub/pub")).unwrap();
    for name in ["file", "sub/pub/file", "sub/.private"] {
        fs::write(site.join(name), "inside").unwrap();
    }
    fs::write(top.join("above"), "above").unwrap();
    link(site.join("file"), &site.join("absolute"));
    link(site.join("sub/pub/../pub/file"), &site.join("public"));
    link("sub/pub/../.private", &site.join("private"));
    link("sub/pub/../../file", &site.join("back"));
    link("../above", &site.join("out"));
    let disk = Disk::open(&site).unwrap();
    let disk = disk.links_into(top).unwrap().links_into(site.join("sub/pub")).unwrap();
    for (name, seen) in [
        ("absolute", text("inside")),
        ("public", text("inside")),
        ("private", Err(Absent::Hidden)),
        ("back", text("inside")),
        ("out", text("above")),
    ] {
        assert_eq!(open(&disk, name), seen, "{name}");
    }
}

#[test]
fn links_into_what_is_no_folder_are_refused_at_the_start() {
    let (_scratch, site) = folders();
    let into = |name: &str| Disk::open(&site).unwrap().links_into(site.join(name)).unwrap_err();
    assert!(matches!(into("top"), OpenError::NotAFolder(_)));
    assert!(into("top").to_string().ends_with("site/top: not a folder"), "{}", into("top"));
    assert!(matches!(into("none"), OpenError::NotFound(_)));
}

/// Links are followed before their targets are opened, and everything may be replaced meanwhile.
#[test]
fn swapped_names_never_expose_what_is_outside_or_hidden() {
    const ATTEMPTS: usize = 3000;
    let (scratch, site) = folders();
    let top = scratch.path();
    link(site.join("real/file"), &site.join("absolute"));
    link("../site/real/file", &site.join("relative"));
    link(top.join("other/sub/file"), &site.join("linked"));
    fs::create_dir_all(top.join("outside")).unwrap();
    for folder in ["outside", "site/.git", "other/sub/.deep"] {
        fs::write(top.join(folder).join("file"), SECRET).unwrap();
    }
    // What the folders are replaced with, in turn.
    link(top.join("outside"), &top.join("to-outside"));
    link(site.join(".git"), &top.join("to-hidden"));
    link(".deep", &top.join("to-deep"));
    let disk = Disk::open(&site).unwrap().links_into(top.join("other")).unwrap();
    let done = AtomicBool::new(false);
    let swap = |folder: PathBuf, with: &[&str]| {
        while !done.load(Ordering::Relaxed) {
            for other in with {
                let away = folder.with_extension("away");
                fs::rename(&folder, &away).unwrap();
                fs::rename(top.join(other), &folder).unwrap();
                fs::rename(&folder, top.join(other)).unwrap();
                fs::rename(&away, &folder).unwrap();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| swap(site.join("real"), &["to-outside", "to-hidden"]));
        scope.spawn(|| swap(top.join("other/sub"), &["to-deep"]));
        let _stop = Stop(&done);
        for _ in 0..ATTEMPTS {
            for (name, content) in
                [("absolute", "inside"), ("relative", "inside"), ("linked", "other")]
            {
                match open(&disk, name) {
                    Ok(seen) => assert_eq!(seen, content.as_bytes(), "{name}"),
                    Err(
                        Absent::Hidden
                        | Absent::Outside
                        | Absent::Missing
                        | Absent::BrokenLink
                        | Absent::Changing,
                    ) => {}
                    Err(absent) => panic!("{name}: {absent:?}"),
                }
            }
        }
    });
}

/// The folder itself is moved while links are followed.
#[test]
fn a_root_that_is_swapped_never_exposes_what_is_outside() {
    const ATTEMPTS: usize = 3000;
    let (scratch, site) = folders();
    let top = scratch.path();
    link(site.join("real/file"), &site.join("absolute"));
    fs::create_dir_all(top.join("evil/real")).unwrap();
    fs::write(top.join("evil/real/file"), SECRET).unwrap();
    let root = top.join("root");
    link(&site, &root);
    let disk = Disk::open(&root).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::rename(&site, top.join("away")).unwrap();
                fs::rename(top.join("evil"), &site).unwrap();
                fs::rename(&site, top.join("evil")).unwrap();
                fs::rename(top.join("away"), &site).unwrap();
            }
        });
        let _stop = Stop(&done);
        for _ in 0..ATTEMPTS {
            // The other folder has no such link, but is the root for a while.
            match open(&disk, "absolute") {
                Ok(seen) => assert_eq!(seen, b"inside"),
                Err(Absent::Missing | Absent::Outside | Absent::BrokenLink | Absent::Changing) => {}
                Err(absent) => panic!("{absent:?}"),
            }
        }
    });
}

#[test]
fn explain_shows_links_and_their_targets() {
    let (scratch, site) = folders();
    let (top, at) = (scratch.path(), |name: &str| site.join(name));
    link(at("real"), &at("absolute"));
    link("absolute/file", &at("chain"));
    link(top.join("other/file"), &at("linked"));
    link("../secret", &at("out"));
    link("about", &at("about.html"));
    link("circle", &at("circle"));
    let disk = Disk::open(&site).unwrap().links_into(top.join("other")).unwrap();
    let mounts = Mounts::from(Folder::new(disk));
    let circle = mounts.explain("/circle").to_string();
    assert_eq!(circle.matches("link: circle -> circle").count(), 1, "{circle}");
    for (target, first, lines) in [
        (
            "/chain",
            "200 OK: the path names the file",
            &[
                "file: chain",
                "link: chain -> absolute/file",
                &format!("link: absolute -> {}", at("real").display()),
                "target: real/file",
            ][..],
        ),
        (
            "/linked",
            "200 OK: the path names the file",
            &["file: linked", &format!("target: {}", top.join("other/file").display())],
        ),
        (
            "/absolute",
            "301 Moved Permanently: a folder's path ends with a slash",
            &[&format!("link: absolute -> {}", at("real").display()), "target: real"],
        ),
        (
            "/out",
            "404 Not Found: no file is served at this path",
            &["reason: a symbolic link leads out of the folder", "link: out -> ../secret"],
        ),
        (
            "/about",
            "404 Not Found: no file is served at this path",
            &[
                "reason: a symbolic link leads to a name that does not exist",
                "name: about.html",
                "link: about.html -> about",
            ],
        ),
    ] {
        let explained = mounts.explain(target).to_string();
        assert!(explained.starts_with(first), "{explained}");
        for line in lines {
            assert!(explained.lines().any(|text| text.trim() == *line), "{line}: {explained}");
        }
    }
}
