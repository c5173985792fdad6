//! Compares compressed content with the original: decodes up to 64 KiB, reads as many bytes of the
//! original, compares the two, and repeats this.
//!
//! Whatever the sizes, this takes the memory of three buffers and of the decoder's window, which
//! each coding limits, and it stops at the first difference. Compressed content that browsers don't
//! decode counts as different, even if tools decode it: zstd with a larger window than RFC 9659
//! allows, a large-window brotli stream, a second gzip member or zstd frame after the first.

use std::fmt;
use std::io::{self, Read};

use super::codec::Decoder;
use crate::options::codings::Coding;

const BUFFER: usize = 64 * 1024;

/// The result of comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Same,
    /// More bytes than the limit were the same. Those that follow were not compared.
    SameUpToLimit,
    Differs(Mismatch),
}

/// What is wrong with compressed content. [`fmt::Display`] writes it as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mismatch {
    OtherContent,
    Longer,
    Shorter,
    Corrupt,
    Truncated,
    /// Bytes follow the end of the compressed content.
    TrailingData,
    /// Only the beginning was compared, and the compressed file is older than the original.
    Older,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherContent => "it decompresses to another content",
            Self::Longer => "it decompresses to more than the file",
            Self::Shorter => "it decompresses to less than the file",
            Self::Corrupt => "browsers can't decompress it",
            Self::Truncated => "it is truncated",
            Self::TrailingData => "there is data after its end",
            Self::Older => "it is older than the file, and too large to compare",
        })
    }
}

/// Decodes `compressed` and compares the result with `original`: to the end, until the first
/// difference, or until more than `limit` bytes were the same.
///
/// # Errors
///
/// When `compressed` or `original` can't be read, or there is no memory for a decoder.
pub(crate) fn compare(
    coding: Coding,
    mut compressed: impl Read,
    mut original: impl Read,
    limit: u64,
) -> io::Result<Comparison> {
    let mut decoder = Decoder::new(coding)?;
    let mut input = vec![0; BUFFER];
    let mut output = vec![0; BUFFER];
    let mut expected = vec![0; BUFFER];
    let (mut start, mut end, mut eof) = (0, 0, false);
    let mut compared = 0_u64;
    let mismatch = loop {
        if start == end && !eof {
            (start, end) = (0, compressed.read(&mut input)?);
            eof = end == 0;
        }
        let Some(step) = decoder.step(&input[start..end], &mut output) else {
            break Mismatch::Corrupt;
        };
        start += step.consumed;
        let expected = &mut expected[..step.produced];
        let count = fill(&mut original, expected)?;
        if output[..count] != expected[..count] {
            break Mismatch::OtherContent;
        }
        if count < step.produced {
            break Mismatch::Longer;
        }
        compared += count as u64;
        if step.done {
            if start < end || !(eof || compressed.read(&mut input)? == 0) {
                break Mismatch::TrailingData;
            }
            if original.read(&mut output)? > 0 {
                break Mismatch::Shorter;
            }
            return Ok(Comparison::Same);
        }
        if compared > limit {
            return Ok(Comparison::SameUpToLimit);
        }
        if eof && step.produced == 0 {
            break Mismatch::Truncated;
        }
        if (step.consumed, step.produced) == (0, 0) && start < end {
            // The decoder did nothing, although it has input and space for output: the loop would
            // not end. No decoder should behave like this.
            break Mismatch::Corrupt;
        }
    };
    Ok(Comparison::Differs(mismatch))
}

/// Reads from `source` until `buffer` is full or `source` ends. Returns the number of bytes.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::coding::codec::ZSTD_WINDOW_LOG;
    use crate::tests::compressed;

    fn compare_bytes(coding: Coding, compressed: &[u8], original: &[u8]) -> Comparison {
        compare(coding, compressed, original, u64::MAX).unwrap()
    }

    /// Text that compresses well and is longer than the buffers.
    fn text() -> Vec<u8> {
        (0..40_000).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
    }

    #[test]
    fn each_mismatch_with_the_original_is_named() {
        let original = text();
        let mut other = original.clone();
        *other.last_mut().unwrap() ^= 1;
        for coding in Coding::ALL {
            let whole = compressed(coding, &original);
            let compare_with = |bytes: &[u8]| compare_bytes(coding, bytes, &original);
            assert_eq!(compare_with(&whole), Comparison::Same, "{coding:?}");
            for (bytes, expected) in [
                (compressed(coding, &other), Mismatch::OtherContent),
                (compressed(coding, &[&*original, b"!"].concat()), Mismatch::Longer),
                (compressed(coding, &original[..original.len() - 1]), Mismatch::Shorter),
                (compressed(coding, b""), Mismatch::Shorter),
                (whole[..whole.len() - 1].to_vec(), Mismatch::Truncated),
                (whole[..whole.len() / 2].to_vec(), Mismatch::Truncated),
                (Vec::new(), Mismatch::Truncated),
                ([&*whole, b"\n"].concat(), Mismatch::TrailingData),
                ([&*whole, &*whole].concat(), Mismatch::TrailingData),
                ([&*whole, &*compressed(coding, b"")].concat(), Mismatch::TrailingData),
                (vec![0xff; 100], Mismatch::Corrupt),
            ] {
                assert_eq!(compare_with(&bytes), Comparison::Differs(expected), "{coding:?}");
            }
        }
    }

    #[test]
    fn contents_at_buffer_boundaries_compare_equal() {
        for len in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER] {
            let original = vec![b'x'; len];
            for coding in Coding::ALL {
                let compressed = compressed(coding, &original);
                assert_eq!(
                    compare_bytes(coding, &compressed, &original),
                    Comparison::Same,
                    "{coding:?} {len}"
                );
            }
        }
    }

    #[test]
    fn nothing_beyond_the_limit_is_compared() {
        let original = text();
        let mut other = original.clone();
        *other.last_mut().unwrap() ^= 1;
        for coding in Coding::ALL {
            let compressed = compressed(coding, &other);
            let limited = |limit| compare(coding, &*compressed, &*original, limit).unwrap();
            assert_eq!(limited(1000), Comparison::SameUpToLimit, "{coding:?}");
            assert_eq!(limited(original.len() as u64), Comparison::Differs(Mismatch::OtherContent));
        }
    }

    /// Counts the bytes that are read.
    struct Counted<'a>(&'a [u8], &'a Cell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.set(self.1.get() + count);
            Ok(count)
        }
    }

    #[test]
    fn decompressing_a_bomb_stops_at_the_length_of_the_original() {
        let original = vec![0; 1000];
        for coding in Coding::ALL {
            let mut bomb = compressed(coding, &vec![0; 64 * 1024 * 1024]);
            if coding != Coding::Gzip {
                // A bomb in another coding has only some kilobytes. Padding shows that not all of
                // it is read.
                bomb.resize(1024 * 1024, 0);
            }
            assert!(bomb.len() > 60_000, "{coding:?}: {}", bomb.len());
            let count = Cell::new(0);
            let comparison = compare(coding, Counted(&bomb, &count), &*original, u64::MAX).unwrap();
            assert_eq!(comparison, Comparison::Differs(Mismatch::Longer), "{coding:?}");
            assert!(count.get() <= BUFFER, "{coding:?}: {} of {}", count.get(), bomb.len());
        }
    }

    #[test]
    fn zstd_windows_that_browsers_may_refuse_are_refused() {
        let original = text();
        for (log, expected) in [
            (ZSTD_WINDOW_LOG, Comparison::Same),
            (ZSTD_WINDOW_LOG + 1, Comparison::Differs(Mismatch::Corrupt)),
        ] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&original).unwrap();
            assert_eq!(
                compare_bytes(Coding::Zstd, &encoder.finish().unwrap(), &original),
                expected
            );
        }
    }

    proptest! {
        #[test]
        fn every_content_survives_every_coding(
            content in proptest::collection::vec(any::<u8>(), 0..2000),
            times in 1..20_usize,
        ) {
            let content = content.repeat(times);
            for coding in Coding::ALL {
                let compressed = compressed(coding, &content);
                prop_assert_eq!(compare_bytes(coding, &compressed, &content), Comparison::Same);
            }
        }

        /// One wrong byte is detected, unless it doesn't affect the content (a file's name in a
        /// gzip header, for example).
        #[test]
        fn one_wrong_byte_never_decompresses_to_other_content(
            at in any::<prop::sample::Index>(),
            wrong in 1..=255_u8,
        ) {
            let original = &text()[..5000];
            for coding in Coding::ALL {
                let mut compressed = compressed(coding, original);
                *at.get_mut(&mut compressed) ^= wrong;
                if compare_bytes(coding, &compressed, original) == Comparison::Same {
                    prop_assert_eq!(decompressed(coding, &compressed), original);
                }
            }
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for coding in Coding::ALL {
                let _ = compare_bytes(coding, &bytes, b"original");
            }
        }
    }

    /// Decompresses with other code than the code under test.
    fn decompressed(coding: Coding, compressed: &[u8]) -> Vec<u8> {
        crate::tests::decompress(coding.name(), compressed)
    }
}
