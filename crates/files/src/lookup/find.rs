//! Looking a name up: which file it leads to, by which rule, opened and read as far as it is kept.
//! Runs off the loop and may block.

use std::sync::Arc;

use sockeye_proto::Cancel;

use super::entry::{Entry, Target};
use super::folder::Folder;
use super::mounts::{Mounts, Place};
use super::rule::Rule;
use crate::coding::file_entry::FileEntry;
use crate::file::reader::{Digested, Effort, Found, Reader};
use crate::file::representation::{OpenedFile, Representation};
use crate::naming::path::RequestPath;
use crate::respond::redirect::Slash;
use crate::store::absent::Absent;
use crate::store::traits::Opened;

/// How often a file that changes under our eyes is read again before we give up.
const TRIES: usize = 8;

/// The page of a folder.
const INDEX: &[u8] = b"index.html";

/// What clean URLs leave out.
const HTML: &[u8] = b".html";

/// Looks `key` up. Blocks. Returns `known`, what an earlier lookup found, where it still holds: then
/// nothing is read. `None` where it takes more than `effort`.
pub(crate) fn look_up(
    mounts: &Mounts,
    key: &[u8],
    known: Option<Arc<Entry>>,
    effort: Effort<'_>,
) -> Option<Arc<Entry>> {
    let Some((mount, place)) = mounts.place(key) else {
        let target = Target::Absent(Absent::Unmounted);
        return Some(Arc::new(Entry { mount: None, target }));
    };
    let found = {
        let folder = &mounts.get(mount).folder;
        let known = match known.as_deref() {
            Some(Entry { mount: Some(at), target: Target::File(rule, file) }) if *at == mount => {
                Some((*rule, &**file))
            }
            _ => None,
        };
        let at_once = folder.store.at_once();
        let store = at_once.as_deref().unwrap_or(&*folder.store);
        let reader = Reader { store, ..folder.reader(effort) };
        Lookup { folder, known, reader }.find(place)
    };
    let target = match found {
        Ok(Found::Same) => return known,
        Ok(Found::Unread) => return None,
        Ok(Found::Other(target)) => target,
        Err(absent) => Target::Absent(absent),
    };
    Some(Arc::new(Entry { mount: Some(mount), target }))
}

/// The same with all the effort that it takes.
pub(crate) fn look_up_whole(mounts: &Mounts, key: &[u8]) -> Arc<Entry> {
    let found = look_up(mounts, key, None, Effort::Reading(&Cancel::default()));
    found.expect("nothing takes more effort")
}

/// One lookup in one folder.
struct Lookup<'a> {
    folder: &'a Folder,
    /// What an earlier one found.
    known: Option<(Rule, &'a FileEntry)>,
    reader: Reader<'a>,
}

impl Lookup<'_> {
    /// Finds what answers for a place in the folder.
    fn find(&self, place: Place<'_>) -> Result<Found<Target>, Absent> {
        let single = self.reader.store.single_file();
        match (place, single) {
            (Place::Itself, Some(single)) => self.single(single),
            (Place::Itself, None) => redirect(Slash::Add),
            (Place::In(wanted), Some(single)) => match wanted.key() {
                b"" => self.single(single),
                name if name == single => self.single(single),
                _ => Err(Absent::Missing),
            },
            (Place::In(wanted), None) if wanted.is_folder() => self.index(wanted),
            (Place::In(wanted), None) => self.named(wanted.name()),
        }
    }

    fn single(&self, name: &[u8]) -> Result<Found<Target>, Absent> {
        match self.load(name, Rule::SingleFile)? {
            Some(found) => Ok(found),
            None => Err(Absent::NoIndex),
        }
    }

    /// A path without a slash at its end.
    fn named(&self, name: &[u8]) -> Result<Found<Target>, Absent> {
        match self.load(name, Rule::File) {
            Ok(Some(found)) => Ok(found),
            // The page beside a folder goes before a folder without one.
            Ok(None) => match self.clean(name)? {
                Some(page) if !self.is_file(&[name, b"/", INDEX].concat()) => Ok(page),
                _ => redirect(Slash::Add),
            },
            Err(Absent::Missing) => self.clean(name)?.ok_or(Absent::Missing),
            Err(absent) => Err(absent),
        }
    }

    /// A path with a slash at its end.
    fn index(&self, wanted: RequestPath<'_>) -> Result<Found<Target>, Absent> {
        let why = match self.load(&[wanted.key(), INDEX].concat(), Rule::Index) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => Absent::NoIndex,
            Err(Absent::Missing) => match self.reader.store.open(wanted.name()) {
                Ok(Opened::Folder) => Absent::NoIndex,
                Ok(Opened::File(..)) => return Err(Absent::NotAFolder),
                Err(absent) => absent,
            },
            Err(absent) => return Err(absent),
        };
        let page = matches!(why, Absent::NoIndex | Absent::Missing)
            && self.folder.options.clean_urls
            && !wanted.name().is_empty()
            && self.is_file(&[wanted.name(), HTML].concat());
        match why {
            _ if page => redirect(Slash::Drop),
            Absent::NoIndex if self.folder.options.listing => Ok(Found::Other(Target::Listing)),
            why => Err(why),
        }
    }

    /// The page of a name that leaves out its extension.
    fn clean(&self, name: &[u8]) -> Result<Option<Found<Target>>, Absent> {
        if !self.folder.options.clean_urls || name.ends_with(HTML) {
            return Ok(None);
        }
        match self.load(&[name, HTML].concat(), Rule::CleanUrl) {
            Err(Absent::Missing) => Ok(None),
            loaded => loaded,
        }
    }

    fn is_file(&self, name: &[u8]) -> bool {
        matches!(self.reader.store.open(name), Ok(Opened::File(..)))
    }

    /// Opens `name`, and reads it as far as it is kept or hashed; `None` where it is a folder.
    fn load(&self, name: &[u8], rule: Rule) -> Result<Option<Found<Target>>, Absent> {
        let Self { reader, folder, .. } = self;
        for _ in 0..TRIES {
            // The clock first: what is written after it was read has a later stamp.
            let now = reader.store.now();
            let (file, identity) = match reader.store.open(name)? {
                Opened::Folder => return Ok(None),
                Opened::File(file, identity) => (file, identity),
            };
            let is_known = |(by, known): &(Rule, &FileEntry)| {
                *by == rule && known.plain.still_is(name, &identity)
            };
            if let Some((_, known)) = self.known.filter(is_known) {
                let renewed = folder.coder.renew(reader, known);
                return Ok(Some(renewed.map(|file| Target::File(rule, file))));
            }
            let Some(content) = reader.load_content(file, &identity)? else { continue };
            let digest = match reader.digest(&content, &identity, identity.is_settled(now))? {
                Digested::Known(digest) => digest,
                Digested::Changed => continue,
                Digested::Unread => return Ok(Some(Found::Unread)),
            };
            let opened = OpenedFile { name, identity, now, digest };
            let file = Representation::new(opened, content, &folder.options);
            let found = match folder.coder.equip(reader, file) {
                Some(file) => Found::Other(Target::File(rule, Box::new(file))),
                None => Found::Unread,
            };
            return Ok(Some(found));
        }
        Err(Absent::Changing)
    }
}

fn redirect(slash: Slash) -> Result<Found<Target>, Absent> {
    Ok(Found::Other(Target::Redirect(slash)))
}
