//! A URL to be explained.

use anyhow::bail;
use sockeye_files::Mounts;

use super::Content;
use crate::args;

/// A URL to be explained.
#[derive(Debug)]
pub(crate) struct Explain {
    pub(crate) mounts: Mounts,
    /// As a browser would send it: a path and perhaps a query.
    pub(crate) target: String,
}

pub(super) fn explain(typed: args::Explain) -> anyhow::Result<Explain> {
    let target = target(&typed.url)?;
    Ok(Explain { mounts: Content::of(typed.http.content)?.mounts, target })
}

/// What a browser asks for that is given `url`.
fn target(url: &str) -> anyhow::Result<String> {
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        // An absolute path may have anything in its query.
        _ if url.starts_with('/') => url,
        Some((scheme, _)) => bail!("{scheme}:// is no URL of a folder: http://HOST/PATH, or /PATH"),
        None => bail!("'{url}' is no URL: http://HOST/PATH, or /PATH"),
    };
    // A fragment is the browser's own.
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let slash = if rest[at..].starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{}", encoded(&rest[at..])))
}

/// Percent-encodes what can't stand in a target (RFC 3986), and leaves the rest as it was typed.
fn encoded(text: &str) -> String {
    let mut target = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && !b"\"<>\\^`{|}".contains(&byte) {
            target.push(byte.into());
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_a_browser_would() {
        for (url, asked) in [
            ("/", "/"),
            ("/a b?c=http://d#e", "/a%20b?c=http://d"),
            ("/caf\u{e9}/%41", "/caf%C3%A9/%41"),
            ("http://localhost:8000", "/"),
            ("https://localhost?a", "/?a"),
            ("http://[::1]:8000/a/../b", "/a/../b"),
            ("/a\"\n", "/a%22%0A"),
        ] {
            assert_eq!(target(url).unwrap(), asked, "{url}");
        }
        for bad in ["", "about", "ftp://a/b", "localhost:8000/a"] {
            assert!(target(bad).unwrap_err().to_string().contains("or /PATH"), "{bad}");
        }
    }
}
