//! The flags that say which folders are served, and how.

use std::ffi::OsString;

use clap::Args;
use sockeye::files::{BadField, BudgetLimits, ByName, Coding, Cors, Headers, Options};

use crate::quantity::Size;

#[derive(Args, Debug)]
pub(crate) struct FolderArgs {
    /// Folder or file to serve at /, or PREFIX=FOLDER for another path, as /docs=./docs.
    ///
    /// Can be given several times. Of several matching prefixes, the longest is used. Default: the
    /// current folder.
    #[arg(value_name = "[PREFIX=]FOLDER", default_value = ".", hide_default_value = true)]
    pub(crate) folders: Vec<OsString>,

    /// List folders that have no index.html.
    ///
    /// ?format=json and ?format=text return the listing in that format. ?format=tar returns an
    /// archive of everything in the folder, whether or not there is an index.html. Hidden files are
    /// never listed. Other entries that can't be served are counted.
    #[arg(long, help_heading = "Content")]
    pub(crate) listing: bool,

    /// For single-page apps: serve the folder's index.html in place of missing pages.
    ///
    /// Paths that look like files, such as /app.js, still get 404.
    #[arg(long, help_heading = "Content")]
    pub(crate) spa: bool,

    /// Don't send folders as archives: with --listing, ?format=tar gets 400.
    #[arg(long, help_heading = "Content")]
    pub(crate) no_archives: bool,

    /// Don't serve about.html at /about.
    #[arg(long, help_heading = "Content")]
    pub(crate) no_clean_urls: bool,

    /// Set Content-Type for files whose name or path matches, as '*.foo: text/x-foo'.
    ///
    /// Can be given several times; the first match is used. Default: from the file's extension.
    #[arg(long, value_name = "PATTERN: TYPE", help_heading = "Content", value_parser = type_rule)]
    pub(crate) content_type: Vec<ByPattern>,

    /// Set Cache-Control, as 'max-age=60', or '/fonts/*: max-age=86400' for matching files.
    ///
    /// A pattern is matched against a file's name or path. '*:' sends no Cache-Control. Can be
    /// given several times; the first match is used. Default: one year and immutable for
    /// fingerprinted names; no-cache for pages, styles, scripts and other text; ten minutes for
    /// everything else.
    #[arg(long, value_name = "[PATTERN:] VALUE", help_heading = "Headers")]
    #[arg(value_parser = cache_rule)]
    pub(crate) cache_control: Vec<ByPattern>,

    /// Send a header with every file, as 'X-Frame-Options: DENY'.
    ///
    /// An empty value removes a default header. Can be given several times. Default:
    /// X-Content-Type-Options: nosniff; with pages also Referrer-Policy:
    /// strict-origin-when-cross-origin and X-Frame-Options: SAMEORIGIN.
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Headers", value_parser = header_rule)]
    pub(crate) header: Vec<HeaderRule>,

    /// Don't send the default security headers. Headers of --header are still sent.
    #[arg(long, help_heading = "Headers")]
    pub(crate) no_security_headers: bool,

    /// Let scripts of this origin read the files: https://example.org, or * for every site.
    ///
    /// Can be given several times. Default: none.
    #[arg(long, value_name = "ORIGIN", help_heading = "Headers", value_parser = origin)]
    pub(crate) cors: Vec<String>,

    /// Use a content hash as ETag for files up to this size.
    ///
    /// Above it, the ETag is made of inode, size and modification time, and so differs between
    /// machines.
    #[arg(long, value_name = "BYTES", help_heading = "Headers")]
    #[arg(default_value_t = Options::default().hashed_up_to.into())]
    pub(crate) hash_up_to: Size,

    /// Encodings to compress text with: a list, or none.
    ///
    /// A file is compressed when it is first requested in an encoding.
    #[arg(long, value_name = "LIST", help_heading = "Compression", value_parser = encoding)]
    #[arg(value_delimiter = ',', default_value = "zstd,br,gzip")]
    pub(crate) compress: Vec<Option<Coding>>,

    /// Maximum memory for compressed files, cached or being sent.
    ///
    /// All folders and workers share it. Above this, the least recently used files are dropped, and
    /// if that isn't enough, files are sent uncompressed.
    #[arg(long, value_name = "BYTES", help_heading = "Compression")]
    #[arg(default_value_t = BudgetLimits::default().compressed.into())]
    pub(crate) compress_memory: Size,

    /// Ignore precompressed files: page.html.zst, page.html.br and page.html.gz.
    ///
    /// Otherwise they are sent in place of page.html if they decompress to the same content.
    #[arg(long, help_heading = "Compression")]
    pub(crate) no_precompressed: bool,
}

/// A value for files that match a pattern.
#[derive(Clone, Debug)]
pub(crate) struct ByPattern {
    pub(crate) pattern: String,
    pub(crate) value: String,
}

impl ByPattern {
    fn checked(pattern: &str, value: &str) -> Result<Self, String> {
        let (pattern, value) = (pattern.trim().to_owned(), value.trim().to_owned());
        ByName::new().add(&pattern, &value).map_err(|error| error.to_string())?;
        Ok(Self { pattern, value })
    }
}

fn cache_rule(text: &str) -> Result<ByPattern, String> {
    // Splits at the last colon: a pattern may contain colons, a directive doesn't.
    let (pattern, value) = text.rsplit_once(':').unwrap_or(("*", text));
    if pattern.trim().is_empty() {
        return Err("a pattern is missing before the colon: '*.css: max-age=60'".into());
    }
    ByPattern::checked(pattern, value)
}

fn type_rule(text: &str) -> Result<ByPattern, String> {
    const HELP: &str = "write a pattern and a type, as '*.foo: text/x-foo'";
    let (pattern, value) = text.split_once(':').ok_or(HELP)?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is_type = essence.split_once('/').is_some_and(|(kind, name)| {
        let good = |part: &str| !part.is_empty() && !part.contains(['/', ' ', '\t']);
        good(kind) && good(name)
    });
    if pattern.trim().is_empty() || !is_type {
        return Err(HELP.into());
    }
    ByPattern::checked(pattern, value)
}

/// A header to send with every file, or without a value, a default header to remove.
#[derive(Clone, Debug)]
pub(crate) struct HeaderRule {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

fn header_rule(text: &str) -> Result<HeaderRule, String> {
    let help = "write a name and a value, as 'X-Frame-Options: DENY'";
    let (name, value) = text.split_once(':').ok_or(help)?;
    let (name, value) = (name.trim(), value.trim());
    Headers::none().set(name, value).map_err(|error| match error {
        BadField::Reserved if name.eq_ignore_ascii_case("cache-control") => {
            "use --cache-control for this header".into()
        }
        BadField::Reserved if name.eq_ignore_ascii_case("content-type") => {
            "use --content-type for this header".into()
        }
        BadField::Reserved => format!("the server sets {name} for each file"),
        BadField::Name => format!("'{name}' is not a header name; {help}"),
        other => other.to_string(),
    })?;
    let value = (!value.is_empty()).then(|| value.to_owned());
    Ok(HeaderRule { name: name.to_owned(), value })
}

pub(super) fn origin(text: &str) -> Result<String, String> {
    Cors::origins([text]).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn encoding(text: &str) -> Result<Option<Coding>, String> {
    let text = text.trim();
    let coding = Coding::ALL.into_iter().find(|coding| coding.name() == text);
    if coding.is_none() && text != "none" {
        return Err("write zstd, br, gzip, a list of them, or none".into());
    }
    Ok(coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_parsed() {
        let rule = |text: &str| cache_rule(text).map(|rule| (rule.pattern, rule.value));
        let is = |pattern: &str, value: &str| Ok((pattern.to_owned(), value.to_owned()));
        assert_eq!(rule("max-age=60"), is("*", "max-age=60"));
        assert_eq!(rule("*.css: no-store, max-age=0"), is("*.css", "no-store, max-age=0"));
        assert_eq!(rule("a:b.css:no-store"), is("a:b.css", "no-store"));
        assert_eq!(rule("*:"), is("*", ""));
        assert!(rule(": x").unwrap_err().contains("pattern is missing"));
        assert!(rule("*: a\nb").unwrap_err().contains("control character"));

        assert!(type_rule("*.foo: text/x-foo; charset=latin1").is_ok());
        for bad in ["text/plain", "*.foo: text", "*.foo:", ": a/b", "*.foo: a/b/c"] {
            assert!(type_rule(bad).unwrap_err().contains("'*.foo: text/x-foo'"), "{bad}");
        }
    }

    #[test]
    fn headers_that_cannot_be_set_say_why() {
        for (text, reason) in [
            ("X-Frame-Options", "'X-Frame-Options: DENY'"),
            ("Cache-Control: no-store", "--cache-control"),
            ("content-type: a/b", "--content-type"),
            ("ETag: \"a\"", "the server sets ETag"),
            ("Content-Length: 1", "the server sets Content-Length"),
            ("a b: c", "'a b' is not a header name"),
            ("A: b\rc", "control character"),
        ] {
            let error = header_rule(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let removed = header_rule("X-Frame-Options:").unwrap();
        assert_eq!((&*removed.name, removed.value), ("X-Frame-Options", None));
    }
}
