//! Content types by file name.
//!
//! Most come from the crate `mime_guess2`; [`OURS`] has types that it lacks or has wrong. Every text type
//! has a charset, UTF-8, so that browsers don't guess.

use std::str;

use crate::naming::by_name::ByName;

/// The type of files with an unknown extension.
const UNKNOWN: &str = "application/octet-stream";

/// Extensions in lower case, and their types.
const OURS: &[(&[&str], &str)] = &[
    // RFC 9239: text/javascript is the one name, for scripts and modules.
    (&["js", "mjs", "cjs"], "text/javascript; charset=utf-8"),
    // Source code. In `mime_guess2`, `ts` is a video.
    (
        &["ts", "mts", "tsx", "jsx", "rs", "toml", "ini", "conf", "lock"],
        "text/plain; charset=utf-8",
    ),
    // RFC 9512.
    (&["yaml", "yml"], "application/yaml; charset=utf-8"),
    (&["map"], "application/json; charset=utf-8"),
    (&["jsonl"], "application/jsonl; charset=utf-8"),
    (&["ndjson"], "application/x-ndjson; charset=utf-8"),
    (&["geojson"], "application/geo+json; charset=utf-8"),
    (&["webmanifest"], "application/manifest+json; charset=utf-8"),
    (&["md", "markdown"], "text/markdown; charset=utf-8"),
    (&["vtt"], "text/vtt; charset=utf-8"),
    // RFC 9081: fonts are a top-level type.
    (&["ttf"], "font/ttf"),
    (&["otf"], "font/otf"),
    (&["woff"], "font/woff"),
    (&["woff2"], "font/woff2"),
    (&["opus"], "audio/ogg"),
    (&["flac"], "audio/flac"),
    (&["wav"], "audio/wav"),
    (&["m4a"], "audio/mp4"),
    (&["avif"], "image/avif"),
    (&["jxl"], "image/jxl"),
    (&["zst"], "application/zstd"),
    (&["br"], "application/octet-stream"),
    (&["gz"], "application/gzip"),
];

/// Text files without an extension.
const TEXT_NAMES: &[&str] =
    &["README", "LICENSE", "COPYING", "AUTHORS", "CHANGELOG", "NOTICE", "Makefile", "Dockerfile"];

/// The `Content-Type` of a file by its name; only the last segment matters. It is a valid header value.
#[must_use]
pub fn content_type(name: &[u8]) -> String {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let Ok(file) = str::from_utf8(file) else { return UNKNOWN.to_owned() };
    let Some((stem, extension)) = file.rsplit_once('.') else {
        let text = TEXT_NAMES.contains(&file);
        return if text { "text/plain; charset=utf-8" } else { UNKNOWN }.to_owned();
    };
    if stem.is_empty() {
        return UNKNOWN.to_owned();
    }
    let is_known = |known: &&str| known.eq_ignore_ascii_case(extension);
    if let Some((_, ours)) = OURS.iter().find(|(extensions, _)| extensions.iter().any(is_known)) {
        return (*ours).to_owned();
    }
    let known = mime_guess2::from_ext(extension).first_raw().unwrap_or(UNKNOWN);
    if is_text(known) { format!("{known}; charset=utf-8") } else { known.to_owned() }
}

/// The content type of a file: the owner's choice, else by its name.
pub(crate) fn chosen(name: &[u8], choices: &ByName) -> String {
    match choices.get(name).filter(|kind| !kind.is_empty()) {
        Some(kind) if is_text(kind) && !has_charset(kind) => format!("{kind}; charset=utf-8"),
        Some(kind) => kind.to_owned(),
        None => content_type(name),
    }
}

/// Whether content of this type is text.
pub(crate) fn is_text(kind: &str) -> bool {
    let essence = essence(kind);
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || essence.ends_with("+json")
        || matches!(essence, "application/json" | "application/xml" | "application/javascript")
        || has_charset(kind)
}

/// A type without its parameters.
pub(crate) fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim_end()
}

fn has_charset(kind: &str) -> bool {
    kind.split(';').skip(1).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("charset")
    })
}

/// Types that are not text and compress well. Others are compressed already (pictures, sound,
/// archives), or unknown.
const COMPRESSIBLE: &[&str] = &[
    "application/wasm",
    "application/vnd.ms-fontobject",
    "application/rtf",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
];

/// Whether content of this type compresses well.
pub(crate) fn is_compressible(kind: &str) -> bool {
    is_text(kind) || COMPRESSIBLE.contains(&essence(kind))
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
            ("a.json", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.xml", "text/xml; charset=utf-8"),
            ("a.xhtml", "application/xhtml+xml; charset=utf-8"),
            ("feed.atom", "application/atom+xml; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("site.webmanifest", "application/manifest+json; charset=utf-8"),
            ("app.js.map", "application/json; charset=utf-8"),
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
            ("LICENSE", "text/plain; charset=utf-8"),
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
    fn owners_may_choose_types() {
        let mut choices = ByName::new();
        choices.add("*.bin", "image/png").unwrap();
        choices.add("*.log", "text/plain").unwrap();
        choices.add("*.old", "text/plain; Charset=iso-8859-1").unwrap();
        choices.add("*.css", "").unwrap();
        for (name, expected) in [
            ("a.bin", "image/png"),
            ("a.log", "text/plain; charset=utf-8"),
            ("a.old", "text/plain; Charset=iso-8859-1"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
        ] {
            assert_eq!(chosen(name.as_bytes(), &choices), expected);
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
            ("a.zst", false),
            ("unknown", false),
        ] {
            assert_eq!(is_compressible(&content_type(name.as_bytes())), expected, "{name}");
        }
        assert!(is_compressible("text/x-made-up") && !is_compressible("application/x-made-up"));
    }

    #[test]
    fn our_table_is_in_lower_case_without_repeats_and_fits_a_field_value() {
        let all: Vec<_> = OURS.iter().flat_map(|(extensions, _)| *extensions).collect();
        for (at, extension) in all.iter().enumerate() {
            assert_eq!(**extension, extension.to_ascii_lowercase());
            assert!(!all[at + 1..].contains(extension), "{extension}");
        }
        for (_, kind) in OURS {
            assert!(kind.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{kind}");
        }
    }
}
