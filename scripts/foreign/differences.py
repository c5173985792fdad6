"""Where our HTTP parser and others disagree, and why.

`scripts/foreign-parsers` finds the disagreements. It fails if one isn't listed here, or if a listed
one doesn't occur.
"""

BOTH = ("h11", "node")

# Our errors, and the parsers that accept such requests.
STRICTER = {
    # The others accept any method; h11 has no limit on a method's length.
    "sent a method of more than 64 bytes": ("h11",),
    "sent a request with a method that is not allowed here": BOTH,
    # A parser need not know which form of a target belongs to which method. It leaves the target's
    # characters to its user. Bytes above 127, `#`, and backslashes in paths were used to get past
    # filters.
    "sent a request target in a form that its method does not allow": BOTH,
    "sent a request target with an invalid character: percent-encode it": BOTH,
    "sent a request target with a bad authority": BOTH,
    # They check at most that there is a Host field. Node uses the first of several.
    "sent an invalid Host field": BOTH,
    "sent more than one Host field": ("node",),
    # h11 reads any version of two digits as 1.1. llhttp accepts 0.9 and 2.0, too, and a request
    # line without a version.
    "sent a request in a version other than HTTP/1.1 and HTTP/1.0": BOTH,
    # llhttp accepts any number of blank lines before the request, also with a lone CR or LF, and
    # several spaces within the request line. It also accepts RTSP. h11 accepts LF as CRLF, which
    # RFC 9112, 2.2 allows. We don't, because a proxy in front of us may interpret it differently.
    "sent a request line that does not end with a version": ("node",),
    "sent a request line that does not begin with a method and a space": ("node",),
    "sent an LF without a CR": BOTH,
    # h11 joins folded lines, which RFC 9112, 5.2 allows.
    "sent a field line that begins with a space": ("h11",),
    # RFC 9110, 5.5 allows all of them except CR, LF and NUL. We reject all, to keep logs clean.
    "sent a control character in a field's value": ("h11",),
    # A server may accept equal lengths as one (RFC 9110, 8.6), and ignore Content-Length if there
    # is a Transfer-Encoding (RFC 9112, 6.3). A client that sends both is broken, or an attack.
    "sent more than one Content-Length field": ("h11",),
    "sent a Content-Length that is not a number": ("h11",),
    # The grammar allows it, but some programs read it as an octal number.
    "sent a Content-Length with a leading zero": BOTH,
    "sent both Content-Length and Transfer-Encoding": ("h11",),
    # RFC 9112, 6.1 calls this faulty framing. The others answer and close; we reject it.
    "sent Transfer-Encoding in HTTP/1.0": BOTH,
    # llhttp only looks for `chunked` at the end; the bytes that it passes on are still encoded.
    "sent a transfer coding other than chunked": ("node",),
    "sent a malformed Transfer-Encoding field": ("node",),
    # The grammar allows no blanks after a size. h11 accepts them, and any bytes as an extension.
    # llhttp accepts extensions without a name, and empty values.
    "sent a CR without an LF": BOTH,
    "sent a malformed chunk extension: write ;name or ;name=value behind the size": BOTH,
    # Our limits. The others have different limits, or none.
    "sent a chunk size with more than sixteen digits": BOTH,
    "sent more chunk extensions than the limit allows": BOTH,
    "sent a request line beyond the limit": BOTH,
    "sent a request head beyond the limit": BOTH,
    "sent more header fields than the limit allows": BOTH,
    # h11 accepts any value. Node accepts any value that contains `100-continue`, and continues with
    # the next request after it rejects another value.
    "sent an Expect field other than 100-continue": BOTH,
    # For h11 this is a request with an unknown method.
    "began to speak HTTP/2, and this port speaks HTTP/1.1": ("h11",),
}

# Requests that the others reject and we accept, by their error.
LAXER = {
    "h11": {
        # A server should ignore one blank line before a request (RFC 9112, 2.2).
        "no request line received": "a blank line before the request",
        "illegal request line": "a CR before the request, followed by the end of input",
        # Blanks are allowed there (RFC 9112, 7.1.1).
        "illegal chunk header": "blanks before an extension",
        # Trailer fields don't affect the framing.
        "Only Transfer-Encoding: chunked is supported": "a coding in the trailer section",
        "bad Content-Length": "a length in the trailer section",
        "conflicting Content-Length": "lengths in the trailer section",
    },
    "node": {
        # Methods are an open set (RFC 9110, 9.1); llhttp has a list.
        "HPE_INVALID_METHOD": "a method that is not in its list",
        "HPE_INVALID_CONSTANT": "a method that it accepts only in RTSP",
        # Blanks are allowed around the signs of an extension (RFC 9112, 7.1.1).
        "HPE_STRICT": "blanks in an extension",
        "HPE_INVALID_CHUNK_SIZE": "blanks before an extension",
        # Blanks are allowed around any value (RFC 9112, 5); trailer fields don't affect framing.
        "HPE_INVALID_CONTENT_LENGTH": "a tab after a length, or a length in the trailer section",
        "HPE_INVALID_TRANSFER_ENCODING": "a coding in the trailer section",
    },
}

# Requests after which the others continue and we don't: llhttp ignores a `close` followed by a tab.
CONTINUES = {"h11": (), "node": ("close",)}

# Requests after which the others stop without an error, and we continue: HTTP/1.0 with keep-alive,
# after which they close, and requests with an Upgrade, which we ignore.
ENDS = {"h11": ("HTTP/1.0",), "node": ("HTTP/1.0", "upgrade")}
