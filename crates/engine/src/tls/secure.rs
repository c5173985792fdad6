//! What a connection with TLS has besides its session.

use std::fmt;
use std::io::{self, IoSlice};
use std::time::Duration;

use sockeye_proto::{FileRange, Output, Time};

use super::limits::RECORD;
use super::{Tls, TlsError};
use crate::driver::Driver;
use crate::outputs::Outputs;

/// The most bytes of a file that are read and sealed at a time.
const FILE_PIECE: usize = 4 * RECORD;
/// After this long without output, the congestion window may be small again.
const PAUSE: Duration = Duration::from_secs(1);
/// The most slices of memory that one record is made of.
const MAX_SLICES: usize = 16;

pub(crate) struct Secure {
    pub(crate) tls: Tls,
    /// The session is to be made when the handshake is complete: we have accepted the connection.
    pub(crate) opens_session: bool,
    /// Ciphertext to send; never present and empty.
    pub(crate) out: Option<Box<Output>>,
    /// The driver has ciphertext.
    pub(crate) is_sending: bool,
    /// No more records follow: close_notify or a fatal alert is in `out` or sent.
    pub(crate) is_closed: bool,
    /// Bytes of plaintext in `out` or with the driver. They count as sent when all of them are
    /// sent, because it isn't known which records are. Protocols learn of progress after
    /// [`QUANTUM`](crate::driver::QUANTUM) bytes at most.
    pub(crate) sealed: u32,
    /// When plaintext was sealed last.
    last_sealed: Time,
    /// Plaintext that came with the end of the handshake, or the input of a client without TLS.
    pub(crate) early: Vec<u8>,
    /// The client doesn't speak TLS.
    pub(crate) is_plain: bool,
}

/// Why a part of a file could not be sealed.
pub(crate) enum FileError {
    Tls(TlsError),
    File(io::Error),
}

impl Secure {
    pub(crate) fn new(tls: Tls, opens_session: bool) -> Self {
        Self {
            tls,
            opens_session,
            out: None,
            is_sending: false,
            is_closed: false,
            sealed: 0,
            last_sealed: Time::ZERO,
            early: Vec::new(),
            is_plain: false,
        }
    }

    /// Whether the client's first bytes, `input`, are those of a protocol without TLS: a letter,
    /// where a handshake has a type of record.
    pub(crate) fn is_not_tls(&self, input: &[u8]) -> bool {
        self.opens_session
            && !self.tls.has_begun()
            && input.first().is_some_and(u8::is_ascii_alphabetic)
    }

    /// Keeps `out` to be sent, if there is anything in it. No other ciphertext waits in `self.out`.
    pub(crate) fn put_out(&mut self, out: Box<Output>, outputs: &mut Outputs) {
        if out.is_empty() {
            outputs.take_back(out);
        } else {
            self.out = Some(out);
        }
    }

    /// Plaintext is to be sealed. After a pause, the first records are small again.
    pub(crate) fn begin_sealing(&mut self, now: Time) {
        if now.since(self.last_sealed) >= PAUSE {
            self.tls.begin_again();
        }
        self.last_sealed = now;
    }

    /// Appends close_notify to `out`. No more records follow.
    pub(crate) fn close(&mut self, out: &mut Output) {
        out.write_with(|records| self.tls.close(records));
        self.is_closed = true;
    }

    /// Whether the handshake needs more input.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.tls.is_handshaking() && !self.is_plain
    }

    /// Whether nothing was read.
    pub(crate) fn is_silent(&self) -> bool {
        !self.tls.has_begun() && !self.is_plain
    }

    /// Whether all ciphertext is sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_none() && !self.is_sending
    }

    /// Seals bytes in memory from the front of `plain`, at most `max`. Several slices, a head and a
    /// body for example, become one record. Returns how many bytes were sealed.
    pub(crate) fn seal_memory(
        &mut self,
        plain: &Output,
        max: usize,
        out: &mut Output,
    ) -> Result<usize, TlsError> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let (filled, _) = plain.slices(&mut slices);
        match &slices[..filled] {
            [only] => self.seal(&only[..only.len().min(max)], out),
            several => {
                let mut record = Vec::with_capacity(RECORD);
                for slice in several {
                    let room = RECORD.min(max) - record.len();
                    record.extend_from_slice(&slice[..slice.len().min(room)]);
                }
                self.seal(&record, out)
            }
        }
    }

    /// Reads the beginning of a range of a file into `piece`, at most `max` bytes, and seals it.
    /// `None` if reading might block. Returns how many bytes were sealed; 0 at the end of the file.
    pub(crate) fn seal_file<D: Driver>(
        &mut self,
        driver: &mut D,
        range: &FileRange,
        max: usize,
        piece: &mut Vec<u8>,
        out: &mut Output,
    ) -> Option<Result<usize, FileError>> {
        piece.resize(FILE_PIECE, 0);
        let piece = &mut piece[..max.min(FILE_PIECE)];
        Some(match driver.read_resident(range, piece)? {
            Ok(read) => self.seal(&piece[..read], out).map_err(FileError::Tls),
            Err(error) => Err(FileError::File(error)),
        })
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output) -> Result<usize, TlsError> {
        let mut result = Ok(());
        out.write_with(|records| result = self.tls.seal(plain, records));
        result.map(|()| plain.len())
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}
