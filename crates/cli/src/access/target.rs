//! Where the access log is written to.
//!
//! A pipe (FIFO) has a reader, which may be missing, go away, or be slow, and none of that holds the
//! program up: it is opened and written without blocking. Without a reader its lines are lost, and
//! opening it is tried again with later lines. Lines that a slow reader has no room for wait, and
//! those behind them in the queue.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tracing::info;

/// How long one call waits for a reader to make room: by then there is something to tell, or
/// something else to do.
const PATIENCE: Duration = Duration::from_secs(1);
/// A pipe without a reader is opened again after this time, if there is a line for it.
const RETRY: Duration = Duration::from_millis(50);

/// A file or pipe, or standard error.
#[derive(Debug)]
pub(crate) enum Target {
    Stderr,
    File { path: PathBuf, state: State },
}

/// What is at the path.
#[derive(Debug)]
pub(crate) enum State {
    Open(Open),
    /// A pipe that nobody reads. It was tried to open it at this time.
    NoReader(Instant),
}

/// What is written to.
#[derive(Debug)]
pub(crate) struct Open {
    file: File,
    end: End,
}

/// What the last byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// That of a line.
    Line,
    /// One within a line, whose rest comes next.
    Begun,
    /// One within a line, whose rest is lost.
    Torn,
}

impl Target {
    /// Opens the file to append to it, and makes it where there is none: for its owner to write and
    /// its group to read, since addresses are in it.
    pub(crate) fn file(path: PathBuf) -> io::Result<Self> {
        let state = open(&path)?;
        Ok(Self::File { path, state })
    }

    /// The pipe, where it is one that nobody reads.
    pub(super) fn unread_pipe(&self) -> Option<&Path> {
        match self {
            Self::File { path, state: State::NoReader(_) } => Some(path),
            Self::File { .. } | Self::Stderr => None,
        }
    }

    /// Opens the file of this name again: the old one was moved away. The rest of a line that has
    /// begun there is dropped from `lines`.
    pub(super) fn reopen(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        if let Self::File { path, state } = self {
            let opened = open(path)?;
            if matches!(state, State::Open(Open { end: End::Begun, .. })) {
                let rest = lines.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                lines.drain(..rest);
            }
            *state = opened;
        }
        Ok(())
    }

    /// Writes whole lines, in one call if the file takes them all, and removes what was written from
    /// `lines`. What a slow reader has no room for stays, to be written first by the next call.
    ///
    /// # Errors
    ///
    /// Why `lines` can't be written: they are lost.
    pub(super) fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        let Self::File { path, state } = self else {
            // Its lock keeps them apart from the lines of others.
            let result = io::stderr().lock().write_all(lines);
            return result.map(|()| lines.clear());
        };
        if lines.is_empty() {
            return Ok(());
        }
        if let State::NoReader(tried) = state
            && tried.elapsed() >= RETRY
        {
            *state = open(path)?;
            if matches!(state, State::Open(_)) {
                info!(target: "sockeye", "the access log has a reader");
            }
        }
        let State::Open(open) = state else {
            return Err(io::Error::other("nobody reads this pipe"));
        };
        let until = Instant::now() + PATIENCE;
        let has_room = |file: &File| wait_for_room(file, until);
        let result = write_whole(&mut open.file, lines, &mut open.end, has_room);
        match &result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                *state = State::NoReader(Instant::now());
            }
            _ => {}
        }
        result
    }
}

/// Opens without waiting for the reader of a pipe. On an ordinary file, `O_NONBLOCK` does nothing.
fn open(path: &Path) -> io::Result<State> {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(nonblocking);
    match options.open(path) {
        Ok(file) => Ok(State::Open(Open { file, end: End::Line })),
        Err(error) => {
            // A socket has the same error, and is no pipe.
            let no_reader = Errno::from_io_error(&error) == Some(Errno::NXIO);
            match no_reader && fs::metadata(path)?.file_type().is_fifo() {
                true => Ok(State::NoReader(Instant::now())),
                false => Err(error),
            }
        }
    }
}

/// Waits until there is room in a pipe, or it has no reader any more; false after `until`.
fn wait_for_room(file: &File, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            // What is ready for ever, without taking anything, isn't waited for for ever.
            Ok(_) => return !left.is_zero(),
        }
    }
}

/// As `write_all`, and removes what was written from `lines`; behind a line that was torn by an error
/// (a full disk, a limit on the file's size), the next one begins on a new line. Ends where there is no
/// room and `has_room` says that none is to be expected.
fn write_whole<W: Write>(
    file: &mut W,
    lines: &mut Vec<u8>,
    end: &mut End,
    has_room: impl Fn(&W) -> bool,
) -> io::Result<()> {
    let mut written = 0;
    let result = loop {
        let piece = if *end == End::Torn { &b"\n"[..] } else { &lines[written..] };
        if piece.is_empty() {
            break Ok(());
        }
        match file.write(piece) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(_) if *end == End::Torn => *end = End::Line,
            Ok(count) => {
                let is_end = piece[count - 1] == b'\n';
                *end = if is_end { End::Line } else { End::Begun };
                written += count;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !has_room(file) {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    lines.drain(..written);
    if result.is_err() && *end == End::Begun {
        *end = End::Torn;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has room for so many bytes. Beyond that it is full for good, or for now.
    struct Disk(Vec<u8>, usize, ErrorKind);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(self.2.into());
            }
            let count = room.min(bytes.len());
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_tore_spoils_no_other() {
        let (mut disk, mut end) = (Disk(Vec::new(), 8, ErrorKind::StorageFull), End::Line);
        let write = |disk: &mut Disk, end: &mut End, lines: &str| {
            write_whole(disk, &mut lines.into(), end, |_| unreachable!())
        };
        write(&mut disk, &mut end, "one\n").unwrap();
        assert!(write(&mut disk, &mut end, "two and more\n").is_err());
        assert_eq!(end, End::Torn);
        assert!(write(&mut disk, &mut end, "three\n").is_err());
        disk.1 = 100;
        write(&mut disk, &mut end, "four\n").unwrap();
        assert_eq!(disk.0, b"one\ntwo \nfour\n");
    }

    #[test]
    fn what_a_slow_reader_has_no_room_for_is_written_later() {
        let (mut pipe, mut end) = (Disk(Vec::new(), 6, ErrorKind::WouldBlock), End::Line);
        let mut lines = b"one\ntwo\nthree\n".to_vec();
        write_whole(&mut pipe, &mut lines, &mut end, |_| false).unwrap();
        assert_eq!((&*lines, end), (&b"o\nthree\n"[..], End::Begun));
        write_whole(&mut pipe, &mut lines, &mut end, |_| false).unwrap();
        assert_eq!((&*lines, end), (&b"o\nthree\n"[..], End::Begun));
        pipe.1 = 100;
        write_whole(&mut pipe, &mut lines, &mut end, |_| false).unwrap();
        assert_eq!((&*lines, end), (&b""[..], End::Line));
        assert_eq!(pipe.0, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_new_file_does_not_begin_with_the_rest_of_a_line() {
        let path = std::env::temp_dir().join(format!("sockeye-target-{}", std::process::id()));
        let mut target = Target::file(path.clone()).unwrap();
        let Target::File { state: State::Open(open), .. } = &mut target else { unreachable!() };
        open.end = End::Begun;
        let mut lines = b"rest\nwhole\n".to_vec();
        target.reopen(&mut lines).unwrap();
        target.write(&mut lines).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole\n");
        fs::remove_file(&path).unwrap();
    }
}
