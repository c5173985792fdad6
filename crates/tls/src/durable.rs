//! Writes files so that they survive a crash. [`replace`] also never shows a reader a part of a
//! file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a new file, with the permissions `mode` less the umask, and waits until its content is on
/// the disk. Until then, readers may see a part of it. The file's name survives a crash only after
/// [`sync_folder`].
///
/// # Errors
///
/// If the file exists, or can't be written. In the second case, a part of it may remain.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Replaces a file by one with this content and the permissions `mode` less the umask, and waits
/// until it is on the disk. Writes a temporary file, whose extension is `new` instead of that of
/// `path`, and renames it to `path`. So two calls must not run at once for the same path, or for
/// paths that differ only in their extensions.
///
/// # Errors
///
/// If the new file can't be written, the previous one stays. If the folder can't be written to the
/// disk afterwards, the new file is there, but may be lost in a crash.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&new, content, mode)?;
    fs::rename(&new, path)?;
    // The parent of a bare file name is empty.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Waits until the names in a folder are on the disk, so that new files and renames survive a
/// crash.
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
