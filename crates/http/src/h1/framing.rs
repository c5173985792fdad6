//! What a request's fields say about its content, its host and the connection (RFC 9112, 3.2, 6 and
//! 9.3).
//!
//! If two parsers disagree about where a request ends, attackers can exploit it (request
//! smuggling). So anything ambiguous is refused, even where the RFC allows a server to repair it.

use super::codings;
use crate::semantics::chars;
use crate::semantics::content::{content_length, expects_continue, list_members};
use crate::semantics::refusal::Refusal;
use crate::{Content, FieldName, Request, Version};

/// What a request's fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) content: Content,
    /// Whether the client may send another request on this connection.
    pub(crate) persistent: bool,
    /// Whether the client waits for 100 (Continue) before it sends the content (RFC 9110, 10.1.1).
    pub(crate) expects_continue: bool,
    /// Whether the client asks to switch to another protocol (RFC 9110, 7.8).
    pub(crate) upgrade: bool,
}

/// Determines what the fields of `request` say.
pub(crate) fn of(request: &Request<'_>) -> Result<Framing, Refusal<'static>> {
    let is_http10 = request.version() == Version::Http10;
    check_host(request, is_http10)?;
    let content = content(request, is_http10)?;
    let present = request.present();
    let has = |name| present.contains(name);
    let expects = has(FieldName::Expect) && expects_continue(request)?;
    let (mut close, mut keep_alive, mut upgrade) = (false, false, false);
    if has(FieldName::Connection) {
        for option in list_members(request, FieldName::Connection) {
            close |= option.eq_ignore_ascii_case(b"close");
            keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
    let names_protocol = upgrade && list_members(request, FieldName::Upgrade).next().is_some();
    Ok(Framing {
        content,
        persistent: !close && (!is_http10 || keep_alive),
        // In an HTTP/1.0 request, 100-continue and Upgrade are ignored (RFC 9110, 10.1.1 and 7.8).
        expects_continue: expects && !is_http10 && content != Content::None,
        upgrade: names_protocol && !is_http10,
    })
}

/// Checks that there is exactly one valid `Host` field, or none in HTTP/1.0 (RFC 9112, 3.2).
fn check_host(request: &Request<'_>, is_http10: bool) -> Result<(), Refusal<'static>> {
    if request.is_repeated(FieldName::Host) {
        return Err(Refusal::bad("sent more than one Host field"));
    }
    match request.common_field(FieldName::Host) {
        Some(host) if chars::is_host(host) => Ok(()),
        Some(_) => Err(Refusal::bad("sent an invalid Host field")),
        None if is_http10 => Ok(()),
        None => Err(Refusal::bad("sent no Host field")),
    }
}

fn content(request: &Request<'_>, is_http10: bool) -> Result<Content, Refusal<'static>> {
    use FieldName::{ContentLength, TransferEncoding};
    match (request.common_field(TransferEncoding), request.common_field(ContentLength)) {
        (None, None) => Ok(Content::None),
        (None, Some(_)) if request.is_repeated(ContentLength) => {
            Err(Refusal::bad("sent more than one Content-Length field"))
        }
        (None, Some(value)) => content_length(value),
        (Some(_), Some(_)) => Err(Refusal::bad("sent both Content-Length and Transfer-Encoding")),
        // HTTP/1.0 has no transfer codings, so a proxy may have determined another end of this
        // content (RFC 9112, 6.1).
        (Some(_), None) if is_http10 => Err(Refusal::bad("sent Transfer-Encoding in HTTP/1.0")),
        (Some(value), None)
            if value.eq_ignore_ascii_case(b"chunked") && !request.is_repeated(TransferEncoding) =>
        {
            Ok(Content::Chunked)
        }
        (Some(_), None) => Err(codings::refusal(request.fields_named(TransferEncoding.as_str()))),
    }
}
