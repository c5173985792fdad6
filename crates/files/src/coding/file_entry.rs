//! A file with its representations: its content as it is on disk, and in content codings.

use bytes::Bytes;
use sockeye_http::Body;

use super::encodings::{Encodings, OnDemand};
use super::precompressed::Precompressed;
use crate::file::content::Content;
use crate::file::representation::Representation;
use crate::options::codings::Coding;
use crate::request::view::RequestView;

/// A file with its representations.
#[derive(Clone, Debug)]
pub(crate) struct FileEntry {
    /// The file as it is on disk.
    pub(crate) original: Representation,
    /// The file in content codings, precompressed or compressed on demand. `None` if the file is
    /// only sent as it is.
    pub(crate) encodings: Option<Box<Encodings>>,
}

/// The representation that is sent for a request (RFC 9110, 3.2: the selected representation).
#[derive(Debug)]
pub(crate) struct Selected<'a> {
    pub(crate) file: &'a Representation,
    /// The compressed content, if `file` was compressed on demand. It is from the cache.
    pub(crate) compressed: Option<Bytes>,
}

/// What to do for a request.
#[derive(Debug)]
pub(crate) enum Selection<'a> {
    Send(Selected<'a>),
    /// The file has to be compressed in this coding first.
    Compress(Coding),
}

impl<'a> Selected<'a> {
    /// Selects `file`, which was not compressed on demand.
    pub(crate) fn of(file: &'a Representation) -> Self {
        Self { file, compressed: None }
    }

    /// The whole content.
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.compressed {
            Some(content) => Body::Shared(content),
            None => self.file.body(),
        }
    }
}

impl FileEntry {
    pub(crate) fn new(mut original: Representation, encodings: Encodings) -> Self {
        let encodings = encodings.needs_vary().then(|| Box::new(encodings));
        if encodings.is_some() {
            original.add_vary();
        }
        Self { original, encodings }
    }

    /// Selects the representation for a request.
    #[inline]
    pub(crate) fn select(&self, view: RequestView<'_>) -> Selection<'_> {
        match &self.encodings {
            None => Selection::Send(Selected::of(&self.original)),
            Some(encodings) => self.negotiate(encodings, view),
        }
    }

    fn negotiate<'f>(&'f self, encodings: &'f Encodings, view: RequestView<'_>) -> Selection<'f> {
        let accepted = view.accept_encoding().finish();
        let Some((coding, found)) = encodings.select(accepted, view.range().is_some()) else {
            return Selection::Send(Selected::of(&self.original));
        };
        let file = match found {
            Ok(precompressed) => return Selection::Send(Selected::of(precompressed)),
            // `Err` is no error here, but the state of compressing on demand.
            Err(OnDemand::Compressed(compressed)) => compressed,
            Err(_) => return Selection::Compress(coding),
        };
        match &file.content {
            Content::Compressed(content) => match content.upgrade() {
                Some(content) => {
                    Selection::Send(Selected { file, compressed: Some(content.content()) })
                }
                // The cache has evicted it.
                None => Selection::Compress(coding),
            },
            // Not of a file that was compressed on demand.
            Content::Memory(_) | Content::Open(_) => Selection::Send(Selected::of(file)),
        }
    }

    /// Like [`FileEntry::select`], but selects the uncompressed file instead of one that would have
    /// to be compressed first.
    pub(crate) fn select_ready(&self, view: RequestView<'_>) -> Selected<'_> {
        match self.select(view) {
            Selection::Send(selected) => selected,
            Selection::Compress(_) => Selected::of(&self.original),
        }
    }

    /// Whether the original is the only representation, and its content is in memory.
    pub(crate) fn is_all_in_memory(&self) -> bool {
        self.encodings.is_none() && matches!(self.original.content, Content::Memory(_))
    }

    /// All representations that exist, the original first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        let encodings = self.encodings.iter().flat_map(|encodings| encodings.all());
        std::iter::once(&self.original).chain(encodings)
    }

    pub(crate) fn precompressed(&self) -> Option<&Precompressed> {
        self.encodings.as_ref().map(|encodings| &encodings.precompressed)
    }

    /// Whether the file and its precompressed files are unchanged since `before`, an earlier entry
    /// for the file. If the ETag is a hash of the content, a file with the same ETag is unchanged,
    /// even if its identity on disk has changed.
    pub(crate) fn is_same_file_as(&self, before: &Self) -> bool {
        let none = &Precompressed::default();
        let [this, that] = [self, before].map(|file| file.precompressed().unwrap_or(none));
        let (file, known) = (&self.original, &before.original);
        let is_same_content = file.is_hashed || file.identity == known.identity;
        this.is_same(that) && is_same_content && file.etag == known.etag && file.head == known.head
    }
}
