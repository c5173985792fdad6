//! Why the server itself, not a handler, refuses a request, and with which status.

use sockeye_proto::Fault;

use super::status::Status;

/// Why a request is refused. In HTTP/1.1 the connection ends after the response: after a malformed
/// request, the server can't know where the next one begins. Other reasons are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: Status,
    pub(crate) code: &'static str,
    /// The end of a sentence that begins with "the peer" in logs, and "The client" in responses.
    pub(crate) what: &'a str,
}

macro_rules! refusals {
    ($($name:ident $status:ident $code:literal $what:literal;)*) => {
        impl Refusal<'static> {
            $(pub(crate) const $name: Self =
                Self { status: Status::$status, code: $code, what: $what };)*
        }
    };
}

refusals! {
    LF_WITHOUT_CR BAD_REQUEST "bad_request" "sent an LF without a CR";
    CR_WITHOUT_LF BAD_REQUEST "bad_request" "sent a CR without an LF";
    NO_METHOD BAD_REQUEST "bad_request"
        "sent a request line that does not begin with a method and a space";
    BAD_EXTENSION BAD_REQUEST "bad_request"
        "sent a malformed chunk extension: write ;name or ;name=value behind the size";
    LINE_TOO_LONG URI_TOO_LONG "uri_too_long" "sent a request line beyond the limit";
    HEAD_TOO_LARGE REQUEST_HEADER_FIELDS_TOO_LARGE "head_too_large"
        "sent a request head beyond the limit";
    TOO_MANY_FIELDS REQUEST_HEADER_FIELDS_TOO_LARGE "too_many_fields"
        "sent more header fields than the limit allows";
    METHOD_TOO_LONG NOT_IMPLEMENTED "unknown_method" "sent a method of more than 64 bytes";
    REFUSED_METHOD METHOD_NOT_ALLOWED "refused_method"
        "sent a request with a method that is not allowed here";
    UNKNOWN_PROTOCOL NOT_IMPLEMENTED "unknown_protocol"
        "asked by CONNECT for a protocol that is not spoken here";
    UNKNOWN_CODING NOT_IMPLEMENTED "unknown_coding" "sent a transfer coding other than chunked";
    VERSION HTTP_VERSION_NOT_SUPPORTED "unsupported_version"
        "sent a request in a version other than HTTP/1.1 and HTTP/1.0";
    HTTP2 HTTP_VERSION_NOT_SUPPORTED "http2_preface"
        "began to speak HTTP/2, and this port speaks HTTP/1.1";
    TLS BAD_REQUEST "tls_on_plain_port"
        "sent a TLS client hello, and this port speaks plain HTTP: use http:// instead of https://, or \
         turn TLS on with --tls";
    EXPECTATION EXPECTATION_FAILED "unknown_expectation"
        "sent an Expect field other than 100-continue";
    BODY_TOO_LARGE CONTENT_TOO_LARGE "body_too_large" "sent, or announced, a body beyond the limit";
    EXTENSIONS CONTENT_TOO_LARGE "chunk_extensions_too_long"
        "sent more chunk extensions than the limit allows";
    EOF_IN_BODY BAD_REQUEST "eof_in_body" "ended its side in the middle of a request's body";
    BODY_TIMEOUT REQUEST_TIMEOUT "body_timeout" "sent nothing more of the request's body in time";
    HEAD_TIMEOUT REQUEST_TIMEOUT "head_timeout" "did not complete the request head in time";
    HOST_NOT_ALLOWED MISDIRECTED_REQUEST "host_not_allowed"
        "asked for a host that is not allowed here";
    // A handler panicked. The response doesn't say why. `fault` is not called for this refusal,
    // because the peer is not to blame.
    PANICKED INTERNAL_SERVER_ERROR "handler_panicked" "";
}

impl Refusal<'static> {
    /// A 400 for a malformed request.
    pub(crate) const fn bad(what: &'static str) -> Self {
        Self { status: Status::BAD_REQUEST, code: "bad_request", what }
    }

    /// A 421 (Misdirected Request) with this text, which may contain the host that the client sent.
    pub(crate) const fn host_not_allowed(what: &str) -> Refusal<'_> {
        Refusal { what, ..Self::HOST_NOT_ALLOWED }
    }

    /// The fault that ends the request, and in HTTP/1.1 the connection.
    pub(crate) fn fault(self) -> Fault {
        Fault::peer(self.code, self.what)
    }
}
