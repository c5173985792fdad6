//! Archives and parts of them, read by another implementation of the format.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{fs, io};

use proptest::prelude::*;
use sockeye_proto::{Access, Budget, CancelToken, Client, FileSource, Permit, Validity};

use super::header::BLOCK;
use super::manifest::{ArchiveError, MAX_DEPTH, Manifest};
use super::writer::{ArchiveAborted, ArchiveWriter, BATCH};
use crate::limits::lease::Lease;
use crate::store::absent::{Absent, Permission, Special};
use crate::store::digest::Digests;
use crate::store::memory::{InjectedFault, Memory};
use crate::store::traits::Opened;
use crate::tests::scratch::Scratch;
use crate::{Disk, Store};

const DENIED: Absent = Absent::Denied(Permission::Read);

fn manifest(store: &dyn Store, folder: &str) -> Result<Arc<Manifest>, ArchiveError> {
    let lease = crate::tests::lease(1 << 30);
    Manifest::make(store, folder.as_bytes(), b"top", lease, &CancelToken::default()).map(Arc::new)
}

/// The memory for sending an archive.
fn memory() -> (Lease, Permit) {
    let kept = Budget::new("listings", 0).charge(Client::Unix, 0);
    (crate::tests::lease(0), kept.expect("0 bytes fit"))
}

/// The bytes from `start` to before `end`, as they are sent.
fn bytes(
    store: &dyn Store,
    manifest: &Arc<Manifest>,
    start: u64,
    end: u64,
) -> Result<Vec<u8>, ArchiveAborted> {
    let mut writer = ArchiveWriter::new(Arc::clone(manifest), memory()).part(start, end);
    let mut all = Vec::new();
    loop {
        let batch = writer.next(store, &Digests::default())?;
        assert!(batch.bytes.len() < 2 * BATCH, "a batch is bounded");
        assert!(
            batch.last || !batch.bytes.is_empty() || batch.file.is_some(),
            "each batch makes progress"
        );
        all.extend_from_slice(&batch.bytes);
        if let Some(range) = batch.file {
            assert_eq!(range.source.check(), Validity::Valid);
            all.extend(read(&*range.source, range.offset, range.len).unwrap());
        }
        if batch.last {
            return Ok(all);
        }
    }
}

fn read(source: &dyn FileSource, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read_at(offset + filled as u64, &mut bytes[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(bytes)
}

fn whole_archive(store: &dyn Store, folder: &str) -> Vec<u8> {
    let manifest = manifest(store, folder).unwrap();
    let all = bytes(store, &manifest, 0, manifest.len).unwrap();
    assert_eq!(all.len() as u64, manifest.len);
    all
}

/// Names and contents, extracted by another implementation.
fn extract(archive: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path_bytes().into_owned(), content)
    });
    entries.collect()
}

fn settled_store(files: &[(&str, usize)]) -> Memory {
    let store = Memory::new();
    for (at, (name, size)) in files.iter().enumerate() {
        store.write(name, (0..*size).map(|byte| (byte * 7 + at) as u8).collect::<Vec<_>>());
    }
    store.pass(3_000_000_000);
    store
}

#[test]
fn archives_contain_all_requestable_entries_in_order() {
    let store = settled_store(&[
        ("docs/b", 513),
        ("docs/a/z", 0),
        ("docs/a-b", 1),
        ("docs/.hidden", 9),
        ("docs/\u{e9}\u{202e}", 2),
        ("other", 5),
    ]);
    let found = extract(&whole_archive(&store, "docs"));
    let names: Vec<_> = found.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["top/a-b", "top/a/", "top/a/z", "top/b", "top/\u{e9}\u{202e}"]);
    assert_eq!(found[3].1.len(), 513);
    assert_eq!(extract(&whole_archive(&settled_store(&[]), "")), []);
}

#[test]
fn archives_say_what_they_leave_out() {
    let store = settled_store(&[("a", 5), ("out", 1), ("sub/no", 9), ("sub/pipe", 1)]);
    let etag = manifest(&store, "").unwrap().etag.clone();
    let outside = Some(InjectedFault::Absent(Absent::Outside));
    store.fail("out", outside);
    store.fail("sub/no", Some(InjectedFault::Absent(DENIED)));
    store.fail("sub/pipe", Some(InjectedFault::Absent(Absent::NotRegular(Special::Pipe))));
    let found = extract(&whole_archive(&store, ""));
    let names: Vec<_> = found.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["top/a", "top/sub/", "top/OMITTED.txt"]);
    let text = "Not in this archive: 1 unreadable, 1 pipe, socket or device, \
                1 link that leads out of the folder.\n";
    assert_eq!(String::from_utf8_lossy(&found[2].1), text);
    let (one, other) = (manifest(&store, "").unwrap(), manifest(&store, "").unwrap());
    assert_eq!(one.etag, other.etag);
    assert_ne!(one.etag, etag);
    for start in [0, 1, 512, 1024, one.len - 1500, one.len - 1025, one.len - 1] {
        let whole = whole_archive(&store, "");
        assert_eq!(bytes(&store, &one, start, one.len).unwrap(), whole[start as usize..]);
    }
    // Hidden names, and links to them, stay unsaid.
    for name in ["out", "sub/no", "sub/pipe"] {
        store.fail(name, Some(InjectedFault::Absent(Absent::Hidden)));
    }
    assert_eq!(extract(&whole_archive(&store, "")).len(), 2);
}

#[test]
fn the_note_takes_no_name_of_a_file_or_folder() {
    let store = settled_store(&[("omitted.TXT", 5), ("OMITTED-2.txt", 6), ("out", 1)]);
    store.fail("out", Some(InjectedFault::Absent(Absent::Outside)));
    let found = extract(&whole_archive(&store, ""));
    let names: Vec<_> = found.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["top/OMITTED-2.txt", "top/omitted.TXT", "top/OMITTED-3.txt"]);
    assert_eq!(found[0].1.len(), 6);
    let folder = settled_store(&[("OMITTED.txt/file", 5), ("out", 1)]);
    folder.fail("out", Some(InjectedFault::Absent(Absent::Outside)));
    let found = extract(&whole_archive(&folder, ""));
    let names: Vec<_> = found.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["top/OMITTED.txt/", "top/OMITTED.txt/file", "top/OMITTED-2.txt"]);
    let only = settled_store(&[("out", 1)]);
    only.fail("out", Some(InjectedFault::Absent(Absent::Outside)));
    assert_eq!(extract(&whole_archive(&only, "")).len(), 1);
}

#[test]
fn etags_identify_archives() {
    let files = &[("a", 5), ("sub/b", 100_000)];
    let (one, other) = (settled_store(files), settled_store(files));
    let etag = |store: &Memory| manifest(store, "").unwrap().etag.clone();
    assert_eq!(etag(&one), etag(&other));
    let before = etag(&one);
    one.change_metadata("a");
    assert_eq!(etag(&one), before, "nothing but its metadata has changed, even in this tick");
    other.replace("a", "12345");
    other.pass(3_000_000_000);
    assert_ne!(etag(&one), etag(&other), "a later file of the same length");

    one.write("a", "54321");
    let (first, second) = (manifest(&one, "").unwrap(), manifest(&one, "").unwrap());
    assert_ne!(first.etag, second.etag, "an unsettled file: a new ETag each time");
    assert_eq!(first.cache_weight(), None, "and it is not cached");
    one.pass(3_000_000_000);
    assert_eq!(etag(&one), etag(&one));
    assert!(manifest(&one, "").unwrap().cache_weight().is_some());
}

#[test]
fn a_changed_file_aborts_the_archive() {
    const LARGE: usize = 100_000;
    type Change = fn(&Memory, &str);
    let changes: [Change; 4] = [
        |store, name| store.write(name, "other"),
        |store, name| store.replace(name, vec![0; LARGE]),
        |store, name| store.remove(name),
        |store, name| store.fail(name, Some(InjectedFault::Absent(DENIED))),
    ];
    for (at, change) in changes.iter().enumerate() {
        for (name, size) in [("small", 10), ("large", LARGE)] {
            let store = settled_store(&[(name, size)]);
            let manifest = manifest(&store, "").unwrap();
            if (at, name) == (0, "small") {
                // As long as before.
                store.write(name, "other66666");
            } else {
                change(&store, name);
            }
            let error = bytes(&store, &manifest, 0, manifest.len).unwrap_err();
            let expected =
                if at == 3 { ArchiveAborted::Absent(DENIED) } else { ArchiveAborted::Changed };
            assert_eq!(error, expected, "{name} {at}");
            // Parts that need no file are sent.
            assert!(bytes(&store, &manifest, 0, BLOCK).is_ok());
        }
    }
}

#[test]
fn a_small_file_that_changes_while_read_aborts_the_archive() {
    let store = settled_store(&[("a", 10)]);
    let manifest = manifest(&store, "").unwrap();
    store.change_when_read("a", ["9876543210"]);
    assert_eq!(bytes(&store, &manifest, 0, manifest.len), Err(ArchiveAborted::Changed));
}

/// What a change does to an archive whose manifest was made before it: the change comes before the
/// file is opened, or before its last part is sent.
#[test]
fn changes_that_keep_what_was_promised_abort_no_archive() {
    type Change = fn(&Memory, usize);
    let changes: [(&str, Change, bool, bool); 8] = [
        // The change, and whether the archive is completed: by size and time, and by content.
        ("chmod", |store, _| store.change_metadata("a"), true, true),
        ("touch", |store, _| store.touch("a"), false, true),
        ("append", |store, _| store.append("a", b"more"), true, true),
        ("rewrite", |store, size| store.write("a", vec![1; size]), false, false),
        ("rewrite longer", |store, size| store.write("a", vec![1; size + 1]), true, false),
        ("truncate", |store, size| store.write("a", vec![0; size - 1]), false, false),
        ("truncate to nothing", |store, _| store.write("a", ""), false, false),
        ("truncate and append", |store, size| store.write("a", vec![0; size + 9]), true, false),
    ];
    for size in [10, 100_000] {
        for (name, change, by_time, by_content) in changes {
            for is_hashed in [false, true] {
                for is_open in [false, true] {
                    // The digests of small files are not kept.
                    if size == 10 && (is_hashed || is_open) {
                        continue;
                    }
                    let store = settled_store(&[("a", size)]);
                    let before: Vec<u8> = (0..size).map(|byte| (byte * 7) as u8).collect();
                    let manifest = manifest(&store, "").unwrap();
                    let digests = Digests::default();
                    if is_hashed {
                        let Ok(Opened::File(file, identity)) = store.open(b"a") else { panic!() };
                        digests.of(&*file, &identity, true, |_| true, &Default::default()).unwrap();
                    }
                    // A part of the file that does not reach its end.
                    let mut writer =
                        ArchiveWriter::new(manifest, memory()).part(BLOCK, BLOCK + size as u64 - 2);
                    if !is_open {
                        change(&store, size);
                    }
                    let sent = writer.next(&store, &digests).ok().and_then(|batch| {
                        if is_open {
                            change(&store, size);
                        }
                        let Some(range) = batch.file else { return Some(batch.bytes) };
                        let bytes = read(&*range.source, range.offset, range.len).ok()?;
                        range.source.verify(&Default::default()).then_some(bytes)
                    });
                    let case = format!("{name}: {size} {is_hashed} {is_open}");
                    let is_complete = if is_hashed { by_content } else { by_time };
                    assert_eq!(sent.is_some(), is_complete, "{case}");
                    if let Some(sent) = sent.filter(|_| by_content) {
                        assert!(sent == before[..size - 2], "{case}");
                    }
                }
            }
        }
    }
}

/// A file whose size is not that of its content is archived as long as its size says, or not at
/// all.
#[test]
fn sizes_that_lie_are_those_of_the_archive() {
    for (size, expected) in [(0, Ok(0)), (9, Ok(9)), (11, Err(ArchiveAborted::Shorter))] {
        let store = settled_store(&[("a", 10)]);
        store.claim_size("a", size);
        let manifest = manifest(&store, "").unwrap();
        let sent = bytes(&store, &manifest, 0, manifest.len);
        let found = sent.map(|archive| extract(&archive)[0].1.len());
        assert_eq!(found, expected, "{size}");
    }
}

#[test]
fn large_files_are_sent_as_their_file_system_requires() {
    let store = settled_store(&[("a", 100_000)]);
    let manifest = manifest(&store, "").unwrap();
    let batch =
        ArchiveWriter::new(manifest, memory()).part(0, 50_000).next(&store, &Digests::default());
    let range = batch.unwrap().file.unwrap();
    store.set_access(Access::Thread);
    assert_eq!(range.source.access(), Access::Thread, "the access of the file itself");
}

#[test]
fn archives_beyond_the_limits_are_refused() {
    let deep = "d/".repeat(MAX_DEPTH + 1);
    let store = settled_store(&[(&format!("{deep}x"), 1)]);
    assert_eq!(manifest(&store, "").map(|manifest| manifest.count()), Err(ArchiveError::TooDeep));
    let store = settled_store(&[(&format!("{}x", &deep[2..]), 1)]);
    assert!(manifest(&store, "").is_ok());
    assert_eq!(
        manifest(&store, "x").map(|manifest| manifest.count()),
        Err(ArchiveError::Absent(Absent::Missing))
    );
    let refused =
        Manifest::make(&store, b"", b"top", crate::tests::lease(100), &CancelToken::default());
    assert_eq!(refused.map(|manifest| manifest.count()), Err(Absent::Exhausted.into()));
}

/// A folder on disk, extracted by the tar of the system, if there is one.
#[test]
fn gnu_tar_extracts_an_archive() {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    let long = format!("{}/{}", "folder".repeat(20), "n".repeat(200));
    for (name, content) in [
        ("a.txt", &b"hello"[..]),
        ("empty", b""),
        ("sub/caf\u{e9} \u{65e5}\u{672c}", b"named"),
        // The crate's reader ends a name at a line break; the format does not.
        ("sub/of\nlines \u{e9}", b"broken"),
        ("sub/exactly", &[7; 512]),
        ("large", &[9; 100_001]),
        (&long, b"far"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::write(scratch.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink("sub", root.join("to-a-folder")).unwrap();
    std::os::unix::fs::symlink("a.txt", root.join("to-a-file")).unwrap();
    let archive = whole_archive(&Disk::open(&root).unwrap(), "");

    let target = scratch.path().join("extracted");
    fs::create_dir(&target).unwrap();
    let spawned = Command::new("tar")
        .args(["-xf", "-", "-C"])
        .arg(&target)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tar) = spawned else {
        return eprintln!("there is no tar here to extract with");
    };
    io::Write::write_all(&mut tar.stdin.take().unwrap(), &archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    fs::remove_file(root.join("out")).unwrap();
    fs::remove_file(root.join("to-a-folder")).unwrap();
    let note = target.join("top/OMITTED.txt");
    let text = "Not in this archive: 1 link that leads out of the folder, 1 link to a folder.\n";
    assert_eq!(fs::read_to_string(&note).unwrap(), text);
    fs::remove_file(note).unwrap();
    let same = Command::new("diff").arg("-r").args([&root, &target.join("top")]).output().unwrap();
    assert!(same.status.success(), "{same:?}");
}

#[test]
fn names_that_are_not_utf8_are_archived_unchanged() {
    let scratch = Scratch::new();
    let long = [&[0xe9; 150][..], b".txt"].concat();
    for name in [&b"latin\xe9"[..], &long] {
        let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
        fs::write(scratch.path().join(name), "x").unwrap();
    }
    let archive = whole_archive(&Disk::open(scratch.path()).unwrap(), "");
    let names: Vec<_> = extract(&archive).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"top/latin\xe9".to_vec(), [b"top/", &long[..]].concat()]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any part of an archive is that part of the whole.
    #[test]
    fn any_part_equals_the_slice_of_the_whole_archive(
        files in proptest::collection::btree_map(
            "([a-c]/){0,2}[d-f]{1,3}|[é]{60}|x{120}",
            prop_oneof![0usize..1200, 511usize..514, 32_700usize..33_000, Just(150_000)],
            0..8,
        ),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 6),
    ) {
        let list: Vec<_> = files.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let store = settled_store(&list);
        let manifest = manifest(&store, "").unwrap();
        let all = whole_archive(&store, "");
        let found = extract(&all);
        for (at, (name, size)) in list.iter().enumerate() {
            let content: Vec<_> = (0..*size).map(|byte| (byte * 7 + at) as u8).collect();
            let expected = (format!("top/{name}").into_bytes(), content);
            prop_assert!(found.contains(&expected));
        }
        let mut edges = vec![(0, 1), (all.len() - 1, all.len()), (all.len(), all.len())];
        for index in 0..=manifest.count() {
            let start = manifest.start(index) as usize;
            edges.extend([(start, (start + 513).min(all.len())), (start.saturating_sub(1), start + 1)]);
        }
        edges.extend(cuts.iter().map(|(a, b)| {
            let (a, b) = (a.index(all.len() + 1), b.index(all.len() + 1));
            (a.min(b), a.max(b))
        }));
        for (start, end) in edges {
            let part = bytes(&store, &manifest, start as u64, end as u64).unwrap();
            prop_assert!(part == all[start..end], "{start}..{end}");
        }
    }
}
