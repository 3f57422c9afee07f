//! The host names of a configuration, looked up by a process of its own: the
//! system's resolver takes ten seconds and more for each name when no name server
//! answers, and cannot be asked without waiting. A daemon starts its own program
//! with [`OPTION`] and the file, and goes on with its loop until the answers came.
//!
//! A file that holds addresses only, as most do, costs no process.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::child::Rules;
use crate::config::{self, Outside, Syntax, System};
use crate::daemon;
use crate::ipvs::Protocol;

/// The first word of the command line of a process that looks names up; the file
/// is the second.
pub const OPTION: &str = "--look-up-names";

/// How long a lookup may take; what has no address by then has none. Shorter than
/// a command waits for the start that it belongs to (30 s).
pub const WITHIN: Duration = Duration::from_secs(25);

/// The most that is read of the answers, in bytes: a hundred thousand names.
const ANSWERS_MAX: u64 = 16 * 1024 * 1024;

/// Addresses by name: the world, as it was when they were looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    addresses: BTreeMap<String, IpAddr>,
}

impl Outside for Known {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        System.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        System.list(folder)
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.addresses.get(name).copied()
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        System.service(name, protocol)
    }
}

/// Notes what is asked for, and knows none of it.
#[derive(Default)]
struct Recorder {
    asked: RefCell<BTreeSet<String>>,
}

impl Outside for Recorder {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        System.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        System.list(folder)
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.asked.borrow_mut().insert(name.to_owned());
        None
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        System.service(name, protocol)
    }
}

/// The host names in a configuration; none if it cannot be read at all.
pub fn names_in(file: &Path) -> BTreeSet<String> {
    let recorder = Recorder::default();
    // What is wrong with it is said when it is read with the answers.
    let _ = config::load_with(file, Syntax::of(file), &recorder);
    recorder.asked.into_inner()
}

/// The work of the process that looks names up: prints `NAME ADDRESS` for each
/// name that has one, as soon as it is known.
pub fn look_up(file: &Path) {
    for name in names_in(file) {
        if let Some(address) = System.host(&name) {
            // Whoever asked may not wait any more.
            let _ = writeln!(io::stdout(), "{name} {address}");
        }
    }
}

/// A process that looks names up, and what it has answered so far.
#[derive(Debug)]
pub struct Lookup {
    pid: u32,
    pipe: File,
    answers: Vec<u8>,
    until: Instant,
}

impl Lookup {
    /// Starts `program`, whose main calls [`look_up`] for [`OPTION`].
    ///
    /// # Errors
    /// The system's.
    pub fn start(program: &Path, file: &Path, now: Instant) -> io::Result<Self> {
        let mut command = daemon::command(program);
        command.arg(OPTION).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let Some(pipe) = child.stdout.take() else { return Err(io::Error::from(io::ErrorKind::BrokenPipe)) };
        let pipe = OwnedFd::from(pipe);
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pid: child.id(), pipe: pipe.into(), answers: Vec::new(), until: now + WITHIN })
    }

    /// The process; whoever started it reaps it, and may kill it until then.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Reads what came. The answers when they are complete, or the time is over.
    pub fn read(&mut self, now: Instant) -> Option<Known> {
        let mut buffer = [0; 4096];
        while (self.answers.len() as u64) < ANSWERS_MAX {
            match self.pipe.read(&mut buffer) {
                Ok(0) => return Some(self.known()),
                Ok(n) => self.answers.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && now < self.until => return None,
                Err(_) => return Some(self.known()),
            }
        }
        Some(self.known())
    }

    /// Waits for the answers where there is no loop yet; `beat` is called again and
    /// again meanwhile, for a parent that must not take us for frozen.
    pub fn wait(mut self, mut beat: impl FnMut()) -> Known {
        let known = loop {
            if let Some(known) = self.read(Instant::now()) {
                break known;
            }
            beat();
            let left = self.until.saturating_duration_since(Instant::now()).min(Rules::default().beat);
            let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
            // Whatever ends the wait, the next turn looks.
            let _ = poll(&mut [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)], left);
        };
        if let Ok(pid) = i32::try_from(self.pid).map(Pid::from_raw) {
            // It is our child and not reaped, so this is the one.
            let _ = kill(pid, Signal::SIGKILL);
            while waitpid(pid, None) == Err(Errno::EINTR) {}
        }
        known
    }

    fn known(&self) -> Known {
        let text = String::from_utf8_lossy(&self.answers);
        // A line that was cut off has no newline, and is none.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let answer = |line: &str| {
            let (name, address) = line.rsplit_once(' ')?;
            Some((name.to_owned(), address.parse().ok()?))
        };
        Known { addresses: whole.filter_map(answer).collect() }
    }
}

impl AsFd for Lookup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests;
