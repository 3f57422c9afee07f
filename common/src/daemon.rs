//! What the three have in common as daemons: exit codes, pid files, the way to
//! the background, and where the siblings are.
//!
//! Going to the background needs no fork of our own: the foreground process
//! starts its own program again with the same arguments, waits until that one
//! says that it is up (or what is wrong), and exits with the true outcome. The
//! original reported success as soon as it had forked (piranha.md 2.9).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Where state and sockets live; root's alone, gone with a reboot. One per mount
/// namespace.
pub const RUN_DIR: &str = "/run/piranha-ng";

/// Exit codes of all three daemons (sysexits.h where it has one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Asked to stop, and stopped in order.
    Stopped = 0,
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// Something that cannot be happened (EX_SOFTWARE).
    Bug = 70,
    /// The system refused something needed (EX_OSERR).
    System = 71,
    /// A right is missing (EX_NOPERM).
    Permission = 77,
    /// The configuration is wrong (EX_CONFIG).
    Configuration = 78,
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// A pid file that is locked while its process lives, so that a second daemon
/// sees the first and a stale file stops nobody.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: Flock<File>,
}

/// Why a pid file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// The daemon runs already, as this process (0: it has not written yet).
    #[error("already running as process {0}")]
    Running(u32),
    /// The file cannot be written.
    #[error("failed to open {path}: {source}")]
    Io {
        /// The pid file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PidFile {
    /// Takes the pid file and writes our pid into it.
    pub fn take(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source| PidFileError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(PidFileError::Running(text.trim().parse().unwrap_or(0)));
            }
            Err((_, e)) => return Err(failed(e.into())),
        };
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Removes it; done at an orderly end.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
        drop(self.file);
    }
}

/// A sibling program: beside the running one first, then in /usr/sbin.
pub fn sibling(name: &str) -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(name)));
    match beside {
        Some(path) if path.is_file() => path,
        _ => Path::new("/usr/sbin").join(name),
    }
}

/// The command line behind the program's name, as given.
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

/// Makes [`RUN_DIR`] and a folder below it, mode 0700.
///
/// # Errors
/// The system's; the caller can live without (nothing is found again after a
/// crash then), and says so.
pub fn run_dir(below: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = Path::new(RUN_DIR).join(below);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_ours_while_we_live_and_stale_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pulse.pid");
        let first = PidFile::take(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Running(pid)) if pid == std::process::id()));
        drop(first); // as after SIGKILL: the file stays, the lock does not
        let second = PidFile::take(&path).unwrap();
        second.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_pid_file_that_cannot_be_written_is_named() {
        let e = PidFile::take(Path::new("/nonexistent/lvs.pid")).unwrap_err();
        assert!(e.to_string().starts_with("failed to open /nonexistent/lvs.pid: "), "{e}");
    }
}
