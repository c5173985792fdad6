//! Classes of characters (RFC 9110, 5.5 and 5.6.2; RFC 3986, 2).

use std::net::Ipv6Addr;

// The classes: each is a bit in the entries of `CLASSES`.
const TOKEN: u8 = 1;
const QUERY: u8 = 2;
const HOST: u8 = 4;
const PATH: u8 = 8;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() {
            table[byte] = TOKEN | HOST;
        }
        // Targets may have more characters than RFC 3986 allows, because browsers don't
        // percent-encode `|`, `^`, braces and others. A '#' is refused: it begins a fragment, which
        // clients never send. A backslash in a path is refused: some systems treat it as a slash.
        if b.is_ascii_graphic() && b != b'#' {
            table[byte] |= QUERY;
            if b != b'?' && b != b'\\' {
                table[byte] |= PATH;
            }
        }
        byte += 1;
    }
    let table = add(table, b"!#$%&'*+-.^_`|~", TOKEN);
    // The characters of a registered name (RFC 3986, 3.2.2), except the comma. With a comma, the
    // value could be read as a list of hosts, and two parsers could choose different ones.
    add(table, b"-._~!$&'()*+;=%", HOST)
}

const fn add(mut table: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] |= class;
        at += 1;
    }
    table
}

/// Whether the byte can be part of a token (RFC 9110, 5.6.2). Names of methods and of fields are
/// tokens.
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// Whether the byte can be part of a request target before its query. If the target has an
/// authority, [`is_host`] checks it more strictly.
pub(crate) const fn is_path_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & PATH != 0
}

/// Whether the byte can be part of a query.
pub(crate) const fn is_query_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & QUERY != 0
}

/// Whether the bytes are a token (RFC 9110, 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether the byte can be part of a field's value: no control character except the tab.
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// Whether the bytes can be a field's value.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    value_len(bytes) == bytes.len()
}

/// The number of bytes at the start that can be part of a field's value.
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Long values, such as cookies, are checked in blocks of 32 bytes, because the compiler turns
    // such a loop into SIMD instructions.
    while let Some(block) = bytes[at..].first_chunk::<32>() {
        // No branches, so that all bytes of a SIMD register are checked at once.
        let bad = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
        if block.iter().fold(0, |sum, byte| sum | u8::from(bad(*byte))) != 0 {
            break;
        }
        at += block.len();
    }
    at + short_value_len(&bytes[at..])
}

/// As [`value_len`], for few bytes: checks eight at a time.
fn short_value_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let suspects = controls(u64::from_le_bytes(chunk.try_into().expect("a chunk of eight")));
        if suspects != 0 {
            let first = suspects.trailing_zeros() as usize / 8;
            if chunk[first] != b'\t' {
                return at + first;
            }
            if let Some(found) = chunk.iter().position(|byte| !is_value_byte(*byte)) {
                return at + found;
            }
        }
        at += 8;
    }
    let rest = chunks.remainder();
    at + rest.iter().position(|byte| !is_value_byte(*byte)).unwrap_or(rest.len())
}

/// Finds the first control character in eight bytes, of which the first is the lowest byte of
/// `word`. The result's lowest set bit is the high bit of that character's byte. Tabs count as
/// control characters. Higher bits of the result mean nothing, because a subtraction may borrow
/// from the next byte. The result is 0 if there is no control character.
const fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES * 0x80;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let zero_for_delete = word ^ (ONES * 0x7f);
    let delete = zero_for_delete.wrapping_sub(ONES) & !zero_for_delete;
    (below_space | delete) & HIGHS
}

/// The bytes without the spaces and tabs around them.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether the bytes are `uri-host [":" port]` (RFC 9110, 7.2). They may be empty, because a client
/// sends an empty `Host` if its target URI has no authority. A port without a host is refused (RFC
/// 9110, 4.2.1).
pub(crate) fn is_host(bytes: &[u8]) -> bool {
    let is_host_byte = |byte| CLASSES[byte as usize] & HOST != 0;
    let port = match bytes {
        [b'[', rest @ ..] => {
            let len = prefix_len(rest, |byte| is_host_byte(byte) || byte == b':');
            let (literal, rest) = rest.split_at(len);
            let is_ipv6 =
                str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
            match rest {
                [b']', port @ ..] if is_ipv6 || is_ip_future(literal) => port,
                _ => return false,
            }
        }
        [b':', ..] => return false,
        _ => {
            let (name, port) = bytes.split_at(prefix_len(bytes, is_host_byte));
            if !is_percent_encoded(name) {
                return false;
            }
            port
        }
    };
    // A port may be empty, and have leading zeros (RFC 3986, 3.2.3).
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => parse_number(digits).is_some_and(|port| port <= 65535),
        _ => false,
    }
}

/// Whether two hexadecimal digits follow each `%` (RFC 3986, 2.1).
fn is_percent_encoded(name: &[u8]) -> bool {
    let digits =
        |rest: &[u8]| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    memchr::memchr_iter(b'%', name).all(|at| digits(&name[at + 1..]))
}

/// The value of `1*DIGIT`; `None` for anything else, and for a value of more than 64 bits.
pub(crate) fn parse_number(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, byte: &u8| {
        let digit = char::from(*byte).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// Whether the bytes, which are host bytes or colons, are an address of a future version of IP (RFC
/// 3986, 3.2.2): `"v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
fn is_ip_future(bytes: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = bytes else { return false };
    let len = prefix_len(rest, |byte| byte.is_ascii_hexdigit());
    let Some(address) = rest[len..].strip_prefix(b".") else { return false };
    len > 0 && !address.is_empty() && !address.contains(&b'%')
}

/// The number of bytes at the start for which `class` returns true.
#[inline]
pub(crate) fn prefix_len(bytes: &[u8], class: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    // Checks four bytes per iteration, since most prefixes are longer than that.
    while let Some([a, b, c, d]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if !class(*a) {
            return at;
        }
        if !class(*b) {
            return at + 1;
        }
        if !class(*c) {
            return at + 2;
        }
        if !class(*d) {
            return at + 3;
        }
        at += 4;
    }
    while at < bytes.len() && class(bytes[at]) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn valid_and_invalid_hosts() {
        for good in [
            "",
            "a",
            "example.com",
            "example.com:",
            "example.com:80",
            "127.0.0.1:65535",
            "[::1]",
            "[::1]:8000",
            "[2001:DB8::ffff:1.2.3.4]",
            "[v1.x]",
            "[V1F.a:b-c~$]:80",
            "[vF.:]",
            "a:0",
            "a:00080",
            "a:000000000000080",
            "a:0000065535",
            "a%20b",
            "%C3%a9.example:80",
            "a%00",
            "a_b-c~d",
            "xn--bcher-kva.example",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a,b",
            "a b",
            "user@host",
            "a:b",
            "a:80:80",
            ":",
            ":80",
            "[::1",
            "::1",
            "[]",
            "[a]",
            "[:]",
            "[1.2.3.4]",
            "[1::2::3]",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "[v1a]",
            "[vg.a]",
            "[1.a]",
            "[v1.a%25]",
            "[v1.a,b]",
            "[v1.a",
            "[v1.[a]]",
            "[v1.a]b",
            "[v1.a]:65536",
            "v1.a:b",
            "a:65536",
            "a:99999",
            "[::1]:65536",
            "[::1]x",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "é",
            "a:123456",
            "a:0000065536",
            "a:4294967376",
            "a:99999999999999999999999999",
            "a:0x50",
            "%",
            "a%",
            "a%4",
            "a%zz",
            "a%4g:80",
            "a%4:80",
            "a%20%",
            "a%%20",
            "1.2.3.4%eth0",
            "[fe80::1%25eth0]",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_scan_finds_the_same_as_a_simple_one(
            bytes in proptest::collection::vec(
                prop_oneof![2 => any::<u8>(), 90 => 0x20u8..0x7f, 1 => Just(0x7f), 1 => Just(9)], 0..99),
        ) {
            let expected = bytes.iter().take_while(|byte| is_value_byte(**byte)).count();
            prop_assert_eq!(value_len(&bytes), expected);
        }
    }
}
