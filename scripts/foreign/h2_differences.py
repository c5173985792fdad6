"""Where our HTTP/2 server and python's h2 judge damaged input in different ways, and why.

`scripts/foreign-h2` finds the differences, and fails if one isn't listed here."""

import re

# h2's errors about the fields of a message; the others are about frames and states.
MALFORMED = (
    "ProtocolError: (?!.*([Ff]rame|padding|[Ss]tream ID|ConnectionState|StreamInputs|decoding))"
    "|InvalidBodyLengthError")


def begins_with_settings(data):
    return data[3] == 4 and not data[4] & 1


def has_kind(kind):
    """Whether there is a frame of a type in the input."""
    def has(data):
        at = 0
        while at + 9 <= len(data):
            if data[at + 3] == kind:
                return True
            at += 9 + int.from_bytes(data[at:at + 3], "big")
        return False
    return has


def ends_early(data):
    """Whether the last frame is incomplete."""
    at = 0
    while at + 9 <= len(data):
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return at != len(data)


def skips(data):
    """Whether the client has opened a stream whose number isn't the next one."""
    at, highest = 0, -1
    while at + 9 <= len(data):
        stream = int.from_bytes(data[at + 5:at + 9], "big") & 0x7fff_ffff
        if data[at + 3] == 1:
            if stream > highest + 2:
                return True
            highest = max(highest, stream)
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return False


def has_bad_priorities_setting(data):
    """Whether the first frame sets SETTINGS_NO_RFC7540_PRIORITIES to a value other than 0 and 1."""
    content = data[9:9 + int.from_bytes(data[:3], "big")]
    settings = [content[at:at + 6] for at in range(0, len(content), 6)]
    return any(one[:2] == b"\x00\x09" and int.from_bytes(one[2:], "big") > 1 for one in settings)


# Their error or verdict, ours, a condition of the input, and the reason.
LISTED = [
    (".*", "connection PROTOCOL_ERROR", lambda data: not begins_with_settings(data),
     "h2 accepts a preface without SETTINGS (RFC 9113, 3.4)"),
    (".*", "connection (PROTOCOL|FRAME_SIZE)_ERROR", has_kind(16),
     "h2 ignores PRIORITY_UPDATE (RFC 9218, 7.1)"),
    (".*", ".*", has_kind(10), "h2 parses ALTSVC, which is unknown to us (RFC 7838)"),
    ("ProtocolError: Error decoding header block", "connection COMPRESSION_ERROR", None,
     "h2 reports PROTOCOL_ERROR (RFC 9113, 4.3)"),
    (".* in state ConnectionState.CLOSED", ".*", None,
     "h2 takes no more frames after the client's GOAWAY (RFC 9113, 6.8)"),
    (MALFORMED, ".*(reset PROTOCOL_ERROR|status 4..|status 501).*", None,
     "h2 ends the connection for a malformed request (RFC 9113, 8.1.1)"),
    ("ProtocolError: Invalid input StreamInputs.RECV_INFORMATIONAL_HEADERS in state .*",
     "reset PROTOCOL_ERROR", None,
     "h2 takes a request with the field :status for an informational response (RFC 9113, 8.3)"),
    ("nothing wrong|reset STREAM_CLOSED|StreamClosedError",
     "reset PROTOCOL_ERROR(, reset STREAM_CLOSED)?", None,
     "h2 doesn't check a Content-Length without content (RFC 9113, 8.1.1)"),
    ("nothing wrong", "status 4..|status 501", None,
     "h2 checks neither the target's nor the authority's characters (RFC 9110, 7.2)"),
    ("FrameDataMissingError|ProtocolError: Received frame with non-compliant data|"
     "ProtocolError: Received frame with invalid header|FrameTooLargeError|InvalidFrameError",
     "connection (PROTOCOL|FRAME_SIZE)_ERROR|reset FRAME_SIZE_ERROR.*", None,
     "two faults in one frame, of which h2 finds the other first, or has another code (RFC 9113, 4.2)"),
    ("nothing wrong|reset STREAM_CLOSED", "connection .*", ends_early,
     "h2 waits for the end of a frame whose header is wrong (RFC 9113, 4.2)"),
    ("ProtocolError: Received frame with invalid header", "nothing wrong", ends_early,
     "h2 doesn't wait for the end of the frame"),
    ("ProtocolError: Received frame with invalid padding", "reset PROTOCOL_ERROR|nothing wrong", None,
     "h2 refuses padding of all of the payload except its length (RFC 9113, 6.1)"),
    ("StreamClosedError", ".*(reset|connection) STREAM_CLOSED.*", None,
     "h2 ends the connection if it has forgotten the stream (RFC 9113, 5.1)"),
    (".*", "connection STREAM_CLOSED", has_kind(3),
     "h2 ignores content after the client's own RST_STREAM (RFC 9113, 5.1)"),
    ("nothing wrong|reset STREAM_CLOSED", "connection PROTOCOL_ERROR", has_kind(3),
     "h2 ignores RST_STREAM for an idle stream (RFC 9113, 6.4)"),
    ("ProtocolError: Received frame with non-compliant data",
     "nothing wrong|connection FLOW_CONTROL_ERROR", has_kind(8),
     "h2 doesn't ignore the reserved bit of WINDOW_UPDATE (RFC 9113, 6.9)"),
    ("ProtocolError: Received frame with non-compliant data", "reset PROTOCOL_ERROR", has_kind(8),
     "h2 ends the connection for an increment of 0 on a stream (RFC 9113, 6.9)"),
    ("nothing wrong", "connection PROTOCOL_ERROR", has_bad_priorities_setting,
     "h2 doesn't check SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218, 2.1)"),
    ("InvalidSettingsValueError", "nothing wrong", has_kind(4),
     "h2 checks SETTINGS_ENABLE_CONNECT_PROTOCOL of a client, which has no meaning (RFC 8441, 3)"),
    (MALFORMED, "connection PROTOCOL_ERROR", has_kind(1),
     "h2 accepts padding that leaves no room for the fields of PRIORITY (RFC 9113, 6.2)"),
    ("StreamClosedError", "connection PROTOCOL_ERROR", None,
     "h2 has another code for CONTINUATION without HEADERS (RFC 9113, 6.10)"),
    ("StreamIDTooLowError", "connection STREAM_CLOSED", None,
     "the identifier was used before: both codes fit (RFC 9113, 5.1, 5.1.1)"),
    ("NoSuchStreamError|ProtocolError: Invalid input StreamInputs", "connection .*", None,
     "both end the connection, with other codes"),
]


def ends_sooner(their, our, data):
    """Whether we have ended the connection for a frame on a closed stream, for which h2 has reset the
    stream and gone on (RFC 9113, 5.4.1 allows both). Once the client has skipped a number, our code is
    that of a new stream with too low a number (5.1.1)."""
    codes = ["connection STREAM_CLOSED"] + ["connection PROTOCOL_ERROR"] * skips(data)
    return our.errors() in codes and "reset STREAM_CLOSED" in their.streams.values()


def reason(their, why, our, data):
    """Why two verdicts differ. "" if they don't, None if there is no reason."""
    if their.errors() == our.errors():
        return ""
    if ends_sooner(their, our, data):
        return "we end the connection for a frame on a closed stream (RFC 9113, 5.4.1)"
    for theirs, ours, condition, listed in LISTED:
        if re.match(theirs, why or their.errors()) and re.fullmatch(ours, our.errors()) \
                and (condition is None or condition(data)):
            return listed
    return None
