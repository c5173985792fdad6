//! Content types by file name.
//!
//! [`TYPES`] is a table of types by extension, written by `scripts/media-types`. The script merges
//! tables of other projects with `media_types.txt`, whose types were reviewed by hand and take
//! precedence. If a text is UTF-8 and declares no other encoding, its type gets a charset, so that
//! browsers don't guess. Exceptions: JSON, YAML and configured types.

use std::borrow::Cow;
use std::str;

use super::charset::Syntax;
use super::media_types::{COMPRESSIBLE, TYPES};
use crate::naming::content_types::ContentTypes;

/// The type of files with an unknown extension.
const UNKNOWN: &str = "application/octet-stream";

/// An MPEG transport stream: its packets start with this byte (ISO/IEC 13818-1).
const TRANSPORT_STREAM: (u8, &str) = (0x47, "video/mp2t");

/// The type of a file as far as its name determines it. For `.ts`, the first byte of the content
/// decides between text and video.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedType<'a> {
    kind: &'a str,
    /// The type of content that starts with this byte.
    by_first_byte: Option<(u8, &'static str)>,
    /// Whether the type was configured ([`ContentTypes`]). Then it is sent as it is.
    is_chosen: bool,
}

/// The media type of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileType<'a> {
    kind: &'a str,
    /// How the text declares its encoding, if the charset depends on the content.
    pub(crate) syntax: Option<Syntax>,
}

/// The type of a file: the configured one, else that of `name_without_coding`, which is the file's
/// name without the extension of its coding (`app.js` for `app.js.gz`).
pub(crate) fn named<'a>(
    name: &[u8],
    name_without_coding: &[u8],
    choices: &'a ContentTypes,
) -> NamedType<'a> {
    match choices.get(name) {
        Some(kind) => NamedType { kind, by_first_byte: None, is_chosen: true },
        None => by_name(name_without_coding),
    }
}

/// The `Content-Type` of a file by its name; only the last segment matters. The result is a valid
/// header value.
///
/// Responses may have another type, which depends on the content: `.ts` is text or a video, and
/// text has no charset if it isn't UTF-8 or declares another encoding.
#[must_use]
pub fn content_type(name: &[u8]) -> String {
    by_name(name).with_start(b"").value(true)
}

impl<'a> NamedType<'a> {
    /// How many bytes at the start of the content [`NamedType::with_start`] needs.
    pub(crate) fn needs(&self) -> usize {
        usize::from(self.by_first_byte.is_some())
    }

    /// The type of a file whose content starts with `start`.
    pub(crate) fn with_start(&self, start: &[u8]) -> FileType<'a> {
        let kind = match self.by_first_byte {
            Some((first, kind)) if start.first() == Some(&first) => kind,
            _ => self.kind,
        };
        FileType { kind, syntax: if self.is_chosen { None } else { syntax(kind) } }
    }
}

impl FileType<'_> {
    /// The value of `Content-Type`. `is_utf8`: whether the content is UTF-8, and declares no other
    /// encoding in its [`Syntax`].
    pub(crate) fn value(&self, is_utf8: bool) -> String {
        if self.syntax.is_some() && is_utf8 {
            format!("{}; charset=utf-8", self.kind)
        } else {
            self.kind.to_owned()
        }
    }
}

fn by_name(name: &[u8]) -> NamedType<'static> {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let file = str::from_utf8(file).unwrap_or_default();
    let (kind, extension) = match file.rsplit_once('.') {
        None => (by_whole_name(file), ""),
        Some(("", _)) => (None, ""),
        Some((_, extension)) => (by_extension(extension), extension),
    };
    let is_ambiguous = extension.eq_ignore_ascii_case("ts");
    NamedType {
        kind: kind.unwrap_or(UNKNOWN),
        by_first_byte: is_ambiguous.then_some(TRANSPORT_STREAM),
        is_chosen: false,
    }
}

/// The type of a name without an extension.
fn by_whole_name(name: &str) -> Option<&'static str> {
    match name {
        "README" | "LICENSE" | "COPYING" | "AUTHORS" | "CHANGELOG" | "NOTICE" | "Makefile"
        | "Dockerfile" => Some("text/plain"),
        // Links a website to iOS apps. iOS doesn't read this file if it has another type.
        "apple-app-site-association" => Some("application/json"),
        _ => None,
    }
}

/// The type of `extension`, which may be in upper or lower case, in the table.
fn by_extension(extension: &str) -> Option<&'static str> {
    let lower = || extension.bytes().map(|byte| byte.to_ascii_lowercase());
    let found = TYPES.binary_search_by(|(known, _)| known.bytes().cmp(lower()));
    found.ok().map(|at| TYPES[at].1)
}

/// How text of this type declares its encoding. `None` if it is no text, or its type defines no
/// parameter `charset`: JSON (RFC 8259) and YAML (RFC 9512).
fn syntax(kind: &str) -> Option<Syntax> {
    let essence = &*essence(kind);
    match essence {
        _ if !is_text(essence) || is_json(essence) || essence == "application/yaml" => None,
        "text/html" => Some(Syntax::Html),
        "text/css" => Some(Syntax::Css),
        _ if is_xml(essence) => Some(Syntax::Xml),
        _ => Some(Syntax::Plain),
    }
}

/// Whether content of this type is text.
pub(crate) fn is_text(kind: &str) -> bool {
    let essence = &*essence(kind);
    essence.starts_with("text/")
        || is_xml(essence)
        || is_json(essence)
        || matches!(essence, "application/javascript" | "application/yaml")
        || has_charset(kind)
}

/// Whether this type is a playlist in the format M3U, which HTTP Live Streaming uses (RFC 8216).
pub(crate) fn is_playlist(kind: &str) -> bool {
    let subtype = essence(kind);
    let subtype = subtype.rsplit('/').next().unwrap_or_default();
    matches!(subtype, "vnd.apple.mpegurl" | "mpegurl" | "x-mpegurl")
}

pub(crate) fn is_html(kind: &str) -> bool {
    essence(kind) == "text/html"
}

/// Whether a browser shows this type as a page, with links or scripts.
pub(crate) fn is_page(kind: &str) -> bool {
    let essence = &*essence(kind);
    essence == "text/html" || is_xml(essence)
}

fn is_xml(essence: &str) -> bool {
    matches!(essence, "text/xml" | "application/xml") || essence.ends_with("+xml")
}

fn is_json(essence: &str) -> bool {
    let subtype = essence.strip_prefix("application/");
    matches!(subtype, Some("json" | "jsonl" | "x-ndjson")) || essence.ends_with("+json")
}

/// A type in lower case, without its parameters.
fn essence(kind: &str) -> Cow<'_, str> {
    let essence = kind.split(';').next().unwrap_or_default().trim_ascii();
    match essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => essence.to_ascii_lowercase().into(),
        false => essence.into(),
    }
}

fn has_charset(kind: &str) -> bool {
    kind.split(';').skip(1).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("charset")
    })
}

/// Whether content of this type compresses well.
pub(crate) fn is_compressible(kind: &str) -> bool {
    is_text(kind) || COMPRESSIBLE.binary_search(&&*essence(kind)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_web() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b/INDEX.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.MJS", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.xml", "text/xml; charset=utf-8"),
            ("a.xhtml", "application/xhtml+xml; charset=utf-8"),
            ("feed.atom", "application/atom+xml; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("site.webmanifest", "application/manifest+json"),
            ("app.js.map", "application/json"),
            ("a.wasm", "application/wasm"),
            ("a.png", "image/png"),
            ("a.jpg", "image/jpeg"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("favicon.ico", "image/x-icon"),
            ("a.woff2", "font/woff2"),
            ("a.mp4", "video/mp4"),
            ("a.webm", "video/webm"),
            ("a.mp3", "audio/mpeg"),
            ("a.pdf", "application/pdf"),
            ("a.zip", "application/zip"),
            ("a.tar.gz", "application/gzip"),
            ("main.ts", "text/plain; charset=utf-8"),
            ("main.rs", "text/plain; charset=utf-8"),
            ("main.c", "text/plain; charset=utf-8"),
            ("a.ics", "text/calendar; charset=utf-8"),
            ("a.HEIC", "image/heic"),
            ("a.glb", "model/gltf-binary"),
            ("a.parquet", "application/vnd.apache.parquet"),
            ("a.m3u8", "application/vnd.apple.mpegurl"),
            ("a.yml", "application/yaml"),
            ("a.jsonl", "application/jsonl"),
            ("a.ndjson", "application/x-ndjson"),
            ("a.geojson", "application/geo+json"),
            ("a.opus", "audio/ogg"),
            ("a.flac", "audio/flac"),
            ("a.wav", "audio/wav"),
            ("a.m4a", "audio/mp4"),
            ("a.jxl", "image/jxl"),
            ("a.otf", "font/otf"),
            ("a.zst", "application/zstd"),
            ("a.svgz", "application/gzip"),
            ("LICENSE", "text/plain; charset=utf-8"),
            ("apple-app-site-association", "application/json"),
            (".well-known/apple-app-site-association", "application/json"),
            ("unknown", "application/octet-stream"),
            ("a.nobodyknows", "application/octet-stream"),
            ("html", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.html/b", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(content_type(b"a.\xff"), UNKNOWN);
    }

    #[test]
    fn charset_depends_on_the_content_unless_the_owner_chose_the_type() {
        use Syntax::*;
        let mut choices = ContentTypes::new();
        choices.add("*.log", "text/plain").unwrap();
        choices.add("*.old", "text/plain; Charset=iso-8859-1").unwrap();
        for (name, kind, expected) in [
            ("a.html", "text/html", Some(Html)),
            ("a.css", "text/css", Some(Css)),
            ("a.svg", "image/svg+xml", Some(Xml)),
            ("a.xhtml", "application/xhtml+xml", Some(Xml)),
            ("a.xml", "text/xml", Some(Xml)),
            ("a.js", "text/javascript", Some(Plain)),
            ("a.txt", "text/plain", Some(Plain)),
            ("a.json", "application/json", None),
            ("a.geojson", "application/geo+json", None),
            ("a.yaml", "application/yaml", None),
            ("a.png", "image/png", None),
            ("a.log", "text/plain", None),
            ("a.old", "text/plain; Charset=iso-8859-1", None),
        ] {
            let of = named(name.as_bytes(), name.as_bytes(), &choices).with_start(b"");
            assert_eq!(of.syntax, expected, "{name}");
            assert_eq!(of.value(false), kind, "{name}");
            let claimed = expected.map_or(kind.to_owned(), |_| format!("{kind}; charset=utf-8"));
            assert_eq!(of.value(true), claimed, "{name}");
        }
    }

    #[test]
    fn pages_are_what_browsers_render_with_links_or_scripts() {
        for (kind, expected) in [
            ("text/html; charset=utf-8", true),
            ("Text/HTML", true),
            ("application/xhtml+xml", true),
            ("image/svg+xml", true),
            ("text/xml", true),
            ("application/xml; charset=big5", true),
            ("application/atom+xml", true),
            ("application/rss+xml; charset=utf-8", true),
            ("application/mathml+xml", true),
            ("model/vnd.collada+xml", true),
            ("text/plain", false),
            ("text/css", false),
            ("text/javascript", false),
            ("application/json", false),
            ("image/png", false),
        ] {
            assert_eq!(is_page(kind), expected, "{kind}");
        }
    }

    #[test]
    fn text_is_compressible_and_compressed_formats_are_not() {
        for (name, expected) in [
            ("a.html", true),
            ("a.css", true),
            ("a.js", true),
            ("a.json", true),
            ("a.jsonl", true),
            ("a.geojson", true),
            ("a.yaml", true),
            ("a.svg", true),
            ("a.txt", true),
            ("a.md", true),
            ("feed.atom", true),
            ("a.wasm", true),
            ("a.ttf", true),
            ("favicon.ico", true),
            ("a.ics", true),
            ("a.glb", true),
            ("a.m3u8", true),
            ("a.ps", true),
            ("a.ttc", true),
            ("LICENSE", true),
            ("a.png", false),
            ("a.jpg", false),
            ("a.webp", false),
            ("a.avif", false),
            ("a.woff", false),
            ("a.woff2", false),
            ("a.mp4", false),
            ("a.mp3", false),
            ("a.pdf", false),
            ("a.zip", false),
            ("a.gz", false),
            ("a.br", false),
            ("a.tar", false),
            ("a.heic", false),
            ("a.svgz", false),
            ("a.zst", false),
            ("unknown", false),
        ] {
            assert_eq!(is_compressible(&content_type(name.as_bytes())), expected, "{name}");
        }
        assert!(is_compressible("text/x-made-up") && !is_compressible("application/x-made-up"));
    }

    /// The types by extension that were reviewed.
    fn reviewed() -> impl Iterator<Item = (&'static str, &'static str)> {
        include_str!("media_types.txt").lines().flat_map(|line| {
            let mut words = line.split('#').next().unwrap().split_whitespace();
            let kind = words.next().unwrap_or_default();
            words.map(move |extension| (extension, kind))
        })
    }

    #[test]
    fn reviewed_types_win() {
        let mut count = 0;
        for (extension, kind) in reviewed() {
            assert_eq!(by_extension(extension), Some(kind), "{extension}: run scripts/media-types");
            count += 1;
        }
        assert!(count > 100);
    }

    #[test]
    fn table_is_sorted_in_lower_case_and_fits_a_field_value() {
        let is_lower =
            |text: &str| text.bytes().all(|byte| matches!(byte, b'!'..=b'@' | b'^'..=b'z'));
        assert!(TYPES.is_sorted_by_key(|(extension, _)| extension));
        assert!(TYPES.windows(2).all(|rows| rows[0].0 != rows[1].0));
        for (extension, kind) in TYPES {
            assert!(is_lower(extension) && is_lower(kind), "{extension} {kind}");
            assert!(kind.split_once('/').is_some_and(|(_, subtype)| !subtype.contains('/')));
        }
        assert!(COMPRESSIBLE.is_sorted() && COMPRESSIBLE.iter().all(|kind| is_lower(kind)));
    }

    /// Whether a browser runs this type, or renders it with scripts.
    fn is_active(kind: &str) -> bool {
        let (top, subtype) = kind.split_once('/').unwrap();
        matches!(top, "multipart" | "message")
            || subtype.ends_with("+xml")
            || subtype.contains("html") && !subtype.starts_with("vnd.")
            || ["javascript", "ecmascript", "jscript", "livescript", "vbscript", "scriptlet"]
                .iter()
                .any(|script| subtype.trim_start_matches("x-").starts_with(script))
            || matches!(
                subtype,
                "xml"
                    | "xsl"
                    | "xslt"
                    | "css"
                    | "wasm"
                    | "pdf"
                    | "hta"
                    | "x-component"
                    | "cache-manifest"
                    | "x-ms-application"
                    | "x-ms-xbap"
            )
    }

    #[test]
    fn types_that_browsers_run_are_reviewed() {
        let reviewed: Vec<_> = reviewed().collect();
        let mut active = 0;
        for row in TYPES.iter().filter(|(_, kind)| is_active(kind)) {
            assert!(reviewed.contains(row), "{row:?}");
            active += 1;
        }
        assert!(active > 20, "{active}");
        for name in ["a.xaml", "a.hta", "a.htc", "a.mht", "a.eml", "a.xul", "a.appcache", "a.es"] {
            assert_eq!(content_type(name.as_bytes()), UNKNOWN, "{name}");
        }
    }
}
