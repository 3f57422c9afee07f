//! What the three have in common as daemons: exit codes, pid files, the way to
//! the background, and where the siblings are.
//!
//! Going to the background needs no fork of our own: the foreground process
//! starts its own program again with the same arguments, waits until that one
//! says that it is up (or what is wrong), and exits with the true outcome. The
//! original reported success as soon as it had forked (piranha.md 2.9).

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;

use crate::channel::{Line, Said};
use crate::log::words;

/// Where state and sockets live; root's alone, gone with a reboot. One per mount
/// namespace. [`run_root`] is the place on a host without /run.
pub const RUN_DIR: &str = "/run/piranha-ng";

/// The same on a host that has no /run (RHEL 6); its boot empties /var/run.
pub(crate) const OLD_RUN_DIR: &str = "/var/run/piranha-ng";

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
    #[error("failed to open {path}: {}", words(source))]
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
        let mut file = loop {
            let file = Self::lock(path)?;
            // Its last holder may have removed it between our open and our lock.
            if is_still_at(&file, path) {
                break file;
            }
        };
        // Scripts of root signal what stands in it, so root alone writes it.
        file.set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn lock(path: &Path) -> Result<Flock<File>, PidFileError> {
        let failed = |source| PidFileError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(file),
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                Err(PidFileError::Running(text.trim().parse().unwrap_or(0)))
            }
            Err((_, e)) => Err(failed(e.into())),
        }
    }

    /// Removes it; done at an orderly end.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
        drop(self.file);
    }
}

/// Whether `path` names this open file.
fn is_still_at(file: &File, path: &Path) -> bool {
    let identity = |it: Metadata| (it.dev(), it.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => identity(ours) == identity(there),
        (Err(_), _) | (_, Err(_)) => false,
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

/// Whether the file of a process's program is another by now, as after an upgrade.
/// One of which nothing is known counts as what it was, and so does one whose file
/// is gone: no other could be started.
pub fn is_replaced(pid: u32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let file = program.to_str().and_then(|program| program.strip_suffix(" (deleted)"));
    file.is_some_and(|file| Path::new(file).is_file())
}

/// Descriptors above stderr are looked for up to here where there is no /proc to
/// list them: the usual soft limit.
const DESCRIPTORS_MAX: i32 = 1024;

/// Lets go of what a caller left to us that is not ours to keep: descriptors above
/// stderr (a lock, a pipe that an installer waits on), blocked signals, a umask
/// under which our files would be everybody's. Called first of all in a main,
/// while nothing is open yet. Everything we start then inherits none of it.
pub fn shed_inheritance() {
    let listed = std::fs::read_dir("/proc/self/fd").map(|folder| {
        let names = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        names.collect::<Vec<i32>>()
    });
    // The list's own descriptor is in it and closed by now: that error, as every
    // other, leaves a descriptor that is not open.
    for fd in listed.unwrap_or_else(|_| (3..DESCRIPTORS_MAX).collect()).into_iter().filter(|fd| *fd > 2) {
        let _ = nix::unistd::close(fd);
    }
    // It fails only for a wrong argument.
    let _ = SigSet::empty().thread_set_mask();
    nix::sys::stat::umask(Mode::S_IWGRP | Mode::S_IWOTH);
}

/// The variable that tells the background half who started it; nobody else's affair,
/// so children are started by [`command`]. It holds a process id, so that one which
/// has it nevertheless does not take itself for a half.
pub const STARTED_BY: &str = "PIRANHA_STARTED_BY";

/// The variable that names the socket of a supervisor such as systemd (sd_notify(3)).
pub const SUPERVISOR_SOCKET: &str = "NOTIFY_SOCKET";

/// A command for a child of a daemon, without what only the daemon itself needed in
/// the environment.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for variable in [STARTED_BY, SUPERVISOR_SOCKET, "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
    command
}

/// Which half of the way to the background this process is; see [`background`].
#[derive(Debug)]
pub enum Background {
    /// The one that was called: the daemon is up (0) or ended with this exit
    /// code. There is nothing left to do but to exit with it.
    Foreground(u8),
    /// The daemon, in a session of its own. It goes on with its start and says
    /// [`Launch::ready`] when it is up; errors until then go to the caller's stderr.
    Daemon(Launch),
}

/// The daemon's promise to tell the one that was called how the start went. If
/// the daemon ends without keeping it, its exit code is what the caller sees.
#[derive(Debug)]
pub struct Launch {
    line: Line,
}

impl Launch {
    /// Up: the caller gets 0, and the terminal is let go of.
    ///
    /// # Errors
    /// No /dev/null; the caller was told in any case.
    pub fn ready(self) -> io::Result<()> {
        // First the terminal: who returns to a shell must not find us in its pipe.
        let freed = free_terminal();
        // A caller that was interrupted meanwhile is no reason to stop.
        let _ = self.line.send(&Said::Ready.encode());
        freed
    }
}

fn free_terminal() -> io::Result<()> {
    std::env::set_current_dir("/")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Goes to the background: starts this program again with the same arguments, in
/// a session of its own, and waits for what becomes of it. Called first in a
/// daemon's main, before threads, files and sockets; it returns in both processes.
///
/// # Errors
/// The program cannot be started again, or it neither came up nor ended `within`
/// this time (`TimedOut`; it goes on with its start).
pub fn background(within: Duration) -> io::Result<Background> {
    let started_by = std::env::var(STARTED_BY).ok().and_then(|pid| pid.parse().ok());
    if started_by == Some(nix::unistd::getppid().as_raw()) {
        let line =
            Line::from_stdin().ok_or_else(|| io::Error::other("the background half has no line to its caller"))?;
        nix::unistd::setsid()?;
        return Ok(Background::Daemon(Launch { line }));
    }
    let mut arguments = std::env::args_os();
    let program = std::env::current_exe()?;
    let (line, theirs) = Line::pair()?;
    let mut child = Command::new(&program)
        .arg0(arguments.next().unwrap_or_else(|| program.clone().into_os_string()))
        .args(arguments)
        .env(STARTED_BY, std::process::id().to_string())
        .stdin(Stdio::from(theirs))
        .spawn()?;
    let ready = |said| matches!(said, Said::Ready).then_some(());
    if line.wait_for(Said::decode, Instant::now() + within, ready)?.is_some() {
        return Ok(Background::Foreground(ExitStatus::Stopped as u8));
    }
    let status = child.wait()?;
    // As a shell would tell the end by a signal.
    let signal = status.signal().map(|signal| 128_i32.saturating_add(signal));
    let code = status.code().or(signal).and_then(|code| u8::try_from(code).ok());
    Ok(Background::Foreground(code.unwrap_or(ExitStatus::Bug as u8)))
}

/// What `--version` prints, in the original's form (piranha.md 2.1). A packager
/// names the day in PIRANHA_BUILT when building; a clock would make two builds of
/// one source differ.
pub fn version(program: &str) -> String {
    format!(
        "Program Version:\t{program} {version}\nBuilt:\t\t\t{built}\nA component of:\t\tpiranha-ng-{version}\n",
        version = env!("CARGO_PKG_VERSION"),
        built = option_env!("PIRANHA_BUILT").unwrap_or("from source"),
    )
}

/// The command line behind the program's name, as given.
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

/// The folder of state and sockets on this host, made or not.
pub fn run_root() -> &'static Path {
    run_root_on(Path::new("/"))
}

/// /run is never made: where it is missing, nothing empties it at boot either.
fn run_root_on(host: &Path) -> &'static Path {
    Path::new(if host.join("run").is_dir() { RUN_DIR } else { OLD_RUN_DIR })
}

/// The kernel's id of this boot; empty where it tells none. What is written down
/// about the kernel belongs to one boot: where [`run_root`] is on a disk it outlives it.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Makes [`run_root`] and a folder below it, mode 0700.
///
/// # Errors
/// The system's; the caller can live without (nothing is found again after a
/// crash then), and says so.
pub fn run_dir(below: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = run_root().join(below);
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
        // A child that another test starts at this moment may have a copy, for a moment.
        let second = std::iter::repeat_with(|| PidFile::take(&path))
            .find(|taken| !matches!(taken, Err(PidFileError::Running(_))));
        let second = second.unwrap().unwrap();
        second.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_pid_file_has_one_holder_while_others_take_and_remove_it() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pulse.pid");
        let holders = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut taken = 0;
                    while taken < 25 {
                        let Ok(file) = PidFile::take(&path) else { continue };
                        taken += 1;
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "a second holder");
                        std::thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        file.remove();
                    }
                });
            }
        });
    }

    #[test]
    fn a_pid_file_is_nobody_elses_to_write_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pulse.pid");
        std::fs::write(&path, "1\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let file = PidFile::take(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        file.remove();
    }

    #[test]
    fn a_program_is_replaced_when_its_file_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sleep");
        // Not by this process: a child that another test starts meanwhile would have the
        // file open for writing too, and it could not be run.
        let cp = |to: &Path| Command::new("cp").arg("/bin/sleep").arg(to).status().unwrap();
        assert!(cp(&program).success());
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        assert!(!is_replaced(child.id()));
        assert!(cp(&dir.path().join("new")).success());
        std::fs::rename(dir.path().join("new"), &program).unwrap();
        assert!(is_replaced(child.id()));
        std::fs::remove_file(&program).unwrap();
        assert!(!is_replaced(child.id()), "there is no other");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_replaced(child.id()), "nothing is known of it");
    }

    #[test]
    fn state_is_in_run_and_where_there_is_none_in_var_run() {
        let host = tempfile::tempdir().unwrap();
        assert_eq!(run_root_on(host.path()), Path::new("/var/run/piranha-ng"));
        std::fs::create_dir(host.path().join("run")).unwrap();
        assert_eq!(run_root_on(host.path()), Path::new("/run/piranha-ng"));
    }

    #[test]
    fn a_pid_file_that_cannot_be_written_is_named() {
        let e = PidFile::take(Path::new("/nonexistent/lvs.pid")).unwrap_err();
        assert_eq!(e.to_string(), "failed to open /nonexistent/lvs.pid: No such file or directory");
    }
}
