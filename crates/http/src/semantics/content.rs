//! What the fields of a request say about its content, in all versions of HTTP (RFC 9110, 8.6 and
//! 10.1.1).

use crate::semantics::chars;
use crate::semantics::names::FieldName;
use crate::semantics::refusal::Refusal;
use crate::semantics::request::{Content, Request};

/// The members of the comma-separated list that all fields with this name form together. Empty
/// members are skipped (RFC 9110, 5.6.1.2).
pub(crate) fn list_members<'a>(
    request: &Request<'a>,
    name: FieldName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let first = request.common_field(name).into_iter();
    // All fields are searched only if this one is repeated, which is rare.
    let more = request.is_repeated(name).then(|| request.fields_named(name.as_str()).skip(1));
    first
        .chain(more.into_iter().flatten())
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(chars::trim)
        .filter(|member| !member.is_empty())
}

/// Whether the client waits for 100 (Continue).
pub(crate) fn expects_continue(request: &Request<'_>) -> Result<bool, Refusal<'static>> {
    let mut expects = false;
    for member in list_members(request, FieldName::Expect) {
        if !member.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::EXPECTATION);
        }
        expects = true;
    }
    Ok(expects)
}

/// Reads a Content-Length, which must consist of digits only. So a sign or a list of numbers is
/// refused. A leading zero is refused, too, because other parsers may read such a number as octal.
pub(crate) fn content_length(value: &[u8]) -> Result<Content, Refusal<'static>> {
    const BAD: Refusal<'static> = Refusal::bad("sent a Content-Length that is not a number");
    match (value, chars::parse_number(value).ok_or(BAD)?) {
        ([b'0', _, ..], _) => Err(Refusal::bad("sent a Content-Length with a leading zero")),
        (_, 0) => Ok(Content::None),
        (_, length) => Ok(Content::Length(length)),
    }
}
