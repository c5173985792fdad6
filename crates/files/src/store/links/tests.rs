//! Following links, with and without `openat2`.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::ResolveFlags;

use super::*;
use crate::tests::scratch::Scratch;

/// A folder with a file, a folder and links.
fn scratch() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(scratch.path().join("secret"), "outside").unwrap();
    fs::write(root.join("sub/file"), "inside").unwrap();
    symlink("../secret", root.join("out")).unwrap();
    symlink("../..", root.join("sub/up")).unwrap();
    symlink(scratch.path().join("secret"), root.join("absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("sub/file", root.join("within")).unwrap();
    symlink("sub", root.join("folder")).unwrap();
    (scratch, root)
}

#[test]
fn names_stay_beneath_the_root() {
    let (_scratch, root) = scratch();
    let root = open::folder(&root).unwrap();
    let linked = LinkedFolders::new(&[]);
    let roots = Roots { folder: &root, linked: &linked, well_known: WellKnown::Served };
    for (name, error) in [
        ("sub/file", None),
        ("sub", None),
        ("within", None),
        ("folder/file", None),
        ("missing", Some(Error::Os(Errno::NOENT))),
        ("folder/missing", Some(Error::Os(Errno::NOENT))),
        ("sub/file/x", Some(Error::Os(Errno::NOTDIR))),
        ("out", Some(Error::Os(Errno::XDEV))),
        ("absolute", Some(Error::Os(Errno::XDEV))),
        ("loop", Some(Error::Os(Errno::LOOP))),
        ("sub/up/secret", Some(Error::Os(Errno::XDEV))),
        ("../secret", Some(Error::Os(Errno::XDEV))),
        ("sub/../../secret", Some(Error::Os(Errno::XDEV))),
        ("/etc/passwd", Some(Error::Os(Errno::XDEV))),
    ] {
        assert_eq!(roots.open(name.as_bytes(), READ_FLAGS).err(), error, "{name}");
    }
}

/// The walk for kernels without `openat2`, on the same names.
#[test]
fn without_openat2_links_are_noticed_too() {
    let (_scratch, root) = scratch();
    let root = open::folder(&root).unwrap();
    for (name, error) in [
        (".", None),
        ("sub", None),
        ("sub/file", None),
        ("missing", Some(Errno::NOENT)),
        ("sub/file/x", Some(Errno::NOTDIR)),
        ("within", Some(Errno::LOOP)),
        ("folder", Some(Errno::LOOP)),
        ("folder/file", Some(Errno::LOOP)),
        ("sub/up/secret", Some(Errno::LOOP)),
        ("../secret", Some(Errno::XDEV)),
        ("sub/../../secret", Some(Errno::XDEV)),
        ("/etc/passwd", Some(Errno::XDEV)),
    ] {
        for flags in [READ_FLAGS, PATH_FLAGS] {
            let name = OsStr::new(name);
            let opened = open::without_openat2(root.as_fd(), name, flags);
            assert_eq!(opened.err(), error, "{name:?} {flags:?}");
            let opened = open::without_links(root.as_fd(), name, flags);
            assert_eq!(opened.is_ok(), error.is_none(), "{name:?} {flags:?}");
        }
    }
    let folder = READ_FLAGS | OFlags::DIRECTORY;
    for name in ["folder", "within"] {
        let opened = open::without_openat2(root.as_fd(), OsStr::new(name), folder);
        assert_eq!(opened.err(), Some(Errno::LOOP), "{name}");
    }
}

#[test]
fn links_resolve_to_names_without_links() {
    let scratch = Scratch::new();
    let root = scratch.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/file"), "").unwrap();
    for (name, target) in [
        ("to-a", "a"),
        ("to-b", "to-a/./b/"),
        ("a/b/file", "../file"),
        ("a/b/up", "../.."),
        ("a/b/out", "../../.."),
        ("file-as-folder", "a/file/"),
        ("file-above", "a/file/.."),
        ("nowhere", "a/nothing/../file"),
    ] {
        symlink(target, root.join(name)).unwrap();
    }
    let mut before = "a/file".to_owned();
    for link in 0..=MAX_LINKS {
        symlink(&before, root.join(format!("link{link}"))).unwrap();
        before = format!("link{link}");
    }
    let root = open::folder(root).unwrap();
    let linked = LinkedFolders::new(&[]);
    let roots = Roots { folder: &root, linked: &linked, well_known: WellKnown::Served };
    for (name, target) in [
        ("a/file", Ok("a/file")),
        ("to-a/file", Ok("a/file")),
        ("to-b/file", Ok("a/file")),
        ("to-b//file", Ok("a/file")),
        ("to-b/up", Ok(".")),
        ("to-b/up/to-b/up/to-a", Ok("a")),
        ("to-b/out", Err(Errno::XDEV)),
        ("file-as-folder", Err(Errno::NOTDIR)),
        ("file-above", Err(Errno::NOTDIR)),
        ("nowhere", Err(Errno::NOENT)),
        ("to-a/nothing", Err(Errno::NOENT)),
        ("link39", Ok("a/file")),
        ("link40", Err(Errno::LOOP)),
    ] {
        let resolved = roots.follow(0, name.as_bytes());
        let expected = match target {
            Ok(target) => Ok(Target { root: 0, name: target.as_bytes().to_vec() }),
            Err(Errno::NOENT | Errno::NOTDIR) if name != "to-a/nothing" => Err(Error::BrokenLink),
            Err(error) => Err(Error::Os(error)),
        };
        assert_eq!(resolved, expected, "{name}");
        // The kernel resolves it in the same way.
        let kernel = rustix::fs::openat2(&root, name, PATH_FLAGS, NO_MODE, ResolveFlags::BENEATH);
        assert_eq!(kernel.err(), target.err(), "{name}");
    }
}

/// A few links can have a name of 80,000 segments.
#[test]
fn a_name_of_too_many_segments_is_not_walked_to_its_end() {
    let (_scratch, root) = scratch();
    // At most 4,095 bytes, as any target of a link.
    let detour = "sub/../".repeat(500);
    for number in 0..6 {
        let next = if number == 0 { "sub/file".to_owned() } else { format!("long{}", number - 1) };
        symlink(format!("{detour}{next}"), root.join(format!("long{number}"))).unwrap();
    }
    let root = open::folder(&root).unwrap();
    let linked = LinkedFolders::new(&[]);
    let roots = Roots { folder: &root, linked: &linked, well_known: WellKnown::Served };
    // 1,000 segments each.
    assert!(roots.open(b"long3", READ_FLAGS).is_ok());
    assert_eq!(roots.open(b"long5", READ_FLAGS).err(), Some(Error::Os(Errno::LOOP)));
}
