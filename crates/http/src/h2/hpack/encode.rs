//! From fields to header blocks (RFC 7541, 6).
//!
//! Each function appends to a block. Three of them concern the dynamic table: [`field_indexed`]
//! adds to it, [`indexed`] refers to it by an index from 62 on, and [`table_size`] changes its
//! size. A block that does none of the three can be prepared once, and sent on any connection in
//! any order.

use super::{huffman, integer, static_table};

/// The index of the name `:status` in the static table.
const STATUS: usize = 8;

/// The indices of fields with secrets of users: `authorization`, `cookie`, `proxy-authorization`
/// and `set-cookie`. These fields are marked as never indexed, so that no proxy that forwards them
/// in HTTP/2 puts them into a dynamic table. There, an attacker could guess a value: a field with
/// the right guess takes fewer bytes (RFC 7541, 7.1). Other servers mark only short cookies, as
/// long ones are hard to guess. That would save nothing here: a literal has the same length with
/// the mark and without.
const SECRET: [usize; 4] = [23, 32, 49, 55];

/// Appends a field whose name and value are both in a table (RFC 7541, 6.1). Indices from 62 on are
/// those of the dynamic table.
pub(crate) fn indexed(index: usize, out: &mut Vec<u8>) {
    integer::encode(0x80, 7, index, out);
}

/// Appends a change of the dynamic table's maximum size (RFC 7541, 6.3). It must come first in a
/// block.
pub(crate) fn table_size(size: usize, out: &mut Vec<u8>) {
    integer::encode(0x20, 5, size, out);
}

/// Appends the status of a response. `code` has three digits.
pub(crate) fn status(code: u16, out: &mut Vec<u8>) {
    let index = match code {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |place: u16| b'0' + (code / place % 10) as u8;
            out.extend_from_slice(&[STATUS as u8, 3, digit(100), digit(10), digit(1)]);
            return;
        }
    };
    indexed(index, out);
}

/// Appends a field that the peer doesn't insert into its table: an entry of the static table, or a
/// literal (RFC 7541, 6.2.2 and 6.2.3). The name is converted to lower case. With `is_huffman`,
/// strings are Huffman-coded where this makes them shorter.
pub(crate) fn field(name: &[u8], value: &[u8], is_huffman: bool, out: &mut Vec<u8>) {
    let name_index = static_table::find_name(name);
    if let Some(index) = name_index.and_then(|first| static_table::find_value(first, value)) {
        return indexed(index, out);
    }
    let is_secret = name_index.is_some_and(|index| SECRET.contains(&index));
    let first = if is_secret { 0x10 } else { 0x00 };
    integer::encode(first, 4, name_index.unwrap_or(0), out);
    literal(name_index, name, value, is_huffman, out);
}

/// Appends a field that the peer inserts into its dynamic table, where it gets the index 62 (RFC
/// 7541, 6.2.1). The name is converted to lower case.
pub(crate) fn field_indexed(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let name_index = static_table::find_name(name);
    integer::encode(0x40, 6, name_index.unwrap_or(0), out);
    literal(name_index, name, value, true, out);
}

/// Appends the strings of a literal: its name, unless `name_index` gives it, and its value.
fn literal(
    name_index: Option<usize>,
    name: &[u8],
    value: &[u8],
    is_huffman: bool,
    out: &mut Vec<u8>,
) {
    if name_index.is_none() {
        string(name.iter().map(u8::to_ascii_lowercase), is_huffman, out);
    }
    string(value.iter().copied(), is_huffman, out);
}

/// Appends a string (RFC 7541, 5.2).
fn string(bytes: impl ExactSizeIterator<Item = u8> + Clone, is_huffman: bool, out: &mut Vec<u8>) {
    let len = bytes.len();
    if is_huffman {
        let encoded_len = huffman::encoded_len(bytes.clone());
        if encoded_len < len {
            integer::encode(0x80, 7, encoded_len, out);
            return huffman::encode(bytes, out);
        }
    }
    integer::encode(0x00, 7, len, out);
    out.extend(bytes);
}
