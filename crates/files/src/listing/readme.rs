//! The README of a folder, which its page shows below the entries: Markdown rendered, anything else
//! as plain text. It is read like any other file of the folder, in the job that makes the page.

#[cfg(feature = "markdown")]
use super::markdown;
use super::read::Listing;
use super::rows::Row;
use super::text::{self, put};
use crate::limits::lease::Lease;
use crate::naming::path::beneath;
use crate::store::absent::Absent;
use crate::store::traits::{Kind, OpenFile, Opened, Store};

/// The most bytes of a plain README that are shown.
pub(super) const MAX_PLAIN: usize = 64 * 1024;

/// The names of README files, in lower case. The first that can be shown is shown.
const READMES: [&[u8]; 3] = [b"readme.md", b"readme.txt", b"readme"];

/// The README of a folder.
#[derive(Debug)]
pub(crate) struct Readme {
    pub(super) name: Vec<u8>,
    content: Content,
    /// Whether the content is only the beginning.
    is_truncated: bool,
    _lease: Lease,
}

#[derive(Debug)]
enum Content {
    Plain(Vec<u8>),
    /// HTML.
    #[cfg(feature = "markdown")]
    Rendered(Vec<u8>),
}

impl Readme {
    /// Reads the README of `folder`. `None` if there is none that can be shown. The second value is
    /// whether one is missing only because `lease` can't be resized for it. Blocks.
    pub(super) fn read(
        listing: &Listing,
        store: &dyn Store,
        folder: &[u8],
        mut lease: Lease,
    ) -> (Option<Self>, bool) {
        let mut lacks_memory = false;
        let found = READMES.iter().find_map(|readme| {
            let this =
                |row: &Row<'_>| row.kind == Kind::File && row.name.eq_ignore_ascii_case(readme);
            let name = listing.rows.iter().find(this)?.name;
            let Ok(Opened::File(file, _)) = store.open(&beneath(folder, name)) else { return None };
            let content = content(readme, &*file, &mut lease);
            lacks_memory |= content.is_err();
            let (content, is_truncated) = content.ok()??;
            Some((name.to_vec(), content, is_truncated))
        });
        let readme = found
            .map(|(name, content, is_truncated)| Self::new(name, content, is_truncated, lease));
        (readme, lacks_memory)
    }

    fn new(name: Vec<u8>, content: Content, is_truncated: bool, mut lease: Lease) -> Self {
        let memory = match &content {
            Content::Plain(text) => text.capacity(),
            #[cfg(feature = "markdown")]
            Content::Rendered(html) => html.capacity(),
        };
        // This makes the lease smaller, which can't fail.
        let _ = lease.resize(memory);
        Self { name, content, is_truncated, _lease: lease }
    }

    /// Writes it as a section of a page.
    pub(super) fn section(&self, out: &mut Vec<u8>) {
        let link = |out: &mut Vec<u8>| {
            put!(out, "<a href=\"");
            text::url(&self.name, out);
            put!(out, "\">");
        };
        put!(out, "<section class=\"readme\" aria-labelledby=\"readme\">\n<h2 id=\"readme\">");
        link(out);
        text::html(&self.name, out);
        put!(out, "</a></h2>\n");
        match &self.content {
            Content::Plain(text) => {
                put!(out, "<pre tabindex=\"0\">");
                text::html_lines(text, out);
                put!(out, "</pre>\n");
            }
            #[cfg(feature = "markdown")]
            Content::Rendered(html) => {
                put!(out, "<div class=\"md\">\n");
                out.extend_from_slice(html);
                put!(out, "</div>\n");
            }
        }
        if self.is_truncated {
            put!(out, "<p class=\"rest\">This is only the beginning of ");
            link(out);
            text::html(&self.name, out);
            put!(out, "</a>.</p>\n");
        }
        put!(out, "</section>\n");
    }
}

/// The content of a README with this name, and whether it is only the beginning. `None` if it can't
/// be read, or if it is Markdown that is not UTF-8, too long, or more than the renderer takes.
/// Fails if `lease` can't be resized for it.
fn content(
    readme: &[u8],
    file: &dyn OpenFile,
    lease: &mut Lease,
) -> Result<Option<(Content, bool)>, Absent> {
    #[cfg(feature = "markdown")]
    if readme.ends_with(b".md") {
        let text = match beginning(file, markdown::MAX_LEN, lease)? {
            Some((text, false)) => String::from_utf8(text).ok(),
            _ => None,
        };
        let rendering = text.and_then(|text| markdown::memory(&text).map(|memory| (text, memory)));
        let Some((text, memory)) = rendering else { return Ok(None) };
        if !lease.resize(memory) {
            return Err(Absent::Exhausted);
        }
        let (html, is_truncated) = markdown::render(&text);
        return Ok(Some((Content::Rendered(html), is_truncated)));
    }
    let _ = readme;
    let text = beginning(file, MAX_PLAIN, lease)?;
    Ok(text.map(|(text, is_truncated)| (Content::Plain(text), is_truncated)))
}

/// The first `max_len` bytes of a file, and whether there are more. `None` if it can't be read.
/// Fails if `lease` can't be resized for it.
fn beginning(
    file: &dyn OpenFile,
    max_len: usize,
    lease: &mut Lease,
) -> Result<Option<(Vec<u8>, bool)>, Absent> {
    if !lease.resize(max_len + 1) {
        return Err(Absent::Exhausted);
    }
    let mut text = vec![0; max_len + 1];
    let Ok(filled) = file.fill(0, &mut text) else { return Ok(None) };
    text.truncate(filled.min(max_len));
    text.shrink_to_fit();
    Ok(Some((text, filled > max_len)))
}

#[cfg(test)]
mod tests {
    use sockeye_proto::CancelToken;

    use super::*;
    use crate::store::memory::Memory;

    fn read(store: &Memory, folder: &str, lease: Lease) -> Option<Readme> {
        let (whole, cancel) = (crate::tests::lease(1 << 30), CancelToken::default());
        let listing = Listing::read(store, folder.as_bytes(), whole, &cancel).unwrap();
        Readme::read(&listing, store, folder.as_bytes(), lease).0
    }

    fn readme(store: &Memory, folder: &str) -> Option<Readme> {
        read(store, folder, crate::tests::lease(1 << 30))
    }

    fn shown(store: &Memory, folder: &str) -> Option<String> {
        readme(store, folder).map(|readme| {
            let mut out = Vec::new();
            readme.section(&mut out);
            String::from_utf8(out).unwrap()
        })
    }

    #[test]
    fn readmes_are_found_in_any_case_and_by_preference() {
        let store = Memory::new();
        for (name, content) in [
            ("README", "plain"),
            ("ReadMe.TXT", "text"),
            ("sub/readme.md", "# sub"),
            ("none/readme.md/x", ""),
        ] {
            store.write(name, content);
        }
        let readme = |folder: &str| readme(&store, folder).map(|readme| readme.name);
        assert_eq!(readme("").as_deref(), Some(&b"ReadMe.TXT"[..]));
        assert_eq!(readme("sub").as_deref(), Some(&b"readme.md"[..]));
        assert_eq!(readme("none"), None, "a folder of that name");
    }

    #[test]
    fn long_plain_readmes_are_cut_and_say_so() {
        let store = Memory::new();
        for (len, is_truncated) in [(MAX_PLAIN, false), (MAX_PLAIN + 1, true)] {
            store.write("README", vec![b'a'; len]);
            let shown = shown(&store, "").unwrap();
            assert_eq!(shown.matches("aaaa").count(), MAX_PLAIN / 4);
            assert_eq!(shown.contains("This is only the beginning of <a"), is_truncated);
        }
    }

    #[test]
    fn markdown_that_is_too_long_or_not_utf8_is_not_shown() {
        let store = Memory::new();
        store.write("README.md", vec![b'a'; markdown::MAX_LEN]);
        assert!(shown(&store, "").unwrap().contains("<div class=\"md\">\n<p>aaaa"));
        store.write("README.md", vec![b'a'; markdown::MAX_LEN + 1]);
        assert_eq!(shown(&store, ""), None);
        store.write("README.md", b"caf\xe9".to_vec());
        assert_eq!(shown(&store, ""), None);
        store.write("README", "plain");
        assert!(shown(&store, "").unwrap().contains("<pre tabindex=\"0\">plain</pre>"));
    }

    #[test]
    fn a_readme_is_charged_to_the_budget() {
        let (store, text) = (Memory::new(), "*a*".repeat(1000));
        let is_shown = |bytes| read(&store, "", crate::tests::lease(bytes)).is_some();
        store.write("README.md", &*text);
        let memory = markdown::memory(&text).unwrap() as u64;
        assert!(is_shown(memory) && !is_shown(memory - 1));
        store.write("README.md", "");
        assert!(!is_shown(markdown::MAX_LEN as u64), "for reading it");
        store.write("README", "plain");
        assert!(is_shown(MAX_PLAIN as u64 + 1), "the next one needs less");
        store.write("README.md", "[".repeat(markdown::MAX_LEN));
        assert!(shown(&store, "").unwrap().contains("plain"), "more than the renderer takes");
    }
}
