//! Sends output: memory with `send` or `sendmsg`, files with `sendfile`. Where `sendfile` doesn't
//! work, a file is read into memory, and sent from there. Short ranges of files are sent that way,
//! too, if there are several or if shared bytes are sent with them. One `sendmsg` then sends them
//! and the bytes around them, such as frame headers, instead of two calls for each range.
//!
//! `sendfile` waits for the disk if the content is not in the page cache. No flag prevents that. So
//! a file of [`Access::Probe`] is probed first, once per quantum (the most bytes of one send), by
//! reading the last byte of the quantum with `RWF_NOWAIT`. The kernel reads ahead in order, so if
//! the last page is in the page cache, those before it most likely are, too. (`cachestat` is no
//! alternative: it also counts pages that are still being read, and is newer than the oldest Linux
//! that we support.)

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData};
use rustix::fs::sendfile;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use sockeye_proto::{Access, FileRange, Output, Part};

use super::{Epoll, READING_AND_WRITING, Socket};
use crate::driver::{Driver, QUANTUM, SendStatus, Sending, Sent};

/// If the rest of a file exceeds what is left of the quantum by at most this much, all of it is
/// sent. The response's head may have used a part of the quantum, and it would cost more to send
/// the last few bytes in another turn of the event loop.
const MAX_TAIL: u64 = 4 * 1024;

/// At most this many bytes of files are read into memory and sent together. With half of it,
/// sending costs a quarter more: each send may wake the peer.
const GATHERED: usize = QUANTUM as usize;

/// One `sendmsg` takes at most this many slices.
const MAX_SLICES: usize = 64;

/// Whether to read a range of a file into memory and send it together with the parts around it.
/// Then at most one read replaces two calls for each range, or three if the range would be probed.
/// For longer ranges, the copy costs more than the saved calls.
fn is_short(range: &FileRange) -> bool {
    range.len <= 16 * 1024
}

impl Epoll {
    /// Sends. If the send has blocked, watches until the socket is writable.
    #[inline(always)] // `send` runs for each response.
    pub(super) fn send_with(
        &mut self,
        socket: &mut Socket,
        mut out: Box<Output>,
        flags: SendFlags,
    ) -> Sending {
        let (count, mut status) = match self.send_plain(&socket.fd, &mut out, flags) {
            Some(sent) => sent,
            None => self.send_some(&socket.fd, &mut out, flags),
        };
        if matches!(status, SendStatus::Blocked) && !socket.watches_writing {
            socket.watches_writing = true;
            // After this change, epoll reports the current state as an edge. So a socket that
            // became writable since the send blocked is not missed.
            let key = EventData::new_u64(socket.key.0);
            if socket.watched
                && let Err(error) =
                    epoll::modify(&self.poller, &socket.fd, key, READING_AND_WRITING)
            {
                status = SendStatus::Failed(error.into());
            }
        }
        Sending::Done(Sent { out, count, status })
    }

    /// Sends an output that has only plain bytes, the usual case. `None` if the output also has
    /// shared bytes or file ranges.
    #[inline(always)] // As `send_with`.
    fn send_plain(
        &mut self,
        fd: &OwnedFd,
        out: &mut Output,
        flags: SendFlags,
    ) -> Option<(u64, SendStatus)> {
        loop {
            let bytes = out.plain()?;
            self.calls.send += 1;
            match rustix::net::send(fd, bytes, flags) {
                Ok(sent) => {
                    let status =
                        if sent < bytes.len() { SendStatus::Blocked } else { SendStatus::Ready };
                    out.advance(sent as u64);
                    return Some((sent as u64, status));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Some((0, status_of(error))),
            }
        }
    }

    /// Sends from the front of `out` until it is empty, the quantum is used, the socket blocks or
    /// fails, or a file must be read by a thread, has changed or can't be read.
    #[inline(never)] // Inlined, its loops would slow down `send_plain`: they need many registers.
    fn send_some(&mut self, fd: &OwnedFd, out: &mut Output, flags: SendFlags) -> (u64, SendStatus) {
        let mut count = 0;
        // How many bytes at the front are known to be in the page cache.
        let mut resident = 0;
        loop {
            let left = QUANTUM.saturating_sub(count);
            let gathered = match out.file_ranges() {
                _ if out.is_empty() || left == 0 => return (count, SendStatus::Ready),
                0 => Some(self.send_memory(fd, out, flags)),
                _ if out.pieces() > 1 => self.send_gathered(fd, out, left + MAX_TAIL),
                _ => None,
            };
            let (sent, offered) = if let Some(sent) = gathered {
                resident = 0;
                sent
            } else {
                match out.part(left + MAX_TAIL) {
                    Part::Nothing => return (count, SendStatus::Ready),
                    Part::Changed => return (count, SendStatus::FileChanged),
                    Part::NeedsRead(_) => return (count, SendStatus::NeedsRead),
                    Part::Memory(_) => self.send_memory(fd, out, flags),
                    Part::File(range) => match self.send_file(fd, range, left, &mut resident) {
                        None => return (count, SendStatus::NeedsRead),
                        // The file ends before its range does.
                        Some(Ok(0)) => return (count, SendStatus::FileChanged),
                        // A `sendfile` that sends less than asked doesn't show that the socket is
                        // full: call `sendfile` again.
                        Some(Ok(sent)) => (Ok(sent), sent),
                        Some(Err(Failure::File(error))) => {
                            return (count, SendStatus::FileFailed(error));
                        }
                        Some(Err(Failure::Socket(error))) => (Err(error), 0),
                    },
                }
            };
            match sent {
                Ok(sent) => {
                    out.advance(sent as u64);
                    count += sent as u64;
                    if sent < offered {
                        return (count, SendStatus::Blocked);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return (count, status_of(error)),
            }
        }
    }

    /// Sends slices of memory. Returns how many bytes were sent, and how many were offered.
    fn send_memory(
        &mut self,
        fd: &OwnedFd,
        out: &Output,
        flags: SendFlags,
    ) -> (Result<usize, Errno>, usize) {
        self.calls.send += 1;
        // Most outputs are a head and a body. Such an output has at most one piece (shared bytes or
        // a file range), with plain bytes before and after it: three slices. Initializing more
        // slices would cost time.
        if out.pieces() <= 1 {
            send_front(fd, out, &mut [IoSlice::new(&[]); 3], flags)
        } else {
            send_front(fd, out, &mut [IoSlice::new(&[]); MAX_SLICES], flags)
        }
    }

    /// Reads short ranges of files where that doesn't block ([`Self::read_cached`]), and sends them
    /// with the bytes in memory around them. One call reads the ranges that continue each other,
    /// such as the content of consecutive frames of a response. Offers at most [`GATHERED`] bytes
    /// of files, and about `max` bytes in total: bytes in memory may exceed `max`. Returns how many
    /// bytes were sent, and how many were offered. `None` if no range was read.
    ///
    /// Bytes of files beyond `max` are not sent, because [`Output::parts`] checks whether a file
    /// has changed only if its range ends within `max`. Bytes of files that the socket doesn't take
    /// are read again for the next send.
    fn send_gathered(
        &mut self,
        fd: &OwnedFd,
        out: &Output,
        max: u64,
    ) -> Option<(Result<usize, Errno>, usize)> {
        let mut buffer = mem::take(&mut self.file_buffer);
        buffer.resize(GATHERED, 0);
        let sent = self.gather(fd, out, max, &mut buffer);
        self.file_buffer = buffer;
        sent
    }

    fn gather(
        &mut self,
        fd: &OwnedFd,
        out: &Output,
        max: u64,
        mut room: &mut [u8],
    ) -> Option<(Result<usize, Errno>, usize)> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let (mut filled, mut has_file, mut more_follows) = (0, false, false);
        // Only the beginning of the previous part was read: the part was longer than the free end
        // of the buffer or than the rest of `max`, only its beginning is in the page cache, or its
        // file has become shorter.
        let mut is_cut = false;
        // What was read together with the previous ranges: the beginning of the next ones.
        let mut ahead: &[u8] = &[];
        let mut left = max;
        let mut parts = out.parts(max);
        while let Some(part) = parts.next() {
            let bytes = match part {
                _ if filled == MAX_SLICES => break,
                _ if is_cut => {
                    // If the buffer is full, the rest of the range is sent next.
                    more_follows = room.is_empty();
                    break;
                }
                Part::Memory(bytes) => bytes,
                Part::File(range) if is_short(range) && !(room.is_empty() && ahead.is_empty()) => {
                    let fitting = usize::try_from(left).unwrap_or(usize::MAX);
                    if ahead.is_empty() {
                        let len = room.len().min(fitting);
                        let read = self.read_cached(&parts.contiguous(range), &mut room[..len]);
                        let Some(Ok(read @ 1..)) = read else { break };
                        let (bytes, rest) = mem::take(&mut room).split_at_mut(read);
                        (ahead, room) = (bytes, rest);
                    }
                    let len = ahead.len().min(fitting).min(range.len as usize);
                    let (bytes, rest) = ahead.split_at(len);
                    (ahead, has_file, is_cut) = (rest, true, (len as u64) < range.len);
                    bytes
                }
                part => {
                    more_follows = matches!(part, Part::File(_));
                    break;
                }
            };
            slices[filled] = IoSlice::new(bytes);
            filled += 1;
            left = left.saturating_sub(bytes.len() as u64);
        }
        if !has_file {
            return None;
        }
        self.calls.send += 1;
        Some(send_slices(fd, &slices[..filled], more_follows, SendFlags::NOSIGNAL))
    }

    /// Sends at most `max` plus [`MAX_TAIL`] bytes from a file. `None` if that might block.
    /// `resident` is how many bytes an earlier call found in the page cache and did not send.
    fn send_file(
        &mut self,
        fd: &OwnedFd,
        range: &FileRange,
        max: u64,
        resident: &mut usize,
    ) -> Option<Result<usize, Failure>> {
        let len = if range.len <= max + MAX_TAIL { range.len } else { max } as usize;
        let file = range.descriptor();
        match (range.access(), file) {
            (Access::Direct, Some(file)) if range.is_timed() => {
                Some(self.sendfile_timed(fd, file, range, len))
            }
            (Access::Direct, Some(file)) => Some(self.sendfile(fd, file, range.offset, len)),
            (Access::Direct, None) => self.send_read(fd, range, len),
            (Access::Thread, _) | (Access::Probe, None) => None,
            (Access::Probe, Some(file)) => {
                if *resident == 0 {
                    if !self.is_resident(file, range.offset + len as u64 - 1) {
                        return None;
                    }
                    *resident = len;
                }
                let sent = self.sendfile_timed(fd, file, range, *resident);
                *resident -= *sent.as_ref().unwrap_or(&0);
                Some(sent)
            }
        }
    }

    /// Calls `sendfile`, and tells the file's source how long the call took.
    fn sendfile_timed(
        &mut self,
        fd: &OwnedFd,
        file: BorrowedFd<'_>,
        range: &FileRange,
        len: usize,
    ) -> Result<usize, Failure> {
        let start = self.now();
        let sent = self.sendfile(fd, file, range.offset, len);
        range.record_send(self.now().since(start));
        sent
    }

    fn sendfile(
        &mut self,
        fd: &OwnedFd,
        file: BorrowedFd<'_>,
        mut offset: u64,
        len: usize,
    ) -> Result<usize, Failure> {
        self.calls.sendfile += 1;
        sendfile(fd, file, Some(&mut offset), len).map_err(|error| self.failure_of(fd, error))
    }

    /// Whether the file or the socket caused the `error` of a `sendfile`. If the error code doesn't
    /// show which, an empty send does: that send fails if the socket has failed.
    fn failure_of(&mut self, fd: &OwnedFd, error: Errno) -> Failure {
        match error {
            Errno::AGAIN | Errno::INTR | Errno::PIPE | Errno::CONNRESET | Errno::NOBUFS => {
                return Failure::Socket(error);
            }
            _ => {}
        }
        self.calls.send += 1;
        match rustix::net::send(fd, &[], SendFlags::NOSIGNAL) {
            Ok(_) => Failure::File(error.into()),
            Err(_) => Failure::Socket(error),
        }
    }

    /// Reads the beginning of `range`, if it is in the page cache, or if reading the file is not
    /// expected to block. Otherwise returns `None`.
    pub(super) fn read_cached(
        &mut self,
        range: &FileRange,
        buffer: &mut [u8],
    ) -> Option<io::Result<usize>> {
        let max = buffer.len().min(usize::try_from(range.len).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..max];
        match (range.access(), range.descriptor()) {
            (Access::Direct, _) if range.is_timed() => {
                let start = self.now();
                let read = range.read(buffer);
                range.record_send(self.now().since(start));
                read
            }
            (Access::Direct, _) => range.read(buffer),
            (Access::Thread, _) | (Access::Probe, None) => None,
            (Access::Probe, Some(file)) => {
                self.calls.probe += 1;
                let slices = &mut [IoSliceMut::new(buffer)];
                match preadv2(file, slices, range.offset, ReadWriteFlags::NOWAIT) {
                    Ok(read) => Some(Ok(read)),
                    Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => None,
                    Err(error) => Some(Err(error.into())),
                }
            }
        }
    }

    /// Whether the byte at `offset` can be read without waiting for a disk. True at the end of the
    /// file and after it.
    fn is_resident(&mut self, file: BorrowedFd<'_>, offset: u64) -> bool {
        self.calls.probe += 1;
        let byte = &mut [0];
        preadv2(file, &mut [IoSliceMut::new(byte)], offset, ReadWriteFlags::NOWAIT).is_ok()
    }

    /// Reads from a file into the receive buffer, and sends that. `None` if a thread must read.
    fn send_read(
        &mut self,
        fd: &OwnedFd,
        range: &FileRange,
        len: usize,
    ) -> Option<Result<usize, Failure>> {
        let len = len.min(self.receive_buffer.len());
        let read = match range.read(&mut self.receive_buffer[..len])? {
            Ok(0) => return Some(Ok(0)),
            Ok(read) => read,
            Err(error) => return Some(Err(Failure::File(error))),
        };
        self.calls.send += 1;
        let sent = rustix::net::send(fd, &self.receive_buffer[..read], SendFlags::NOSIGNAL);
        Some(sent.map_err(Failure::Socket))
    }
}

/// What failed while a file was being sent.
enum Failure {
    Socket(Errno),
    File(io::Error),
}

/// The status of a send that failed with `error`.
fn status_of(error: Errno) -> SendStatus {
    match error {
        Errno::AGAIN => SendStatus::Blocked,
        error => SendStatus::Failed(error.into()),
    }
}

/// Sends the bytes in memory at the front of `out`.
fn send_front<'a>(
    fd: &OwnedFd,
    out: &'a Output,
    slices: &mut [IoSlice<'a>],
    flags: SendFlags,
) -> (Result<usize, Errno>, usize) {
    let (filled, file_follows) = out.slices(slices);
    send_slices(fd, &slices[..filled], file_follows, flags)
}

/// Sends `slices` with one `sendmsg`. Returns how many bytes were sent, and how many were offered.
/// If more follows at once, `MSG_MORE` makes the kernel wait for it, so that a head and the start
/// of its body share a segment.
fn send_slices(
    fd: &OwnedFd,
    slices: &[IoSlice<'_>],
    more_follows: bool,
    mut flags: SendFlags,
) -> (Result<usize, Errno>, usize) {
    let offered = slices.iter().map(|slice| slice.len()).sum();
    if more_follows {
        flags |= SendFlags::MORE;
    }
    (sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), flags), offered)
}
