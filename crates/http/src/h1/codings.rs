//! How requests are refused whose transfer codings are not a single `chunked` (RFC 9112, 6.1, 6.3
//! and 7).
//!
//! This reads the grammar of the whole list, parameters included, so that the status of the refusal
//! doesn't depend on how a coding is written.

use crate::semantics::chars;
use crate::semantics::refusal::Refusal;

const MALFORMED: Refusal<'static> = Refusal::bad("sent a malformed Transfer-Encoding field");
const NOT_LAST: Refusal<'static> = Refusal::bad("sent a chunked coding that is not the last one");
/// Only `chunked` as the last coding says where the body ends (RFC 9112, 6.3).
const NOT_CHUNKED: Refusal<'static> =
    Refusal::bad("sent a Transfer-Encoding whose last coding is not chunked");
/// `chunked` has no parameters (RFC 9112, 7.1).
const PARAMETER: Refusal<'static> = Refusal::bad("sent a chunked coding with a parameter");

/// A transfer coding.
#[derive(Clone, Copy)]
struct Coding {
    is_chunked: bool,
    has_parameters: bool,
}

/// The refusal of the codings in `values`: the values of all `Transfer-Encoding` fields of a
/// request, which form one list (RFC 9110, 5.3).
///
/// An empty element is malformed here. A recipient must ignore it (RFC 9110, 5.6.1.2). But parsers
/// that don't ignore it could find another end of the body.
#[cold]
pub(super) fn refusal<'a>(values: impl Iterator<Item = &'a [u8]>) -> Refusal<'static> {
    let mut last: Option<Coding> = None;
    for mut rest in values {
        loop {
            let Some((coding, after)) = read_coding(rest) else { return MALFORMED };
            if last.is_some_and(|before| before.is_chunked) {
                return NOT_LAST;
            }
            last = Some(coding);
            match after {
                [] => break,
                [b',', more @ ..] => rest = more,
                _ => return MALFORMED,
            }
        }
    }
    match last {
        None => MALFORMED,
        Some(Coding { is_chunked: false, .. }) => NOT_CHUNKED,
        Some(Coding { has_parameters: true, .. }) => PARAMETER,
        Some(_) => Refusal::UNKNOWN_CODING,
    }
}

/// Reads `OWS token *( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) ) OWS`. Returns the
/// coding and what follows.
fn read_coding(list: &[u8]) -> Option<(Coding, &[u8])> {
    let (name, mut rest) = read_token(list)?;
    let mut has_parameters = false;
    while let [b';', parameter @ ..] = rest {
        let (_, after) = read_token(parameter)?;
        let value = chars::trim(after.strip_prefix(b"=")?);
        rest = match value {
            [b'"', quoted @ ..] => chars::trim(after_quotes(quoted)?),
            _ => read_token(value)?.1,
        };
        has_parameters = true;
    }
    Some((Coding { is_chunked: name.eq_ignore_ascii_case(b"chunked"), has_parameters }, rest))
}

/// Reads a token, and the blanks around it. Returns the token and what follows.
fn read_token(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = chars::trim(bytes);
    let (token, rest) = bytes.split_at(chars::prefix_len(bytes, chars::is_token_byte));
    (!token.is_empty()).then_some((token, chars::trim(rest)))
}

/// Returns what follows a quoted-string whose opening quote was read. The field's value was checked
/// before, so all bytes are valid.
fn after_quotes(mut quoted: &[u8]) -> Option<&[u8]> {
    loop {
        match quoted {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => quoted = rest,
            [] => return None,
        }
    }
}
