//! Writes files so that no reader and no crash sees a part of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a new file to the disk, with this mode.
///
/// # Errors
///
/// If it exists, or can't be written.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes a file to the disk, with this mode, and replaces the previous one. The new file first has
/// the extension `new`: only one process at a time may do this.
///
/// # Errors
///
/// If it can't be written. The previous file stays.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&new, content, mode)?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes the names in a folder to the disk.
///
/// # Errors
///
/// If that fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_whatever_a_crash_has_left() {
        let folder = std::env::temp_dir().join(format!("sockeye-durable-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, new) = (folder.join("a.pem"), folder.join("a.new"));
        fs::write(&new, "half").unwrap();
        for (content, mode) in [("first", 0o600), ("second", 0o644)] {
            replace(&path, content.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            assert!(!new.exists());
        }
        assert_eq!(write_new(&path, b"", 0o600).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::create_dir(&new).unwrap();
        assert!(replace(&path, b"third", 0o600).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        fs::remove_dir_all(&folder).unwrap();
    }
}
