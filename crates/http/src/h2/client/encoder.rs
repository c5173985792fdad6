//! The heads of requests, prepared once, and their encoding on one connection (RFC 7541).

use crate::h2::hpack::encode;

/// The default size of a server's dynamic table (RFC 9113, 6.5.2). A larger one is never used.
const TABLE_SIZE: usize = 4096;
/// The size of an entry is the lengths of its name and value, plus this (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// The index of the newest entry of the dynamic table.
const FIRST_DYNAMIC: usize = 62;

/// The heads of requests that are sent over and over, for any number of connections.
///
/// As many different fields as fit into a dynamic table of 4 KiB are inserted into it, so nothing
/// is ever evicted. The other fields, and fields with secrets such as cookies, are literals in each
/// request, unless the static table has the whole field.
#[derive(Clone, Debug, Default)]
pub struct RequestHeads {
    heads: Vec<PreparedHead>,
    /// The fields that are inserted into the dynamic table. A [`Part::Entry`] is an index into
    /// them.
    entries: Vec<Entry>,
    /// The size of a dynamic table with all entries.
    table_size: usize,
}

/// The head of a request, as the parts of a header block.
#[derive(Clone, Debug)]
pub(super) struct PreparedHead {
    parts: Box<[Part]>,
    /// Whether the method is HEAD.
    pub(super) is_head: bool,
}

/// A part of a header block.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Entries of the static table, and literals.
    Bytes(Vec<u8>),
    /// A field of the dynamic table, as an index into [`RequestHeads`]'s entries.
    Entry(u16),
}

/// A field of the dynamic table.
#[derive(Clone, Debug)]
struct Entry {
    /// The field as a literal that inserts it.
    insertion: Box<[u8]>,
    /// The field as a literal that doesn't insert it.
    literal: Box<[u8]>,
}

impl RequestHeads {
    /// Adds the head of a request, and returns its number. `fields` follow the pseudo-header
    /// fields. The caller has checked their characters, and that none of them is about an HTTP/1.1
    /// connection, such as `Connection`. Names are converted to lower case.
    pub fn add(
        &mut self,
        method: &str,
        scheme: &str,
        authority: &str,
        path: &str,
        fields: &[(&str, &[u8])],
    ) -> usize {
        let pseudo = [
            (":method", method.as_bytes()),
            (":scheme", scheme.as_bytes()),
            (":authority", authority.as_bytes()),
            (":path", path.as_bytes()),
        ];
        let mut parts = Vec::new();
        for (name, value) in pseudo.iter().chain(fields) {
            match (self.part(name.as_bytes(), value), parts.last_mut()) {
                (Part::Bytes(bytes), Some(Part::Bytes(before))) => before.extend(bytes),
                (part, _) => parts.push(part),
            }
        }
        self.heads.push(PreparedHead { parts: parts.into(), is_head: method == "HEAD" });
        self.heads.len() - 1
    }

    /// A field as a part of a header block: an entry if it may be inserted and there is room for
    /// it, otherwise its bytes.
    fn part(&mut self, name: &[u8], value: &[u8]) -> Part {
        let mut literal = Vec::new();
        // `true`: with Huffman coding.
        encode::field(name, value, true, &mut literal);
        // One of the first four bits is set for entries of the static table and for secrets.
        // Neither is inserted.
        if literal[0] & 0xf0 != 0 {
            return Part::Bytes(literal);
        }
        let known = self.entries.iter().position(|entry| *entry.literal == *literal);
        let size = name.len() + value.len() + OVERHEAD;
        if known.is_none() && self.table_size + size > TABLE_SIZE {
            return Part::Bytes(literal);
        }
        let at = known.unwrap_or_else(|| {
            let mut insertion = Vec::new();
            encode::field_indexed(name, value, &mut insertion);
            self.table_size += size;
            self.entries.push(Entry { insertion: insertion.into(), literal: literal.into() });
            self.entries.len() - 1
        });
        // A dynamic table has room for at most 128 entries.
        Part::Entry(at as u16)
    }

    pub(super) fn get(&self, number: usize) -> &PreparedHead {
        &self.heads[number]
    }
}

/// The encoder of one connection.
#[derive(Debug)]
pub(super) struct Encoder {
    /// For each entry, its place in the order of insertion, counted from 1; 0 if it was not
    /// inserted.
    inserted: Vec<u8>,
    /// The number of inserted entries.
    count: u8,
    /// The maximum size of the dynamic table that was last announced to the server.
    announced_size: usize,
    /// The smallest of `announced_size` and the sizes that the server has allowed since.
    smallest_size: usize,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            inserted: Vec::new(),
            count: 0,
            announced_size: TABLE_SIZE,
            smallest_size: TABLE_SIZE,
        }
    }

    /// Limits the dynamic table to `size` bytes, as the server's settings say.
    pub(super) fn limit_table_size(&mut self, size: u32) {
        self.smallest_size = self.smallest_size.min(size as usize);
    }

    /// Appends the header block of the request with this number (see [`RequestHeads::add`]).
    #[inline]
    pub(super) fn encode(&mut self, heads: &RequestHeads, number: usize, out: &mut Vec<u8>) {
        if self.smallest_size < self.announced_size {
            self.announce_size(heads, out);
        }
        let fits = heads.table_size <= self.announced_size;
        for part in &heads.heads[number].parts {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Entry(at) => {
                    let at = usize::from(*at);
                    match self.inserted.get(at).copied().unwrap_or_default() {
                        0 => self.insert(heads, at, fits, out),
                        nth => {
                            encode::indexed(FIRST_DYNAMIC + usize::from(self.count - nth), out);
                        }
                    }
                }
            }
        }
    }

    /// Appends the field of entry `at`, which is not in the dynamic table yet. `fits`: whether all
    /// entries fit into the table. Only then is the field inserted.
    #[cold]
    fn insert(&mut self, heads: &RequestHeads, at: usize, fits: bool, out: &mut Vec<u8>) {
        let entry = &heads.entries[at];
        if !fits {
            return out.extend_from_slice(&entry.literal);
        }
        out.extend_from_slice(&entry.insertion);
        self.inserted.resize(heads.entries.len(), 0);
        self.count += 1;
        self.inserted[at] = self.count;
    }

    /// Begins a block with the new size of the table, after the server has lowered its limit (RFC
    /// 7541, 4.2). If not all entries fit into the new size, the table is emptied and not used any
    /// more.
    #[cold]
    fn announce_size(&mut self, heads: &RequestHeads, out: &mut Vec<u8>) {
        let fits = heads.table_size <= self.smallest_size;
        let size = if fits { self.smallest_size } else { 0 };
        if !fits {
            self.inserted.clear();
        }
        encode::table_size(size, out);
        (self.announced_size, self.smallest_size) = (size, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h2::hpack::Decoder;

    /// The fields of the block.
    fn decode(decoder: &mut Decoder, block: &[u8]) -> Vec<String> {
        let mut fields = Vec::new();
        let text = String::from_utf8_lossy;
        let take = |field: crate::h2::hpack::Field<'_>| {
            fields.push(format!("{}={}", text(field.name), text(field.value)));
            true
        };
        decoder.decode(block, &mut Vec::new(), take).unwrap();
        fields
    }

    fn encode(encoder: &mut Encoder, heads: &RequestHeads, number: usize) -> Vec<u8> {
        let mut block = Vec::new();
        encoder.encode(heads, number, &mut block);
        block
    }

    /// The heads of two requests, the second with a cookie, and the fields to which each decodes.
    fn pages() -> (RequestHeads, [Vec<&'static str>; 2]) {
        let mut heads = RequestHeads::default();
        let agent: (&str, &[u8]) = ("User-Agent", b"test");
        heads.add("GET", "http", "localhost:80", "/a", &[agent]);
        heads.add("GET", "http", "localhost:80", "/b", &[agent, ("cookie", b"x=y")]);
        let fields = |path, more: &[&'static str]| {
            let all = [":method=GET", ":scheme=http", ":authority=localhost:80", path];
            [&all[..], &["user-agent=test"], more].concat()
        };
        (heads, [fields(":path=/a", &[]), fields(":path=/b", &["cookie=x=y"])])
    }

    #[test]
    fn the_first_request_inserts_its_fields_and_later_ones_are_a_few_bytes() {
        let (heads, fields) = pages();
        for order in [[0, 1, 0, 1], [1, 0, 0, 1]] {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for (at, number) in order.into_iter().enumerate() {
                let block = encode(&mut encoder, &heads, number);
                assert_eq!(decode(&mut decoder, &block), fields[number]);
                // A cookie is a secret: a literal that is never inserted.
                let len = [5, 5 + 6][number];
                assert!(at < 2 || block.len() == len, "{}: {block:x?}", block.len());
            }
        }
    }

    #[test]
    fn a_server_that_lowers_the_size_of_its_table_is_followed() {
        let (heads, fields) = pages();
        // In the first two rows, all entries fit; in the third, they don't; in the fourth, the
        // limit was raised again before the next block.
        for (sizes, update, len) in [
            (&[1000][..], 1000, 5),
            (&[4096, 65_536], 4096, 5),
            (&[100], 0, 20),
            (&[0, 4096], 0, 20),
        ] {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            let block = encode(&mut encoder, &heads, 0);
            assert_eq!(decode(&mut decoder, &block), fields[0]);
            sizes.iter().for_each(|size| encoder.limit_table_size(*size));
            let mut expected = Vec::new();
            if update < 4096 {
                encode::table_size(update, &mut expected);
            }
            for _ in 0..2 {
                let block = encode(&mut encoder, &heads, 0);
                assert!(block.starts_with(&expected), "{sizes:?}: {block:x?}");
                assert_eq!(decode(&mut decoder, &block), fields[0], "{sizes:?}");
                let rest = block.len() - expected.len();
                assert!((len..len + 10).contains(&rest), "{sizes:?}: {rest}");
                expected.clear();
            }
        }
    }

    #[test]
    fn fields_that_the_table_has_no_room_for_are_literals() {
        let mut heads = RequestHeads::default();
        let paths: Vec<_> = (0..200).map(|number| format!("/page-{number}")).collect();
        for path in &paths {
            heads.add("GET", "https", "localhost", path, &[]);
        }
        assert!((4000..=4096).contains(&heads.table_size), "{}", heads.table_size);
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for _ in 0..2 {
            for (number, path) in paths.iter().enumerate() {
                let block = encode(&mut encoder, &heads, number);
                let path = format!(":path={path}");
                let fields = [":method=GET", ":scheme=https", ":authority=localhost", &path];
                assert_eq!(decode(&mut decoder, &block), fields);
            }
        }
    }
}
