//! The README of a folder, which its page shows below the entries. It is read like any other file
//! of the folder, in the job that makes the page.

use super::content::{self, Content};
use super::read::Listing;
use super::rows::Row;
use super::text::put;
use crate::limits::lease::Lease;
use crate::naming::path::beneath;
use crate::store::absent::Absent;
use crate::store::traits::{Kind, Opened, Store};

/// The names of README files, in lower case. The first of them that exists and can be shown is
/// shown.
const READMES: [&[u8]; 3] = [b"readme.md", b"readme.txt", b"readme"];

/// The level that a heading of level 1 in the README gets. The heading of the README's section has
/// level 2.
const LEVEL: u8 = 3;

/// The README of a folder.
#[derive(Debug)]
pub(crate) struct Readme {
    pub(super) name: Vec<u8>,
    content: Content,
    _lease: Lease,
}

impl Readme {
    /// Reads the README of `folder`. `None` if there is none that can be shown. The second value is
    /// whether a README was left out for lack of memory: that of the system, or that of the budget,
    /// which `lease` charges. Blocks.
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
            match Content::read(&*file, readme, LEVEL, &mut lease) {
                Ok(content) => Some((name.to_vec(), content.ok()?)),
                Err(absent) => {
                    lacks_memory |= matches!(absent, Absent::OutOfMemory | Absent::Exhausted);
                    None
                }
            }
        });
        let readme = found.map(|(name, content)| {
            // This makes the lease smaller, which can't fail.
            let _ = lease.resize(content.memory());
            Self { name, content, _lease: lease }
        });
        (readme, lacks_memory)
    }

    /// Writes the README as a section of a page.
    pub(super) fn section(&self, out: &mut Vec<u8>) {
        put!(out, "<section class=\"readme\" aria-labelledby=\"readme\">\n<h2 id=\"readme\">");
        content::link(&self.name, out);
        put!(out, "</h2>\n");
        self.content.write(&self.name, out);
        put!(out, "</section>\n");
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::CancelToken;

    use super::super::content::MAX_PLAIN;
    use super::super::markdown;
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
        store.write("README.md", "\u{feff}# A");
        assert!(shown(&store, "").unwrap().contains("<h3 id=\"readme-a\">A</h3>"));
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
