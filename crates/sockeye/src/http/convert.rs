//! Converts between [`http_core`] and the types of the `http` crate: for a [`http_core::Handler`]
//! that calls code which uses these types, as the crate `sockeye-tower` does. Closures of
//! [`serve`](super::serve) don't need it.

use std::fmt;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::{Authority, Parts, Scheme};
use http::{Method, Request, StatusCode, Uri, Version};
use sockeye_http::{self as http_core, Answer, Fields, Responder, Status, Stream, Trailers};
use sockeye_proto::Peer;
use tracing::error;

use super::raw_target;

/// The usual methods, as a value for [`http_core::Handler::allow`].
pub const ALLOW: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";

/// Converts the head of a request.
///
/// Fields of the same name keep their order. Names are in lower case. All values and the target
/// share one allocation, which lives as long as any of them. If [`Uri`] refuses characters of the
/// target, they are percent-encoded. If it refuses the host in a target of absolute form, only the
/// path and the query are converted. In both cases, the extensions contain the
/// [`RawTarget`](crate::http::RawTarget).
///
/// The [`Uri`] of an HTTP/1.1 request is what the client sent: usually a path. The [`Uri`] of an
/// HTTP/2 request also has a scheme and a host, as in hyper, unless it is `*` or can't represent
/// the host. The scheme is `https` if `peer` uses TLS, whatever the client claims. The host is also
/// in the `Host` field. If the target of an HTTP/1.1 request is in absolute form, the `Host` field
/// has the host of the target, whatever the client sent in the field (RFC 9112, 3.2.2).
///
/// # Errors
///
/// If the types of the `http` crate can't represent the request: its target is longer than a
/// [`Uri`] can be, or it has more fields than a [`HeaderMap`] holds.
pub fn request(request: &http_core::Request<'_>, peer: &Peer) -> http::Result<Request<()>> {
    let values: usize = request.fields().map(|(_, value)| value.len()).sum();
    let is_http2 = request.version() == http_core::Version::Http2;
    let authority = request.host().filter(|_| is_http2).unwrap_or_default();
    let mut copy = Vec::with_capacity(request.target().len() + authority.len() + values);
    copy.extend_from_slice(request.target());
    copy.extend_from_slice(authority);
    for (_, value) in request.fields() {
        copy.extend_from_slice(value);
    }
    let mut copy = Bytes::from(copy);
    let mut head = Request::new(());
    *head.method_mut() = Method::from_bytes(request.method().as_str().as_bytes())?;
    *head.version_mut() = match request.version() {
        http_core::Version::Http10 => Version::HTTP_10,
        http_core::Version::Http11 => Version::HTTP_11,
        http_core::Version::Http2 => Version::HTTP_2,
    };
    *head.uri_mut() = match Uri::from_maybe_shared(copy.split_to(request.target().len())) {
        Ok(uri) => uri,
        Err(_) => {
            let (uri, raw) = raw_target::encoded(request)?;
            head.extensions_mut().insert(raw);
            uri
        }
    };
    if is_http2 {
        make_absolute(head.uri_mut(), copy.split_to(authority.len()), peer);
    }
    let count = request.fields().count();
    *head.headers_mut() = headers(count, request.fields(), |value| copy.split_to(value.len()))?;
    if !is_http2 && !request.target().starts_with(b"/") {
        use_host_of_target(request, head.headers_mut())?;
    }
    Ok(head)
}

/// Replaces the value of `Host` by the host of a target in absolute form, which takes precedence
/// (RFC 9112, 3.2.2). The field may have another value, and code that reads it would use the wrong
/// host.
#[cold]
fn use_host_of_target(
    request: &http_core::Request<'_>,
    headers: &mut HeaderMap,
) -> http::Result<()> {
    if let Some(host) = request.host() {
        headers.try_insert(HOST, HeaderValue::from_bytes(host)?)?;
    }
    Ok(())
}

/// Adds the scheme and the host to a URI that has only a path. Doesn't change the URI if it is `*`
/// or if [`Uri`] refuses the host.
fn make_absolute(uri: &mut Uri, authority: Bytes, peer: &Peer) {
    if !uri.path().starts_with('/') {
        return;
    }
    let mut parts = Parts::default();
    parts.scheme = Some(if peer.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Authority::from_maybe_shared(authority).ok();
    parts.path_and_query = uri.path_and_query().cloned();
    if let Ok(absolute) = Uri::from_parts(parts) {
        *uri = absolute;
    }
}

/// Converts the trailers of a request.
///
/// # Errors
///
/// If there are more trailers than a [`HeaderMap`] holds.
pub fn trailers(trailers: &Trailers<'_>) -> http::Result<HeaderMap> {
    headers(trailers.fields().count(), trailers.fields(), Bytes::copy_from_slice)
}

/// Converts fields. `own` makes an owned value of a borrowed one.
fn headers<'a>(
    count: usize,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    mut own: impl FnMut(&[u8]) -> Bytes,
) -> http::Result<HeaderMap> {
    let mut map = HeaderMap::try_with_capacity(count)?;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name)?;
        let value = HeaderValue::from_maybe_shared(own(value))?;
        map.try_append(name, value)?;
    }
    Ok(map)
}

/// Answers 400 to a request that [`request`] can't convert.
pub fn refuse_unsupported(responder: Responder<'_, '_>) -> Answer {
    let text = "The request's target or header fields are not supported here.";
    responder.error(Status::BAD_REQUEST, &Fields::new(), text)
}

/// The head of a response, apart from its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The status.
    pub status: Status,
    /// Whether the handler's response has `Connection: close`. See [`Responder::closing`].
    pub close: bool,
    /// The `Content-Length` that the handler has set.
    pub length: Option<u64>,
}

/// Why a response can't be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidResponse(String);

impl fmt::Display for InvalidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidResponse {}

impl From<&str> for InvalidResponse {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Converts the head of a response, and appends its fields to `fields`.
///
/// `Connection` and `Content-Length` are returned in the [`ResponseHead`]. `Date`, `Server`,
/// `Keep-Alive` and `Upgrade` are left out: only the server writes them. For the `Upgrade`
/// of a 426, see [`offering`].
///
/// # Errors
///
/// [`InvalidResponse`] for a status below 200 or above 599, a `Transfer-Encoding`, a
/// `Content-Length` that is not a single number, and an invalid field.
pub fn response(
    status: StatusCode,
    headers: &HeaderMap,
    fields: &mut Fields,
) -> Result<ResponseHead, InvalidResponse> {
    let status = Status::from_code(status.as_u16()).ok_or_else(|| {
        InvalidResponse(format!("the status of a final response can't be {}", status.as_u16()))
    })?;
    let mut head = ResponseHead { status, close: false, length: None };
    for (name, value) in headers {
        match name.as_str() {
            "connection" => head.close |= has_close(value),
            "content-length" => match number(value) {
                Some(length) if head.length.is_none() => head.length = Some(length),
                _ => return Err("the Content-Length is not a single number".into()),
            },
            "transfer-encoding" => {
                return Err("only the server may set the Transfer-Encoding of a response".into());
            }
            "date" | "server" | "keep-alive" | "upgrade" => {}
            _ => push(fields, name, value)?,
        }
    }
    Ok(head)
}

/// Offers the protocols of a response's `Upgrade` fields, if its status is 426, which requires
/// them: see [`Responder::offering`]. Otherwise does nothing.
///
/// # Errors
///
/// If a field is not a list of protocols. Returns why the response can't be sent, and the
/// responder.
pub fn offering<'r, 't>(
    status: StatusCode,
    headers: &HeaderMap,
    responder: Responder<'r, 't>,
) -> Result<Responder<'r, 't>, (InvalidResponse, Responder<'r, 't>)> {
    if status != StatusCode::UPGRADE_REQUIRED || !headers.contains_key(UPGRADE) {
        return Ok(responder);
    }
    let values: Vec<_> = headers.get_all(UPGRADE).iter().map(HeaderValue::as_bytes).collect();
    let protocols = String::from_utf8_lossy(&values.join(&b", "[..])).into_owned();
    responder.offering(&protocols).map_err(|responder| {
        let what = format!("the field upgrade is not a list of protocols: {protocols}");
        (InvalidResponse(what), responder)
    })
}

/// Logs `what` went wrong on the server's side, and answers 500.
pub fn fail(what: &str, responder: Responder<'_, '_>) -> Answer {
    let peer = responder.peer().address;
    error!(target: "sockeye", %peer, what, "a request could not be answered");
    responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "")
}

/// Writes content. A small piece is copied, because sending it separately costs more.
pub fn write(piece: Bytes, stream: &mut Stream<'_, '_>) {
    const MAX_COPIED: usize = 1024;
    if piece.len() <= MAX_COPIED {
        stream.write(&piece);
    } else {
        stream.write_shared(piece);
    }
}

/// Completes a response with `trailers`. If a trailer is invalid, logs why, and aborts the
/// response.
pub fn end(trailers: &HeaderMap, stream: Stream<'_, '_>) -> Answer {
    let mut fields = Fields::new();
    match trailers.iter().try_for_each(|(name, value)| push(&mut fields, name, value)) {
        Ok(()) => stream.end_with(&fields),
        Err(error) => {
            let peer = stream.peer().address;
            error!(target: "sockeye", %peer, %error, "a response has invalid trailers");
            stream.abort()
        }
    }
}

fn push(
    fields: &mut Fields,
    name: &HeaderName,
    value: &HeaderValue,
) -> Result<(), InvalidResponse> {
    fields
        .push(name.as_str(), value.as_bytes())
        .map_err(|error| InvalidResponse(format!("the field {name} can't be sent: {error}")))
}

/// Whether the value of a `Connection` field contains the option `close`.
fn has_close(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The number in a value that consists of digits only.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(
        lines: &[(&'static str, &'static str)],
    ) -> (Result<ResponseHead, InvalidResponse>, Vec<u8>) {
        let headers = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut fields = Fields::new();
        let head = response(StatusCode::OK, &headers.collect(), &mut fields);
        (head, fields.as_bytes().to_vec())
    }

    #[test]
    fn connection_fields_are_left_out_or_refused() {
        let open = ResponseHead { status: Status::OK, close: false, length: None };
        let closing = ResponseHead { close: true, ..open };
        let length = ResponseHead { length: Some(12), ..open };
        let no_length = Err("the Content-Length is not a single number".into());
        let coded = Err("only the server may set the Transfer-Encoding of a response".into());
        for (lines, head) in [
            (&[][..], Ok(open)),
            (&[("connection", "close")], Ok(closing)),
            (&[("connection", "Keep-Alive, CLOSE")], Ok(closing)),
            (&[("connection", "keep-alive"), ("keep-alive", "timeout=5")], Ok(open)),
            (&[("content-length", "12")], Ok(length)),
            (&[("content-length", "+12")], no_length.clone()),
            (&[("content-length", "")], no_length.clone()),
            (&[("content-length", "99999999999999999999")], no_length.clone()),
            (&[("content-length", "12, 12")], no_length.clone()),
            (&[("content-length", "12"), ("content-length", "13")], no_length),
            (&[("transfer-encoding", "chunked")], coded),
            (&[("date", "now"), ("server", "x"), ("upgrade", "x")], Ok(open)),
        ] {
            assert_eq!(converted(lines), (head, Vec::new()), "{lines:?}");
        }
        let (head, fields) = converted(&[("etag", "\"a\""), ("vary", "a"), ("vary", "b")]);
        assert_eq!((head, &*fields), (Ok(open), &b"etag: \"a\"\r\nvary: a\r\nvary: b\r\n"[..]));
    }

    #[test]
    fn interim_and_invalid_statuses_are_refused() {
        let status = |status| response(status, &HeaderMap::new(), &mut Fields::new());
        for code in [100, 101, 199, 600, 700, 999] {
            let error = status(StatusCode::from_u16(code).unwrap()).unwrap_err().to_string();
            assert!(error.ends_with(&format!("can't be {code}")), "{error}");
        }
        assert!(status(StatusCode::from_u16(599).unwrap()).is_ok());
        assert_eq!(status(StatusCode::IM_A_TEAPOT).unwrap().status, Status::IM_A_TEAPOT);
    }
}
