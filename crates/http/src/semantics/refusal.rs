//! Why the server refuses a request on its own, and with which status.

use sockeye_proto::Fault;

use crate::Status;

/// Why a request is refused. In HTTP/1.1 the connection ends: what follows may not be a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: Status,
    pub(crate) code: &'static str,
    /// The end of a sentence that begins with "the peer".
    pub(crate) what: &'a str,
}

impl Refusal<'static> {
    pub(crate) const fn new(status: Status, code: &'static str, what: &'static str) -> Self {
        Self { status, code, what }
    }

    /// 400: malformed.
    pub(crate) const fn bad(what: &'static str) -> Self {
        Self::new(Status::BAD_REQUEST, "bad_request", what)
    }

    pub(crate) const LF_WITHOUT_CR: Self = Self::bad("sent an LF without a CR");

    pub(crate) const CR_WITHOUT_LF: Self = Self::bad("sent a CR without an LF");

    pub(crate) const NO_METHOD: Self =
        Self::bad("sent a request line that does not begin with a method and a space");

    pub(crate) const BAD_EXTENSION: Self =
        Self::bad("sent a malformed chunk extension: write ;name or ;name=value behind the size");

    pub(crate) const LINE_TOO_LONG: Self =
        Self::new(Status::URI_TOO_LONG, "uri_too_long", "sent a request line beyond the limit");

    pub(crate) const HEAD_TOO_LARGE: Self = Self::new(
        Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head_too_large",
        "sent a request head beyond the limit",
    );

    pub(crate) const TOO_MANY_FIELDS: Self = Self::new(
        Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "too_many_fields",
        "sent more header fields than the limit allows",
    );

    pub(crate) const METHOD_TOO_LONG: Self =
        Self::new(Status::NOT_IMPLEMENTED, "unknown_method", "sent a method of more than 64 bytes");

    pub(crate) const REFUSED_METHOD: Self = Self::new(
        Status::METHOD_NOT_ALLOWED,
        "refused_method",
        "sent a request with a method that is not allowed here",
    );

    pub(crate) const UNKNOWN_CODING: Self = Self::new(
        Status::NOT_IMPLEMENTED,
        "unknown_coding",
        "sent a transfer coding other than chunked",
    );

    pub(crate) const VERSION: Self = Self::new(
        Status::HTTP_VERSION_NOT_SUPPORTED,
        "unsupported_version",
        "sent a request in a version other than HTTP/1.1 and HTTP/1.0",
    );

    pub(crate) const HTTP2: Self = Self::new(
        Status::HTTP_VERSION_NOT_SUPPORTED,
        "http2_preface",
        "began to speak HTTP/2, and this port speaks HTTP/1.1",
    );

    pub(crate) const TLS: Self = Self::new(
        Status::BAD_REQUEST,
        "tls_on_plain_port",
        "sent a TLS client hello, and this port speaks plain HTTP: use http:// instead of https://, or \
         put a TLS proxy in front",
    );

    pub(crate) const EXPECTATION: Self = Self::new(
        Status::EXPECTATION_FAILED,
        "unknown_expectation",
        "sent an Expect field other than 100-continue",
    );

    pub(crate) const BODY_TOO_LARGE: Self = Self::new(
        Status::CONTENT_TOO_LARGE,
        "body_too_large",
        "sent, or announced, a body beyond the limit",
    );

    pub(crate) const EXTENSIONS: Self = Self::new(
        Status::CONTENT_TOO_LARGE,
        "chunk_extensions_too_long",
        "sent more chunk extensions than the limit allows",
    );

    pub(crate) const EOF_IN_BODY: Self = Self::new(
        Status::BAD_REQUEST,
        "eof_in_body",
        "ended its side in the middle of a request's body",
    );

    pub(crate) const BODY_TIMEOUT: Self = Self::new(
        Status::REQUEST_TIMEOUT,
        "body_timeout",
        "sent nothing more of the request's body in time",
    );

    pub(crate) const HEAD_TIMEOUT: Self = Self::new(
        Status::REQUEST_TIMEOUT,
        "head_timeout",
        "did not complete the request head in time",
    );

    /// 421 (RFC 9110, 15.5.20). `what` may repeat the name, which the client chose.
    pub(crate) const fn of_host(what: &str) -> Refusal<'_> {
        Refusal { what, ..Self::HOST_NOT_ALLOWED }
    }

    pub(crate) const HOST_NOT_ALLOWED: Self = Self::new(
        Status::MISDIRECTED_REQUEST,
        "host_not_allowed",
        "asked for a host that is not allowed here",
    );

    /// A handler panicked. The client is not told why.
    pub(crate) const PANICKED: Self =
        Self::new(Status::INTERNAL_SERVER_ERROR, "handler_panicked", "");

    /// The fault that ends the request, and in HTTP/1.1 the connection.
    pub(crate) fn fault(self) -> Fault {
        Fault::peer(self.code, self.what)
    }
}
