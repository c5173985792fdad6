//! The flags that say which folders are served, and how.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use sockeye::files::{
    BadField, BudgetLimits, ByName, Coding, ContentTypes, Cors, Headers, Options,
};

use super::cache_control;
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
    /// archive of everything in the folder, whether or not there is an index.html. ?format=html
    /// after a Markdown file shows it as a page. Hidden files are never listed. Other entries that
    /// can't be served are counted. Default: on if standard output is a terminal, every --listen
    /// is a loopback address, and there is neither --trusted-proxy nor --host.
    #[arg(long, help_heading = "Content")]
    pub(crate) listing: bool,

    /// Never list folders, not even on a terminal. Conflicts with --listing.
    #[arg(long, help_heading = "Content")]
    pub(crate) no_listing: bool,

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

    /// While you edit: look each file up for each request, so that a change is visible at once.
    ///
    /// Browsers revalidate every file, too: Cache-Control is no-cache unless --cache-control sets
    /// it. Default: off; a change is visible after one second.
    #[arg(long, help_heading = "Content")]
    pub(crate) fresh: bool,

    /// While you edit: reload pages in the browser when their files change.
    ///
    /// A style sheet is replaced without a reload. Each HTML page gets a script, which follows the
    /// changes of the files that the page has loaded. The log names pages whose
    /// Content-Security-Policy forbids this script. HTML is sent uncompressed, and browsers don't
    /// store it. Includes --fresh. At every address, requests must be for localhost, an IP address,
    /// a name of --host, or a name of a certificate, except from Unix sockets and trusted proxies.
    #[arg(long, help_heading = "Content")]
    pub(crate) live: bool,

    /// Follow symbolic links into FOLDER, too. Default: only into the served folder.
    ///
    /// Can be given several times. Whoever can create links in a served folder can publish
    /// everything in FOLDER that this process may read, except names that begin with a dot.
    #[arg(long, value_name = "FOLDER", help_heading = "Content")]
    pub(crate) links_into: Vec<PathBuf>,

    /// Set Content-Type for files whose name or path matches, as '*.foo: text/x-foo'.
    ///
    /// A pattern with a slash is matched against a file's path in the served folder, not against
    /// the URL. The type is sent as given. Can be given several times; the first match is used.
    /// Default: from the file's extension, with charset=utf-8 for text that is UTF-8 and declares
    /// no other encoding. Of files above --hash-up-to, only the first 64 KiB are checked for this.
    #[arg(long, value_name = "PATTERN: TYPE", help_heading = "Content", value_parser = type_rule)]
    pub(crate) content_type: Vec<ByPattern>,

    /// Send Content-Encoding with files that are stored compressed, as '*.wasm.br: br'.
    ///
    /// Their type is that of the name without .gz, .br or .zst. Browsers decompress them; clients
    /// that don't accept the encoding get the same. Encodings: gzip, br, zstd, or identity for
    /// none. Can be given several times; the first match is used. Default: gzip for .svgz.
    #[arg(long, value_name = "PATTERN: ENCODING", help_heading = "Content")]
    #[arg(value_parser = stored_encoding)]
    pub(crate) content_encoding: Vec<StoredEncoding>,

    /// Set Cache-Control, as 'max-age=60', or '/fonts/*: max-age=86400' for matching files.
    ///
    /// A pattern with a slash is matched against a file's path in the served folder, not against
    /// the URL; any other against its name. '*:' sends no Cache-Control. Can be given several
    /// times; the first match is used. Default: one year and immutable for fingerprinted names;
    /// no-cache for pages, styles, scripts, WebAssembly, playlists (.m3u8) and other text; ten
    /// minutes for everything else.
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
    /// Above it, the ETag is made of size and modification time. If a file of up to this size
    /// changes while it is sent, it is hashed again, up to its length at the start. If the hash is
    /// the same, the transfer is completed, else cut.
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

impl FolderArgs {
    /// Resolves `--listing`, `--no-listing` and their environment variables. `SOCKEYE_LISTING=no`
    /// sets `no_listing`. A typed flag overrides the variable of the opposite flag.
    ///
    /// # Errors
    ///
    /// Both flags are typed, or the variables turn both on.
    pub(super) fn resolve_listing(&mut self, matches: &ArgMatches) -> Result<(), &'static str> {
        let source = |flag| matches.value_source(flag);
        let is_typed = |flag| source(flag) == Some(ValueSource::CommandLine);
        match (is_typed("listing"), is_typed("no_listing")) {
            (true, true) => return Err("--listing and --no-listing conflict: remove one of them"),
            (true, false) => self.no_listing = false,
            (false, true) => self.listing = false,
            (false, false) if self.listing && self.no_listing => {
                return Err("SOCKEYE_LISTING and SOCKEYE_NO_LISTING conflict: unset one of them");
            }
            (false, false) if source("listing") == Some(ValueSource::EnvVariable) => {
                self.no_listing = !self.listing;
            }
            (false, false) => {}
        }
        Ok(())
    }
}

/// A value for the files whose name or path matches a pattern.
#[derive(Clone, Debug)]
pub(crate) struct ByPattern {
    pub(crate) pattern: String,
    pub(crate) value: String,
}

impl ByPattern {
    /// Trims both parts. Fails if the value can't be sent in a header.
    fn checked(pattern: &str, value: &str) -> Result<Self, String> {
        let (pattern, value) = (pattern.trim().to_owned(), value.trim().to_owned());
        ByName::new().add(&pattern, &value).map_err(|error| error.to_string())?;
        Ok(Self { pattern, value })
    }
}

fn cache_rule(text: &str) -> Result<ByPattern, String> {
    // Splits at the last colon before the first quote. A pattern may contain colons; a directive
    // may contain one only in a quoted string.
    let colon = text[..text.find('"').unwrap_or(text.len())].rfind(':');
    let (pattern, value) = colon.map_or(("*", text), |at| (&text[..at], &text[at + 1..]));
    if pattern.trim().is_empty() {
        return Err("a pattern is missing before the colon: '*.css: max-age=60'".into());
    }
    let rule = ByPattern::checked(pattern, value)?;
    // An empty value sends no header.
    if !rule.value.is_empty() {
        cache_control::check(&rule.value, colon.is_none())?;
    }
    Ok(rule)
}

fn type_rule(text: &str) -> Result<ByPattern, String> {
    let help = "write a pattern and a type, as '*.foo: text/x-foo'";
    let (pattern, value) = text.split_once(':').ok_or(help)?;
    let (pattern, value) = (pattern.trim().to_owned(), value.trim().to_owned());
    if pattern.is_empty() {
        return Err(help.into());
    }
    ContentTypes::new().add(&pattern, &value).map_err(|error| format!("{error}; {help}"))?;
    Ok(ByPattern { pattern, value })
}

/// The encoding in which the files that match a pattern are stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredEncoding {
    pub(crate) pattern: String,
    /// `None`: not encoded.
    pub(crate) coding: Option<Coding>,
}

fn stored_encoding(text: &str) -> Result<StoredEncoding, String> {
    let help = "write a pattern, and gzip, br, zstd or identity, as '*.wasm.br: br'";
    // Splits at the last colon: a pattern may contain colons.
    let (pattern, name) = text.rsplit_once(':').ok_or(help)?;
    let (pattern, name) = (pattern.trim(), name.trim());
    let coding = coding(name);
    if pattern.is_empty() || coding.is_none() && name != "identity" {
        return Err(help.into());
    }
    Ok(StoredEncoding { pattern: pattern.to_owned(), coding })
}

/// A header to send with every file. If `value` is `None`, the default header of this name is not
/// sent.
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
        BadField::Reserved => match flag_for(name) {
            Some(flag) => format!("--header can't set {name}: use {flag}"),
            None => format!("--header can't set {name}: the server decides about it"),
        },
        BadField::Name => format!("'{name}' is not a header name; {help}"),
        other => other.to_string(),
    })?;
    let value = (!value.is_empty()).then(|| value.to_owned());
    Ok(HeaderRule { name: name.to_owned(), value })
}

/// The flag that decides about a header, which the server writes.
fn flag_for(header: &str) -> Option<&'static str> {
    Some(match &*header.to_ascii_lowercase() {
        "cache-control" | "expires" | "pragma" => "--cache-control",
        "content-type" => "--content-type",
        "content-encoding" => "--content-encoding",
        "access-control-allow-origin" | "access-control-expose-headers" => "--cors",
        _ => return None,
    })
}

pub(super) fn origin(text: &str) -> Result<String, String> {
    Cors::origins([text]).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn encoding(text: &str) -> Result<Option<Coding>, String> {
    let text = text.trim();
    let coding = coding(text);
    if coding.is_none() && text != "none" {
        return Err("write zstd, br, gzip, a list of them, or none".into());
    }
    Ok(coding)
}

fn coding(name: &str) -> Option<Coding> {
    Coding::ALL.into_iter().find(|coding| coding.name() == name)
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
        assert_eq!(rule("*.css: a=\"b:c\""), is("*.css", "a=\"b:c\""));
        assert_eq!(rule("a=\"b:c\""), is("*", "a=\"b:c\""));
        assert!(rule(": x").unwrap_err().contains("pattern is missing"));
        assert!(rule("*: a\nb").unwrap_err().contains("control character"));
        for (bad, reason) in [
            ("*.png max-age=3", "\"*.png max-age=3\" is no directive; write '*.png: max-age=3'"),
            ("max-age=60 public", "is no directive; write 'max-age=60, public'"),
            ("60", "\"60\" is no directive; write max-age=60"),
            ("*.css: 1h", "\"1h\" is no directive; write max-age=3600"),
            ("max-age=foo", "max-age needs a number of seconds, as max-age=60"),
            ("max-age", "max-age needs a number of seconds"),
            ("public, S-MaxAge=\"5\"", "S-MaxAge needs a number of seconds, as S-MaxAge=60"),
            ("stale-while-revalidate=1h", "a number of seconds, as stale-while-revalidate=3600"),
            ("max-age=1h, public", "max-age needs a number of seconds, as max-age=3600"),
            ("60, public", "\"60\" is no directive; write max-age=60"),
            ("max-age=1h public", "max-age=1h"),
            ("max-age=60,", "\"\" is no directive; write directives as 'max-age=60, public'"),
            ("max-age = 60", "\"max-age = 60\" is no directive"),
            ("private=\"a", "\"private=\\\"a\" is no directive"),
        ] {
            let error = rule(bad).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
        for good in [
            "no-store",
            "private=\"Set-Cookie, X\", max-age=0",
            "public,max-age=31536000,immutable",
            "a-new-one=\"with \\\" quote\", another",
            "stale-if-error=60 , must-revalidate",
        ] {
            assert_eq!(rule(good), is("*", good));
        }

        assert!(type_rule("*.foo: text/x-foo; charset=latin1").is_ok());
        for (bad, reason) in [
            ("text/plain", "write a pattern"),
            (": a/b", "write a pattern"),
            ("*.foo: text", "\"text\" is not a type"),
            ("*.foo:", "\"\" is not a type"),
            ("*.foo: a/b/c", "\"a/b/c\" is not a type"),
            ("*.foo: a/b; charset", "\"charset\" is not a name and a value, such as charset=utf-8"),
            ("*.foo: a/b\u{7}", "\"a/b\\u{7}\" is not a type"),
        ] {
            let error = type_rule(bad).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
            assert!(error.contains("'*.foo: text/x-foo'"), "{bad}: {error}");
        }

        let rule = |text: &str| stored_encoding(text).map(|rule| (rule.pattern, rule.coding));
        assert_eq!(rule("*.js.gz: gzip"), Ok(("*.js.gz".into(), Some(Coding::Gzip))));
        assert_eq!(rule("a:b.br:br"), Ok(("a:b.br".into(), Some(Coding::Brotli))));
        assert_eq!(rule("*.svgz: identity"), Ok(("*.svgz".into(), None)));
        for bad in ["gzip", ": gzip", "*.gz:", "*.gz: deflate", "*.gz: gzip, br", "*.gz: GZIP "] {
            assert!(rule(bad).unwrap_err().contains("'*.wasm.br: br'"), "{bad}");
        }
    }

    #[test]
    fn headers_that_cannot_be_set_say_why() {
        for (text, reason) in [
            ("X-Frame-Options", "'X-Frame-Options: DENY'"),
            ("Cache-Control: no-store", "--cache-control"),
            ("content-type: a/b", "--content-type"),
            ("Content-Encoding: br", "--content-encoding"),
            ("EXPIRES: 0", "can't set EXPIRES: use --cache-control"),
            ("Access-Control-Allow-Origin: *", "--cors"),
            ("ETag: \"a\"", "can't set ETag: the server decides"),
            ("Content-Length: 1", "can't set Content-Length: the server decides"),
            ("Upgrade: a", "can't set Upgrade: the server decides"),
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
