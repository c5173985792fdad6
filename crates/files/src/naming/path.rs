//! The path of a request, as a checked name in the served folder. No file is looked up here.
//!
//! ```text
//! /docs/a%20b.html  ──▶  docs/a b.html      one pass of percent-decoding, never a second
//! /docs/            ──▶  docs/              the final slash stays: it names a folder
//! /../etc/passwd    ──▶  refused, and why
//! //docs/           ──▶  refused; merge_slashes returns the path to redirect to
//! ```
//!
//! Invalid paths are refused, not normalized. If they were normalized, they would be further URLs
//! for the same file, and every cache and filter between client and server would have to normalize
//! them in the same way. [`crate::Disk`] checks symbolic links.

use std::fmt;

/// The longest name, in bytes: Linux's `PATH_MAX` without the final NUL.
pub const MAX_NAME: usize = 4095;
/// The longest segment of a name, in bytes: Linux's `NAME_MAX`.
pub const MAX_SEGMENT: usize = 255;

/// The only name with a leading dot that is served, and only as the first segment of a request's
/// path (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// The path of a request: a checked name, relative to the served folder.
///
/// No segment is empty, `.`, `..` or hidden (see [`Refusal::Hidden`]), and none contains a NUL or a
/// slash. A backslash is part of a name, as on Linux, and has to be percent-encoded in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPath<'a> {
    key: &'a [u8],
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The path does not start with a slash.
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// A NUL byte, which no file name can contain.
    Nul,
    /// `%2F`: it would be a slash within a name, and no file name can contain one.
    EncodedSlash,
    /// A backslash that is not percent-encoded: browsers send a slash for it, other clients don't.
    Backslash,
    /// Two slashes in a row.
    EmptySegment,
    /// `.` or `..` as a segment.
    DotSegment,
    /// A segment that starts with a dot. `.well-known` is allowed as the first segment.
    Hidden,
    /// Longer than any file name can be.
    TooLong,
}

impl Refusal {
    /// Whether the request is malformed (400). Otherwise the path is well-formed, but never served
    /// (404).
    #[must_use]
    pub fn is_malformed(self) -> bool {
        matches!(self, Self::NotAbsolute | Self::BadEscape | Self::Nul | Self::Backslash)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not begin with a slash",
            Self::BadEscape => "a percent sign in the path is not followed by two hex digits",
            Self::Nul => "the path holds a NUL byte",
            Self::EncodedSlash => "the path holds an encoded slash",
            Self::Backslash => "the path holds a backslash: in a name, write it as %5C",
            Self::EmptySegment => "the path has an empty segment",
            Self::DotSegment => "the path has a dot segment",
            Self::Hidden => "names that begin with a dot are hidden",
            Self::TooLong => "the path is longer than a file name can be",
        })
    }
}

impl std::error::Error for Refusal {}

impl<'a> RequestPath<'a> {
    /// Parses the path of a request target, still percent-encoded.
    ///
    /// If the path contains a `%`, `scratch` receives the decoded name, which is never longer than
    /// `raw`.
    ///
    /// # Errors
    ///
    /// Why the path is refused. If there are several reasons, one of them.
    pub fn parse(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Self, Refusal> {
        let raw = raw.strip_prefix(b"/").ok_or(Refusal::NotAbsolute)?;
        let is_encoded = raw.contains(&b'%');
        let key = if is_encoded { decode(raw, scratch)? } else { raw };
        if !passes_quick_check(key) {
            // If the path has a `%`, `decode` has refused backslashes that are not encoded.
            if !is_encoded && raw.contains(&b'\\') {
                return Err(Refusal::Backslash);
            }
            check_segments(key)?;
        }
        Ok(Self { key })
    }

    /// Checks a name that is not percent-encoded.
    pub(crate) fn checked(key: &'a [u8]) -> Result<Self, Refusal> {
        check(key).map(|()| Self { key })
    }

    /// The name with its final slash, if it has one. It is the key of cached lookups.
    #[must_use]
    pub fn key(self) -> &'a [u8] {
        self.key
    }

    /// The name of the file or folder, without a final slash. Empty for the served folder itself.
    #[must_use]
    pub fn name(self) -> &'a [u8] {
        self.key.strip_suffix(b"/").unwrap_or(self.key)
    }

    /// Whether the path names a folder: it is empty or has a final slash.
    #[must_use]
    pub fn is_folder(self) -> bool {
        self.key.is_empty() || self.key.ends_with(b"/")
    }

    /// The path of a key that was checked before.
    pub(crate) fn from_key(key: &'a [u8]) -> Self {
        debug_assert!(check(key).is_ok(), "the key was checked before");
        Self { key }
    }
}

/// Replaces several slashes in a row, and `/./`, by one slash in the path of a request target.
/// Clients that join URLs without resolving them send `/a/./b`. `%2F` doesn't count as a slash.
pub(crate) fn merge_slashes(raw: &[u8]) -> Vec<u8> {
    let mut merged = Vec::with_capacity(raw.len());
    for byte in raw {
        merged.push(*byte);
        if merged.ends_with(b"//") {
            merged.pop();
        } else if merged.ends_with(b"/./") {
            merged.truncate(merged.len() - 2);
        }
    }
    merged
}

/// The name of `child` in `folder`.
pub(crate) fn beneath(folder: &[u8], child: &[u8]) -> Vec<u8> {
    if folder.is_empty() { child.to_vec() } else { [folder, b"/", child].concat() }
}

/// Whether `.well-known` at the top of a folder is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WellKnown {
    /// The folder is served at `/`, and RFC 8615 defines `/.well-known/`.
    #[default]
    Served,
    /// The folder is served at another prefix, or only symbolic links in a served folder lead into
    /// it.
    Hidden,
}

/// Whether `child`, a name in the folder `folder` (empty for the root), can be requested.
pub(crate) fn is_requestable(folder: &[u8], child: &[u8], well_known: WellKnown) -> bool {
    // Of the names with a leading dot, only `.well-known` can be served, and only in the root.
    // `check` refuses the others.
    let may_start_with_dot = folder.is_empty() && well_known == WellKnown::Served;
    let is_shown = may_start_with_dot || !child.starts_with(b".");
    // Two slashes: one before the child, and one after it if it is a folder.
    let fits = folder.len() + child.len() + 2 <= MAX_NAME;
    is_shown && fits && !child.is_empty() && !child.contains(&b'/') && check(child).is_ok()
}

/// Whether a name has a hidden segment.
pub(crate) fn is_hidden(name: &[u8], well_known: WellKnown) -> bool {
    name.split(|byte| *byte == b'/').enumerate().any(|(at, segment)| match well_known {
        WellKnown::Served => is_hidden_segment(at, segment),
        WellKnown::Hidden => segment.starts_with(b"."),
    })
}

/// Whether the segment at this index in a name is hidden.
fn is_hidden_segment(at: usize, segment: &[u8]) -> bool {
    segment.starts_with(b".") && !(at == 0 && segment == WELL_KNOWN)
}

/// Percent-decodes once (RFC 3986, 2.1).
fn decode<'a>(raw: &[u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Refusal> {
    scratch.clear();
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' => {}
            b'\\' => return Err(Refusal::Backslash),
            byte => {
                scratch.push(byte);
                continue;
            }
        }
        let mut digit = || rest.next().and_then(|digit| hex_digit(*digit));
        let (high, low) = (digit(), digit());
        let (Some(high), Some(low)) = (high, low) else { return Err(Refusal::BadEscape) };
        match high << 4 | low {
            b'/' => return Err(Refusal::EncodedSlash),
            byte => scratch.push(byte),
        }
    }
    Ok(scratch)
}

pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Checks a decoded name.
fn check(key: &[u8]) -> Result<(), Refusal> {
    if passes_quick_check(key) { Ok(()) } else { check_segments(key) }
}

/// A quick check that most valid names pass, and no invalid one. A name that fails it may still be
/// valid: [`check_segments`] decides.
fn passes_quick_check(key: &[u8]) -> bool {
    let mut before = b'/';
    key.len() <= MAX_SEGMENT
        && key.iter().all(|&byte| {
            let is_first = std::mem::replace(&mut before, byte) == b'/';
            match byte {
                b'/' | b'.' => !is_first,
                0 | b'\\' => false,
                _ => true,
            }
        })
}

/// Checks a decoded name, segment by segment.
fn check_segments(key: &[u8]) -> Result<(), Refusal> {
    if key.len() > MAX_NAME {
        return Err(Refusal::TooLong);
    }
    let name = key.strip_suffix(b"/").unwrap_or(key);
    if name.is_empty() {
        // The empty key is that of the path `/`: the served folder. The key `/` is that of `//`.
        return if key.is_empty() { Ok(()) } else { Err(Refusal::EmptySegment) };
    }
    for (at, segment) in name.split(|byte| *byte == b'/').enumerate() {
        match segment {
            [] => return Err(Refusal::EmptySegment),
            b"." | b".." => return Err(Refusal::DotSegment),
            _ if is_hidden_segment(at, segment) => return Err(Refusal::Hidden),
            _ if segment.len() > MAX_SEGMENT => return Err(Refusal::TooLong),
            _ => {}
        }
        if segment.contains(&0) {
            return Err(Refusal::Nul);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(raw: &str) -> Result<Vec<u8>, Refusal> {
        RequestPath::parse(raw.as_bytes(), &mut Vec::new()).map(|path| path.key().to_vec())
    }

    #[test]
    fn valid_paths_and_their_keys() {
        for (raw, expected) in [
            ("/", ""),
            ("/index.html", "index.html"),
            ("/docs/", "docs/"),
            ("/docs/a%20b.html", "docs/a b.html"),
            ("/%64ocs", "docs"),
            ("/a%2Eb", "a.b"),
            ("/100%25", "100%"),
            ("/a..b/c.", "a..b/c."),
            ("/.well-known/security.txt", ".well-known/security.txt"),
            ("/%2ewell-known/x", ".well-known/x"),
            ("/caf%C3%A9", "café"),
            ("/a:b@c;d=e", "a:b@c;d=e"),
            // One pass only: a name that is encoded twice keeps one level of escapes.
            ("/%252e%252e/x", "%2e%2e/x"),
            ("/%252fetc", "%2fetc"),
            // An encoded backslash is part of a name, not a separator.
            ("/a%5Cb", "a\\b"),
            ("/%5c%5chost/share", "\\\\host/share"),
            ("/a/b%5c..%5c", "a/b\\..\\"),
            ("/%5C/", "\\/"),
        ] {
            assert_eq!(key(raw), Ok(expected.as_bytes().to_vec()), "{raw}");
        }
    }

    #[test]
    fn invalid_paths_and_their_refusals() {
        use Refusal::*;
        for (raw, expected) in [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("x", NotAbsolute),
            ("http://host/", NotAbsolute),
            ("/..", DotSegment),
            ("/../etc/passwd", DotSegment),
            ("/a/../../etc/passwd", DotSegment),
            ("/a/..", DotSegment),
            ("/a/../", DotSegment),
            ("/./a", DotSegment),
            ("/a/.", DotSegment),
            ("/%2e%2e/etc/passwd", DotSegment),
            ("/.%2E/etc/passwd", DotSegment),
            ("/%2e./etc/passwd", DotSegment),
            ("/..%2fetc/passwd", EncodedSlash),
            ("/a%2Fb", EncodedSlash),
            ("/..%5cetc", Hidden),
            ("/a\\..\\b", Backslash),
            ("/\\host", Backslash),
            ("/a%5c\\b", Backslash),
            ("/a%20\\", Backslash),
            ("/%5c/../x", DotSegment),
            ("//", EmptySegment),
            ("//host/x", EmptySegment),
            ("///", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/a%00.html", Nul),
            ("/%00", Nul),
            ("/%", BadEscape),
            ("/%4", BadEscape),
            ("/%zz", BadEscape),
            ("/%%32%65", BadEscape),
            ("/%u002e", BadEscape),
            ("/%+1", BadEscape),
            ("/.git/config", Hidden),
            ("/a/.env", Hidden),
            ("/.", DotSegment),
            ("/...", Hidden),
            ("/..;/x", Hidden),
            ("/.well-known/.secret", Hidden),
            ("/.well-knowN/x", Hidden),
            ("/a/.well-known/x", Hidden),
        ] {
            assert_eq!(key(raw), Err(expected), "{raw}");
        }
    }

    /// An overlong encoding of a dot or a slash is just bytes: file names are not decoded again.
    #[test]
    fn overlong_utf8_is_not_decoded() {
        assert_eq!(key("/%c0%ae%c0%ae/x"), Ok(b"\xc0\xae\xc0\xae/x".to_vec()));
        assert_eq!(key("/%c0%afetc"), Ok(b"\xc0\xafetc".to_vec()));
        assert_eq!(key("/%ef%bc%8f"), Ok("\u{ff0f}".as_bytes().to_vec()));
    }

    #[test]
    fn names_beyond_the_file_systems_limits_are_refused() {
        let segment = "a".repeat(MAX_SEGMENT);
        assert!(key(&format!("/{segment}")).is_ok());
        assert_eq!(key(&format!("/{segment}a")), Err(Refusal::TooLong));
        assert_eq!(key(&"/a".repeat(MAX_NAME)), Err(Refusal::TooLong));
    }

    #[test]
    fn folders_list_exactly_the_names_that_can_be_requested() {
        for (folder, child, requestable) in [
            ("", "a", true),
            ("docs", "a b\n", true),
            ("", ".well-known", true),
            ("docs", ".well-known", false),
            ("", ".git", false),
            ("docs", ".a", false),
            ("", "..", false),
            ("", "", false),
            ("", "a\\b", true),
            ("", "..\\b", false),
            ("", "a/b", false),
        ] {
            assert_eq!(
                is_requestable(folder.as_bytes(), child.as_bytes(), WellKnown::Served),
                requestable,
                "{folder}/{child}"
            );
            let child_path = child.replace('\n', "%0A").replace(' ', "%20").replace('\\', "%5C");
            let path = format!("/{folder}/{child_path}").replacen("//", "/", 1);
            let is_accepted = key(&path).is_ok() && !child.is_empty() && !child.contains('/');
            assert_eq!(is_accepted, requestable, "{path}");
        }
        let deep = "a/".repeat(2047);
        let deep = deep.trim_end_matches('/').as_bytes();
        assert!(!is_requestable(deep, b"abc", WellKnown::Served));
        assert!(!is_requestable(b"", b".well-known", WellKnown::Hidden));
        assert!(is_requestable(b"", b"a", WellKnown::Hidden));
    }

    #[test]
    fn paths_with_a_final_slash_name_folders() {
        for (raw, name, folder) in
            [("/", "", true), ("/a", "a", false), ("/a/", "a", true), ("/a/b", "a/b", false)]
        {
            let mut scratch = Vec::new();
            let path = RequestPath::parse(raw.as_bytes(), &mut scratch).unwrap();
            assert_eq!((path.name(), path.is_folder()), (name.as_bytes(), folder), "{raw}");
        }
    }

    #[test]
    fn slashes_in_a_row_are_merged() {
        for (raw, merged) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("//", "/"),
            ("////a///b//", "/a/b/"),
            ("/%2F/%2f//", "/%2F/%2f/"),
            ("/.//./", "/"),
            ("/a/./b/././/c/./", "/a/b/c/"),
            ("/a/.", "/a/."),
            ("/a/../b/.x/./y.", "/a/../b/.x/y."),
            ("/%2e/", "/%2e/"),
            ("", ""),
        ] {
            assert_eq!(merge_slashes(raw.as_bytes()), merged.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn names_that_pass_the_quick_check_are_valid(name in "[a./\\\\\\x00%]{0,12}") {
            if passes_quick_check(name.as_bytes()) {
                prop_assert_eq!(check_segments(name.as_bytes()), Ok(()));
            }
        }
    }

    proptest! {
        /// Any path either is refused or has a key that stays in the folder.
        #[test]
        fn no_decoded_name_leaves_the_folder(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("/"), Just(".."), Just("."), Just("%2e"), Just("%2E"), Just("%2f"),
                    Just("%5c"), Just("\\"), Just("%00"), Just("%25"), Just("%c0%af"), Just("a"),
                    Just("%"), Just("2e"), Just(".well-known"), Just("//"),
                ],
                0..12,
            ),
        ) {
            let raw = format!("/{}", parts.concat());
            let mut scratch = Vec::new();
            if let Ok(path) = RequestPath::parse(raw.as_bytes(), &mut scratch) {
                prop_assert!(!path.key().starts_with(b"/"));
                prop_assert!(!path.key().contains(&0));
                // Only encoded backslashes are part of a name.
                let backslashes = path.key().iter().filter(|byte| **byte == b'\\').count();
                prop_assert_eq!(backslashes, raw.matches("%5c").count());
                prop_assert!(!raw.contains('\\'));
                for segment in path.name().split(|byte| *byte == b'/') {
                    prop_assert!(segment != b"." && segment != b"..");
                    prop_assert!(!segment.is_empty() || path.name().is_empty());
                }
                // Decoding makes no name longer, and a second check agrees.
                prop_assert!(path.key().len() < raw.len());
                prop_assert!(check(path.key()).is_ok());
            }
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = RequestPath::parse(&raw, &mut Vec::new());
        }
    }
}
