//! Status codes (RFC 9110, section 15).

use std::fmt;

/// The status code of a final response. The server itself sends 100 when a handler asks for content
/// and the client expects a 100, and 101 when another protocol takes over the connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(u16);

macro_rules! statuses {
    ($($code:literal $name:ident $reason:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Self = Self($code);
            )*

            /// Every status that this type has a public constant for.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The reason phrase; empty for a status that has no constant.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }

            /// The code and the reason phrase; `None` for a status without a reason phrase.
            pub(crate) const fn code_and_reason(self) -> Option<&'static str> {
                match self.0 {
                    101 => Some("101 Switching Protocols"),
                    $($code => Some(concat!($code, " ", $reason)),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    200 OK "OK";
    201 CREATED "Created";
    202 ACCEPTED "Accepted";
    203 NON_AUTHORITATIVE_INFORMATION "Non-Authoritative Information";
    204 NO_CONTENT "No Content";
    205 RESET_CONTENT "Reset Content";
    206 PARTIAL_CONTENT "Partial Content";
    207 MULTI_STATUS "Multi-Status";
    208 ALREADY_REPORTED "Already Reported";
    226 IM_USED "IM Used";
    300 MULTIPLE_CHOICES "Multiple Choices";
    301 MOVED_PERMANENTLY "Moved Permanently";
    302 FOUND "Found";
    303 SEE_OTHER "See Other";
    304 NOT_MODIFIED "Not Modified";
    307 TEMPORARY_REDIRECT "Temporary Redirect";
    308 PERMANENT_REDIRECT "Permanent Redirect";
    400 BAD_REQUEST "Bad Request";
    401 UNAUTHORIZED "Unauthorized";
    402 PAYMENT_REQUIRED "Payment Required";
    403 FORBIDDEN "Forbidden";
    404 NOT_FOUND "Not Found";
    405 METHOD_NOT_ALLOWED "Method Not Allowed";
    406 NOT_ACCEPTABLE "Not Acceptable";
    407 PROXY_AUTHENTICATION_REQUIRED "Proxy Authentication Required";
    408 REQUEST_TIMEOUT "Request Timeout";
    409 CONFLICT "Conflict";
    410 GONE "Gone";
    411 LENGTH_REQUIRED "Length Required";
    412 PRECONDITION_FAILED "Precondition Failed";
    413 CONTENT_TOO_LARGE "Content Too Large";
    414 URI_TOO_LONG "URI Too Long";
    415 UNSUPPORTED_MEDIA_TYPE "Unsupported Media Type";
    416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable";
    417 EXPECTATION_FAILED "Expectation Failed";
    418 IM_A_TEAPOT "I'm a teapot";
    421 MISDIRECTED_REQUEST "Misdirected Request";
    422 UNPROCESSABLE_CONTENT "Unprocessable Content";
    423 LOCKED "Locked";
    424 FAILED_DEPENDENCY "Failed Dependency";
    425 TOO_EARLY "Too Early";
    426 UPGRADE_REQUIRED "Upgrade Required";
    428 PRECONDITION_REQUIRED "Precondition Required";
    429 TOO_MANY_REQUESTS "Too Many Requests";
    431 REQUEST_HEADER_FIELDS_TOO_LARGE "Request Header Fields Too Large";
    451 UNAVAILABLE_FOR_LEGAL_REASONS "Unavailable For Legal Reasons";
    500 INTERNAL_SERVER_ERROR "Internal Server Error";
    501 NOT_IMPLEMENTED "Not Implemented";
    502 BAD_GATEWAY "Bad Gateway";
    503 SERVICE_UNAVAILABLE "Service Unavailable";
    504 GATEWAY_TIMEOUT "Gateway Timeout";
    505 HTTP_VERSION_NOT_SUPPORTED "HTTP Version Not Supported";
    506 VARIANT_ALSO_NEGOTIATES "Variant Also Negotiates";
    507 INSUFFICIENT_STORAGE "Insufficient Storage";
    508 LOOP_DETECTED "Loop Detected";
    511 NETWORK_AUTHENTICATION_REQUIRED "Network Authentication Required";
}

impl Status {
    /// The status with this code, which may have no constant. `None` unless the code is from 200 to
    /// 599: lower ones are interim, and higher ones are invalid (RFC 9110, 15).
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        if matches!(code, 200..=599) { Some(Self(code)) } else { None }
    }

    /// 101, which only [`Responder::upgrade`](crate::Responder::upgrade) sends.
    pub(crate) const SWITCHING_PROTOCOLS: Self = Self(101);

    /// The code as a number, such as 404.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether a response with this status has content. If it has none, the server sends no
    /// Content-Length either: a 204 must not have that field, and in a 304 the field would be the
    /// length of the 200 that a request without conditions gets (RFC 9110, 8.6). For a 205 this
    /// returns true, although its content is always empty: it has `Content-Length: 0`.
    #[must_use]
    pub const fn has_content(self) -> bool {
        !matches!(self.0, 100..200 | 204 | 304)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_statuses_have_a_code_and_perhaps_a_reason() {
        assert_eq!((Status::from_code(199), Status::from_code(600)), (None, None));
        assert_eq!(Status::from_code(599).map(Status::code), Some(599));
        assert_eq!(Status::PERMANENT_REDIRECT.to_string(), "308 Permanent Redirect");
    }

    #[test]
    fn interim_204_and_304_have_no_content() {
        let without: Vec<u16> =
            Status::ALL.iter().filter(|s| !s.has_content()).map(|s| s.code()).collect();
        assert_eq!(without, [204, 304]);
        assert!(!Status::SWITCHING_PROTOCOLS.has_content());
        assert!(
            Status::ALL.iter().all(|status| status.code() >= 200),
            "the server sends interim statuses itself"
        );
    }
}
