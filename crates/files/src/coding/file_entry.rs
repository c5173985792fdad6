//! A file in all its representations: as it is, and in codings.

use super::encodings::{Encodings, Selection};
use super::precompressed::Precompressed;
use super::selected::Selected;
use crate::file::content::Content;
use crate::file::representation::Representation;
use crate::request::view::RequestView;

/// A file, and all that is said about it in every response.
#[derive(Clone, Debug)]
pub(crate) struct FileEntry {
    /// The file as it is.
    pub(crate) plain: Representation,
    /// Its other representations; `None` where there is only this one.
    coded: Option<Box<Encodings>>,
}

impl FileEntry {
    pub(crate) fn new(mut plain: Representation, coded: Encodings) -> Self {
        let coded = coded.varies().then(|| Box::new(coded));
        if coded.is_some() {
            plain.vary();
        }
        Self { plain, coded }
    }

    /// Picks the form of the file that a request is answered with.
    #[inline]
    pub(crate) fn choose(&self, view: RequestView<'_>) -> Selection<'_> {
        match &self.coded {
            None => Selection::Send(Selected::kept(&self.plain)),
            Some(coded) => self.choose_of(coded, view),
        }
    }

    fn choose_of<'f>(&'f self, coded: &'f Encodings, view: RequestView<'_>) -> Selection<'f> {
        let accepted = view.accept_encoding().settle();
        let choice = coded.choose(accepted, view.range().is_some());
        choice.unwrap_or(Selection::Send(Selected::kept(&self.plain)))
    }

    /// As [`FileEntry::choose`], of what there is already.
    pub(crate) fn choose_now(&self, view: RequestView<'_>) -> Selected<'_> {
        match self.choose(view) {
            Selection::Send(form) => form,
            Selection::Compress(_) => Selected::kept(&self.plain),
        }
    }

    /// Whether it has no other representation, and its content is kept in memory.
    pub(crate) fn is_all_in_memory(&self) -> bool {
        self.coded.is_none() && matches!(self.plain.content, Content::Memory(_))
    }

    /// The file as it is and in all its codings.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        let coded = self.coded.iter().flat_map(|coded| coded.all());
        std::iter::once(&self.plain).chain(coded)
    }

    pub(crate) fn coded(&self) -> Option<&Encodings> {
        self.coded.as_deref()
    }

    pub(crate) fn precompressed(&self) -> Option<&Precompressed> {
        self.coded.as_ref().map(|coded| coded.precompressed())
    }

    /// Whether this is the file of `before`, beside the same siblings.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        let none = &Precompressed::default();
        let same = self.precompressed().unwrap_or(none).are(before.precompressed().unwrap_or(none));
        same && self.plain.etag == before.plain.etag && self.plain.head == before.plain.head
    }
}
