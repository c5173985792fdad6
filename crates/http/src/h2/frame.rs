//! Frames: their header, types, flags, settings and error codes (RFC 9113, 4, 6 and 7).

/// What a client sends first (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The maximum payload that a receiver accepts unless it has sent a larger
/// [`settings::MAX_FRAME_SIZE`], in bytes.
pub(crate) const DEFAULT_MAX_LEN: usize = 16_384;

/// The header of a frame (RFC 9113, 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The length of the payload in bytes.
    pub(crate) len: usize,
    /// See [`kind`].
    pub(crate) kind: u8,
    /// See [`flags`].
    pub(crate) flags: u8,
    /// The stream; 0 for the connection itself.
    pub(crate) stream: u32,
}

impl FrameHeader {
    /// The length of a frame's header in bytes.
    pub(crate) const LEN: usize = 9;

    /// Reads the header at the start of `input`; `None` if it is incomplete.
    #[inline]
    pub(crate) fn read(input: &[u8]) -> Option<Self> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = input.first_chunk::<{ Self::LEN }>()?;
        Some(Self {
            len: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            // The first bit is reserved, and ignored (RFC 9113, 4.1).
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        })
    }

    /// Appends the header.
    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    /// The header as bytes.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; Self::LEN] {
        let [_, l0, l1, l2] = (self.len as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }

    /// Whether the frame has this flag.
    #[inline]
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Types of frames (RFC 9113, 6; RFC 9218, 7.1).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
    pub(crate) const PRIORITY_UPDATE: u8 = 0x10;
}

/// Flags of frames (RFC 9113, 6).
pub(crate) mod flags {
    pub(crate) const NONE: u8 = 0;
    /// Of DATA and HEADERS: the sender sends no further DATA or HEADERS on the stream.
    pub(crate) const END_STREAM: u8 = 0x1;
    /// Of SETTINGS and PING: the frame acknowledges a frame of the peer.
    pub(crate) const ACK: u8 = 0x1;
    /// Of HEADERS and CONTINUATION: the header block is complete.
    pub(crate) const END_HEADERS: u8 = 0x4;
    /// Of DATA and HEADERS: the payload has padding at its end.
    pub(crate) const PADDED: u8 = 0x8;
    /// Of HEADERS: before the block, the payload has the fields that a PRIORITY frame has. They are
    /// deprecated.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Settings (RFC 9113, 6.5.2; RFC 8441, 3; RFC 9218, 2.1).
pub(crate) mod settings {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(crate) const ENABLE_PUSH: u16 = 0x2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
    pub(crate) const NO_RFC7540_PRIORITIES: u16 = 0x9;

    /// The settings in the payload of a SETTINGS frame.
    pub(crate) fn read(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
        let (settings, _) = payload.as_chunks::<6>();
        settings.iter().map(|&[i0, i1, v0, v1, v2, v3]| {
            (u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))
        })
    }
}

/// Why a stream or a connection ends (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    NoError = 0x0,
    ProtocolError = 0x1,
    InternalError = 0x2,
    FlowControlError = 0x3,
    StreamClosed = 0x5,
    FrameSizeError = 0x6,
    RefusedStream = 0x7,
    Cancel = 0x8,
    CompressionError = 0x9,
    EnhanceYourCalm = 0xb,
}

/// Appends a frame.
pub(crate) fn write(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    FrameHeader { len: payload.len(), kind, flags, stream }.write(out);
    out.extend_from_slice(payload);
}

/// Appends a SETTINGS frame.
pub(crate) fn write_settings(all: &[(u16, u32)], out: &mut Vec<u8>) {
    FrameHeader { len: 6 * all.len(), kind: kind::SETTINGS, flags: flags::NONE, stream: 0 }
        .write(out);
    for (name, value) in all {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a RST_STREAM frame.
pub(crate) fn write_reset(stream: u32, code: ErrorCode, out: &mut Vec<u8>) {
    write(kind::RST_STREAM, flags::NONE, stream, &(code as u32).to_be_bytes(), out);
}

/// Appends a WINDOW_UPDATE frame.
pub(crate) fn write_window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    write(kind::WINDOW_UPDATE, flags::NONE, stream, &increment.to_be_bytes(), out);
}

/// Appends a GOAWAY frame. Of the streams that the peer has opened, those above `last` are not
/// processed.
pub(crate) fn write_goaway(last: u32, code: ErrorCode, out: &mut Vec<u8>) {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&last.to_be_bytes());
    payload[4..].copy_from_slice(&(code as u32).to_be_bytes());
    write(kind::GOAWAY, flags::NONE, 0, &payload, out);
}

/// Why the payload of a HEADERS frame is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadersError {
    /// A field that the flags announce is missing or incomplete: FRAME_SIZE_ERROR (RFC 9113, 4.2).
    TooShort,
    /// The padding exceeds the rest of the payload: PROTOCOL_ERROR (6.2).
    TooMuchPadding,
}

/// The header block in the payload of a HEADERS frame, without padding and without the fields of
/// PRIORITY, which are deprecated (RFC 9113, 5.3.2 and 6.2).
#[inline]
pub(crate) fn block_in_headers(header: FrameHeader, payload: &[u8]) -> Result<&[u8], HeadersError> {
    let (padding, rest) = match header.has(flags::PADDED) {
        true => payload.split_first().ok_or(HeadersError::TooShort)?,
        false => (&0, payload),
    };
    let priority = if header.has(flags::PRIORITY) { 5 } else { 0 };
    let rest = rest.get(priority..).ok_or(HeadersError::TooShort)?;
    let len = rest.len().checked_sub((*padding).into()).ok_or(HeadersError::TooMuchPadding)?;
    Ok(&rest[..len])
}

/// Reads a number of 31 bits; the first bit is reserved. `None` unless `payload` has four bytes.
pub(crate) fn read_u31(payload: &[u8]) -> Option<u32> {
    let bytes = payload.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) & 0x7fff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_its_reserved_bit_is_ignored() {
        let header = FrameHeader { len: 0x01_02_03, kind: 4, flags: 0x21, stream: 0x7fff_fffe };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 0x21, 0x7f, 0xff, 0xff, 0xfe]);
        bytes[5] |= 0x80;
        assert_eq!(FrameHeader::read(&bytes), Some(header));
        assert_eq!(FrameHeader::read(&bytes[..8]), None);
    }

    #[test]
    fn padding_and_priority_are_removed_unless_the_payload_is_too_short() {
        use HeadersError::{TooMuchPadding, TooShort};
        let (none, padded, both) = (0, flags::PADDED, flags::PADDED | flags::PRIORITY);
        for (flags, payload, block) in [
            (none, &b""[..], Ok(&b""[..])),
            (none, b"ab", Ok(b"ab")),
            (padded, b"", Err(TooShort)),
            (padded, b"\0", Ok(b"")),
            (padded, b"\0ab", Ok(b"ab")),
            (padded, b"\x02ab", Ok(b"")),
            (padded, b"\x03ab", Err(TooMuchPadding)),
            (flags::PRIORITY, b"1234", Err(TooShort)),
            (flags::PRIORITY, b"12345ab", Ok(b"ab")),
            (both, b"\x091234", Err(TooShort)),
            (both, b"\x0112345a", Ok(b"")),
            (both, b"\x0212345a", Err(TooMuchPadding)),
        ] {
            let header = FrameHeader { len: payload.len(), kind: kind::HEADERS, flags, stream: 1 };
            assert_eq!(block_in_headers(header, payload), block, "{flags} {payload:?}");
        }
    }

    #[test]
    fn settings_are_read_as_they_were_written() {
        let all = [(settings::INITIAL_WINDOW_SIZE, 70_000), (settings::ENABLE_PUSH, 0)];
        let mut bytes = Vec::new();
        write_settings(&all, &mut bytes);
        let payload = &bytes[FrameHeader::LEN..];
        assert_eq!(settings::read(payload).collect::<Vec<_>>(), all);
    }
}
