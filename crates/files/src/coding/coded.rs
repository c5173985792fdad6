//! The codings of one file: those that lie beside it, and those that were made of it.

use std::sync::Arc;

use bytes::Bytes;

use super::form::Form;
use super::select::{Offer, select};
use super::sibling::Siblings;
use crate::file::held::Held;
use crate::file::representation::Representation;
use crate::options::codings::Coding;
use crate::request::accept_encoding::Accepted;

/// What there is of a file besides the file.
#[derive(Clone, Debug)]
pub(crate) struct Coded {
    siblings: Siblings,
    made: [Made; Coding::ALL.len()],
}

/// A coding that is made as it goes.
#[derive(Clone, Debug)]
enum Made {
    /// It isn't, or there is no point in it.
    Never,
    NotYet,
    /// It was; it may have been dropped since.
    Here(Arc<Representation>),
}

/// The content of a form that was made, if it was not dropped since.
fn living(made: &Representation) -> Option<Bytes> {
    match &made.held {
        Held::Compressed(form) => form.upgrade().map(|form| form.content()),
        Held::Memory(content) => Some(content.clone()),
        Held::Open(_) => None,
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Choice<'a> {
    /// This form of the file.
    Send(Form<'a>),
    /// The file in this coding, once it is compressed.
    Compress(Coding),
}

impl Coded {
    /// `made` says which codings can be made of the file.
    pub(crate) fn new(siblings: Siblings, made: [bool; Coding::ALL.len()]) -> Self {
        let made = made.map(|can| if can { Made::NotYet } else { Made::Never });
        Self { siblings, made }
    }

    pub(crate) fn with_siblings(self, siblings: Siblings) -> Self {
        Self { siblings, ..self }
    }

    /// Whether another request may be answered in another form, now or once more is known.
    pub(crate) fn varies(&self) -> bool {
        self.siblings.any || self.made.iter().any(|made| !matches!(made, Made::Never))
    }

    /// Picks what to send; `None` is the file as it is.
    ///
    /// A range is not taken out of something that is made as it goes: what a client resumes should
    /// be there tomorrow, and most that ask for ranges (of video, of documents, of what they began
    /// to download) want the bytes of the file. A sibling is a file too, with a tag that lasts, so
    /// whoever accepts its coding gets ranges of it, and `If-Range` sees to it that they fit.
    pub(crate) fn choose(&self, accepted: Accepted, is_range: bool) -> Option<Choice<'_>> {
        let offers =
            Coding::ALL.map(|coding| match (self.siblings.get(coding), self.made(coding)) {
                (Some(sibling), _) => Offer::Sibling(sibling.size()),
                (None, Made::NotYet | Made::Here(_)) if !is_range => Offer::Made,
                (None, _) => Offer::None,
            });
        let coding = select(accepted, offers)?;
        match (self.siblings.get(coding), self.made(coding)) {
            (Some(sibling), _) => Some(Choice::Send(Form::kept(sibling))),
            (None, Made::Here(made)) => Some(match living(made) {
                Some(content) => Choice::Send(Form::made(made, content)),
                None => Choice::Compress(coding),
            }),
            (None, Made::NotYet) => Some(Choice::Compress(coding)),
            (None, Made::Never) => None,
        }
    }

    pub(crate) fn siblings(&self) -> &Siblings {
        &self.siblings
    }

    fn made(&self, coding: Coding) -> &Made {
        &self.made[coding as usize]
    }

    /// Takes what came of packing the file. Where that was of no use no other coding is tried: what
    /// one can't make smaller, none can.
    pub(crate) fn take(&mut self, coding: Coding, made: Option<Representation>) {
        match made {
            Some(made) => self.made[coding as usize] = Made::Here(Arc::new(made)),
            None => {
                for made in &mut self.made {
                    if matches!(made, Made::NotYet) {
                        *made = Made::Never;
                    }
                }
            }
        }
    }

    /// Everything there is, besides the file itself.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        let made = self.made.iter().filter_map(|made| match made {
            Made::Here(made) => Some(&**made),
            Made::Never | Made::NotYet => None,
        });
        self.siblings.all().chain(made)
    }
}
