//! The query of a request for a listing, and the format that the client accepts.
//!
//! | query | effect |
//! |---|---|
//! | `format=html`, `json`, `text` | the format. Default: by the `Accept` field, else HTML |
//! | `format=tar` | the folder as an archive, unless archives are off |
//! | `sort=name`, `size`, `date` and `order=asc`, `desc` | the order; folders come first |
//! | `view=list`, `grid` | the layout of HTML: a table, or a grid with the images themselves |
//! | `q=TEXT` | only names that contain this text; upper and lower case are the same |
//! | `page=N` and `per=N` | the Nth page, and the entries per page |
//!
//! In the URL of a Markdown file, `format=html` requests the page of the file, and the other
//! parameters have no effect.
//!
//! Parameters that are not in the table are ignored. Unless `page` or `per` is given, JSON and text
//! have all entries that match `q`. HTML always has at most [`MAX_PER_PAGE`] entries and
//! [`super::page::MAX_LEN`] bytes.

use std::fmt;

use super::text::{put, url};
use crate::naming::path::hex_digit;
use crate::request::accept::quality;

/// The default of `per` if `page` is given.
pub(crate) const DEFAULT_PER_PAGE: u32 = 1000;

/// The maximum of `per`, and the most entries of an HTML page.
pub(crate) const MAX_PER_PAGE: u32 = 10_000;

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Html,
    Json,
    Text,
    Tar,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Text => "text",
            Self::Tar => "tar",
        }
    }
}

/// The layout of an HTML page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// A table.
    #[default]
    List,
    /// A grid, which shows the images themselves, and an icon for each other entry.
    Grid,
}

impl Layout {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Grid => "grid",
        }
    }
}

/// The order of the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    #[default]
    Name,
    Size,
    Date,
}

impl Sort {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Date => "date",
        }
    }
}

/// A valid query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ListingQuery {
    /// The format, if the query names one.
    pub(crate) format: Option<Format>,
    pub(crate) layout: Layout,
    pub(crate) sort: Sort,
    pub(crate) descending: bool,
    /// The text that names must contain; empty for all names.
    pub(crate) filter: Vec<u8>,
    /// The number of the page, counted from 1.
    pub(crate) page: Option<u32>,
    pub(crate) per_page: Option<u32>,
}

impl ListingQuery {
    /// Parses a query, without its question mark. `archives`: whether `format=tar` is valid.
    ///
    /// # Errors
    ///
    /// A text that names the valid values.
    pub(crate) fn parse(raw: Option<&[u8]>, archives: bool) -> Result<Self, &'static str> {
        let mut query = Self::default();
        for pair in raw.unwrap_or_default().split(|byte| *byte == b'&') {
            let mut sides = pair.splitn(2, |byte| *byte == b'=');
            let name = sides.next().unwrap_or_default();
            let value = decode(sides.next().unwrap_or_default());
            match (name, &value[..]) {
                (b"format", b"html") => query.format = Some(Format::Html),
                (b"format", b"json") => query.format = Some(Format::Json),
                (b"format", b"text") => query.format = Some(Format::Text),
                (b"format", b"tar") if archives => query.format = Some(Format::Tar),
                (b"format", _) if archives => {
                    return Err("The format is html, json, text or tar.");
                }
                (b"format", _) => return Err("The format is html, json or text."),
                (b"view", b"list") => query.layout = Layout::List,
                (b"view", b"grid") => query.layout = Layout::Grid,
                (b"view", _) => return Err("The view is list or grid."),
                (b"sort", b"name") => query.sort = Sort::Name,
                (b"sort", b"size") => query.sort = Sort::Size,
                (b"sort", b"date") => query.sort = Sort::Date,
                (b"sort", _) => return Err("A folder is sorted by name, size or date."),
                (b"order", b"asc") => query.descending = false,
                (b"order", b"desc") => query.descending = true,
                (b"order", _) => return Err("The order is asc or desc."),
                (b"q", _) => query.filter = value,
                (b"page", value) => {
                    query.page = Some(number(value).ok_or("A page is a number from 1 on.")?);
                }
                (b"per", value) => {
                    let per = number(value).filter(|per| *per <= MAX_PER_PAGE);
                    query.per_page = Some(per.ok_or("A page has from 1 to 10000 entries.")?);
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// The page, counted from 0, and the entries per page; `None` if the query has neither `page`
    /// nor `per`.
    pub(crate) fn paging(&self) -> Option<(u32, u32)> {
        let paged = self.page.is_some() || self.per_page.is_some();
        paged.then(|| (self.page.unwrap_or(1) - 1, self.per_page.unwrap_or(DEFAULT_PER_PAGE)))
    }

    /// Whether the query selects all entries, in any order. There are few such queries, and many
    /// requests with each of them, so the HTML pages for them are cached.
    pub(crate) fn selects_all(&self) -> bool {
        self.filter.is_empty() && self.paging().is_none()
    }

    /// Writes the same query with another order, for the first page.
    pub(crate) fn link_sorted(&self, sort: Sort, descending: bool, out: &mut Vec<u8>) {
        let query = Self { sort, descending, page: None, ..self.clone() };
        query.link(out);
    }

    /// Writes the same query for another page, counted from 0.
    pub(crate) fn link_page(&self, page: u32, out: &mut Vec<u8>) {
        let query = Self { page: (page > 0).then(|| page.saturating_add(1)), ..self.clone() };
        query.link(out);
    }

    /// Writes the same query for another format, without the page, the entries per page and the
    /// layout.
    pub(crate) fn link_format(&self, format: Format, out: &mut Vec<u8>) {
        let query = Self {
            format: Some(format),
            layout: Layout::List,
            page: None,
            per_page: None,
            ..self.clone()
        };
        query.link(out);
    }

    /// Writes the query with its question mark, for an HTML attribute. Defaults are left out,
    /// except `sort` without a filter.
    pub(super) fn link(&self, out: &mut Vec<u8>) {
        let mut between = "?";
        let mut pair = |name: &str, value: &dyn fmt::Display, out: &mut Vec<u8>| {
            put!(out, "{between}{name}={value}");
            between = "&amp;";
        };
        if let Some(format) = self.format {
            pair("format", &format.as_str(), out);
        }
        if self.layout != Layout::List {
            pair("view", &self.layout.as_str(), out);
        }
        // An empty link would lead to the current URL with its query, so there is at least one
        // pair.
        if self.sort != Sort::Name || self.descending || self.filter.is_empty() {
            pair("sort", &self.sort.as_str(), out);
        }
        if self.descending {
            pair("order", &"desc", out);
        }
        if !self.filter.is_empty() {
            pair("q", &"", out);
            url(&self.filter, out);
        }
        if let Some(page) = self.page {
            pair("page", &page, out);
        }
        if let Some(per_page) = self.per_page {
            pair("per", &per_page, out);
        }
    }
}

/// Decodes a value that a form sent: `+` is a space.
fn decode(value: &[u8]) -> Vec<u8> {
    let spaced = value.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte });
    percent_decoded(&spaced.collect::<Vec<_>>())
}

/// Decodes valid escapes; invalid ones stay as they are.
pub(super) fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, more @ ..] = rest {
        rest = more;
        decoded.push(match (byte, more) {
            (b'%', [high, low, ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = &more[2..];
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    decoded
}

/// Parses a decimal number of at least 1.
fn number(value: &[u8]) -> Option<u32> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok().filter(|number| *number > 0)
}

/// The format that an `Accept` field prefers (RFC 9110, 12.5.1). HTML if the field is missing or
/// accepts no available format: a page is more useful than a 406.
pub(crate) fn preferred_format(accept: Option<&[u8]>) -> Format {
    let mut best = (Format::Html, 0);
    for (format, kind) in [
        (Format::Html, &b"text/html"[..]),
        (Format::Json, b"application/json"),
        (Format::Text, b"text/plain"),
    ] {
        let quality = quality(accept.unwrap_or_default(), kind);
        if quality > best.1 {
            best = (format, quality);
        }
    }
    best.0
}

/// Whether an `Accept` field names HTML, as browsers do for pages, and prefers no other format.
/// Programs that accept anything (`*/*`) don't ask for a page.
pub(crate) fn prefers_html(accept: Option<&[u8]>) -> bool {
    let names_html = |accept: &[u8]| {
        accept.split(|byte| *byte == b',').any(|range| {
            let name = range.split(|byte| *byte == b';').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"text/html")
        })
    };
    accept.is_some_and(|accept| names_html(accept) && quality(accept, b"text/html") > 0)
        && preferred_format(accept) == Format::Html
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(query: &str) -> Result<ListingQuery, &'static str> {
        ListingQuery::parse(Some(query.as_bytes()), true)
    }

    #[test]
    fn valid_and_invalid_queries() {
        assert_eq!(ListingQuery::parse(None, true), Ok(ListingQuery::default()));
        assert_eq!(parsed("utm_source=x&&=&lang"), Ok(ListingQuery::default()));
        assert_eq!(
            parsed("format=json&view=grid&sort=size&order=desc&q=a+b%26%C3%A9%zz&page=2&per=50"),
            Ok(ListingQuery {
                format: Some(Format::Json),
                layout: Layout::Grid,
                sort: Sort::Size,
                descending: true,
                filter: "a b&é%zz".into(),
                page: Some(2),
                per_page: Some(50),
            })
        );
        assert_eq!(
            ListingQuery::parse(Some(b"format=tar"), true).unwrap().format,
            Some(Format::Tar)
        );
        let unknown = ListingQuery::parse(Some(b"format=zip"), false);
        assert_eq!(ListingQuery::parse(Some(b"format=tar"), false), unknown);
        assert!(!unknown.unwrap_err().contains("tar"));
        for bad in [
            "format=zip",
            "format=",
            "view=x",
            "sort=x",
            "order=up",
            "page=0",
            "page=-1",
            "page=",
            "per=10001",
            "page=99999999999",
            "per=+5",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listings_are_paged_on_request() {
        let paging = |query| parsed(query).unwrap().paging();
        assert_eq!(paging(""), None);
        assert_eq!(paging("page=3"), Some((2, 1000)));
        assert_eq!(paging("per=10"), Some((0, 10)));
        assert_eq!(paging("page=2&per=10000"), Some((1, 10_000)));
        let selects_all = |query| parsed(query).unwrap().selects_all();
        assert!(selects_all("sort=size&order=desc&format=html"));
        assert!(!selects_all("q=a") && !selects_all("page=1") && !selects_all("per=5"));
    }

    #[test]
    fn the_format_with_the_highest_weight_wins_and_html_wins_ties() {
        for (accept, format) in [
            (&[][..], Format::Html),
            (&["*/*"], Format::Html),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Format::Html),
            (&["application/json"], Format::Json),
            (&["application/json, text/plain, */*"], Format::Html),
            (&["application/json", "text/plain;q=0.5"], Format::Json),
            (&["text/plain"], Format::Text),
            (&["text/*;q=0.3, text/html;q=0.1, application/json;q=0.2"], Format::Text),
            (&["TEXT/PLAIN ; Q=0.9, text/html;q=0.89"], Format::Text),
            (&["application/json;q=0, */*"], Format::Html),
            (&["text/html;q=0, */*;q=0.1"], Format::Json),
            (&["image/png"], Format::Html),
            (&["application/json;q=2"], Format::Html),
            (&["application/json;q=0.001"], Format::Json),
            (&[";;,,q=1,/,*"], Format::Html),
        ] {
            let joined = accept.join(", ");
            let accept = (!accept.is_empty()).then_some(joined.as_bytes());
            assert_eq!(preferred_format(accept), format, "{joined}");
        }
    }

    #[test]
    fn only_a_field_that_names_html_prefers_it() {
        for (accept, expected) in [
            (None, false),
            (Some(""), false),
            (Some("*/*"), false),
            (Some("text/*"), false),
            (Some("image/avif,image/webp,*/*;q=0.8"), false),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), true),
            (Some("application/json, Text/HTML;q=0.9"), false),
            (Some("text/plain;q=0.5, TEXT/html ;q=0.5"), true),
        ] {
            assert_eq!(prefers_html(accept.map(str::as_bytes)), expected, "{accept:?}");
        }
        // With a weight of 0, HTML is the format only because no other is accepted.
        assert!(!prefers_html(Some(b"text/html;q=0")));
    }

    proptest! {
        #[test]
        fn links_parse_to_the_query_they_were_made_of(
            sort in prop_oneof![Just(Sort::Name), Just(Sort::Size), Just(Sort::Date)],
            descending: bool,
            filter in proptest::collection::vec(any::<u8>(), 0..20),
            page in proptest::option::of(2u32..1_000_000),
            per_page in proptest::option::of(1..=MAX_PER_PAGE),
            layout in prop_oneof![Just(Layout::List), Just(Layout::Grid)],
            format in proptest::option::of(prop_oneof![Just(Format::Html), Just(Format::Json)]),
        ) {
            let query = ListingQuery { format, layout, sort, descending, filter, page, per_page };
            let mut link = Vec::new();
            query.link_page(page.map_or(0, |page| page - 1), &mut link);
            let link = String::from_utf8(link).unwrap().replace("&amp;", "&");
            prop_assert_eq!(ListingQuery::parse(link.strip_prefix('?').map(str::as_bytes), true), Ok(query));
        }

        #[test]
        fn any_query_or_accept_field_is_parsed_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = ListingQuery::parse(Some(&bytes), true);
            let _ = preferred_format(Some(&bytes));
        }
    }
}
