//! Relative links out of the folder, into a named folder that contains it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::attacks::Stop;
use super::links_elsewhere::{SECRET, link, open, text};
use super::scratch::Scratch;
use crate::{Absent, Disk};

/// A named folder that contains the served one, with a folder between them.
#[test]
fn a_relative_link_into_a_folder_further_above_is_followed() {
    let scratch = Scratch::new();
    let top = scratch.path().join("top");
    fs::create_dir(scratch.path().join("other")).unwrap();
    fs::write(scratch.path().join("secret"), SECRET).unwrap();
    for site in ["mid/site", ".x/site"] {
        fs::create_dir_all(top.join(site).join("sub/pub")).unwrap();
    }
    for name in ["mid/beside", "mid/.env", "mid/deep/file", ".x/beside", "beside"] {
        fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
        fs::write(top.join(name), name).unwrap();
    }
    let none = Err(Absent::Outside);
    for (site, name, target, seen) in [
        ("mid", "rel", "../beside".into(), text("mid/beside")),
        ("mid", "abs", top.join("mid/beside"), text("mid/beside")),
        ("mid", "deep", "../deep/file".into(), text("mid/deep/file")),
        ("mid", "folder", "..".into(), text("folder")),
        ("mid", "top", "../../beside".into(), text("beside")),
        ("mid", "sub/rel", "../../beside".into(), text("mid/beside")),
        ("mid", "and-back", "../../mid/site/rel".into(), text("mid/beside")),
        ("mid", "hidden", "../.env".into(), Err(Absent::Hidden)),
        ("mid", "in-hidden", "../../.x/beside".into(), Err(Absent::Hidden)),
        ("mid", "broken", "../none".into(), Err(Absent::BrokenLink)),
        ("mid", "out", "../../../secret".into(), none.clone()),
        ("mid", "beside-top", "../../../other/../top/beside".into(), none.clone()),
        (".x", "rel", "../beside".into(), Err(Absent::Hidden)),
        (".x", "abs", top.join(".x/beside"), Err(Absent::Hidden)),
        (".x", "missing", "../none".into(), Err(Absent::Hidden)),
        (".x", "folder", "..".into(), Err(Absent::Hidden)),
        (".x", "top", "../../beside".into(), text("beside")),
        (".x", "back", "../site/rel".into(), Err(Absent::Hidden)),
    ] {
        let site = top.join(site).join("site");
        link(target, &site.join(name));
        let disk = Disk::open(&site).unwrap();
        assert_eq!(open(&disk, name).err(), Some(Absent::Outside), "{name}");
        let disk = disk.links_into(&top).unwrap();
        assert_eq!(open(&disk, name), seen, "{} {name}", site.display());
    }
}

/// The folder itself is moved into another one, while links to what is beside it are followed.
#[test]
fn a_root_that_is_moved_never_exposes_what_is_beside_it_elsewhere() {
    const ATTEMPTS: usize = 3000;
    let scratch = Scratch::new();
    let (top, site) = (scratch.path(), scratch.path().join("top/mid/site"));
    for (folder, content) in
        [("top/mid", &b"beside"[..]), ("top/.hidden", SECRET), ("evil", SECRET)]
    {
        fs::create_dir_all(top.join(folder)).unwrap();
        fs::write(top.join(folder).join("file"), content).unwrap();
    }
    fs::create_dir(&site).unwrap();
    link("../file", &site.join("link"));
    let disk = Disk::open(&site).unwrap().links_into(top.join("top")).unwrap();
    assert_eq!(open(&disk, "link"), text("beside"));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for other in ["evil/site", "top/.hidden/site"] {
                    fs::rename(&site, top.join(other)).unwrap();
                    fs::rename(top.join(other), &site).unwrap();
                }
            }
        });
        let _stop = Stop(&done);
        for _ in 0..ATTEMPTS {
            match open(&disk, "link") {
                Ok(seen) => assert_eq!(seen, b"beside"),
                Err(Absent::Missing | Absent::Outside | Absent::Hidden | Absent::Changing) => {}
                Err(absent) => panic!("{absent:?}"),
            }
        }
    });
}
