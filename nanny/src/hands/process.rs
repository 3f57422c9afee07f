//! The process of a check by program: started in a process group of its own,
//! listened to while it runs, and gone at the end with everything it left in its
//! group. What it printed until the program itself ended is its answer; a child
//! it left behind with the pipe in its hand is not waited for. Nor is its start: the
//! process is nanny itself until it has become the program ([`common::command::starter`]),
//! so that a check on a dead mount has its deadline like any other.
//!
//! posix_spawn instead of `std::process::Command`: the signals this process takes
//! through a descriptor are blocked, and a child of std would inherit that (with
//! the original, check scripts could not be stopped for the same reason, #243908).

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::OsStringExt as _;

use common::child::Exit;
use common::command::starter::{ITSELF, OPTION, Report};
use common::daemon::STARTED_BY;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, pipe2};

use crate::probe::Outcome;
use crate::probe::program::{Command, OUTPUT_MAX};

/// How many reads of 1 KiB empty a pipe, and one more.
const PIPE_READS: usize = 65;

/// A program that runs.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pipe: File,
    output: Vec<u8>,
    program: String,
    report: Report,
}

impl Process {
    /// Starts it: stdin and stderr are /dev/null, stdout is ours.
    ///
    /// # Errors
    /// The check ended here, and so.
    pub fn begin(command: &Command, registry: &Registry, token: Token) -> Result<Self, Outcome> {
        let Some(program) = command.words().first() else { return Err(Outcome::NoProgram) };
        let program = program.to_string_lossy().into_owned();
        let failed = |e| Outcome::ProgramNotRun(program.clone(), e);
        let refused = |e: io::Error| failed(Errno::from_raw(e.raw_os_error().unwrap_or(0)));
        let (report, end) = Report::new().map_err(refused)?;
        let (pipe, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
        let pid = spawn(command.words(), end.as_raw_fd(), theirs.as_raw_fd()).map_err(failed)?;
        let process = Self { pid, pipe: File::from(pipe), output: Vec::new(), program: program.clone(), report };
        match registry.register(&mut SourceFd(&process.pipe.as_raw_fd()), token, Interest::READABLE) {
            Ok(()) => Ok(process),
            Err(e) => {
                process.kill();
                Err(refused(e))
            }
        }
    }

    /// Its process id, and that of its group.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Reads what it printed. `false`: that was more than is kept, and `is_limited`;
    /// else what is beyond the limit is read and dropped.
    pub fn read(&mut self, is_limited: bool) -> bool {
        let mut buffer = [0; 1024];
        // A pipe's worth: whoever waits to write more goes on then and wakes us again.
        for _ in 0..PIPE_READS {
            match self.pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    let room = (OUTPUT_MAX + 1).saturating_sub(self.output.len());
                    self.output.extend_from_slice(buffer.get(..n.min(room)).unwrap_or_default());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Nothing more for now; a pipe has no other errors.
                Err(_) => break,
            }
            if is_limited && self.output.len() > OUTPUT_MAX {
                return false;
            }
        }
        true
    }

    /// Of one that ended: that it was never run, if so.
    pub fn not_run(&self) -> Option<Outcome> {
        let error = self.report.read()?.raw_os_error().unwrap_or(0);
        Some(Outcome::ProgramNotRun(self.program.clone(), Errno::from_raw(error)))
    }

    /// What it printed so far.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Kills it with its group. Its end is still to be seen by [`next_end`].
    pub fn kill(&self) {
        kill_group(self.pid);
    }
}

/// A process of ours that ended and is not reaped yet; its group is sure to be its
/// own until [`reap`].
pub fn next_end() -> Option<(Pid, Exit)> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    Exit::from_wait(waitid(Id::All, flags).ok()?)
}

/// Takes an ended process away, and with it what it left in its group.
pub fn reap(pid: Pid) {
    kill_group(pid);
    // It ended, so this returns at once.
    let _: Result<WaitStatus, Errno> = waitpid(pid, Some(WaitPidFlag::WNOHANG));
}

fn kill_group(pid: Pid) {
    // Nobody left in it is what we want.
    let _ = killpg(pid, Signal::SIGKILL);
}

fn spawn(words: &[CString], stdin: RawFd, stdout: RawFd) -> Result<Pid, Errno> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(stdin, 0)?;
    files.add_dup2(stdout, 1)?;
    files.add_dup2(null.as_raw_fd(), 2)?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::all())?;
    let [itself, option] = [ITSELF, OPTION].map(CString::new);
    let (itself, option) = (itself.map_err(|_| Errno::EINVAL)?, option.map_err(|_| Errno::EINVAL)?);
    let words: Vec<&CStr> = [c"nanny", &option].into_iter().chain(words.iter().map(CString::as_c_str)).collect();
    posix_spawn(itself.as_c_str(), &files, &attributes, &words, &environment())
}

fn environment() -> Vec<CString> {
    let pair = |(name, value): (OsString, OsString)| {
        let mut bytes = name.into_vec();
        bytes.push(b'=');
        bytes.extend(value.into_vec());
        CString::new(bytes).ok()
    };
    std::env::vars_os().filter(|(name, _)| name != STARTED_BY).filter_map(pair).collect()
}
