//! The process of a check by program: started in a process group of its own,
//! listened to while it runs, and gone at the end with everything it left in its
//! group. What it printed until the program itself ended is its answer; a child
//! it left behind with the pipe in its hand is not waited for.
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
use common::daemon::STARTED_BY;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
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
}

impl Process {
    /// Starts it: stdin and stderr are /dev/null, stdout is ours.
    ///
    /// # Errors
    /// The check ended here, and so.
    pub fn begin(command: &Command, registry: &Registry, token: Token) -> Result<Self, Outcome> {
        let Some(program) = command.words().first() else { return Err(Outcome::NoProgram) };
        let failed = |e| Outcome::ProgramNotRun(program.to_string_lossy().into_owned(), e);
        let (pipe, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
        let pid = spawn(command.words(), theirs.as_raw_fd()).map_err(failed)?;
        let process = Self { pid, pipe: File::from(pipe), output: Vec::new() };
        match registry.register(&mut SourceFd(&process.pipe.as_raw_fd()), token, Interest::READABLE) {
            Ok(()) => Ok(process),
            Err(e) => {
                process.kill();
                Err(failed(Errno::from_raw(e.raw_os_error().unwrap_or(0))))
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

fn spawn(words: &[CString], stdout: RawFd) -> Result<Pid, Errno> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(null.as_raw_fd(), 0)?;
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
    let environment = environment();
    let run = |words: &[&CStr]| {
        let program = words.first().copied().unwrap_or_default();
        posix_spawnp(program, &files, &attributes, words, &environment)
    };
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
    match run(&words) {
        // A script without a first line that names its interpreter, as execvp(3) takes it.
        Err(Errno::ENOEXEC) => run(&[&[c"/bin/sh"], words.as_slice()].concat()),
        result => result,
    }
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
