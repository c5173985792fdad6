//! The type and the coding of a file: by its name, and by the start of its content.

use super::content::Content;
use crate::naming::charset::Utf8As;
use crate::naming::mime;
use crate::options::codings::Coding;
use crate::options::folder_options::Options;
use crate::store::absent::Absent;

/// How much of a file decides whether it is UTF-8, if it isn't read whole. In bytes.
const CHECKED_START: usize = 64 * 1024;

/// What a file's responses say about its content.
#[derive(Debug)]
pub(crate) struct ContentType {
    /// The value of `Content-Type`.
    pub(crate) kind: String,
    /// The coding that it is stored in: the value of `Content-Encoding`.
    pub(crate) coding: Option<Coding>,
}

impl ContentType {
    /// `size` is the length of the content. `utf8` is known if the whole file was read. Blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub(crate) fn of(
        name: &[u8],
        content: &Content,
        size: u64,
        utf8: Option<Utf8As>,
        options: &Options,
    ) -> Result<Self, Absent> {
        let (coding, typed_name) = match options.content_encodings.of(name) {
            Some((coding, typed_name)) => (Some(coding), typed_name),
            None => (None, name),
        };
        let named = mime::named(name, typed_name, &options.content_types);
        if let Some(coding) = coding
            && content.start(coding.magic().len())? == coding.magic()
        {
            // The text itself isn't known, and so not claimed to be UTF-8.
            let kind = named.with_start(b"").value(false);
            return Ok(Self { kind, coding: Some(coding) });
        }
        let kind = named.with_start(&content.start(named.needs())?);
        let is_utf8 = match (kind.syntax, utf8) {
            (None, _) => false,
            (Some(syntax), Some(utf8)) => utf8.is(syntax),
            (Some(syntax), None) => {
                let start = content.start(CHECKED_START)?;
                Utf8As::of(&start, start.len() as u64 == size).is(syntax)
            }
        };
        Ok(Self { kind: kind.value(is_utf8), coding: None })
    }
}
