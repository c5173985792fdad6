//! The headers of listings, of archives, and of pages made from Markdown files.

use sockeye_http::Fields;

use crate::file::head::{Head, NO_STORE, REVALIDATE};
use crate::listing::assets::POLICY;
use crate::listing::query::Format;
use crate::listing::text;
use crate::live::page::allowing_script;
use crate::options::fields::with;
use crate::options::folder_options::Options;

/// The headers of a listing, an archive or a Markdown page. The file name of an archive is made of
/// `title`. `etag` is `None` for live pages, for HEAD that doesn't read the folder or file, and
/// for `sockeye explain`. `is_live`: whether a script reloads the page when files change.
pub(super) fn head(
    options: &Options,
    origin: Option<&[u8]>,
    format: Format,
    title: &[u8],
    etag: Option<&str>,
    is_live: bool,
) -> Head {
    let caching = if is_live { NO_STORE } else { REVALIDATE };
    // The fields of a 304. A 200 has them, too.
    let mut not_modified =
        with(Fields::new(), "Cache-Control", caching).and(&options.cors.constant_fields());
    if let Some(etag) = etag {
        not_modified = with(not_modified, "ETag", etag);
    }
    // Accept selects the format, at the same URL. Pages may also be compressed.
    not_modified = match format {
        Format::Html if !options.codings.on_demand.is_empty() && !is_live => {
            with(not_modified, "Vary", "Accept, Accept-Encoding")
        }
        Format::Html | Format::Json | Format::Text => with(not_modified, "Vary", "Accept"),
        Format::Tar => not_modified,
    };
    let not_modified = options.cors.with_allowed_origin(&not_modified, origin).into_owned();
    let is_page = format == Format::Html;
    // A Content-Security-Policy that the user has set is for the user's HTML files. Listings and
    // Markdown pages have a different one, `POLICY`.
    let headers = options.headers.of(is_page);
    let fields = headers
        .filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Security-Policy"))
        .fold(not_modified.clone(), |fields, (name, value)| with(fields, name, value));
    let kind = match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Json => "application/json",
        Format::Text => "text/plain; charset=utf-8",
        Format::Tar => "application/x-tar",
    };
    let fields = with(fields, "Content-Type", kind);
    let fields = match format {
        Format::Html if is_live => {
            with(fields, "Content-Security-Policy", &allowing_script(POLICY))
        }
        Format::Html => with(fields, "Content-Security-Policy", POLICY),
        Format::Json | Format::Text => fields,
        Format::Tar => {
            let fields = with(fields, "Accept-Ranges", "bytes");
            with(fields, "Content-Disposition", &disposition(title))
        }
    };
    Head { fields, not_modified }
}

/// The `Content-Disposition` of an archive (RFC 6266). `filename` has only characters that every
/// client supports. If the exact name has others and is UTF-8, `filename*` has the exact name.
fn disposition(title: &[u8]) -> String {
    let plain = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-' | b'_' | b'.' | b'+' => {
            char::from(*byte)
        }
        _ => '_',
    };
    let simple: String = title.iter().map(plain).collect();
    if simple.as_bytes() == title || std::str::from_utf8(title).is_err() {
        return format!("attachment; filename=\"{simple}.tar\"");
    }
    let mut exact = Vec::new();
    text::url(title, &mut exact);
    let exact = String::from_utf8_lossy(&exact);
    format!("attachment; filename=\"{simple}.tar\"; filename*=UTF-8''{exact}.tar")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::cors::Cors;

    #[test]
    fn download_names_are_escaped() {
        for (title, expected) in [
            ("docs", "attachment; filename=\"docs.tar\""),
            (
                "a\"b; c\r\n",
                "attachment; filename=\"a_b_ c__.tar\"; filename*=UTF-8''a%22b%3B%20c%0D%0A.tar",
            ),
            ("é", "attachment; filename=\"__.tar\"; filename*=UTF-8''%C3%A9.tar"),
        ] {
            assert_eq!(disposition(title.as_bytes()), expected);
        }
        assert_eq!(disposition(b"caf\xe9"), "attachment; filename=\"caf_.tar\"");
    }

    #[test]
    fn user_headers_except_the_policy_are_sent() {
        let mut options = Options::default();
        options.headers.set("Content-Security-Policy", "default-src 'self'").unwrap();
        options.headers.set("X-Frame-Options", "DENY").unwrap();
        options.cors = Cors::origins(["https://example.org"]).unwrap();
        let head = |format| {
            let origin = Some(&b"https://example.org"[..]);
            head(&options, origin, format, b"title", Some("\"tag\""), false).fields
        };
        let fields = head(Format::Html);
        let fields = String::from_utf8_lossy(fields.as_bytes());
        for line in [
            "ETag: \"tag\"",
            "Cache-Control: no-cache",
            "Vary: Origin",
            "Vary: Accept, Accept-Encoding",
            "Access-Control-Allow-Origin: https://example.org",
            "X-Content-Type-Options: nosniff",
            "X-Frame-Options: DENY",
            &format!("Content-Security-Policy: {POLICY}"),
        ] {
            assert!(fields.contains(&format!("{line}\r\n")), "{line}");
        }
        assert_eq!(fields.matches("Content-Security-Policy").count(), 1);
        let json = head(Format::Json);
        assert!(!String::from_utf8_lossy(json.as_bytes()).contains("X-Frame-Options"));
    }
}
