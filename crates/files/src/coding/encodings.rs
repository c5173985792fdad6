//! The codings of one file: those that lie beside it, and those that were made of it.

use std::sync::Arc;

use bytes::Bytes;

use super::precompressed::Precompressed;
use super::select::{Offer, select};
use super::selected::Selected;
use crate::file::content::Content;
use crate::file::representation::Representation;
use crate::options::codings::Coding;
use crate::request::accept_encoding::Accepted;

/// What there is of a file besides the file.
#[derive(Clone, Debug)]
pub(crate) struct Encodings {
    precompressed: Precompressed,
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
    match &made.content {
        Content::Compressed(form) => form.upgrade().map(|form| form.content()),
        Content::Memory(content) => Some(content.clone()),
        Content::Open(_) => None,
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Selection<'a> {
    /// This form of the file.
    Send(Selected<'a>),
    /// The file in this coding, once it is compressed.
    Compress(Coding),
}

impl Encodings {
    /// `made` says which codings can be made of the file.
    pub(crate) fn new(precompressed: Precompressed, made: [bool; Coding::ALL.len()]) -> Self {
        let made = made.map(|can| if can { Made::NotYet } else { Made::Never });
        Self { precompressed, made }
    }

    pub(crate) fn with_siblings(self, precompressed: Precompressed) -> Self {
        Self { precompressed, ..self }
    }

    /// Whether another request may be answered in another form, now or once more is known.
    pub(crate) fn varies(&self) -> bool {
        self.precompressed.any || self.made.iter().any(|made| !matches!(made, Made::Never))
    }

    /// Picks what to send; `None` is the file as it is.
    ///
    /// A range is not taken out of something that is made as it goes: what a client resumes should
    /// be there tomorrow, and most that ask for ranges (of video, of documents, of what they began
    /// to download) want the bytes of the file. A sibling is a file too, with a tag that lasts, so
    /// whoever accepts its coding gets ranges of it, and `If-Range` sees to it that they fit.
    pub(crate) fn choose(&self, accepted: Accepted, is_range: bool) -> Option<Selection<'_>> {
        let offers =
            Coding::ALL.map(|coding| match (self.precompressed.get(coding), self.made(coding)) {
                (Some(precompressed), _) => Offer::Precompressed(precompressed.size()),
                (None, Made::NotYet | Made::Here(_)) if !is_range => Offer::Made,
                (None, _) => Offer::None,
            });
        let coding = select(accepted, offers)?;
        match (self.precompressed.get(coding), self.made(coding)) {
            (Some(precompressed), _) => Some(Selection::Send(Selected::kept(precompressed))),
            (None, Made::Here(made)) => Some(match living(made) {
                Some(content) => Selection::Send(Selected::made(made, content)),
                None => Selection::Compress(coding),
            }),
            (None, Made::NotYet) => Some(Selection::Compress(coding)),
            (None, Made::Never) => None,
        }
    }

    pub(crate) fn precompressed(&self) -> &Precompressed {
        &self.precompressed
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
        self.precompressed.all().chain(made)
    }
}
