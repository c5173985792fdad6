//! Compresses content on demand. [`super::compressed_cache`] keeps the results.

use std::io::{self, Read, Write};

use super::codec::encode;
use crate::options::codings::Coding;

/// Compresses `content`, which is `len` bytes long. `None` if compression saves less than a
/// sixteenth: a smaller saving is not worth the client's work of decompressing.
///
/// # Errors
///
/// When the content can't be read or is shorter than `len`, or there is no memory for an encoder or
/// its output.
pub(crate) fn compress(
    coding: Coding,
    content: impl Read,
    len: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut output =
        BoundedBuffer { bytes: Vec::new(), max_len: max_compressed_len(len), error: None };
    let result = encode(coding, content, len, &mut output);
    match output.error {
        Some(io::ErrorKind::StorageFull) => return Ok(None),
        Some(error) => return Err(error.into()),
        None => result?,
    }
    output.bytes.shrink_to_fit();
    Ok(Some(output.bytes))
}

/// The longest result of compressing `len` bytes that is worth sending.
pub(crate) const fn max_compressed_len(len: usize) -> usize {
    len - len / 16
}

/// A buffer for up to `max_len` bytes. A write fails if the buffer would be longer, or if there is
/// no memory.
#[derive(Debug)]
struct BoundedBuffer {
    bytes: Vec<u8>,
    max_len: usize,
    /// The error of the first write that failed, kept here because not every encoder returns it.
    error: Option<io::ErrorKind>,
}

impl Write for BoundedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none() && self.bytes.len() + bytes.len() > self.max_len {
            self.error = Some(io::ErrorKind::StorageFull);
        } else if self.error.is_none() && self.bytes.try_reserve(bytes.len()).is_err() {
            self.error = Some(io::ErrorKind::OutOfMemory);
        }
        if let Some(error) = self.error {
            return Err(error.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::decompress;

    #[test]
    fn compressed_text_is_smaller_and_decompresses() {
        let text = include_str!("compress.rs").as_bytes();
        for coding in Coding::ALL {
            let compressed = compress(coding, text, text.len()).unwrap().expect("it is worth it");
            assert!(compressed.len() < text.len() / 2, "{coding:?}: {}", compressed.len());
            assert_eq!(decompress(coding.name(), &compressed), text, "{coding:?}");
        }
    }

    #[test]
    fn incompressible_content_is_not_compressed() {
        // Pseudo-random bytes, which no encoder can make shorter.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(100_000)
        .collect();
        for coding in Coding::ALL {
            assert_eq!(compress(coding, &*noise, noise.len()).unwrap(), None, "{coding:?}");
            assert_eq!(compress(coding, &b"x"[..], 1).unwrap(), None, "{coding:?}");
            assert_eq!(compress(coding, &b""[..], 0).unwrap(), None, "{coding:?}");
        }
    }

    #[test]
    fn content_shorter_than_its_stated_length_is_an_error() {
        let text = "text ".repeat(1000);
        for coding in Coding::ALL {
            let error = compress(coding, text.as_bytes(), text.len() + 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{coding:?}");
            // If the content grew, only the stated length is compressed. Callers notice the growth:
            // the file's size and times have changed.
            assert!(compress(coding, text.as_bytes(), text.len() - 1).unwrap().is_some());
        }
    }
}
