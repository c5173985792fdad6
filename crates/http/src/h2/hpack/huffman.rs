//! The Huffman code of HPACK (RFC 7541, 5.2 and appendix B).

use super::error::CompressionError;

/// The symbol EOS (end of string), which no string may contain. The first bits of its code pad a
/// string to whole bytes.
pub(super) const EOS: usize = 256;

/// The lengths of the codes in bits. The code is canonical: codes increase with their length, and
/// codes of the same length increase with their symbols. So the lengths define all codes.
#[rustfmt::skip]
const LENGTHS: [u8; EOS + 1] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The length of the shortest code in bits. It bounds how much a string grows when it is decoded.
const SHORTEST: usize = 5;
/// The length of the longest code in bits.
const LONGEST: usize = 30;
/// How many bits are looked up in one step. They often contain two codes: those of lower-case
/// letters and digits have five to seven bits.
const STEP: usize = 12;
/// How many steps are done at once, without a check between them whether there are enough bits.
const STEPS: usize = 4;

/// What `STEP` bits contain: one or two whole codes, or the start of a longer one.
#[derive(Clone, Copy)]
struct Step {
    symbols: [u8; 2],
    /// How many of `symbols` are valid; zero if the first code is longer than `STEP` bits.
    count: u8,
    /// The length of their codes together.
    len: u8,
}

/// The code, in the forms that encoding and decoding need.
struct Code {
    /// The code of each symbol, in the low bits.
    codes: [u32; EOS + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; EOS + 1],
    /// For each length: the first code above all codes of this length, extended to `LONGEST` bits.
    ends: [u32; LONGEST + 1],
    /// For each length: what to add to a code to get its position in `symbols`.
    offsets: [i32; LONGEST + 1],
    /// What each value of `STEP` bits contains.
    steps: [Step; 1 << STEP],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        codes: [0; EOS + 1],
        symbols: [0; EOS + 1],
        ends: [0; LONGEST + 1],
        offsets: [0; LONGEST + 1],
        steps: [Step { symbols: [0; 2], count: 0, len: 0 }; 1 << STEP],
    };
    let (mut next, mut count, mut len) = (0_u32, 0, SHORTEST);
    while len <= LONGEST {
        next <<= 1;
        code.offsets[len] = count as i32 - next as i32;
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol] as usize == len {
                code.codes[symbol] = next;
                code.symbols[count] = symbol as u16;
                next += 1;
                count += 1;
            }
            symbol += 1;
        }
        code.ends[len] = next << (LONGEST - len);
        len += 1;
    }
    let mut bits = 0;
    while bits < 1 << STEP {
        code.steps[bits] = step(&code, (bits as u64) << (64 - STEP));
        bits += 1;
    }
    code
}

/// What the first `STEP` bits of `bits` contain. The other bits are zero.
const fn step(code: &Code, bits: u64) -> Step {
    let mut step = Step { symbols: [0; 2], count: 0, len: 0 };
    while step.count < 2 {
        let (symbol, len) = code.find(bits << step.len, SHORTEST);
        if step.len as usize + len > STEP {
            break;
        }
        step.symbols[step.count as usize] = symbol as u8;
        step.count += 1;
        step.len += len as u8;
    }
    step
}

impl Code {
    /// Finds the code that is at the start of `bits`, the highest bit first. Returns its symbol and
    /// its length. `len`: the code is known to be at least this long.
    const fn find(&self, bits: u64, mut len: usize) -> (usize, usize) {
        let bits = (bits >> (64 - LONGEST)) as u32;
        while bits >= self.ends[len] {
            len += 1;
        }
        let code = (bits >> (LONGEST - len)) as i32;
        (self.symbols[(code + self.offsets[len]) as usize] as usize, len)
    }
}

/// Appends the string whose code is `coded`.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let before = out.len();
    // A step always writes two symbols, even if fewer are valid. So there must be room for one byte
    // after the longest string that `coded` can contain.
    out.resize(before + coded.len() * 8 / SHORTEST + 1, 0);
    let len = decode_into(coded, &mut out[before..])?;
    out.truncate(before + len);
    Ok(())
}

/// Decodes into `out`, which must be one byte longer than the longest string that `coded` can
/// contain. Returns the string's length.
fn decode_into(coded: &[u8], out: &mut [u8]) -> Result<usize, CompressionError> {
    // The next bits, from the highest bit of the word on, and how many of them are valid. The
    // invalid bits are zero, or the first bits of `rest`.
    let (mut bits, mut count) = (0_u64, 0);
    let (mut rest, mut len) = (coded, 0);
    loop {
        let taken = rest.len().min((63 - count) / 8);
        bits |= first_bits(coded, rest) >> count;
        rest = &rest[taken..];
        count += taken * 8;
        if count >= STEPS * STEP {
            for _ in 0..STEPS {
                let step = &CODE.steps[(bits >> (64 - STEP)) as usize];
                out[len..len + 2].copy_from_slice(&step.symbols);
                len += usize::from(step.count);
                bits <<= step.len;
                count -= usize::from(step.len);
            }
        }
        // Bits that are not valid don't matter: if they change which code is found, that code is
        // longer than `count` bits, because no code is the start of another.
        loop {
            let step = &CODE.steps[(bits >> (64 - STEP)) as usize];
            if step.count > 0 && usize::from(step.len) <= count {
                out[len..len + 2].copy_from_slice(&step.symbols);
                len += usize::from(step.count);
                bits <<= step.len;
                count -= usize::from(step.len);
                continue;
            }
            // The next code is longer than `STEP` bits, or not all bits of the step's codes are
            // valid. So only one code is decoded.
            let len_min = if step.count == 0 { STEP + 1 } else { SHORTEST };
            let (symbol, symbol_len) = CODE.find(bits, len_min);
            if symbol_len > count {
                break;
            }
            if symbol == EOS {
                return Err(CompressionError::BadHuffman);
            }
            out[len] = symbol as u8;
            len += 1;
            bits <<= symbol_len;
            count -= symbol_len;
        }
        if rest.is_empty() {
            let is_padding = count < 8 && bits.leading_ones() as usize >= count;
            return if is_padding { Ok(len) } else { Err(CompressionError::BadHuffman) };
        }
    }
}

/// The first 64 bits of `rest`, which is the end of `coded`. If `rest` is shorter, zeros follow.
#[inline]
fn first_bits(coded: &[u8], rest: &[u8]) -> u64 {
    if let Some(word) = rest.first_chunk() {
        return u64::from_be_bytes(*word);
    }
    if let Some(word) = coded.last_chunk()
        && !rest.is_empty()
    {
        return u64::from_be_bytes(*word) << (64 - rest.len() * 8);
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(word)
}

/// The length of the code of a string, in bytes.
pub(super) fn encoded_len(string: impl Iterator<Item = u8>) -> usize {
    string.map(|byte| usize::from(LENGTHS[usize::from(byte)])).sum::<usize>().div_ceil(8)
}

/// Appends the code of a string.
pub(super) fn encode(string: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    // The latest bits of the code, which end at the lowest bit of the word, and how many of them
    // are not in `out` yet.
    let (mut bits, mut count) = (0_u64, 0);
    for byte in string {
        let len = LENGTHS[usize::from(byte)];
        bits = bits << len | u64::from(CODE.codes[usize::from(byte)]);
        count += len;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    // The padding is the start of the code of EOS, which has only ones.
    let padded = (bits << (32 - count) | u64::from(u32::MAX >> count)) as u32;
    out.extend_from_slice(&padded.to_be_bytes()[..usize::from(count).div_ceil(8)]);
}

/// The length and the code of a symbol.
#[cfg(feature = "harness")]
pub(super) fn code_of(symbol: usize) -> (u8, u32) {
    (LENGTHS[symbol], CODE.codes[symbol])
}
