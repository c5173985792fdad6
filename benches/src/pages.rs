//! The files of a web page, with realistic names, sizes and compression ratios.
//!
//! Text files have precompressed files beside them, made by the programs `brotli` and `gzip`.

use std::{fs, path::Path, process::Command};

use crate::Result;

/// One file of the web page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageFile {
    pub(crate) name: &'static str,
    size: usize,
}

const fn page(name: &'static str, size: usize) -> PageFile {
    PageFile { name, size }
}

/// 20 files of 3 KB to 300 KB, 1 MB in total.
pub(crate) const PAGE_FILES: [PageFile; 20] = [
    page("index.html", 18_000),
    page("header.html", 3_000),
    page("footer.html", 4_000),
    page("reset.css", 3_000),
    page("layout.css", 25_000),
    page("theme.css", 12_000),
    page("components.css", 60_000),
    page("vendor.js", 300_000),
    page("app.js", 120_000),
    page("router.js", 20_000),
    page("helpers.js", 9_000),
    page("analytics.js", 30_000),
    page("data.json", 40_000),
    page("logo.svg", 5_000),
    page("icons.svg", 35_000),
    page("regular.woff2", 48_000),
    page("bold.woff2", 52_000),
    page("hero.webp", 180_000),
    page("thumb-1.webp", 22_000),
    page("thumb-2.webp", 19_000),
];

impl PageFile {
    fn is_text(&self) -> bool {
        !self.name.ends_with(".woff2") && !self.name.ends_with(".webp")
    }

    /// For a text file, words in an order that rarely repeats; otherwise, pseudo-random bytes.
    fn content(&self) -> Vec<u8> {
        const WORDS: [&str; 16] = [
            "function", "return", "const", "display", "margin", "color", "width", "value", "class",
            "=> {", "};\n", "0;\n", "\"main\"", "<div>", "</div>\n", "var(--x)",
        ];
        let mut state = self.size as u64 | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut content = Vec::with_capacity(self.size + 16);
        while content.len() < self.size {
            let random = next();
            if self.is_text() {
                content.extend_from_slice(WORDS[(random % 16) as usize].as_bytes());
                let name = format!(" {:x} ", random >> 56);
                content.extend_from_slice(name.as_bytes());
            } else {
                content.extend_from_slice(&random.to_le_bytes());
            }
        }
        content.truncate(self.size);
        content
    }
}

/// Writes the files into `dir`. Returns the number of precompressed files.
pub(crate) fn write(dir: &Path) -> Result<usize> {
    fs::create_dir_all(dir)?;
    let mut siblings = 0;
    for page in &PAGE_FILES {
        let path = dir.join(page.name);
        fs::write(&path, page.content())?;
        if page.is_text() {
            for (program, flags) in [("brotli", ["-q", "9", "-k"]), ("gzip", ["-9", "-k", "-f"])] {
                // If the program isn't installed, the precompressed file is left out.
                let made = Command::new(program).args(flags).arg(&path).status();
                siblings += usize::from(made.is_ok_and(|status| status.success()));
            }
        }
    }
    Ok(siblings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_twenty_files_of_three_to_three_hundred_kilobytes() {
        for page in &PAGE_FILES {
            assert!((3_000..=300_000).contains(&page.size), "{}", page.name);
            let content = page.content();
            assert_eq!(content.len(), page.size);
            assert_eq!(std::str::from_utf8(&content).is_ok(), page.is_text(), "{}", page.name);
        }
    }
}
