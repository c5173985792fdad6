//! Packing content as it goes: see [`super::forms`] for how often.
//!
//! The levels are where more time stops to pay, measured on pages, scripts and an index of 20 KiB
//! to 8 MiB (one core, to the size of the original): gzip 6 packs 60 to 110 MB/s to 9–34 %, brotli 5
//! 30 to 60 MB/s to 7–32 %, zstd 9 45 to 110 MB/s to 7–33 %. Up to two levels more save about a
//! percent of that and take up to twice as long; siblings are the place for the highest levels.

use std::io::{self, Read, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::options::codings::Coding;

const GZIP_LEVEL: u32 = 6;
const BROTLI_QUALITY: i32 = 5;
/// The window of this level is at most 4 MiB: within the 8 MiB that a client must have (RFC 9659).
const ZSTD_LEVEL: i32 = 9;

const BUFFER: usize = 64 * 1024;

/// After so many bytes brotli is made to write out what it has: otherwise it keeps several times of
/// what it has read in memory, and the result is no smaller for it.
const FLUSHED: usize = 1024 * 1024;

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

fn encode(coding: Coding, content: impl Read, len: usize, packed: &mut Bounded) -> io::Result<()> {
    match coding {
        Coding::Zstd => {
            let mut encoder = zstd::Encoder::new(packed, ZSTD_LEVEL)?;
            // The frame says its length, and its window is no larger than that.
            encoder.set_pledged_src_size(Some(len as u64))?;
            copy(content, len, &mut encoder)?;
            encoder.finish()?;
        }
        Coding::Brotli => {
            let params = BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                size_hint: len,
                ..BrotliEncoderParams::default()
            };
            let mut encoder = CompressorWriter::with_params(packed, BUFFER, &params);
            copy(content, len, &mut Flushing { encoder: &mut encoder, since: 0 })?;
            // What can't be written then is noticed by `packed`.
            encoder.into_inner();
        }
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(packed, Compression::new(GZIP_LEVEL));
            copy(content, len, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

/// Copies exactly `len` bytes.
fn copy(content: impl Read, len: usize, to: &mut impl Write) -> io::Result<()> {
    let mut content = content.take(len as u64);
    let mut buffer = vec![0; BUFFER.min(len)];
    let mut left = len;
    while left > 0 {
        let most = left.min(buffer.len());
        match content.read(&mut buffer[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                left -= count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A compressor that is made to write out what it has after every [`FLUSHED`] bytes.
struct Flushing<'a, W> {
    encoder: &'a mut W,
    since: usize,
}

impl<W: Write> Write for Flushing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.since >= FLUSHED {
            self.since = 0;
            self.encoder.flush()?;
        }
        let written = self.encoder.write(bytes)?;
        self.since += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
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
        let text = include_str!("pack.rs").as_bytes();
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
