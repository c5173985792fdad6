//! Looking a name up: which file it leads to, opened and read as far as it is kept. Runs off the
//! loop and may block.

use bytes::Bytes;

use crate::entry::{FileEntry, Held, SMALL};
use crate::path::Wanted;
use crate::store::{Absent, Opened, Store, Stored};

/// How often a file that changes under our eyes is read again before we give up.
const TRIES: usize = 8;

/// The page of a folder.
const INDEX: &[u8] = b"index.html";

/// What a name was found to lead to.
pub(crate) enum Found {
    Folder,
    File(FileEntry),
    /// The file that is known already.
    Same,
}

pub(crate) fn find(
    store: &dyn Store,
    wanted: Wanted<'_>,
    known: Option<&FileEntry>,
) -> Result<Found, Absent> {
    if let Some(single) = store.single_file() {
        let named = wanted.key().is_empty() || wanted.key() == single;
        return if named { load(store, single, known) } else { Err(Absent::Missing) };
    }
    if !wanted.is_folder() {
        return load(store, wanted.name(), known);
    }
    let index = [wanted.key(), INDEX].concat();
    match load(store, &index, known) {
        Ok(Found::Folder) => Err(Absent::NoIndex),
        Err(Absent::Missing) => Err(match store.open(wanted.name())? {
            Opened::Folder => Absent::NoIndex,
            Opened::File(..) => Absent::NotAFolder,
        }),
        found => found,
    }
}

/// Opens `name` and, where it is small, reads it whole: never half of one content and half of
/// another.
fn load(store: &dyn Store, name: &[u8], known: Option<&FileEntry>) -> Result<Found, Absent> {
    for _ in 0..TRIES {
        // The clock first: what is written after it was read has a later stamp.
        let now = store.now();
        let (file, identity) = match store.open(name)? {
            Opened::Folder => return Ok(Found::Folder),
            Opened::File(file, identity) => (file, identity),
        };
        if known.is_some_and(|known| known.still_is(&identity)) {
            return Ok(Found::Same);
        }
        if identity.size > SMALL {
            return Ok(Found::File(FileEntry::new(name, identity, now, Held::Open(file))));
        }
        let content = read(&*file, identity.size)?;
        if let Some(content) = content.filter(|_| file.identity() == Ok(identity)) {
            return Ok(Found::File(FileEntry::new(name, identity, now, Held::Memory(content))));
        }
    }
    Err(Absent::Changing)
}

/// Reads `size` bytes from the beginning; `None` where there are fewer.
fn read(file: &dyn Stored, size: u64) -> Result<Option<Bytes>, Absent> {
    let mut content = vec![0; usize::try_from(size).map_err(|_| Absent::Exhausted)?];
    let mut filled = 0;
    while filled < content.len() {
        match file.read_at(filled as u64, &mut content[filled..]) {
            Ok(0) => return Ok(None),
            Ok(count) => filled += count,
            Err(error) => return Err(Absent::Failed(error.raw_os_error().unwrap_or(0))),
        }
    }
    let bytes = Bytes::from(content);
    // The first clone of such bytes allocates the count that they are shared by. Here, not there.
    drop(bytes.clone());
    Ok(Some(bytes))
}
