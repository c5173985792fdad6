//! Errors as small pages, for browsers, in the look of listings; other clients get plain text.
//!
//! A page shows the beginning of the requested path, escaped so that nothing in it is markup. It
//! has no scripts and loads nothing, except for the script of `--live`.

use sockeye_http::{Answer, Body, Fields, Responder, Status};

use crate::file::head::{NO_STORE, REVALIDATE};
use crate::listing::assets;
use crate::listing::query::prefers_html;
use crate::listing::text::{self, put};
use crate::live::changes::Live;
use crate::live::page::allowing_script;
use crate::naming::path::hex_digit;
use crate::options::fields::with;
use crate::options::folder_options::Options;
use crate::options::headers::Headers;
use crate::request::view::{NAVIGATION_FIELDS, RequestView};

/// The colours of listings, light and dark: the first two lines of their style.
const PALETTE: &str = first_lines(assets::STYLE, 2);

const fn first_lines(text: &str, lines: usize) -> &str {
    let (mut end, mut left) = (0, lines);
    while left > 0 && end < text.len() {
        if text.as_bytes()[end] == b'\n' {
            left -= 1;
        }
        end += 1;
    }
    text.split_at(end).0
}

/// The style, after [`PALETTE`].
const STYLE: &str = include_str!("error_page.css");

/// The `Content-Security-Policy` of an error page: it allows the style by its hash, which a test
/// checks, and the icon, which is empty.
const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-JQbS+0HBhTBFHkIFVE9u2TkxPM307UQh52BGeAVMOMM='; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The most bytes of a requested path that a page shows.
const MAX_PATH: usize = 400;

/// Maximum number of `../` in a link. A link that needs more leads to `/` instead.
const MAX_LEVELS: usize = 32;

/// The header fields that an error has both as a page and as plain text. Each `Site` makes them
/// once.
#[derive(Debug)]
pub(super) struct ErrorFields {
    pub(super) default: Fields,
    /// For a folder with a single-page app. There, some requests get the app's page instead of an
    /// error, so `Vary` also names the fields that decide this.
    pub(super) app: Fields,
    /// For a 503.
    pub(super) unavailable: Fields,
}

impl ErrorFields {
    pub(super) fn new() -> Self {
        let varying = |names| with(Fields::new(), "Vary", names);
        let (default, app) = (varying("Accept"), varying(NAVIGATION_FIELDS));
        let unavailable = with(default.clone(), "Retry-After", "1");
        Self { default, app, unavailable }
    }
}

/// An error response.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorResponse<'a> {
    pub(super) status: Status,
    /// The fields that the error has both as a page and as plain text. They include `Vary` with
    /// `Accept`.
    pub(super) fields: &'a Fields,
    /// A sentence about the error; empty for the usual one of the status.
    pub(super) text: &'a str,
    /// The options of the folder that the path is in, if it is in one.
    pub(super) options: Option<&'a Options>,
    /// With `--live`, what tells pages about changes: the page then gets the script that reloads
    /// it.
    pub(super) live: Option<&'a Live>,
}

impl<'a> ErrorResponse<'a> {
    /// Sends the response. `nearest_folder` is called only if the response is a page. It returns
    /// which slash of the requested path, counted from 1, ends the path of the folder to which the
    /// page links; `None`: no link.
    pub(super) fn send(
        self,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
        nearest_folder: impl FnOnce() -> Option<usize>,
    ) -> Answer {
        if !prefers_html(view.accept().as_deref()) {
            return responder.error(self.status, self.fields, self.text);
        }
        let fields = page_fields(self.fields.clone(), self.options, self.live.is_some());
        let mut page = Vec::with_capacity(4096);
        self.write_page(view.path(), nearest_folder(), &mut page);
        if let Some(live) = self.live {
            page.extend_from_slice(live.tag(b"").as_bytes());
        }
        responder.send(self.status, &fields, Body::Copied(&page))
    }

    fn write_page(self, path: &[u8], back_to: Option<usize>, out: &mut Vec<u8>) {
        let (title, explanation) = self.texts(path);
        let (code, reason) = (self.status.code(), self.status.reason());
        put!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        put!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        put!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n");
        put!(out, "<title>{code} {reason}</title>\n<link rel=\"icon\" href=\"data:,\">\n");
        put!(out, "<style>{PALETTE}{STYLE}</style>\n</head>\n<body>\n<main>\n");
        put!(out, "<p class=\"status\">{code} {reason}</p>\n<h1>{title}</h1>\n");
        put!(out, "<p class=\"path\"><bdi>");
        show(path, out);
        put!(out, "</bdi></p>\n<p>");
        text::html(explanation.as_bytes(), out);
        put!(out, "</p>\n");
        if let Some(back_to) = back_to {
            link(path, back_to, out);
        }
        put!(out, "</main>\n</body>\n</html>\n");
    }

    /// The heading and the explanation. Those of a 404 depend on the path, not on the reason, so
    /// that they don't reveal names that aren't served.
    fn texts(self, path: &[u8]) -> (&'static str, &'a str) {
        let (title, explanation) = match self.status {
            Status::NOT_FOUND if path == b"/" => (
                "There is no start page",
                "The files here have addresses of their own. If this is your server: add an \
                 index.html, or let it list its files.",
            ),
            Status::NOT_FOUND => {
                ("Nothing is here", "The link may be wrong, or what was here was moved or deleted.")
            }
            Status::FORBIDDEN => (
                "This can’t be shown",
                "The server has no permission to read what is at this address.",
            ),
            Status::BAD_REQUEST => (
                "This address is not valid",
                "It has a character or a percent sign where no address can have one.",
            ),
            Status::SERVICE_UNAVAILABLE => ("The server is busy", "Try again in a moment."),
            _ => ("Something went wrong", "The server could not read what is at this address."),
        };
        (title, if self.text.is_empty() { explanation } else { self.text })
    }
}

/// Adds the fields of a page to `fields`. `is_live`: whether the page has the script of `--live`.
fn page_fields(fields: Fields, options: Option<&Options>, is_live: bool) -> Fields {
    let default = Headers::default();
    let headers = options.map_or(&default, |options| &options.headers);
    let live_policy = is_live.then(|| allowing_script(POLICY));
    let own = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", live_policy.as_deref().unwrap_or(POLICY)),
        ("Cache-Control", if is_live { NO_STORE } else { REVALIDATE }),
    ];
    // The operator's headers of these names are left out: a Content-Security-Policy, for example,
    // could forbid the style of this page.
    let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    // `true`: also the headers that only pages get.
    let others = headers.of(true).filter(|(name, _)| !is_own(name));
    own.into_iter().chain(others).fold(fields, |fields, (name, value)| with(fields, name, value))
}

/// Writes the link to the folder whose path ends with slash number `back_to` of `path`, counted
/// from 1.
fn link(path: &[u8], back_to: usize, out: &mut Vec<u8>) {
    let slashes = || path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let Some(end) = slashes().nth(back_to.saturating_sub(1)) else { return };
    put!(out, "<p><a class=\"back\" href=\"");
    // Relative, so that it works with any URL of the root, for example behind a proxy.
    match slashes().count() - back_to {
        0 => put!(out, "./"),
        levels @ 1..=MAX_LEVELS => (0..levels).for_each(|_| put!(out, "../")),
        _ => put!(out, "/"),
    }
    put!(out, "\">Go to ");
    if end == 0 {
        put!(out, "the start page");
    } else {
        put!(out, "<bdi>");
        show(&path[..=end], out);
        put!(out, "</bdi>");
    }
    put!(out, "</a></p>\n");
}

/// Writes the beginning of a path as it was sent, but with characters beyond ASCII decoded, as
/// browsers show them. Spaces stay encoded, so that a path doesn't look like a sentence.
fn show(path: &[u8], out: &mut Vec<u8>) {
    let is_cut = path.len() > MAX_PATH;
    // A percent escape isn't cut.
    let escape = path.iter().take(MAX_PATH).skip(MAX_PATH - 2).position(|byte| *byte == b'%');
    let end = escape.map_or(MAX_PATH, |at| MAX_PATH - 2 + at);
    let (mut rest, mut shown) = (if is_cut { &path[..end] } else { path }, Vec::new());
    while let [byte, more @ ..] = rest {
        rest = more;
        let decoded = match (byte, more) {
            (b'%', [high, low, ..]) => {
                let digits = hex_digit(*high).zip(hex_digit(*low));
                digits.map(|(high, low)| high << 4 | low).filter(|byte| !byte.is_ascii())
            }
            _ => None,
        };
        if decoded.is_some() {
            rest = &more[2..];
        }
        shown.push(decoded.unwrap_or(*byte));
    }
    if let (true, Err(error)) = (is_cut, str::from_utf8(&shown))
        && error.error_len().is_none()
    {
        // The cut is within a character.
        shown.truncate(error.valid_up_to());
    }
    text::html(&shown, out);
    if is_cut {
        put!(out, "…");
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::listing::tests::base64;

    #[test]
    fn the_policy_allows_only_our_style_and_the_style_has_its_colours() {
        let style = format!("{PALETTE}{STYLE}");
        let with_hash = format!("style-src 'sha256-{}';", base64(&Sha256::digest(&style)));
        assert!(POLICY.contains(&with_hash), "the policy should have {with_hash}");
        assert!(PALETTE.contains("@media (prefers-color-scheme:dark)"), "{PALETTE}");
        for name in STYLE.split("var(").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let set = PALETTE.matches(&format!("{name}:")).count();
            assert_eq!(set, 2, "{name} is set for light and dark in {PALETTE}");
        }
    }

    #[test]
    fn paths_are_shown_as_browsers_do_but_cannot_be_markup_or_sentences() {
        for (path, expected) in [
            ("/a%20b", "/a%20b"),
            ("/caf%C3%A9%2f", "/café%2f"),
            ("/<b>&\"'", "/&lt;b&gt;&amp;&quot;&#39;"),
            ("/%3Cb%3E%22", "/%3Cb%3E%22"),
            ("/%e2%80%aex%ff", "/\\u{202e}x\\xff"),
            ("/%", "/%"),
            ("/%C3", "/\\xc3"),
        ] {
            let mut out = Vec::new();
            show(path.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{path}");
        }
        for character in ["a", "%C3%A9", "%F0%9F%98%80"] {
            for before in 0..12 {
                let mut out = Vec::new();
                show(
                    format!("/{}{}", "x".repeat(before), character.repeat(800)).as_bytes(),
                    &mut out,
                );
                let shown = String::from_utf8(out).unwrap();
                assert!(shown.len() <= MAX_PATH + "…".len() && shown.ends_with('…'), "{shown}");
                assert!(!shown.contains("\\x"), "{shown}");
            }
        }
    }

    #[test]
    fn links_are_relative_and_short() {
        let linked = |path: &str, back_to| {
            let mut out = Vec::new();
            link(path.as_bytes(), back_to, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (path, back_to, href, text) in [
            ("/a", 1, "./", "the start page"),
            ("/a/b/c", 1, "../../", "the start page"),
            ("/a/b/c", 2, "../", "<bdi>/a/</bdi>"),
            ("/a/b/", 3, "./", "<bdi>/a/b/</bdi>"),
            ("//a//b", 1, "../../../", "the start page"),
            (&"/a".repeat(33), 1, &"../".repeat(32), "the start page"),
            (&"/a".repeat(34), 1, "/", "the start page"),
        ] {
            let expected = format!("<p><a class=\"back\" href=\"{href}\">Go to {text}</a></p>\n");
            assert_eq!(linked(path, back_to), expected, "{path}");
        }
        assert_eq!(linked("a", 1), "");
    }
}
