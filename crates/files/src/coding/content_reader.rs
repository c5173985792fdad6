//! Reading a content that was looked up, as long as somebody waits for the result.

use std::io::{self, Read};

use sockeye_proto::Cancel;

use crate::file::content::Content;

/// Reads a content from its beginning.
#[derive(Debug)]
pub(crate) struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
    cancel: Cancel,
}

impl<'a> ContentReader<'a> {
    /// Reading fails once it is cancelled.
    pub(crate) fn new(content: &'a Content, cancel: Cancel) -> Self {
        Self { content, at: 0, cancel }
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
            // Compressed content is not compressed again.
            Content::Compressed(_) => 0,
        };
        self.at += count as u64;
        Ok(count)
    }
}
