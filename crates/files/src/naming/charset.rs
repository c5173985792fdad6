//! Whether a text is UTF-8, so that its `Content-Type` may say so.
//!
//! The charset in a `Content-Type` overrides the encoding that a text itself declares. So UTF-8 is
//! claimed only for content whose checked bytes are UTF-8, and which declares no other encoding.
//! Callers decide whether to check all bytes or only the start. For everything else, the browser
//! uses the declaration or guesses. This module doesn't find out which other encoding a text is in.

use super::declared::{self, Declared};

/// How much of a content is searched for a declaration, in bytes: as much as browsers search.
const DECLARATION_RANGE: usize = 1024;

/// How a text declares its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// A `meta` element.
    Html,
    /// The XML declaration.
    Xml,
    /// A `@charset` rule.
    Css,
    /// Only a byte order mark.
    Plain,
}

/// Whether a content is UTF-8 if it is taken as HTML, as XML, as CSS, or as plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utf8As {
    html: bool,
    xml: bool,
    css: bool,
    plain: bool,
}

impl Utf8As {
    const NONE: Self = Self { html: false, xml: false, css: false, plain: false };
    const ALL: Self = Self { html: true, xml: true, css: true, plain: true };

    /// Checks the start of a content. `is_whole`: whether `start` is all of the content. If it
    /// isn't, the last character of `start` may be incomplete.
    pub(crate) fn of(start: &[u8], is_whole: bool) -> Self {
        let mut check = Utf8Check::new();
        check.write(start);
        check.finish(is_whole)
    }

    /// Whether the content is UTF-8 as a text of this kind.
    pub(crate) fn is(self, syntax: Syntax) -> bool {
        match syntax {
            Syntax::Html => self.html,
            Syntax::Xml => self.xml,
            Syntax::Css => self.css,
            Syntax::Plain => self.plain,
        }
    }
}

/// Checks a content in pieces of any lengths.
#[derive(Debug)]
pub(crate) struct Utf8Check {
    /// The first [`DECLARATION_RANGE`] bytes.
    start: Vec<u8>,
    /// Whether the bytes so far are UTF-8.
    is_valid: bool,
    /// The bytes of an incomplete character at the end: at most three.
    incomplete: Vec<u8>,
}

impl Utf8Check {
    pub(crate) fn new() -> Self {
        Self { start: Vec::new(), is_valid: true, incomplete: Vec::new() }
    }

    /// Checks the next bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        if !self.is_valid {
            return;
        }
        let missing = DECLARATION_RANGE - self.start.len();
        self.start.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        while !self.incomplete.is_empty() {
            let Some((first, rest)) = bytes.split_first() else { return };
            self.incomplete.push(*first);
            bytes = rest;
            match std::str::from_utf8(&self.incomplete) {
                Ok(_) => self.incomplete.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.is_valid = false;
                    return;
                }
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => {}
            Err(error) if error.error_len().is_none() => {
                self.incomplete.extend_from_slice(&bytes[error.valid_up_to()..]);
            }
            Err(_) => self.is_valid = false,
        }
    }

    /// The result. If the checked bytes are all of the content (`is_whole`), its last character
    /// must be complete.
    pub(crate) fn finish(self, is_whole: bool) -> Utf8As {
        let Self { start, is_valid, incomplete } = self;
        if !is_valid || is_whole && !incomplete.is_empty() {
            return Utf8As::NONE;
        }
        // Browsers prefer a byte order mark to every declaration.
        if start.starts_with(b"\xEF\xBB\xBF") {
            return Utf8As::ALL;
        }
        let is_utf8 = |declared| declared != Declared::Other;
        Utf8As {
            html: is_utf8(declared::in_html(&start)),
            xml: is_utf8(declared::in_xml(&start)),
            css: is_utf8(declared::in_css(&start)),
            plain: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Syntax::*;
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_not_claimed() {
        for (content, expected) in [
            (&b""[..], true),
            (b"plain", true),
            ("\u{e9}\u{65e5}\u{1f600}".as_bytes(), true),
            (b"\xEF\xBB\xBFwith a mark", true),
            (b"caf\xE9", false),
            (b"caf\xE9 au lait", false),
            (b"\x93\xFA\x96\x7B", false),
            (b"\xFF\xFEa\0", false),
            (b"\xFE\xFF\0a", false),
            // Overlong, a surrogate, beyond Unicode.
            (b"\xC0\xAF", false),
            (b"\xED\xA0\x80", false),
            (b"\xF4\x90\x80\x80", false),
        ] {
            for syntax in [Html, Xml, Css, Plain] {
                assert_eq!(Utf8As::of(content, true).is(syntax), expected, "{content:?}");
            }
        }
    }

    #[test]
    fn last_character_may_be_cut_unless_the_content_ends_there() {
        let text = "a\u{1f600}".as_bytes();
        for len in 2..text.len() {
            assert!(Utf8As::of(&text[..len], false).is(Plain), "{len}");
            assert!(!Utf8As::of(&text[..len], true).is(Plain), "{len}");
        }
        assert!(!Utf8As::of(b"a\xF0\x28", false).is(Plain));
        assert!(!Utf8As::of(b"a\xFF", false).is(Plain));
    }

    #[test]
    fn each_kind_of_text_has_its_own_declaration() {
        for (content, other) in [
            (&b"<!doctype html><meta charset=shift_jis>"[..], Some(Html)),
            (b"@charset \"shift_jis\";", Some(Css)),
            (b"\xEF\xBB\xBF@charset \"shift_jis\";", None),
            (b"<p>charset=shift_jis", None),
        ] {
            let checked = Utf8As::of(content, true);
            for syntax in [Html, Xml, Css, Plain] {
                assert_eq!(checked.is(syntax), Some(syntax) != other, "{syntax:?} {content:?}");
            }
        }
        // A page with an XML declaration is XHTML, which may be sent as HTML. So this declaration
        // counts in HTML, too.
        let checked = Utf8As::of(b"<?xml version='1.0' encoding='latin1'?>", true);
        assert_eq!([Html, Xml, Css, Plain].map(|it| checked.is(it)), [false, false, true, true]);
    }

    #[test]
    fn declaration_after_the_first_kibibyte_is_ignored() {
        // The declaration has 19 bytes. Without its last byte, it is no declaration.
        for (spaces, expected) in [(1024 - 19, false), (1024 - 18, true)] {
            let page = [&b" ".repeat(spaces)[..], b"<meta charset=big5>", b"rest"].concat();
            assert_eq!(Utf8As::of(&page, true).is(Html), expected, "{spaces}");
        }
    }

    proptest! {
        #[test]
        fn pieces_and_whole_have_the_same_result(
            content in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20),
                "\\PC{0,20}".prop_map(String::into_bytes),
            ],
            prefix in "(<meta charset=(big5|utf-8)>)?",
            cuts in proptest::collection::vec(0..40_usize, 0..8),
            is_whole: bool,
        ) {
            let content = [prefix.into_bytes(), content].concat();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            let mut check = Utf8Check::new();
            for piece in cuts.windows(2) {
                check.write(&content[piece[0]..piece[1]]);
            }
            let checked = check.finish(is_whole);
            prop_assert_eq!(checked, Utf8As::of(&content, is_whole));
            if is_whole {
                prop_assert_eq!(checked.is(Plain), std::str::from_utf8(&content).is_ok());
            }
        }
    }
}
