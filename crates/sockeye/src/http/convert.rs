//! Between the borrowed view of a request and the types of the `http` crate, for handlers of
//! [`http_core`] that speak with code which knows those.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};
use sockeye_http::{self as http_core, BadField, Fields, Status, Trailers};

/// A request can't be said in the types of the `http` crate: its target is no [`Uri`], or it has
/// more fields than a [`HeaderMap`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request has a target or fields that the http crate has no type for")
    }
}

impl std::error::Error for Unspeakable {}

/// The head of a request.
///
/// Fields of one name keep their order, names are in small letters. Its values and its target share
/// one copy: keeping one of them keeps all.
///
/// # Errors
///
/// [`Unspeakable`], of which a client that means well never hears.
pub fn request(request: &http_core::Request<'_>) -> Result<Request<()>, Unspeakable> {
    let values: usize = request.fields().map(|(_, value)| value.len()).sum();
    let mut copy = Vec::with_capacity(request.target().len() + values);
    copy.extend_from_slice(request.target());
    for (_, value) in request.fields() {
        copy.extend_from_slice(value);
    }
    let mut copy = Bytes::from(copy);
    let mut head = Request::new(());
    *head.method_mut() = method(request.method())?;
    *head.version_mut() = match request.version() {
        http_core::Version::Http10 => Version::HTTP_10,
        http_core::Version::Http11 => Version::HTTP_11,
    };
    *head.uri_mut() = uri(request, copy.split_to(request.target().len()))?;
    let count = request.fields().count();
    *head.headers_mut() = headers(count, request.fields(), |value| copy.split_to(value.len()))?;
    Ok(head)
}

/// The fields behind a body in chunks.
///
/// # Errors
///
/// [`Unspeakable`] when there are more than a [`HeaderMap`] holds.
pub fn trailers(trailers: &Trailers<'_>) -> Result<HeaderMap, Unspeakable> {
    headers(trailers.fields().count(), trailers.fields(), Bytes::copy_from_slice)
}

fn headers<'a>(
    count: usize,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    mut own: impl FnMut(&[u8]) -> Bytes,
) -> Result<HeaderMap, Unspeakable> {
    let mut map = HeaderMap::try_with_capacity(count).map_err(|_| Unspeakable)?;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).map_err(|_| Unspeakable)?;
        let value = HeaderValue::from_maybe_shared(own(value)).map_err(|_| Unspeakable)?;
        map.try_append(name, value).map_err(|_| Unspeakable)?;
    }
    Ok(map)
}

fn method(method: http_core::Method<'_>) -> Result<Method, Unspeakable> {
    Ok(match method {
        http_core::Method::Get => Method::GET,
        http_core::Method::Head => Method::HEAD,
        http_core::Method::Post => Method::POST,
        http_core::Method::Put => Method::PUT,
        http_core::Method::Delete => Method::DELETE,
        http_core::Method::Connect => Method::CONNECT,
        http_core::Method::Options => Method::OPTIONS,
        http_core::Method::Trace => Method::TRACE,
        http_core::Method::Patch => Method::PATCH,
        other => Method::from_bytes(other.as_str().as_bytes()).map_err(|_| Unspeakable)?,
    })
}

/// The target; its path and query alone where the crate has no type for the rest.
fn uri(request: &http_core::Request<'_>, target: Bytes) -> Result<Uri, Unspeakable> {
    Uri::from_maybe_shared(target).or_else(|_| {
        let query = request.query().map(|query| [b"?", query].concat()).unwrap_or_default();
        Uri::from_maybe_shared(Bytes::from([request.path(), &query].concat()))
            .map_err(|_| Unspeakable)
    })
}

/// What the fields of a response say about how it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Framing {
    /// `Connection: close`: nothing more comes on this connection.
    pub close: bool,
    /// The `Content-Length`.
    pub length: Option<u64>,
}

/// A response that can't be sent as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadReply {
    /// Its status is not that of a final response.
    Status(StatusCode),
    /// It has a `Transfer-Encoding`: how a response is framed is the server's to choose.
    TransferEncoding,
    /// It has a `Content-Length` that is no number, or several.
    ContentLength,
    /// Its `Content-Length` is not the length of its body.
    Length {
        /// The `Content-Length`.
        declared: u64,
        /// How many bytes the body has.
        actual: u64,
    },
    /// It has a field that can't be sent.
    Field(HeaderName, BadField),
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{} is no status of a final reply", status.as_u16()),
            Self::TransferEncoding => f.write_str("a reply's Transfer-Encoding is the server's"),
            Self::ContentLength => f.write_str("the Content-Length is not a single number"),
            Self::Length { declared, actual } => write!(
                f,
                "the Content-Length is {declared}, and the body has {actual} bytes: leave the field \
                 out, or make it the body's length"
            ),
            Self::Field(name, error) => write!(f, "the field {name} can't be sent: {error}"),
        }
    }
}

impl std::error::Error for BadReply {}

/// The status of a response.
///
/// # Errors
///
/// [`BadReply::Status`] for one of an interim response.
pub fn status(status: StatusCode) -> Result<Status, BadReply> {
    Status::from_code(status.as_u16()).ok_or(BadReply::Status(status))
}

/// Appends the fields of a response to `fields`, and returns what they say about how it is sent.
///
/// `Connection` and `Content-Length` are taken for that. What the server says by itself (`Date`,
/// `Server`, `Keep-Alive`, `Upgrade`, `Trailer`) is left out.
///
/// # Errors
///
/// [`BadReply`] when it can't be sent so.
pub fn fields(headers: &HeaderMap, fields: &mut Fields) -> Result<Framing, BadReply> {
    let mut framing = Framing::default();
    for (name, value) in headers {
        match name.as_str() {
            "connection" => framing.close |= says_close(value),
            "content-length" if framing.length.is_some() => return Err(BadReply::ContentLength),
            "content-length" => framing.length = Some(number(value)?),
            "transfer-encoding" => return Err(BadReply::TransferEncoding),
            "date" | "server" | "keep-alive" | "upgrade" | "trailer" => {}
            name_text => fields
                .push(name_text, value.as_bytes())
                .map_err(|error| BadReply::Field(name.clone(), error))?,
        }
    }
    Ok(framing)
}

fn says_close(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn number(value: &HeaderValue) -> Result<u64, BadReply> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(BadReply::ContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[(&'static str, &'static str)]) -> (Result<Framing, BadReply>, Vec<u8>) {
        let headers = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut block = Fields::new();
        let framing = fields(&headers.collect(), &mut block);
        (framing, block.as_bytes().to_vec())
    }

    #[test]
    fn fields_that_frame_a_reply_are_taken_for_that_or_refused() {
        let open = Framing::default();
        let closing = Framing { close: true, ..open };
        let length = Framing { length: Some(12), ..open };
        let no_length = Err(BadReply::ContentLength);
        for (lines, framing) in [
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
            (&[("transfer-encoding", "chunked")], Err(BadReply::TransferEncoding)),
            (&[("date", "now"), ("server", "x"), ("upgrade", "x"), ("trailer", "x")], Ok(open)),
        ] {
            assert_eq!(said(lines), (framing, Vec::new()), "{lines:?}");
        }
        let (framing, block) = said(&[("etag", "\"a\""), ("vary", "a"), ("vary", "b")]);
        assert_eq!((framing, &*block), (Ok(open), &b"etag: \"a\"\r\nvary: a\r\nvary: b\r\n"[..]));
    }

    #[test]
    fn interim_statuses_are_no_replies() {
        for interim in [StatusCode::CONTINUE, StatusCode::SWITCHING_PROTOCOLS] {
            assert_eq!(status(interim), Err(BadReply::Status(interim)));
        }
        assert_eq!(status(StatusCode::IM_A_TEAPOT), Ok(Status::IM_A_TEAPOT));
    }
}
