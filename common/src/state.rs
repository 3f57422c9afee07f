//! A small file in which a daemon keeps what its successor must know: replaced in one
//! step, its owner's alone, never read beyond a limit, and gone when there is nothing to
//! keep. It lives in memory (/run) and so is not synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What is in it, up to so many bytes; `None`: there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(max).read_to_end(&mut bytes)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(Some(bytes))
}

/// Has it say this.
///
/// # Errors
/// The system's; the old file stands.
pub fn replace(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = write(&new, text.as_ref()).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // Half a file would only hold room where there is none.
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// Removes it; that there was none is agreement.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_says_what_was_written_last_to_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        assert_eq!(read(&path, 10).unwrap(), None);
        replace(&path, "first").unwrap();
        replace(&path, "second").unwrap();
        assert_eq!(read(&path, 10).unwrap().as_deref(), Some(b"second".as_slice()));
        assert_eq!(read(&path, 3).unwrap().as_deref(), Some(b"sec".as_slice()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_that_cannot_be_replaced_leaves_nothing_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        std::fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(replace(&path, "text").is_err());
        assert!(read(&path, 10).is_err() && remove(&path).is_err());
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["ledger"]);
    }
}
