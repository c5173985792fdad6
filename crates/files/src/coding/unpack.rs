//! Whether packed content is the original: both are read side by side, a buffer at a time.
//!
//! However large they are, and whatever the packed one would grow to, this holds three buffers and
//! the decoder's window, which each coding bounds; and it stops at the first difference. What a
//! browser wouldn't decode doesn't count as the original either, even where a tool would: a zstd
//! window beyond RFC 9659's, a large-window brotli stream, a second member behind the first.

use std::fmt;
use std::io::{self, Read};

use super::Coding;
use super::codec::Unpacker;

const BUFFER: usize = 64 * 1024;

/// How far packed content was found to be the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// All of it.
    Whole,
    /// Up to where the comparison was to end.
    Beginning,
    /// It isn't.
    None(Unlike),
}

/// What is wrong with packed content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unlike {
    /// It unpacks to something else.
    Differs,
    /// It unpacks to more.
    Longer,
    /// It unpacks to less.
    Shorter,
    /// It can't be unpacked, or not by a browser.
    Corrupt,
    /// It ends too early.
    Truncated,
    /// Something lies behind its end.
    Trailing,
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Differs => "it unpacks to something else",
            Self::Longer => "it unpacks to more than the file",
            Self::Shorter => "it unpacks to less than the file",
            Self::Corrupt => "it can't be unpacked, or not by a browser",
            Self::Truncated => "it is cut off",
            Self::Trailing => "something lies behind its end",
        })
    }
}

/// Compares what `packed` unpacks to with `original`, for as long as they agree and until more than
/// `limit` bytes did.
///
/// # Errors
///
/// When one of the two can't be read, or there is no memory for a decoder.
pub(crate) fn compare(
    coding: Coding,
    mut packed: impl Read,
    mut original: impl Read,
    limit: u64,
) -> io::Result<Likeness> {
    let mut unpacker = Unpacker::new(coding)?;
    let mut input = vec![0; BUFFER];
    let mut output = vec![0; BUFFER];
    let mut expected = vec![0; BUFFER];
    let (mut start, mut end, mut eof) = (0, 0, false);
    let mut compared = 0_u64;
    loop {
        if start == end && !eof {
            (start, end) = (0, read(&mut packed, &mut input)?);
            eof = end == 0;
        }
        let Some(step) = unpacker.step(&input[start..end], &mut output) else {
            return Ok(Likeness::None(Unlike::Corrupt));
        };
        start += step.used;
        let expected = &mut expected[..step.made];
        let count = fill(&mut original, expected)?;
        if output[..count] != expected[..count] {
            return Ok(Likeness::None(Unlike::Differs));
        }
        if count < step.made {
            return Ok(Likeness::None(Unlike::Longer));
        }
        compared += count as u64;
        if step.done {
            let ended = start == end && (eof || read(&mut packed, &mut input)? == 0);
            let unlike = if !ended {
                Unlike::Trailing
            } else if read(&mut original, &mut output)? > 0 {
                Unlike::Shorter
            } else {
                return Ok(Likeness::Whole);
            };
            return Ok(Likeness::None(unlike));
        }
        if compared > limit {
            return Ok(Likeness::Beginning);
        }
        if eof && step.made == 0 {
            return Ok(Likeness::None(Unlike::Truncated));
        }
        if (step.used, step.made) == (0, 0) && start < end {
            // No decoder stops in front of input and room; one that did would hold us here.
            return Ok(Likeness::None(Unlike::Corrupt));
        }
    }
}

/// One read, whatever interrupts it.
fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Fills `buffer` as far as there is something to read.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(source, &mut buffer[filled..])? {
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
    use crate::coding::pack::packed;

    fn likeness(coding: Coding, packed: &[u8], original: &[u8]) -> Likeness {
        compare(coding, packed, original, u64::MAX).unwrap()
    }

    /// Text that packs well and is longer than the buffers.
    fn text() -> Vec<u8> {
        (0..40_000).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
    }

    #[test]
    fn what_is_not_the_original_is_told_and_how() {
        let original = text();
        let mut other = original.clone();
        *other.last_mut().unwrap() ^= 1;
        for coding in Coding::ALL {
            let whole = packed(coding, &original);
            let like = |bytes: &[u8]| likeness(coding, bytes, &original);
            assert_eq!(like(&whole), Likeness::Whole, "{coding:?}");
            for (bytes, expected) in [
                (packed(coding, &other), Unlike::Differs),
                (packed(coding, &[&*original, b"!"].concat()), Unlike::Longer),
                (packed(coding, &original[..original.len() - 1]), Unlike::Shorter),
                (packed(coding, b""), Unlike::Shorter),
                (whole[..whole.len() - 1].to_vec(), Unlike::Truncated),
                (whole[..whole.len() / 2].to_vec(), Unlike::Truncated),
                (Vec::new(), Unlike::Truncated),
                ([&*whole, b"\n"].concat(), Unlike::Trailing),
                ([&*whole, &*whole].concat(), Unlike::Trailing),
                ([&*whole, &*packed(coding, b"")].concat(), Unlike::Trailing),
                (vec![0xff; 100], Unlike::Corrupt),
            ] {
                assert_eq!(like(&bytes), Likeness::None(expected), "{coding:?}");
            }
        }
    }

    #[test]
    fn an_empty_file_and_one_of_a_whole_buffer_are_themselves() {
        for len in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER] {
            let original = vec![b'x'; len];
            for coding in Coding::ALL {
                let packed = packed(coding, &original);
                assert_eq!(
                    likeness(coding, &packed, &original),
                    Likeness::Whole,
                    "{coding:?} {len}"
                );
            }
        }
    }

    #[test]
    fn beyond_the_limit_nothing_is_compared() {
        let original = text();
        let mut other = original.clone();
        *other.last_mut().unwrap() ^= 1;
        for coding in Coding::ALL {
            let packed = packed(coding, &other);
            let limited = |limit| compare(coding, &*packed, &*original, limit).unwrap();
            assert_eq!(limited(1000), Likeness::Beginning, "{coding:?}");
            assert_eq!(limited(original.len() as u64), Likeness::None(Unlike::Differs));
        }
    }

    /// Counts what is read of it.
    struct Counted<'a>(&'a [u8], &'a Cell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.set(self.1.get() + count);
            Ok(count)
        }
    }

    #[test]
    fn a_bomb_is_cut_where_it_grows_beyond_the_original() {
        let original = vec![0; 1000];
        for coding in Coding::ALL {
            let mut bomb = packed(coding, &vec![0; 64 * 1024 * 1024]);
            if coding != Coding::Gzip {
                // These two are only some kilobytes: what lies behind them stands for more.
                bomb.resize(1024 * 1024, 0);
            }
            assert!(bomb.len() > 60_000, "{coding:?}: {}", bomb.len());
            let count = Cell::new(0);
            let likeness = compare(coding, Counted(&bomb, &count), &*original, u64::MAX).unwrap();
            assert_eq!(likeness, Likeness::None(Unlike::Longer), "{coding:?}");
            assert!(count.get() <= BUFFER, "{coding:?}: {} of {}", count.get(), bomb.len());
        }
    }

    #[test]
    fn a_zstd_window_that_a_browser_may_refuse_is_refused() {
        let original = text();
        for (log, expected) in [
            (ZSTD_WINDOW_LOG, Likeness::Whole),
            (ZSTD_WINDOW_LOG + 1, Likeness::None(Unlike::Corrupt)),
        ] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&original).unwrap();
            assert_eq!(likeness(Coding::Zstd, &encoder.finish().unwrap(), &original), expected);
        }
    }

    proptest! {
        #[test]
        fn content_of_any_kind_survives_every_coding(
            content in proptest::collection::vec(any::<u8>(), 0..2000),
            times in 1..20_usize,
        ) {
            let content = content.repeat(times);
            for coding in Coding::ALL {
                let packed = packed(coding, &content);
                prop_assert_eq!(likeness(coding, &packed, &content), Likeness::Whole);
            }
        }

        /// One wrong byte is never taken for the original, unless it is one that says nothing (a
        /// file's name in a gzip header, say).
        #[test]
        fn one_wrong_byte_never_unpacks_to_something_else(
            at in any::<prop::sample::Index>(),
            wrong in 1..=255_u8,
        ) {
            let original = &text()[..5000];
            for coding in Coding::ALL {
                let mut packed = packed(coding, original);
                *at.get_mut(&mut packed) ^= wrong;
                if likeness(coding, &packed, original) == Likeness::Whole {
                    prop_assert_eq!(unpacked(coding, &packed), original);
                }
            }
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for coding in Coding::ALL {
                let _ = likeness(coding, &bytes, b"original");
            }
        }
    }

    /// What other code makes of it.
    fn unpacked(coding: Coding, packed: &[u8]) -> Vec<u8> {
        crate::tests::unpack(coding.name(), packed)
    }
}
