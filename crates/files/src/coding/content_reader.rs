//! The content of a file that is looked up, read from where it is kept, for as long as somebody waits
//! for what is made of it.

use std::io::{self, Read};

use sockeye_proto::Cancel;

use crate::file::content::Content;

/// Reads a file from its beginning.
#[derive(Debug)]
pub(crate) struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
    cancel: Cancel,
}

impl<'a> ContentReader<'a> {
    pub(crate) fn of(content: &'a Content) -> Self {
        Self { content, at: 0, cancel: Cancel::default() }
    }

    /// The same, which fails as soon as it is cancelled.
    pub(crate) fn unless(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let count = match self.content {
            Content::Memory(bytes) => {
                let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..));
                rest.unwrap_or_default().read(buffer)?
            }
            Content::Open(file) => file.read_at(self.at, buffer)?,
            // Nothing is made of what was made.
            Content::Compressed(_) => 0,
        };
        self.at += count as u64;
        Ok(count)
    }
}
