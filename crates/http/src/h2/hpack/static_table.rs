//! The static table (RFC 7541, appendix A).

use super::field::Field;

/// The index of the last entry.
pub(super) const LAST: usize = 61;

/// The entries: the first one has the index 1.
const TEXT: [(&str, &str); LAST] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The entries by their index. Index 0 is not used.
static ENTRIES: [Field<'static>; LAST + 1] = entries();

const fn entries() -> [Field<'static>; LAST + 1] {
    let unused = Field { name: b"", value: b"", static_name: 0, is_from_table: true };
    let mut entries = [unused; LAST + 1];
    let (mut index, mut first) = (1, 0);
    while index <= LAST {
        let (name, value) = TEXT[index - 1];
        // Entries with the same name follow each other.
        if index == 1 || !is_same(name, TEXT[index - 2].0) {
            first = index as u8;
        }
        let (name, value) = (name.as_bytes(), value.as_bytes());
        entries[index] = Field { name, value, static_name: first, is_from_table: true };
        index += 1;
    }
    entries
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The entry with this index, which is at most [`LAST`].
#[inline]
pub(super) fn entry(index: usize) -> Field<'static> {
    ENTRIES[index]
}

/// For each hash of a name: the index of the first entry with that name. 0 for other hashes.
static BY_HASH: [u8; 256] = {
    let entries = entries();
    let (mut by_hash, mut index) = ([0; 256], 1);
    while index <= LAST {
        if entries[index].static_name as usize == index {
            let slot = &mut by_hash[hash(entries[index].name) as usize];
            assert!(*slot == 0, "two names have the same hash");
            *slot = index as u8;
        }
        index += 1;
    }
    by_hash
};

/// A hash that ignores case, and differs for all names of the table. The factors were found by
/// trying.
const fn hash(name: &[u8]) -> u8 {
    let [first, .., last] = *name else { return 0 };
    let (first, last) = ((first | 0x20).wrapping_mul(10), (last | 0x20).wrapping_mul(4));
    first.wrapping_add(last).wrapping_add(name.len() as u8)
}

/// The index of the first entry with this name, ignoring case.
pub(super) fn find_name(name: &[u8]) -> Option<usize> {
    let index = usize::from(BY_HASH[usize::from(hash(name))]);
    (index > 0 && is_name(name, ENTRIES[index].name)).then_some(index)
}

/// Whether `name` equals the name of an entry, ignoring case, without a branch per byte. `entry`
/// consists of lower-case letters, hyphens and colons. Of these, only letters have the bit 0x40.
/// For letters only, the comparison ignores the bit 0x20, which tells upper from lower case.
fn is_name(name: &[u8], entry: &[u8]) -> bool {
    let pairs = name.iter().zip(entry);
    let differences =
        pairs.fold(0, |found, (byte, letter)| found | (byte ^ letter) & !((letter & 0x40) >> 1));
    name.len() == entry.len() && differences == 0
}

/// The index of the entry with the value `value`, among those with the same name as entry `first`.
/// `first` must be the index of the first entry with that name.
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    let mut same_name =
        (first..=LAST).take_while(|index| usize::from(ENTRIES[*index].static_name) == first);
    same_name.find(|index| ENTRIES[*index].value == value)
}
