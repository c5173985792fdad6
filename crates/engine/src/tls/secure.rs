//! The TLS state of a connection, which is kept beside its session (the protocol and its
//! plaintext).

use std::fmt;
use std::io;
use std::time::Duration;

use sockeye_proto::{Output, Part, Time, WallTime};

use super::limits::RECORD;
use super::{Tls, TlsError};
use crate::driver::Driver;
use crate::outputs::Outputs;

/// The most bytes of plaintext that are gathered before they are sealed (encrypted into records).
const GATHERED: usize = 4 * RECORD;
/// After this long without output, the congestion window may be small again, so the next records
/// are small again, too.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Secure {
    pub(crate) tls: Tls,
    /// We have accepted the connection. Its session is made when the handshake is complete, or when
    /// the client turns out not to speak TLS. A connection that we opened has its session before
    /// the handshake.
    pub(crate) opens_session: bool,
    /// Ciphertext to send. `None` if there is none; never an empty output.
    pub(crate) out: Option<Box<Output>>,
    /// The driver holds ciphertext, and has not reported the end of its send.
    pub(crate) is_sending: bool,
    /// No more records follow: close_notify or a fatal alert is in `out` or sent.
    pub(crate) is_closed: bool,
    /// Bytes of plaintext whose records are in `out` or with the driver. They count as sent only
    /// when all of these records are sent, because it isn't known how much plaintext a part of them
    /// holds. At most [`QUANTUM`](crate::driver::QUANTUM) bytes are sealed at a time, and no more
    /// before all of these are sent. So protocols are notified of progress at least once per
    /// `QUANTUM` bytes.
    pub(crate) sealed: u32,
    /// When plaintext was sealed last.
    last_sealed: Time,
    /// Bytes of plaintext received.
    pub(crate) received: u64,
    /// Plaintext that came with the end of the handshake, or the input of a client without TLS.
    pub(crate) early: Vec<u8>,
    /// The client doesn't speak TLS.
    pub(crate) is_plain: bool,
}

/// Why the front of an output was not sealed.
#[derive(Debug)]
pub(crate) enum Unsealed {
    /// A thread must read the file first.
    NeedsRead,
    FileChanged,
    FileFailed(io::Error),
    Tls(TlsError),
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
            received: 0,
            early: Vec::new(),
            is_plain: false,
        }
    }

    /// Whether the client's first bytes, `input`, are those of a protocol without TLS: they begin
    /// with a letter, where TLS has the type of a record.
    pub(crate) fn is_not_tls(&self, input: &[u8]) -> bool {
        self.opens_session
            && !self.tls.has_begun()
            && input.first().is_some_and(u8::is_ascii_alphabetic)
    }

    /// Keeps `out` to be sent, if there is anything in it. `self.out` must be `None`.
    pub(crate) fn put_out(&mut self, out: Box<Output>, outputs: &mut Outputs) {
        if out.is_empty() {
            outputs.take_back(out);
        } else {
            self.out = Some(out);
        }
    }

    /// To be called before plaintext is sealed. After a [`PAUSE`], makes the next records small.
    pub(crate) fn begin_sealing(&mut self, now: Time) {
        if now.since(self.last_sealed) >= PAUSE {
            self.tls.reset_record_size();
        }
        self.last_sealed = now;
    }

    /// Appends close_notify to `out`. No more records follow.
    pub(crate) fn close(&mut self, out: &mut Output) {
        out.write_with(|records| self.tls.close(records));
        self.is_closed = true;
    }

    /// Whether `input`, which is discarded, has plaintext. For a connection whose sending side is
    /// closed: records that answer the input are discarded, too.
    pub(crate) fn has_data(&mut self, now: WallTime, input: &mut [u8]) -> bool {
        let mut has_data = false;
        // An error ends the input: the peer may have sent a fatal alert.
        let _ = self.tls.read(now, input, &mut Vec::new(), |plain| has_data |= !plain.is_empty());
        has_data
    }

    /// Whether the handshake needs more input.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.tls.is_handshaking() && !self.is_plain
    }

    /// Whether the handshake has not begun. On accepted connections: the client has sent nothing.
    pub(crate) fn is_silent(&self) -> bool {
        !self.tls.has_begun() && !self.is_plain
    }

    /// Whether all ciphertext is sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_none() && !self.is_sending
    }

    /// Seals bytes from the front of `plain`, at most `max`, and returns their number. Consecutive
    /// parts of the output, such as the head and the body of an HTTP response, or HTTP/2 frame
    /// headers and the pieces of files between them, share records: they are gathered in `buffer`
    /// first.
    pub(crate) fn seal_front<D: Driver>(
        &mut self,
        driver: &mut D,
        plain: &Output,
        max: u64,
        buffer: &mut Vec<u8>,
        out: &mut Output,
    ) -> Result<usize, Unsealed> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        if let Part::Memory(bytes) = plain.part(max as u64) {
            let len = bytes.len().min(max);
            // If other parts follow, seals only bytes that fill whole records: those left over
            // share a record with the parts that follow.
            let is_all = bytes.len() as u64 == plain.unsent();
            let len = if is_all { len } else { len / RECORD * RECORD };
            if len > 0 {
                return self.seal(&bytes[..len], out);
            }
        }
        buffer.resize(GATHERED, 0);
        let filled = gather(driver, plain, &mut buffer[..max.min(GATHERED)])?;
        self.seal(&buffer[..filled], out)
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output) -> Result<usize, Unsealed> {
        let mut result = Ok(());
        out.write_with(|records| result = self.tls.seal(plain, records));
        result.map(|()| plain.len()).map_err(Unsealed::Tls)
    }
}

/// Copies the front of `plain` into `buffer`, with the parts of files that are in the page cache.
/// Returns the number of bytes. Fails only if the first part can't be copied.
fn gather<D: Driver>(driver: &mut D, plain: &Output, buffer: &mut [u8]) -> Result<usize, Unsealed> {
    let mut filled = 0;
    for part in plain.parts(buffer.len() as u64) {
        let room = &mut buffer[filled..];
        let (copied, len) = match part {
            Part::Nothing => break,
            Part::Memory(bytes) => {
                let len = bytes.len().min(room.len());
                room[..len].copy_from_slice(&bytes[..len]);
                (Ok(len), len)
            }
            Part::File(range) => {
                let len = range.len.min(room.len() as u64) as usize;
                let read = match driver.read_resident(range, room) {
                    None => Err(Unsealed::NeedsRead),
                    // The file ends before its range does.
                    Some(Ok(0)) => Err(Unsealed::FileChanged),
                    Some(read) => read.map_err(Unsealed::FileFailed),
                };
                (read, len)
            }
            Part::NeedsRead(_) => (Err(Unsealed::NeedsRead), 0),
            Part::Changed => (Err(Unsealed::FileChanged), 0),
        };
        match copied {
            Ok(copied) => {
                filled += copied;
                // A read may be short.
                if copied < len {
                    break;
                }
            }
            Err(error) if filled == 0 => return Err(error),
            // The next call begins with this part, and returns the error.
            Err(_) => break,
        }
    }
    Ok(filled)
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}
