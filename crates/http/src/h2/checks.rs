//! Checks of single fields and pseudo-header fields (RFC 9113, 8.2 and 8.3).

use crate::FieldName;
use crate::semantics::chars;
use crate::semantics::method::MethodKind;

/// Checks a `:protocol`, which only CONNECT may have (RFC 8441, 4). Its value names a protocol as
/// an Upgrade field does (RFC 9110, 7.8).
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence that begins with "the peer".
#[cold]
pub(super) fn check_protocol(protocol: &[u8], method: MethodKind) -> Result<(), &'static str> {
    if method != MethodKind::Connect {
        return Err("sent :protocol with a method other than CONNECT");
    }
    // A name, or a name and a version.
    let mut parts = protocol.splitn(2, |byte| *byte == b'/');
    match parts.all(chars::is_token) {
        true => Ok(()),
        false => Err("sent a :protocol that is not the name of a protocol"),
    }
}

/// `host` without its port, if the port is empty or the default of `scheme` (RFC 3986, 6.2.3).
pub(super) fn without_default_port<'a>(host: &'a [u8], scheme: &[u8]) -> &'a [u8] {
    let default: &[u8] = if scheme == b"https" { b":443" } else { b":80" };
    host.strip_suffix(default).or_else(|| host.strip_suffix(b":")).unwrap_or(host)
}

/// Whether a field value is valid in HTTP/2 (RFC 9113, 8.2.1).
pub(super) fn is_valid_value(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_blank(value.first()) && !is_blank(value.last()) && chars::is_field_value(value)
}

/// Whether a field name is valid in HTTP/2: a token without upper-case letters (RFC 9113, 8.2.1).
pub(super) fn is_valid_name(name: &[u8]) -> bool {
    chars::is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
}

/// The [`FieldName`] of the name with this index in HPACK's static table. `None` if [`FieldName`]
/// has no variant for it.
pub(super) fn common_name(static_name: u8) -> Option<FieldName> {
    Some(match static_name {
        16 => FieldName::AcceptEncoding,
        19 => FieldName::Accept,
        28 => FieldName::ContentLength,
        35 => FieldName::Expect,
        38 => FieldName::Host,
        39 => FieldName::IfMatch,
        40 => FieldName::IfModifiedSince,
        41 => FieldName::IfNoneMatch,
        42 => FieldName::IfRange,
        43 => FieldName::IfUnmodifiedSince,
        50 => FieldName::Range,
        51 => FieldName::Referer,
        57 => FieldName::TransferEncoding,
        58 => FieldName::UserAgent,
        _ => return None,
    })
}
