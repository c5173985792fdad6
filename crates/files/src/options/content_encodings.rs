//! Files that are stored compressed, and sent with the coding that they are stored in.

use super::codings::Coding;
use crate::naming::by_name::Rules;

/// `Content-Encoding` of files that are stored compressed, by file name.
///
/// A matching file is sent as it is stored, to every client, with the rule's `Content-Encoding`.
/// Its media type is that of its name without the coding's extension: `app.js.gz` is JavaScript. A
/// browser decompresses it. `.svgz` is gzip by default. If the rule says gzip and the content isn't
/// gzip, the file is sent without `Content-Encoding`.
///
/// Patterns are those of [`ByName`](crate::ByName), and the first match counts. These rules don't
/// affect [`Codings::precompressed`](crate::Codings::precompressed): a request for `app.js` gets
/// `app.js.gz` only if the client accepts gzip.
///
/// ```
/// use sockeye_files::{Coding, ContentEncodings, Options};
///
/// let mut options = Options::default();
/// options.content_encodings.add("/Build/*.br", Some(Coding::Brotli));
/// options.content_encodings.add("*.svgz", None); // Sent as gzip files, which browsers download.
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentEncodings {
    rules: Rules<Option<Coding>>,
}

impl ContentEncodings {
    /// Only the default: `.svgz` is gzip.
    #[must_use]
    pub const fn new() -> Self {
        Self { rules: Rules::new() }
    }

    /// Adds a rule after the existing ones: files that match `pattern` are stored in `coding`.
    /// `None`: they are sent without `Content-Encoding`.
    pub fn add(&mut self, pattern: &str, coding: Option<Coding>) {
        self.rules.add(pattern, coding);
    }

    /// The coding that the file `name` is stored in, and the name that decides its media type.
    /// `None`: the file is sent without `Content-Encoding`.
    pub(crate) fn of<'n>(&self, name: &'n [u8]) -> Option<(Coding, &'n [u8])> {
        let is_svgz = has_extension(name, b".svgz");
        let coding = match self.rules.get(name) {
            Some(chosen) => (*chosen)?,
            None if is_svgz => Coding::Gzip,
            None => return None,
        };
        let extension = match coding.extension() {
            extension if has_extension(name, extension) => extension.len(),
            // Without its `z`, the name ends with `.svg`.
            _ if is_svgz => 1,
            _ => 0,
        };
        Some((coding, &name[..name.len() - extension]))
    }
}

fn has_extension(name: &[u8], extension: &[u8]) -> bool {
    let start = name.len().saturating_sub(extension.len());
    name[start..].eq_ignore_ascii_case(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coding_is_by_name_and_its_extension_is_left_out() {
        let mut encodings = ContentEncodings::new();
        encodings.add("plain.*", None);
        encodings.add("*.gz", Some(Coding::Gzip));
        encodings.add("*.GZ", Some(Coding::Gzip));
        encodings.add("/build/*", Some(Coding::Brotli));
        for (name, expected) in [
            ("app.js", None),
            ("app.js.gz", Some((Coding::Gzip, "app.js"))),
            ("sub/app.js.GZ", Some((Coding::Gzip, "sub/app.js"))),
            ("plain.js.gz", None),
            ("plain.svgz", None),
            ("a.svgz", Some((Coding::Gzip, "a.svg"))),
            ("A.SVGZ", Some((Coding::Gzip, "A.SVG"))),
            ("svgz", None),
            ("gz", None),
            ("build/game.wasm.br", Some((Coding::Brotli, "build/game.wasm"))),
            ("build/game.wasm", Some((Coding::Brotli, "build/game.wasm"))),
            ("build/a.svgz", Some((Coding::Brotli, "build/a.svg"))),
        ] {
            let expected = expected.map(|(coding, typed): (_, &str)| (coding, typed.as_bytes()));
            assert_eq!(encodings.of(name.as_bytes()), expected, "{name}");
        }
    }
}
