//! A simple decompressor (RFC 1951), which shows how far references go back.

/// The length of the shortest match and the extra bits of each length code.
const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The order of the code lengths in a header.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A Huffman code.
struct Codes {
    /// The number of codes of each length.
    counts: [usize; 16],
    /// The symbols in the order of their codes.
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[usize]) -> Self {
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|at| lengths[*at] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        let mut counts = [0; 16];
        for symbol in &symbols {
            counts[lengths[*symbol]] += 1;
        }
        Self { counts, symbols }
    }
}

/// Bits, least significant first.
struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bits(&mut self, count: u32) -> usize {
        let mut value = 0;
        for bit in 0..count {
            let byte = self.data[self.at / 8];
            value |= usize::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        value
    }

    fn symbol(&mut self, codes: &Codes) -> usize {
        let (mut code, mut first, mut at) = (0, 0, 0);
        for count in &codes.counts[1..] {
            code = code << 1 | self.bits(1);
            if code < first + count {
                return codes.symbols[at + code - first];
            }
            first = (first + count) << 1;
            at += count;
        }
        panic!("no such code");
    }

    fn header(&mut self) -> (Codes, Codes) {
        let (literals, distances) = (self.bits(5) + 257, self.bits(5) + 1);
        let mut code = [0; 19];
        for place in &ORDER[..self.bits(4) + 4] {
            code[*place] = self.bits(3);
        }
        let code = Codes::new(&code);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (len, count) = match self.symbol(&code) {
                16 => (*lengths.last().unwrap(), 3 + self.bits(2)),
                17 => (0, 3 + self.bits(3)),
                18 => (0, 11 + self.bits(7)),
                len => (len, 1),
            };
            lengths.extend(std::iter::repeat_n(len, count));
        }
        let distances = lengths.split_off(literals);
        (Codes::new(&lengths), Codes::new(&distances))
    }
}

/// Decompresses a message, whose blocks have no BFINAL, after the output so far. The greatest
/// distance of a reference.
pub(super) fn decompress(message: &[u8], out: &mut Vec<u8>) -> usize {
    let data = [message, &[0, 0, 0xff, 0xff]].concat();
    let mut reader = Reader { data: &data, at: 0 };
    let mut greatest = 0;
    while reader.at < 8 * data.len() {
        assert_eq!(reader.bits(1), 0, "BFINAL");
        let (literals, distances) = match reader.bits(2) {
            0 => {
                let start = reader.at.div_ceil(8) + 4;
                let len = usize::from(data[start - 4]) | usize::from(data[start - 3]) << 8;
                out.extend(&data[start..start + len]);
                reader.at = 8 * (start + len);
                continue;
            }
            1 => {
                let literals = [(8, 144), (9, 112), (7, 24), (8, 8)];
                let literals = literals.into_iter().flat_map(|(len, count)| vec![len; count]);
                (Codes::new(&literals.collect::<Vec<_>>()), Codes::new(&[5; 30]))
            }
            _ => reader.header(),
        };
        loop {
            let symbol = reader.symbol(&literals);
            match symbol {
                0..256 => out.push(symbol as u8),
                256 => break,
                _ => {
                    let (len, extra) = LENGTHS[symbol - 257];
                    let len = len + reader.bits(extra);
                    let code = reader.symbol(&distances);
                    let extra = (code as u32 / 2).saturating_sub(1);
                    let base = if code < 2 { code + 1 } else { ((2 + code % 2) << extra) + 1 };
                    let distance = base + reader.bits(extra);
                    greatest = greatest.max(distance);
                    for _ in 0..len {
                        out.push(out[out.len() - distance]);
                    }
                }
            }
        }
    }
    greatest
}
