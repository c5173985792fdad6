//! Reads small files, which may be pipes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Problem};

/// Maximum size of a file, in bytes. Mozilla's bundle of CA certificates has less than 300 KB.
const MAX_SIZE: u64 = 1024 * 1024;

/// A file that was read.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<[u8]>,
    /// Every user of the machine may read the file.
    pub(crate) is_public: bool,
}

/// Reads files several times. Keeps the content of files that can be read only once, such as a pipe
/// from `<(command)`.
#[derive(Default)]
pub(crate) struct Reader {
    kept: HashMap<PathBuf, Content>,
    /// All files have been read once. From then on, a path that has become a pipe is not opened,
    /// because that may wait forever for a writer.
    has_read: bool,
}

impl Reader {
    /// Reads a file, or returns the content that was kept.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Content, Error> {
        if let Some(content) = self.kept.get(path) {
            return Ok(content.clone());
        }
        // If this fails, so does `read` below, which reports the error.
        let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        if is_special && self.has_read {
            return Err(Error::file(path, Problem::NotAFile));
        }
        let content = read(path)?;
        if is_special {
            self.kept.insert(path.to_owned(), content.clone());
        }
        Ok(content)
    }

    /// Reads the file of a certificate and the file of its key. Both may be the same file.
    pub(crate) fn read_pair(&mut self, [chain, key]: &[PathBuf; 2]) -> Result<[Content; 2], Error> {
        let content = self.read(chain)?;
        if chain == key {
            return Ok([content.clone(), content]);
        }
        Ok([content, self.read(key)?])
    }

    /// Records that all files have been read once.
    pub(crate) fn set_has_read(&mut self) {
        self.has_read = true;
    }
}

/// Reads a file once.
pub(crate) fn read(path: &Path) -> Result<Content, Error> {
    read_file(path).map_err(|problem| Error::file(path, problem))
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
    let bytes = bytes.into();
    Ok(Content { bytes, is_public: metadata.permissions().mode() & 0o004 != 0 })
}
