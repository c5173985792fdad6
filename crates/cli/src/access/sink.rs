//! Where the access log is written: a file, a pipe (FIFO), standard error, or a terminal on
//! standard output.
//!
//! The reader of a pipe may be missing, exit, or be slow. So a pipe is opened without waiting for a
//! reader, and a write waits for room for a second at most. While the pipe has no reader, lines are
//! lost, and later writes try to open the pipe again. While the pipe is full, lines wait in the
//! writer thread's batch and in the queue.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tracing::info;

use crate::stdout;

/// How long one call of [`Sink::write`] waits for a reader to make room.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// The minimum time between two attempts to open a pipe without a reader.
const RETRY: Duration = Duration::from_millis(50);

/// The destination of the lines.
#[derive(Debug)]
pub(crate) enum Sink {
    Stderr,
    /// Standard output. A write blocks while Ctrl-S has stopped the terminal.
    Terminal,
    /// A file or a pipe.
    File {
        path: PathBuf,
        state: FileState,
    },
}

#[derive(Debug)]
pub(crate) enum FileState {
    Open(OpenFile),
    /// A pipe without a reader, and the time of the last attempt to open or write it.
    NoReader(Instant),
}

/// An open file or pipe, and where in a line the last write ended.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    position: Position,
}

/// Where the last write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// After a line break.
    LineStart,
    /// Within a line, because the pipe was full. The next write continues the line.
    InLine,
    /// Within a line, because writing failed. The rest of the line is lost.
    InTornLine,
}

impl Sink {
    /// Opens a file or a pipe to append to. If it doesn't exist, creates a file that only its owner
    /// and group can read, because the log contains clients' addresses.
    pub(crate) fn file(path: PathBuf) -> io::Result<Self> {
        let state = open(&path)?;
        Ok(Self::File { path, state })
    }

    /// The path of the sink, if the sink is a pipe without a reader.
    pub(super) fn unread_pipe(&self) -> Option<&Path> {
        match self {
            Self::File { path, state: FileState::NoReader(_) } => Some(path),
            Self::File { .. } | Self::Stderr | Self::Terminal => None,
        }
    }

    /// Opens the path again, after the old file was moved away. If the old file ends within a line,
    /// drops the rest of that line from `lines`.
    pub(super) fn reopen(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        if let Self::File { path, state } = self {
            let new_state = open(path)?;
            if matches!(state, FileState::Open(OpenFile { position: Position::InLine, .. })) {
                let rest = lines.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                lines.drain(..rest);
            }
            *state = new_state;
        }
        Ok(())
    }

    /// Whether a write may block without a limit: a terminal may be stopped, or standard error may
    /// be a full pipe.
    pub(super) fn may_block(&self) -> bool {
        matches!(self, Self::Stderr | Self::Terminal)
    }

    /// Writes `lines`, and removes the written bytes from them. One system call does it if the file
    /// accepts them all and the last line in the file is complete. If a full pipe leaves bytes in
    /// `lines`, the next call must start with them.
    ///
    /// # Errors
    ///
    /// If writing fails, or a pipe has no reader. The caller must drop what is left in `lines`.
    pub(super) fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let (path, state) = match self {
            // Here and below, the lock keeps the lines of other threads from mixing with these.
            Self::Stderr => {
                return io::stderr().lock().write_all(lines).map(|()| lines.clear());
            }
            Self::Terminal => {
                // Lines are formatted to the width of the terminal, whose window may have been
                // resized.
                stdout::measure();
                return io::stdout().lock().write_all(lines).map(|()| lines.clear());
            }
            Self::File { path, state } => (path, state),
        };
        if let FileState::NoReader(tried) = state
            && tried.elapsed() >= RETRY
        {
            *state = open(path)?;
            if matches!(state, FileState::Open(_)) {
                info!(target: "sockeye", "the pipe of the access log has a reader");
            }
        }
        let FileState::Open(opened) = state else {
            return Err(io::Error::other("the pipe has no reader"));
        };
        let until = Instant::now() + WRITE_TIMEOUT;
        let has_room = |file: &File| wait_for_room(file, until);
        let result = write_whole(&mut opened.file, lines, &mut opened.position, has_room);
        if let Err(error) = &result
            && error.kind() == ErrorKind::BrokenPipe
        {
            *state = FileState::NoReader(Instant::now());
        }
        result
    }
}

/// Opens without waiting for the reader of a pipe (`O_NONBLOCK`, which does nothing on an ordinary
/// file).
fn open(path: &Path) -> io::Result<FileState> {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(nonblocking);
    match options.open(path) {
        Ok(file) => Ok(FileState::Open(OpenFile { file, position: Position::LineStart })),
        Err(error) => {
            // `ENXIO` also means that the path is a socket.
            let no_reader = Errno::from_io_error(&error) == Some(Errno::NXIO);
            match no_reader && fs::metadata(path)?.file_type().is_fifo() {
                true => Ok(FileState::NoReader(Instant::now())),
                false => Err(error),
            }
        }
    }
}

/// Waits until a pipe has room or its reader is gone, and returns true. Returns false after
/// `until`.
fn wait_for_room(file: &File, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            // Some files are always reported as ready, although a write would block. So the result
            // is false after `until` here, too.
            Ok(_) => return !left.is_zero(),
        }
    }
}

/// Like `write_all`, but removes the written bytes from `lines`. After an error within a line (such
/// as a full disk, or a file at the process's size limit), the next call starts a new line. When a
/// write would block, calls `has_room`, which waits for room. If there is still none, returns `Ok`,
/// and `lines` keeps the rest.
fn write_whole<W: Write>(
    file: &mut W,
    lines: &mut Vec<u8>,
    position: &mut Position,
    has_room: impl Fn(&W) -> bool,
) -> io::Result<()> {
    let mut written = 0;
    let result = loop {
        let piece = if *position == Position::InTornLine { &b"\n"[..] } else { &lines[written..] };
        if piece.is_empty() {
            break Ok(());
        }
        match file.write(piece) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(_) if *position == Position::InTornLine => *position = Position::LineStart,
            Ok(count) => {
                let ends_line = piece[count - 1] == b'\n';
                *position = if ends_line { Position::LineStart } else { Position::InLine };
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
    if result.is_err() && *position == Position::InLine {
        *position = Position::InTornLine;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes written so far, the maximum number of bytes, and the error for writing more.
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
    fn a_line_torn_by_a_full_disk_does_not_spoil_the_next() {
        let (mut disk, mut position) =
            (Disk(Vec::new(), 8, ErrorKind::StorageFull), Position::LineStart);
        let write = |disk: &mut Disk, position: &mut Position, lines: &str| {
            write_whole(disk, &mut lines.into(), position, |_| unreachable!())
        };
        write(&mut disk, &mut position, "one\n").unwrap();
        assert!(write(&mut disk, &mut position, "two and more\n").is_err());
        assert_eq!(position, Position::InTornLine);
        assert!(write(&mut disk, &mut position, "three\n").is_err());
        disk.1 = 100;
        write(&mut disk, &mut position, "four\n").unwrap();
        assert_eq!(disk.0, b"one\ntwo \nfour\n");
    }

    #[test]
    fn lines_without_room_in_the_pipe_are_written_later() {
        let (mut pipe, mut position) =
            (Disk(Vec::new(), 6, ErrorKind::WouldBlock), Position::LineStart);
        let mut lines = b"one\ntwo\nthree\n".to_vec();
        write_whole(&mut pipe, &mut lines, &mut position, |_| false).unwrap();
        assert_eq!((&*lines, position), (&b"o\nthree\n"[..], Position::InLine));
        write_whole(&mut pipe, &mut lines, &mut position, |_| false).unwrap();
        assert_eq!((&*lines, position), (&b"o\nthree\n"[..], Position::InLine));
        pipe.1 = 100;
        write_whole(&mut pipe, &mut lines, &mut position, |_| false).unwrap();
        assert_eq!((&*lines, position), (&b""[..], Position::LineStart));
        assert_eq!(pipe.0, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_new_file_does_not_begin_with_the_rest_of_a_line() {
        let path = std::env::temp_dir().join(format!("sockeye-sink-{}", std::process::id()));
        let mut sink = Sink::file(path.clone()).unwrap();
        let Sink::File { state: FileState::Open(open), .. } = &mut sink else { unreachable!() };
        open.position = Position::InLine;
        let mut lines = b"rest\nwhole\n".to_vec();
        sink.reopen(&mut lines).unwrap();
        sink.write(&mut lines).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole\n");
        fs::remove_file(&path).unwrap();
    }
}
