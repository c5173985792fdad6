//! Conditional requests (RFC 9110, 13).

use sockeye_http::{FieldName, date};
use sockeye_proto::WallTime;

use super::view::{RequestView, SingleValue};

/// The result of a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// All preconditions are met, or there are none.
    Send,
    /// The client has the content: 304.
    NotModified,
    /// The content is not the one that the client requires: 412.
    Failed,
}

impl RequestView<'_> {
    /// Evaluates the preconditions for content with this ETag and date, in the order of RFC 9110,
    /// 13.2.2. `If-Unmodified-Since` is ignored if there is an `If-Match`, and `If-Modified-Since`
    /// if there is an `If-None-Match`.
    pub(crate) fn evaluate(self, etag: &[u8], modified: Option<WallTime>) -> Precondition {
        use FieldName::{IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince};
        let is_required = match (self.list(IfMatch), self.single(IfUnmodifiedSince).get()) {
            (Some(list), _) => etag_list_contains(&list, etag, Comparison::Strong),
            (None, Some(date)) => is_newer(modified, date).is_none_or(|is_newer| !is_newer),
            (None, None) => true,
        };
        if !is_required {
            return Precondition::Failed;
        }
        let is_current = match (self.list(IfNoneMatch), self.single(IfModifiedSince).get()) {
            (Some(list), _) => etag_list_contains(&list, etag, Comparison::Weak),
            (None, Some(date)) => is_newer(modified, date).is_some_and(|is_newer| !is_newer),
            (None, None) => false,
        };
        if is_current { Precondition::NotModified } else { Precondition::Send }
    }

    /// Whether `Range` applies (RFC 9110, 13.1.5): `If-Range` is absent, or is the strong ETag
    /// `etag` of the current content.
    ///
    /// A date never matches. It would have to be a strong validator, but a file can change several
    /// times in a second (8.8.2.2). No client needs dates: each response with `Accept-Ranges` has
    /// an ETag, and a client that has an ETag must not send a date.
    pub(crate) fn range_applies_to(self, etag: &[u8]) -> bool {
        match self.single(FieldName::IfRange) {
            SingleValue::None => true,
            SingleValue::Many => false,
            SingleValue::One(value) => value.starts_with(b"\"") && *value == *etag,
        }
    }
}

/// Whether the content was modified after `than`, the value of a field. `None` if the time of the
/// modification is unknown, or `than` is not a date: then the field is ignored (RFC 9110, 13.1.3
/// and 13.1.4).
fn is_newer(modified: Option<WallTime>, than: &[u8]) -> Option<bool> {
    Some(modified? > date::parse(than)?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether `list` is `*`, or contains `etag` by this comparison (RFC 9110, 8.8.3.2). The first
/// invalid ETag of the list, and everything after it, is ignored. `etag` is strong and includes its
/// quotes.
fn etag_list_contains(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    let mut is_weak = false;
    loop {
        rest = match rest {
            [b' ' | b'\t' | b',', more @ ..] => more,
            [b'W', b'/', more @ ..] if more.first() == Some(&b'"') => {
                is_weak = true;
                more
            }
            [b'"', more @ ..] => {
                let Some(end) = more.iter().position(|byte| *byte == b'"') else { return false };
                let (this, more) = rest.split_at(end + 2);
                let counts = comparison == Comparison::Weak || !is_weak;
                if counts && this == etag {
                    return true;
                }
                is_weak = false;
                more
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use sockeye_http::OwnedRequest;

    use super::*;
    use crate::tests::request;

    const AT_5: &str = "Thu, 01 Jan 1970 00:00:05 GMT";
    const AT_4: &str = "Thu, 01 Jan 1970 00:00:04 GMT";
    const AT_6: &str = "Thu, 01 Jan 1970 00:00:06 GMT";

    fn at(secs: u64) -> Option<WallTime> {
        Some(WallTime::from_secs(secs))
    }

    /// Names and values of fields.
    type Lines = [(&'static str, &'static str)];

    /// A request with these conditions. The names of their fields are abbreviated.
    fn conditional(lines: &Lines) -> OwnedRequest {
        let fields: Vec<_> = lines
            .iter()
            .map(|(name, value)| match *name {
                "match" => ("If-Match", *value),
                "unmodified" => ("If-Unmodified-Since", *value),
                "none" => ("If-None-Match", *value),
                "modified" => ("If-Modified-Since", *value),
                "range" => ("If-Range", *value),
                _ => unreachable!("{name}"),
            })
            .collect();
        request("/", &fields)
    }

    #[test]
    fn etag_lists_are_compared_weakly_and_strongly() {
        for (list, weak, strong) in [
            ("\"a\"", true, true),
            ("W/\"a\"", true, false),
            ("\"b\", \"a\"", true, true),
            ("\"b\",W/\"a\"", true, false),
            ("W/\"b\", \"a\"", true, true),
            ("W/\"a\", \"a\"", true, true),
            (",, \"a\" ,", true, true),
            ("*", true, true),
            (" * ", true, true),
            ("\"x, \"a\"", false, false),
            ("\"b\"", false, false),
            ("\"\"", false, false),
            ("a", false, false),
            ("\"a", false, false),
            ("w/\"a\"", false, false),
            ("W/a", false, false),
            ("b, \"a\"", false, false),
            ("", false, false),
            ("*, \"b\"", false, false),
            ("\"A\"", false, false),
        ] {
            let by = |comparison| etag_list_contains(list.as_bytes(), b"\"a\"", comparison);
            assert_eq!((by(Comparison::Weak), by(Comparison::Strong)), (weak, strong), "{list}");
        }
    }

    /// The content has the ETag "a". The first result is for content modified at second 5, the
    /// second one for content modified at an unknown time.
    #[test]
    fn preconditions_are_evaluated_in_the_order_of_the_rfc() {
        use Precondition::*;
        let table: &[(&Lines, Precondition, Precondition)] = &[
            (&[], Send, Send),
            (&[("none", "\"a\"")], NotModified, NotModified),
            (&[("none", "W/\"a\"")], NotModified, NotModified),
            (&[("none", "*")], NotModified, NotModified),
            (&[("none", "\"b\"")], Send, Send),
            (&[("none", "nonsense")], Send, Send),
            (&[("modified", AT_5)], NotModified, Send),
            (&[("modified", AT_6)], NotModified, Send),
            (&[("modified", AT_4)], Send, Send),
            (&[("modified", "yesterday")], Send, Send),
            (&[("modified", AT_5), ("modified", AT_5)], Send, Send),
            // `If-None-Match` takes precedence over `If-Modified-Since`.
            (&[("none", "\"a\""), ("modified", AT_4)], NotModified, NotModified),
            (&[("none", "\"b\""), ("modified", AT_6)], Send, Send),
            (&[("match", "\"a\"")], Send, Send),
            (&[("match", "\"b\", \"a\"")], Send, Send),
            (&[("match", "\"b\""), ("match", "\"a\"")], Send, Send),
            (&[("match", "*")], Send, Send),
            (&[("match", "W/\"a\"")], Failed, Failed),
            (&[("match", "\"b\"")], Failed, Failed),
            (&[("match", "nonsense")], Failed, Failed),
            (&[("match", "")], Failed, Failed),
            (&[("unmodified", AT_5)], Send, Send),
            (&[("unmodified", AT_6)], Send, Send),
            (&[("unmodified", AT_4)], Failed, Send),
            (&[("unmodified", "yesterday")], Send, Send),
            (&[("unmodified", AT_4), ("unmodified", AT_4)], Send, Send),
            (&[("match", "\"a\""), ("unmodified", AT_4)], Send, Send),
            (&[("match", "\"b\""), ("unmodified", AT_6)], Failed, Failed),
            // `If-Match` and `If-Unmodified-Since` are evaluated before the others.
            (&[("match", "\"b\""), ("none", "\"a\"")], Failed, Failed),
            (&[("match", "\"a\""), ("none", "\"a\"")], NotModified, NotModified),
            (&[("unmodified", AT_4), ("none", "\"a\"")], Failed, NotModified),
            (&[("unmodified", AT_5), ("modified", AT_5)], NotModified, Send),
            (&[("match", "\"a\""), ("modified", AT_5)], NotModified, Send),
        ];
        for (lines, dated, undated) in table {
            let owned = conditional(lines);
            let request = owned.view();
            let view = RequestView::of(&request);
            assert_eq!(view.evaluate(b"\"a\"", at(5)), *dated, "{lines:?}");
            assert_eq!(view.evaluate(b"\"a\"", None), *undated, "undated, {lines:?}");
        }
    }

    #[test]
    fn if_range_requires_the_same_content() {
        let table: &[(&Lines, bool)] = &[
            (&[], true),
            (&[("range", "\"a\"")], true),
            (&[("range", "W/\"a\"")], false),
            (&[("range", "\"b\"")], false),
            (&[("range", "\"a\", \"b\"")], false),
            (&[("range", "\"a\""), ("range", "\"a\"")], false),
            (&[("range", "*")], false),
            (&[("range", "")], false),
            (&[("range", AT_5)], false),
            (&[("range", "yesterday")], false),
        ];
        for (lines, applies) in table {
            let owned = conditional(lines);
            let request = owned.view();
            let view = RequestView::of(&request);
            assert_eq!(view.range_applies_to(b"\"a\""), *applies, "{lines:?}");
        }
        // Without an ETag, no value matches.
        for value in [AT_5, "", "\"\""] {
            let owned = conditional(&[("range", value)]);
            let request = owned.view();
            assert!(!RequestView::of(&request).range_applies_to(b""), "{value:?}");
        }
    }
}
