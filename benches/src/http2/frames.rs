//! Frames (RFC 9113, section 4).

use crate::Result;

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
}

const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// The header of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The length of the payload.
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHeader {
    pub(crate) const LEN: usize = 9;

    /// The header of a frame on stream 0, such as SETTINGS.
    pub(crate) fn of_connection(kind: u8, flags: u8, len: usize) -> Self {
        Self { len, kind, flags, stream: 0 }
    }

    /// The header of a HEADERS frame with a whole header block.
    pub(crate) fn headers(stream: u32, len: usize, is_end: bool) -> Self {
        let end = if is_end { END_STREAM } else { 0 };
        Self { len, kind: kind::HEADERS, flags: END_HEADERS | end, stream }
    }

    pub(crate) fn data(stream: u32, len: usize, is_end: bool) -> Self {
        Self { len, kind: kind::DATA, flags: if is_end { END_STREAM } else { 0 }, stream }
    }

    /// Parses the header at the start of `bytes`, or returns `None` if that is incomplete.
    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, id @ ..] = *bytes.first_chunk::<9>()?;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(Self { len, kind, flags, stream: u32::from_be_bytes(id) & (u32::MAX >> 1) })
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let [_, a, b, c] = (self.len as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags, d, e, f, g]);
    }

    fn frame(self, payload: &[u8], is_complete: bool) -> Result<Frame<'_>> {
        let padded = matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & PADDED != 0;
        if padded || self.kind == kind::HEADERS && self.flags & END_HEADERS == 0 {
            return Err("frames with padding and CONTINUATION are not supported".into());
        }
        Ok(Frame { header: self, payload, is_complete })
    }
}

/// A received frame, or a part of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) payload: &'a [u8],
    /// Whether the payload ends the frame.
    is_complete: bool,
}

impl Frame<'_> {
    /// Whether the stream ends with this frame. `false` for a part of a DATA frame that is not its
    /// last part.
    pub(crate) fn ends_stream(&self) -> bool {
        let has_flag = matches!(self.header.kind, kind::DATA | kind::HEADERS)
            && self.header.flags & END_STREAM != 0;
        has_flag && self.is_complete
    }

    pub(crate) fn is_ack(&self) -> bool {
        self.header.flags & ACK != 0
    }

    /// Writes the acknowledgement of a SETTINGS or PING frame. Writes nothing for other frames, nor
    /// for acknowledgements.
    pub(crate) fn acknowledge(&self, out: &mut Vec<u8>) {
        match self.header.kind {
            kind::SETTINGS if !self.is_ack() => {
                FrameHeader::of_connection(kind::SETTINGS, ACK, 0).write(out);
            }
            kind::PING if !self.is_ack() => {
                FrameHeader::of_connection(kind::PING, ACK, self.payload.len()).write(out);
                out.extend_from_slice(self.payload);
            }
            _ => {}
        }
    }
}

/// Splits received bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// An incomplete frame of any type except DATA, or an incomplete frame header.
    partial: Vec<u8>,
    /// The header of the current DATA frame. Its `len` counts only the bytes that have not arrived
    /// yet.
    data: FrameHeader,
}

impl Frames {
    /// Calls `take` for each frame. Parts of a DATA frame are delivered as they arrive.
    pub(crate) fn read(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<()> {
        while !bytes.is_empty() {
            if self.data.len > 0 {
                let (payload, rest) = bytes.split_at(self.data.len.min(bytes.len()));
                self.data.len -= payload.len();
                bytes = rest;
                take(self.data.frame(payload, self.data.len == 0)?)?;
                continue;
            }
            let header = FrameHeader::read(bytes).filter(|_| self.partial.is_empty());
            if let Some(header) = header {
                if header.kind == kind::DATA && header.len > 0 {
                    self.data = header;
                    bytes = &bytes[FrameHeader::LEN..];
                    continue;
                }
                let end = FrameHeader::LEN + header.len;
                if let Some(payload) = bytes.get(FrameHeader::LEN..end) {
                    bytes = &bytes[end..];
                    take(header.frame(payload, true)?)?;
                    continue;
                }
            }
            bytes = self.read_partial(bytes, &mut take)?;
        }
        Ok(())
    }

    /// Adds the missing bytes of the header to `partial` or, if the header is complete, those of
    /// the payload. Then delivers the frame if it is complete, or moves the header of a DATA frame
    /// to `data`. Returns the bytes that were not added.
    fn read_partial<'a>(
        &mut self,
        bytes: &'a [u8],
        take: &mut impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<&'a [u8]> {
        let len = FrameHeader::read(&self.partial).map_or(0, |header| header.len);
        let missing = FrameHeader::LEN + len - self.partial.len();
        let (bytes, rest) = bytes.split_at(missing.min(bytes.len()));
        self.partial.extend_from_slice(bytes);
        match FrameHeader::read(&self.partial) {
            Some(header) if header.kind == kind::DATA && header.len > 0 => {
                self.partial.clear();
                self.data = header;
            }
            Some(header) if self.partial.len() == FrameHeader::LEN + header.len => {
                take(header.frame(&self.partial[FrameHeader::LEN..], true)?)?;
                self.partial.clear();
            }
            _ => {}
        }
        Ok(rest)
    }
}

/// Checks that a header block starts with `:status: 200`, in the encoding that all measured servers
/// use. Updates of the dynamic table's size, of one octet each, may precede this field.
pub(super) fn check_status(block: &[u8]) -> Result<()> {
    const STATUS_200: u8 = 0x88;
    let status = block.iter().find(|octet| *octet & 0xe0 != 0x20);
    if status != Some(&STATUS_200) {
        return Err("the response is not 200".into());
    }
    Ok(())
}

/// Fails if `frame`, which is not a part of a response, resets a stream or is GOAWAY.
pub(super) fn check_no_failure(frame: Frame<'_>) -> Result<()> {
    match frame.header.kind {
        kind::RST_STREAM => Err("the server has reset a stream".into()),
        kind::GOAWAY => {
            let payload = String::from_utf8_lossy(frame.payload);
            Err(format!("the server has sent GOAWAY: {payload:?}").into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of the bytes, with the parts of a DATA frame joined.
    fn read(parts: [&[u8]; 3]) -> Vec<(u8, u32, Vec<u8>, bool)> {
        let mut found: Vec<(u8, u32, Vec<u8>, bool)> = Vec::new();
        let mut is_open = false;
        let mut frames = Frames::default();
        for part in parts {
            let take = |frame: Frame<'_>| {
                match found.last_mut().filter(|_| is_open) {
                    Some((.., payload, ends)) => {
                        payload.extend_from_slice(frame.payload);
                        *ends = frame.ends_stream();
                    }
                    None => {
                        let header = frame.header;
                        let payload = frame.payload.to_vec();
                        found.push((header.kind, header.stream, payload, frame.ends_stream()));
                    }
                }
                is_open = !frame.is_complete;
                Ok(())
            };
            frames.read(part, take).unwrap();
        }
        found
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_split() {
        let mut bytes = Vec::new();
        for (header, payload) in [
            (FrameHeader::of_connection(kind::SETTINGS, ACK, 0), &b""[..]),
            (FrameHeader::headers(1, 3, false), b"abc"),
            (FrameHeader::data(1, 5, true), b"hello"),
            (FrameHeader::data(3, 0, true), b""),
            (FrameHeader::headers(0x7fff_ffff, 1, true), b"x"),
        ] {
            header.write(&mut bytes);
            bytes.extend_from_slice(payload);
        }
        let expected = [
            (kind::SETTINGS, 0, vec![], false),
            (kind::HEADERS, 1, b"abc".to_vec(), false),
            (kind::DATA, 1, b"hello".to_vec(), true),
            (kind::DATA, 3, vec![], true),
            (kind::HEADERS, 0x7fff_ffff, b"x".to_vec(), true),
        ];
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(read(parts), expected, "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn settings_and_pings_are_acknowledged_once() {
        let answer = |kind, flags, payload: &[u8]| {
            let mut out = Vec::new();
            let header = FrameHeader::of_connection(kind, flags, payload.len());
            header.frame(payload, true).unwrap().acknowledge(&mut out);
            out
        };
        assert_eq!(answer(kind::SETTINGS, 0, &[0; 6]), [0, 0, 0, 4, 1, 0, 0, 0, 0]);
        let ping = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(answer(kind::PING, 0, &[1, 2, 3, 4, 5, 6, 7, 8]), ping);
        assert!(answer(kind::SETTINGS, ACK, b"").is_empty());
        assert!(answer(kind::PING, ACK, &[0; 8]).is_empty());
        assert!(answer(kind::WINDOW_UPDATE, 0, &[0; 4]).is_empty());
    }

    #[test]
    fn padding_and_continuation_are_errors() {
        for (kind, flags) in [(kind::DATA, PADDED), (kind::HEADERS, END_STREAM)] {
            let header = FrameHeader { len: 0, kind, flags, stream: 1 };
            assert!(header.frame(b"", true).is_err());
        }
    }
}
