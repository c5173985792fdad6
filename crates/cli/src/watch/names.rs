//! Names of files whose changes are ignored, because no page depends on these files.

/// Whether the server hides a name in the folder with this URL path. `/.well-known/` is not hidden.
fn is_hidden(name: &[u8], folder: &[u8]) -> bool {
    name.starts_with(b".") && !(folder == b"/" && name == b".well-known")
}

/// Whether a name is one that editors and other programs use for backups, and for files that they
/// soon rename or delete.
fn is_temporary(name: &[u8]) -> bool {
    // Emacs writes `#NAME#`. Vim writes `4913`, to test whether the folder is writable. The editors
    // of JetBrains write `NAME___jb_tmp___` and `NAME___jb_old___`.
    let is_between = |edge| name.len() > 1 && name.starts_with(edge) && name.ends_with(edge);
    [&b"~"[..], b".tmp", b".swp", b"___jb_tmp___", b"___jb_old___"]
        .iter()
        .any(|end| name.ends_with(end))
        || is_between(b"#")
        || name == b"4913"
}

/// Whether changes of this name are ignored. `folder` is the URL path of the folder that it is in,
/// with a final slash.
pub(super) fn is_ignored(name: &[u8], folder: &[u8]) -> bool {
    is_hidden(name, folder) || is_temporary(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_temporary_names_are_ignored() {
        for (name, expected) in [
            ("index.html", false),
            ("a~b", false),
            ("#", false),
            ("#1", false),
            ("4913.html", false),
            (".git", true),
            (".index.html.swp", true),
            ("index.html~", true),
            ("#index.html#", true),
            ("4913", true),
            ("index.html___jb_tmp___", true),
            ("index.html.tmp", true),
        ] {
            assert_eq!(is_ignored(name.as_bytes(), b"/"), expected, "{name}");
            assert_eq!(is_ignored(name.as_bytes(), b"/docs/"), expected, "{name}");
        }
        assert!(!is_ignored(b".well-known", b"/"));
        assert!(is_ignored(b".well-known", b"/docs/"));
    }
}
