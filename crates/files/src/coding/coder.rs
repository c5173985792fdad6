//! What a folder knows about codings, for all shards: what its owner chose, which siblings are what
//! they say, and what was packed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::coded::Coded;
use super::content::Content;
use super::pack::pack;
use super::packed::{Leave, Packed};
use super::sibling::Siblings;
use super::verdicts::Verdicts;
use super::{Coding, Codings};
use crate::digest::Digest;
use crate::entry::{FileEntry, Held};
use crate::folder::Folder;
use crate::mime;

#[derive(Debug)]
pub(crate) struct Coder {
    siblings: bool,
    made: [bool; Coding::ALL.len()],
    verdicts: Verdicts,
    packed: Arc<Packed>,
}

impl Coder {
    pub(crate) fn new(codings: &Codings) -> Self {
        Self {
            siblings: codings.siblings,
            made: Coding::ALL.map(|coding| codings.made.contains(&coding)),
            verdicts: Verdicts::default(),
            packed: Arc::new(Packed::new(codings.memory)),
        }
    }

    /// Finds out in which codings a file can be sent. Blocks.
    pub(crate) fn equip(&self, folder: &Folder, file: &mut FileEntry) {
        let siblings = self.find(folder, file, None);
        let packs =
            self.packed.takes(file.size()) && file.content_type().is_some_and(mime::gets_smaller);
        let made = self.made.map(|made| made && packs);
        file.set_coded(Coded::new(siblings, made));
    }

    /// The same file as it is answered for now that its siblings were looked for again; `None`
    /// where nothing about them changed. Blocks.
    pub(crate) fn renew(&self, folder: &Folder, file: &FileEntry) -> Option<FileEntry> {
        let known = file.siblings();
        let siblings = self.find(folder, file, known);
        if known.map_or(!siblings.any, |known| siblings.are(known)) {
            return None;
        }
        let mut file = file.clone();
        let coded = match file.take_coded() {
            Some(coded) => coded.with_siblings(siblings),
            None => Coded::new(siblings, [false; Coding::ALL.len()]),
        };
        file.set_coded(coded);
        Some(file)
    }

    fn find(&self, folder: &Folder, file: &FileEntry, known: Option<&Siblings>) -> Siblings {
        if self.siblings {
            Siblings::find(folder, &self.verdicts, file, known)
        } else {
            Siblings::default()
        }
    }

    /// Asks for leave to pack a file; `None` while too much waits for that.
    pub(crate) fn admit(&self, file: &FileEntry) -> Option<Leave> {
        self.packed.admit(file.size())
    }

    /// The same file, with this coding or the knowledge that there is no use in it. Blocks.
    ///
    /// Whatever goes wrong costs the coding, not the file: it is sent as it is then.
    pub(crate) fn pack(&self, file: &FileEntry, coding: Coding) -> FileEntry {
        let made = self.packed.get(&file.tag, coding, || {
            let Ok(len) = usize::try_from(file.size()) else { return Ok(None) };
            let packing = || pack(coding, Content::of(file.held()), len);
            let Ok(packed) = catch_unwind(AssertUnwindSafe(packing)) else { return Ok(None) };
            let packed = packed?;
            if !file.side().is_unchanged() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(packed.map(|packed| {
                let bytes = Bytes::from(packed);
                // The first clone allocates the count that they are shared by. Here, not there.
                drop(bytes.clone());
                bytes
            }))
        });
        file.with_made(coding, made.ok().flatten())
    }
}

impl FileEntry {
    /// This file with what came of packing it.
    fn with_made(&self, coding: Coding, made: Option<Bytes>) -> Self {
        let made = made.map(|bytes| {
            let identity = self.identity().with_size(bytes.len() as u64);
            let tag = Digest::of(&bytes).tag();
            self.coded(coding, &tag, identity, false, Held::Memory(bytes))
        });
        let mut file = self.clone();
        if let Some(mut coded) = file.take_coded() {
            coded.take(coding, made);
            file.set_coded(*coded);
        }
        file
    }
}
