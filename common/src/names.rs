//! The host names of a configuration, looked up by a process of its own: the
//! system's resolver takes ten seconds and more for each name when no name server
//! answers, and cannot be asked without waiting. A daemon starts its own program
//! with [`OPTION`], and goes on with its loop until the answers came; a command
//! that looks at a file waits for them ([`with_names`]), as long and no longer.
//!
//! A file that holds addresses only, as most do, costs no process.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::child::Rules;
use crate::config::{self, Outside, Syntax, System};
use crate::daemon::{self, ExitStatus};
use crate::ipvs::Protocol;

/// The command line of a process that looks names up; they are on its standard
/// input, a line each.
pub const OPTION: &str = "--look-up-names";

/// How long a lookup may take; what has no address by then has none. Shorter than
/// a command waits for the start that it belongs to (30 s).
pub const WITHIN: Duration = Duration::from_secs(25);

/// How many names are looked up at a time: those that have no answer must not keep
/// those in /etc/hosts waiting until the time is over.
const AT_A_TIME: usize = 16;

/// The most that is read of the names or of the answers, in bytes: a hundred
/// thousand names.
const TEXT_MAX: u64 = 16 * 1024 * 1024;

/// Addresses by name: the world, as it was when they were looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    addresses: BTreeMap<String, IpAddr>,
}

impl Outside for Known {
    fn host(&self, name: &str) -> Option<IpAddr> {
        self.addresses.get(name).copied()
    }
}

/// Notes what is asked for, and knows none of it.
#[derive(Default)]
struct Recorder {
    asked: RefCell<BTreeSet<String>>,
}

impl Outside for Recorder {
    fn host(&self, name: &str) -> Option<IpAddr> {
        self.asked.borrow_mut().insert(name.to_owned());
        None
    }
}

/// The host names in a configuration; none if it cannot be read at all.
pub fn names_in(file: &Path) -> BTreeSet<String> {
    let recorder = Recorder::default();
    // What is wrong with it is said when it is read with the answers.
    let _ = config::load_with(file, Syntax::of(file), &recorder);
    recorder.asked.into_inner()
}

/// A world whose host names are looked up by somebody else. What was read of it
/// once is kept, as a pipe can be read only once.
struct Asked<'a> {
    outside: &'a dyn Outside,
    files: RefCell<HashMap<PathBuf, Vec<u8>>>,
    names: RefCell<BTreeSet<String>>,
    known: Known,
}

impl Outside for Asked<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.files.borrow().get(path) {
            return Ok(bytes.clone());
        }
        let bytes = self.outside.read(path)?;
        self.files.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.outside.list(folder)
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.names.borrow_mut().insert(name.to_owned());
        self.known.host(name)
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.outside.service(name, protocol)
    }
}

/// Judges what is read from the world: once, if it names no hosts; else again, when
/// `look_up` has said what their addresses are.
pub fn with_names<T>(
    outside: &dyn Outside,
    look_up: impl FnOnce(&BTreeSet<String>) -> Known,
    judge: impl Fn(&dyn Outside) -> T,
) -> T {
    let files = RefCell::default();
    let mut asked = Asked { outside, files, names: RefCell::default(), known: Known::default() };
    let verdict = judge(&asked);
    let names = asked.names.take();
    if names.is_empty() {
        return verdict;
    }
    asked.known = look_up(&names);
    judge(&asked)
}

/// What a main begins with: if its first argument is [`OPTION`], it looks names up, and
/// has ended.
pub fn asked() -> Option<ExitCode> {
    (std::env::args_os().nth(1)? == OPTION).then(|| {
        look_up();
        ExitStatus::Stopped.into()
    })
}

/// The work of the process that looks names up: prints `NAME ADDRESS` for each
/// name on its standard input that has one, as soon as it is known.
fn look_up() {
    let names = io::BufReader::new(io::stdin()).take(TEXT_MAX).lines().map_while(Result::ok);
    // Whoever asked may not wait any more.
    answer(names, |name| System.host(name), |name, address| drop(writeln!(io::stdout(), "{name} {address}")));
}

/// Looks some of the names up at a time.
fn answer(
    names: impl Iterator<Item = String> + Send,
    host: impl Fn(&str) -> Option<IpAddr> + Sync,
    say: impl Fn(&str, IpAddr) + Sync,
) {
    let names = Mutex::new(names);
    let next = || names.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(name) = next() {
                    if let Some(address) = host(&name) {
                        say(&name, address);
                    }
                }
            });
        }
    });
}

/// The names for the process that looks them up: a file that nobody else sees, as
/// what is written into a pipe may have to wait for its reader.
fn written(names: &BTreeSet<String>) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"names", MFdFlags::MFD_CLOEXEC)?);
    let text: String = names.iter().flat_map(|name| [name, "\n"]).collect();
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
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
    /// Starts `program`, whose main calls [`asked`].
    ///
    /// # Errors
    /// The system's.
    pub fn start(program: &Path, names: &BTreeSet<String>, now: Instant) -> io::Result<Self> {
        let mut command = daemon::command(program);
        command.arg(OPTION).stdin(written(names)?).stdout(Stdio::piped()).stderr(Stdio::null());
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
        while (self.answers.len() as u64) < TEXT_MAX {
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
