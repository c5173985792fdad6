//! What a folder knows about codings, for all shards: what its owner chose, which siblings are what
//! they say, and what was compressed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::{Cancel, Time};

use super::coded::Coded;
use super::content::Content;
use super::forms::{Compressed, Forms, Key, Outcome};
use super::pack::{longest, pack};
use super::sibling::Siblings;
use super::verdicts::Verdicts;
use super::{Coding, Codings};
use crate::budgets::Budgets;
use crate::digest::Digest;
use crate::entry::{FileEntry, Held};
use crate::folder::Folder;
use crate::look_up::Effort;
use crate::mime;

/// Whether there are encoders, and decoders to compare siblings with their originals.
const CODES: bool = cfg!(feature = "compression");

#[derive(Debug)]
pub(crate) struct Coder {
    siblings: bool,
    made: [bool; Coding::ALL.len()],
    verdicts: Verdicts,
    forms: Arc<Forms>,
    /// What the folder is called there.
    folder: u32,
}

/// A file whose siblings were looked for again.
pub(crate) enum Renewed {
    /// Nothing about them changed.
    Same,
    /// The file as it is answered for now.
    Other(Box<FileEntry>),
    /// More would have to be read than was allowed.
    Unread,
}

impl Coder {
    pub(crate) fn new(codings: &Codings, budgets: &Arc<Budgets>) -> Self {
        Self {
            siblings: CODES && codings.siblings,
            made: Coding::ALL.map(|coding| CODES && codings.made.contains(&coding)),
            verdicts: Verdicts::new(Arc::clone(&budgets.working)),
            forms: Arc::clone(&budgets.forms),
            folder: budgets.forms.add_folder(),
        }
    }

    /// Finds out in which codings a file can be sent. Blocks. Returns whether `effort` was enough.
    #[must_use]
    pub(crate) fn equip(&self, folder: &Folder, file: &mut FileEntry, effort: Effort<'_>) -> bool {
        let Some(siblings) = self.find(folder, file, None, effort) else { return false };
        // What still changes and isn't in memory would be another file before it is compressed.
        let packs = (file.settled || matches!(file.held, Held::Memory(_)))
            && self.forms.takes(file.size())
            && file.content_type().is_some_and(mime::gets_smaller);
        let made = self.made.map(|made| made && packs);
        file.set_coded(Coded::new(siblings, made));
        true
    }

    /// Looks for the siblings of a file again. Blocks.
    pub(crate) fn renew(&self, folder: &Folder, file: &FileEntry, effort: Effort<'_>) -> Renewed {
        let known = file.siblings();
        let Some(siblings) = self.find(folder, file, known, effort) else {
            return Renewed::Unread;
        };
        if known.map_or(!siblings.any, |known| siblings.are(known)) {
            return Renewed::Same;
        }
        let mut file = file.clone();
        let coded = match file.take_coded() {
            Some(coded) => coded.with_siblings(siblings),
            None => Coded::new(siblings, [false; Coding::ALL.len()]),
        };
        file.set_coded(coded);
        Renewed::Other(Box::new(file))
    }

    fn find(
        &self,
        folder: &Folder,
        file: &FileEntry,
        known: Option<&Siblings>,
        effort: Effort<'_>,
    ) -> Option<Siblings> {
        if self.siblings {
            Siblings::find(folder, &self.verdicts, file, known, effort)
        } else {
            Some(Siblings::default())
        }
    }

    /// Whether a form of a file may be made at `now`: not where it was made too often lately.
    pub(crate) fn may_make(&self, file: &FileEntry, coding: Coding, now: Time) -> bool {
        self.forms.may_make(self.key(file, coding), now)
    }

    fn key(&self, file: &FileEntry, coding: Coding) -> Key {
        Key { folder: self.folder, tag: file.tag.as_str().into(), coding }
    }

    /// The same file, with this coding, or the knowledge that there is no use in it, or as it is
    /// where there is no memory for it at `now`, when a request came. Blocks.
    ///
    /// Whatever goes wrong costs the coding, not the file: it is sent as it is then.
    pub(crate) fn pack(
        &self,
        file: &FileEntry,
        coding: Coding,
        now: Time,
        cancel: Cancel,
    ) -> FileEntry {
        let Ok(len) = usize::try_from(file.size()) else { return file.clone() };
        let outcome = self.forms.get(self.key(file, coding), longest(len) as u64, now, || {
            let content = Content::of(file.held()).unless(cancel);
            let packing = || pack(coding, content, len);
            // What makes a compressor panic doesn't get smaller.
            let Ok(packed) = catch_unwind(AssertUnwindSafe(packing)) else { return Ok(None) };
            let packed = packed?;
            if !file.side().is_unchanged() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(packed)
        });
        match outcome {
            Ok(Outcome::Made(form)) => file.with_made(coding, Some(&form)),
            Ok(Outcome::Futile) => file.with_made(coding, None),
            Ok(Outcome::Refused) | Err(_) => file.clone(),
        }
    }
}

impl FileEntry {
    /// This file with what came of packing it.
    fn with_made(&self, coding: Coding, made: Option<&Arc<Compressed>>) -> Self {
        let made = made.map(|form| {
            let identity = self.identity().with_size(form.len() as u64);
            let tag = Digest::of(form.bytes()).tag();
            self.coded(coding, &tag, identity, false, Held::Compressed(Arc::downgrade(form)))
        });
        let mut file = self.clone();
        if let Some(mut coded) = file.take_coded() {
            coded.take(coding, made);
            file.set_coded(*coded);
        }
        file
    }
}
