//! The Huffman code of HPACK (RFC 7541, 5.2 and appendix B).

use super::error::CompressionError;

/// The symbol that no string contains.
const EOS: usize = 256;

/// The lengths of the codes in bits. The code is canonical: codes increase with their length, and
/// among codes of one length with the symbol. So the lengths define it.
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

/// The shortest code, which bounds how much a string grows when it is decoded.
const SHORTEST: usize = 5;
/// The longest code.
const LONGEST: usize = 30;
/// Codes of up to this many bits are found in one step. All letters, digits and hyphens have such
/// codes.
const STEP: u32 = 8;

/// The code of each symbol, in the low bits.
static CODES: [u32; EOS + 1] = CODE.codes;
/// For each byte that codes may start with: the symbol, and the length of its code, or zero if the
/// code is longer.
static SHORT: [(u8, u8); 1 << STEP] = CODE.short;
/// For each length: the first code above all codes of this length, in the high bits.
static ENDS: [u64; LONGEST + 1] = CODE.ends;
/// For each length: what to add to a code to get its position in `SYMBOLS`.
static OFFSETS: [i64; LONGEST + 1] = CODE.offsets;
/// The symbols in the order of their codes.
static SYMBOLS: [u16; EOS + 1] = CODE.symbols;

struct Code {
    codes: [u32; EOS + 1],
    short: [(u8, u8); 1 << STEP],
    ends: [u64; LONGEST + 1],
    offsets: [i64; LONGEST + 1],
    symbols: [u16; EOS + 1],
}

const CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        codes: [0; EOS + 1],
        short: [(0, 0); 1 << STEP],
        ends: [0; LONGEST + 1],
        offsets: [0; LONGEST + 1],
        symbols: [0; EOS + 1],
    };
    let (mut next, mut count, mut len) = (0_u64, 0, 1);
    while len <= LONGEST {
        next <<= 1;
        code.offsets[len] = count as i64 - next as i64;
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol] as usize == len {
                code.codes[symbol] = next as u32;
                code.symbols[count] = symbol as u16;
                if len <= STEP as usize {
                    let (mut at, unused) = (0, STEP as usize - len);
                    while at < 1 << unused {
                        code.short[((next as usize) << unused) + at] = (symbol as u8, len as u8);
                        at += 1;
                    }
                }
                next += 1;
                count += 1;
            }
            symbol += 1;
        }
        code.ends[len] = next << (LONGEST - len);
        len += 1;
    }
    code
}

/// Appends the string whose code is `coded`.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let before = out.len();
    out.resize(before + coded.len() * 8 / SHORTEST, 0);
    let len = decode_into(coded, &mut out[before..])?;
    out.truncate(before + len);
    Ok(())
}

/// Decodes into `out`, which is long enough for every string of that length, and returns the
/// string's length.
fn decode_into(coded: &[u8], out: &mut [u8]) -> Result<usize, CompressionError> {
    // The next bits, the first one highest, and how many of them are valid. The others are zero, or
    // those that follow in `rest`.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let (mut rest, mut len) = (coded, 0);
    loop {
        if let Some(word) = rest.first_chunk() {
            bits |= u64::from_be_bytes(*word) >> count;
            let taken = (63 - count) / 8;
            rest = &rest[taken as usize..];
            count += taken * 8;
        } else {
            while count <= 56
                && let Some((byte, later)) = rest.split_first()
            {
                bits |= u64::from(*byte) << (56 - count);
                count += 8;
                rest = later;
            }
        }
        // Bits that are not valid don't matter: if they change which code is found, that code is
        // longer than `count`, because no code is the start of another.
        loop {
            let (symbol, symbol_len) = SHORT[(bits >> (64 - STEP)) as usize];
            let (symbol, symbol_len) = match symbol_len {
                0 => find_long(bits),
                _ => (u16::from(symbol), u32::from(symbol_len)),
            };
            if symbol_len > count {
                break;
            }
            if usize::from(symbol) == EOS {
                return Err(CompressionError::BadHuffman);
            }
            out[len] = symbol as u8;
            len += 1;
            bits <<= symbol_len;
            count -= symbol_len;
        }
        if rest.is_empty() {
            let is_padding = count < 8 && bits.leading_ones() >= count;
            return if is_padding { Ok(len) } else { Err(CompressionError::BadHuffman) };
        }
    }
}

/// The symbol whose code `bits` start with, and the length of the code, which is above `STEP`.
#[cold]
fn find_long(bits: u64) -> (u16, u32) {
    let bits = bits >> (64 - LONGEST);
    let mut len = STEP as usize + 1;
    while bits >= ENDS[len] {
        len += 1;
    }
    let code = (bits >> (LONGEST - len)) as i64;
    (SYMBOLS[(code + OFFSETS[len]) as usize], len as u32)
}

/// The length of the code of a string, in bytes.
pub(super) fn encoded_len(string: impl Iterator<Item = u8>) -> usize {
    string.map(|byte| usize::from(LENGTHS[usize::from(byte)])).sum::<usize>().div_ceil(8)
}

/// Appends the code of a string.
pub(super) fn encode(string: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    // The last bits, the last one lowest, and how many of them are not in `out`.
    let (mut bits, mut count) = (0_u64, 0);
    for byte in string {
        let len = LENGTHS[usize::from(byte)];
        bits = bits << len | u64::from(CODES[usize::from(byte)]);
        count += len;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    // The padding is the start of EOS, which is ones.
    let padded = (bits << (32 - count) | u64::from(u32::MAX >> count)) as u32;
    out.extend_from_slice(&padded.to_be_bytes()[..usize::from(count).div_ceil(8)]);
}
