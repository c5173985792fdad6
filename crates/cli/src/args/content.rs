//! What was typed about the content that is served: folders, and how they are answered for.

use std::ffi::OsString;
use std::str::FromStr;

use clap::Args;
use clap::builder::BoolishValueParser;
use sockeye::files::{BadField, ByName, Coding, Cors, Headers};

use super::defaults::{BUDGETS, FILES, size};
use crate::quantity::Size;

/// What is served, and how.
#[derive(Args, Debug)]
pub(crate) struct Content {
    /// What to serve: a folder or a single file, at /; or PREFIX=FOLDER, such as /docs=./docs,
    /// beneath a path of its own. Several may be given: the longest prefix answers.
    #[arg(value_name = "[PREFIX=]FOLDER", default_value = ".")]
    pub(crate) folders: Vec<OsString>,

    /// List folders that have no index.html; ?format=json, text or tar asks for another form, tar
    /// for all that is in them, also where there is an index.html. Hidden names are never shown.
    #[arg(long, env = "SOCKEYE_LISTING", hide_env = true, help_heading = "Content")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) listing: bool,

    /// Answer pages that aren't there with the folder's index.html: for single-page apps. Paths that
    /// look like a file, such as /app.js, stay 404.
    #[arg(long, env = "SOCKEYE_SPA", hide_env = true, help_heading = "Content")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) spa: bool,

    /// With --listing, don't send folders as archives: ?format=tar is an unknown format (400).
    #[arg(long, env = "SOCKEYE_NO_ARCHIVES", hide_env = true, help_heading = "Content")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) no_archives: bool,

    /// Don't let /about find about.html.
    #[arg(long, env = "SOCKEYE_NO_CLEAN_URLS", hide_env = true, help_heading = "Content")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) no_clean_urls: bool,

    /// Sets Content-Type for files whose name or path matches: '*.foo: text/x-foo'. May be given
    /// several times; the first that matches counts [default: by a table of extensions]
    #[arg(long, value_name = "PATTERN: TYPE", env = "SOCKEYE_CONTENT_TYPE", hide_env = true)]
    #[arg(help_heading = "Content")]
    pub(crate) content_type: Vec<TypeRule>,

    /// Sets Cache-Control: 'max-age=60' for all files, '/fonts/*: max-age=86400' for those whose
    /// name or path matches, '*:' to send none. May be given several times; the first that matches
    /// counts [default: a year and immutable for fingerprinted names, no-cache for pages, styles,
    /// scripts and other text, ten minutes for the rest]
    #[arg(long, value_name = "[PATTERN:] VALUE", env = "SOCKEYE_CACHE_CONTROL", hide_env = true)]
    #[arg(help_heading = "Headers")]
    pub(crate) cache_control: Vec<CacheRule>,

    /// Sends a header with every file, or in the place of a default one: 'X-Frame-Options: DENY';
    /// with an empty value, drops it. May be given several times [default: X-Content-Type-Options:
    /// nosniff, and with pages Referrer-Policy: strict-origin-when-cross-origin and
    /// X-Frame-Options: SAMEORIGIN]
    #[arg(long, value_name = "NAME: VALUE", env = "SOCKEYE_HEADER", hide_env = true)]
    #[arg(help_heading = "Headers")]
    pub(crate) header: Vec<HeaderRule>,

    /// Drops the default headers for security; those of --header stay.
    #[arg(long, env = "SOCKEYE_NO_SECURITY_HEADERS", hide_env = true, help_heading = "Headers")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) no_security_headers: bool,

    /// Lets scripts of another site read the files: its origin, such as https://example.org, or * for
    /// every site. May be given several times [default: none]
    #[arg(long, value_name = "ORIGIN", env = "SOCKEYE_CORS", hide_env = true)]
    #[arg(help_heading = "Headers")]
    pub(crate) cors: Vec<Origin>,

    /// Files of up to so many bytes have an ETag that is made of their content, larger ones one of
    /// their identity on disk.
    #[arg(long, value_name = "BYTES", env = "SOCKEYE_HASH_UP_TO", hide_env = true)]
    #[arg(help_heading = "Headers", default_value_t = size(FILES.hashed_up_to))]
    pub(crate) hash_up_to: Size,

    /// In which codings text is compressed when it is first asked for: a list, or none.
    #[arg(long, value_name = "LIST", env = "SOCKEYE_COMPRESS", hide_env = true)]
    #[arg(help_heading = "Compression", value_delimiter = ',', default_value = "zstd,br,gzip")]
    pub(crate) compress: Vec<Compress>,

    /// Memory for compressed forms of files, kept or being sent, of all folders and workers together.
    /// The least used is dropped; where that isn't enough, files are sent uncompressed.
    #[arg(long, value_name = "BYTES", env = "SOCKEYE_COMPRESS_MEMORY", hide_env = true)]
    #[arg(help_heading = "Compression", default_value_t = size(BUDGETS.compressed))]
    pub(crate) compress_memory: Size,

    /// Leave out page.html.zst, .br and .gz, which otherwise are sent in the place of page.html where
    /// they unpack to the same.
    #[arg(long, env = "SOCKEYE_NO_PRECOMPRESSED", hide_env = true)]
    #[arg(help_heading = "Compression", value_parser = BoolishValueParser::new())]
    pub(crate) no_precompressed: bool,
}

/// A value for files that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A Cache-Control for some files.
#[derive(Clone, Debug)]
pub(crate) struct CacheRule(pub(crate) ByPattern);

impl FromStr for CacheRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // No directive has a colon.
        let (pattern, value) = text.rsplit_once(':').unwrap_or(("*", text));
        if pattern.trim().is_empty() {
            return Err("a pattern is missing in front of the colon: '*.css: max-age=60'".into());
        }
        ByPattern::checked(pattern, value).map(Self)
    }
}

/// A Content-Type for some files.
#[derive(Clone, Debug)]
pub(crate) struct TypeRule(pub(crate) ByPattern);

impl FromStr for TypeRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
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
        ByPattern::checked(pattern, value).map(Self)
    }
}

/// A header for every file, or one to drop.
#[derive(Clone, Debug)]
pub(crate) struct HeaderRule {
    pub(crate) name: String,
    /// Nothing drops it.
    pub(crate) value: Option<String>,
}

impl FromStr for HeaderRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = "write a name and a value, as 'X-Frame-Options: DENY'";
        let (name, value) = text.split_once(':').ok_or(help)?;
        let (name, value) = (name.trim(), value.trim());
        Headers::none().set(name, value).map_err(|error| match error {
            BadField::Reserved if name.eq_ignore_ascii_case("cache-control") => {
                "that has a flag of its own: --cache-control".into()
            }
            BadField::Reserved if name.eq_ignore_ascii_case("content-type") => {
                "that has a flag of its own: --content-type".into()
            }
            BadField::Reserved => format!("{name} is written by the server, for each file"),
            BadField::Name => format!("'{name}' is no name of a header; {help}"),
            other => other.to_string(),
        })?;
        let value = (!value.is_empty()).then(|| value.to_owned());
        Ok(Self { name: name.to_owned(), value })
    }
}

/// An origin, or `*` for all.
#[derive(Clone, Debug)]
pub(crate) struct Origin(pub(crate) String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Cors::origins([text]).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

/// A coding, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compress(pub(crate) Option<Coding>);

impl FromStr for Compress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "none" {
            return Ok(Self(None));
        }
        let coding = Coding::ALL.into_iter().find(|coding| coding.name() == text);
        let coding = coding.ok_or("write zstd, br, gzip, a list of them, or none")?;
        Ok(Self(Some(coding)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_people_write_them() {
        let rule = |text: &str| {
            text.parse::<CacheRule>().map(|CacheRule(rule)| (rule.pattern, rule.value))
        };
        let is = |pattern: &str, value: &str| Ok((pattern.to_owned(), value.to_owned()));
        assert_eq!(rule("max-age=60"), is("*", "max-age=60"));
        assert_eq!(rule("*.css: no-store, max-age=0"), is("*.css", "no-store, max-age=0"));
        assert_eq!(rule("a:b.css:no-store"), is("a:b.css", "no-store"));
        assert_eq!(rule("*:"), is("*", ""));
        assert!(rule(": x").unwrap_err().contains("pattern is missing"));
        assert!(rule("*: a\nb").unwrap_err().contains("control character"));

        assert!("*.foo: text/x-foo; charset=latin1".parse::<TypeRule>().is_ok());
        for bad in ["text/plain", "*.foo: text", "*.foo:", ": a/b", "*.foo: a/b/c"] {
            assert!(bad.parse::<TypeRule>().unwrap_err().contains("'*.foo: text/x-foo'"), "{bad}");
        }
    }

    #[test]
    fn headers_that_cannot_be_set_say_why() {
        for (text, why) in [
            ("X-Frame-Options", "'X-Frame-Options: DENY'"),
            ("Cache-Control: no-store", "--cache-control"),
            ("content-type: a/b", "--content-type"),
            ("ETag: \"a\"", "ETag is written by the server"),
            ("Content-Length: 1", "Content-Length is written by the server"),
            ("a b: c", "'a b' is no name"),
            ("A: b\rc", "control character"),
        ] {
            let error = text.parse::<HeaderRule>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let dropped: HeaderRule = "X-Frame-Options:".parse().unwrap();
        assert_eq!((&*dropped.name, dropped.value), ("X-Frame-Options", None));
    }
}
