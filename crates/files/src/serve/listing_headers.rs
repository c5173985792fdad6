//! What is said about pages and archives of folders in the heads of their responses.

use sockeye_http::Fields;

use crate::file::fields::with;
use crate::listing::assets::POLICY;
use crate::listing::query::Format;
use crate::listing::text;
use crate::options::choices::Options;
use crate::tar::manifest::Manifest;

/// What the heads of the responses for one folder have in common.
pub(super) struct ListingHeaders<'a> {
    pub(super) options: &'a Options,
    /// `Origin`
    pub(super) origin: Option<&'a [u8]>,
}

impl ListingHeaders<'_> {
    /// The fields of a page in this form.
    pub(super) fn page(&self, format: Format, etag: &str) -> Fields {
        self.of_page(self.page_not_modified(etag), format)
    }

    fn of_page(&self, fields: Fields, format: Format) -> Fields {
        let kind = match format {
            Format::Html => "text/html; charset=utf-8",
            Format::Json => "application/json",
            Format::Text | Format::Tar => "text/plain; charset=utf-8",
        };
        let is_page = format == Format::Html;
        let fields = self.with_headers(fields, is_page);
        let fields = with(fields, "Content-Type", kind);
        if is_page { with(fields, "Content-Security-Policy", POLICY) } else { fields }
    }

    /// What is said of a page or an archive in this form before it is made: all but its ETag.
    pub(super) fn unmade(&self, format: Format, title: &[u8]) -> Fields {
        let fields = match format {
            Format::Tar => self.of_archive(Fields::new(), title),
            _ => self.of_page(with(Fields::new(), "Vary", "Accept"), format),
        };
        let mut fields = with(fields, "Cache-Control", "no-cache");
        self.options.cors.stand_in(&mut fields);
        self.options.cors.grant(&fields, self.origin).into_owned()
    }

    /// The fields of a page that the client has.
    pub(super) fn page_not_modified(&self, etag: &str) -> Fields {
        // The same address is the same folder in several forms.
        with(self.archive_not_modified(etag), "Vary", "Accept")
    }

    /// The fields of an archive.
    pub(super) fn archive(&self, manifest: &Manifest) -> Fields {
        self.of_archive(self.archive_not_modified(manifest.etag()), manifest.title())
    }

    fn of_archive(&self, fields: Fields, title: &[u8]) -> Fields {
        let fields = self.with_headers(fields, false);
        let fields = with(fields, "Content-Type", "application/x-tar");
        let fields = with(fields, "Accept-Ranges", "bytes");
        with(fields, "Content-Disposition", &disposition(title))
    }

    /// The fields of an archive that the client has.
    pub(super) fn archive_not_modified(&self, etag: &str) -> Fields {
        let mut fields = with(with(Fields::new(), "ETag", etag), "Cache-Control", "no-cache");
        self.options.cors.stand_in(&mut fields);
        self.options.cors.grant(&fields, self.origin).into_owned()
    }

    /// The fields that the owner wants, but for a policy: it is for the owner's pages, and ours has
    /// its own.
    fn with_headers(&self, fields: Fields, is_page: bool) -> Fields {
        let wanted = self.options.headers.of(is_page);
        wanted
            .filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Security-Policy"))
            .fold(fields, |fields, (name, value)| with(fields, name, value))
    }
}

/// How a client is to call a folder's archive (RFC 6266): once in letters that every client reads,
/// and once as it is, if that is text.
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
    fn a_download_has_a_name_that_nothing_can_break_out_of() {
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
    fn the_owner_s_fields_are_sent_but_for_the_policy() {
        let mut options = Options::default();
        options.headers.set("Content-Security-Policy", "default-src 'self'").unwrap();
        options.headers.set("X-Frame-Options", "DENY").unwrap();
        options.cors = Cors::origins(["https://example.org"]).unwrap();
        let heads = ListingHeaders { options: &options, origin: Some(b"https://example.org") };
        let fields = heads.page(Format::Html, "\"tag\"");
        let fields = String::from_utf8_lossy(fields.as_bytes());
        for line in [
            "ETag: \"tag\"",
            "Cache-Control: no-cache",
            "Vary: Origin",
            "Vary: Accept",
            "Access-Control-Allow-Origin: https://example.org",
            "X-Content-Type-Options: nosniff",
            "X-Frame-Options: DENY",
            &format!("Content-Security-Policy: {POLICY}"),
        ] {
            assert!(fields.contains(&format!("{line}\r\n")), "{line}");
        }
        assert_eq!(fields.matches("Content-Security-Policy").count(), 1);
        let json = heads.page(Format::Json, "\"tag\"");
        assert!(!String::from_utf8_lossy(json.as_bytes()).contains("X-Frame-Options"));
    }
}
