//! A second HPACK decoder, which is simple and slow, and a comparison of the two decoders.

use std::collections::{HashMap, VecDeque};

use super::error::CompressionError;
use super::{Decoder, encode, huffman, static_table};

/// A field: name, value, the index of the first static entry with this name (0 if the name does not
/// come from the static table), and whether both name and value are from a table.
type Entry = (Vec<u8>, Vec<u8>, u8, bool);

/// The simple decoder. Its table is a list of fields, and it reads Huffman codes bit by bit.
struct Reference {
    table: VecDeque<Entry>,
    size_max: usize,
    /// The symbols of the Huffman code, each by the length and the bits of its code.
    symbols: HashMap<(u8, u32), usize>,
}

/// The block is invalid. [`CompressionError`] lists the reasons.
struct Invalid;

/// The bytes of a block that have not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Result<u8, Invalid> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Invalid> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Invalid)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn integer(&mut self, first: u8, bits: u32) -> Result<usize, Invalid> {
        let max = 2_usize.pow(bits) - 1;
        let mut value = usize::from(first) % (max + 1);
        if value == max {
            let mut factor = 1;
            loop {
                let byte = usize::from(self.byte()?);
                value += byte % 128 * factor;
                factor *= 128;
                if byte < 128 {
                    break;
                }
                // As in the other decoder, at most four bytes follow the first one.
                if factor == 128_usize.pow(4) {
                    return Err(Invalid);
                }
            }
        }
        Ok(value)
    }
}

impl Reference {
    fn new() -> Self {
        let symbols = (0..=huffman::EOS).map(|symbol| (huffman::code_of(symbol), symbol)).collect();
        Self { table: VecDeque::new(), size_max: 4096, symbols }
    }

    /// Decodes a block, and appends its fields to `fields`. The number of leading zero bits in the
    /// first byte of a representation shows its kind (RFC 7541, 6).
    fn decode(&mut self, block: &[u8], fields: &mut Vec<Entry>) -> Result<(), Invalid> {
        let (mut rest, mut updates) = (Rest(block), 0);
        while !rest.0.is_empty() {
            let first = rest.byte()?;
            match first.leading_zeros() {
                0 => fields.push(self.entry(rest.integer(first, 7)?)?),
                1 => {
                    let field = self.literal(rest.integer(first, 6)?, &mut rest)?;
                    fields.push(field.clone());
                    self.table.push_front((field.0, field.1, field.2, true));
                    self.evict();
                }
                2 => {
                    updates += 1;
                    self.size_max = rest.integer(first, 5)?;
                    if updates > 2 || self.size_max > 4096 || !fields.is_empty() {
                        return Err(Invalid);
                    }
                    self.evict();
                }
                _ => fields.push(self.literal(rest.integer(first, 4)?, &mut rest)?),
            }
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<Entry, Invalid> {
        match index {
            0 => Err(Invalid),
            1..=61 => {
                let entry = static_table::entry(index);
                Ok((entry.name.to_vec(), entry.value.to_vec(), entry.static_name, true))
            }
            _ => self.table.get(index - 62).cloned().ok_or(Invalid),
        }
    }

    fn literal(&self, name: usize, rest: &mut Rest<'_>) -> Result<Entry, Invalid> {
        let (name, static_name) = match name {
            0 => (self.string(rest)?, 0),
            index => {
                let (name, _, static_name, _) = self.entry(index)?;
                (name, static_name)
            }
        };
        Ok((name, self.string(rest)?, static_name, false))
    }

    fn string(&self, rest: &mut Rest<'_>) -> Result<Vec<u8>, Invalid> {
        let first = rest.byte()?;
        let len = rest.integer(first, 7)?;
        let bytes = rest.bytes(len)?;
        if first < 128 {
            return Ok(bytes.to_vec());
        }
        let (mut string, mut len, mut code) = (Vec::new(), 0, 0);
        for at in 0..bytes.len() * 8 {
            code = code << 1 | u32::from(bytes[at / 8] >> (7 - at % 8) & 1);
            len += 1;
            if let Some(symbol) = self.symbols.get(&(len, code)) {
                string.push(u8::try_from(*symbol).map_err(|_| Invalid)?);
                (len, code) = (0, 0);
            }
            // The longest code has 30 bits.
            if len > 30 {
                return Err(Invalid);
            }
        }
        // The padding has at most seven bits, which are ones.
        if len < 8 && code == (1 << len) - 1 { Ok(string) } else { Err(Invalid) }
    }

    fn size(&self) -> usize {
        self.table.iter().map(|entry| entry.0.len() + entry.1.len() + 32).sum()
    }

    fn evict(&mut self) {
        while self.size() > self.size_max {
            self.table.pop_back();
        }
    }
}

/// Decodes blocks of one connection with both decoders, up to the first error.
///
/// # Panics
///
/// If the decoders differ in their fields, their tables, or in whether a block is valid; if
/// `Decoder` exceeds its limits on memory; or if the fields change when they are encoded and
/// decoded again.
pub fn check_header_blocks<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) {
    let (mut decoder, mut reference) = (Decoder::new(), Reference::new());
    let mut scratch = Vec::new();
    assert_eq!(decoder.memory(), 0, "memory before the first block");
    for block in blocks {
        let before = (reference.table.clone(), reference.size_max);
        let (mut fields, mut expected) = (Vec::new(), Vec::new());
        let generation = decoder.generation();
        scratch.clear();
        let result = decoder.decode(block, &mut scratch, |field| {
            let super::Field { name, value, static_name, is_from_table } = field;
            fields.push((name.to_vec(), value.to_vec(), static_name, is_from_table));
            true
        });
        let valid = reference.decode(block, &mut expected).is_ok();
        assert_eq!(fields, expected, "fields of {block:02x?}");
        assert_eq!(result.is_ok(), valid, "{block:02x?}: {result:?}");
        assert!(decoder.memory() <= 7 << 10, "{} bytes of memory", decoder.memory());
        // The shortest Huffman codes have 5 bits. A name that is copied from the table has up to
        // 4 KiB.
        assert!(scratch.len() <= block.len() * 8 / 5 + 4096, "{} bytes of scratch", scratch.len());
        check_again(&fields);
        if result.is_err() {
            return;
        }
        assert_eq!(table(&mut decoder), reference.table, "the table after {block:02x?}");
        if generation == decoder.generation() {
            let after = (reference.table.clone(), reference.size_max);
            assert_eq!(before, after, "{block:02x?} changes the table");
        }
    }
}

/// The dynamic table of `decoder`, read by decoding each of its indices.
fn table(decoder: &mut Decoder) -> VecDeque<Entry> {
    let mut entries = VecDeque::new();
    let mut block = Vec::new();
    let mut is_end = false;
    while !is_end {
        block.clear();
        encode::indexed(62 + entries.len(), &mut block);
        let result = decoder.decode(&block, &mut Vec::new(), |field| {
            let super::Field { name, value, static_name, is_from_table } = field;
            entries.push_back((name.to_vec(), value.to_vec(), static_name, is_from_table));
            true
        });
        is_end = result == Err(CompressionError::BadIndex);
        assert!(is_end || result.is_ok());
    }
    entries
}

/// Encodes the fields in each way that [`encode`] offers, decodes them, and checks that they are
/// the same, except that their names are now in lowercase.
fn check_again(fields: &[Entry]) {
    type Encode = fn(&[u8], &[u8], &mut Vec<u8>);
    let ways: [Encode; 3] = [
        |name, value, out| encode::field(name, value, false, out),
        |name, value, out| encode::field(name, value, true, out),
        encode::field_indexed,
    ];
    let expected: Vec<_> =
        fields.iter().map(|(name, value, ..)| (name.to_ascii_lowercase(), value.clone())).collect();
    for way in ways {
        let (mut block, mut decoded) = (Vec::new(), Vec::new());
        for (name, value, ..) in fields {
            way(name, value, &mut block);
        }
        let result = Decoder::new().decode(&block, &mut Vec::new(), |field| {
            decoded.push((field.name.to_vec(), field.value.to_vec()));
            true
        });
        assert_eq!(result, Ok(()));
        assert_eq!(decoded, expected, "fields that were encoded again");
    }
}
