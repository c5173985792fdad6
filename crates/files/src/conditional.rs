//! Conditional requests (RFC 9110, 13): whether the client has the content already.
//!
//! `If-None-Match` and `If-Modified-Since`, in the order that section 13.2.2 gives them: a request
//! with the first is not judged by the second.

use std::borrow::Cow;

use sockeye_proto::Wall;
use sockeye_proto::http1::{Request, date};

/// What a request says about the content that its client has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions<'a> {
    /// The values of all `If-None-Match` fields, as one list.
    none_match: Option<Cow<'a, [u8]>>,
    /// `If-Modified-Since`, where there is one such field and it is a date.
    since: Option<Wall>,
}

impl<'a> Conditions<'a> {
    pub(crate) fn of(request: &Request<'a>) -> Self {
        let mut none_match: Option<Cow<'a, [u8]>> = None;
        for value in request.fields_named("if-none-match") {
            match &mut none_match {
                None => none_match = Some(Cow::Borrowed(value)),
                // A list over several lines is one list (RFC 9110, 5.3).
                Some(list) => {
                    let list = list.to_mut();
                    list.extend_from_slice(b", ");
                    list.extend_from_slice(value);
                }
            }
        }
        let mut dates = request.fields_named("if-modified-since");
        let since = match (dates.next(), dates.next()) {
            // Anything but one date is ignored (RFC 9110, 13.1.3).
            (Some(value), None) => date::parse(value),
            _ => None,
        };
        Self { none_match, since }
    }

    /// To be kept longer than the request.
    pub(crate) fn into_owned(self) -> Conditions<'static> {
        let none_match = self.none_match.map(|list| Cow::Owned(list.into_owned()));
        Conditions { none_match, since: self.since }
    }

    /// Whether the client has what has this tag and date: the answer is 304.
    pub(crate) fn are_met_by(&self, tag: &[u8], modified: Option<Wall>) -> bool {
        match (&self.none_match, self.since, modified) {
            (Some(list), ..) => lists(list, tag),
            (None, Some(since), Some(modified)) => modified <= since,
            (None, ..) => false,
        }
    }
}

/// Whether a list of entity tags has `tag` (quotes included) or is `*`, compared weakly (RFC 9110,
/// 8.8.3.2). What follows the first thing that is no entity tag doesn't count.
fn lists(list: &[u8], tag: &[u8]) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = match rest {
            [b' ' | b'\t' | b',', more @ ..] => more,
            [b'W', b'/', more @ ..] if more.first() == Some(&b'"') => more,
            [b'"', more @ ..] => {
                let Some(end) = more.iter().position(|byte| *byte == b'"') else { return false };
                let (this, more) = rest.split_at(end + 2);
                if this == tag {
                    return true;
                }
                more
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_is_compared_weakly() {
        for (list, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("\"b\",W/\"a\"", true),
            (",, \"a\" ,", true),
            ("*", true),
            (" * ", true),
            ("\"x, \"a\"", false),
            ("\"b\"", false),
            ("\"\"", false),
            ("a", false),
            ("\"a", false),
            ("w/\"a\"", false),
            ("W/a", false),
            ("b, \"a\"", false),
            ("", false),
            ("*, \"b\"", false),
            ("\"A\"", false),
        ] {
            assert_eq!(lists(list.as_bytes(), b"\"a\""), expected, "{list}");
        }
    }

    #[test]
    fn the_tag_goes_before_the_date() {
        let at = |secs| Some(Wall::from_secs(secs));
        let tags = |list: &'static str| Some(Cow::Borrowed(list.as_bytes()));
        for (none_match, since, modified, expected) in [
            (None, None, at(5), false),
            (None, at(5), at(5), true),
            (None, at(6), at(5), true),
            (None, at(4), at(5), false),
            (None, at(5), None, false),
            (tags("\"a\""), None, at(5), true),
            (tags("\"a\""), at(4), at(5), true),
            (tags("\"b\""), at(5), at(5), false),
            (tags("nonsense"), at(5), at(5), false),
        ] {
            let conditions = Conditions { none_match, since };
            let met = conditions.are_met_by(b"\"a\"", modified);
            assert_eq!(met, expected, "{conditions:?} {modified:?}");
            assert_eq!(conditions.clone().into_owned(), conditions);
        }
    }
}
