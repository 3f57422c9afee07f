//! The host names of a configuration, looked up so that nobody waits for it. The
//! system's resolver may take half a minute over a dead name server, and cannot be
//! told to hurry; so it is asked by a short-lived process of our own program
//! ([`answer`]), for [`WITHIN`] at most. A name without an answer keeps the address
//! it had: the addresses are kept in a file, across restarts too.
//!
//! ```text
//! load ──► no name in it ──────────────────────────────────────────► configuration
//!      └─► names ── ask ──► Lookup (in the loop, or wait) ── learn ──► load again
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::config::{Failed, Loaded, Outside, Syntax, System, load_with};
use crate::ipvs::Protocol;

/// How long all answers may take. A name server that is not dead answers in less;
/// longer, and an operator at a reload wonders.
pub const WITHIN: Duration = Duration::from_secs(5);

/// How many names are looked up at once.
const AT_ONCE: usize = 16;

/// The largest list of answers and largest file that is read, in bytes: a hundred
/// thousand names.
const ANSWERS_MAX: usize = 8 * 1024 * 1024;

/// The names and what is known of them; the rest of the world is the real one.
#[derive(Debug)]
pub struct Names {
    known: BTreeMap<String, IpAddr>,
    file: PathBuf,
    /// Those that the last reading asked for.
    asked: RefCell<BTreeSet<String>>,
}

impl Names {
    /// With the addresses kept in this file, if it is there. It is written by
    /// [`Names::keep`] alone.
    pub fn new(file: PathBuf) -> Self {
        let mut text = Vec::new();
        if let Ok(file) = std::fs::File::open(&file) {
            // What cannot be read is not known.
            let _ = file.take(ANSWERS_MAX as u64).read_to_end(&mut text);
        }
        Self { known: parse(&text), file, asked: RefCell::default() }
    }

    /// Reads a configuration with the addresses that are known now. If
    /// [`Names::asked`] has names afterwards, they may be old or missing.
    ///
    /// # Errors
    /// Everything that is wrong with it; a name that is not known too.
    pub fn load(&self, path: &Path) -> Result<Loaded, Failed> {
        self.asked.borrow_mut().clear();
        load_with(path, Syntax::of(path), self)
    }

    /// The names that the last reading met.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    /// Takes the answers, whether all came or not. The names that had none and go on
    /// with what was known of them.
    pub fn learn(&mut self, lookup: &Lookup) -> Vec<String> {
        let answers = parse(&lookup.answers);
        let stale = lookup.names.iter().filter(|name| !answers.contains_key(*name) && self.known.contains_key(*name));
        let stale = stale.cloned().collect();
        self.known.extend(answers);
        stale
    }

    /// Writes the file, with the names of the last reading. It lives in memory (/run).
    ///
    /// # Errors
    /// The system's; the old file stands.
    pub fn keep(&self) -> io::Result<()> {
        let asked = self.asked.borrow();
        let mut text = String::new();
        for (name, address) in self.known.iter().filter(|(name, _)| asked.contains(*name)) {
            let _ = writeln!(text, "{name} {address}");
        }
        let new = self.file.with_extension("new");
        std::fs::File::create(&new)?.write_all(text.as_bytes())?;
        std::fs::rename(&new, &self.file)
    }

    /// Reads, asks, waits for the answers, and reads again: for a start, when nobody
    /// else is kept waiting. With the names that go on with an old address.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load_waiting(&mut self, path: &Path, program: &Path) -> Result<(Loaded, Vec<String>), Failed> {
        let first = self.load(path);
        let names = self.asked();
        if names.is_empty() {
            return first.map(|loaded| (loaded, Vec::new()));
        }
        let mut lookup = Lookup::none(names);
        if let Ok(asked) = Lookup::ask(lookup.names.clone(), program, Instant::now()) {
            lookup = asked;
            lookup.wait();
        }
        let stale = self.learn(&lookup);
        self.load(path).map(|loaded| (loaded, stale))
    }
}

impl Outside for Names {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        System.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        System.list(folder)
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.known.get(name).copied()
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        System.service(name, protocol)
    }
}

/// `NAME ADDRESS` lines; others are none.
fn parse(text: &[u8]) -> BTreeMap<String, IpAddr> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let (name, address) = line.split_once(' ')?;
        Some((name.to_owned(), address.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Names that are being looked up.
#[derive(Debug)]
pub struct Lookup {
    names: Vec<String>,
    process: Option<(Child, OwnedFd)>,
    answers: Vec<u8>,
    until: Instant,
}

impl Lookup {
    /// One that has no answers and gets none: the process could not be started.
    pub fn none(names: Vec<String>) -> Self {
        Self { names, process: None, answers: Vec::new(), until: Instant::now() }
    }

    /// Asks, by `program --resolve`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn ask(names: Vec<String>, program: &Path, now: Instant) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("--resolve")
            .stdin(list(&names)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let Some(answers) = child.stdout.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let answers = OwnedFd::from(answers);
        fcntl(&answers, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { names, process: Some((child, answers)), answers: Vec::new(), until: now + WITHIN })
    }

    /// The end of our patience.
    pub fn deadline(&self) -> Instant {
        self.until
    }

    /// Reads what came; `true`: that is all, or the time is over. waitpid will tell of
    /// the process's end.
    pub fn is_done(&mut self, now: Instant) -> bool {
        let Some((child, answers)) = &mut self.process else { return true };
        let mut buffer = [0; 4096];
        loop {
            match nix::unistd::read(&answers, &mut buffer) {
                Ok(0) => {
                    self.process = None;
                    return true;
                }
                Ok(n) if self.answers.len() < ANSWERS_MAX => {
                    self.answers.extend_from_slice(buffer.get(..n).unwrap_or_default());
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if now < self.until => return false,
                Ok(_) | Err(_) => {
                    // It holds its end of the pipe, so it lives.
                    let _ = child.kill();
                    self.process = None;
                    return true;
                }
            }
        }
    }

    /// What to wait on, while there is something.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(|(_, answers)| answers.as_fd())
    }

    /// Waits for the end of it, and of the process.
    fn wait(&mut self) {
        let process = self.process.as_ref().map(|(child, _)| child.id());
        while !self.is_done(Instant::now()) {
            let Some((_, answers)) = &self.process else { break };
            let left = self.until.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut [PollFd::new(answers.as_fd(), PollFlags::POLLIN)], left);
        }
        if let Some(pid) = process.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.process {
            let _ = child.kill();
        }
    }
}

/// The names as a file in memory: a pipe would be full after three thousand, and we
/// would wait.
fn list(names: &[String]) -> io::Result<Stdio> {
    let mut file = std::fs::File::from(memfd_create("names", MFdFlags::MFD_CLOEXEC)?);
    file.write_all((names.join("\n") + "\n").as_bytes())?;
    file.rewind()?;
    Ok(Stdio::from(file))
}

/// The other process's part: the names on stdin, answers on stdout as they come.
/// For the hidden option `--resolve`; not a daemon, and so allowed threads.
pub fn answer() {
    let mut text = String::new();
    let _ = io::stdin().lock().take(ANSWERS_MAX as u64).read_to_string(&mut text);
    let names = Mutex::new(text.lines());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    // Nobody panics with the list in hand.
                    let next = names.lock().ok().and_then(|mut names| names.next());
                    let Some(name) = next else { return };
                    if let Some(address) = System.host(name) {
                        let _ = writeln!(io::stdout(), "{name} {address}");
                    }
                }
            });
        }
    });
}

#[cfg(test)]
mod tests;
