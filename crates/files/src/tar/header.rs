//! The headers of a tar archive: ustar (POSIX.1-1988), preceded by a pax header (POSIX.1-2001) if
//! the name or the size doesn't fit, or if the name is UTF-8 but not ASCII.
//!
//! The user and the group are always 0, and the mode is 644, or 755 for folders, so that the same
//! entry always has the same header.

use crate::store::traits::Kind;

/// The block size of an archive, in bytes: headers and contents are padded to whole blocks.
pub(crate) const BLOCK: u64 = 512;
/// The length of the end of an archive, in bytes: two blocks of zeros.
pub(crate) const END_LEN: u64 = 2 * BLOCK;

/// The longest name in a ustar header, in bytes.
const MAX_NAME_LEN: usize = 100;
/// The largest number in a size or time field of a ustar header: eleven octal digits. As a size, it
/// is one byte less than 8 GiB.
const MAX_NUMBER: u64 = 0o777_7777_7777;

/// One entry of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The path in the archive; a folder's path ends with a slash.
    pub(crate) name: &'a [u8],
    pub(crate) kind: Kind,
    /// The length of the content, in bytes; 0 for a folder.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

impl Entry<'_> {
    /// The length of the entry's headers, in bytes.
    pub(crate) fn header_len(&self) -> u64 {
        match self.pax_len() {
            0 => BLOCK,
            len => BLOCK + round_up(len as u64) + BLOCK,
        }
    }

    /// The length of the entry's headers, content and padding, in bytes.
    pub(crate) fn len(&self) -> u64 {
        // A file has less than 2⁶³ bytes, so this doesn't overflow.
        self.header_len().saturating_add(round_up(self.size))
    }

    /// Appends the entry's headers to `out`.
    pub(crate) fn write_header(&self, out: &mut Vec<u8>) {
        let records = self.records();
        if records.is_empty() {
            return out.extend_from_slice(&header_block(
                self.name,
                self.type_flag(),
                self.size,
                self.modified,
            ));
        }
        out.extend_from_slice(&header_block(
            b"././@PaxHeader",
            b'x',
            records.len() as u64,
            self.modified,
        ));
        out.extend_from_slice(&records);
        let padding = round_up(records.len() as u64) as usize - records.len();
        out.resize(out.len() + padding, 0);
        // An approximate name, for programs that don't support pax headers.
        let mut ascii_name = self.name.to_vec();
        ascii_name.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'_');
        if ascii_name.len() > MAX_NAME_LEN {
            ascii_name.truncate(MAX_NAME_LEN - 1);
            ascii_name.push(if self.kind == Kind::Folder { b'/' } else { b'_' });
        }
        // A size that doesn't fit is in the pax header.
        let size = if self.size > MAX_NUMBER { 0 } else { self.size };
        out.extend_from_slice(&header_block(&ascii_name, self.type_flag(), size, self.modified));
    }

    fn type_flag(&self) -> u8 {
        match self.kind {
            Kind::Folder => b'5',
            Kind::File => b'0',
        }
    }

    /// The length of [`Entry::records`], without building them.
    fn pax_len(&self) -> usize {
        let mut len = 0;
        self.each_record(|key, value| len += record_len(key, value));
        len
    }

    /// The pax records that the entry needs; empty if it needs no pax header.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        self.each_record(|key, value| {
            records.extend_from_slice(record_len(key, value).to_string().as_bytes());
            for part in [b" ", key, b"=", value, b"\n"] {
                records.extend_from_slice(part);
            }
        });
        records
    }

    /// Calls `each` with the key and the value of each pax record that the entry needs.
    fn each_record(&self, mut each: impl FnMut(&[u8], &[u8])) {
        let is_utf8 = std::str::from_utf8(self.name).is_ok();
        let is_large = self.size > MAX_NUMBER;
        // pax names are UTF-8, unless the record `hdrcharset=BINARY` precedes them. A name that is
        // not UTF-8 is in a pax header only if the entry needs one anyway: the name or the size
        // doesn't fit into the ustar header.
        let needs_path = !self.name.is_ascii() && (is_utf8 || is_large);
        if self.name.len() > MAX_NAME_LEN || needs_path {
            if !is_utf8 {
                each(b"hdrcharset", b"BINARY");
            }
            each(b"path", self.name);
        }
        if is_large {
            each(b"size", self.size.to_string().as_bytes());
        }
    }
}

/// The length of the pax record `LEN key=value\n`, in which `LEN` is this length.
fn record_len(key: &[u8], value: &[u8]) -> usize {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + decimal_digits(len) != len {
        len = rest + decimal_digits(len);
    }
    len
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Rounds a length in bytes up to whole blocks.
pub(crate) fn round_up(len: u64) -> u64 {
    len.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// One header block (POSIX ustar). A name that is too long is truncated, and a time that doesn't
/// fit is clamped. `size` must be at most [`MAX_NUMBER`].
fn header_block(name: &[u8], type_flag: u8, size: u64, modified: i64) -> [u8; BLOCK as usize] {
    let mode = if type_flag == b'5' { 0o755 } else { 0o644 };
    let modified = u64::try_from(modified).unwrap_or(0).min(MAX_NUMBER);
    let mut block = [0; BLOCK as usize];
    let name = &name[..name.len().min(MAX_NAME_LEN)];
    block[..name.len()].copy_from_slice(name);
    write_octal(&mut block[100..108], mode);
    // The numbers of the user and of the group.
    write_octal(&mut block[108..116], 0);
    write_octal(&mut block[116..124], 0);
    write_octal(&mut block[124..136], size);
    write_octal(&mut block[136..148], modified);
    // The checksum counts its own field as spaces.
    block[148..156].fill(b' ');
    block[156] = type_flag;
    // The format: "ustar" with a NUL, then the version, "00".
    block[257..265].copy_from_slice(b"ustar\x0000");
    // The major and minor numbers of a device file. The archive has no device files.
    write_octal(&mut block[329..337], 0);
    write_octal(&mut block[337..345], 0);
    let sum = block.iter().map(|byte| u64::from(*byte)).sum();
    write_octal(&mut block[148..155], sum);
    block
}

/// Fills `field` with octal digits and a final NUL.
fn write_octal(field: &mut [u8], mut number: u64) {
    let Some((end, digits)) = field.split_last_mut() else { return };
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 8) as u8;
        number /= 8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &[u8], size: u64) -> Entry<'_> {
        Entry { name, kind: Kind::File, size, modified: 1_000_000_000 }
    }

    #[test]
    fn long_and_non_ascii_names_have_a_pax_header() {
        for (name, blocks) in [
            (&b"a"[..], 1),
            (&[b'a'; 100], 1),
            (&[b'a'; 101], 3),
            ("é".as_bytes(), 3),
            (b"latin\xe9", 1),
            (&[b'a'; 600], 4),
            (&[0xe9; 101], 3),
        ] {
            assert_eq!(entry(name, 0).header_len(), blocks * BLOCK, "{name:?}");
        }
        assert_eq!(entry(b"a", MAX_NUMBER).header_len(), BLOCK);
        assert_eq!(entry(b"a", MAX_NUMBER + 1).header_len(), 3 * BLOCK);
    }

    #[test]
    fn a_name_that_is_not_utf_8_stays_exact_if_the_size_needs_a_pax_header() {
        let mut out = Vec::new();
        entry(b"latin\xe9", MAX_NUMBER + 1).write_header(&mut out);
        let mut archive = tar::Archive::new(&out[..]);
        let read = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((&*read.path_bytes(), read.size()), (&b"latin\xe9"[..], MAX_NUMBER + 1));
    }

    #[test]
    fn record_lengths_include_their_own_digits() {
        for value in 0..2000 {
            let value = vec![b'x'; value];
            let len = record_len(b"path", &value);
            assert_eq!(len, len.to_string().len() + " path=\n".len() + value.len());
        }
    }

    #[test]
    fn headers_have_the_exact_ustar_bytes() {
        let mut out = Vec::new();
        entry(b"docs/a.txt", 10).write_header(&mut out);
        let expected: &[(usize, &[u8])] = &[
            (0, b"docs/a.txt\0"),
            (100, b"0000644\x000000000\x000000000\x0000000000012\x0007346545000\0"),
            (156, b"0\0"),
            (257, b"ustar\x0000\0"),
            (329, b"0000000\x000000000\0"),
        ];
        for (at, bytes) in expected {
            assert_eq!(&out[*at..*at + bytes.len()], *bytes, "{at}");
        }
        let sum: u64 = out.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = out[148..156].iter().map(|byte| u64::from(*byte)).sum();
        let written = std::str::from_utf8(&out[148..154]).unwrap();
        assert_eq!(u64::from_str_radix(written, 8), Ok(sum - own + 8 * 32));
    }

    proptest! {
        #[test]
        fn headers_have_the_computed_length_and_parse(
            name in "[a-zé/]{1,20}|[a-z]{90,300}|[é]{40,60}",
            size in prop_oneof![0u64..100_000, MAX_NUMBER - 3..MAX_NUMBER + 3, Just(1 << 50)],
            modified in prop_oneof![0i64..3_000_000_000, Just(-5), Just(i64::MAX)],
            folder: bool,
        ) {
            let name = format!("x{}", name.replace('/', "-"));
            let name = if folder { format!("{name}/") } else { name };
            let (kind, size) = if folder { (Kind::Folder, 0) } else { (Kind::File, size) };
            let entry = Entry { name: name.as_bytes(), kind, size, modified };
            let mut out = Vec::new();
            entry.write_header(&mut out);
            prop_assert_eq!(out.len() as u64, entry.header_len());
            let mut archive = tar::Archive::new(&out[..]);
            let read = archive.entries().unwrap().next().unwrap().unwrap();
            prop_assert_eq!(&*read.path_bytes(), name.as_bytes());
            prop_assert_eq!(read.size(), size);
            let expected = u64::try_from(modified).unwrap_or(0).min(MAX_NUMBER);
            prop_assert_eq!(read.header().mtime().unwrap(), expected);
            prop_assert_eq!(read.header().entry_type().is_dir(), folder);
        }
    }
}
