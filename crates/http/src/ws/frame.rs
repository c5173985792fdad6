//! The header of a frame (RFC 6455, 5.2).
//!
//! ```text
//!   byte 0                byte 1            then
//!   ┌───┬──────┬────────┐ ┌──────┬────────┐ ┌──────────────┬─────────────┬─────────┐
//!   │FIN│RSV1-3│ opcode │ │masked│ length │ │ 0, 2 or 8    │ 0 or 4      │ payload │
//!   │ 1 │  3   │   4    │ │  1   │   7    │ │ of length    │ masking key │         │
//!   └───┴──────┴────────┘ └──────┴────────┘ └──────────────┴─────────────┴─────────┘
//! ```
//!
//! In bytes 0 and 1, the lower line has the number of bits. After byte 1, numbers are bytes. If the
//! length in byte 1 is 126, the length is in the next 2 bytes; if it is 127, in the next 8.

use super::mask::MaskKey;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A message of text, or its first fragment.
    Text = 1,
    /// A message of bytes, or its first fragment.
    Binary = 2,
    /// Closes the WebSocket: the sender sends no frame after it.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    fn read(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether the frame is a close, a ping or a pong (RFC 6455, 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the last frame of its message.
    pub is_final: bool,
    /// Whether this is the first frame of a compressed message: the bit RSV1 (RFC 7692, 6).
    pub is_compressed: bool,
    /// What the frame carries.
    pub opcode: Opcode,
    /// The masking key, which only clients send.
    pub mask: Option<MaskKey>,
    /// Bytes of payload.
    pub len: u64,
}

const FINAL: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;

impl FrameHeader {
    /// Maximum length of a header in bytes.
    pub const MAX_LEN: usize = 14;

    /// Maximum number of payload bytes in a control frame (RFC 6455, 5.5).
    pub const MAX_CONTROL: u64 = 125;

    /// The header of a message that is one frame.
    #[must_use]
    pub const fn whole(opcode: Opcode, len: usize, mask: Option<MaskKey>) -> Self {
        Self { is_final: true, is_compressed: false, opcode, mask, len: len as u64 }
    }

    /// Reads a header. Returns it with its length in bytes. `None`: more bytes are needed.
    ///
    /// # Errors
    ///
    /// What is wrong with the header: the end of a sentence that begins with "the peer".
    pub fn read(input: &[u8]) -> Result<Option<(Self, usize)>, &'static str> {
        let &[first, second, ref rest @ ..] = input else { return Ok(None) };
        if first & RSV2_AND_3 != 0 {
            return Err("sent a frame with a reserved bit");
        }
        let Some(opcode) = Opcode::read(first & 0x0F) else {
            return Err("sent a frame with a reserved opcode");
        };
        let (len, rest) = match (second & !MASKED, rest) {
            (126, &[a, b, ref rest @ ..]) => (u64::from(u16::from_be_bytes([a, b])), rest),
            (127, &[a, b, c, d, e, f, g, h, ref rest @ ..]) => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), rest)
            }
            (126 | 127, _) => return Ok(None),
            (len, rest) => (u64::from(len), rest),
        };
        let is_minimal = match second & !MASKED {
            126 => len > 125,
            127 => len > 0xFFFF,
            _ => true,
        };
        if !is_minimal {
            return Err("sent the length of a frame in more bytes than it needs");
        }
        if len > i64::MAX as u64 {
            return Err("sent a frame of 2^63 bytes or more");
        }
        let (is_final, is_compressed) = (first & FINAL != 0, first & RSV1 != 0);
        if opcode.is_control() && (!is_final || len > Self::MAX_CONTROL) {
            return Err("sent a control frame that is fragmented or longer than 125 bytes");
        }
        let (mask, rest) = match rest {
            _ if second & MASKED == 0 => (None, rest),
            &[a, b, c, d, ref rest @ ..] => (Some([a, b, c, d]), rest),
            _ => return Ok(None),
        };
        let header = Self { is_final, is_compressed, opcode, mask, len };
        Ok(Some((header, input.len() - rest.len())))
    }

    /// Encodes the header. Returns an array, and how many of its first bytes are the header.
    #[must_use]
    pub fn encode(&self) -> ([u8; Self::MAX_LEN], usize) {
        let mut bytes = [0; Self::MAX_LEN];
        bytes[0] = self.opcode as u8;
        if self.is_final {
            bytes[0] |= FINAL;
        }
        if self.is_compressed {
            bytes[0] |= RSV1;
        }
        let mut len = match self.len {
            0..126 => {
                bytes[1] = self.len as u8;
                2
            }
            126..0x1_0000 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&self.len.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.mask {
            bytes[1] |= MASKED;
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        (bytes, len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPCODES: [Opcode; 6] = [
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ];

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(
            opcode in 0..6_usize,
            bits: (bool, bool),
            mask: Option<[u8; 4]>,
            len in prop_oneof![0..300_u64, 65_000..66_000_u64, 0..i64::MAX as u64],
        ) {
            let opcode = OPCODES[opcode];
            let len = if opcode.is_control() { len.min(125) } else { len };
            let is_final = bits.0 || opcode.is_control();
            let header = FrameHeader { is_final, is_compressed: bits.1, opcode, mask, len };
            let (bytes, count) = header.encode();
            for end in 0..count {
                prop_assert_eq!(FrameHeader::read(&bytes[..end]), Ok(None));
            }
            prop_assert_eq!(FrameHeader::read(&bytes), Ok(Some((header, count))));
        }

        #[test]
        fn what_is_read_is_encoded_the_same(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(Some((header, count))) = FrameHeader::read(&bytes) {
                let (encoded, len) = header.encode();
                prop_assert_eq!(&encoded[..len], &bytes[..count]);
            }
        }
    }

    #[test]
    fn invalid_headers_are_refused() {
        for (bytes, what) in [
            (&[0xA1, 0][..], "reserved bit"),
            (&[0x91, 0], "reserved bit"),
            (&[0x83, 0], "reserved opcode"),
            (&[0x8B, 0], "reserved opcode"),
            (&[0x82, 126, 0, 125], "more bytes than it needs"),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "more bytes than it needs"),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "2^63 bytes or more"),
            (&[0x09, 0], "control frame"),
            (&[0x88, 126, 0, 126], "control frame"),
        ] {
            let error = FrameHeader::read(bytes).unwrap_err();
            assert!(error.contains(what), "{bytes:?}: {error}");
        }
    }
}
