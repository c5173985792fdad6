mod costs;
mod examples;
mod limits;
mod memory;
mod negotiation;
mod properties;
mod reference;

use super::*;

const NO_LIMIT: usize = usize::MAX;

/// What a server and a client agree on: the server's view, then the client's.
fn negotiate(server: &DeflateOptions, client: &DeflateOptions) -> (Agreed, Agreed) {
    let offer = offer(client);
    let servers = accept([offer.as_bytes()].into_iter(), server).unwrap().expect(&offer);
    let answer = servers.answer().to_string();
    let clients = confirm([answer.as_bytes()].into_iter(), client).unwrap().expect(&answer);
    (servers, clients)
}

/// One side of a connection, with memory of its own.
struct Side {
    memory: DeflateMemory,
    codec: Codec,
}

impl Side {
    fn new(agreed: &Agreed, options: &DeflateOptions) -> Self {
        Self { memory: DeflateMemory::default(), codec: Codec::new(agreed, options) }
    }

    /// The server and the client.
    fn pair(server: &DeflateOptions, client: &DeflateOptions) -> (Self, Self) {
        let (servers, clients) = negotiate(server, client);
        (Self::new(&servers, server), Self::new(&clients, client))
    }

    /// A server whose client sends with these parameters.
    fn server(offer: &str, options: &DeflateOptions) -> Self {
        let agreed = accept([offer.as_bytes()].into_iter(), options).unwrap().expect(offer);
        Self::new(&agreed, options)
    }

    /// A server without context takeover.
    fn any() -> Self {
        Self::server("permessage-deflate", &DeflateOptions::new())
    }

    fn compress(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let is_compressed = self.codec.deflate(&mut self.memory, message, &mut out);
        let compressed = out.strip_prefix(b"before").expect("only appends");
        assert_eq!(is_compressed, !compressed.is_empty());
        is_compressed.then(|| compressed.to_vec())
    }

    fn decompress(&mut self, data: &[u8]) -> Result<Vec<u8>, InflateError> {
        self.parts([data], NO_LIMIT)
    }

    /// Decompresses a message that comes in these parts.
    fn parts<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        max: usize,
    ) -> Result<Vec<u8>, InflateError> {
        let mut out = b"before".to_vec();
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            self.codec.inflate(&mut self.memory, part, is_last, &mut out, max)?;
        }
        Ok(out.strip_prefix(b"before").expect("only appends").to_vec())
    }
}

/// Text with words that come again, at all distances up to 8,000 bytes and more.
fn text(len: usize, mut seed: u32) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < len {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let distance = 1 + (seed >> 8) as usize % 8000;
        if seed >> 30 != 0 && distance <= text.len() {
            let from = text.len() - distance;
            let word = text[from..(from + 12).min(text.len())].to_vec();
            text.extend(word);
        } else {
            text.extend(format!("{seed} ").bytes());
        }
    }
    text.truncate(len);
    text
}

/// Bytes that can't be compressed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(step).collect()
}

/// The bits of DEFLATE data, least significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are used; 0 if all are.
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) -> &mut Self {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << self.used;
            self.used = (self.used + 1) % 8;
        }
        self
    }
}
