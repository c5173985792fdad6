//! What is sent of a file: one of its representations.

use bytes::Bytes;
use sockeye_http::Body;

use crate::file::representation::Representation;

/// A form of a file, and its content where the file doesn't keep that itself.
#[derive(Debug)]
pub(crate) struct Selected<'a> {
    pub(crate) file: &'a Representation,
    pub(crate) made: Option<Bytes>,
}

impl<'a> Selected<'a> {
    /// One that keeps its content.
    pub(crate) fn kept(file: &'a Representation) -> Self {
        Self { file, made: None }
    }

    /// One that was made, with its content.
    pub(crate) fn made(file: &'a Representation, content: Bytes) -> Self {
        Self { file, made: Some(content) }
    }
}

impl Selected<'_> {
    /// All of it.
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.made {
            Some(content) => Body::Shared(content),
            None => self.file.body(),
        }
    }
}
