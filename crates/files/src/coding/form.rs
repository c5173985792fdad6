//! A file in its forms: as it is, and in codings.

use std::borrow::Cow;

use bytes::Bytes;
use sockeye_http::Fields;

use super::{Choice, Coded, Coding, Siblings, Side};
use crate::asked::Asked;
use crate::blocks::{value, with, without};
use crate::entry::{FileEntry, Held};
use crate::head::Head;
use crate::identity::Identity;

/// A form of a file, and its content where the file doesn't keep that itself.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    pub(crate) file: &'a FileEntry,
    pub(crate) made: Option<Bytes>,
}

impl<'a> Form<'a> {
    /// One that keeps its content.
    pub(crate) fn kept(file: &'a FileEntry) -> Self {
        Self { file, made: None }
    }

    /// One that was made, with its content.
    pub(crate) fn made(file: &'a FileEntry, content: Bytes) -> Self {
        Self { file, made: Some(content) }
    }
}

impl FileEntry {
    /// Picks the form of the file that a request is answered with.
    #[inline]
    pub(crate) fn choose(&self, asked: Asked<'_>) -> Choice<'_> {
        match &self.coded {
            None => Choice::Send(Form::kept(self)),
            Some(coded) => self.choose_of(coded, asked),
        }
    }

    fn choose_of<'f>(&'f self, coded: &'f Coded, asked: Asked<'_>) -> Choice<'f> {
        let accepted = asked.accept_encoding().settle();
        coded.choose(accepted, asked.range().is_some()).unwrap_or(Choice::Send(Form::kept(self)))
    }

    /// As [`FileEntry::choose`], of what there is already.
    pub(crate) fn choose_now(&self, asked: Asked<'_>) -> Form<'_> {
        match self.choose(asked) {
            Choice::Send(form) => form,
            Choice::Pack(_) => Form::kept(self),
        }
    }

    /// What is said of the file in a coding that it would have to be made in first: all but its length
    /// and its ETag, which nobody knows yet (RFC 9110, 9.3.2).
    pub(crate) fn fields_of_unmade(&self, coding: Coding) -> Fields {
        let fields = without(&self.head.fields, &["ETag", "Accept-Ranges"]);
        with(Cow::Owned(fields), "Content-Encoding", coding.name())
    }

    /// The file in a coding, with a tag of its own; all else that is said of it stays.
    pub(crate) fn coded(
        &self,
        coding: Coding,
        tag: &str,
        identity: Identity,
        settled: bool,
        held: Held,
    ) -> Self {
        let mut form = self.clone();
        form.coded = None;
        form.vary();
        let tag = coding.tag(tag);
        let Head { fields, not_modified } = form.head_mut();
        for fields in [&mut *fields, not_modified] {
            *fields = with(Cow::Owned(without(fields, &["ETag"])), "ETag", &tag);
        }
        *fields = with(Cow::Borrowed(fields), "Content-Encoding", coding.name());
        Self { tag, identity, settled, held, ..form }
    }

    /// Has every reply say that another request may get another form.
    fn vary(&mut self) {
        if !std::mem::replace(&mut self.varies, true) {
            let Head { fields, not_modified } = self.head_mut();
            for fields in [fields, not_modified] {
                *fields = with(Cow::Borrowed(fields), "Vary", "Accept-Encoding");
            }
        }
    }

    pub(crate) fn set_coded(&mut self, coded: Coded) {
        if coded.varies() {
            self.vary();
            self.coded = Some(Box::new(coded));
        }
    }

    pub(crate) fn take_coded(&mut self) -> Option<Box<Coded>> {
        self.coded.take()
    }

    pub(crate) fn siblings(&self) -> Option<&Siblings> {
        self.coded.as_ref().map(|coded| coded.siblings())
    }

    /// Whether this is the file of `before`, beside the same siblings.
    pub(crate) fn goes_on_from(&self, before: &Self) -> bool {
        let none = &Siblings::default();
        let same = self.siblings().unwrap_or(none).are(before.siblings().unwrap_or(none));
        same && self.tag == before.tag && self.head == before.head
    }

    /// This file as what a sibling is compared with.
    pub(crate) fn side(&self) -> Side<'_> {
        Side { name: &self.name, held: &self.held, identity: &self.identity, settled: self.settled }
    }

    /// As it is said in every reply.
    pub(crate) fn content_type(&self) -> Option<&str> {
        std::str::from_utf8(value(&self.head.fields, "Content-Type")?).ok()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}
