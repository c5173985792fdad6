"""Where our HTTP parser and others disagree, and why that is so.

`scripts/foreign-parsers` finds the disagreements; one that isn't listed here is a failure, and so is a
line here that explains none.
"""

BOTH = ("h11", "node")

# What we refuse, by our own words for it, and who doesn't.
STRICTER = {
    # Left to the handler by them; h11 has no limit on a method's length.
    "sent a method of more than 64 bytes": ("h11",),
    "sent a request with a method that is not allowed here": BOTH,
    # A parser need not know which form of a target belongs to which method, and who reads the
    # target as a URL comes later. Characters that no URI has were used to get past filters.
    "sent a request target in a form that its method does not allow": BOTH,
    "sent a request target with an invalid character: percent-encode it": BOTH,
    "sent a request target with a bad authority": BOTH,
    # They look whether there is a Host field, if at that; and Node counts the first of several.
    "sent an invalid Host field": BOTH,
    "sent more than one Host field": ("node",),
    # h11 takes any version of two digits for 1.1; llhttp knows 0.9 and 2.0 as well, and a request
    # line without any. Neither says what it would answer.
    "sent a request in a version other than HTTP/1.1 and HTTP/1.0": BOTH,
    # Any number of blank lines in front, of CR or LF alone too, and more than one space within, are
    # forgiven by llhttp; it also speaks RTSP. h11 takes LF for CRLF, as it may (RFC 9112, 2.2): we
    # don't, because whoever stands in front of us may not.
    "sent a request line that does not end with a version": ("node",),
    "sent a request line that does not begin with a method and a space": ("node",),
    "sent an LF without a CR": BOTH,
    # h11 puts folded lines together, as it may (RFC 9112, 5.2).
    "sent a field line that begins with a space": ("h11",),
    # Other than CR, LF and NUL they may be kept (RFC 9110, 5.5). They end up in logs.
    "sent a control character in a field's value": ("h11",),
    # Repeated lengths that agree may be taken for one (RFC 9110, 8.6), and Content-Length may be
    # ignored beside Transfer-Encoding (RFC 9112, 6.3). Who repeats them is confused or lies.
    "sent more than one Content-Length field": ("h11",),
    "sent a Content-Length that is not a number": ("h11",),
    # The grammar allows it; some read it as an octal number.
    "sent a Content-Length with a leading zero": BOTH,
    "sent both Content-Length and Transfer-Encoding": ("h11",),
    # Faulty framing, says RFC 9112, 6.1. They close behind it; we don't begin.
    "sent Transfer-Encoding in HTTP/1.0": BOTH,
    # llhttp only looks for `chunked` at the end; the bytes that it hands on are still coded.
    "sent a transfer coding other than chunked": ("node",),
    "sent a malformed Transfer-Encoding field": ("node",),
    # Blanks behind a size are in no grammar; h11 takes them, and anything for an extension. llhttp
    # takes extensions without a name, and values that are empty.
    "sent a CR without an LF": BOTH,
    "sent a malformed chunk extension: write ;name or ;name=value behind the size": BOTH,
    # Our limits. Theirs are elsewhere, or others.
    "sent a chunk size with more than sixteen digits": BOTH,
    "sent more chunk extensions than the limit allows": BOTH,
    "sent a request line beyond the limit": BOTH,
    "sent a request head beyond the limit": BOTH,
    "sent more header fields than the limit allows": BOTH,
    # Left to the handler by h11. Node takes whatever has the known one in it, and goes on behind its
    # refusal of another one.
    "sent an Expect field other than 100-continue": BOTH,
    # A request with a method that nobody knows, to h11.
    "began to speak HTTP/2, and this port speaks HTTP/1.1": ("h11",),
}

# What they refuse and we don't, by their words for it.
LAXER = {
    "h11": {
        # One blank line in front of a request should be ignored (RFC 9112, 2.2).
        "no request line received": "a blank line in front",
        "illegal request line": "a CR in front, and then the end",
        # Blanks are allowed there (RFC 9112, 7.1.1).
        "illegal chunk header": "blanks in front of an extension",
        # Fields behind a body frame nothing.
        "Only Transfer-Encoding: chunked is supported": "a coding in the trailer section",
        "bad Content-Length": "a length in the trailer section",
        "conflicting Content-Length": "lengths in the trailer section",
    },
    "node": {
        # Methods are an open set (RFC 9110, 9.1); llhttp has a list.
        "HPE_INVALID_METHOD": "a method that is not in its list",
        "HPE_INVALID_CONSTANT": "a method that it knows of RTSP alone",
        # Blanks are allowed around the signs of an extension (RFC 9112, 7.1.1).
        "HPE_STRICT": "blanks in an extension",
        "HPE_INVALID_CHUNK_SIZE": "blanks in front of an extension",
        # Blanks may stand around any value (RFC 9112, 5); fields behind a body frame nothing.
        "HPE_INVALID_CONTENT_LENGTH": "a tab behind a length, or a length in the trailer section",
        "HPE_INVALID_TRANSFER_ENCODING": "a coding in the trailer section",
    },
}

# Behind which requests they go on, and we don't: llhttp overlooks a `close` with a tab behind it.
GOES_ON = {"h11": (), "node": ("close",)}

# Behind which requests they find nothing more, neither good nor bad, though we do: those of HTTP/1.0
# that ask to keep the connection, which they close, and those that would be upgraded and aren't, behind
# which Node doesn't say what is wrong.
STOPS = {"h11": ("HTTP/1.0",), "node": ("HTTP/1.0", "upgrade")}
