//! Which files are Markdown, and the query of a URL that requests such a file as a page.

/// The query that requests a Markdown file as a page, with the question mark before it.
pub(super) const PAGE_QUERY: &str = "?format=html";

/// The extensions of Markdown files, in lower case.
const EXTENSIONS: [&[u8]; 2] = [b"md", b"markdown"];

/// Whether a file of this name, or with this path, is Markdown that can be rendered. Without the
/// feature `markdown`, no file is.
pub(crate) fn is_markdown(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return false };
    let is_named = dot > 0 && name[dot - 1] != b'/';
    let extension = &name[dot + 1..];
    cfg!(feature = "markdown")
        && is_named
        && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_in_any_case() {
        for name in ["a.md", "b/c.MD", "a.b.Markdown", "a\\b.md", "caf\u{e9}.mD"] {
            assert_eq!(is_markdown(name.as_bytes()), cfg!(feature = "markdown"), "{name}");
        }
        for name in ["", "md", ".md", "a/.md", "a.md/", "a.md.txt", "a.mdx", "a.html", "amd"] {
            assert!(!is_markdown(name.as_bytes()), "{name}");
        }
    }
}
