//! Starting what may be on a dead mount. Who starts a program waits until the new
//! process has become it, posix_spawn(3) and fork(2) with a pipe alike; and execve(2)
//! waits for the file's disk or server, for ever if that is dead. No loop can wait so
//! long. So a daemon starts what is sure to be there, itself, from memory
//! (`/proc/self/exe`, also after an upgrade replaced the file), and that process
//! becomes the program. Until then it can be killed like the program.
//!
//! ```text
//! daemon ──posix_spawn──► daemon's own program, with OPTION and the words
//!    │                       │ execve: may wait
//!    │◄─── report ends ──────▼
//!    │                    the program
//!    │◄─── or says why not, and the process ends
//! ```
//!
//! The report is a pipe that the process has as its standard input and that does not
//! outlive the execve. Nobody need wait for it: it is read when the process has ended.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::dup2_stdin;

use crate::daemon;

/// The first argument of a process that is to become the program in the others.
pub const OPTION: &str = "--become";

/// The program that a daemon runs, whatever became of its file.
pub const ITSELF: &str = "/proc/self/exe";

/// Longer than the number of any error.
const REPORT_MAX: u64 = 16;

/// As a shell ends when it cannot run what it was asked to.
const NOT_RUN: u8 = 127;

/// Starts programs by way of one whose main calls [`asked`].
#[derive(Clone, Debug)]
pub struct Starter {
    program: PathBuf,
}

impl Default for Starter {
    /// The daemon itself.
    fn default() -> Self {
        Self { program: ITSELF.into() }
    }
}

impl Starter {
    /// By way of another program.
    pub fn by(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// What starts a program with its arguments, and what says whether it could be. The
    /// program's standard input is /dev/null.
    pub(super) fn command(&self, words: &[String]) -> io::Result<(Command, Report)> {
        let (report, end) = Report::new()?;
        let mut command = daemon::command(&self.program);
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name); // what ps shows until it is the program
        }
        command.arg(OPTION).args(words).stdin(end);
        Ok((command, report))
    }
}

/// What a process says that could not become the program.
#[derive(Debug)]
pub struct Report {
    pipe: PipeReader,
}

impl Report {
    /// It, and its other end: the standard input of the process.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<(Self, PipeWriter)> {
        let (pipe, end) = io::pipe()?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Self { pipe }, end))
    }

    /// Why it could not; `None`, if it has or if it has not said anything. Read once,
    /// when it has ended.
    pub fn read(&self) -> Option<io::Error> {
        let mut text = String::new();
        // What was read before an error counts.
        let _ = (&self.pipe).take(REPORT_MAX).read_to_string(&mut text);
        text.trim_end().parse().ok().map(io::Error::from_raw_os_error)
    }
}

/// What a main begins with: if its first argument is [`OPTION`], it becomes the program
/// in the others. How it ended, if it could not.
pub fn asked() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    (words.next()? == OPTION).then(|| become_program(words))
}

/// Becomes the program in these words, with /dev/null to read; returns if it cannot.
fn become_program(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let program = words.next().unwrap_or_default();
    if let Ok(report) = io::stdin().as_fd().try_clone_to_owned() {
        let error = execute(&program, words);
        // Whoever asked may be gone.
        let _ = writeln!(File::from(report), "{}", error.raw_os_error().unwrap_or(0));
    }
    ExitCode::from(NOT_RUN)
}

fn execute(program: &OsStr, arguments: impl Iterator<Item = OsString>) -> io::Error {
    if let Err(e) = File::open("/dev/null").and_then(|null| Ok(dup2_stdin(&null)?)) {
        return e;
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i32> {
        let (report, mut end) = Report::new().unwrap();
        end.write_all(text.as_bytes()).unwrap();
        report.read().and_then(|error| error.raw_os_error())
    }

    #[test]
    fn a_report_is_the_number_of_an_error_and_waits_for_nothing() {
        assert_eq!(read("2\n"), Some(2));
        assert_eq!(read(""), None, "it may still come");
        let (report, end) = Report::new().unwrap();
        drop(end);
        assert!(report.read().is_none(), "it has become the program");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_stands_in_a_report_is_a_number_or_nothing(text in ".{0,40}") {
            let expected = text.trim_end().parse().ok();
            if text.len() <= 16 {
                prop_assert_eq!(read(&text), expected);
            } else {
                let _ = read(&text);
            }
        }
    }
}
