//! Where the access log is written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file, or standard error.
#[derive(Debug)]
pub(crate) enum Target {
    Stderr,
    File {
        path: PathBuf,
        file: File,
        /// A write failed in the middle of a line.
        torn: bool,
    },
}

impl Target {
    /// Opens the file to append to it, and makes it where there is none: for its owner to write and
    /// its group to read, since addresses are in it.
    pub(crate) fn file(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self::File { path, file, torn: false })
    }

    /// Opens the file of this name again: the old one was moved away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file, torn } = self {
            *file = open(path)?;
            *torn = false;
        }
        Ok(())
    }

    /// Writes whole lines, in one call if the file takes them all.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            // Its lock keeps them apart from the lines of others.
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File { file, torn, .. } => write_whole(file, lines, torn),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// As `write_all`; behind a line that was torn by an error (a full disk, a limit on the file's
/// size), the next one begins on a new line.
fn write_whole(file: &mut impl Write, lines: &[u8], torn: &mut bool) -> io::Result<()> {
    if *torn {
        file.write_all(b"\n")?;
        *torn = false;
    }
    let mut written = 0;
    while written < lines.len() {
        match file.write(&lines[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                *torn = written > 0 && lines[written - 1] != b'\n';
                return Err(error);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has room for so many bytes.
    struct Disk(Vec<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
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
        let (mut disk, mut torn) = (Disk(Vec::new(), 8), false);
        write_whole(&mut disk, b"one\n", &mut torn).unwrap();
        assert!(write_whole(&mut disk, b"two and more\n", &mut torn).is_err());
        assert!(torn);
        assert!(write_whole(&mut disk, b"three\n", &mut torn).is_err());
        disk.1 = 100;
        write_whole(&mut disk, b"four\n", &mut torn).unwrap();
        assert_eq!(disk.0, b"one\ntwo \nfour\n");
    }
}
