//! What of a request an answer depends on: gathered in one pass over its fields, borrowed while the
//! request lasts, and kept when a look-up has to be waited for.

use std::borrow::Cow;

use sockeye_proto::http1::{Method, Request};

use crate::coding::AcceptEncoding;
use crate::conditional::Conditions;
use crate::stage::is_page;

/// What is asked for, and how.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: Method,
    /// The path as it was sent.
    pub(crate) path: Cow<'a, [u8]>,
    pub(crate) query: Option<Cow<'a, [u8]>>,
    pub(crate) conditions: Conditions<'a>,
    /// `Range`, on a GET: other methods have no ranges (RFC 9110, 14.2).
    pub(crate) range: Sole<'a>,
    accept: List<'a>,
    /// `Sec-Fetch-Mode`
    fetch_mode: Sole<'a>,
    /// `Origin`: whose script asks.
    origin: Sole<'a>,
    pub(crate) accept_encoding: AcceptEncoding,
}

/// A field that is a list: its lines are one list (RFC 9110, 5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List<'a>(Option<Cow<'a, [u8]>>);

/// A field of which there can only be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sole<'a> {
    #[default]
    None,
    One(Cow<'a, [u8]>),
    /// Several: it can't be told which one counts, so none does.
    Many,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(request: &Request<'a>) -> Self {
        let mut asked = Self {
            method: request.method(),
            path: Cow::Borrowed(request.path()),
            query: request.query().map(Cow::Borrowed),
            conditions: Conditions::default(),
            range: Sole::None,
            accept: List::default(),
            fetch_mode: Sole::None,
            origin: Sole::None,
            accept_encoding: AcceptEncoding::default(),
        };
        for (name, value) in request.fields() {
            asked.take(name, value);
        }
        if asked.method != Method::Get {
            asked.range = Sole::None;
        }
        asked
    }

    /// Takes a field, if it matters. Most don't, and their length says so.
    fn take(&mut self, name: &[u8], value: &'a [u8]) {
        let conditions = &mut self.conditions;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            5 if is("range") => self.range.push(value),
            6 if is("accept") => self.accept.push(value),
            6 if is("origin") => self.origin.push(value),
            8 if is("if-match") => conditions.matches.push(value),
            8 if is("if-range") => conditions.range.push(value),
            13 if is("if-none-match") => conditions.none_match.push(value),
            14 if is("sec-fetch-mode") => self.fetch_mode.push(value),
            15 if is("accept-encoding") => self.accept_encoding.push(value),
            17 if is("if-modified-since") => conditions.modified_since.push(value),
            19 if is("if-unmodified-since") => conditions.unmodified_since.push(value),
            _ => {}
        }
    }

    /// To be kept longer than the request.
    pub(crate) fn into_owned(self) -> Asked<'static> {
        let Self {
            method,
            path,
            query,
            conditions,
            range,
            accept,
            fetch_mode,
            origin,
            accept_encoding,
        } = self;
        Asked {
            method,
            path: Cow::Owned(path.into_owned()),
            query: query.map(|query| Cow::Owned(query.into_owned())),
            conditions: conditions.into_owned(),
            range: range.into_owned(),
            accept: accept.into_owned(),
            fetch_mode: fetch_mode.into_owned(),
            origin: origin.into_owned(),
            accept_encoding,
        }
    }

    /// The origin of the page whose script asks, where one does.
    pub(crate) fn origin(&self) -> Option<&[u8]> {
        self.origin.get()
    }

    /// `Accept`
    pub(crate) fn accept(&self) -> Option<&[u8]> {
        self.accept.get()
    }

    /// Whether somebody wants to see a page, as far as can be told: a browser that says so, or a
    /// client that takes HTML; and the path is no asset's.
    pub(crate) fn navigates(&self) -> bool {
        is_page(&self.path)
            && match &self.fetch_mode {
                Sole::One(mode) => **mode == *b"navigate",
                Sole::None | Sole::Many => self.accept.get().is_none_or(takes_html),
            }
    }
}

/// Whether a list of media types has HTML in it, or everything (RFC 9110, 12.5.1).
fn takes_html(accept: &[u8]) -> bool {
    accept.split(|byte| *byte == b',').any(|range| {
        let kind = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [&b"text/html"[..], b"application/xhtml+xml", b"text/*", b"*/*"]
            .iter()
            .any(|known| kind.eq_ignore_ascii_case(known))
    })
}

impl<'a> List<'a> {
    pub(crate) fn push(&mut self, value: &'a [u8]) {
        match &mut self.0 {
            None => self.0 = Some(Cow::Borrowed(value)),
            Some(list) => {
                let list = list.to_mut();
                list.extend_from_slice(b", ");
                list.extend_from_slice(value);
            }
        }
    }

    /// The list; `None` where there is no such field.
    pub(crate) fn get(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    pub(crate) fn into_owned(self) -> List<'static> {
        List(self.0.map(|list| Cow::Owned(list.into_owned())))
    }
}

impl<'a> Sole<'a> {
    pub(crate) fn push(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::None => Self::One(Cow::Borrowed(value)),
            Self::One(_) | Self::Many => Self::Many,
        };
    }

    /// The one value.
    pub(crate) fn get(&self) -> Option<&[u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::Many => None,
        }
    }

    pub(crate) fn is_some(&self) -> bool {
        *self != Self::None
    }

    pub(crate) fn into_owned(self) -> Sole<'static> {
        match self {
            Self::None => Sole::None,
            Self::One(value) => Sole::One(Cow::Owned(value.into_owned())),
            Self::Many => Sole::Many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_by_those_who_take_html() {
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
            ("/users/7", Some("application/json"), None, false),
            ("/users/7", Some("image/avif,image/*"), None, false),
            ("/users/7", Some(""), None, false),
            ("/users/7", Some("*/*"), Some("cors"), false),
            ("/users/7", Some("text/html"), Some("no-cors"), false),
            ("/users/7", Some("text/html"), Some("navigate"), true),
            ("/app.js", Some("text/html"), Some("navigate"), false),
        ] {
            let mut asked = Asked {
                method: Method::Get,
                path: Cow::Borrowed(path.as_bytes()),
                query: None,
                conditions: Conditions::default(),
                range: Sole::None,
                accept: List::default(),
                fetch_mode: Sole::None,
                origin: Sole::None,
                accept_encoding: AcceptEncoding::default(),
            };
            for (name, value) in [("Accept", accept), ("Sec-Fetch-Mode", mode)] {
                if let Some(value) = value {
                    asked.take(name.as_bytes(), value.as_bytes());
                }
            }
            assert_eq!(asked.navigates(), expected, "{asked:?}");
            assert_eq!(asked.into_owned().navigates(), expected);
        }
    }

    #[test]
    fn lines_of_a_list_are_one_list() {
        let mut list = List::default();
        assert_eq!(list.get(), None);
        list.push(b"a");
        assert_eq!(list.get(), Some(&b"a"[..]));
        list.push(b"b, c");
        assert_eq!(list.get(), Some(&b"a, b, c"[..]));
        assert_eq!(list.clone().into_owned(), list);
    }

    #[test]
    fn of_a_field_that_is_there_twice_none_counts() {
        let mut sole = Sole::default();
        assert_eq!((sole.get(), sole.is_some()), (None, false));
        sole.push(b"a");
        assert_eq!((sole.get(), sole.is_some()), (Some(&b"a"[..]), true));
        assert_eq!(sole.clone().into_owned(), sole);
        sole.push(b"a");
        assert_eq!((sole.get(), sole.is_some()), (None, true));
        sole.push(b"a");
        assert_eq!(sole.into_owned(), Sole::Many);
    }
}
