//! The parts of a request that responses depend on: its method, path and query, and a dozen fields.

use std::borrow::Cow;

use sockeye_http::{FieldName, FieldNames, Method, Request};

use super::accept::quality;
use super::accept_encoding::AcceptEncoding;

/// A request, with the methods that this crate needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestView<'a>(&'a Request<'a>);

/// The value of a field that must occur only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SingleValue<'a> {
    None,
    One(&'a [u8]),
    /// The field occurs several times. No value is used.
    Many,
}

impl<'a> RequestView<'a> {
    pub(crate) fn of(request: &'a Request<'a>) -> Self {
        Self(request)
    }

    /// The request itself.
    pub(crate) fn request(self) -> &'a Request<'a> {
        self.0
    }

    pub(crate) fn is_head(self) -> bool {
        self.0.method() == Method::Head
    }

    /// Whether the request is a HEAD without conditions about ETags. Then a listing or an archive
    /// is answered without reading its folder.
    pub(crate) fn is_head_without_etag_conditions(self) -> bool {
        const CONDITIONS: FieldNames =
            FieldNames::of(&[FieldName::IfMatch, FieldName::IfNoneMatch]);
        self.is_head() && !self.has_any(CONDITIONS)
    }

    /// The path as it was sent.
    pub(crate) fn path(self) -> &'a [u8] {
        self.0.path()
    }

    pub(crate) fn query(self) -> Option<&'a [u8]> {
        self.0.query()
    }

    /// Whether there is a field with one of these names.
    pub(crate) fn has_any(self, names: FieldNames) -> bool {
        self.0.present().intersects(names)
    }

    /// The value of a field that must occur only once.
    pub(crate) fn single(self, name: FieldName) -> SingleValue<'a> {
        match self.0.common_field(name) {
            None => SingleValue::None,
            Some(_) if self.0.is_repeated(name) => SingleValue::Many,
            Some(value) => SingleValue::One(value),
        }
    }

    /// The value of a list field; several lines are one list (RFC 9110, 5.3).
    pub(crate) fn list(self, name: FieldName) -> Option<Cow<'a, [u8]>> {
        let first = self.0.common_field(name)?;
        if !self.0.is_repeated(name) {
            return Some(Cow::Borrowed(first));
        }
        let lines: Vec<_> = self.0.fields_named(name.as_str()).collect();
        Some(Cow::Owned(lines.join(&b", "[..])))
    }

    /// `Range`, for GET only (RFC 9110, 14.2).
    pub(crate) fn range(self) -> SingleValue<'a> {
        if self.0.method() == Method::Get {
            self.single(FieldName::Range)
        } else {
            SingleValue::None
        }
    }

    /// Whether the request has neither conditions nor a range.
    pub(crate) fn is_unconditional(self) -> bool {
        const CONDITIONS: FieldNames = FieldNames::of(&[
            FieldName::IfMatch,
            FieldName::IfNoneMatch,
            FieldName::IfModifiedSince,
            FieldName::IfUnmodifiedSince,
            FieldName::Range,
        ]);
        !self.has_any(CONDITIONS)
    }

    /// `Origin`: the site whose script sends the request.
    pub(crate) fn origin(self) -> Option<&'a [u8]> {
        self.single(FieldName::Origin).get()
    }

    pub(crate) fn accept(self) -> Option<Cow<'a, [u8]>> {
        self.list(FieldName::Accept)
    }

    pub(crate) fn accept_encoding(self) -> AcceptEncoding {
        let mut accepted = AcceptEncoding::default();
        if self.has_any(FieldNames::of(&[FieldName::AcceptEncoding])) {
            self.0
                .fields_named(FieldName::AcceptEncoding.as_str())
                .for_each(|value| accepted.push(value));
        }
        accepted
    }

    /// Whether the request is for a page: its path is that of a page, and `Sec-Fetch-Mode` is
    /// `navigate`. If this field is absent or repeated, `Accept` decides instead: it must include
    /// HTML, or be absent.
    pub(crate) fn is_navigation(self) -> bool {
        is_page(self.path())
            && match self.single(FieldName::SecFetchMode) {
                SingleValue::One(mode) => *mode == *b"navigate",
                SingleValue::None | SingleValue::Many => {
                    self.accept().is_none_or(|accept| accepts_html(&accept))
                }
            }
    }
}

/// The fields that [`RequestView::is_navigation`] depends on.
pub(crate) const NAVIGATION_FIELDS: &str = "Accept, Sec-Fetch-Mode";

/// Whether a path may be that of a page: its last segment has no extension, or `.html`.
pub(crate) fn is_page(path: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match last.iter().rposition(|byte| *byte == b'.') {
        Some(dot) => last[dot..].eq_ignore_ascii_case(b".html"),
        None => true,
    }
}

/// Whether an `Accept` field accepts HTML.
fn accepts_html(accept: &[u8]) -> bool {
    [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|kind| quality(accept, kind) > 0)
}

impl<'a> SingleValue<'a> {
    /// The value, if there is exactly one.
    pub(crate) fn get(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::Many => None,
        }
    }

    /// Whether the field is present, also if it is repeated.
    pub(crate) fn is_some(self) -> bool {
        self != Self::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::request;

    #[test]
    fn navigation_requests_accept_html() {
        for (path, accept, mode, expected) in [
            ("/", None, None, true),
            ("/users/7", None, None, true),
            ("/about.HTML", None, None, true),
            ("/v1.2/users", None, None, true),
            ("/app.js", None, None, false),
            ("/app.", None, None, false),
            ("/users/7", Some("text/html,application/xml;q=0.9"), None, true),
            ("/users/7", Some("application/json, */*;q=0.1"), None, true),
            ("/users/7", Some("Text/HTML;q=0.5"), None, true),
            ("/users/7", Some("text/html;q=0, */*"), None, true),
            ("/users/7", Some("text/html;q=0, application/json"), None, false),
            ("/users/7", Some("application/json"), None, false),
            ("/users/7", Some("image/avif,image/*"), None, false),
            ("/users/7", Some(""), None, false),
            ("/users/7", Some("*/*"), Some("cors"), false),
            ("/users/7", Some("text/html"), Some("no-cors"), false),
            ("/users/7", Some("text/html"), Some("navigate"), true),
            ("/app.js", Some("text/html"), Some("navigate"), false),
        ] {
            let fields = [("Accept", accept), ("Sec-Fetch-Mode", mode)];
            let fields: Vec<_> =
                fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let kept = request(path, &fields);
            assert_eq!(
                RequestView::of(&kept.view()).is_navigation(),
                expected,
                "{path} {fields:?}"
            );
        }
    }

    #[test]
    fn repeated_list_fields_are_joined() {
        for (lines, list) in [
            (&[][..], None),
            (&[("accept", "a")][..], Some(&b"a"[..])),
            (&[("accept", "a"), ("accept", "b, c"), ("x", "d")][..], Some(b"a, b, c")),
        ] {
            let kept = request("/", lines);
            assert_eq!(RequestView::of(&kept.view()).accept().as_deref(), list);
        }
    }

    #[test]
    fn repeated_single_fields_are_ignored() {
        for (times, single, some) in [
            (0, SingleValue::None, false),
            (1, SingleValue::One(b"a"), true),
            (2, SingleValue::Many, true),
        ] {
            let kept = request("/", &vec![("origin", "a"); times]);
            let request = kept.view();
            let found = RequestView::of(&request).single(FieldName::Origin);
            assert_eq!((found, found.is_some()), (single, some));
            assert_eq!(found.get(), (times == 1).then_some(&b"a"[..]));
        }
    }

    #[test]
    fn ranges_count_for_get_only() {
        let kept = request("/", &[("range", "bytes=0-1")]);
        assert_eq!(RequestView::of(&kept.view()).range(), SingleValue::One(b"bytes=0-1"));
        let head = b"HEAD / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n";
        let kept = sockeye_http::OwnedRequest::read(head).unwrap();
        assert_eq!(RequestView::of(&kept.view()).range(), SingleValue::None);
    }
}
