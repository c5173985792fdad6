//! The text of a file as a part of a page: Markdown rendered, anything else as plain text.

use std::fmt;

#[cfg(feature = "markdown")]
use super::markdown;
#[cfg(feature = "markdown")]
use super::markdown_name::is_markdown;
use super::text::{self, put};
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::traits::OpenFile;

/// The most bytes of a plain text that are shown.
pub(super) const MAX_PLAIN: usize = 64 * 1024;

/// The most bytes of HTML for one byte of a plain text: `&quot;`.
const MAX_ESCAPED: usize = 6;

/// The text of a file.
#[derive(Debug)]
pub(super) struct Content {
    form: Form,
    /// Whether this is only the beginning of the file.
    pub(super) is_truncated: bool,
    /// The text of the first heading, if the file is Markdown.
    pub(super) title: Option<String>,
}

#[derive(Debug)]
enum Form {
    Plain(Vec<u8>),
    /// HTML.
    #[cfg(feature = "markdown")]
    Rendered(Vec<u8>),
}

/// Why a Markdown file is not rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "markdown"), expect(dead_code, reason = "no file is Markdown"))]
pub(super) enum NotRendered {
    TooLong,
    NotUtf8,
    /// Rendering it would take too much time or memory.
    TooComplex,
}

impl fmt::Display for NotRendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 256 KiB",
            Self::NotUtf8 => "it is not in UTF-8",
            Self::TooComplex => "it has too much markup",
        })
    }
}

impl Content {
    /// Reads the content of the file `name`, or returns why it is not rendered. May block. In
    /// rendered Markdown, a heading of level 1 gets the level `level`, one of level 2 the next
    /// level, and so on, up to level 6.
    ///
    /// # Errors
    ///
    /// If the file can't be read. [`Absent::Exhausted`] if the memory budget of `lease` has too
    /// little left for the content.
    pub(super) fn read(
        file: &dyn OpenFile,
        name: &[u8],
        level: u8,
        lease: &mut Lease,
    ) -> Result<Result<Self, NotRendered>, Absent> {
        #[cfg(feature = "markdown")]
        if is_markdown(name) {
            return Self::rendered(file, level, lease);
        }
        let _ = (name, level);
        Self::plain(file, lease).map(Ok)
    }

    #[cfg(feature = "markdown")]
    fn rendered(
        file: &dyn OpenFile,
        level: u8,
        lease: &mut Lease,
    ) -> Result<Result<Self, NotRendered>, Absent> {
        let (text, is_truncated) = beginning(file, markdown::MAX_LEN, lease)?;
        if is_truncated {
            return Ok(Err(NotRendered::TooLong));
        }
        let Ok(text) = String::from_utf8(text) else { return Ok(Err(NotRendered::NotUtf8)) };
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let Some(memory) = markdown::memory(text) else {
            return Ok(Err(NotRendered::TooComplex));
        };
        if !lease.resize(memory) {
            return Err(Absent::Exhausted);
        }
        let markdown::Rendered { html, title, is_truncated } = markdown::render(text, level);
        Ok(Ok(Self { form: Form::Rendered(html), is_truncated, title }))
    }

    /// Reads the file as plain text. May block. Errors: as [`Self::read`].
    pub(super) fn plain(file: &dyn OpenFile, lease: &mut Lease) -> Result<Self, Absent> {
        let (text, is_truncated) = beginning(file, MAX_PLAIN, lease)?;
        Ok(Self { form: Form::Plain(text), is_truncated, title: None })
    }

    /// The memory that the content holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        match &self.form {
            Form::Plain(text) => text.capacity(),
            #[cfg(feature = "markdown")]
            Form::Rendered(html) => html.capacity(),
        }
    }

    /// The most bytes that [`Self::write`] writes with this `name`.
    pub(super) fn max_len(&self, name: &[u8]) -> usize {
        let text = match &self.form {
            Form::Plain(text) => MAX_ESCAPED * text.len(),
            #[cfg(feature = "markdown")]
            Form::Rendered(html) => html.len(),
        };
        // The name is written in a URL, where each of its bytes takes up to 3, and as text. The 256
        // bytes are for the markup around it and the content.
        text + (3 + MAX_ESCAPED) * name.len() + 256
    }

    /// Writes the content as HTML. `name` is the name of the file.
    pub(super) fn write(&self, name: &[u8], out: &mut Vec<u8>) {
        match &self.form {
            Form::Plain(text) => {
                put!(out, "<pre tabindex=\"0\">");
                text::html_lines(text, out);
                put!(out, "</pre>\n");
            }
            #[cfg(feature = "markdown")]
            Form::Rendered(html) => {
                put!(out, "<div class=\"md\">\n");
                out.extend_from_slice(html);
                put!(out, "</div>\n");
            }
        }
        if self.is_truncated {
            put!(out, "<p class=\"rest\">This is only the beginning of ");
            link(name, out);
            put!(out, ".</p>\n");
        }
    }
}

/// Writes a link to the file `name` of the page's folder.
pub(super) fn link(name: &[u8], out: &mut Vec<u8>) {
    put!(out, "<a href=\"");
    text::url(name, out);
    put!(out, "\">");
    text::html(name, out);
    put!(out, "</a>");
}

/// The first `max_len` bytes of a file, and whether there are more. Fails if the file can't be
/// read, or if `lease` can't be resized for these bytes.
fn beginning(
    file: &dyn OpenFile,
    max_len: usize,
    lease: &mut Lease,
) -> Result<(Vec<u8>, bool), Absent> {
    if !lease.resize(max_len + 1) {
        return Err(Absent::Exhausted);
    }
    let mut text = vec![0; max_len + 1];
    let filled = file.fill(0, &mut text)?;
    text.truncate(filled.min(max_len));
    text.shrink_to_fit();
    Ok((text, filled > max_len))
}
