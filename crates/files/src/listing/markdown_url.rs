//! The URLs of links and images in Markdown: which are allowed, and how they are written.

use super::markdown_name::{PAGE_QUERY, is_markdown};

/// The maximum length of a URL, in bytes. Longer ones are not allowed.
pub(super) const MAX_URL: usize = 2048;

/// The prefix of the IDs of headings.
pub(super) const ID_PREFIX: &str = "readme-";

/// Where an allowed URL leads.
pub(super) enum Target {
    /// Somewhere on this server.
    Relative,
    Absolute,
}

/// Where `url` leads. `None` if it is not allowed.
pub(super) fn target(url: &str) -> Option<Target> {
    // Browsers ignore tabs and line breaks, and take a backslash for a slash.
    if url.len() > MAX_URL || url.contains(|char: char| char.is_control() || char == '\\') {
        return None;
    }
    // Browsers ignore spaces around a URL.
    let url = url.trim_matches(' ');
    match url.find([':', '/', '?', '#']).map(|at| url.split_at(at)) {
        Some((scheme, rest)) if rest.starts_with(':') => {
            let is = |name: &str| scheme.eq_ignore_ascii_case(name);
            let is_web = (is("http") || is("https")) && rest.starts_with("://");
            (is_web || is("mailto")).then_some(Target::Absolute)
        }
        // `//host/path` is a URL of another host, without a scheme.
        Some(("", rest)) if rest.starts_with("//") => None,
        _ => Some(Target::Relative),
    }
}

/// A URL for an HTML attribute. Bytes that are not allowed in a URL, and `'`, are percent-encoded;
/// `&` becomes `&amp;`.
pub(super) fn escaped(url: &str) -> String {
    let mut escaped = String::with_capacity(url.len());
    escape(url.trim_matches(' '), &mut escaped);
    escaped
}

/// As [`escaped`], for a relative link. A link to a Markdown file gets the query that requests the
/// file as a page; a link to a heading gets the prefix of IDs.
pub(super) fn escaped_link(url: &str) -> String {
    let url = url.trim_matches(' ');
    let (path, fragment) = match url.split_once('#') {
        Some((path, fragment)) => (path, Some(fragment)),
        None => (url, None),
    };
    let is_page = is_markdown(path.as_bytes()) && !path.contains('?');
    let mut escaped = String::with_capacity(url.len() + PAGE_QUERY.len() + ID_PREFIX.len());
    escape(path, &mut escaped);
    if is_page {
        escaped += PAGE_QUERY;
    }
    match fragment {
        Some(id) if !id.is_empty() && (is_page || path.is_empty()) => {
            escaped += "#";
            escaped += ID_PREFIX;
            escape(&id.to_lowercase(), &mut escaped);
        }
        Some(fragment) => {
            escaped += "#";
            escape(fragment, &mut escaped);
        }
        None => {}
    }
    escaped
}

fn escape(url: &str, escaped: &mut String) {
    for byte in url.bytes() {
        match byte {
            b'&' => *escaped += "&amp;",
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped.push(char::from(byte)),
            byte if b"-._~:/?#[]@!$()*+,;=%".contains(&byte) => escaped.push(char::from(byte)),
            byte => *escaped += &format!("%{byte:02X}"),
        }
    }
}
