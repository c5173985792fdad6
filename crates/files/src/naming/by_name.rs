//! Header values for files by their names: `*.css`, `/assets/*`.

use sockeye_http::{BadField, Fields};

/// Values for files whose names match a pattern. The first match wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules<V>(Vec<(Box<str>, V)>);

impl<V> Rules<V> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, pattern: &str, value: V) {
        self.0.push((pattern.into(), value));
    }

    /// The value for a file by its name, which is relative to the served folder.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&V> {
        let rule = self.0.iter().find(|(pattern, _)| matches(pattern.as_bytes(), name));
        rule.map(|(_, value)| value)
    }
}

impl<V> Default for Rules<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// The values of a header for files whose names match a pattern. The first match wins.
///
/// A pattern without a slash is compared with the last segment of a name. A pattern with a slash is
/// compared with the whole name, after a slash at its start is removed. `*` matches any characters,
/// including slashes.
///
/// ```
/// use sockeye_files::ByName;
///
/// let mut caching = ByName::new();
/// caching.add("*.css", "max-age=60")?;
/// caching.add("/fonts/*", "max-age=31536000")?;
/// assert_eq!(caching.get(b"a/b.css"), Some("max-age=60"));
/// assert_eq!(caching.get(b"fonts/a/b.woff2"), Some("max-age=31536000"));
/// assert_eq!(caching.get(b"a/fonts/b.woff2"), None);
/// # Ok::<(), sockeye_files::BadField>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByName {
    rules: Rules<Box<str>>,
}

impl ByName {
    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Self { rules: Rules::new() }
    }

    /// Adds a value after the existing ones. With an empty value the header is left out.
    ///
    /// # Errors
    ///
    /// When the value is not a valid header value.
    pub fn add(&mut self, pattern: &str, value: &str) -> Result<(), BadField> {
        Fields::new().push("X", value.as_bytes())?;
        self.rules.add(pattern, value.trim().into());
        Ok(())
    }

    /// The value for a file by its name, which is relative to the served folder.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&str> {
        self.rules.get(name).map(|value| &**value)
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if pattern.contains(&b'/') {
        matches_glob(name, pattern.strip_prefix(b"/").unwrap_or(pattern))
    } else {
        matches_glob(name.rsplit(|byte| *byte == b'/').next().unwrap_or(name), pattern)
    }
}

/// Whether `text` matches `pattern`, in which `*` matches any bytes. After a mismatch, only the
/// last star is made to match a longer text. That is enough: if an earlier star matched more, less
/// text would be left for the rest of the pattern. So the number of steps is at most proportional
/// to the product of both lengths.
fn matches_glob(text: &[u8], pattern: &[u8]) -> bool {
    let (mut text_at, mut pattern_at) = (0, 0);
    // The position of the last star, and the end of the text that it matches.
    let mut star = None;
    while text_at < text.len() {
        match pattern.get(pattern_at) {
            Some(b'*') => {
                star = Some((pattern_at, text_at));
                pattern_at += 1;
            }
            Some(byte) if *byte == text[text_at] => {
                (text_at, pattern_at) = (text_at + 1, pattern_at + 1);
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (text_at, pattern_at) = (taken + 1, star_at + 1);
            }
        }
    }
    pattern[pattern_at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "a/b.css", true),
            ("*.css", "a.css", true),
            ("*.css", "a/b.css", true),
            ("*.css", "a.css.map", false),
            ("*.css", "css", false),
            ("a.css", "a.css", true),
            ("a.css", "b/a.css", true),
            ("/a.css", "b/a.css", false),
            ("/a.css", "a.css", true),
            ("a/*.css", "a/b/c.css", true),
            ("a/*.css", "b/a/c.css", false),
            ("*/a/*", "b/a/c", true),
            ("app.*.js", "app.1.js", true),
            ("app.*.js", "app.js", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "ac", true),
            ("", "", true),
            ("", "a", false),
            ("*.CSS", "a.css", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        // Many stars and a long name that doesn't match: takes no noticeable time.
        let (pattern, name) = ("*a".repeat(100) + "b", "a".repeat(4000));
        assert!(!matches(pattern.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn the_first_match_counts_and_values_are_valid_fields() {
        let mut values = ByName::new();
        values.add("a.css", "one").unwrap();
        values.add("*.css", " two ").unwrap();
        assert_eq!(values.add("*", "a\r\nb"), Err(BadField::Value));
        assert_eq!(values.get(b"a.css"), Some("one"));
        assert_eq!(values.get(b"b.css"), Some("two"));
        assert_eq!(values.get(b"b.js"), None);
    }
}
