//! Packing content as it goes: see [`super::compressed_cache`] for how often.

use std::io::{self, Read, Write};

use super::codec::encode;
use crate::options::codings::Coding;

/// Packs `content`, which is `len` bytes long. `None` where that saves less than a sixteenth: the
/// client would decode for nothing.
///
/// # Errors
///
/// When the content can't be read, is not that long, or there is no memory for an encoder.
pub(crate) fn pack(coding: Coding, content: impl Read, len: usize) -> io::Result<Option<Vec<u8>>> {
    let mut packed = Bounded { bytes: Vec::new(), most: longest(len), full: false, failed: false };
    let result = encode(coding, content, len, &mut packed);
    if packed.full {
        return Ok(None);
    }
    if packed.failed {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    result?;
    packed.bytes.shrink_to_fit();
    Ok(Some(packed.bytes))
}

/// The longest form of `len` bytes that is worth sending.
pub(crate) const fn longest(len: usize) -> usize {
    len - len / 16
}

/// Bytes up to a limit; beyond it, or where there is no memory, writing fails.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    full: bool,
    /// There was no memory for them.
    failed: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full || self.bytes.len() + bytes.len() > self.most {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.bytes.try_reserve(bytes.len()).is_err() {
            self.failed = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Packed however little that saves.
#[cfg(test)]
pub(crate) fn packed(coding: Coding, content: &[u8]) -> Vec<u8> {
    let mut packed = Bounded { bytes: Vec::new(), most: usize::MAX, full: false, failed: false };
    encode(coding, content, content.len(), &mut packed).expect("memory for an encoder");
    packed.bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::unpack;

    #[test]
    fn text_gets_smaller_and_comes_back() {
        let text = include_str!("compress.rs").as_bytes();
        for coding in Coding::ALL {
            let packed = pack(coding, text, text.len()).unwrap().expect("it is worth it");
            assert!(packed.len() < text.len() / 2, "{coding:?}: {}", packed.len());
            assert_eq!(unpack(coding.name(), &packed), text, "{coding:?}");
        }
    }

    #[test]
    fn what_gets_no_smaller_is_not_packed() {
        // Each byte depends on all before it: nothing repeats for long.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(100_000)
        .collect();
        for coding in Coding::ALL {
            assert_eq!(pack(coding, &*noise, noise.len()).unwrap(), None, "{coding:?}");
            assert_eq!(pack(coding, &b"x"[..], 1).unwrap(), None, "{coding:?}");
            assert_eq!(pack(coding, &b""[..], 0).unwrap(), None, "{coding:?}");
        }
    }

    #[test]
    fn content_that_is_shorter_than_was_said_is_an_error() {
        let text = "text ".repeat(1000);
        for coding in Coding::ALL {
            let error = pack(coding, text.as_bytes(), text.len() + 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{coding:?}");
            // What grew is packed as long as it was: its identity will tell.
            assert!(pack(coding, text.as_bytes(), text.len() - 1).unwrap().is_some());
        }
    }
}
