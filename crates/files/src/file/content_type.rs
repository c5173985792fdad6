//! The type and the coding of a file: by its name, and by the start of its content.

use super::content::Content;
use super::reader::{LoadError, Reader};
use crate::naming::charset::Utf8As;
use crate::naming::mime;
use crate::options::codings::Coding;
use crate::options::folder_options::Options;

/// How many bytes at the start of a file are checked for UTF-8, unless the whole file was checked
/// while it was hashed.
const CHECKED_START: usize = 64 * 1024;

/// What a file's responses say about its content.
#[derive(Debug)]
pub(crate) struct ContentType {
    /// The value of `Content-Type`.
    pub(crate) kind: String,
    /// The coding that the file is stored in: the value of `Content-Encoding`.
    pub(crate) coding: Option<Coding>,
}

impl ContentType {
    /// The type and the coding of the file `name`. `utf8` is whether the whole file is UTF-8, if
    /// that was checked while the file was hashed.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::start`].
    pub(crate) fn of(
        name: &[u8],
        content: &Content,
        utf8: Option<Utf8As>,
        options: &Options,
        reader: &Reader<'_>,
    ) -> Result<Self, LoadError> {
        // `name_without_coding` is the name without the coding's extension, such as `app.js` for
        // `app.js.gz`.
        let (coding, name_without_coding) = match options.content_encodings.of(name) {
            Some((coding, name_without_coding)) => (Some(coding), name_without_coding),
            None => (None, name),
        };
        let named = mime::named(name, name_without_coding, &options.content_types);
        if let Some(coding) = coding
            && reader.start(content, coding.magic().len())? == coding.magic()
        {
            // The text is not decompressed here, so the type doesn't claim that it is UTF-8.
            let kind = named.with_start(b"").value(false);
            return Ok(Self { kind, coding: Some(coding) });
        }
        let kind = named.with_start(&reader.start(content, named.needs())?);
        let is_utf8 = match (kind.syntax, utf8) {
            (None, _) => false,
            (Some(syntax), Some(utf8)) => utf8.is(syntax),
            (Some(syntax), None) => {
                let start = reader.start(content, CHECKED_START + 1)?;
                let is_whole = start.len() <= CHECKED_START;
                Utf8As::of(&start[..start.len().min(CHECKED_START)], is_whole).is(syntax)
            }
        };
        Ok(Self { kind: kind.value(is_utf8), coding: None })
    }
}
