//! The `<script>` tag that makes a page reload when its files change, and where the tag is put into
//! a page.
//!
//! The tag is ASCII, so it can be put into every encoding of HTML that is a superset of ASCII: all
//! but UTF-16.

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

use super::changes::{Live, canonical};
use super::policy;
use super::problems::Problem;

/// The path of the script. No file is served at this path, because names that begin with a dot are
/// hidden.
pub(crate) const SCRIPT_PATH: &[u8] = b"/.sockeye/live.js";

/// The path of the WebSocket through which the script learns of changes.
pub(crate) const CHANNEL_PATH: &[u8] = b"/.sockeye/live";

/// The script.
pub(crate) const SCRIPT: &str = include_str!("script.js");

/// How much of a page is searched for the NUL bytes of UTF-16, in bytes.
const ENCODING_RANGE: usize = 1024;

/// Extends the Content-Security-Policy of a page that this crate generates, such as a listing. The
/// result allows the script.
pub(crate) fn allowing_script(policy: &str) -> String {
    match policy.split_once("script-src ") {
        Some((before, after)) => {
            format!("{before}script-src 'self' {after}; connect-src 'self'")
        }
        None => format!("{policy}; script-src 'self'; connect-src 'self'"),
    }
}

impl Live {
    /// The script's tag for a page that is made now: its token (`data-since`) says that the page
    /// has seen all changes so far. `file` is the path of the file or folder that the page is made
    /// of, as in [`Live::changed`]; empty if there is none.
    pub(crate) fn tag(&self, file: &[u8]) -> String {
        let (src, token, file) = (canonical(SCRIPT_PATH), self.token(), canonical(file));
        format!(
            "<script src=\"{src}\" data-since=\"{token}\" data-file=\"{file}\" async>\
             </script>\n"
        )
    }

    /// Puts `tag` into `html`, the page at `path`. `policy` is the value of the response's header
    /// Content-Security-Policy. Returns `None` if the page is in UTF-16. The log names the page
    /// then, and also if a policy or the page's `<base>` keeps the script from running.
    pub(crate) fn insert(
        &self,
        tag: &str,
        html: &[u8],
        path: &[u8],
        policy: Option<&str>,
    ) -> Option<Vec<u8>> {
        if is_utf16(html) {
            self.report(path, Some(Problem::Encoding));
            return None;
        }
        let Scanned { at, policies, base, .. } = scan(html);
        let header = policy.map(|policy| (policy.as_bytes(), true));
        let metas = policies.iter().map(|policy| (&policy[..], false));
        let by_policy = header.into_iter().chain(metas).find_map(|(policy, is_header)| {
            let change = policy::needed_change(policy, is_header)?;
            Some(Problem::Policy { change, is_header })
        });
        let by_base = base.filter(|base| names_host(base)).map(|_| Problem::Base);
        self.report(path, by_policy.or(by_base));
        Some([&html[..at], tag.as_bytes(), &html[at..]].concat())
    }

    pub(crate) fn report(&self, path: &[u8], problem: Option<Problem>) {
        self.problems.report(&canonical(path), problem);
    }
}

/// Whether a content is in UTF-16: it begins with a byte order mark of UTF-16, or has NUL bytes in
/// its first [`ENCODING_RANGE`] bytes, which HTML in other encodings doesn't have.
fn is_utf16(content: &[u8]) -> bool {
    let start = &content[..content.len().min(ENCODING_RANGE)];
    start.starts_with(b"\xFE\xFF") || start.starts_with(b"\xFF\xFE") || start.contains(&0)
}

/// Whether a URL has a host. The script's URL is only a path, so a `<base>` with a host would make
/// it lead to that host.
fn names_host(url: &[u8]) -> bool {
    let url = url.trim_ascii_start();
    // The characters of a scheme (RFC 3986, 3.1). A path or query may contain `://`, too.
    let is_scheme = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let scheme = url.iter().take_while(is_scheme).count();
    url.starts_with(b"//") || scheme > 0 && url[scheme..].starts_with(b"://")
}

/// What a scan of a page's HTML finds.
struct Scanned {
    /// Where the tag is put: before the first element other than `<html>` and `<head>`. If there is
    /// none, after the doctype, which must come first; without a doctype, at the start, after a
    /// byte order mark. So the tag is not part of a comment or title that isn't closed yet, as
    /// happens while a page is edited.
    at: usize,
    /// Whether the page has an element other than `<html>` and `<head>`.
    has_element: bool,
    /// The policies of the page's `<meta>` elements.
    policies: Vec<Vec<u8>>,
    /// The URL of the page's `<base>` element.
    base: Option<Vec<u8>>,
}

fn scan(html: &[u8]) -> Scanned {
    let at = if html.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut scanned = Scanned { at, has_element: false, policies: Vec::new(), base: None };
    // The current element, if it is a `<meta>` or a `<base>`.
    let mut element: Option<Element> = None;
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, span: Span<usize>| {
        match event {
            CallbackEvent::Doctype { .. } if !scanned.has_element => scanned.at = span.end,
            CallbackEvent::OpenStartTag { name } => {
                if !scanned.has_element && !matches!(name, b"html" | b"head") {
                    (scanned.at, scanned.has_element) = (span.start, true);
                }
                let is_base = name == b"base";
                let is_known = is_base || name == b"meta";
                element = is_known.then(|| Element { is_base, ..Element::default() });
            }
            CallbackEvent::AttributeName { name } => {
                element.iter_mut().for_each(|element| element.begin_attribute(name));
            }
            // There is no event for an empty value.
            CallbackEvent::AttributeValue { value } => {
                element.iter_mut().for_each(|element| element.set(value));
            }
            CallbackEvent::CloseStartTag { .. } => match element.take() {
                Some(Element { is_base: true, href, .. }) => {
                    scanned.base = scanned.base.take().or(href);
                }
                meta => scanned.policies.extend(meta.and_then(Element::policy)),
            },
            _ => {}
        }
        None::<()>
    });
    // Makes the tokenizer treat tags in a script or a style as text.
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, emitter).for_each(drop);
    scanned
}

/// A `<meta>` or `<base>` element.
#[derive(Default)]
struct Element {
    is_base: bool,
    /// The name of the attribute whose value may come next. Empty if an earlier attribute had the
    /// same name: of several, the first counts.
    attribute: Vec<u8>,
    http_equiv: Option<Vec<u8>>,
    content: Option<Vec<u8>>,
    href: Option<Vec<u8>>,
}

impl Element {
    /// Handles the name of an attribute, whose value is empty until [`Element::set`] is called.
    fn begin_attribute(&mut self, name: &[u8]) {
        self.attribute = name.to_vec();
        match self.value() {
            Some(Some(_)) => self.attribute.clear(),
            Some(value) => *value = Some(Vec::new()),
            None => {}
        }
    }

    /// Sets the value of the attribute whose name came last.
    fn set(&mut self, value: &[u8]) {
        if let Some(place) = self.value() {
            *place = Some(value.to_vec());
        }
    }

    /// Where the value of the current attribute is kept. `None` if it doesn't matter.
    fn value(&mut self) -> Option<&mut Option<Vec<u8>>> {
        match &self.attribute[..] {
            b"http-equiv" => Some(&mut self.http_equiv),
            b"content" => Some(&mut self.content),
            b"href" => Some(&mut self.href),
            _ => None,
        }
    }

    fn policy(self) -> Option<Vec<u8>> {
        let is_policy = self.http_equiv?.eq_ignore_ascii_case(b"Content-Security-Policy");
        self.content.filter(|_| is_policy)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn insert(html: &[u8]) -> Option<Vec<u8>> {
        Live::new().insert("<TAG>", html, b"/", None)
    }

    #[test]
    fn the_tag_is_put_before_the_first_element_or_behind_the_doctype() {
        // The tag is expected at `|`.
        for expected in [
            "|",
            "|text",
            "|<p>a fragment",
            "text |<p>",
            "<!doctype html>|<title>t</title><body></body>",
            "<!DOCTYPE html>|",
            "<!doctype html>|text",
            "<!doctype html>\r\n<html lang=en>\n<head>\n|<meta charset=utf-8><title>t</title></head>",
            "<HTML><HEAD>|<TITLE>",
            "<html><head></head>|<body></body></html>",
            "<html a='<p>'>|<body>",
            "<!-- <p> -->|<p>",
            "<!doctype html>|<!-- not closed <p>",
            "<!doctype html>|<!-- not closed ><p>",
            "<!doctype html>|<title>not closed <p>",
            "<!doctype html>|<style>not closed",
            "<!doctype html>|<script>'<p>'",
            "<!doctype html>|<textarea>",
            "<!doctype html>|<p title=\"not closed>",
            "<!-- <p> --!>|<p>",
            "<![CDATA[ x ]]>|<p>",
            "\u{feff}|<p>caf\u{e9}\u{1f600}",
            "\u{feff}|text",
            "&lt;p&gt;|<p>",
            "|<",
            "|</",
            "|</p",
        ] {
            let html = expected.replacen('|', "", 1);
            let expected = expected.replacen('|', "<TAG>", 1);
            let inserted = insert(html.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(inserted).unwrap(), expected);
        }
    }

    #[test]
    fn every_encoding_that_contains_ascii_gets_the_tag() {
        for text in [
            &b"caf\xE9 \x80\xFF"[..],            // windows-1252
            b"\x93\xFA\x96\x7B\x8C\x5C\x83\x5C", // Shift_JIS: the second bytes are ASCII
            b"\x1B$BF|K\\\x1B(B",                // ISO-2022-JP
            b"\x81\x30\x81\x30",                 // GB 18030
        ] {
            let (start, end) = (&b"<!doctype html>"[..], &b"<body></body>\n"[..]);
            let inserted = insert(&[start, text, end].concat()).unwrap();
            assert_eq!(inserted, [start, text, b"<TAG>", end].concat(), "{text:x?}");
        }
        for page in [&b"\xFF\xFE<\0b\0>\0"[..], b"\xFE\xFF\0<\0b\0>", b"<\0b\0>\0", b"\0<\0b\0>"] {
            assert_eq!(insert(page), None, "{page:x?}");
        }
    }

    #[test]
    fn policies_are_found_only_in_meta_elements() {
        for (html, expected) in [
            ("<meta http-equiv=content-security-policy content=\"a 'b'\">", &["a 'b'"][..]),
            ("<META CONTENT='a' HTTP-EQUIV='Content-Security-Policy'/>", &["a"]),
            (
                "<meta http-equiv=Content-Security-Policy content='script-src &#39;self&#39; \
                 &quot;'>",
                &["script-src 'self' \""],
            ),
            (
                "<meta content=a content=b http-equiv=content-security-policy>\
                 <meta http-equiv=content-security-policy content=c>",
                &["a", "c"],
            ),
            ("<meta name=content-security-policy content=a>", &[]),
            ("<meta http-equiv=content-security-policy>", &[]),
            ("<meta http-equiv=content-security-policy><p content=a>", &[]),
            ("<!-- <meta http-equiv=content-security-policy content=a> -->", &[]),
            ("<title><meta http-equiv=content-security-policy content=a></title>", &[]),
        ] {
            let policies = scan(html.as_bytes()).policies;
            assert_eq!(policies, expected.iter().map(|it| it.as_bytes()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_base_on_another_server_is_a_problem() {
        for (html, expected) in [
            ("<base href='https://cdn.example/'>", true),
            ("<base target=x><base href=' //cdn.example'>", true),
            ("<base href='/docs/'><base href='https://cdn.example/'>", false),
            ("<base href='' href='https://cdn.example/'>", false),
            ("<base href=''><base href='https://cdn.example/'>", false),
            ("<base href='https://cdn.example/' href=''>", true),
            ("<base href='/docs/?next=https://cdn.example/'>", false),
            ("<base href='docs/https://cdn.example/'>", false),
            ("<base href='?a://b'>", false),
            ("<base href='://cdn.example'>", false),
            ("<base href='HTTPS://cdn.example/'>", true),
            ("<a href='https://cdn.example/'>", false),
            ("<meta href='https://cdn.example/'>", false),
        ] {
            let live = Live::new();
            live.insert("<TAG>", html.as_bytes(), b"/a", None).unwrap();
            assert_eq!(live.problems.of("/a"), expected.then_some(Problem::Base), "{html}");
        }
    }

    #[test]
    fn policies_of_our_pages_can_allow_the_script() {
        for (policy, expected) in [
            ("default-src 'none'", "default-src 'none'; script-src 'self'; connect-src 'self'"),
            (
                "default-src 'none'; script-src 'sha256-x'; img-src data:",
                "default-src 'none'; script-src 'self' 'sha256-x'; img-src data:; connect-src 'self'",
            ),
        ] {
            assert_eq!(allowing_script(policy), expected);
            assert_eq!(policy::needed_change(expected.as_bytes(), true), None);
        }
    }

    #[test]
    fn a_tag_has_the_token_and_the_file_and_no_character_that_ends_it() {
        let live = Live::new();
        let tag = live.tag(b"/a\"><b>'&/\xC3\xA9.html");
        let token = live.token();
        let file = "/a%22%3E%3Cb%3E%27%26/%C3%A9.html";
        let attributes = format!("data-since=\"{token}\" data-file=\"{file}\" async");
        let src = "/.sockeye/live.js";
        assert_eq!(tag, format!("<script src=\"{src}\" {attributes}></script>\n"));
    }

    proptest! {
        /// Whatever a page contains, only the tag is added to it. If a parser sees a start tag in
        /// the page, the tag is put before a start tag.
        #[test]
        fn nothing_else_of_a_page_changes(
            parts in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(&[
                        "<body>", "</body>", "</BODY >", "<!--", "-->", "<script>", "</script>",
                        "<style>", "</style>", "<a b='", "'>", "\r\n", "\r", "<", ">", "&lt;", "\"",
                        "<title>", "</title>", "<!doctype html>", "<![CDATA[", "]]>", "<?x", "é",
                    ][..]).prop_map(|part| part.as_bytes().to_vec()),
                    proptest::collection::vec(1..=255_u8, 0..8),
                ],
                0..24,
            ),
        ) {
            let html = parts.concat();
            let Scanned { at, has_element, .. } = scan(&html);
            prop_assert!(!has_element || html[at] == b'<', "{at} of {}", html.escape_ascii());
            prop_assert!(at <= html.len());
            if let Some(inserted) = insert(&html) {
                prop_assert_eq!(inserted, [&html[..at], b"<TAG>", &html[at..]].concat());
            }
        }
    }
}
