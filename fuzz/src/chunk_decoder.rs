//! A simple decoder of the chunked coding (RFC 9112, 7.1).
//!
//! It shares no code with the server, so that the two can be compared.

use sockeye_http::Limits;

/// The server's limit on chunk extensions of a body, in bytes.
const EXTENSIONS: usize = 4096;

/// A complete body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DecodedBody {
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The length including the framing.
    pub(crate) len: usize,
}

/// Decodes the body at the start of `input`. `None` if it is incomplete or invalid, exceeds a limit
/// of the server, or has more than `room` bytes without the framing.
pub(crate) fn decode(input: &[u8], room: usize, limits: &Limits) -> Option<DecodedBody> {
    let mut whole = DecodedBody::default();
    let mut rest = input;
    let mut extensions = 0;
    loop {
        let line = line(&mut rest)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        if !(1..=16).contains(&digits) || !are_extensions(extension) {
            return None;
        }
        extensions += extension.len();
        let size = u64::from_str_radix(str::from_utf8(size).ok()?, 16).ok()?;
        let size = usize::try_from(size).ok()?;
        if extensions > EXTENSIONS || size > room - whole.body.len() {
            return None;
        }
        if size == 0 {
            break;
        }
        let (data, after) = rest.split_at_checked(size)?;
        whole.body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
    }
    let section = rest;
    loop {
        let line = line(&mut rest)?;
        if section.len() - rest.len() > limits.head {
            return None;
        }
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) || !is_text(value) {
            return None;
        }
        whole.trailers.push((name.to_vec(), value.trim_ascii().to_vec()));
        if whole.trailers.len() > limits.fields {
            return None;
        }
    }
    whole.len = input.len() - rest.len();
    Some(whole)
}

/// Takes a line, which has to end with CRLF.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(end + 1);
    *rest = after;
    line.strip_suffix(b"\r\n")
}

/// Whether `rest` consists of chunk extensions or is empty (RFC 9112, 7.1.1).
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = sign(rest, b';') else { return false };
        let Some(after) = token(after) else { return false };
        let Some(value) = sign(after, b'=') else {
            rest = after;
            continue;
        };
        let Some(after) = token(value).or_else(|| quoted(value)) else { return false };
        rest = after;
    }
    true
}

/// The rest after `sign` and the whitespace around it.
fn sign(rest: &[u8], sign: u8) -> Option<&[u8]> {
    let blanks = |bytes: &[u8]| bytes.iter().take_while(|byte| b" \t".contains(byte)).count();
    let rest = rest[blanks(rest)..].strip_prefix(&[sign])?;
    Some(&rest[blanks(rest)..])
}

/// The rest after a token.
fn token(rest: &[u8]) -> Option<&[u8]> {
    let len = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
    (len > 0).then(|| &rest[len..])
}

/// The rest after a quoted string.
fn quoted(rest: &[u8]) -> Option<&[u8]> {
    let mut rest = rest.strip_prefix(b"\"")?;
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', byte, after @ ..] if is_text(&[*byte]) => rest = after,
            [b'\\', ..] => return None,
            [byte, after @ ..] if is_text(&[*byte]) => rest = after,
            _ => return None,
        }
    }
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(crate) fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_extensions_follow_the_grammar() {
        for good in ["", ";a", " ; a = b\t;c", ";a=\"\"", ";a=\"\\\"; \"\t;b", ";a=\"\u{e9}\""] {
            assert!(are_extensions(good.as_bytes()), "{good}");
        }
        for bad in [" ", ";", ";a ", ";a;", ";a=", ";=b", ";a=b c", ";a=\"", ";a=\"\\\"", ";\u{e9}"]
        {
            assert!(!are_extensions(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_body_its_trailers_and_its_length() {
        let input = b"5;a=b\r\nhello\r\n0\r\nA: b \r\n\r\nGET";
        let whole = decode(input, 5, &Limits::default()).unwrap();
        assert_eq!((&whole.body[..], whole.len), (&b"hello"[..], input.len() - 3));
        assert_eq!(whole.trailers, [(b"A".to_vec(), b"b".to_vec())]);
        for bad in [&b"5\r\nhello\r\n0\r\n"[..], b"1\nx\r\n0\r\n\r\n", b"1 \r\nx\r\n0\r\n\r\n", b""]
        {
            assert_eq!(decode(bad, 5, &Limits::default()), None, "{}", bad.escape_ascii());
        }
        assert_eq!(decode(b"6\r\nhello!\r\n0\r\n\r\n", 5, &Limits::default()), None);
    }
}
