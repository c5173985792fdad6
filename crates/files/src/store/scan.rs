//! Lists a folder on disk. Each name is looked up without leaving the served folder and the folders
//! that links may lead into.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Access, AtFlags, Dir, FileType, Statx, StatxFlags};
use rustix::io::Errno;

use super::absent::Absent;
use super::convert::{from_statx, to_absent};
use super::device::has_known_sizes;
use super::links::Roots;
use super::omitted::{Omission, Omitted};
use super::open;
use super::traits::{Child, Kind};
use crate::naming::path;

/// The permission bits that together let everybody read.
const ALL_READ: u16 = 0o444;

/// Implements [`crate::Store::list`] for the folder `name`.
pub(crate) fn folder(
    roots: Roots<'_>,
    name: &[u8],
    each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
) -> Result<Omitted, Absent> {
    let mut omitted = Omitted::default();
    let folder = roots.open_to_list(name).map_err(|error| match error {
        open::Error::Os(Errno::NOTDIR) => Absent::NotAFolder,
        error => to_absent(error),
    })?;
    // Whether the sizes of this folder's files are real. Those in `/proc` and `/sys` aren't.
    let has_known_sizes_here = has_known_sizes(folder.as_fd());
    for entry in Dir::read_from(&folder).map_err(to_absent)? {
        let entry = entry.map_err(to_absent)?;
        let child = entry.file_name().to_bytes();
        let (stat, kind, target) = match look_up(roots, &folder, name, child) {
            Ok(found) => found,
            Err(Unlisted::Omitted(reason)) => {
                omitted.add(reason);
                continue;
            }
            Err(Unlisted::Failed(absent)) => return Err(absent),
        };
        let (_, identity) = from_statx(&stat);
        // The system call, which follows links, is only needed if not everybody may read.
        let readable = stat.stx_mode & ALL_READ == ALL_READ
            || rustix::fs::accessat(&folder, child, Access::READ_OK, AtFlags::EACCESS).is_ok();
        let is_symlink = target.is_some();
        let has_known_size =
            target.map_or(has_known_sizes_here, |target| has_known_sizes(target.as_fd()));
        if each(Child { name: child, kind, is_symlink, readable, has_known_size, identity })
            .is_break()
        {
            break;
        }
    }
    Ok(omitted)
}

/// Why an entry is not listed.
enum Unlisted {
    /// The listing leaves the entry out, and counts it with this reason. `None`: the entry is
    /// hidden or gone, and isn't counted.
    Omitted(Option<Omission>),
    /// The server lacks a resource, or a sandbox forbids a system call. Then the whole listing
    /// fails, instead of leaving the entry out.
    Failed(Absent),
}

impl Unlisted {
    /// Why an entry is not listed: its lookup has failed with `absent`.
    fn of(absent: Absent) -> Self {
        match absent {
            absent if absent.is_transient() => Self::Failed(absent),
            absent => Self::Omitted(Omission::of(absent)),
        }
    }

    /// Like [`Unlisted::of`], for a link: the lookup of its target has failed with `error`. A link
    /// without a target is broken.
    fn of_target(error: impl Into<open::Error>) -> Self {
        match to_absent(error) {
            Absent::Missing => Self::Omitted(Some(Omission::Broken)),
            absent => Self::of(absent),
        }
    }
}

/// The metadata and kind of the entry `child` of `folder`, the open folder with the path `name`. If
/// `child` is a link, returns the metadata and kind of its target, and the opened target.
fn look_up(
    roots: Roots<'_>,
    folder: &OwnedFd,
    name: &[u8],
    child: &[u8],
) -> Result<(Statx, Kind, Option<OwnedFd>), Unlisted> {
    if !path::is_requestable(name, child, roots.well_known) {
        return Err(Unlisted::Omitted(Omission::of_name(child)));
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let mut stat = rustix::fs::statx(folder, child, flags, StatxFlags::BASIC_STATS)
        .map_err(|error| Unlisted::of(to_absent(error)))?;
    let mut target = None;
    if from_statx(&stat).0 == FileType::Symlink {
        let path = path::beneath(name, child);
        let opened = roots.open(&path, open::PATH_FLAGS).map_err(Unlisted::of_target)?;
        stat = rustix::fs::statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(Unlisted::of_target)?;
        target = Some(opened);
    }
    match from_statx(&stat).0 {
        FileType::Directory => Ok((stat, Kind::Folder, target)),
        FileType::RegularFile => Ok((stat, Kind::File, target)),
        _ => Err(Unlisted::Omitted(Some(Omission::Special))),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::traits::Store;
    use crate::tests::scratch::Scratch;
    use crate::{Disk, memory::Memory};

    fn list(store: &dyn Store, name: &str) -> Result<Vec<(String, Kind, u64, bool)>, Absent> {
        let mut all = Vec::new();
        let _ = store.list(name.as_bytes(), &mut |child| {
            let name = String::from_utf8_lossy(child.name).into_owned();
            all.push((name, child.kind, child.identity.size, child.is_symlink));
            ControlFlow::Continue(())
        })?;
        all.sort();
        Ok(all)
    }

    #[test]
    fn only_requestable_entries_are_listed() {
        let scratch = Scratch::new();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(root.join(".well-known")).unwrap();
        fs::create_dir_all(root.join("sub/.well-known")).unwrap();
        fs::write(scratch.path().join("secret"), "outside").unwrap();
        fs::write(root.join("file"), "12345").unwrap();
        fs::write(root.join(".hidden"), "").unwrap();
        fs::write(root.join("back\\slash"), "").unwrap();
        fs::write(root.join(OsStr::from_bytes(b"latin\xe9")), "").unwrap();
        fs::write(root.join("sub/inner"), "1").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink(".hidden", root.join("to-hidden")).unwrap();
        symlink("file", root.join("link")).unwrap();
        symlink("../file", root.join("sub/up")).unwrap();
        symlink("..", root.join("sub/parent")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe")).status();
        assert!(pipe.is_ok_and(|status| status.success()));

        let disk = Disk::open(&root).unwrap();
        let (file, folder) = (Kind::File, Kind::Folder);
        let sizes = |list: Vec<(String, Kind, u64, bool)>| {
            list.into_iter()
                .map(|(name, kind, size, is_symlink)| {
                    (name, kind, if kind == file { size } else { 0 }, is_symlink)
                })
                .collect::<Vec<_>>()
        };
        let expected = [
            (".well-known", folder, 0, false),
            ("back\\slash", file, 0, false),
            ("file", file, 5, false),
            ("latin\u{fffd}", file, 0, false),
            ("link", file, 5, true),
            ("sub", folder, 0, false),
        ]
        .map(|(name, kind, size, is_symlink)| (name.to_owned(), kind, size, is_symlink));
        assert_eq!(sizes(list(&disk, "").unwrap()), expected);
        let expected = [
            ("deep", folder, 0, false),
            ("inner", file, 1, false),
            ("parent", folder, 0, true),
            ("up", file, 5, true),
        ]
        .map(|(name, kind, size, is_symlink)| (name.to_owned(), kind, size, is_symlink));
        assert_eq!(sizes(list(&disk, "sub").unwrap()), expected);
        let omitted = |name: &str| {
            let listed = disk.list(name.as_bytes(), &mut |_| ControlFlow::Continue(()));
            listed.unwrap().to_string()
        };
        assert_eq!(
            omitted(""),
            "1 pipe, socket or device, 1 link that leads out of the folder, 2 broken links"
        );
        assert_eq!(omitted("sub"), "");
        assert_eq!(list(&disk, "file"), Err(Absent::NotAFolder));
        assert_eq!(list(&disk, "missing"), Err(Absent::Missing));
        assert_eq!(list(&disk, "out"), Err(Absent::Outside));
    }

    #[test]
    fn the_store_in_memory_lists_like_the_disk() {
        let files = Memory::new();
        for (name, content) in [("a", "123"), ("sub/b", "1"), ("sub/deep/c", ""), (".d/e", "")] {
            files.write(name, content);
        }
        let names = |name| {
            list(&files, name)
                .map(|all| all.into_iter().map(|(name, kind, ..)| (name, kind)).collect::<Vec<_>>())
        };
        let (file, folder) = (Kind::File, Kind::Folder);
        assert_eq!(names(""), Ok(vec![("a".into(), file), ("sub".into(), folder)]));
        assert_eq!(names("sub"), Ok(vec![("b".into(), file), ("deep".into(), folder)]));
        assert_eq!(names("a"), Err(Absent::NotAFolder));
        assert_eq!(names("su"), Err(Absent::Missing));
    }

    #[test]
    fn listing_stops_when_the_callback_breaks() {
        let files = Memory::new();
        (0..10).for_each(|at| files.write(&at.to_string(), ""));
        let mut seen = 0;
        let listed = files.list(b"", &mut |_| {
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((listed, seen), (Ok(Omitted::default()), 3));
    }
}
