//! The encoding that a text declares in its content, determined as browsers determine it.
//!
//! The algorithms for HTML are in <https://html.spec.whatwg.org/multipage/parsing.html>, and the
//! one for CSS in the specification CSS Syntax. The labels, which are the names of encodings, are
//! in the Encoding Standard. The parameter `start` is always the first kilobyte of the text.

/// What a text says about its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    /// Nothing, or nothing that browsers understand.
    Nothing,
    Utf8,
    /// Another encoding.
    Other,
}

/// The labels of UTF-8 and UTF-16. A declared UTF-16 means UTF-8, since the declaration itself
/// would be unreadable in UTF-16.
const UTF8: &str = "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8 \
    unicodefffe utf-16be csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le";

/// The labels of all other encodings in the Encoding Standard.
const OTHERS: &str = "866 cp866 csibm866 ibm866 \
    csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2 \
    csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3 \
    csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4 \
    csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 \
    iso_8859-5:1988 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 \
    iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987 \
    csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 \
    iso_8859-7 iso_8859-7:1987 sun_eu_greek csiso88598e csisolatinhebrew hebrew iso-8859-8 \
    iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 visual csiso88598i \
    iso-8859-8-i logical csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6 \
    iso-8859-13 iso8859-13 iso885913 iso-8859-14 iso8859-14 iso885914 csisolatin9 iso-8859-15 \
    iso8859-15 iso885915 iso_8859-15 l9 iso-8859-16 cskoi8r koi koi8 koi8-r koi8_r koi8-ru koi8-u \
    csmacintosh mac macintosh x-mac-roman dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 \
    windows-874 cp1250 windows-1250 x-cp1250 cp1251 windows-1251 x-cp1251 ansi_x3.4-1968 ascii \
    cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 \
    iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 cp1253 windows-1253 x-cp1253 cp1254 \
    csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 \
    windows-1254 x-cp1254 cp1255 windows-1255 x-cp1255 cp1256 windows-1256 x-cp1256 cp1257 \
    windows-1257 x-cp1257 cp1258 windows-1258 x-cp1258 x-mac-cyrillic x-mac-ukrainian chinese \
    csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030 big5 \
    big5-hkscs cn-big5 csbig5 x-x-big5 cseucpkdfmtjapanese euc-jp x-euc-jp csiso2022jp \
    iso-2022-jp csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis cseuckr \
    csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 \
    windows-949 csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr replacement \
    x-user-defined";

/// The encoding with this label; [`Declared::Nothing`] if browsers don't know the label.
fn labelled(label: &[u8]) -> Declared {
    let is_in = |labels: &str| {
        labels.split(' ').any(|known| known.as_bytes().eq_ignore_ascii_case(label.trim_ascii()))
    };
    if is_in(UTF8) {
        Declared::Utf8
    } else if is_in(OTHERS) {
        Declared::Other
    } else {
        Declared::Nothing
    }
}

/// The encoding of an HTML page: from its first `meta` element that declares one, else from an XML
/// declaration.
pub(super) fn in_html(start: &[u8]) -> Declared {
    // The page begins with an XML declaration in UTF-16, without a byte order mark.
    if start.starts_with(b"<\0?\0x\0") || start.starts_with(b"\0<\0?\0x") {
        return Declared::Other;
    }
    let mut rest = start;
    while !rest.is_empty() {
        match prescan(&mut rest) {
            None => break,
            Some(Declared::Nothing) => {}
            Some(declared) => return declared,
        }
    }
    match xml_label(start) {
        Some(label) => labelled(label),
        None => Declared::Nothing,
    }
}

/// The encoding of an XML document. Other programs than browsers read XML, and may know labels that
/// browsers don't, so an unknown label counts as another encoding.
pub(super) fn in_xml(start: &[u8]) -> Declared {
    match xml_label(start) {
        // UTF-16 without a byte order mark (XML 1.0, appendix F).
        None if start.starts_with(b"<\0") || start.starts_with(b"\0<") => Declared::Other,
        None => Declared::Nothing,
        Some(label) if labelled(label) == Declared::Utf8 => Declared::Utf8,
        Some(_) => Declared::Other,
    }
}

/// The encoding of a style sheet, from a rule of exactly the form `@charset "LABEL";` at its start.
pub(super) fn in_css(start: &[u8]) -> Declared {
    let label = start.strip_prefix(b"@charset \"").and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b'"')?;
        rest[end..].starts_with(b"\";").then_some(&rest[..end])
    });
    label.map_or(Declared::Nothing, labelled)
}

/// The label in an XML declaration.
fn xml_label(start: &[u8]) -> Option<&[u8]> {
    let rest = start.strip_prefix(b"<?xml")?;
    let declaration = &rest[..rest.iter().position(|byte| *byte == b'>')?];
    let after = find(declaration, b"encoding")? + b"encoding".len();
    let value = declaration[after..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    Some(&value[..value.iter().position(|byte| byte == quote)?])
}

/// One step of HTML's "prescan a byte stream to determine its encoding": removes from the front of
/// `rest` a comment, a tag (also `<!…>` or `<?…>`), or else one byte. Returns what a `meta` element
/// declares, and [`Declared::Nothing`] for everything else. `None` if the bytes end within a
/// comment, a tag or an attribute.
fn prescan(rest: &mut &[u8]) -> Option<Declared> {
    let bytes = *rest;
    let letter_at = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    let mut declared = Declared::Nothing;
    if bytes.starts_with(b"<!--") {
        // The dashes of the end may be the same as those of the beginning: `<!-->`.
        *rest = &bytes[2 + find(&bytes[2..], b"-->")? + 2..];
    } else if is_meta(bytes) {
        *rest = &bytes[b"<meta".len()..];
        declared = in_meta(rest)?;
    } else if bytes[0] == b'<' && (letter_at(1) || bytes.get(1) == Some(&b'/') && letter_at(2)) {
        let name = bytes.iter().position(|byte| is_space(*byte) || *byte == b'>')?;
        *rest = &bytes[name..];
        while attribute(rest)?.is_some() {}
    } else if bytes[0] == b'<' && matches!(bytes.get(1), Some(b'!' | b'/' | b'?')) {
        *rest = &bytes[bytes.iter().position(|byte| *byte == b'>')?..];
    }
    *rest = rest.get(1..).unwrap_or_default();
    Some(declared)
}

fn is_meta(bytes: &[u8]) -> bool {
    let (name, after) = (bytes.get(..5).unwrap_or_default(), bytes.get(5));
    name.eq_ignore_ascii_case(b"<meta") && after.is_some_and(|it| is_space(*it) || *it == b'/')
}

/// The encoding in the attributes of a `meta` element. `None` if the bytes end within the element.
fn in_meta(rest: &mut &[u8]) -> Option<Declared> {
    let mut names = Vec::new();
    let (mut is_pragma, mut charset, mut content) = (false, None, None);
    while let Some(Attribute { name, value }) = attribute(rest)? {
        // The first of several attributes with one name counts.
        if names.contains(&name) {
            continue;
        }
        match &*name {
            b"http-equiv" => is_pragma |= value.eq_ignore_ascii_case(b"content-type"),
            b"charset" => charset = Some(labelled(value)),
            b"content" => content = charset_in(value).map(labelled),
            _ => {}
        }
        names.push(name);
    }
    let declared = charset.or(content.filter(|_| is_pragma));
    Some(declared.unwrap_or(Declared::Nothing))
}

struct Attribute<'a> {
    /// In lower case.
    name: Vec<u8>,
    value: &'a [u8],
}

/// HTML's "get an attribute". The outer `None` means that the bytes end within the attribute, the
/// inner one that the tag has no more attributes.
fn attribute<'a>(rest: &mut &'a [u8]) -> Option<Option<Attribute<'a>>> {
    skip(rest, |byte| is_space(byte) || byte == b'/');
    if *rest.first()? == b'>' {
        return Some(None);
    }
    // A name may start with `=`.
    let ends = |byte: &u8| is_space(*byte) || matches!(byte, b'=' | b'/' | b'>');
    let end = 1 + rest[1..].iter().position(ends)?;
    let name = rest[..end].to_ascii_lowercase();
    *rest = &rest[end..];
    skip(rest, is_space);
    if *rest.first()? != b'=' {
        return Some(Some(Attribute { name, value: b"" }));
    }
    *rest = &rest[1..];
    skip(rest, is_space);
    let value = match *rest.first()? {
        quote @ (b'"' | b'\'') => {
            let inside = &rest[1..];
            let end = inside.iter().position(|byte| *byte == quote)?;
            *rest = &inside[end + 1..];
            &inside[..end]
        }
        _ => {
            let end = rest.iter().position(|byte| is_space(*byte) || *byte == b'>')?;
            let value = &rest[..end];
            *rest = &rest[end..];
            value
        }
    };
    Some(Some(Attribute { name, value }))
}

/// The label in a value of `content`: `text/html; charset=LABEL`.
fn charset_in(content: &[u8]) -> Option<&[u8]> {
    let mut rest = content;
    loop {
        let at = rest.windows(7).position(|word| word.eq_ignore_ascii_case(b"charset"))?;
        rest = rest[at + 7..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b"=") {
            rest = value.trim_ascii_start();
            break;
        }
    }
    let (first, inside) = rest.split_first()?;
    let end = match first {
        b'"' | b'\'' => return Some(&inside[..inside.iter().position(|byte| byte == first)?]),
        _ => rest.iter().position(|byte| is_space(*byte) || *byte == b';'),
    };
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

fn skip(rest: &mut &[u8], skipped: impl Fn(u8) -> bool) {
    let count = rest.iter().take_while(|byte| skipped(**byte)).count();
    *rest = &rest[count..];
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Declared::*;
    use super::*;

    #[test]
    fn labels_in_any_case_name_encodings() {
        for (label, expected) in [
            ("utf-8", Utf8),
            ("UTF8", Utf8),
            (" Utf-8\n", Utf8),
            ("unicode-1-1-utf-8", Utf8),
            ("utf-16", Utf8),
            ("Shift_JIS", Other),
            ("iso-8859-1", Other),
            ("us-ascii", Other),
            ("x-user-defined", Other),
            ("", Nothing),
            ("utf", Nothing),
            ("utf-8 utf8", Nothing),
            ("utf8mb4", Nothing),
            ("{{ charset }}", Nothing),
        ] {
            assert_eq!(labelled(label.as_bytes()), expected, "{label}");
        }
    }

    #[test]
    fn pages_declare_their_encoding_in_meta_elements() {
        for (page, expected) in [
            ("<meta charset=big5>", Other),
            ("<!DOCTYPE html>\n<html lang=ja><head>\n<META CharSet = 'EUC-JP' />", Other),
            ("<meta/charset=\"utf-8\">", Utf8),
            ("<meta charset=utf-8><meta charset=big5>", Utf8),
            ("<meta charset=unheard-of><meta charset=big5>", Other),
            ("<meta charset=big5 charset=utf-8>", Other),
            ("<meta name=x charset=gbk>", Other),
            ("<meta http-equiv=content-type content='text/html; charset=koi8-r'>", Other),
            ("<meta content=\"text/html;CHARSET = 'big5'\" http-equiv=Content-Type>", Other),
            ("<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">", Utf8),
            ("<meta http-equiv=Content-Type content='charset charset=big5;x'>", Other),
            ("<meta http-equiv=Content-Type content='text/html'>", Nothing),
            ("<meta http-equiv=Content-Type content='charset=\"big5'>", Nothing),
            ("<meta http-equiv=refresh content='1; charset=big5'>", Nothing),
            ("<meta content='text/html; charset=big5'>", Nothing),
            ("<meta charset=utf-8 http-equiv=content-type content='charset=big5'>", Utf8),
            ("<!-- <meta charset=big5> --><p>", Nothing),
            ("<!-- <meta charset=big5> --><meta charset=utf-8>", Utf8),
            ("<!--><meta charset=big5>", Other),
            ("<!-- <meta charset=big5>", Nothing),
            ("<a title='<meta charset=big5>'>", Nothing),
            ("<a title='>'><meta charset=big5>", Other),
            ("</a title='<meta charset=big5>'>", Nothing),
            ("<!x <meta charset=big5>", Nothing),
            ("<?php '<meta charset=utf-8>' ?><meta charset=big5>", Other),
            ("< meta charset=big5>", Nothing),
            ("<metacharset=big5>", Nothing),
            ("<metas charset=big5>", Nothing),
            ("<meta charset=big5", Nothing),
            ("<meta charset='big5>", Nothing),
            ("<meta ==x charset=big5>", Other),
            ("<meta charset>", Nothing),
            ("<meta charset=>", Nothing),
            ("a < b <meta charset=big5>", Other),
            ("<", Nothing),
            ("", Nothing),
            ("<?xml version=\"1.0\" encoding=\"big5\"?><html>", Other),
            ("<?xml version=\"1.0\" encoding=\"big5\"?><meta charset=utf-8>", Utf8),
            ("<\0?\0x\0m\0l\0", Other),
            ("\0<\0?\0x\0m\0l", Other),
            ("<\0p\0>\0", Nothing),
        ] {
            assert_eq!(in_html(page.as_bytes()), expected, "{page}");
        }
    }

    #[test]
    fn documents_declare_their_encoding_in_the_xml_declaration() {
        for (document, expected) in [
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>", Other),
            ("<?xml version='1.0'\n encoding = 'windows-1251' standalone='yes'?>", Other),
            ("<?xml version='1.0' encoding='UTF-8'?>", Utf8),
            ("<?xml version='1.0' encoding='EBCDIC-CP-US'?>", Other),
            ("<?xml version='1.0'?><a encoding='big5'/>", Nothing),
            ("<?xml version='1.0' encoding=big5?>", Nothing),
            ("<?xml version='1.0' encoding='big5?>", Nothing),
            ("<?xml version='1.0' encoding?>", Nothing),
            (" <?xml version='1.0' encoding='big5'?>", Nothing),
            ("<?xml", Nothing),
            ("<svg/>", Nothing),
            ("<\0?\0x\0m\0l\0", Other),
            ("\0<\0?\0x\0m\0l", Other),
        ] {
            assert_eq!(in_xml(document.as_bytes()), expected, "{document}");
        }
    }

    #[test]
    fn style_sheets_declare_their_encoding_in_a_rule_of_one_form() {
        for (sheet, expected) in [
            ("@charset \"windows-1251\";", Other),
            ("@charset \"UTF-8\"; a {}", Utf8),
            ("@charset \"unheard-of\";", Nothing),
            ("@charset 'big5';", Nothing),
            ("@charset  \"big5\";", Nothing),
            ("@Charset \"big5\";", Nothing),
            ("@charset \"big5\" ;", Nothing),
            (" @charset \"big5\";", Nothing),
            ("@charset \"big5", Nothing),
        ] {
            assert_eq!(in_css(sheet.as_bytes()), expected, "{sheet}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            page in "(<!--|-->|<|meta|/|>|=|'|\"| |charset|content|http-equiv|big5|;|\\?|xml){0,40}",
        ) {
            for bytes in [&bytes[..], page.as_bytes()] {
                in_html(bytes);
                in_xml(bytes);
                in_css(bytes);
            }
        }
    }
}
