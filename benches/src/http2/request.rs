//! Requests as frames, with header blocks (HPACK, RFC 7541) much like those of browsers and
//! nghttp2.
//!
//! The first request of a connection puts the fields that don't change into the dynamic table, and
//! the later ones refer to these entries. The path is a Huffman-coded literal without indexing. The
//! values of the other fields are not Huffman-coded.

use super::frames::{ACK, FrameHeader, kind};

/// The first bytes of a connection (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame that acknowledges the server's.
pub(crate) const ACKNOWLEDGED_SETTINGS: [u8; 9] = [0, 0, 0, kind::SETTINGS, ACK, 0, 0, 0, 0];
/// The windows of a stream and of the connection, the same as in h2load. They are so large that no
/// response has to wait for a WINDOW_UPDATE.
pub(super) const ENOUGH_WINDOW: u32 = (1 << 30) - 1;
/// The window of a connection until its first WINDOW_UPDATE.
const INITIAL_WINDOW: u32 = 65_535;

/// Settings (RFC 9113, section 6.5.2).
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Indices in HPACK's static table: three of whole fields, then four of names.
const METHOD_GET: u8 = 2;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const ACCEPT_ENCODING: u8 = 16;
const USER_AGENT: u8 = 58;
/// The index of the newest entry of the dynamic table.
const NEWEST: u8 = 62;

/// The first bits of a field in a header block, which say how the field is encoded. In a literal
/// without indexing, they are 0.
const INDEXED: u8 = 0x80;
const WITH_INDEXING: u8 = 0x40;

/// Encoded GET requests. A connection sends them in order, and repeats them.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// The header block of each request as a connection's first one, and as a later one.
    blocks: Vec<[Vec<u8>; 2]>,
}

impl Requests {
    /// GET requests for these paths. The paths consist of lower-case letters, digits, `/`, `.`
    /// and `-`.
    pub(crate) fn new(
        paths: impl Iterator<Item = String>,
        with_tls: bool,
        accept_encoding: Option<&str>,
    ) -> Self {
        let scheme = if with_tls { SCHEME_HTTPS } else { SCHEME_HTTP };
        let mut kept = vec![(AUTHORITY, "localhost"), (USER_AGENT, "sockeye-benches")];
        kept.extend(accept_encoding.map(|value| (ACCEPT_ENCODING, value)));
        let block = |path: &str, is_first: bool| {
            let mut block = vec![INDEXED | METHOD_GET, INDEXED | scheme, PATH];
            huffman(path, &mut block);
            for (at, (name, value)) in (0..).zip(&kept) {
                if is_first {
                    block.extend([WITH_INDEXING | name, value.len() as u8]);
                    block.extend_from_slice(value.as_bytes());
                } else {
                    block.push(INDEXED | (NEWEST + kept.len() as u8 - 1 - at));
                }
            }
            block
        };
        Self { blocks: paths.map(|path| [block(&path, true), block(&path, false)]).collect() }
    }

    /// The number of different requests.
    pub(crate) fn count(&self) -> usize {
        self.blocks.len()
    }
}

/// Writes the requests of one connection.
#[derive(Debug)]
pub(crate) struct Sender<'a> {
    requests: &'a Requests,
    /// The number of requests that were written.
    written: usize,
}

impl<'a> Sender<'a> {
    /// Creates the sender of a new connection, and writes what a client sends before its requests:
    /// the preface, its settings, and an update of the connection's window.
    pub(crate) fn open(requests: &'a Requests, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(PREFACE);
        let settings = [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, ENOUGH_WINDOW)];
        FrameHeader::of_connection(kind::SETTINGS, 0, 6 * settings.len()).write(out);
        for (name, value) in settings {
            out.extend(name.to_be_bytes());
            out.extend(value.to_be_bytes());
        }
        write_window_update(ENOUGH_WINDOW - INITIAL_WINDOW, out);
        Self { requests, written: 0 }
    }

    /// Writes the next request. Returns its stream, and its index among the different requests.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> (u32, usize) {
        let at = self.written % self.requests.count();
        let block = &self.requests.blocks[at][usize::from(self.written > 0)];
        let stream = 2 * self.written as u32 + 1;
        self.written += 1;
        FrameHeader::headers(stream, block.len(), true).write(out);
        out.extend_from_slice(block);
        (stream, at)
    }
}

/// Writes a WINDOW_UPDATE for the connection.
pub(super) fn write_window_update(by: u32, out: &mut Vec<u8>) {
    FrameHeader::of_connection(kind::WINDOW_UPDATE, 0, 4).write(out);
    out.extend(by.to_be_bytes());
}

/// Writes a Huffman-coded string (RFC 7541, section 5.2).
fn huffman(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(0);
    let (mut bits, mut count) = (0u64, 0);
    for byte in text.bytes() {
        let (code, len) = code(byte);
        bits = bits << len | u64::from(code);
        count += len;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        // The rest of the last octet is all ones.
        out.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
    let len = out.len() - start - 1;
    // A length of 127 or more would take more than one octet.
    assert!(len < 127, "the path {text} is too long");
    out[start] = 0x80 | len as u8;
}

/// The code of a character, and its number of bits (RFC 7541, appendix B).
fn code(byte: u8) -> (u8, u32) {
    /// For codes of 5, 6 and 7 bits: the characters in the order of their codes, the code of the
    /// first character, and the number of bits.
    const CODES: [(&[u8], u8, u32); 3] = [
        (b"012aceiost", 0, 5),
        (b" %-./3456789=A_bdfghlmnpru", 0x14, 6),
        (b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 0x5c, 7),
    ];
    for (characters, first, len) in CODES {
        if let Some(at) = characters.iter().position(|known| *known == byte) {
            return (first + at as u8, len);
        }
    }
    panic!("the path contains '{}'", byte.escape_ascii());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_coded_as_in_the_examples_of_the_rfc() {
        // RFC 7541, appendix C.4.
        for (text, coded) in [
            (
                "www.example.com",
                &[0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..],
            ),
            ("no-cache", &[0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            ("custom-key", &[0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f]),
        ] {
            let mut out = Vec::new();
            huffman(text, &mut out);
            assert_eq!(out, coded, "{text}");
        }
    }

    #[test]
    fn the_first_request_of_a_connection_defines_what_later_ones_refer_to() {
        let paths = ["/a", "/b"].map(str::to_owned);
        let requests = Requests::new(paths.into_iter(), false, Some("br"));
        let mut out = Vec::new();
        let mut sender = Sender::open(&requests, &mut out);
        assert!(out.starts_with(PREFACE));
        out.clear();
        assert_eq!(sender.write(&mut out), (1, 0));
        let expected = [
            &[0, 0, 38, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x04, 0x82, 0x60, 0x7f, 0x41, 9][..],
            b"localhost\x7a\x0fsockeye-benches\x50\x02br",
        ];
        assert_eq!(out, expected.concat());
        out.clear();
        assert_eq!(sender.write(&mut out), (3, 1));
        assert_eq!(out[9..], [0x82, 0x86, 0x04, 0x82, 0x62, 0x3f, 0xc0, 0xbf, 0xbe]);
        assert_eq!(sender.write(&mut out), (5, 0));
    }
}
