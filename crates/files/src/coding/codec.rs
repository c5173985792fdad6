//! The encoders and decoders of the codings. Only this file uses the crates that contain them.
//!
//! The levels were measured on pages, scripts and a search index, of 20 KiB to 8 MiB each, on one
//! core:
//!
//! - gzip 6: 60 to 110 MB/s, output 9–34 % of the input
//! - brotli 5: 30 to 60 MB/s, 7–32 %
//! - zstd 9: 45 to 110 MB/s, 7–33 %
//!
//! Levels higher by two save about a percent and take up to twice as long. The highest levels are
//! for files that people compress before they publish them.

use std::io::{self, BufReader, Read, Write};

use brotli::enc::BrotliEncoderParams;
use brotli::{
    BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter, HeapAlloc, HuffmanCode,
};
use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use crate::options::codings::Coding;

const GZIP_LEVEL: u32 = 6;
const BROTLI_QUALITY: i32 = 5;
/// The window of this level is at most 4 MiB. A client must support 8 MiB (RFC 9659).
const ZSTD_LEVEL: i32 = 9;

/// How many bytes are read from the content, or buffered by the brotli encoder, at a time.
const BUFFER: usize = 64 * 1024;

/// The brotli encoder is flushed after this many bytes. Otherwise its memory grows to several times
/// its input, and it compresses no better.
const FLUSH_INTERVAL: usize = 1024 * 1024;

/// The base-2 logarithm of the largest window of the zstd coding, 8 MiB. A client may refuse a
/// larger window (RFC 9659, section 3).
pub(crate) const ZSTD_WINDOW_LOG: u32 = 23;

/// Compresses `content`, which is `len` bytes long, to `output`.
///
/// # Errors
///
/// When the content can't be read or is too short, the output can't be written (except for an error
/// at the end of Brotli), or there is no memory for an encoder.
pub(crate) fn encode(
    coding: Coding,
    content: impl Read,
    len: usize,
    output: &mut impl Write,
) -> io::Result<()> {
    match coding {
        Coding::Zstd => {
            let mut encoder = zstd::Encoder::new(output, ZSTD_LEVEL)?;
            // Puts the length into the frame header. The window gets no larger than the length.
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
            let mut encoder = CompressorWriter::with_params(output, BUFFER, &params);
            copy(content, len, &mut Flushing { encoder: &mut encoder, since: 0 })?;
            // Writes the end of the stream. `into_inner` doesn't return the error of this write, so
            // `output` has to remember it for the caller.
            encoder.into_inner();
        }
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(output, Compression::new(GZIP_LEVEL));
            copy(content, len, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

/// Copies exactly `len` bytes, or fails if there are fewer.
fn copy(content: impl Read, len: usize, to: &mut impl Write) -> io::Result<()> {
    let mut content = BufReader::with_capacity(BUFFER.min(len), content.take(len as u64));
    match io::copy(&mut content, to)? < len as u64 {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(()),
    }
}

/// An encoder that is flushed after every [`FLUSH_INTERVAL`] bytes.
struct Flushing<'a, W> {
    encoder: &'a mut W,
    /// Bytes since the last flush.
    since: usize,
}

impl<W: Write> Write for Flushing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.since >= FLUSH_INTERVAL {
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

/// The bytes that one step of decoding consumed and produced.
pub(crate) struct Step {
    pub(crate) consumed: usize,
    pub(crate) produced: usize,
    /// The stream has ended.
    pub(crate) done: bool,
}

type BrotliDecoder = BrotliState<HeapAlloc<u8>, HeapAlloc<u32>, HeapAlloc<HuffmanCode>>;

/// Decodes one compressed stream: one frame of zstd, or one member of gzip.
pub(crate) enum Decoder {
    Zstd(ZstdDecoder<'static>),
    Brotli(Box<BrotliDecoder>),
    Gzip(Decompress),
}

impl Decoder {
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Self::Zstd(decoder)
            }
            Coding::Brotli => Self::Brotli(Box::new(BrotliState::new_strict(
                HeapAlloc::new(0),
                HeapAlloc::new(0),
                HeapAlloc::new(HuffmanCode::default()),
            ))),
            // 15 is the base-2 logarithm of the window, 32 KiB, which no gzip stream exceeds.
            Coding::Gzip => Self::Gzip(Decompress::new_gzip(15)),
        })
    }

    /// Decodes some of `input` to `output`. `None` if the input is corrupt, or has a larger window
    /// than the coding allows.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Option<Step> {
        match self {
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output).ok()?;
                let (consumed, produced) = (status.bytes_read, status.bytes_written);
                let done = status.remaining == 0 && consumed + produced > 0;
                Some(Step { consumed, produced, done })
            }
            Self::Brotli(state) => {
                let (mut left, mut consumed) = (input.len(), 0);
                let (mut room, mut produced, mut total) = (output.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut consumed,
                    input,
                    &mut room,
                    &mut produced,
                    output,
                    &mut total,
                    state,
                );
                let done = match result {
                    BrotliResult::ResultSuccess => true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
                    BrotliResult::ResultFailure => return None,
                };
                Some(Step { consumed, produced, done })
            }
            Self::Gzip(state) => {
                let (total_in, total_out) = (state.total_in(), state.total_out());
                let done = match state.decompress(input, output, FlushDecompress::None).ok()? {
                    Status::StreamEnd => true,
                    Status::Ok | Status::BufError => false,
                };
                // Each total grew by at most a buffer's length, which fits a `usize`.
                let consumed = (state.total_in() - total_in) as usize;
                let produced = (state.total_out() - total_out) as usize;
                Some(Step { consumed, produced, done })
            }
        }
    }
}
