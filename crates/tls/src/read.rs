//! Reads small files.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Problem};

/// Maximum size of a file. The largest bundles of authorities have less than 300 KB.
const MAX_SIZE: u64 = 1024 * 1024;

/// A file that was read.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// Every user of the machine may read it.
    pub(crate) is_public: bool,
}

pub(crate) fn read(path: &Path) -> Result<Content, Error> {
    read_file(path).map_err(|problem| Error::File(path.to_owned(), problem))
}

fn read_file(path: &Path) -> Result<Content, Problem> {
    let file = File::open(path).map_err(Problem::Unreadable)?;
    let metadata = file.metadata().map_err(Problem::Unreadable)?;
    if metadata.is_dir() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(Problem::Unreadable)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Problem::TooLarge);
    }
    Ok(Content { bytes, is_public: metadata.permissions().mode() & 0o004 != 0 })
}
