//! The type of a file: by its name, and by the start of its content.

use super::content::Content;
use crate::naming::charset::Utf8As;
use crate::naming::mime;
use crate::options::folder_options::Options;
use crate::store::absent::Absent;

/// How much of a file decides whether it is UTF-8, if it isn't read whole. In bytes.
const CHECKED_START: usize = 64 * 1024;

/// The value of `Content-Type`. `size` is the length of the content. `utf8` is known if the whole
/// file was read. Blocks.
///
/// # Errors
///
/// When the file can't be read.
pub(crate) fn content_type(
    name: &[u8],
    content: &Content,
    size: u64,
    utf8: Option<Utf8As>,
    options: &Options,
) -> Result<String, Absent> {
    let named = mime::named(name, &options.content_types);
    let kind = named.with_start(&content.start(named.needs())?);
    let is_utf8 = match (kind.syntax, utf8) {
        (None, _) => false,
        (Some(syntax), Some(utf8)) => utf8.is(syntax),
        (Some(syntax), None) => {
            let start = content.start(CHECKED_START)?;
            Utf8As::of(&start, start.len() as u64 == size).is(syntax)
        }
    };
    Ok(kind.value(is_utf8))
}
