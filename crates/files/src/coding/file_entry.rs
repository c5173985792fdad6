//! A file in all its representations: as it is, and in codings.

use super::coded::{Choice, Coded};
use super::form::Form;
use super::sibling::Siblings;
use crate::file::held::Held;
use crate::file::representation::Representation;
use crate::request::view::RequestView;

/// A file, and all that is said about it in every response.
#[derive(Clone, Debug)]
pub(crate) struct FileEntry {
    /// The file as it is.
    pub(crate) plain: Representation,
    /// Its other representations; `None` where there is only this one.
    coded: Option<Box<Coded>>,
}

impl FileEntry {
    pub(crate) fn new(mut plain: Representation, coded: Coded) -> Self {
        let coded = coded.varies().then(|| Box::new(coded));
        if coded.is_some() {
            plain.vary();
        }
        Self { plain, coded }
    }

    /// Picks the form of the file that a request is answered with.
    #[inline]
    pub(crate) fn choose(&self, asked: RequestView<'_>) -> Choice<'_> {
        match &self.coded {
            None => Choice::Send(Form::kept(&self.plain)),
            Some(coded) => self.choose_of(coded, asked),
        }
    }

    fn choose_of<'f>(&'f self, coded: &'f Coded, asked: RequestView<'_>) -> Choice<'f> {
        let accepted = asked.accept_encoding().settle();
        let choice = coded.choose(accepted, asked.range().is_some());
        choice.unwrap_or(Choice::Send(Form::kept(&self.plain)))
    }

    /// As [`FileEntry::choose`], of what there is already.
    pub(crate) fn choose_now(&self, asked: RequestView<'_>) -> Form<'_> {
        match self.choose(asked) {
            Choice::Send(form) => form,
            Choice::Compress(_) => Form::kept(&self.plain),
        }
    }

    /// Whether it has no other representation, and its content is kept in memory.
    pub(crate) fn is_all_in_memory(&self) -> bool {
        self.coded.is_none() && matches!(self.plain.held, Held::Memory(_))
    }

    /// The file as it is and in all its codings.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        let coded = self.coded.iter().flat_map(|coded| coded.all());
        std::iter::once(&self.plain).chain(coded)
    }

    pub(crate) fn coded(&self) -> Option<&Coded> {
        self.coded.as_deref()
    }

    pub(crate) fn siblings(&self) -> Option<&Siblings> {
        self.coded.as_ref().map(|coded| coded.siblings())
    }

    /// Whether this is the file of `before`, beside the same siblings.
    pub(crate) fn goes_on_from(&self, before: &Self) -> bool {
        let none = &Siblings::default();
        let same = self.siblings().unwrap_or(none).are(before.siblings().unwrap_or(none));
        same && self.plain.tag == before.plain.tag && self.plain.head == before.plain.head
    }
}
