//! A command of the operator's: active_cmd, check_cmd, notify, start_cmd and their
//! like. Words between blanks, without quotes and without a shell, as the original
//! split them (piranha.md 2.8, 5); run in a process group of its own, which is
//! killed when its time is over; never waited for, its end is for waitpid in the
//! owner's loop. Not even its start is: see [`starter`].
//!
//! What it prints is kept in a piece of memory that cannot grow. A pipe would
//! need a reader for as long as anybody has it: a service that its start script
//! left with it would fill it and hang, or die of it once we close our end. Here
//! it gets an error for what it prints too much, and nothing else. One whose last
//! line nobody wants to know prints to /dev/null, as much as it likes.
//!
//! One outlives the process that started it. The next one knows it by its
//! [`Identity`], and looks now and then whether it has ended: nobody will say so.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Whence, ftruncate, lseek};

use crate::child::Exit;

mod identity;
pub mod starter;
pub use identity::Identity;
use starter::Report;
pub use starter::Starter;

/// How much of what a command prints is kept, in bytes.
const OUTPUT_MAX: usize = 16 * 1024;

/// The longest line of it that is said, in characters.
const LINE_MAX: usize = 200;

/// How long a killed command may take to end before it is killed again: one that
/// hangs in the kernel ends when that lets go of it.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// The words of a command line; none if there is nothing to run.
pub fn words(line: &str) -> Vec<String> {
    line.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Why a command was of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not be run.
    NotRun {
        /// Its program; empty, if there is none.
        program: String,
        /// Why.
        reason: String,
    },
    /// It ended in another way than with status 0; the last line it printed.
    Ended(Exit, String),
    /// It was killed after this time; the last line it printed.
    TimedOut(Duration, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (how, line) = match self {
            Self::NotRun { program, reason } if program.is_empty() => return write!(f, "cannot be run: {reason}"),
            Self::NotRun { program, reason } => return write!(f, "cannot be run: {program}: {reason}"),
            Self::Ended(exit, line) => (exit.to_string(), line),
            Self::TimedOut(within, line) => (format!("was killed after {within:?}"), line),
        };
        f.write_str(&how)?;
        if line.is_empty() { Ok(()) } else { write!(f, ", its last line: {line}") }
    }
}

/// One that runs, or was killed and has not ended yet.
#[derive(Debug)]
pub struct Running {
    pid: u32,
    within: Duration,
    until: Instant,
    is_killed: bool,
    output: Option<File>,
    /// The program, and whether it could be run; of our own child.
    begun: Option<(String, Report)>,
    /// Of one that is not our child.
    inherited: Option<Identity>,
}

impl Running {
    /// Starts it, for as long as `within`. That its program cannot be run is known when
    /// it has ended ([`Running::judge`]).
    ///
    /// # Errors
    /// The system's, with the program's name.
    pub fn start(words: &[String], starter: &Starter, within: Duration, now: Instant) -> Result<Self, Failure> {
        // Old kernels have no such memory: its output is lost there.
        Self::start_into(bounded_memory().ok(), words, starter, within, now)
    }

    /// The same, and nothing is kept of what it prints.
    ///
    /// # Errors
    /// The system's, with the program's name.
    pub fn start_unheard(words: &[String], starter: &Starter, within: Duration, now: Instant) -> Result<Self, Failure> {
        Self::start_into(None, words, starter, within, now)
    }

    fn start_into(
        output: Option<File>,
        words: &[String],
        starter: &Starter,
        within: Duration,
        now: Instant,
    ) -> Result<Self, Failure> {
        let Some(program) = words.first() else {
            return Err(Failure::NotRun { program: String::new(), reason: "there is no command".to_owned() });
        };
        let not_run = |e: io::Error| Failure::NotRun { program: program.clone(), reason: e.to_string() };
        let end = || output.as_ref().and_then(|file| file.try_clone().ok()).map_or_else(Stdio::null, Stdio::from);
        let (mut command, report) = starter.command(words).map_err(not_run)?;
        let child = command.stdout(end()).stderr(end()).process_group(0).spawn().map_err(not_run)?;
        let (pid, begun) = (child.id(), Some((program.clone(), report)));
        Ok(Self { pid, within, until: now + within, is_killed: false, output, begun, inherited: None })
    }

    /// One that a process before this one started, for as long as `within`, if it has
    /// not ended.
    pub fn inherit(identity: Identity, within: Duration, until: Instant) -> Option<Self> {
        identity.is_alive().then_some(Self {
            pid: identity.pid,
            within,
            until,
            is_killed: false,
            output: None,
            begun: None,
            inherited: Some(identity),
        })
    }

    /// For whoever comes after this process. `None`: it has ended.
    pub fn identity(&self) -> Option<Identity> {
        self.inherited.or_else(|| Identity::of(self.pid))
    }

    /// Whether it is not our child: waitpid does not know it, [`Running::has_ended`]
    /// must be asked, and how it ended is not known.
    pub fn is_inherited(&self) -> bool {
        self.inherited.is_some()
    }

    /// Of one that is not our child.
    pub fn has_ended(&self) -> bool {
        self.inherited.is_some_and(|identity| !identity.is_alive())
    }

    /// Its process, and its group; for waitpid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How long it may run in all.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// When [`Running::due`] is next needed.
    pub fn deadline(&self) -> Instant {
        self.until
    }

    /// Kills it if its time is over. `Some`: just now; it is still to be reaped.
    pub fn due(&mut self, now: Instant) -> Option<Failure> {
        if now < self.until {
            return None;
        }
        let first = !self.is_killed;
        self.kill(now);
        first.then(|| Failure::TimedOut(self.within, self.last_line()))
    }

    /// Kills it and what it left in its group; it is still to be reaped.
    pub fn kill(&mut self, now: Instant) {
        self.is_killed = true;
        self.until = now + KILL_AGAIN;
        if let (Ok(group), false) = (i32::try_from(self.pid), self.has_ended()) {
            // It is not reaped, so the group is its own; nobody left in it is what we want.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    /// Whether its end is no news any more.
    pub fn is_killed(&self) -> bool {
        self.is_killed
    }

    /// What its end means. A service that it started goes on: its group is not killed.
    ///
    /// # Errors
    /// It failed.
    pub fn judge(&self, exit: Exit) -> Result<(), Failure> {
        if exit == Exit::Status(0) {
            return Ok(());
        }
        if let Some((program, report)) = &self.begun
            && let Some(error) = report.read()
        {
            return Err(Failure::NotRun { program: program.clone(), reason: error.to_string() });
        }
        Err(Failure::Ended(exit, self.last_line()))
    }

    /// The last line it printed, shortened.
    fn last_line(&self) -> String {
        let Some(output) = &self.output else { return String::new() };
        // The place of our copy is the place of its own.
        let length = lseek(output, 0, Whence::SeekCur).ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let mut buffer = vec![0; length.min(OUTPUT_MAX)];
        let length = output.read_at(&mut buffer, 0).unwrap_or(0);
        last_line(buffer.get(..length).unwrap_or_default())
    }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LINE_MAX).collect()
}

fn bounded_memory() -> io::Result<File> {
    let memory: OwnedFd = memfd_create(c"piranha-ng", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    ftruncate(&memory, i64::try_from(OUTPUT_MAX).unwrap_or(0))?;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL))?;
    Ok(memory.into())
}

#[cfg(test)]
mod tests;
