//! The content of a file that is looked up, read from where it is kept.

use std::io::{self, Read};

use crate::entry::Held;

/// Reads a file from its beginning.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    held: &'a Held,
    at: u64,
}

impl<'a> Content<'a> {
    pub(crate) fn of(held: &'a Held) -> Self {
        Self { held, at: 0 }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.held {
            Held::Memory(bytes) => {
                let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..));
                rest.unwrap_or_default().read(buffer)?
            }
            Held::Open(file) => file.read_at(self.at, buffer)?,
        };
        self.at += count as u64;
        Ok(count)
    }
}
