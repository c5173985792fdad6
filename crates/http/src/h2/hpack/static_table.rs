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

/// Length of the longest name, `access-control-allow-origin`.
const NAME_LEN_MAX: usize = 27;

/// The first entry of each name, sorted by the name's length: those of the length `n` are from
/// `STARTS[n]` to `STARTS[n + 1]`.
static BY_LEN: [u8; LAST] = BY_LEN_AND_STARTS.0;
static STARTS: [u8; NAME_LEN_MAX + 2] = BY_LEN_AND_STARTS.1;

const BY_LEN_AND_STARTS: ([u8; LAST], [u8; NAME_LEN_MAX + 2]) = {
    let entries = entries();
    let (mut by_len, mut starts) = ([0; LAST], [0; NAME_LEN_MAX + 2]);
    let (mut count, mut len) = (0, 0);
    while len <= NAME_LEN_MAX {
        starts[len] = count as u8;
        let mut index = 1;
        while index <= LAST {
            if entries[index].static_name as usize == index && entries[index].name.len() == len {
                by_len[count] = index as u8;
                count += 1;
            }
            index += 1;
        }
        len += 1;
    }
    starts[len] = count as u8;
    (by_len, starts)
};

/// The index of the first entry with this name, in any case.
pub(super) fn find_name(name: &[u8]) -> Option<usize> {
    if name.len() > NAME_LEN_MAX {
        return None;
    }
    let range = usize::from(STARTS[name.len()])..usize::from(STARTS[name.len() + 1]);
    let found = BY_LEN[range]
        .iter()
        .find(|index| name.eq_ignore_ascii_case(ENTRIES[usize::from(**index)].name));
    found.map(|index| usize::from(*index))
}

/// The index of the entry with this value, from `first` on, which is the first one with its name.
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    let mut same_name =
        (first..=LAST).take_while(|index| usize::from(ENTRIES[*index].static_name) == first);
    same_name.find(|index| ENTRIES[*index].value == value)
}
