//! States of compressors and decompressors, which the connections of a worker (event loop) share.

use flate2::{Compress, Compression, Decompress};

use super::options::WINDOW_BITS;

/// Maximum number of unused decompressors that are kept. A message that arrives whole is
/// decompressed in one call, so several are in use only while peers send messages in parts.
const MAX_SPARE: usize = 4;

/// States of compressors and decompressors, which the connections of a worker share. Without those
/// that are lent, they take at most 560 KiB if all connections compress with the same window size,
/// and at most 2.2 MiB if peers have asked for windows of every size.
#[derive(Debug, Default)]
pub(crate) struct DeflateMemory {
    #[expect(clippy::vec_box, reason = "a connection has room for a pointer, not for 150 bytes")]
    decompressors: Vec<Box<Decompress>>,
    /// One for each size of the window, made when it is first used.
    compressors: [Option<Box<Compressor>>; WINDOW_COUNT],
}

const WINDOW_COUNT: usize = (*WINDOW_BITS.end() - *WINDOW_BITS.start() + 1) as usize;

#[derive(Debug)]
struct Compressor {
    state: Compress,
    level: u8,
}

impl DeflateMemory {
    /// A decompressor whose window begins with `dictionary`.
    pub(super) fn lend_decompressor(&mut self, dictionary: &[u8]) -> Box<Decompress> {
        let mut decompressor = match self.decompressors.pop() {
            Some(mut decompressor) => {
                decompressor.reset(false);
                decompressor
            }
            // With the largest window, messages that were compressed with any window can be
            // decompressed. With a smaller one, flate2 would allocate a new decompressor at each
            // reset.
            None => Box::new(Decompress::new_with_window_bits(false, *WINDOW_BITS.end())),
        };
        if !dictionary.is_empty() {
            decompressor.set_dictionary(dictionary).expect("a raw stream takes any dictionary");
        }
        decompressor
    }

    /// Takes back a decompressor that was lent. Keeps it for another message, unless
    /// [`MAX_SPARE`] are kept already.
    pub(super) fn take_back_decompressor(&mut self, decompressor: Box<Decompress>) {
        if self.decompressors.len() < MAX_SPARE {
            self.decompressors.push(decompressor);
        }
    }

    /// A compressor whose window begins with `dictionary`.
    pub(super) fn compressor(
        &mut self,
        window_bits: u8,
        level: u8,
        dictionary: &[u8],
    ) -> &mut Compress {
        let compression = Compression::new(level.into());
        let slot = &mut self.compressors[slot(window_bits)];
        let compressor = slot.get_or_insert_with(|| {
            let state = Compress::new_with_window_bits(compression, false, window_bits);
            Box::new(Compressor { state, level })
        });
        compressor.state.reset();
        if compressor.level != level {
            compressor.state.set_level(compression).expect("nothing to flush after a reset");
            compressor.level = level;
        }
        if !dictionary.is_empty() {
            compressor.state.set_dictionary(dictionary).expect("a raw stream takes any dictionary");
        }
        &mut compressor.state
    }

    /// Discards the compressor for this window size.
    pub(super) fn discard_compressor(&mut self, window_bits: u8) {
        self.compressors[slot(window_bits)] = None;
    }
}

/// The index of the compressor for this window size.
fn slot(window_bits: u8) -> usize {
    usize::from(window_bits - WINDOW_BITS.start())
}
