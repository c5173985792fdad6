//! The media types that are configured by file name.

use std::fmt;

use super::by_name::Rules;

/// The `Content-Type` of files whose names match a pattern. Patterns are those of
/// [`ByName`](crate::ByName), and the first match wins. The type is sent as given: no charset is
/// added.
///
/// ```
/// use sockeye_files::ContentTypes;
///
/// let mut types = ContentTypes::new();
/// types.add("*.foo", "text/x-foo")?;
/// types.add("/old/*.html", "text/html; charset=shift_jis")?;
/// assert!(types.add("*.html", "html").is_err());
/// # Ok::<(), sockeye_files::BadContentType>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentTypes {
    rules: Rules<Box<str>>,
}

/// A text that is no media type (RFC 9110, 8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadContentType {
    /// The text before the first semicolon is not a type, a slash and a subtype.
    Type(String),
    /// This parameter is not a name and a value.
    Parameter(String),
}

impl ContentTypes {
    /// No types.
    #[must_use]
    pub const fn new() -> Self {
        Self { rules: Rules::new() }
    }

    /// Adds a type after the existing ones.
    ///
    /// # Errors
    ///
    /// When `kind` is no media type.
    pub fn add(&mut self, pattern: &str, kind: &str) -> Result<(), BadContentType> {
        let kind = kind.trim_ascii();
        check(kind)?;
        self.rules.add(pattern, kind.into());
        Ok(())
    }

    /// The type for a file by its name, which is relative to the served folder.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&str> {
        self.rules.get(name).map(|kind| &**kind)
    }
}

impl fmt::Display for BadContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => {
                write!(f, "{kind:?} is not a type and a subtype, such as text/html")
            }
            Self::Parameter(parameter) => {
                write!(f, "{parameter:?} is not a name and a value, such as charset=utf-8")
            }
        }
    }
}

impl std::error::Error for BadContentType {}

/// Checks a media type: `type/subtype`, and parameters after semicolons.
fn check(kind: &str) -> Result<(), BadContentType> {
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let essence = essence.trim_matches(BLANKS);
    let names = essence.split_once('/').filter(|names| is_token(names.0) && is_token(names.1));
    names.ok_or_else(|| BadContentType::Type(essence.to_owned()))?;
    let mut rest = parameters;
    while !rest.is_empty() {
        let end = parameter_end(rest);
        let parameter = rest[..end].trim_matches(BLANKS);
        let is_valid = parameter
            .split_once('=')
            .is_some_and(|(name, value)| is_token(name) && (is_token(value) || is_quoted(value)));
        // Semicolons in a row, or at the end, are allowed.
        if !parameter.is_empty() && !is_valid {
            return Err(BadContentType::Parameter(parameter.to_owned()));
        }
        rest = rest[end..].strip_prefix(';').unwrap_or_default();
    }
    Ok(())
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Where the first parameter ends: at a semicolon outside quotes, or at the end of the text.
fn parameter_end(parameters: &str) -> usize {
    let (mut is_inside, mut is_escaped) = (false, false);
    let is_end = |byte: u8| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_inside => is_escaped = true,
            b'"' => is_inside = !is_inside,
            _ => {}
        }
        byte == b';' && !is_inside
    };
    parameters.bytes().position(is_end).unwrap_or(parameters.len())
}

/// Whether this is a token (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Whether this is one quoted string (RFC 9110, 5.6.4).
fn is_quoted(text: &str) -> bool {
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut is_escaped = false;
    inside.is_some_and(|inside| {
        let is_content = |byte: u8| {
            let is_escape = byte == b'\\' && !is_escaped;
            let is_content =
                (byte != b'"' || is_escaped) && (byte == b'\t' || !byte.is_ascii_control());
            is_escaped = is_escape;
            is_content
        };
        inside.bytes().all(is_content) && !is_escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_kept_as_they_are() {
        let mut types = ContentTypes::new();
        for kind in [
            "text/html",
            "Text/HTML;Charset=Shift_JIS",
            "text/plain; charset=\"utf-8\" ; format=flowed",
            "application/vnd.api+json",
            "a/b;",
            "a/b;;c=d",
            "a/b; c=\"d;e\\\"=f\"; g=h",
            "a/b; c=\"\"",
        ] {
            assert_eq!(types.add(kind, &format!(" {kind} ")), Ok(()), "{kind}");
        }
        types.add("*", "x/y").unwrap();
        types.add("a.old", "never/used").unwrap();
        assert_eq!(types.get(b"a.old"), Some("x/y"));
        assert_eq!(types.get(b"Text/HTML;Charset=Shift_JIS"), Some("Text/HTML;Charset=Shift_JIS"));
        assert_eq!(ContentTypes::new().get(b"a"), None);
    }

    #[test]
    fn malformed_types_say_what_is_wrong() {
        for (kind, reason) in [
            ("", "\"\" is not a type"),
            ("html", "\"html\" is not a type"),
            ("text/", "\"text/\" is not"),
            ("/html", "\"/html\" is not"),
            ("text/html/x", "as text/html"),
            ("text /html", "\"text /html\""),
            ("text/html, text/plain", "\"text/html, text/plain\""),
            ("text/h\u{e9}", "is not a type"),
            ("text/html\u{1}", "\"text/html\\u{1}\""),
            ("; charset=utf-8", "\"\" is not a type"),
            ("text/html charset=utf-8", "is not a type"),
            ("text/html; charset", "\"charset\" is not a name and a value"),
            ("text/html; charset=", "\"charset=\" is not"),
            ("text/html; =utf-8", "\"=utf-8\""),
            ("text/html; charset =utf-8", "\"charset =utf-8\""),
            ("text/html; charset=a b", "\"charset=a b\""),
            ("text/html; charset=a, b=c", "as charset=utf-8"),
            ("text/html; charset=\"a", "\"charset=\\\"a\""),
            ("text/html; charset=\"a\"b\"", "is not a name"),
            ("text/html; charset=\"a\\\"", "is not a name"),
            ("text/html; a=\"\u{1}\"", "\\u{1}"),
            ("text/html; a=\"\n\"", "\\n"),
        ] {
            let error = ContentTypes::new().add("*", kind).unwrap_err().to_string();
            assert!(error.contains(reason), "{kind:?}: {error}");
        }
    }
}
