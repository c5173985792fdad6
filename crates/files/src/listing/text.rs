//! Writes file names into HTML, URLs, JSON and plain text.
//!
//! A file name can be any bytes. In HTML, special characters are escaped, so that a name is never
//! markup. Invisible characters are escaped where names are shown, so that a name never moves the
//! cursor and never reverses the text: `\x0a` for a control character of ASCII, `\u{202e}` for
//! another invisible character (here one that sets the direction), `\xff` for a byte that is not
//! UTF-8. A backslash that would look like the beginning of such an escape is written as `\x5c`.
//! Any other backslash is written as it is. So escapes are unambiguous.

/// Formats into a `Vec<u8>`, which can't fail.
macro_rules! put {
    ($out:expr, $($format:tt)*) => {{
        let written = std::io::Write::write_fmt(&mut *$out, format_args!($($format)*));
        debug_assert!(written.is_ok(), "writing to memory can't fail");
    }};
}
pub(crate) use put;

/// A part of a name.
enum Part {
    Char(char),
    Invisible(char),
    /// A byte that is not UTF-8.
    Byte(u8),
}

fn parts(name: &[u8]) -> impl Iterator<Item = Part> {
    name.utf8_chunks().flat_map(|chunk| {
        let part = |char| if is_invisible(char) { Part::Invisible(char) } else { Part::Char(char) };
        chunk.valid().chars().map(part).chain(chunk.invalid().iter().copied().map(Part::Byte))
    })
}

/// Whether a character is escaped because it is invisible, or changes how its neighbours look.
/// Joiners (U+200C, U+200D), variation selectors and the fillers of Hangul letters (U+115F, U+1160)
/// are not escaped: some writing systems and emoji need them.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'
            | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Writes a name as plain text on one line.
pub(super) fn plain(name: &[u8], out: &mut Vec<u8>) {
    let mut parts = parts(name).peekable();
    while let Some(part) = parts.next() {
        match (&part, parts.peek()) {
            (Part::Char('\\'), Some(Part::Char('x' | 'u'))) => put!(out, "\\x5c"),
            _ => visible(&part, out),
        }
    }
}

/// Writes a part. Invisible characters, and bytes that are not UTF-8, are escaped.
fn visible(part: &Part, out: &mut Vec<u8>) {
    match *part {
        Part::Char(char) => put!(out, "{char}"),
        Part::Invisible(char) if char < '\u{80}' => put!(out, "\\x{:02x}", char as u32),
        Part::Invisible(char) => put!(out, "\\u{{{:x}}}", char as u32),
        Part::Byte(byte) => put!(out, "\\x{byte:02x}"),
    }
}

/// Writes a name as HTML, for text and quoted attributes.
pub(crate) fn html(name: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    plain(name, out);
    escape_from(start, out);
}

/// Writes text of several lines as HTML. Invisible characters are escaped, except line breaks and
/// tabs. Backslashes are written as they are.
pub(super) fn html_lines(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    for run in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\t')) {
        let (line, end) = match run.split_last() {
            Some((b'\n', line)) => (line.strip_suffix(b"\r").unwrap_or(line), &b"\n"[..]),
            Some((b'\t', line)) => (line, &b"\t"[..]),
            _ => (run, &b""[..]),
        };
        parts(line).for_each(|part| visible(&part, out));
        out.extend_from_slice(end);
    }
    escape_from(start, out);
}

/// Escapes the special characters of HTML in what was written from `start` on.
fn escape_from(start: usize, out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
    if !out[start..].iter().any(special) {
        return;
    }
    for byte in out.split_off(start) {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            byte => out.push(byte),
        }
    }
}

/// Writes bytes for a URL: all but the unreserved characters (RFC 3986, 2.3) are percent-encoded,
/// so the result fits a path, a query, an attribute and JSON.
pub(crate) fn url(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(*byte),
            byte => put!(out, "%{byte:02X}"),
        }
    }
}

/// Writes a name as a JSON string, quotes included. Invisible characters are escaped; a byte that
/// is not UTF-8 becomes U+FFFD.
pub(super) fn json(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for part in parts(name) {
        match part {
            Part::Char(char @ ('"' | '\\')) => put!(out, "\\{char}"),
            Part::Char(char) => put!(out, "{char}"),
            Part::Invisible(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    put!(out, "\\u{unit:04x}");
                }
            }
            Part::Byte(_) => put!(out, "\u{fffd}"),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::naming::path::{WellKnown, is_requestable};

    fn written(write: fn(&[u8], &mut Vec<u8>), name: &[u8]) -> String {
        let mut out = b"before&".to_vec();
        write(name, &mut out);
        String::from_utf8(out).unwrap().split_off("before&".len())
    }

    #[test]
    fn hostile_names_are_harmless_in_every_context() {
        for (name, as_plain, as_html, as_url, as_json) in [
            ("a b.txt", "a b.txt", "a b.txt", "a%20b.txt", r#""a b.txt""#),
            (
                "<script>alert('1')</script>",
                "<script>alert('1')</script>",
                "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;",
                "%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E",
                r#""<script>alert('1')</script>""#,
            ),
            (
                "\" onload=\"x&amp;",
                "\" onload=\"x&amp;",
                "&quot; onload=&quot;x&amp;amp;",
                "%22%20onload%3D%22x%26amp%3B",
                r#""\" onload=\"x&amp;""#,
            ),
            (
                "a\r\nb\t",
                "a\\x0d\\x0ab\\x09",
                "a\\x0d\\x0ab\\x09",
                "a%0D%0Ab%09",
                r#""a\u000d\u000ab\u0009""#,
            ),
            ("\u{1b}[31m", "\\x1b[31m", "\\x1b[31m", "%1B%5B31m", r#""\u001b[31m""#),
            (
                "a\u{202e}gpj.exe",
                "a\\u{202e}gpj.exe",
                "a\\u{202e}gpj.exe",
                "a%E2%80%AEgpj.exe",
                r#""a\u202egpj.exe""#,
            ),
            ("a\\b", "a\\b", "a\\b", "a%5Cb", r#""a\\b""#),
            ("\\x0a\\n", "\\x5cx0a\\n", "\\x5cx0a\\n", "%5Cx0a%5Cn", r#""\\x0a\\n""#),
            ("\\\\u\n", "\\\\x5cu\\x0a", "\\\\x5cu\\x0a", "%5C%5Cu%0A", r#""\\\\u\u000a""#),
            (
                "\u{85}\u{e0001}",
                "\\u{85}\\u{e0001}",
                "\\u{85}\\u{e0001}",
                "%C2%85%F3%A0%80%81",
                r#""\u0085\udb40\udc01""#,
            ),
            ("javascript:x", "javascript:x", "javascript:x", "javascript%3Ax", r#""javascript:x""#),
            ("?#%2e", "?#%2e", "?#%2e", "%3F%23%252e", r#""?#%2e""#),
            (
                "é日👩‍👧",
                "é日👩‍👧",
                "é日👩‍👧",
                "%C3%A9%E6%97%A5%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7",
                "\"é日👩‍👧\"",
            ),
        ] {
            assert_eq!(written(plain, name.as_bytes()), as_plain);
            assert_eq!(written(html, name.as_bytes()), as_html);
            assert_eq!(written(url, name.as_bytes()), as_url);
            assert_eq!(written(json, name.as_bytes()), as_json);
        }
        // Fillers, which show nothing.
        for filler in ['\u{34f}', '\u{17b4}', '\u{3164}', '\u{ffa0}'] {
            let escaped = format!("a\\u{{{:x}}}", u32::from(filler));
            assert_eq!(written(plain, format!("a{filler}").as_bytes()), escaped);
        }
        assert_eq!(written(plain, b"caf\xe9"), "caf\\xe9");
        assert_eq!(written(url, b"caf\xe9"), "caf%E9");
        assert_eq!(written(json, b"caf\xe9"), "\"caf\u{fffd}\"");
    }

    #[test]
    fn text_keeps_line_breaks_and_escapes_other_invisible_characters() {
        let text = b"# A\r\n\tb <c>\n\x1b[2J\xffend C:\\users\\x";
        let shown = "# A\n\tb &lt;c&gt;\n\\x1b[2J\\xffend C:\\users\\x";
        assert_eq!(written(html_lines, text), shown);
    }

    proptest! {
        #[test]
        fn no_special_or_invisible_character_is_left_unescaped(
            name in proptest::collection::vec(any::<u8>(), 0..40),
            text in ".{0,20}",
        ) {
            for name in [&name[..], text.as_bytes()] {
                let html = written(html, name);
                prop_assert!(!html.contains(['<', '>', '"', '\'']));
                prop_assert!(!html.chars().any(is_invisible));
                prop_assert!(!written(plain, name).chars().any(is_invisible));
                let url = written(url, name);
                prop_assert!(url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
                let json = written(json, name);
                prop_assert!(!json.chars().any(is_invisible));
                let mut inner = json[1..json.len() - 1].chars();
                while let Some(char) = inner.next() {
                    prop_assert_ne!(char, '"');
                    if char == '\\' {
                        prop_assert!(inner.next().is_some());
                    }
                }
            }
        }

        #[test]
        fn urls_parse_to_the_name_they_were_made_of(name in proptest::collection::vec(1u8.., 1..40)) {
            let path = format!("/{}", written(url, &name));
            let mut scratch = Vec::new();
            if is_requestable(b"", &name, WellKnown::Served) {
                let path = crate::RequestPath::parse(path.as_bytes(), &mut scratch);
                prop_assert_eq!(path.map(crate::RequestPath::key), Ok(&name[..]));
            }
        }
    }
}
